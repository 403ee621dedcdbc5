using System.Collections.Concurrent;
using Codo.Host.LocalServices;
using Codo.Tests.Support;
using Npgsql;

[assembly: AssemblyFixture(typeof(TestPostgres))]

namespace Codo.Tests.Support;

/// <summary>
/// A real PostgreSQL in a temporary folder. The one that tests get through their constructor is shared by the whole run and starts with the first database that
/// is asked for; a test that stops or restarts its PostgreSQL takes one of its own from <see cref="StartNew"/>. It stops with the fixture, and by itself when
/// the test process dies.
/// </summary>
public sealed class TestPostgres : IAsyncLifetime
{
    private static readonly Dictionary<string, string> Settings = new()
    {
        ["fsync"] = "off",
        ["full_page_writes"] = "off",
        ["max_connections"] = "500",
        ["jit"] = "off",
        ["timezone"] = "UTC",
        ["log_timezone"] = "UTC",
    };

    private readonly ConcurrentDictionary<string, Lazy<Task<string>>> templates = new();
    private readonly Lazy<Task<PostgresCluster>> cluster;
    private DirectoryInfo? folder;

    public TestPostgres() => cluster = new(Begin);

    /// <summary>Every line that the server writes.</summary>
    public event Action<string>? Logged;

    public static async Task<TestPostgres> StartNew()
    {
        var postgres = new TestPostgres();
        await postgres.cluster.Value;
        return postgres;
    }

    /// <summary>Makes a database with a name of its own.</summary>
    /// <param name="template">A name that <see cref="Template"/> gave, null for an empty database.</param>
    /// <returns>Its connection string.</returns>
    public async Task<string> CreateDatabase(string? template = null)
    {
        var name = $"t_{Guid.NewGuid():N}";
        await Execute($"CREATE DATABASE {name} TEMPLATE {template ?? "template1"}");
        // The rights on a database are not copied with it.
        await Execute($"GRANT CREATE ON DATABASE {name} TO {DatabaseRoles.Host}");
        return (await cluster.Value).ConnectionString(name, DatabaseRoles.Host);
    }

    /// <summary>
    /// The same database for the superuser that made it: what only damages it, or restores a dump of an older version, is not for the host's role.
    /// </summary>
    public static string AsSuperuser(string database) =>
        new NpgsqlConnectionStringBuilder(database) { Username = PostgresCluster.Superuser, Pooling = false }.ConnectionString;

    /// <summary>Makes a database and fills it, once for each name; further callers wait for the first.</summary>
    /// <param name="fill">Gets the connection string, without pooling: a connection left open would keep the database from being copied.</param>
    /// <returns>The name to give to <see cref="CreateDatabase"/>.</returns>
    public Task<string> Template(string name, Func<string, Task> fill) => templates.GetOrAdd(name, _ => new(async () =>
    {
        await Execute($"CREATE DATABASE {name}");
        await Execute($"GRANT CREATE ON DATABASE {name} TO {DatabaseRoles.Host}");
        var database = (await cluster.Value).ConnectionString(name, DatabaseRoles.Host) + ";Pooling=false";
        await fill(database);
        await DatabaseRoles.Settle(AsSuperuser(database));
        return name;
    })).Value;

    /// <summary>Stops the server as an operator would; connections are cut.</summary>
    public async Task Stop() => await (await cluster.Value).Stop();

    public async Task Start() => await (await cluster.Value).Start();

    public async Task Restart()
    {
        await Stop();
        await Start();
    }

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        if (cluster.IsValueCreated)
            await (await cluster.Value).Stop();
        folder?.Delete(recursive: true);
    }

    private async Task<PostgresCluster> Begin()
    {
        folder = Directory.CreateTempSubdirectory("codo-test-");
        // Root hands PostgreSQL to another user, which has to get through here.
        folder.UnixFileMode |= UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        var data = Path.Combine(folder.FullName, "data");
        var sockets = Path.Combine(folder.FullName, "socket");
        var user = PostgresUser.ForRoot(data);
        PostgresUser.Own(sockets, user);
        var made = new PostgresCluster(PostgresBinaries.Newest(), user, data, sockets, Settings, line => Logged?.Invoke(line));
        await made.Create(sync: false);
        await made.Start();
        var superuser = made.ConnectionString("postgres", PostgresCluster.Superuser);
        await DatabaseRoles.Make(superuser, "codo");
        // Roles are the whole cluster's, and any test may migrate a database at any time: here the host's role keeps the audit owner's rights.
        // PrivateClusterTests have the real thing.
        await DatabaseRoles.Lend(superuser);
        return made;
    }

    private async Task Execute(string sql)
    {
        await using var connection = new NpgsqlConnection((await cluster.Value).ConnectionString("postgres", PostgresCluster.Superuser) + ";Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}
