using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Codo.Host.LocalServices;

/// <summary>
/// The host's own PostgreSQL: a cluster in the data directory, watched for as long as the host runs, and reachable on a private Unix socket only.
/// </summary>
internal sealed class EmbeddedPostgres : IAsyncDisposable
{
    private const string Database = "codo";

    // What sockaddr_un holds; PostgreSQL's file in the directory is named .s.PGSQL.5432.
    private const int LongestSocketPath = 107;
    private const long LogLimit = 5 << 20;

    private static readonly TimeSpan LongestBackoff = TimeSpan.FromSeconds(10);

    /// <summary>
    /// The host uses at most 30 + 15 pooled connections and a few of its own; a second command such as migrate or a psql must find room besides. Memory is kept
    /// small because the whole product shares a machine with what it runs. Durability settings stay at PostgreSQL's defaults, and are named so that no one
    /// thinks them forgotten.
    /// </summary>
    private static readonly Dictionary<string, string> Settings = new()
    {
        ["max_connections"] = "80",
        ["shared_buffers"] = "48MB",
        ["work_mem"] = "8MB",
        ["maintenance_work_mem"] = "64MB",
        ["autovacuum_max_workers"] = "2",
        ["max_logical_replication_workers"] = "0",
        ["max_parallel_workers_per_gather"] = "0",
        ["min_wal_size"] = "80MB",
        ["max_wal_size"] = "512MB",
        ["checkpoint_timeout"] = "15min",
        ["jit"] = "off",
        ["fsync"] = "on",
        ["full_page_writes"] = "on",
        ["synchronous_commit"] = "on",
        ["timezone"] = "UTC",
        ["log_timezone"] = "UTC",
        ["log_checkpoints"] = "off",
        ["log_line_prefix"] = "%m [%p] ",
    };

    private readonly PostgresCluster cluster;
    private readonly BoundedLog serverLog;
    private readonly string? borrowedSockets;
    private readonly ILogger log;
    private readonly CancellationTokenSource stopping = new();
    private readonly string directory;
    private readonly string sockets;
    private Task watch = Task.CompletedTask;

    private EmbeddedPostgres(PostgresCluster cluster, BoundedLog serverLog, string directory, string sockets, string? borrowedSockets, ILogger log)
    {
        this.cluster = cluster;
        this.directory = directory;
        this.sockets = sockets;
        this.serverLog = serverLog;
        this.borrowedSockets = borrowedSockets;
        this.log = log;
    }

    /// <summary>The host's own: as a role that owns its schemas and is no superuser.</summary>
    public string ConnectionString => cluster.ConnectionString(Database, DatabaseRoles.Host);

    private string Superuser => cluster.ConnectionString(Database, PostgresCluster.Superuser);

    /// <summary>Who PostgreSQL runs as; null is the host's own user.</summary>
    public PostgresUser? User => cluster.User;

    /// <summary>Where its programs are.</summary>
    public string Binaries => cluster.Binaries;

    /// <summary>The postmaster's process id; null while it does not run.</summary>
    public int? Pid => cluster.Pid;

    /// <summary>How to reach the PostgreSQL of a host that runs on this data directory, as that host does.</summary>
    public static string OfRunningHost(string dataDirectory, string role = DatabaseRoles.Host) =>
        $"Host={SocketsOf(dataDirectory)};Username={role};Database={Database}";

    /// <summary>A command works on a database that is there: one that it had to make would not be the one that is meant.</summary>
    /// <exception cref="StartRefused">The directory has none that this user can see.</exception>
    public static void MustBeIn(string dataDirectory)
    {
        if (!File.Exists(Path.Combine(dataDirectory, "postgres", "PG_VERSION")))
            throw new StartRefused(
                $"There is no database in {dataDirectory} that {Environment.UserName} can see. Run this as the user that Codo runs as and with its settings "
                    + "(Codo__DataDirectory)."
            );
    }

    /// <summary>Prepares and starts.</summary>
    /// <exception cref="StartRefused">PostgreSQL is not installed, or cannot reach its directory.</exception>
    /// <exception cref="PostgresDidNotStart">It does not start now.</exception>
    public static async Task<EmbeddedPostgres> Start(DataDirectory directory, ILogger log, CancellationToken cancellation = default)
    {
        var postgres = await Prepare(directory, log, cancellation);
        await postgres.Start(cancellation);
        return postgres;
    }

