using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// <c>restart</c> and <c>restart_failed</c>: a lane runs again from a level, or from one step of it, on, each step with a new attempt, once nothing is left of
/// the old ones.
/// </summary>
internal static class RestartLane
{
    // Hosts with their reasons in the audit; the answer has them all.
    private const int MostNamed = 20;

    // Of lanes that are about to be restarted, and of no others: the same as FailedSql where no host is named. A kill that is under way lets no lane restart.
    private const string OrphansSql = $"""
        SELECT {OrphanedProcess.Columns}, a.stop_requested IS NOT NULL AS unwanted
        FROM tasks.attempt a JOIN tasks.lane l USING (lane_id) JOIN tasks.scheduler_task_list o ON o.list_id = l.list_id
            LEFT JOIN platform.node n ON n.name = a.node
        WHERE l.list_id = @ListId AND l.task_group = @Group AND o.schedule = 'start' AND (CAST(@Host AS text) IS NULL OR l.host = @Host)
          AND a.ended_at IS NOT NULL AND a.left_behind IN ('running', 'unreachable') AND l.state = ANY(@From)
          AND (@IncludeStopped OR l.state <> 'stopped')
          AND (CAST(@Host AS text) IS NOT NULL OR (SELECT i.task_status FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id
              AND i.task_status <> 3 ORDER BY i.task_level, i.sched_id LIMIT 1) IN (4, 6))
          AND NOT EXISTS (SELECT FROM tasks.attempt u WHERE u.lane_id = l.lane_id AND u.ended_at IS NULL)
        """;

    // Without its lock: killing takes seconds.
    private const string UnlockedSql = """
        SELECT l.lane_id, l.task_group, l.host, l.state FROM tasks.lane l JOIN tasks.scheduler_task_list o ON o.list_id = l.list_id
        WHERE l.list_id = @ListId AND l.task_group = @Group AND l.host = @Host AND o.schedule = 'start'
        """;

    private const string LeftSql = """
        SELECT host FROM tasks.attempt WHERE lane_id = @LaneId AND ended_at IS NOT NULL AND left_behind IN ('running', 'unreachable') LIMIT 1
        """;

    // A person has decided to go on all the same; the next restart is not to ask again for the same command.
    private const string ForgetSql = """
        UPDATE tasks.attempt SET left_behind = NULL, cause = CASE WHEN cause = '' THEN @Forced ELSE cause || E'\x1F' || @Forced END
            WHERE lane_id = @LaneId AND ended_at IS NOT NULL AND left_behind IN ('running', 'unreachable')
        """;

    private const string RunningSql = """
        SELECT EXISTS (SELECT FROM tasks.attempt WHERE lane_id = @LaneId AND ended_at IS NULL)
        """;

    private const string StepsSql = """
        SELECT sched_id, task_level, task_status, trigger FROM tasks.scheduler_task_info WHERE lane_id = @LaneId ORDER BY task_level, sched_id
        """;

    // Steps run by level, then by id: several may share a level, and without a step the whole level is meant.
    private const string SkipSql = """
        UPDATE tasks.scheduler_task_info SET task_status = 3, outcome = 'skipped', cause = @By WHERE lane_id = @LaneId
            AND (task_level, sched_id) < (@Level, COALESCE(CAST(@SchedId AS bigint), 0)) AND task_status = ANY(@From)
        """;

    // A stop has made 6 of what waited for its time.
    private const string AgainSql = """
        UPDATE tasks.scheduler_task_info i SET task_status = CASE WHEN i.trigger = 'hand' THEN 5
                WHEN i.trigger = 'timed' AND (i.task_status = 7 OR o.start_time > clock_timestamp()) THEN 7 ELSE 1 END,
            outcome = NULL, cause = '', tries = 0
        FROM tasks.scheduler_task_list o
        WHERE o.list_id = i.list_id AND i.lane_id = @LaneId AND (i.task_level, i.sched_id) >= (@Level, COALESCE(CAST(@SchedId AS bigint), 0))
        """;

