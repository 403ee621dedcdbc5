using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Platform.Security;

/// <summary>Grants on one object end with it: another that is made under its name later is not theirs.</summary>
public static class ObjectGrants
{
    private const string LockSql = """
        SELECT pg_advisory_xact_lock(hashtextextended('grant ' || @Kind || ':' || @Id, 0))
        """;

    private const string HoldSql = """
        SELECT pg_advisory_xact_lock_shared(hashtextextended('grant ' || @Kind || ':' || @Id, 0))
        """;

    private const string ForgetSql = """
        DELETE FROM accounts.role_grant WHERE kind = @Kind AND object_id = @Id 
            RETURNING grant_id, user_id, team_id, role, kind, object_id, until, by_id, by_name
        """;

    /// <summary>
    /// In the transaction that makes a grant on the object, before it is looked for: whoever deletes the object takes that grant too. Waits for a deletion that
    /// is under way.
    /// </summary>
    public static Task Hold(NpgsqlConnection connection, NpgsqlTransaction transaction, string kind, string id) =>
        connection.ExecuteAsync(HoldSql, new { Kind = kind, Id = id }, transaction);

    /// <summary>In the transaction that deletes the object.</summary>
    public static async Task Forget(NpgsqlConnection connection, NpgsqlTransaction transaction, Caller caller, string kind, string id)
    {
        // A statement of its own: the next one sees the grants that it has waited for.
        await connection.ExecuteAsync(LockSql, new { Kind = kind, Id = id }, transaction);
        foreach (var gone in (await connection.QueryAsync<RoleGrant>(ForgetSql, new { Kind = kind, Id = id }, transaction)).AsList())
            await Audit.Write(connection, transaction, caller, "delete", "grant", $"{gone.GrantId}", before: gone);
    }
}
