using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary><c>execute</c>: lets one step go that waits for a person.</summary>
internal static class ReleaseStep
{
    private const string LaneSql = """
        SELECT l.lane_id FROM tasks.lane l JOIN tasks.scheduler_task_info i USING (lane_id) WHERE l.list_id = @ListId
            AND i.sched_id = @SchedId FOR NO KEY UPDATE OF l
        """;

    private const string ReleaseSql = """
        UPDATE tasks.scheduler_task_info SET task_status = 1, outcome = NULL, cause = @By WHERE sched_id = @SchedId AND task_status = ANY(@From)
        """;

    /// <returns>For the audit.</returns>
    public static async Task<object> Apply(NpgsqlConnection connection, NpgsqlTransaction transaction, Caller caller, long listId, long schedId)
    {
        var lane = await connection.QuerySingleOrDefaultAsync<long?>(LaneSql, new { ListId = listId, SchedId = schedId }, transaction)
            ?? throw Refusal.NotFound("订单中没有这个任务", "The order has no such step");
        if (
            await connection.ExecuteAsync(
                ReleaseSql,
                new
                {
                    SchedId = schedId,
                    By = Text.Same(caller.Nickname).Both(),
                    From = StepStates.From(StepAction.Release),
                },
                transaction
            ) == 0
        )
            throw Refusal.Conflict("该任务不在等待人工干预", "This step does not wait for a person");
        await Intervention.LetGo(connection, transaction, [lane]);
        return new { sched_id = schedId };
    }
}