    // A lane that was stopped before it began anything is opened when its group's and batch's turn comes, as if nobody had stopped it.
    private const string LaneSql = """
        UPDATE tasks.lane l SET since = clock_timestamp(), due_at = NULL, state = CASE WHEN l.state = 'stopped'
            AND NOT EXISTS (SELECT FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id AND i.attempts > 0) THEN 'waiting' ELSE 'ready' END
        WHERE l.lane_id = @LaneId AND l.state = ANY(@From)
        """;

    private const string FailedSql = """
        SELECT l.lane_id, l.task_group, l.host, l.state, s.task_level, s.sched_id FROM tasks.lane l
        CROSS JOIN LATERAL (SELECT i.task_level, i.sched_id, i.task_status FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id
            AND i.task_status <> 3 ORDER BY i.task_level, i.sched_id LIMIT 1) s
        WHERE l.list_id = @ListId AND l.task_group = @Group AND l.state = ANY(@From) AND (@IncludeStopped OR l.state <> 'stopped') AND s.task_status IN (4,
            6) ORDER BY l.lane_id FOR NO KEY UPDATE OF l
        """;

    /// <summary>
    /// Kills what interrupted attempts left on the hosts that are to be restarted, and records what came of it. For somebody who may restart; for others, and
    /// where nothing is to be restarted, it does nothing.
    /// </summary>
    /// <exception cref="Refusal">The lane of a <c>restart</c> does not run again from there: then nothing is killed either.</exception>
    public static async Task EndOrphans(NpgsqlDataSource source, OrphanedProcesses orphans, Access access, InterveneInOrder.Command command)
    {
        var isOne = command.HandType == "restart";
        var asked = new
        {
            ListId = command.ListId!.Value,
            Group = command.TaskGroup!.Value,
            Host = isOne ? command.ExecIp : null,
            From = LaneStates.From(LaneAction.Restart),
            IncludeStopped = isOne || command.IncludeStopped == true,
        };
        List<OrphanedProcess> left;
        await using (var connection = await source.OpenConnectionAsync())
        {
            if (await OrderAccess.Find(connection, asked.ListId) is not { } order || !await access.May(Verbs.Approve, order)) return;
            if (isOne && await connection.QuerySingleOrDefaultAsync<LockedLane>(UnlockedSql, asked) is { } lane)
                await Demand(connection, null, lane, command.TaskLevel ?? 0, command.SchedulerId);
            left = (await connection.QueryAsync<OrphanedProcess>(OrphansSql, asked)).AsList();
        }
        await Task.WhenAll(left.Select(async each => await orphans.Say(each, await orphans.End(each))));
    }

    /// <param name="schedId">The step of that level from which on it runs again; null for the level's first.</param>
    /// <returns>For the audit.</returns>
    public static async Task<object> One(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        Caller caller,
        LockedLane lane,
        int level,
        long? schedId,
        bool force
    )
    {
        await Demand(connection, transaction, lane, level, schedId);
        if (!force && await connection.QuerySingleOrDefaultAsync<string?>(LeftSql, lane, transaction) is { } host)
            throw Refusal.Conflict(
                $"上次中断的命令在 {host} 上可能仍在运行且无法终止；确认后可用 force 强制重新执行",
                $"What is left of an interrupted command may still run on {host} and could not be killed; force restarts all the same"
            );
        if (force)
            await connection.ExecuteAsync(
                ForgetSql,
                new { lane.LaneId, Forced = new Text($"{caller.Nickname} 强制重新执行", $"{caller.Nickname} forced a restart").Both() },
                transaction
            );
        // What has not run before that level is left out. A step that pauses before its retry has failed: it counts as running, but nothing of this lane runs,
        // as was asked above.
        await connection.ExecuteAsync(
            SkipSql,
            new
            {
                lane.LaneId,
                Level = level,
                SchedId = schedId,
                By = Text.Same(caller.Nickname).Both(),
                From = StepStates.From(StepAction.Skip).Append((short)StepState.Waiting).Append((short)StepState.Running).ToArray(),
            },
            transaction
        );
        await connection.ExecuteAsync(AgainSql, new { lane.LaneId, Level = level, SchedId = schedId }, transaction);
        await connection.ExecuteAsync(LaneSql, new { lane.LaneId, From = LaneStates.From(LaneAction.Restart) }, transaction);
        return new
        {
            lane.TaskGroup,
            lane.Host,
            level,
            sched_id = schedId,
            force,
        };
    }

