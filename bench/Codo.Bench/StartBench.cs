using System.Diagnostics;
using System.Globalization;

namespace Codo.Bench;

/// <summary>
/// From the start of a process: to its first output, to a host that answers (warm, and with a new cluster), and to the answer of a client beside curl. Each
/// beside a process that does nothing, in the same run.
/// </summary>
internal static class StartBench
{
    /// <param name="codo">The published file.</param>
    /// <param name="runs">Of each; a start with a new cluster is measured a third as often.</param>
    public static async Task Run(string codo, int runs)
    {
        var folder = Directory.CreateTempSubdirectory("codo-start-");
        // Root's PostgreSQL is another user, who has to get through here.
        folder.UnixFileMode |= UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        try
        {
            // Once before, so that its native libraries are unpacked and all of it is in the page cache.
            await Whole(codo, ["--version"]);
            Table.Head("from the start of the process", "fastest", "median", "slowest", "goal");
            await Row("`/bin/true` to its end", runs, () => Whole("/bin/true", []), "");
            await Row("`codo --version` to its first output", runs, () => FirstOutput(codo, ["--version"]), "≤ 300 ms");
            var warm = Path.Combine(folder.FullName, "warm");
            await (await BenchHost.Start(codo, warm)).Stop();
            var (ready, cold) = (new List<double>(), new List<double>());
            for (var i = 0; i < runs; i++)
            {
                await using var host = await BenchHost.Start(codo, warm);
                ready.Add(host.Ready);
            }
            Row("a host to its first answer, warm", ready, "≤ 1.2 s");
            for (var i = 0; i < Math.Max(3, runs / 3); i++)
            {
                await using var host = await BenchHost.Start(codo, Path.Combine(folder.FullName, $"new-{i}"));
                cold.Add(host.Ready);
            }
            Row("the same with a new cluster", cold, "≤ 2.5 s");
            await using (var host = await BenchHost.Start(codo, warm)) await Clients(codo, host, runs);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task Clients(string codo, BenchHost host, int runs)
    {
        var token = await host.Token(codo);
        (string, string)[] environment = [("CODO_URL", host.Address), ("CODO_TOKEN", token)];
        // In turns, so that a busy moment touches both.
        var (curl, client, shell) = (new List<double>(), new List<double>(), new List<double>());
        for (var i = 0; i < runs; i++)
        {
            curl.Add(await Whole("curl", ["-sf", "-H", $"auth-key: {token}", $"{host.Address}/v1/cron/job/"]));
            client.Add(await Whole(codo, ["job", "list"], environment));
            shell.Add(await Whole(codo, ["completion", "bash"]));
        }
        Row("`curl …/v1/cron/job/` to its end", curl, "");
        Row("`codo job list` to its end", client, string.Create(CultureInfo.InvariantCulture, $"≤ {Median(curl) + 200:0} ms (curl + 200)"));
        Row("`codo completion bash` to its end (no request)", shell, "");
    }

    private static async Task Row(string what, int runs, Func<Task<double>> measure, string goal)
    {
        var measured = new List<double>();
        for (var i = 0; i < runs; i++) measured.Add(await measure());
        Row(what, measured, goal);
    }

    private static void Row(string what, List<double> measured, string goal) =>
        Table.Row(what, Shown(measured.Min()), Shown(Median(measured)), Shown(measured.Max()), goal);

    private static double Median(List<double> measured) => measured.Order().ElementAt(measured.Count / 2);

    private static string Shown(double milliseconds) =>
        milliseconds < 1000
            ? string.Create(CultureInfo.InvariantCulture, $"{milliseconds:0} ms")
            : string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 1000:0.00} s");

    private static async Task<double> Whole(string program, string[] arguments, params (string Name, string Value)[] environment)
    {
        var began = Stopwatch.GetTimestamp();
        await BenchHost.Programs.Said(program, arguments, environment);
        return Stopwatch.GetElapsedTime(began).TotalMilliseconds;
    }

    private static async Task<double> FirstOutput(string program, string[] arguments)
    {
        var began = Stopwatch.GetTimestamp();
        using var process = BenchHost.Programs.Begin(program, arguments);
        var buffer = new byte[1];
        await process.StandardOutput.BaseStream.ReadExactlyAsync(buffer);
        var took = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return took;
    }
}
