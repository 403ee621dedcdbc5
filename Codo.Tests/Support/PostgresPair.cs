using Codo.Host.LocalServices;
using Npgsql;

namespace Codo.Tests.Support;

/// <summary>
/// A PostgreSQL and its standby, two servers on Unix sockets of their own. The standby confirms each commit before the client hears of it, until the primary is
/// killed and the standby promoted. Both stop with the test process.
/// </summary>
internal sealed class PostgresPair : IAsyncDisposable
{
    private const string Database = "codo";

    private readonly TestFolder folder = new();
    private readonly PostgresUser? user;
    private readonly string rules;

    private PostgresPair()
    {
        user = PostgresUser.ForRoot(folder.At("a"));
        rules = folder.At("hba.conf");
        (Primary, Standby) = (Server("a"), Server("b"));
    }

    private PostgresCluster Primary { get; }

    private PostgresCluster Standby { get; }

    /// <summary>What a host is given: both servers, and nothing that says which one is the primary.</summary>
    public string ConnectionString => $"Host={folder.At("a.socket")},{folder.At("b.socket")};Username={PostgresCluster.Superuser};Database={Database}";

    public static async Task<PostgresPair> StartNew()
    {
        var pair = new PostgresPair();
        await pair.Begin();
        return pair;
    }

    /// <summary>Ends the primary without a checkpoint, as a crash would.</summary>
    public async Task KillPrimary()
    {
        Posix.Signal(Primary.Pid!.Value, Posix.Quit);
        await Primary.Exited;
    }

    /// <summary>Makes the standby the primary; returns when it takes writes.</summary>
    public async Task Promote()
    {
        await using var connection = await OpenStandby();
        await using var promote = new NpgsqlCommand("SELECT pg_promote(true, 60)", connection);
        ((bool)(await promote.ExecuteScalarAsync())!).ShouldBeTrue("the standby is promoted");
    }

    /// <summary>A connection to the standby, whatever it is by now.</summary>
    public Task<NpgsqlConnection> OpenStandby() => Open(Standby, Database);

    public Task<NpgsqlConnection> OpenPrimary() => Open(Primary, Database);

    public async ValueTask DisposeAsync()
    {
        await Primary.Stop();
        await Standby.Stop();
        folder.Dispose();
    }

    private PostgresCluster Server(string name)
    {
        PostgresUser.Own(folder.At($"{name}.socket"), user);
        Dictionary<string, string> settings = new()
        {
            ["fsync"] = "off",
            ["full_page_writes"] = "off",
            ["max_connections"] = "200",
            ["timezone"] = "UTC",
            ["hba_file"] = rules,
        };
        return new PostgresCluster(PostgresBinaries.Newest(), user, folder.At(name), folder.At($"{name}.socket"), settings, _ => { });
    }

    private async Task Begin()
    {
        await File.WriteAllTextAsync(rules, "local all all trust\nlocal replication all trust\n");
        await Primary.Create(sync: false);
        await Primary.Start();
        await using (var connection = await Open(Primary, "postgres")) await Execute(connection, $"CREATE DATABASE {Database}");
        await Copy();
        await Standby.Start();
        await using var primary = await OpenPrimary();
        // Of the primary alone: the copy was made before it, and a promoted server waits for nobody.
        await Execute(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'");
        await Execute(primary, "SELECT pg_reload_conf()");
        await using var isSynchronous = new NpgsqlCommand("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')", primary);
        await Eventually.True(async () => (bool)(await isSynchronous.ExecuteScalarAsync())!, "the standby confirms commits", seconds: 60);
    }

    private async Task Copy()
    {
        PostgresUser.Own(folder.At("b"), user);
        string[] arguments = ["-h", folder.At("a.socket"), "-U", PostgresCluster.Superuser, "-D", folder.At("b"), "-c", "fast", "-R", "--no-sync"];
        // The server's own directory need not have the client's programs.
        var version = (await File.ReadAllTextAsync(Path.Combine(folder.At("a"), "PG_VERSION"))).Trim();
        var program = new[] { Primary.Binaries, $"/usr/lib/postgresql/{version}/bin" }.Select(path => Path.Combine(path, "pg_basebackup")).First(File.Exists);
        using var copying = await Children.Start(Children.Command(user, "KILL", program, arguments));
        copying.StandardInput.Close();
        var said = await Task.WhenAll(copying.StandardOutput.ReadToEndAsync(), copying.StandardError.ReadToEndAsync());
        await copying.WaitForExitAsync();
        copying.ExitCode.ShouldBe(0, string.Concat(said));
    }

    private static async Task<NpgsqlConnection> Open(PostgresCluster server, string database)
    {
        var connection = new NpgsqlConnection(server.ConnectionString(database, PostgresCluster.Superuser) + ";Pooling=false");
        await connection.OpenAsync();
        return connection;
    }

    private static async Task Execute(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}