    /// <param name="includeStopped">Whether lanes that a person stopped are restarted as well.</param>
    /// <returns>For the audit, and the hosts that could not be restarted.</returns>
    /// <exception cref="Refusal">No lane has failed, or none of those that have can be restarted.</exception>
    public static async Task<(object Done, IReadOnlyList<InterveneInOrder.NotRestarted> NotRestarted)> Failed(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        Caller caller,
        long listId,
        int group,
        bool force,
        bool includeStopped
    )
    {
        var lanes = (
            await connection.QueryAsync<FailedRow>(
                FailedSql,
                new
                {
                    ListId = listId,
                    Group = group,
                    From = LaneStates.From(LaneAction.Restart),
                    IncludeStopped = includeStopped,
                },
                transaction
            )
        ).AsList();
        if (lanes.Count == 0)
            throw Refusal.Conflict(
                "该组没有失败或中断的主机（人工终止的主机需要 include_stopped）",
                "No host of this group has failed or was interrupted (hosts that a person stopped need include_stopped)"
            );
        var left = new List<(string Host, Refusal Why)>();
        foreach (var lane in lanes)
        {
            try
            {
                await One(
                    connection,
                    transaction,
                    caller,
                    new LockedLane(lane.LaneId, lane.TaskGroup, lane.Host, lane.State),
                    lane.TaskLevel,
                    lane.SchedId,
                    force
                );
            }
            catch (Refusal refusal)
            {
                // A lane is refused before anything of it is written: one host that cannot be asked keeps no other from going on.
                left.Add((lane.Host, refusal));
            }
        }
        if (left.Count == lanes.Count) throw left[0].Why;
        var done = new
        {
            group,
            hosts = lanes.Select(lane => lane.Host).Where(host => !left.Exists(one => one.Host == host)),
            force,
            include_stopped = includeStopped,
            not_restarted_count = left.Count,
            not_restarted = left.Take(MostNamed).Select(one => new { one.Host, why_zh = one.Why.Text.Zh, why_en = one.Why.Text.En }),
        };
        return (done, left.ConvertAll(one => new InterveneInOrder.NotRestarted(one.Host, one.Why.Text)));
    }

    /// <exception cref="Refusal">The lane does not run again from there, whatever is left of it on its hosts.</exception>
    private static async Task Demand(NpgsqlConnection connection, NpgsqlTransaction? transaction, LockedLane lane, int level, long? schedId)
    {
        if (LaneStates.Next(lane.Stands, LaneAction.Restart) is null || await connection.ExecuteScalarAsync<bool>(RunningSql, lane, transaction))
            throw Refusal.Conflict($"主机 {lane.Host} 上有任务正在执行或还未开始", $"On {lane.Host} a step runs, or nothing has begun yet");
        var steps = (await connection.QueryAsync<StepRow>(StepsSql, lane, transaction)).AsList();
        if (!steps.Exists(step => step.TaskLevel >= level)) throw Refusal.NotFound("没有这个级别的任务", "There is no step of that level or a higher one");
        if (schedId is { } first && !steps.Exists(step => step.SchedId == first && step.TaskLevel == level))
            throw Refusal.NotFound("该主机的这个级别没有这个任务（scheduler_id）", "This host has no step of that level with this scheduler_id");
        if (
            steps.Exists(step =>
                (step.TaskLevel, step.SchedId).CompareTo((level, schedId ?? 0)) < 0 && (StepState)step.TaskStatus is StepState.Hand or StepState.Timed
            )
        )
            throw Refusal.Conflict("前面还有等待人工或等待时间的任务", "An earlier step waits for a person or for its time");
    }

    private sealed record StepRow(long SchedId, int TaskLevel, short TaskStatus, string Trigger);

    private sealed record FailedRow(long LaneId, int TaskGroup, string Host, string State, int TaskLevel, long SchedId);
}
