using System.Diagnostics;
using System.Reflection;
using System.Text.RegularExpressions;
using Dapper;
using DbUp;
using DbUp.Engine;
using DbUp.Engine.Output;
using DbUp.Postgresql;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Data;

/// <summary>A newer binary has migrated the database to a schema that this one cannot work with.</summary>
public sealed class SchemaIsNewer(string script, Version? oldest) : Exception(
    oldest is null
        ? $"The database was migrated by a newer Codo (it has {script}); start that version or newer. / 数据库已被更新版本的 Codo 迁移（含 {script}），请使用该版本或更新的版本。"
        : $"The database was migrated by a newer Codo (it has {script}, beside which {oldest} or newer runs); start that version or newer. / "
            + $"数据库已被更新版本的 Codo 迁移（含 {script}，只能与 {oldest} 或更新的版本同时运行），请使用该版本或更新的版本。");

/// <summary>Nodes run that cannot work with what this binary would bring.</summary>
public sealed class OlderNodesRun(string script, Version oldest, IEnumerable<string> nodes) : Exception(
    $"Older nodes run: {string.Join(", ", nodes)}. {script} does not go with versions before {oldest}: stop these nodes first, then start this one. / "
        + $"仍有旧版本的节点在运行：{string.Join("、", nodes)}。{script} 不能与 {oldest} 之前的版本同时使用：请先停止这些节点。");

/// <summary>A restore was begun in this database and not finished: what is there may be half of the backup.</summary>
public sealed class RestoreIsUnfinished() : Exception(
    "A restore of this database was begun and not finished: run `codo restore FILE` again. / 此数据库的恢复未完成，请重新执行 `codo restore FILE`。");

/// <summary>A step of the schema.</summary>
/// <param name="Name">As the journal has it: <c>Codo.Modules.Cron.Migrations.0001-cron.sql</c>.</param>
/// <param name="Order">Its place among all.</param>
public sealed partial record Migration(string Name, string Sql, int Order)
{
    /// <summary>
    /// The oldest binary that may run on the schema with this step, from its line <c>-- runs beside: 0.2.0</c>; null where it says nothing, and then only the
    /// binary that brings it, and newer ones, may.
    /// </summary>
    public Version? Oldest => Beside().Match(Sql) is { Success: true } line ? Version.Parse(line.Groups[1].Value) : null;

    [GeneratedRegex(@"^-- runs beside: (\d+\.\d+\.\d+)\s*$", RegexOptions.Multiline | RegexOptions.CultureInvariant)]
    private static partial Regex Beside();
}

/// <summary>What a binary brings: its version and its migrations in their order.</summary>
public sealed record Schema(Version Binary, IReadOnlyList<Migration> Migrations)
{
    /// <summary>The embedded scripts of the modules.</summary>
    /// <param name="modules">Platform's assembly first: the order is the modules' own, then the number in the name.</param>
    public static Schema Of(IReadOnlyList<Assembly> modules) =>
        new(Parse(typeof(Schema).Assembly.GetName().Version!.ToString(3)), [.. modules.SelectMany(Embedded)]);

    /// <summary>The version of a binary; 0.0.0 for what is none, which counts as older than all.</summary>
    public static Version Parse(string text) => Version.TryParse(text, out var version) ? version : new Version(0, 0, 0);

    private static IEnumerable<Migration> Embedded(Assembly module, int position) =>
        module.GetManifestResourceNames().Where(name => name.EndsWith(".sql", StringComparison.Ordinal)).Order(StringComparer.Ordinal).Select((name, number) =>
        {
            using var reader = new StreamReader(module.GetManifestResourceStream(name)!);
            return new Migration(name, reader.ReadToEnd(), (position * 1000) + number);
        });
}

/// <summary>
/// Applies every module's <c>Migrations/*.sql</c>, once, under one advisory lock, so that nodes may start together. Nodes of two versions run beside each other
/// while an upgrade goes from node to node: the database holds, for each migration, the oldest binary that may run beside it.
/// </summary>
public static class Migrator
{
    // Any constant does, as long as every version of Codo takes the same one.
    private const long Lock = 0x0C0D0_0001;