    /// <summary>Finds out how it will be reached; nothing runs yet.</summary>
    /// <exception cref="StartRefused">PostgreSQL is not installed, or cannot reach its directory.</exception>
    public static async Task<EmbeddedPostgres> Prepare(DataDirectory directory, ILogger log, CancellationToken cancellation = default)
    {
        var data = Path.Combine(directory.Path, "postgres");
        var binaries = Directory.Exists(data) ? PostgresBinaries.Of(data) : PostgresBinaries.Newest();
        var user = PostgresUser.ForRoot(data);
        if (user is not null)
        {
            directory.LetThrough();
            await user.MustReach(directory.Path, cancellation);
        }

        var sockets = SocketsOf(directory.Path);
        var fits = sockets.StartsWith(directory.Path, StringComparison.Ordinal);
        var serverLog = new BoundedLog(Path.Combine(directory.Path, "postgres.log"), LogLimit);
        var cluster = new PostgresCluster(binaries, user, data, sockets, Settings, serverLog.Append);
        return new EmbeddedPostgres(cluster, serverLog, directory.Path, sockets, fits ? null : sockets, log);
    }

    /// <summary>Makes the cluster where it is not there, and starts its server.</summary>
    /// <exception cref="StartRefused">Its directory is closed to this user; nothing of it runs on.</exception>
    /// <exception cref="PostgresDidNotStart">It does not start now; nothing of it runs on.</exception>
    public async Task Start(CancellationToken cancellation = default)
    {
        try
        {
            PostgresUser.Own(sockets, User);
            await cluster.Create(sync: true, cancellation);
            await cluster.TakeOver(cancellation);
            await cluster.Start(cancellation);
            await DatabaseRoles.Make(cluster.ConnectionString("postgres", PostgresCluster.Superuser), Database, cancellation);
            await DatabaseRoles.Settle(Superuser, cancellation);
        }
        catch (Exception failure)
        {
            await DisposeAsync();
            var sentence = $"{failure.Message} Its log is {directory}/postgres.log.";
            if (failure is UnauthorizedAccessException) throw new StartRefused(sentence);
            if (failure is InvalidOperationException or NpgsqlException or IOException) throw new PostgresDidNotStart(sentence);
            throw;
        }

        watch = Watch();
    }

    /// <summary>Brings the schema up to this version, and gives what was made to its owners.</summary>
    /// <param name="isCurrent">Whether there is nothing to bring: then the audit's rights stay where they are.</param>
    public async Task Migrate(Func<Task<bool>> isCurrent, Func<Task> migrate)
    {
        if (!await isCurrent()) await DatabaseRoles.Lend(Superuser);
        await migrate();
        await DatabaseRoles.Settle(Superuser);
        await DatabaseRoles.TakeBack(Superuser);
    }

    public async ValueTask DisposeAsync()
    {
        // A start that failed has disposed already.
        if (stopping.IsCancellationRequested) return;
        await stopping.CancelAsync();
        await watch;
        await cluster.Stop();
        serverLog.Dispose();
        stopping.Dispose();
        if (borrowedSockets is not null && Directory.Exists(borrowedSockets))
            Directory.Delete(borrowedSockets, recursive: true);
    }

    private async Task Watch()
    {
        var backoff = TimeSpan.FromMilliseconds(200);
        while (true)
        {
            try
            {
                await cluster.Exited.WaitAsync(stopping.Token);
                log.LogError("PostgreSQL ended by itself; starting it again in {Backoff}. Its log: postgres.log in the data directory", backoff);
                await Task.Delay(backoff, stopping.Token);
                await cluster.Start(stopping.Token);
                log.LogInformation("PostgreSQL runs again");
                backoff = TimeSpan.FromMilliseconds(200);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failure)
            {
                // The next turn finds it ended and tries again: a full disk or a backend that outlived its postmaster passes.
                log.LogError("PostgreSQL does not start: {Reason}", failure.Message);
                backoff = backoff * 2 > LongestBackoff ? LongestBackoff : backoff * 2;
            }
        }
    }

    private static string SocketsOf(string dataDirectory)
    {
        var own = Path.Combine(dataDirectory, "postgres-socket");
        return Path.Combine(own, ".s.PGSQL.5432").Length < LongestSocketPath ? own : ShortDirectoryFor(dataDirectory);
    }

    private static string ShortDirectoryFor(string dataDirectory)
    {
        var runtime =
            Environment.IsPrivilegedProcess ? "/run"
            : Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 and < 60 } own ? own
            : "/tmp";
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(dataDirectory)))[..16];
        var path = Path.Combine(runtime, $"codo-{name}");
        // In /tmp anyone may have made the name before us, as a link to somewhere else; setting the mode of what another user owns fails by itself.
        if (new DirectoryInfo(path).LinkTarget is not null)
            throw new StartRefused($"{path} is a link that Codo did not make. Remove it, or choose a shorter Codo__DataDirectory.");
        return path;
    }
}
