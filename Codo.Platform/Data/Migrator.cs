using System.Reflection;
using Dapper;
using DbUp;
using DbUp.Engine;
using DbUp.Engine.Output;
using DbUp.Postgresql;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Data;

/// <summary>A migration that this binary does not know was applied: the schema is newer than the binary.</summary>
public sealed class SchemaIsNewer(string script) : Exception(
    $"The database was migrated by a newer Codo (it has {script}); start that version or newer. / 数据库已被更新版本的 Codo 迁移（含 {script}），请使用该版本或更新的版本。");

/// <summary>Applies every module's <c>Migrations/*.sql</c>, once, under one advisory lock, so that nodes may start together.</summary>
public static class Migrator
{
    // Any constant does, as long as every version of Codo takes the same one.
    private const long Lock = 0x0C0D0_0001;

    private const string AppliedSql = """
        SELECT scriptname FROM platform.schema_version
        """;

    /// <summary>Brings the database up to this binary's schema.</summary>
    /// <param name="modules">Assemblies with embedded scripts, Platform's first.</param>
    /// <param name="alsoUnderLock">Other schemas that must not be made by two hosts at once (Hangfire's).</param>
    /// <exception cref="SchemaIsNewer">The journal has a script that none of the assemblies has.</exception>
    public static async Task Run(NpgsqlDataSource source, IReadOnlyList<Assembly> modules, ILogger log, Action<NpgsqlConnection> alsoUnderLock)
    {
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync("SELECT pg_advisory_lock(@Lock)", new { Lock }, commandTimeout: 300);
        try
        {
            var scripts = modules.SelectMany(ScriptsOf).ToList();
            await connection.ExecuteAsync("CREATE SCHEMA IF NOT EXISTS platform");
            await RefuseNewer(connection, scripts);
            var upgrade = DeployChanges.To.PostgresqlDatabase(new PostgresqlConnectionManager(source))
                .WithScripts(scripts)
                .WithScriptNameComparer(StringComparer.Ordinal)
                .JournalToPostgresqlTable("platform", "schema_version")
                .WithTransactionPerScript()
                .WithVariablesDisabled()
                .WithExecutionTimeout(TimeSpan.FromMinutes(30))
                .LogTo(new MigrationLog(log))
                .Build();
            var result = upgrade.PerformUpgrade();
            if (!result.Successful)
                throw new InvalidOperationException($"The migration {result.ErrorScript?.Name} failed: {result.Error.Message}", result.Error);
            alsoUnderLock(connection);
        }
        finally
        {
            await connection.ExecuteAsync("SELECT pg_advisory_unlock(@Lock)", new { Lock });
        }
    }

    /// <summary>Whether every script has been applied. In a private cluster the answer cannot be made up: the journal belongs to the audit's owner.</summary>
    public static async Task<bool> IsCurrent(NpgsqlDataSource source, IReadOnlyList<Assembly> modules)
    {
        await using var connection = await source.OpenConnectionAsync();
        if (await connection.ExecuteScalarAsync<string?>("SELECT to_regclass('platform.schema_version')::text") is null) return false;
        var applied = (await connection.QueryAsync<string>(AppliedSql)).ToHashSet(StringComparer.Ordinal);
        return modules.SelectMany(ScriptsOf).All(script => applied.Contains(script.Name));
    }

    // "Codo.Modules.Cron.Migrations.0001-cron.sql": the order is the modules' own, then the number in the name.
    private static IEnumerable<SqlScript> ScriptsOf(Assembly module, int position) =>
        module.GetManifestResourceNames().Where(name => name.EndsWith(".sql", StringComparison.Ordinal)).Order(StringComparer.Ordinal).Select((name, number) =>
        {
            using var reader = new StreamReader(module.GetManifestResourceStream(name)!);
            return new SqlScript(name, reader.ReadToEnd(), new SqlScriptOptions { RunGroupOrder = (position * 1000) + number });
        });

    private static async Task RefuseNewer(NpgsqlConnection connection, List<SqlScript> scripts)
    {
        if (await connection.ExecuteScalarAsync<string?>("SELECT to_regclass('platform.schema_version')::text") is null) return;
        var known = scripts.Select(script => script.Name).ToHashSet(StringComparer.Ordinal);
        if ((await connection.QueryAsync<string>(AppliedSql)).FirstOrDefault(name => !known.Contains(name)) is { } unknown) throw new SchemaIsNewer(unknown);
    }

    private sealed class MigrationLog(ILogger log) : IUpgradeLog
    {
        public void LogTrace(string format, params object[] args) => log.LogTrace(format, args);

        public void LogDebug(string format, params object[] args) => log.LogDebug(format, args);

        public void LogInformation(string format, params object[] args) => log.LogDebug(format, args);

        public void LogWarning(string format, params object[] args) => log.LogWarning(format, args);

        public void LogError(string format, params object[] args) => log.LogError(format, args);

        public void LogError(Exception ex, string format, params object[] args) => log.LogError(ex, format, args);
    }
}