    private const string AppliedSql = """
        SELECT scriptname FROM platform.schema_version
        """;

    private const string RestoringSql = $"""
        SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{RestoringSchema}')
        """;

    /// <summary>The schema that is there while a restore is under way, and after one that was cut off.</summary>
    public const string RestoringSchema = "codo_restoring";

    private const string KnownSql = """
        SELECT script, oldest FROM platform.migration
        """;

    private const string RememberSql = """
        INSERT INTO platform.migration (script, oldest)
        SELECT * FROM unnest(CAST(@Scripts AS text[]), CAST(@Oldest AS text[]))
        ON CONFLICT (script) DO NOTHING
        """;

    // Whether they beat or not: PostgreSQL may just have been away itself, and have heard of nobody.
    private const string OthersSql = """
        SELECT name, version FROM platform.node WHERE name <> @Own AND fenced < incarnation AND stopped_at IS NULL ORDER BY name
        """;

    // The lease as it is in Node.Lease. Whoever has not beaten for so long is dead, and joins anew before it works on.
    private const string FenceSilentSql = """
        UPDATE platform.node SET fenced = incarnation
        WHERE name = ANY(@Names) AND fenced < incarnation AND stopped_at IS NULL AND heartbeat_at <= clock_timestamp() - interval '10 seconds'
        RETURNING name
        """;

    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(10), LongestWait = TimeSpan.FromSeconds(15), PollPeriod = TimeSpan.FromMilliseconds(500);

    // For a table that somebody holds: a backup of a large database takes its time.
    private static readonly TimeSpan LongestHeld = TimeSpan.FromMinutes(30), RestWhileHeld = TimeSpan.FromSeconds(5);

    /// <summary>Brings the database up to this binary's schema.</summary>
    /// <param name="node">The name of this node: what an earlier start of it left among the nodes is not alive.</param>
    /// <param name="alsoUnderLock">Other schemas that must not be made by two hosts at once (Hangfire's).</param>
    /// <param name="patience">How long to wait for older nodes to end; default a little more than a lease, so that one that was killed is no hindrance.</param>
    /// <param name="isRestoring">Whether a restore brings up what it has just loaded.</param>
    /// <param name="restWhileHeld">How long the nodes that run have a table to themselves before a script that waits for it tries again; default 5 s.</param>
    /// <exception cref="RestoreIsUnfinished"/>
    /// <exception cref="SchemaIsNewer">The schema is a newer binary's, beside which this one may not run.</exception>
    /// <exception cref="OlderNodesRun">Nodes run that may not run beside what this binary brings.</exception>
    public static async Task Run(
        NpgsqlDataSource source,
        Schema schema,
        string node,
        ILogger log,
        Action<NpgsqlConnection> alsoUnderLock,
        TimeSpan? patience = null,
        bool isRestoring = false,
        TimeSpan? restWhileHeld = null
    )
    {
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync("SELECT pg_advisory_lock(@Lock)", new { Lock }, commandTimeout: 300);
        try
        {
            if (!isRestoring && await connection.ExecuteScalarAsync<bool>(RestoringSql)) throw new RestoreIsUnfinished();
            await connection.ExecuteAsync("CREATE SCHEMA IF NOT EXISTS platform");
            var applied = await Applied(connection);
            await RefuseNewer(connection, schema, applied, log);
            await WaitForOlder(connection, schema, applied, node, patience ?? LongestWait);
            await Apply(source, schema, log, restWhileHeld ?? RestWhileHeld);
            // Waits for the disk, and so for all scripts before it.
            await Remember(connection, schema);
            alsoUnderLock(connection);
        }
        finally
        {
            await connection.ExecuteAsync("SELECT pg_advisory_unlock(@Lock)", new { Lock });
        }
    }

