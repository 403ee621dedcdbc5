using Codo.Host.LocalServices;
using Codo.Platform.Processes;
using Dapper;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;

namespace Codo.Host.Api;

/// <summary>The PostgreSQL that this host works on.</summary>
/// <param name="IsPrivate">Whether the host runs it itself.</param>
/// <param name="User">Who a private one runs as; null is the host's own user.</param>
internal sealed record DatabaseServer(bool IsPrivate, PostgresUser? User);

/// <summary>
/// Whether the database is closed to everybody but the host, and the host's own role can do no more than its work. A private PostgreSQL is made so; of another
/// one this says what does not hold.
/// A superuser's role and connections without a password are degraded; an audit that the role could change is a note, because most databases have one role for
/// everything.
/// </summary>
internal sealed class DatabaseRights(NpgsqlDataSource source, IConfiguration configuration, IServiceProvider services) : IHealthCheck
{
    private const string RightsSql = """
        SELECT r.rolname AS role, r.rolsuper AS superuser,
            r.rolsuper OR pg_has_role(c.relowner, 'USAGE') OR pg_has_role(n.nspowner, 'USAGE') OR has_table_privilege(c.oid,
                'UPDATE, DELETE, TRUNCATE') AS changes_audit,
            has_function_privilege('pg_hba_file_rules()', 'EXECUTE') AS sees_rules
        FROM pg_roles r, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.rolname = current_user AND c.oid = to_regclass('platform.audit')
        """;

    private const string TrustSql = """
        SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'
        """;

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            return await Check(cancellationToken);
        }
        catch (Exception error) when (error is NpgsqlException or TimeoutException)
        {
            return HealthCheckResult.Degraded(error.Message);
        }
    }

    private async Task<HealthCheckResult> Check(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var rights = await connection.QuerySingleAsync<Rights>(new CommandDefinition(RightsSql, cancellationToken: cancellation));
        var trusts = rights.SeesRules
            ? await connection.ExecuteScalarAsync<long>(new CommandDefinition(TrustSql, cancellationToken: cancellation)) > 0
            : IsWithoutPassword();
        var server = services.GetService<DatabaseServer>();
        List<string> wrong = [],
            notes = [];
        if (rights.Superuser)
            wrong.Add($"the role {rights.Role} is a superuser: who gets into the database runs programs as PostgreSQL's user");
        if (trusts)
            wrong.Add("PostgreSQL lets connections in without a password (trust)");
        if (rights.ChangesAudit)
            notes.Add($"the role {rights.Role} could change platform.audit");
        if (server is { IsPrivate: true, User: { IsOwn: false } other })
            wrong.Add(
                $"PostgreSQL runs as {other.Name}, and whatever else that user runs could change its files: the user {PostgresUser.OwnName} could not be made"
            );
        if (server is { IsPrivate: true, User: null } && !HostPrivileges.CanSwitchUser)
            notes.Add(
                ($"PostgreSQL runs as {Environment.UserName}, this host's own user, whose commands could change its files; as root Codo gives it a user of "
                    + $"its own")
            );
        var said = string.Join("; ", wrong.Concat(notes));
        return wrong.Count > 0
            ? HealthCheckResult.Degraded(said)
            : HealthCheckResult.Healthy(said.Length > 0 ? said : $"the role {rights.Role} works on its own schemas and adds to the audit, no more");
    }

    // What a client can see of the rule that let it in. A socket's peer is no trust.
    private bool IsWithoutPassword()
    {
        var settings = new NpgsqlConnectionStringBuilder(configuration.GetConnectionString("Postgres"));
        return settings.Host is { Length: > 0 } host
            && host[0] != '/'
            && string.IsNullOrEmpty(settings.Password)
            && string.IsNullOrEmpty(settings.Passfile)
            && string.IsNullOrEmpty(settings.SslCertificate)
            && Environment.GetEnvironmentVariable("PGPASSWORD") is null
            && Environment.GetEnvironmentVariable("PGPASSFILE") is null;
    }

    private sealed record Rights(string Role, bool Superuser, bool ChangesAudit, bool SeesRules);
}
