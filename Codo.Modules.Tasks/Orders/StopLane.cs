using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary><c>stop_one</c>: kills what runs in a lane; what is left of it is 6, and no later group waits for it.</summary>
internal static class StopLane
{
    private const string LaneSql = """
        UPDATE tasks.lane SET state = 'stopped', since = clock_timestamp(), due_at = NULL, node = NULL, incarnation = NULL WHERE lane_id = @LaneId
            AND state = ANY(@From)
        """;

    private const string KillSql = """
        UPDATE tasks.attempt SET stop_requested = 'stopped' WHERE lane_id = @LaneId AND ended_at IS NULL
        """;

    private const string StepsSql = """
        UPDATE tasks.scheduler_task_info SET task_status = 6, outcome = 'stopped', cause = @By WHERE lane_id = @LaneId AND task_status = ANY(@From)
        """;

    /// <returns>For the audit.</returns>
    public static async Task<object> Apply(NpgsqlConnection connection, NpgsqlTransaction transaction, Caller caller, LockedLane lane)
    {
        if (await connection.ExecuteAsync(LaneSql, new { lane.LaneId, From = LaneStates.From(LaneAction.Stop) }, transaction) == 0)
            throw Refusal.Conflict("该主机的任务已完成或已终止", "This host is done or stopped already");
        var killed = await connection.ExecuteAsync(KillSql, lane, transaction);
        await connection.ExecuteAsync(
            StepsSql,
            new
            {
                lane.LaneId,
                By = Text.Same(caller.Nickname).Both(),
                From = StepStates.From(StepAction.Stop),
            },
            transaction
        );
        return new
        {
            lane.TaskGroup,
            lane.Host,
            killed,
        };
    }
}