    // A script is one transaction with its entry in the journal: one that was rolled back is tried again as if it had never begun.
    private static async Task Apply(NpgsqlDataSource source, Schema schema, ILogger log, TimeSpan rest)
    {
        for (var waited = Stopwatch.StartNew(); ; await Task.Delay(rest))
        {
            var lines = new MigrationLog(log);
            var result = DeployChanges.To.PostgresqlDatabase(new PostgresqlConnectionManager(source))
                .WithScripts(schema.Migrations.Select(one => new SqlScript(one.Name, one.Sql, new SqlScriptOptions { RunGroupOrder = one.Order })))
                .WithScriptNameComparer(StringComparer.Ordinal)
                .JournalToPostgresqlTable("platform", "schema_version")
                .WithTransactionPerScript()
                .WithPreprocessor(new WithoutWait())
                .WithVariablesDisabled()
                .WithExecutionTimeout(TimeSpan.FromMinutes(30))
                .LogTo(lines)
                .Build()
                .PerformUpgrade();
            if (result.Successful) return;
            if (!MetHeldTable(result.Error) || waited.Elapsed >= LongestHeld)
            {
                lines.TellErrors();
                throw new InvalidOperationException($"The migration {result.ErrorScript?.Name} failed: {result.Error.Message}", result.Error);
            }
            log.LogWarning(
                "The migration {Script} waits for a table that somebody holds: a backup, or a transaction that was left open. It is tried again",
                result.ErrorScript?.Name
            );
        }
    }

    private static bool MetHeldTable(Exception? error) =>
        error is PostgresException { SqlState: PostgresErrorCodes.LockNotAvailable or PostgresErrorCodes.DeadlockDetected }
        || (error is not null && MetHeldTable(error.InnerException));

    /// <summary>
    /// Refuses a schema that is not this binary's to work with. Until the transaction ends no migration begins: whoever joins the cluster in it is seen by the
    /// next one, and a node that slept over one learns of it.
    /// </summary>
    /// <param name="patience">How long to wait for a migration that is under way; whole seconds.</param>
    /// <exception cref="SchemaIsNewer"/>
    /// <exception cref="RestoreIsUnfinished">Whoever was cut off from the database meanwhile must not join what is half there: it asks again.</exception>
    public static async Task Verify(NpgsqlConnection connection, NpgsqlTransaction transaction, Schema schema, ILogger log, TimeSpan patience)
    {
        await connection.ExecuteAsync(
            "SELECT pg_advisory_xact_lock_shared(@Lock)",
            new { Lock },
            transaction,
            commandTimeout: (int)patience.TotalSeconds
        );
        if (await connection.ExecuteScalarAsync<bool>(RestoringSql, transaction: transaction)) throw new RestoreIsUnfinished();
        await RefuseNewer(connection, schema, await Applied(connection), log);
    }

    /// <summary>Whether every script has been applied. In a private cluster the answer cannot be made up: the journal belongs to the audit's owner.</summary>
    public static async Task<bool> IsCurrent(NpgsqlDataSource source, Schema schema)
    {
        await using var connection = await source.OpenConnectionAsync();
        var applied = await Applied(connection);
        return schema.Migrations.All(migration => applied.Contains(migration.Name));
    }

    private static async Task<HashSet<string>> Applied(NpgsqlConnection connection) =>
        await Exists(connection, "platform.schema_version") ? [.. await connection.QueryAsync<string>(AppliedSql)] : [];

    private static async Task<bool> Exists(NpgsqlConnection connection, string table) =>
        await connection.ExecuteScalarAsync<string?>("SELECT to_regclass(@table)::text", new { table }) is not null;

    private static async Task<Dictionary<string, Version>> Known(NpgsqlConnection connection) =>
        await Exists(connection, "platform.migration")
            ? (await connection.QueryAsync<(string Script, string Oldest)>(KnownSql)).ToDictionary(row => row.Script, row => Schema.Parse(row.Oldest))
            : [];

