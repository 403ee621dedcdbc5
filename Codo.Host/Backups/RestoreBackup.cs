using System.Globalization;
using System.Text;
using Codo.Host.Commands;
using Codo.Host.LocalServices;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Host.Backups;

/// <summary>
/// <c>codo restore</c>: everything is checked before the database is touched; what is loaded counts as unfinished, and no host starts on it, until the last
/// transaction has settled what was under way, held the installation and taken the mark away.
/// </summary>
internal static class RestoreBackup
{
    /// <summary>The option that allows a database that is not empty.</summary>
    public const string Replace = "--replace-database";

    /// <summary>The option that does without the keys.</summary>
    public const string WithoutKeys = "--without-keys";

    private const string HostsSql = """
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name IN ('codo heartbeat', 'codo control')
        """;

    private const string TablesSql = """
        SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY(@Schemas) AND c.relkind IN ('r', 'p', 'v')
        """;

    private const string IsUnfinishedSql = $"""
        SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{Migrator.RestoringSchema}')
        """;

    private const string BeginSql = $"""
        CREATE SCHEMA IF NOT EXISTS {Migrator.RestoringSchema}
        """;

    private const string FinishSql = $"""
        DROP SCHEMA {Migrator.RestoringSchema}
        """;

    // Rights are not in a backup: its roles may not be there. These are the migrations' own.
    private const string RightsSql = """
        REVOKE ALL ON FUNCTION platform.add_audit_partition(date), platform.drop_audit_partition(text), platform.drop_old_audit_rows(timestamptz),
            platform.refuse_seal_change() FROM PUBLIC
        """;

    // A host that was cut off from the database, and so was not found connected, must not go on as one of the nodes that are in the backup. A heartbeat
    // between the load and this may renew its lease for a moment; what it would start then is refused, because it is fenced.
    private const string FenceNodesSql = """
        UPDATE platform.node SET fenced = incarnation
        """;

    private const string ForgetNodesSql = """
        DELETE FROM platform.node
        """;

    // What was told, or is about to be, by the installation that was backed up.
    private const string ForgetMessagesSql = """
        DELETE FROM platform.outbox WHERE dead_at IS NULL
        """;

    private const string ForgetKeysSql = """
        DELETE FROM platform.setting WHERE key = 'master_key_check' OR starts_with(key, 'master_key_check.')
        """;

    private const string ForgetCookieKeysSql = """
        DELETE FROM accounts.data_protection_key
        """;

    private const string SuperusersSql = """
        SELECT username FROM accounts.person WHERE is_superuser AND NOT disabled AND username <> '' ORDER BY lower(username), user_id LIMIT 3
        """;

    /// <param name="keys">The file of keys; null takes those of the settings, of the data directory or of the backup.</param>
    public static async Task Run(string[] settings, string file, string? keys, bool replace, bool withoutKeys)
    {
        var backup = await BackupFile.Open(file);
        if (backup.Header.Migrations.Except(Composition.Migrations, StringComparer.Ordinal).FirstOrDefault() is { } unknown)
            throw new StartRefused($"{file} was made by a newer Codo ({backup.Header.Codo}, with {unknown}). Restore it with that version or a newer one.");
        var kept = await SettleKeys(settings, backup, keys, replace, withoutKeys);
        var isBegun = false;
        try
        {
            await Hosting.Restore(settings, (installation, app) => Fill(installation, app, backup, file, replace, withoutKeys, () => isBegun = true));
        }
        catch when (!isBegun)
        {
            // Refused: the database was not touched, and what opens it must be there as well.
            InstallationKeys.PutBack(kept);
            throw;
        }
    }

    private static async Task<IReadOnlyList<KeptKey>> SettleKeys(string[] settings, BackupFile backup, string? keys, bool replace, bool withoutKeys)
    {
        var configuration = SettingSources.Add(new ConfigurationBuilder(), settings).Build();
        var directory = DataDirectory.Locate(configuration);
        var isPrivate = string.IsNullOrEmpty(configuration.GetConnectionString("Postgres"));
        // Before anything is written there.
        if (isPrivate) PostgresUser.MustBeRoots(directory);
        if (DataDirectory.IsHeld(directory)) throw new StartRefused($"A Codo host is running on the data directory {directory}. Stop it first.");
        IConfiguration? given = null;
        if (keys is not null)
        {
            await using var stream = Readable(keys);
            given = InstallationKeys.Read(stream, keys);
        }
        else if (backup.Header.Keys.Length > 0)
            given = InstallationKeys.Read(new MemoryStream(Encoding.UTF8.GetBytes(backup.Header.Keys)), "The backup's part of keys");

        if (withoutKeys)
        {
            // A new one, where the one that was there is lost as well.
            if (isPrivate && string.IsNullOrEmpty(configuration[GeneratedSecrets.MasterKey]))
                GeneratedSecrets.Resolve(configuration, GeneratedSecrets.MasterKey, directory);
            return [];
        }
        // Tried before they are put anywhere.
        var tried = new ConfigurationBuilder().AddConfiguration(given ?? new ConfigurationBuilder().Build()).AddConfiguration(Set(configuration)).Build();
        if (string.IsNullOrEmpty(tried[GeneratedSecrets.MasterKey]) && GeneratedSecrets.IsKept(directory, GeneratedSecrets.MasterKey))
            tried[GeneratedSecrets.MasterKey] = GeneratedSecrets.Resolve(configuration, GeneratedSecrets.MasterKey, directory);
        if (string.IsNullOrEmpty(tried[GeneratedSecrets.MasterKey]) || !backup.Header.IsOpenedBy(Composition.Secrets(tried)))
            throw new StartRefused(
                "The secrets in this backup are sealed with a master key that is not here. Give the keys with --keys KEYS (what `codo backup FILE --keys "
                    + $"KEYS` has written), or set Codo__MasterKey. {WithoutKeys} restores the rest: stored secrets then cannot be read and have to be "
                    + "entered again."
            );
        return given is not null && isPrivate ? await InstallationKeys.Keep(given, configuration, directory, replace) : [];
    }

