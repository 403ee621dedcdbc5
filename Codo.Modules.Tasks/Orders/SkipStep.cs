using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary><c>skip</c>: counts one step that failed or was interrupted as done; its lane goes on behind it.</summary>
internal static class SkipStep
{
    private const string SkipSql = """
        UPDATE tasks.scheduler_task_info SET task_status = 3, outcome = 'skipped', cause = @By
        WHERE sched_id = (SELECT i.sched_id FROM tasks.scheduler_task_info i
                          WHERE i.lane_id = @LaneId AND i.task_level = @Level AND i.task_status = ANY(@From) AND (CAST(@SchedId AS bigint) IS NULL
                              OR i.sched_id = @SchedId)
                          ORDER BY i.sched_id LIMIT 1)
        RETURNING sched_id
        """;

    // A lane that a person stopped stays so: only a restart takes it up again.
    private const string GoOnSql = """
        UPDATE tasks.lane l SET state = 'ready', since = clock_timestamp()
        WHERE l.lane_id = @LaneId AND l.state = ANY(@From)
          AND NOT EXISTS (SELECT FROM tasks.attempt a WHERE a.lane_id = l.lane_id AND a.ended_at IS NULL)
          AND COALESCE((SELECT i.task_status FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id AND i.task_status <> 3 ORDER BY i.task_level,
              i.sched_id LIMIT 1), 3) NOT IN (4, 6)
        """;

    /// <returns>For the audit.</returns>
    public static async Task<object> Apply(NpgsqlConnection connection, NpgsqlTransaction transaction, Caller caller, LockedLane lane, int level, long? schedId)
    {
        var skipped =
            await connection.QuerySingleOrDefaultAsync<long?>(
                SkipSql,
                new
                {
                    lane.LaneId,
                    Level = level,
                    SchedId = schedId,
                    By = Text.Same(caller.Nickname).Both(),
                    From = StepStates.From(StepAction.Skip),
                },
                transaction
            ) ?? throw Refusal.Conflict("该任务没有失败或中断，不能跳过", "This step has not failed and was not interrupted");
        await connection.ExecuteAsync(GoOnSql, new { lane.LaneId, From = LaneStates.From(LaneAction.Skip) }, transaction);
        return new { sched_id = skipped, lane.TaskGroup, lane.Host };
    }
}
