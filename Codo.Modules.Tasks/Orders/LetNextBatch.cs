using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// <c>next_batch</c>: lets the next batch of a group begin, whatever it would wait for: a confirmation, the pause, or the threshold that was passed.
/// </summary>
internal static class LetNextBatch
{
    private const string NextSql = """
        SELECT min(l.batch) FROM tasks.lane l WHERE l.list_id = @ListId AND l.task_group = @Group AND l.state = 'waiting'
        HAVING min(l.batch) > 1
        """;

    private const string AllowSql = """
        UPDATE tasks.order_group SET allowed = @Batch WHERE list_id = @ListId AND task_group = @Group AND allowed < @Batch
        """;

    /// <returns>For the audit.</returns>
    public static async Task<object> Apply(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId, int group)
    {
        var next = await connection.QuerySingleOrDefaultAsync<int?>(NextSql, new { ListId = listId, Group = group }, transaction)
            ?? throw Refusal.Conflict("该组没有等待开始的下一批", "No further batch of this group waits");
        await connection.ExecuteAsync(AllowSql, new { ListId = listId, Group = group, Batch = next }, transaction);
        return new { task_group = group, batch = next };
    }
}
