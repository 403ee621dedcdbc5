using Codo.Platform.Cluster;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// Reads spaces, teams and grants into memory: before the host listens, and after each change, of which a trigger tells on the control channel and
/// <see cref="WatchedState"/> within a second. While PostgreSQL is away the last ones hold.
/// </summary>
internal sealed class RulesReader(
    NpgsqlDataSource source,
    CurrentRules current,
    IEnumerable<OperatorList> operators,
    IConfiguration configuration,
    ILogger<RulesReader> log
) : IDisposable
{
    /// <summary>The columns of <c>accounts.role_grant</c> of which a grant is made.</summary>
    public const string Columns = "grant_id, user_id, team_id, role, space_id, kind, object_id, until, by_id, by_name";

    /// <summary>Changes with every change of them.</summary>
    public const string VersionSql = """
        SELECT CAST(value AS bigint) FROM platform.setting WHERE key = 'accounts.rights'
        """;

    private const string SpacesSql = """
        SELECT space_id, name, description, confirm FROM accounts.space
        """;

    private const string TeamsSql = """
        SELECT team_id, name FROM accounts.team
        """;

    private const string MembersSql = """
        SELECT DISTINCT user_id, team_id FROM accounts.team_member
        """;

    private const string GrantsSql = $"""
        SELECT {Columns} FROM accounts.role_grant ORDER BY grant_id
        """;

    // Of those who have grants, and of teams' members: an order that a team approves names them.
    private const string NamesSql = """
        SELECT p.user_id, coalesce(nullif(p.nickname, ''), p.username) FROM accounts.person p
        WHERE p.user_id = ANY(@Ids) OR EXISTS (SELECT FROM accounts.team_member m WHERE m.user_id = p.user_id)
        """;

    // Written when a space goes of which something is kept.
    private const string FormerSql = """
        SELECT EXISTS (SELECT FROM platform.setting WHERE key = 'accounts.former_spaces')
        """;

    private readonly OperatorList[] lists = [.. operators];
    private readonly SemaphoreSlim one = new(1);
    private long version = -1;

    /// <summary>Set when another node, or this one, has changed something.</summary>
    public WakeSignal Announced { get; } = new();

    /// <summary>Reads what is new; false where nothing was.</summary>
    public async Task<bool> Refresh(CancellationToken cancellation)
    {
        await one.WaitAsync(cancellation);
        try
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            // Read first: what is changed while the rest is read is read again.
            var newest = await connection.ExecuteScalarAsync<long?>(VersionSql) ?? 0;
            if (newest == version) return false;
            // One view of it all: half of a change gives somebody what nobody has granted.
            await using var transaction = await connection.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead, cancellation);
            var grants = (await connection.QueryAsync<RoleGrant>(GrantsSql, transaction: transaction)).AsList();
            var rules = new AccessRules(
                await connection.QueryAsync<Space>(SpacesSql, transaction: transaction),
                await connection.QueryAsync<Team>(TeamsSql, transaction: transaction),
                await connection.QueryAsync<(long, long)>(MembersSql, transaction: transaction),
                grants,
                await DefaultRole.Read(connection, transaction, configuration, lists),
                lists,
                await Names(connection, transaction, grants),
                await connection.ExecuteScalarAsync<bool>(FormerSql, transaction: transaction)
            );
            current.Replace(rules);
            version = newest;
            log.LogDebug("Rights of version {Version}: {Grants} grants", newest, grants.Count);
            return true;
        }
        finally
        {
            one.Release();
        }
    }

    public void Dispose() => one.Dispose();

    private static async Task<Dictionary<long, string>> Names(NpgsqlConnection connection, NpgsqlTransaction transaction, List<RoleGrant> grants) =>
        (
            await connection.QueryAsync<(long Id, string Name)>(
                NamesSql,
                new { Ids = grants.Select(grant => grant.UserId).OfType<long>().Distinct().ToArray() },
                transaction
            )
        ).ToDictionary(row => row.Id, row => row.Name);
}