    private static FileStream Readable(string keys)
    {
        try
        {
            return File.OpenRead(keys);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new StartRefused($"{keys} cannot be read by user {Environment.UserName}: {failure.Message}");
        }
    }

    // A setting that is there and empty would hide a key that is given.
    private static IConfiguration Set(IConfiguration configuration) =>
        new ConfigurationBuilder()
            .AddInMemoryCollection(
                configuration.AsEnumerable().Where(one => !string.IsNullOrEmpty(one.Value) && one.Key.StartsWith("Codo:", StringComparison.Ordinal))
            )
            .Build();

    /// <param name="begins">Called before the database is changed.</param>
    private static async Task Fill(
        Installation installation,
        WebApplication app,
        BackupFile backup,
        string file,
        bool replace,
        bool withoutKeys,
        Action begins
    )
    {
        var source = app.Services.GetRequiredService<NpgsqlDataSource>();
        await using var connection = await source.OpenConnectionAsync();
        if (await connection.ExecuteScalarAsync<long>(HostsSql) > 0)
            throw new StartRefused("Hosts of Codo are connected to this database. Stop them on every node first.");
        var schemas = TakeBackup.Schemas.Append(Hangfire.HangfireSetup.Schema).ToArray();
        var isUnfinished = await connection.ExecuteScalarAsync<bool>(IsUnfinishedSql);
        if (!isUnfinished && !replace && await connection.ExecuteScalarAsync<long>(TablesSql, new { Schemas = schemas }) > 0)
            throw new StartRefused($"The database is not empty. {Replace} removes everything of Codo in it first: jobs, orders, history, accounts.");
        var server = connection.PostgreSqlVersion.Major;
        if (backup.Header.Major > server)
            throw new StartRefused(
                $"{file} is of PostgreSQL {backup.Header.Major}, and this is PostgreSQL {server}. Restore it into version {backup.Header.Major} or a newer one."
            );
        // Whether it can be read at all is known before anything goes.
        var tool = await PostgresTool.Find("pg_restore", installation.PostgresBinaries, server, installation.PostgresConnectionString);
        await Load(["--list"]);
        await installation.Migrate(
            () => Task.FromResult(false),
            async () =>
            {
                begins();
                await connection.ExecuteAsync(BeginSql);
                // One by one: a schema has many partitions, and each takes a lock.
                foreach (var schema in schemas) await connection.ExecuteAsync($"DROP SCHEMA IF EXISTS {schema} CASCADE", commandTimeout: 0);
                await Load(["--dbname=" + connection.Database, "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-comments"]);
                await connection.ExecuteAsync(FenceNodesSql);
                // The nodes of before are still there: a migration tells an upgrade from a new installation by them.
                await app.Migrate(isRestoring: true);
                // Of functions that a backup of an older schema does not have yet.
                await connection.ExecuteAsync(RightsSql);
                // All months of a backup may be over.
                await AuditMonth.Make(source);
                await Settle(connection, app.Services, backup.Header, withoutKeys);
            }
        );
        Console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"Restored {file}: the database as it was at {backup.Header.At:yyyy-MM-dd HH:mm:ss} UTC, made by Codo {backup.Header.Codo}."
            )
        );
        if (withoutKeys) Console.WriteLine("Stored secrets cannot be read: enter private keys, passwords and environments again.");
        Console.WriteLine(
            "Rights are as they were then: whoever was disabled, what was revoked, and each grant, role and password that was changed after the backup is as "
                + "it was before. Disable, revoke, grant and change passwords again before anybody reaches the port; a new Codo:Auth:TokenSecret ends every "
                + "signed token."
        );
        Console.WriteLine(
            "It is held: no job fires, no order goes on and nobody is told. Start it, look at the open orders (what ran after the backup would run again), and "
                + "release it as a superuser: `codo release`."
        );

        Task Load(IEnumerable<string> arguments) =>
            PostgresTool.Run(tool, installation.PostgresConnectionString, arguments, backup.CopyDump, from => from.CopyToAsync(Stream.Null));
    }

    private static async Task Settle(NpgsqlConnection connection, IServiceProvider services, BackupHeader header, bool withoutKeys)
    {
        var at = header.At.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        var cause = new Text(
            $"由 {at} UTC 的备份恢复：此后在原系统上如何结束，此处不得而知",
            $"Restored from the backup of {at} UTC: what became of it after that is not known here"
        );
        await using var transaction = await connection.BeginTransactionAsync();
        foreach (var module in services.GetServices<ISettleRestored>()) await module.Settle(connection, transaction, cause);
        await connection.ExecuteAsync(ForgetMessagesSql, transaction: transaction);
        await connection.ExecuteAsync(ForgetNodesSql, transaction: transaction);
        if (withoutKeys)
        {
            await connection.ExecuteAsync(ForgetKeysSql, transaction: transaction);
            await connection.ExecuteAsync(ForgetCookieKeysSql, transaction: transaction);
        }
        var superusers = (await connection.QueryAsync<string>(SuperusersSql, transaction: transaction)).ToArray();
        await Hold.Set(connection, transaction, header.At, superusers);
        await Audit.Write(connection, transaction, Caller.Codo, "restore", "installation", at, after: new { header.Codo, header.Server, withoutKeys });
        await connection.ExecuteAsync(FinishSql, transaction: transaction);
        await transaction.CommitAsync();
    }
}
