using System.Globalization;
using Codo.Tests.Support;
using Garnet;

namespace Codo.Tests.Modules.Tasks.Logs;

/// <summary>A Redis that a test can take away: a real redis-server, or the one that Codo brings along.</summary>
internal abstract class RedisKind : IAsyncDisposable
{
    public const string Server = "redis-server", Embedded = "Garnet";

    public abstract string Configuration { get; }

    public static async Task<RedisKind> Start(string kind) => kind == Server ? new RealServer(await TestRedis.StartNew()) : new InProcess();

    public abstract Task Stop();

    /// <summary>It is there again, and has lost what it held.</summary>
    public abstract Task StartEmpty();

    public abstract ValueTask DisposeAsync();

    private sealed class RealServer(TestRedis redis) : RedisKind
    {
        public override string Configuration => redis.Configuration;

        public override Task Stop() => redis.Kill();

        public override Task StartEmpty() => redis.RestartEmpty();

        public override ValueTask DisposeAsync() => redis.DisposeAsync();
    }

    private sealed class InProcess : RedisKind
    {
        private readonly int port = TestRedis.FreePort();
        private GarnetServer? server;

        public InProcess() => Begin();

        public override string Configuration => $"127.0.0.1:{port},password=for-tests,abortConnect=false";

        public override Task Stop()
        {
            server?.Dispose();
            server = null;
            return Task.CompletedTask;
        }

        public override Task StartEmpty()
        {
            Begin();
            return Task.CompletedTask;
        }

        public override async ValueTask DisposeAsync() => await Stop();

        // With the options of Codo.Host/LocalServices/EmbeddedRedis, on a port that stays the same.
        private void Begin()
        {
            string[] options =
            [
                "--bind",
                "127.0.0.1",
                "--port",
                port.ToString(CultureInfo.InvariantCulture),
                "--auth",
                "Password",
                "--password",
                "for-tests",
                "--memory",
                "64m",
                "--index",
                "4m",
                "--lua",
                "-q",
            ];
            server = new GarnetServer(options);
            server.Start();
        }
    }
}
