using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// <c>next_batch</c>: lets the next batch of a group begin, whatever it would wait for: a confirmation, the pause, or the threshold that was passed. Refused
/// while the batch that was let begin last is under way: the request may be the same one, sent again.
/// </summary>
internal static class LetNextBatch
{
    private const string NextSql = """
        SELECT min(l.batch) FILTER (WHERE l.state = 'waiting') AS next,
            COALESCE(bool_or(l.batch = g.allowed AND l.state = ANY(@ActiveStates)), false) AS is_under_way
        FROM tasks.lane l JOIN tasks.order_group g USING (list_id, task_group) WHERE l.list_id = @ListId AND l.task_group = @Group
        """;

    private const string AllowSql = """
        UPDATE tasks.order_group SET allowed = @Batch WHERE list_id = @ListId AND task_group = @Group AND allowed < @Batch
        """;

    private static readonly string[] ActiveStates =
    [
        LaneState.Ready.Word(),
        LaneState.Running.Word(),
        LaneState.Hand.Word(),
        LaneState.Timed.Word(),
    ];

    /// <param name="batch">The one that the person means, who may have read the page before somebody else let it begin; null for whichever is next.</param>
    /// <returns>For the audit.</returns>
    public static async Task<object> Apply(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId, int group, int? batch)
    {
        var (next, isUnderWay) = await connection.QuerySingleAsync<(int? Next, bool IsUnderWay)>(
            NextSql,
            new { ListId = listId, Group = group, ActiveStates },
            transaction
        );
        // The first batch needs nobody to let it begin.
        if (next is not > 1) throw Refusal.Conflict("该组没有等待开始的下一批", "No further batch of this group waits");
        if (batch is { } asked && asked != next)
            throw Refusal.Conflict($"等待开始的是第 {next} 批，不是第 {asked} 批", $"Batch {next} is the one that waits, not batch {asked}");
        if (isUnderWay)
            throw Refusal.Conflict("上次放行的批次尚未结束，不能再放行下一批", "The batch that was let begin last is not over: the next one cannot be let begin yet");
        await connection.ExecuteAsync(AllowSql, new { ListId = listId, Group = group, Batch = next.Value }, transaction);
        return new { task_group = group, batch = next.Value };
    }
}
