using System.Globalization;
using System.Reflection;
using System.Text;
using Codo.Host.Commands;
using Codo.Host.LocalServices;
using Codo.Platform.Data;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Host.Backups;

/// <summary>
/// <c>codo backup</c>: one consistent snapshot of Codo's schemas, while hosts run or not. Hangfire's tables are left out: what they hold is made anew from the
/// others.
/// </summary>
internal static class TakeBackup
{
    /// <summary>What is backed up and restored.</summary>
    public static readonly string[] Schemas = ["platform", "accounts", "cron", "tasks", "alerts"];

    private const string SnapshotSql = """
        SELECT pg_export_snapshot()
        """;

    private const string IsThereSql = """
        SELECT to_regclass('platform.schema_version') IS NOT NULL
        """;

    private const string MigrationsSql = """
        SELECT scriptname FROM platform.schema_version ORDER BY scriptname
        """;

    // Closed days of output are indexed by it; pg_dump refuses one that is not there.
    private const string ExtensionsSql = """
        SELECT extname FROM pg_extension WHERE extname = 'pg_trgm'
        """;

    private const string KeyChecksSql = """
        SELECT value FROM platform.setting WHERE key = @Key OR starts_with(key, @Key || '.') ORDER BY key
        """;

    /// <param name="file">Where the backup goes.</param>
    /// <param name="keys">Where the keys go; null writes none.</param>
    /// <param name="withKeys">Whether the backup holds the keys itself.</param>
    public static async Task Run(string[] settings, string file, string? keys, bool withKeys)
    {
        var configuration = SettingSources.Add(new ConfigurationManager(), settings);
        var directory = DataDirectory.Locate(configuration);
        if (Directory.Exists(file)) throw new StartRefused($"{file} is a directory. Name a file in it.");
        // Before the dump, which may take long: what is missing is said at once.
        var secrets = keys is not null || withKeys ? InstallationKeys.Of(configuration, directory) : null;
        if (configuration.GetConnectionString("Postgres") is { Length: > 0 } external)
        {
            await Write(Postgres.ForPrimary(external), null, file, secrets, withKeys);
        }
        else
        {
            var cluster = Path.Combine(directory, "postgres");
            EmbeddedPostgres.MustBeIn(directory);
            using var logs = LoggerFactory.Create(_ => { });
            await using var started = DataDirectory.IsHeld(directory) ? null : await Installation.Prepare(configuration, logs);
            if (started is not null) await started.PostgresStarted();
            var address = EmbeddedPostgres.OfRunningHost(directory, PostgresCluster.Superuser);
            await Write(address, PostgresBinaries.Of(cluster).Directory, file, secrets, withKeys);
        }

        if (keys is not null)
        {
            await SecretFile.Write(keys, secrets);
            Console.WriteLine($"The keys are in {keys}. Keep that file apart from the backup: whoever has both has every secret of the installation.");
        }
        else if (withKeys)
            Console.WriteLine("The keys are in it: whoever has the file has every secret of the installation.");
        else
            Console.WriteLine(
                "The keys are not in it. Without them the stored secrets (private keys, passwords, environments) cannot be read: "
                    + "`codo backup FILE --keys KEYS` writes them to a file of their own."
            );
    }

    private static async Task Write(string connectionString, string? binaries, string file, byte[]? secrets, bool isInside)
    {
        await using var connection = new NpgsqlConnection(
            new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false, ApplicationName = "codo backup", Timezone = "UTC" }.ConnectionString
        );
        await connection.OpenAsync();
        await using var transaction = await connection.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead);
        if (!await connection.ExecuteScalarAsync<bool>(IsThereSql, transaction: transaction))
            throw new StartRefused("There is no Codo in this database.");
        var checks = (await connection.QueryAsync<string>(KeyChecksSql, new { Key = MasterKeyCheck.Setting }, transaction)).AsList();
        var header = new BackupHeader
        {
            Codo = Assembly.GetExecutingAssembly().GetName().Version?.ToString(3) ?? "",
            Server = connection.PostgreSqlVersion.ToString(),
            At = await connection.ExecuteScalarAsync<DateTime>("SELECT now()", transaction: transaction),
            Migrations = [.. await connection.QueryAsync<string>(MigrationsSql, transaction: transaction)],
            KeyCheck = checks.FirstOrDefault() ?? "",
            LaterKeyChecks = [.. checks.Skip(1)],
            Keys = isInside ? Encoding.UTF8.GetString(secrets!) : "",
        };
        // Keys that do not open it would be found out when they are needed.
        if (secrets is not null && checks.Count > 0 && !header.IsOpenedBy(InstallationKeys.Box(secrets)))
            throw new StartRefused(
                "The keys that are set here are not all that this database's secrets are sealed with. Give this command the settings of the hosts: "
                    + "Codo__MasterKey, Codo__MasterKeyNumber and Codo__OldMasterKeys__N."
            );
        var extensions = (await connection.QueryAsync<string>(ExtensionsSql, transaction: transaction)).AsList();
        var tool = await PostgresTool.Find("pg_dump", binaries, connection.PostgreSqlVersion.Major, connectionString);
        var snapshot = await connection.ExecuteScalarAsync<string>(SnapshotSql, transaction: transaction);
        var size = await BackupFile.Write(
            Path.GetFullPath(file),
            header,
            to =>
                PostgresTool.Run(
                    tool,
                    connectionString,
                    [
                        "--format=custom",
                        $"--snapshot={snapshot}",
                        .. Schemas.Select(schema => $"--schema={schema}"),
                        .. extensions.Select(extension => $"--extension={extension}"),
                        "--no-owner",
                        "--no-privileges",
                        "--lock-wait-timeout=60s",
                    ],
                    null,
                    from => from.CopyToAsync(to)
                )
        );
        Console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{file}: the database as it was at {header.At:yyyy-MM-dd HH:mm:ss} UTC, {size / 1048576.0:0.0} MiB, PostgreSQL {header.Server}."
            )
        );
    }
}
