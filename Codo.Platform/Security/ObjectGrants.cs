using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Platform.Security;

/// <summary>Grants on one object end with it: another that is made under its name later is not theirs.</summary>
public static class ObjectGrants
{
    private const string ForgetSql = """
        DELETE FROM accounts.role_grant WHERE kind = @Kind AND object_id = @Id 
            RETURNING grant_id, user_id, team_id, role, kind, object_id, until, by_id, by_name
        """;

    /// <summary>In the transaction that deletes the object.</summary>
    public static async Task Forget(NpgsqlConnection connection, NpgsqlTransaction transaction, Caller caller, string kind, string id)
    {
        foreach (var gone in (await connection.QueryAsync<RoleGrant>(ForgetSql, new { Kind = kind, Id = id }, transaction)).AsList())
            await Audit.Write(connection, transaction, caller, "delete", "grant", $"{gone.GrantId}", before: gone);
    }
}
