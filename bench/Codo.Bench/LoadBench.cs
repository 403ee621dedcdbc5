using System.Diagnostics;
using System.Globalization;

namespace Codo.Bench;

/// <summary>How many commands a second a host carries, beside a bare loop that starts the same command on all cores and keeps no record.</summary>
internal static class LoadBench
{
    private const int Seconds = 20;

    // PostgreSQL looks once a minute for tables that have no statistics yet. Until then it plans for empty ones, which an installation is for its first minute.
    private static readonly TimeSpan UntilStatistics = TimeSpan.FromSeconds(75);

    public static async Task Run(BenchClient client, bool withBusyLoops, string runAs)
    {
        using var busy = withBusyLoops ? new BusyLoops(Environment.ProcessorCount) : null;
        Table.Head("offered a second", "ran a second", "probe late p50", "probe late p95", "of the bare loop");
        // A host that runs as root starts commands as codo-run: the loop beside it has to change the user as well.
        var change = runAs.Length == 0 ? "" : $"setpriv --reuid={runAs} --regid={runAs} --init-groups ";
        var bare = await Bare(change);
        Table.Row($"bare loop of `{change}setsid -w sh -c :` on all cores", bare.ToString("0", CultureInfo.InvariantCulture), "-", "-", "1");
        var made = 0;
        var file = Path.GetTempFileName();
        // Commands run as a user of their own.
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite);
        await client.Send(
            HttpMethod.Post,
            "/v1/cron/job/",
            new
            {
                job_id = "bench probe",
                cmd = $"echo \"$CODO_NOMINAL_TIME $(date +%s%3N)\" >> {file}",
                cron = "* * * * * *",
                overlap = "allow",
            }
        );
        foreach (var offered in new[] { 300, 500, 800 })
        {
            for (; made < offered; made++)
                await client.Send(
                    HttpMethod.Post,
                    "/v1/cron/job/",
                    new
                    {
                        job_id = $"bench {made}",
                        cmd = ":",
                        cron = "* * * * * *",
                        overlap = "allow",
                        misfire = "all",
                    }
                );
            await Task.Delay(offered == 300 ? UntilStatistics : TimeSpan.FromSeconds(3));
            var from = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
            await Task.Delay(TimeSpan.FromSeconds(Seconds));
            var ran = await Count(client, from, from + Seconds - 1);
            var late = (await File.ReadAllLinesAsync(file))
                .Select(line => line.Split(' '))
                .Select(words =>
                    (
                        Due: DateTimeOffset.Parse(words[0], CultureInfo.InvariantCulture),
                        Ran: DateTimeOffset.FromUnixTimeMilliseconds(long.Parse(words[1], CultureInfo.InvariantCulture))
                    )
                )
                .Where(run => run.Ran.ToUnixTimeSeconds() >= from)
                .Select(run => (run.Ran - run.Due).TotalMilliseconds)
                .ToList();
            var rate = (double)ran / Seconds;
            Table.Row(
                $"{offered}",
                rate.ToString("0", CultureInfo.InvariantCulture),
                Table.Percentile(late, 0.5),
                Table.Percentile(late, 0.95),
                (rate / bare).ToString("0.00", CultureInfo.InvariantCulture)
            );
        }
        for (var i = 0; i < made; i++) await client.Send(HttpMethod.Delete, "/v1/cron/job/", new { job_id = $"bench {i}" });
        await client.Send(HttpMethod.Delete, "/v1/cron/job/", new { job_id = "bench probe" });
        File.Delete(file);
    }

    // Second by second: a list counts 10,000 rows exactly, which is 500 a second in 20.
    private static async Task<long> Count(BenchClient client, long from, long until)
    {
        var count = 0L;
        for (var second = from; second <= until; second++)
        {
            var date = Date(second);
            var found = await client.Send(HttpMethod.Get, $"/v1/cron/log/?limit=1&status=success,faild,running&start_date={date}&end_date={date}");
            if (found["count_is_estimate"]?.GetValue<bool>() == true) throw new InvalidOperationException("The count of a second is an estimate.");
            count += found["count"]!.GetValue<long>();
        }
        return count;

        // The ledger's times are in Codo's zone; a date with an offset names the instant.
        static string Date(long unix) =>
            Uri.EscapeDataString(DateTimeOffset.FromUnixTimeSeconds(unix).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
    }

    private static async Task<double> Bare(string change)
    {
        var loop = $"end=$((SECONDS+10)); n=0; while ((SECONDS<end)); do {change}setsid -w sh -c :; n=$((n+1)); done; echo $n";
        var loops = Enumerable.Range(0, Environment.ProcessorCount).Select(async _ =>
        {
            using var process = Process.Start(new ProcessStartInfo("bash", ["-c", loop]) { RedirectStandardOutput = true })!;
            return int.Parse(await process.StandardOutput.ReadToEndAsync(), CultureInfo.InvariantCulture);
        });
        return (await Task.WhenAll(loops)).Sum() / 10.0;
    }

    /// <summary>Work beside the host, one loop for each core.</summary>
    private sealed class BusyLoops : IDisposable
    {
        private readonly List<Process> loops;

        public BusyLoops(int count) =>
            loops = [.. Enumerable.Range(0, count).Select(_ => Process.Start(new ProcessStartInfo("sh", ["-c", "while :; do :; done"]))!)];

        public void Dispose()
        {
            foreach (var loop in loops)
            {
                loop.Kill();
                loop.Dispose();
            }
        }
    }
}
