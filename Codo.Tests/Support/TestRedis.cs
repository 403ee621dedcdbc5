using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Codo.Host.LocalServices;

namespace Codo.Tests.Support;

/// <summary>A real redis-server on a loopback port of its own, with a password, in a temporary folder. It dies with the test process.</summary>
public sealed class TestRedis : IAsyncDisposable
{
    // Below the ports that the system gives to connections, from 32768 on: one of those may be taken again before its server starts.
    private const int FirstPort = 20_000, Ports = 12_000;

    // Another one in each test process: several may run at once.
    private static int lastPort = Random.Shared.Next(8_000);

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-test-");
    private readonly TestRedis? primary;
    private Process? server;

    private TestRedis(TestRedis? primary)
    {
        this.primary = primary;
        Password = primary?.Password ?? Guid.NewGuid().ToString("N");
        Port = FreePort();
    }

    public int Port { get; }

    /// <summary>Its own, and of whatever replicates it.</summary>
    public string Password { get; }

    /// <summary>In StackExchange.Redis's words; stays the same over stops and starts.</summary>
    public string Configuration => $"127.0.0.1:{Port},password={Password},abortConnect=false";

    /// <param name="primary">What it replicates; null for a primary.</param>
    public static async Task<TestRedis> StartNew(TestRedis? primary = null)
    {
        var redis = new TestRedis(primary);
        await redis.Start();
        return redis;
    }

    /// <summary>Starts it with what it held when it was stopped or killed.</summary>
    public async Task Start()
    {
        if (!File.Exists("/usr/bin/redis-server"))
            throw new InvalidOperationException(
                "redis-server is not installed. Install it with `apt-get install -y redis-server` (as root), or run ./test.sh, which does."
            );

        string[] arguments =
        [
            "--port",
            $"{Port}",
            "--bind",
            "127.0.0.1",
            "--requirepass",
            Password,
            "--masterauth",
            Password,
            "--dir",
            folder.FullName,
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            .. primary is null ? (string[])[] : ["--replicaof", "127.0.0.1", $"{primary.Port}"],
        ];
        server = await Children.Start(Children.Command(null, "KILL", "/usr/bin/redis-server", arguments));
        var said = new List<string>();
        while (await server.StandardOutput.ReadLineAsync() is { } line)
        {
            said.Add(line);
            if (!line.Contains("Ready to accept connections", StringComparison.Ordinal))
                continue;
            _ = server.StandardOutput.BaseStream.CopyToAsync(Stream.Null);
            return;
        }

        throw new InvalidOperationException($"redis-server did not start: {string.Join(" | ", said)}");
    }

    /// <summary>Ends it as an operator would.</summary>
    public Task Stop() => End(signal: 15);

    /// <summary>Ends it at once, as a crash would.</summary>
    public Task Kill() => End(Posix.Kill);

    /// <summary>A Redis that lost everything, as one without persistence after a crash.</summary>
    public async Task RestartEmpty()
    {
        await Kill();
        foreach (var entry in folder.EnumerateFileSystemInfos())
        {
            if (entry is DirectoryInfo directory)
                directory.Delete(recursive: true);
            else
                entry.Delete();
        }

        await Start();
    }

    public async ValueTask DisposeAsync()
    {
        await Kill();
        folder.Delete(recursive: true);
    }

    /// <summary>A port of the loopback interface on which nobody listens, another one at each call.</summary>
    internal static int FreePort()
    {
        while (true)
        {
            var port = FirstPort + Interlocked.Increment(ref lastPort) % Ports;
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                return port;
            }
            catch (SocketException taken) when (taken.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                // Somebody listens there.
            }
        }
    }

    private async Task End(int signal)
    {
        if (server is null)
            return;

        Posix.Signal(server.Id, signal);
        await server.WaitForExitAsync();
        server.Dispose();
        server = null;
    }
}
