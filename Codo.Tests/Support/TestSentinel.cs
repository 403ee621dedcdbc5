using System.Diagnostics;
using Codo.Host.LocalServices;

namespace Codo.Tests.Support;

/// <summary>A Redis Sentinel on a loopback port of its own, which watches one primary. It dies with the test process.</summary>
internal sealed class TestSentinel : IAsyncDisposable
{
    private const string Service = "codo";

    private readonly TestFolder folder = new();
    private readonly TestRedis primary;
    private readonly int port = TestRedis.FreePort();
    private Process? server;

    /// <param name="primary">As it is at first.</param>
    public TestSentinel(TestRedis primary) => this.primary = primary;

    /// <summary>In StackExchange.Redis's words.</summary>
    public string Configuration => $"127.0.0.1:{port},serviceName={Service},password={primary.Password}";

    public async Task Start()
    {
        var settings = folder.At("sentinel.conf");
        await File.WriteAllTextAsync(
            settings,
            $"""
            port {port}
            bind 127.0.0.1
            dir {folder.Path}
            sentinel monitor {Service} 127.0.0.1 {primary.Port} 1
            sentinel auth-pass {Service} {primary.Password}
            sentinel down-after-milliseconds {Service} 1000
            sentinel failover-timeout {Service} 5000

            """
        );
        server = await Children.Start(Children.Command(null, "KILL", "/usr/bin/redis-server", [settings, "--sentinel"]));
        var said = new List<string>();
        while (await server.StandardOutput.ReadLineAsync() is { } line)
        {
            said.Add(line);
            if (!line.Contains("+monitor", StringComparison.Ordinal)) continue;
            _ = server.StandardOutput.BaseStream.CopyToAsync(Stream.Null);
            return;
        }

        throw new InvalidOperationException($"The sentinel did not start: {string.Join(" | ", said)}");
    }

    public async ValueTask DisposeAsync()
    {
        if (server is not null)
        {
            Posix.Signal(server.Id, Posix.Kill);
            await server.WaitForExitAsync();
            server.Dispose();
        }

        folder.Dispose();
    }
}
