using System.Collections.Concurrent;
using System.Diagnostics;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>A step that its lane's owner has claimed: the attempt's row is committed, nothing is spawned yet.</summary>
internal sealed record ClaimedStep(
    long SchedId,
    int Attempt,
    string RunId,
    int TaskLevel,
    string TaskName,
    string TaskCmd,
    string TaskArgs,
    string ExecUser,
    string Host,
    int Timeout,
    int Retries,
    int RetryDelay,
    string OnError,
    int Tries,
    string Args,
    byte[]? SecretArgs,
    bool Pty,
    string Interpreter,
    string RunAs,
    string? Traceparent = null
);

/// <summary>Runs the steps of the lanes that this node owns, one after another. A lane costs no thread while its command runs.</summary>
internal sealed class LaneRunner(
    NpgsqlDataSource source,
    Node node,
    LaneSlots slots,
    StepRun stepRun,
    DatabaseThrottle throttle,
    ChangedOrders changed,
    ILogger<LaneRunner> log
)
{
    // Lock the lane first, so that stop/end and the runner serialise on it. Fenced by since: after a commit without an answer, the same node may have claimed
    // the lane again for another runner.
    private const string OwnSql = """
        SELECT o.start_time <= clock_timestamp() AS due, o.start_time, o.args, o.secret_args, o.traceparent
        FROM tasks.lane l JOIN tasks.scheduler_task_list o USING (list_id)
        WHERE l.lane_id = @LaneId AND l.state = 'running' AND l.node = @Node AND l.incarnation = @Incarnation AND l.since = @Since
            FOR NO KEY UPDATE OF l
        """;

    private const string EndAttemptSql = """
        UPDATE tasks.attempt SET ended_at = clock_timestamp(), exit_code = @ExitCode, outcome = @Outcome, cause = @Cause, left_behind = @LeftBehind,
            cpu_ms = COALESCE(@CpuMs, cpu_ms), peak_memory_bytes = COALESCE(@PeakMemoryBytes, peak_memory_bytes), read_bytes = COALESCE(@ReadBytes, read_bytes),
            written_bytes = COALESCE(@WrittenBytes, written_bytes), usage_source = COALESCE(@UsageSource, usage_source)
        WHERE sched_id = @SchedId AND attempt = @Attempt AND ended_at IS NULL
        """;

    private const string EndStepSql = """
        UPDATE tasks.scheduler_task_info SET task_status = @Status, outcome = @Outcome, cause = @Cause WHERE sched_id = @SchedId AND task_status = ANY(@From)
        """;

    private const string NextSql = """
        SELECT sched_id, task_level, task_name, task_cmd, task_args, exec_user, force_host, task_status, timeout, retries, retry_delay, on_error, tries, pty,
            interpreter, run_as,
            node_selector = '' OR EXISTS (SELECT FROM platform.node n WHERE n.name = @Node AND platform.fits(n.labels, node_selector)) AS fits
        FROM tasks.scheduler_task_info WHERE lane_id = @LaneId AND task_status <> 3 ORDER BY task_level, sched_id LIMIT 1
        """;

    private const string ClaimSql = """
        WITH step AS (
            UPDATE tasks.scheduler_task_info SET task_status = 2, outcome = NULL, cause = '', attempts = attempts + 1, tries = tries + 1
            WHERE sched_id = @SchedId AND task_status = ANY(@From) RETURNING sched_id, attempts)
        INSERT INTO tasks.attempt (sched_id, attempt, list_id, lane_id, node, incarnation, run_id, host, exec_user)
        SELECT sched_id, attempts, @ListId, @LaneId, @Node, @Incarnation, @RunId, @Host, @ExecUser FROM step
        RETURNING attempt
        """;

    private const string AdoptSql = """
        SELECT attempt FROM tasks.attempt WHERE sched_id = @SchedId AND ended_at IS NULL AND run_id = @RunId
        """;

    private const string LeaveSql = """
        UPDATE tasks.lane SET state = @State, since = clock_timestamp(), due_at = @DueAt, node = NULL, incarnation = NULL WHERE lane_id = @LaneId
            AND state = ANY(@From)
        """;

    private const string PauseSql = """
        UPDATE tasks.lane SET state = @State, since = clock_timestamp(), due_at = clock_timestamp() + make_interval(secs => @Seconds), node = NULL,
            incarnation = NULL
        WHERE lane_id = @LaneId AND state = ANY(@From)
        """;

    // Shown while it pauses; the claim of the next attempt clears it.
    private const string RetriesSql = """
        UPDATE tasks.scheduler_task_info SET cause = @Cause WHERE sched_id = @SchedId AND task_status = 2
        """;

    private const string ChangedSql = """
        INSERT INTO tasks.advance (list_id) VALUES (@ListId)
        """;

    // By reference: a lane that was stopped and restarted may be here twice for a moment.
    private readonly ConcurrentDictionary<OwnedLane, bool> lanes = new(ReferenceEqualityComparer.Instance);

    /// <summary>Lanes that run here now.</summary>
    public int Running => lanes.Count;

    /// <summary>Whether the lane runs here now.</summary>
    public bool Runs(long laneId) => lanes.Keys.Any(lane => lane.LaneId == laneId);

    public void Start(List<OwnedLane> taken, HeldSlots held)
    {
        held.HandOver();
        foreach (var lane in taken)
        {
            lanes[lane] = true;
            _ = Task.Run(() => Run(lane));
        }
    }

    private async Task Run(OwnedLane lane)
    {
        var began = Stopwatch.GetTimestamp();
        try
        {
            ClaimedStep? step = null;
            StepEnd? end = null;
            await using var hosts = stepRun.Hosts();
            // What has run cannot be run again to learn how it ended, so its end is kept until the database takes it.
            while ((step = await EndAndClaimWhenAnswered(lane, step, end)) is not null)
                end = await stepRun.Run(lane, step, hosts);
        }
        catch (Exception error) when (!throttle.HasGivenUp)
        {
            // Its rows say that it runs here although nothing does: the strays' loop makes it interrupted.
            log.LogError(error, "Lane {Lane} of order {Order} could not be carried on", lane.LaneId, lane.ListId);
        }
        catch (OperationCanceledException)
        {
            log.LogWarning("Lane {Lane} of order {Order}: the host ended before its state was recorded; it is settled later", lane.LaneId, lane.ListId);
        }
        finally
        {
            slots.Release(1);
            lanes.TryRemove(lane, out _);
            StepMetrics.Left(Stopwatch.GetElapsedTime(began));
        }
        changed.Add(lane.ListId);
    }

    private async Task<ClaimedStep?> EndAndClaimWhenAnswered(OwnedLane lane, ClaimedStep? ran, StepEnd? end)
    {
        // One for all repetitions: by it a claim is known again that was committed without an answer.
        var runId = Guid.NewGuid().ToString("N");
        try
        {
            return await throttle.UntilAnswered(() => EndAndClaim(lane, ran, end, runId));
        }
        catch (Exception error) when (ran is not null && DatabaseErrors.IsPermanent(error))
        {
            // What PostgreSQL refuses it would refuse again: the step ends with that as its cause.
            log.LogError(error, "How step {Step} attempt {Attempt} of order {Order} ended is not taken by PostgreSQL", ran.SchedId, ran.Attempt, lane.ListId);
            var refused = StepEnd.Interrupted(
                new Text($"结果无法保存：{error.Message}", $"Its end could not be stored: {error.Message}"),
                end!.LeftBehind is "running" or "unreachable" ? end.LeftBehind : null
            );
            return await throttle.UntilAnswered(() => EndAndClaim(lane, ran, refused, runId));
        }
    }

    private async Task<ClaimedStep?> EndAndClaim(OwnedLane lane, ClaimedStep? ran, StepEnd? end, string runId)
    {
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        var own = await connection.QuerySingleOrDefaultAsync<OwnRow>(OwnSql, lane, transaction);
        if (ran is not null)
            await connection.ExecuteAsync(
                EndAttemptSql,
                new
                {
                    ran.SchedId,
                    ran.Attempt,
                    end!.ExitCode,
                    end.Outcome,
                    end.Cause,
                    end.LeftBehind,
                    CpuMs = StepUsage.Milliseconds(end.Usage),
                    end.Usage?.PeakMemoryBytes,
                    end.Usage?.ReadBytes,
                    end.Usage?.WrittenBytes,
                    UsageSource = end.Usage?.Source,
                },
                transaction
            );
        // Stopped, ended or settled meanwhile: only how the command ended was still to be said, and not even that when the settler has said it.
        var next = own is null ? null : await GoOn(connection, transaction, lane, own, ran, end, runId);
        await transaction.CommitAsync();
        return next;
    }

    private async Task<ClaimedStep?> GoOn(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        OwnedLane lane,
        OwnRow own,
        ClaimedStep? ran,
        StepEnd? end,
        string runId
    )
    {
        var action = ran is null ? StepAction.Succeed : end!.For(ran);
        if (ran is not null && action != StepAction.Retry)
        {
            var status = StepStates.Next(StepState.Running, action)!.Value;
            var outcome = action == StepAction.Ignore ? "ignored" : end!.Outcome;
            await connection.ExecuteAsync(
                EndStepSql,
                new
                {
                    ran.SchedId,
                    Status = (short)status,
                    Outcome = outcome,
                    end!.Cause,
                    From = new[] { (short)StepState.Running },
                },
                transaction
            );
        }
        if (action == StepAction.Retry && RetryPause.Of(ran!) is { TotalSeconds: > 0 } pause)
            return await Pause(connection, transaction, lane, ran!, end!, pause);
        if (action == StepAction.Fail)
            return await Leave(connection, transaction, lane, LaneAction.Fail);
        if (action == StepAction.Interrupt)
            return await Leave(connection, transaction, lane, LaneAction.Interrupt);
        var step = await connection.QuerySingleOrDefaultAsync<NextRow>(NextSql, lane, transaction);
        if (step is null) return await Leave(connection, transaction, lane, LaneAction.Finish);
        var state = (StepState)step.TaskStatus;
        if (state == StepState.Hand) return await Leave(connection, transaction, lane, LaneAction.MeetHand);
        if (state == StepState.Timed && !own.Due) return await Leave(connection, transaction, lane, LaneAction.MeetTimed, own.StartTime);
        if (state == StepState.Failed) return await Leave(connection, transaction, lane, LaneAction.Fail);
        if (state == StepState.Interrupted) return await Leave(connection, transaction, lane, LaneAction.Interrupt);
        // Under an earlier incarnation this node was taken for dead: what it owns is being settled, and the lane is anybody's.
        if (!node.MayStart(OrderWork.WorkName) || node.Incarnation != lane.Incarnation) return await Leave(connection, transaction, lane, LaneAction.GiveBack);
        // The lane is for a node that fits its next step; the others look at once.
        if (!step.Fits)
        {
            await Control.Notify(connection, transaction, "");
            return await Leave(connection, transaction, lane, LaneAction.GiveBack);
        }
        var claimed = new ClaimedStep(
            step.SchedId,
            0,
            runId,
            step.TaskLevel,
            step.TaskName,
            step.TaskCmd,
            step.TaskArgs,
            step.ExecUser,
            step.ForceHost.Length > 0 ? step.ForceHost : lane.Host,
            step.Timeout,
            step.Retries,
            step.RetryDelay,
            step.OnError,
            step.Tries + 1,
            own.Args,
            own.SecretArgs,
            step.Pty,
            step.Interpreter,
            step.RunAs,
            own.Traceparent
        );
        // A commit whose answer was lost is repeated: the step is then claimed already, by this runner, which has not spawned it.
        if (
            state == StepState.Running
            && await connection.QuerySingleOrDefaultAsync<int?>(AdoptSql, new { step.SchedId, RunId = runId }, transaction) is { } adopted
        )
            return claimed with { Attempt = adopted, Tries = step.Tries };
        return claimed with { Attempt = await connection.QuerySingleAsync<int>(ClaimSql, Claim(lane, claimed, state), transaction) };
    }

    // A step that is to be retried is running still, without a command under way; only the lane's owner comes here.
    private static object Claim(OwnedLane lane, ClaimedStep step, StepState state) => new
    {
        step.SchedId,
        lane.ListId,
        lane.LaneId,
        lane.Node,
        lane.Incarnation,
        step.RunId,
        step.Host,
        step.ExecUser,
        From = state == StepState.Running ? [(short)StepState.Running] : StepStates.From(StepAction.Claim),
    };

    // The lane holds no slot while it pauses, and any node may go on with it.
    private static async Task<ClaimedStep?> Pause(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        OwnedLane lane,
        ClaimedStep ran,
        StepEnd end,
        TimeSpan pause
    )
    {
        var state = LaneStates.Next(LaneState.Running, LaneAction.AwaitRetry)!.Value;
        var cause = end.Cause.And(RetryPause.Told(ran, pause));
        await connection.ExecuteAsync(RetriesSql, new { ran.SchedId, Cause = cause }, transaction);
        await connection.ExecuteAsync(
            PauseSql,
            new
            {
                lane.LaneId,
                State = state.Word(),
                Seconds = pause.TotalSeconds,
                From = new[] { LaneState.Running.Word() },
            },
            transaction
        );
        await connection.ExecuteAsync(ChangedSql, lane, transaction);
        return null;
    }

    private static async Task<ClaimedStep?> Leave(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        OwnedLane lane,
        LaneAction action,
        DateTime? dueAt = null
    )
    {
        var state = LaneStates.Next(LaneState.Running, action)!.Value;
        await connection.ExecuteAsync(
            LeaveSql,
            new
            {
                lane.LaneId,
                State = state.Word(),
                DueAt = dueAt,
                From = new[] { LaneState.Running.Word() },
            },
            transaction
        );
        await connection.ExecuteAsync(ChangedSql, lane, transaction);
        return null;
    }

    private sealed record OwnRow(bool Due, DateTime StartTime, string Args, byte[]? SecretArgs, string? Traceparent);

    private sealed record NextRow(
        long SchedId,
        int TaskLevel,
        string TaskName,
        string TaskCmd,
        string TaskArgs,
        string ExecUser,
        string ForceHost,
        short TaskStatus,
        int Timeout,
        int Retries,
        int RetryDelay,
        string OnError,
        int Tries,
        bool Pty,
        string Interpreter,
        string RunAs,
        bool Fits
    );
}
