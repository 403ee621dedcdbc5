using Npgsql;

namespace Codo.Host.LocalServices;

/// <summary>
/// Who owns what in a cluster of Codo's own. The host works as <see cref="Host"/>, which owns its schemas and is no superuser: it cannot run programs or read
/// files through PostgreSQL. The audit belongs to <c>codo_audit</c>, as whom nobody signs in, so that the host may add to it and read it, and nothing
/// else. The superuser that initdb made decides this at each start, and has no part in the rest.
/// </summary>
internal static class DatabaseRoles
{
    public const string Host = "codo_host";

    private const string RolesSql = """
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'codo_host') THEN CREATE ROLE codo_host; END IF;
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'codo_audit') THEN CREATE ROLE codo_audit; END IF;
        END $$;
        ALTER ROLE codo_host LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
        ALTER ROLE codo_audit NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
        """;

    /// <summary>
    /// The statements that give every object of Codo's schemas to the role that it belongs to; none when all is in order. An index and a column's sequence
    /// follow their table.
    /// </summary>
    private const string StraysSql = """
        WITH ours AS (SELECT oid, nspname, nspowner FROM pg_namespace WHERE nspname IN ('platform', 'accounts', 'cron', 'tasks', 'alerts', 'hangfire')),
        audit AS (SELECT to_regclass('platform.audit') AS oid UNION SELECT inhrelid FROM pg_inherits
            WHERE inhparent = to_regclass('platform.audit') UNION SELECT to_regclass('platform.schema_version')
            UNION SELECT to_regclass('platform.audit_seal')),
        belongs AS (
            SELECT 'SCHEMA ' || quote_ident(nspname) AS what, nspowner AS owner, CASE nspname WHEN 'platform' THEN 'codo_audit'
                ELSE 'codo_host' END AS wanted FROM ours
            UNION ALL
            SELECT 'TABLE ' || CAST(c.oid AS regclass), c.relowner, CASE WHEN c.oid IN (SELECT oid FROM audit) THEN 'codo_audit' ELSE 'codo_host' END
            FROM pg_class c JOIN ours ON ours.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                AND NOT EXISTS (SELECT FROM pg_depend d WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid
                    AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
            UNION ALL
            SELECT 'ROUTINE ' || CAST(p.oid AS regprocedure), p.proowner, CASE ours.nspname WHEN 'platform' THEN 'codo_audit' ELSE 'codo_host' END
                FROM pg_proc p JOIN ours ON ours.oid = p.pronamespace
            UNION ALL
            SELECT 'TYPE ' || CAST(t.oid AS regtype), t.typowner, 'codo_host' FROM pg_type t JOIN ours ON ours.oid = t.typnamespace WHERE t.typtype IN ('d',
                'e')
        )
        SELECT format('ALTER %s OWNER TO %I', what, wanted) FROM belongs WHERE pg_get_userbyid(owner) <> wanted
        """;

    private const string RightsSql = """
        DO $$ BEGIN
            EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO codo_host', current_database());
            IF to_regclass('platform.schema_version') IS NOT NULL THEN
                GRANT USAGE ON SCHEMA platform TO codo_host;
                REVOKE ALL ON platform.schema_version FROM PUBLIC, codo_host;
                GRANT SELECT ON platform.schema_version TO codo_host;
            END IF;
            IF to_regclass('platform.audit') IS NOT NULL THEN
                REVOKE ALL ON platform.audit FROM PUBLIC, codo_host;
                GRANT SELECT, INSERT ON platform.audit TO codo_host;
            END IF;
            IF to_regclass('platform.audit_seal') IS NOT NULL THEN
                REVOKE ALL ON platform.audit_seal FROM PUBLIC, codo_host;
                GRANT SELECT, INSERT ON platform.audit_seal TO codo_host;
            END IF;
            IF to_regprocedure('platform.add_audit_partition(date)') IS NOT NULL THEN
                GRANT EXECUTE ON FUNCTION platform.add_audit_partition(date), platform.drop_audit_partition(text) TO codo_host;
            END IF;
            IF to_regprocedure('platform.drop_old_audit_rows(timestamptz)') IS NOT NULL THEN
                GRANT EXECUTE ON FUNCTION platform.drop_old_audit_rows(timestamptz) TO codo_host;
            END IF;
        END $$;
        """;

    private const string LendSql = "GRANT codo_audit TO codo_host";
    private const string TakeBackSql = "REVOKE codo_audit FROM codo_host";
    private const string ExistsSql = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = @name)";

    /// <summary>Makes the roles and the database, where they are not there.</summary>
    /// <param name="superuser">A connection string of the superuser to any database.</param>
    public static async Task Make(string superuser, string database, CancellationToken cancellation = default)
    {
        await using var connection = await Open(superuser, cancellation);
        await Execute(connection, RolesSql, cancellation);
        await using var exists = new NpgsqlCommand(ExistsSql, connection) { Parameters = { new("name", database) } };
        if (await exists.ExecuteScalarAsync(cancellation) is not true) await Execute(connection, $"CREATE DATABASE {database}", cancellation);
    }

    /// <summary>Gives each object to its owner, one by one, so that a start that is cut off has lost nothing; then the host's rights.</summary>
    /// <param name="superuser">A connection string of the superuser to the host's database.</param>
    public static async Task Settle(string superuser, CancellationToken cancellation = default)
    {
        await using var connection = await Open(superuser, cancellation);
        var strays = new List<string>();
        await using (var command = new NpgsqlCommand(StraysSql, connection))
        await using (var reader = await command.ExecuteReaderAsync(cancellation))
            while (await reader.ReadAsync(cancellation)) strays.Add(reader.GetString(0));
        foreach (var stray in strays) await Execute(connection, stray, cancellation);
        await Execute(connection, RightsSql, cancellation);
    }

    /// <summary>
    /// Gives the host the audit owner's rights, which migrations need. The host's role runs them and no superuser does: a trigger in its own schemas would run
    /// with a superuser's rights.
    /// </summary>
    public static async Task Lend(string superuser, CancellationToken cancellation = default)
    {
        await using var connection = await Open(superuser, cancellation);
        await Execute(connection, LendSql, cancellation);
    }

    /// <summary>Takes back what <see cref="Lend"/> gave, also at a start before this one.</summary>
    public static async Task TakeBack(string superuser, CancellationToken cancellation = default)
    {
        await using var connection = await Open(superuser, cancellation);
        await Execute(connection, TakeBackSql, cancellation);
    }

    private static async Task<NpgsqlConnection> Open(string superuser, CancellationToken cancellation)
    {
        // What somebody made in the schema public is not found by name; a lock that somebody's session holds ends in a sentence. What is lost with the power is
        // done again at the next start, so nothing waits for the disk.
        var connection = new NpgsqlConnection(
            new NpgsqlConnectionStringBuilder(superuser)
            {
                Pooling = false,
                SearchPath = "pg_catalog",
                Options = "-c synchronous_commit=off",
                CommandTimeout = 60,
            }.ConnectionString
        );
        await connection.OpenAsync(cancellation);
        return connection;
    }

    private static async Task Execute(NpgsqlConnection connection, string sql, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellation);
    }
}
