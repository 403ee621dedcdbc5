using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Who may name an execute-user in a step, or as a bastion, and change it: superusers, and those whom its <c>users</c> name; everybody with the operator's
/// right where they name nobody.
/// </summary>
internal static class ExecuteUserRight
{
    private const string ClosedSql = """
        SELECT u.alias_user FROM tasks.scheduler_execute_user u
        WHERE u.alias_user = ANY(@Aliases) AND EXISTS (SELECT FROM tasks.scheduler_execute_user_right r WHERE r.exec_user_id = u.id)
            AND NOT EXISTS (SELECT FROM tasks.scheduler_execute_user_right r WHERE r.exec_user_id = u.id AND r.user_id = @UserId)
        ORDER BY u.alias_user LIMIT 1
        """;

    private const string UsersSql = """
        SELECT user_id || ',,,' || nickname FROM tasks.scheduler_execute_user_right WHERE exec_user_id = @Id ORDER BY place
        """;

    private const string ForgetSql = """
        DELETE FROM tasks.scheduler_execute_user_right WHERE exec_user_id = @Id
        """;

    private const string KeepSql = """
        INSERT INTO tasks.scheduler_execute_user_right (exec_user_id, user_id, nickname, place)
        SELECT @Id, u.user_id, u.nickname, u.place FROM unnest(CAST(@Ids AS bigint[]), CAST(@Nicknames AS text[])) WITH ORDINALITY AS u(user_id, nickname,
            place)
        ON CONFLICT (exec_user_id, user_id) DO NOTHING
        """;

    /// <exception cref="Refusal">One of them is closed to the caller; the text names it.</exception>
    public static async Task Demand(NpgsqlConnection connection, NpgsqlTransaction transaction, Caller caller, params string[] aliases)
    {
        if (caller.IsSuperuser || aliases.Length == 0) return;
        if (await connection.ExecuteScalarAsync<string?>(ClosedSql, new { Aliases = aliases, caller.UserId }, transaction) is { } closed)
            throw Refusal.Forbidden($"执行用户 {closed} 只有它的 users 中的人可以使用", $"The execute-user {closed} is for the people in its users alone");
    }

    /// <summary>Those who may name it, each <c>{user_id},,,{nickname}</c>.</summary>
    public static async Task<IReadOnlyList<string>> Users(NpgsqlConnection connection, NpgsqlTransaction transaction, long id) =>
        (await connection.QueryAsync<string>(UsersSql, new { Id = id }, transaction)).AsList();

    /// <summary>Puts others in their place.</summary>
    public static async Task Replace(NpgsqlConnection connection, NpgsqlTransaction transaction, long id, IEnumerable<(long Id, string Nickname)> users)
    {
        var all = users.ToList();
        await connection.ExecuteAsync(ForgetSql, new { Id = id }, transaction);
        await connection.ExecuteAsync(
            KeepSql,
            new
            {
                Id = id,
                Ids = all.Select(user => user.Id).ToArray(),
                Nicknames = all.Select(user => user.Nickname).ToArray(),
            },
            transaction
        );
    }
}
