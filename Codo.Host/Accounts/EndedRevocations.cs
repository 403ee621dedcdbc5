using Codo.Platform.Cluster;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// Drops revocations that are past the end of their token, which is refused as expired: each sign-out leaves one. With them goes the record of sign-ins that
/// are over, and in the end that of access tokens.
/// </summary>
internal sealed class EndedRevocations(NpgsqlDataSource source, RetentionGuard guard, NodeSettings settings)
{
    // A clock that is ahead by less than the guard notices takes a token for expired that is good once it is put back.
    private const string DropSql = """
        DELETE FROM accounts.revocation WHERE until < clock_timestamp() - interval '2 days'
        """;

    private const string DropSessionsSql = """
        DELETE FROM accounts.session WHERE expires_at < clock_timestamp()
        """;

    // As long as the audit tells what was done with one. Its owner is shown it for a month.
    private const string DropTokensSql = """
        DELETE FROM accounts.access_token WHERE coalesce(revoked_at, expires_at) < clock_timestamp() - make_interval(days => @Days)
        """;

    public async Task Drop(CancellationToken cancellation)
    {
        if (await guard.Allows(cancellation) is null) return;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(DropSql);
        await connection.ExecuteAsync(DropSessionsSql);
        await connection.ExecuteAsync(DropTokensSql, new { Days = settings.AuditRetentionDays });
    }
}