    private static async Task RefuseNewer(NpgsqlConnection connection, Schema schema, HashSet<string> applied, ILogger log)
    {
        var unknown = applied.Except(schema.Migrations.Select(migration => migration.Name)).Order(StringComparer.Ordinal).ToList();
        if (unknown.Count == 0) return;
        var known = await Known(connection);
        foreach (var script in unknown)
            if (known.GetValueOrDefault(script) is var oldest && (oldest is null || oldest > schema.Binary)) throw new SchemaIsNewer(script, oldest);
        log.LogWarning("The schema is a newer version's ({Scripts}); this one, {Version}, may run beside it until it is upgraded too", unknown, schema.Binary);
    }

    // Before anything is changed: an older node would go on with a schema that it does not understand.
    private static async Task WaitForOlder(NpgsqlConnection connection, Schema schema, HashSet<string> applied, string node, TimeSpan patience)
    {
        var pending = schema.Migrations.Where(migration => !applied.Contains(migration.Name)).ToList();
        if (applied.Count == 0 || pending.Count == 0) return;
        var strictest = pending.MaxBy(migration => migration.Oldest ?? schema.Binary)!;
        var oldest = strictest.Oldest ?? schema.Binary;
        for (var waited = Stopwatch.StartNew(); ; await Task.Delay(PollPeriod))
        {
            var older = (await connection.QueryAsync<(string Name, string Version)>(OthersSql, new { Own = node }))
                .Where(other => Schema.Parse(other.Version) < oldest)
                .ToList();
            // A whole lease has been watched: a node that lives has sent a heartbeat meanwhile.
            if (older.Count > 0 && waited.Elapsed >= Lease)
            {
                var silent = (await connection.QueryAsync<string>(FenceSilentSql, new { Names = older.Select(other => other.Name).ToArray() })).ToList();
                older.RemoveAll(other => silent.Contains(other.Name));
            }
            if (older.Count == 0) return;
            if (waited.Elapsed >= patience) throw new OlderNodesRun(strictest.Name, oldest, older.Select(other => $"{other.Name} ({other.Version})"));
        }
    }

    private static async Task Remember(NpgsqlConnection connection, Schema schema)
    {
        var known = await Known(connection);
        var fresh = schema.Migrations.Where(migration => !known.ContainsKey(migration.Name)).ToList();
        if (fresh.Count == 0) return;
        await connection.ExecuteAsync(
            RememberSql,
            new
            {
                Scripts = fresh.Select(migration => migration.Name).ToArray(),
                Oldest = fresh.Select(migration => (migration.Oldest ?? schema.Binary).ToString(3)).ToArray(),
            }
        );
    }

    /// <summary>
    /// A script does not wait until it is on the disk: one that a power failure takes, its entry in the journal with it, is applied again. Nor does it wait for
    /// long for a table that is held: each statement of the nodes that run, their heartbeats too, would wait behind it. The limit is
    /// longer than PostgreSQL's deadlock_timeout (1 s), at which it cancels an autovacuum that is in the way.
    /// </summary>
    private sealed class WithoutWait : IScriptPreprocessor
    {
        public string Process(string contents) => $"SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '2s';\n{contents}";
    }

    /// <summary>Keeps errors until it is known that they are the end: a script that met a table that is held is only tried again.</summary>
    private sealed class MigrationLog(ILogger log) : IUpgradeLog
    {
        private readonly List<Action> errors = [];

        public void TellErrors()
        {
            foreach (var tell in errors) tell();
        }

        public void LogTrace(string format, params object[] args) => log.LogTrace(format, args);

        public void LogDebug(string format, params object[] args) => log.LogDebug(format, args);

        public void LogInformation(string format, params object[] args) => log.LogDebug(format, args);

        public void LogWarning(string format, params object[] args) => log.LogWarning(format, args);

        public void LogError(string format, params object[] args) => errors.Add(() => log.LogError(format, args));

        public void LogError(Exception ex, string format, params object[] args) => errors.Add(() => log.LogError(ex, format, args));
    }
}
