using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Codo.Bench;

/// <summary>A host of the benchmark's own, from a published file. It ends with the benchmark.</summary>
internal sealed class BenchHost : IAsyncDisposable
{
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(60);
    private readonly Process process;

    private BenchHost(Process process, string address, string data, double ready) =>
        (this.process, Address, Data, Ready) = (process, address, data, ready);

    public string Address { get; }

    public string Data { get; }

    /// <summary>From the start of the process to the first answer, milliseconds.</summary>
    public double Ready { get; }

    public int Pid => process.Id;

    /// <param name="address">Where it listens; null takes a free port.</param>
    public static async Task<BenchHost> Start(string codo, string data, string? address = null, params (string Name, string Value)[] settings)
    {
        address ??= $"http://127.0.0.1:{FreePort()}";
        var began = Stopwatch.GetTimestamp();
        var process = Programs.Begin(
            codo, [], [("Codo__DataDirectory", data), ("ASPNETCORE_URLS", address), ("Codo__MinFreeDisk", "0"), .. settings]);
        _ = process.StandardOutput.ReadToEndAsync();
        using var http = new HttpClient { BaseAddress = new Uri(address) };
        while (true)
        {
            if (process.HasExited || Stopwatch.GetElapsedTime(began) > Longest) throw new InvalidOperationException("The host did not start.");
            try
            {
                if ((await http.GetAsync("/healthz/live")).IsSuccessStatusCode) break;
            }
            catch (HttpRequestException)
            {
                await Task.Delay(5);
            }
        }
        return new BenchHost(process, address, data, Stopwatch.GetElapsedTime(began).TotalMilliseconds);
    }

    /// <summary>A token of a superuser.</summary>
    public async Task<string> Token(string codo) =>
        (await Programs.Said(codo, ["token", "--user", "bench", "--superuser"], ("Codo__DataDirectory", Data))).Trim().Split('\n')[^1];

    /// <summary>Memory of the host's own process, in MB (PSS).</summary>
    public double Memory() =>
        File.ReadLines($"/proc/{process.Id}/smaps_rollup")
            .Where(line => line.StartsWith("Pss:", StringComparison.Ordinal))
            .Sum(line => double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture)) / 1024;

    public async Task Stop()
    {
        using (var kill = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)])) await kill.WaitForExitAsync();
        await process.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited) await Stop();
        process.Dispose();
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Programs that the benchmark runs.</summary>
    internal static class Programs
    {
        public static async Task<string> Said(string program, string[] arguments, params (string Name, string Value)[] environment)
        {
            using var process = Begin(program, arguments, environment);
            var said = await process.StandardOutput.ReadToEndAsync();
            await process.WaitForExitAsync();
            return process.ExitCode == 0
                ? said
                : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}.");
        }

        public static Process Begin(string program, string[] arguments, params (string Name, string Value)[] environment)
        {
            var info = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, WorkingDirectory = "/" };
            foreach (var (name, value) in environment) info.Environment[name] = value;
            return Process.Start(info)!;
        }
    }
}
