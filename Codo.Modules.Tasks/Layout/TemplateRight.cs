using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Who may edit a template: a superuser, its users, and its creator for as long as the creator has the operator's right. Ids decide; names are what is shown.
/// </summary>
internal static class TemplateRight
{
    // An imported template knows its creator by name only and has the id 0, which is no one's.
    private const string LockSql = """
        SELECT t.temp_name, (CAST(@IsOperator AS boolean) AND t.creator_id = @UserId AND t.creator_id <> 0) OR EXISTS (
            SELECT FROM tasks.scheduler_temp_user u WHERE u.temp_id = t.temp_id AND u.user_id = @UserId AND u.user_id <> 0) AS may_edit
        FROM tasks.scheduler_temp_list t WHERE t.temp_id = @TempId FOR NO KEY UPDATE OF t
        """;

    /// <summary>Locks the template until the transaction ends, so that two who save at once save one after the other; answers its name.</summary>
    /// <param name="isOperator">Whether the caller has the operator's right.</param>
    /// <exception cref="Refusal">There is no such template, or the caller may not edit it.</exception>
    public static async Task<string> LockForEdit(NpgsqlConnection connection, NpgsqlTransaction transaction, Caller caller, bool isOperator, long tempId)
    {
        var template =
            await connection.QuerySingleOrDefaultAsync<Locked>(
                LockSql,
                new
                {
                    TempId = tempId,
                    caller.UserId,
                    IsOperator = isOperator,
                },
                transaction
            ) ?? throw NoSuchTemplate;
        if (!caller.IsSuperuser && !template.MayEdit)
            throw Refusal.Forbidden(
                $"你不是模板「{template.TempName}」的用户，不能修改它",
                $"You are no user of the template {template.TempName} and may not change it"
            );
        return template.TempName;
    }

    public static Refusal NoSuchTemplate => Refusal.NotFound("模板不存在", "No such template");

    private sealed record Locked(string TempName, bool MayEdit);
}
