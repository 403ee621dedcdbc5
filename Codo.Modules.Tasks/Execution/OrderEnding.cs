using Codo.Platform.Cluster;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Ends an order for good, in the transaction that holds its row: what runs is killed, what has not run never will.</summary>
internal static class OrderEnding
{
    // First of all: from here on no step is claimed, because a claim asks for a lane that is still its owner's.
    private const string EndSql = """
        UPDATE tasks.scheduler_task_list SET schedule = 'OK', ended_at = clock_timestamp() WHERE list_id = @ListId AND schedule = ANY(@From)
        """;

    private const string LanesSql = """
        UPDATE tasks.lane SET state = 'ended', since = clock_timestamp(), due_at = NULL, node = NULL, incarnation = NULL WHERE list_id = @ListId
            AND state = ANY(@From)
        """;

    private const string KillSql = """
        UPDATE tasks.attempt SET stop_requested = 'ended'
        WHERE ended_at IS NULL AND lane_id IN (SELECT lane_id FROM tasks.lane WHERE list_id = @ListId) RETURNING node
        """;

    private const string StepsSql = """
        UPDATE tasks.scheduler_task_info SET task_status = 6, outcome = @Outcome, cause = @Cause WHERE list_id = @ListId AND task_status = ANY(@From)
        """;

    private const string StatusSql = """
        UPDATE tasks.scheduler_task_list SET status = CASE WHEN EXISTS (SELECT FROM tasks.scheduler_task_info i WHERE i.list_id = @ListId
            AND i.task_status <> 3) THEN 4 ELSE 3 END
        WHERE list_id = @ListId
        """;

    /// <param name="outcome">Of the steps that were not done: <c>ended</c> or <c>rejected</c>.</param>
    /// <param name="cause">By whom, or why.</param>
    /// <returns>False when it has ended already.</returns>
    public static async Task<bool> End(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId, string outcome, Text cause)
    {
        var asked = new { ListId = listId };
        if (await connection.ExecuteAsync(EndSql, new { ListId = listId, From = OrderStates.From(OrderAction.End) }, transaction) == 0) return false;
        await connection.ExecuteAsync(LanesSql, new { ListId = listId, From = LaneStates.From(LaneAction.End) }, transaction);
        var nodes = await connection.QueryAsync<string>(KillSql, asked, transaction);
        await connection.ExecuteAsync(
            StepsSql,
            new
            {
                ListId = listId,
                Outcome = outcome,
                Cause = cause.Both(),
                From = StepStates.From(StepAction.Stop),
            },
            transaction
        );
        await connection.ExecuteAsync(StatusSql, asked, transaction);
        foreach (var node in nodes.Distinct()) await Control.Notify(connection, transaction, node);
        return true;
    }
}
