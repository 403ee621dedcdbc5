using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>The orders' part of a node: what is due, what is asked of its commands, what a dead node left, and the end of this one.</summary>
internal sealed class OrderWork(
    NpgsqlDataSource source,
    Node node,
    Advancing advancing,
    ChangedOrders changed,
    LaneRunner runner,
    RunningAttempts attempts,
    DatabaseThrottle throttle,
    Recovery recovery,
    OrphanedProcesses orphans,
    RetentionGuard guard,
    StepUsage usage,
    ILogger<OrderWork> log
) : INodeWork, IDisposable
{
    // What was changed a moment ago is being advanced by whoever changed it.
    private const string DueSql = """
        SELECT list_id FROM tasks.advance WHERE at < clock_timestamp() - interval '2 seconds'
        UNION SELECT list_id FROM tasks.scheduler_task_list WHERE schedule = 'ready' AND begins_at <= clock_timestamp() AND broken_en = ''
        UNION SELECT g.list_id FROM tasks.order_group g JOIN tasks.scheduler_task_list o USING (list_id) WHERE g.wake_at <= clock_timestamp()
            AND o.schedule = 'start' AND o.broken_en = ''
        LIMIT 1000
        """;

    // An array, since the planner takes a third of all hosts there ever were for due, and would join them with all.
    private const string ReleaseDueSql = """
        UPDATE tasks.lane SET state = 'ready', since = clock_timestamp(), due_at = NULL
        WHERE lane_id = ANY(ARRAY(SELECT lane_id FROM tasks.lane WHERE due_at <= clock_timestamp() ORDER BY lane_id FOR UPDATE SKIP LOCKED))
            AND state = ANY(@From)
        """;

    // An order that has ended in the pause between two batches keeps the end of that pause.
    private const string SoonSql = """
        SELECT EXISTS (SELECT FROM tasks.scheduler_task_list WHERE schedule = 'start') OR EXISTS (SELECT FROM tasks.advance), CAST(extract(epoch FROM LEAST(
            (SELECT min(begins_at) FROM tasks.scheduler_task_list WHERE schedule = 'ready'),
            (SELECT min(due_at) FROM tasks.lane WHERE due_at IS NOT NULL),
            (SELECT min(g.wake_at) FROM tasks.order_group g JOIN tasks.scheduler_task_list o USING (list_id) WHERE g.wake_at IS NOT NULL
                AND o.schedule = 'start')) - clock_timestamp()) AS float8)
        """;

    private const string AskedSql = """
        SELECT sched_id, attempt, stop_requested FROM tasks.attempt WHERE node = @Name AND ended_at IS NULL AND stop_requested IS NOT NULL
        """;

    // After PostgreSQL's clock was put back, a pause that was running would last longer by that step: restart it from now. A lane that waits for a start time
    // given by a person keeps it; only a lane in a retry pause has a step with task_status 2.
    private const string RebaseTimesSql = """
        UPDATE tasks.lane l SET due_at = clock_timestamp() + (l.due_at - l.since), since = clock_timestamp()
        WHERE l.due_at > clock_timestamp() AND l.due_at < 'infinity' AND l.since > clock_timestamp() + CAST(@MaxSkew AS interval) AND l.since < 'infinity'
            AND l.state = 'timed' AND EXISTS (SELECT FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id AND i.task_status = 2);
        UPDATE tasks.order_group SET wake_at = clock_timestamp() + make_interval(secs => batch_pause)
            WHERE wake_at > clock_timestamp() + make_interval(secs => batch_pause) + CAST(@MaxSkew AS interval) AND wake_at < 'infinity';
        UPDATE tasks.advance SET at = clock_timestamp()
            WHERE at > clock_timestamp() + interval '1 minute' + CAST(@MaxSkew AS interval) AND at < 'infinity'
        """;

    private const string ForgetKeysSql = """
        DELETE FROM tasks.idempotency WHERE at < clock_timestamp() - interval '24 hours'
        """;

    private const string RunningSql = """
        SELECT a.list_id, i.task_name, a.host, a.node, a.started_at, a.attempt, COALESCE(a.process_group, 0) AS process_group
        FROM tasks.attempt a JOIN tasks.scheduler_task_info i USING (sched_id) WHERE a.ended_at IS NULL ORDER BY a.started_at LIMIT 1000
        """;

    // Seconds that a poll waits at most.
    private const double LongestTimer = 6;

    private static readonly TimeSpan KillTime = TimeSpan.FromSeconds(8);
    private readonly CancellationTokenSource ended = new();
    private long lookedAs;
    private int timer;

    /// <summary>The work's name in the cluster.</summary>
    public const string WorkName = "orders";

    public string Name => WorkName;

    public WakeSignal Wake { get; } = new();

    public Task Recover(string node, long incarnation, CancellationToken cancellation) => recovery.Recover(node, incarnation, cancellation);

    /// <summary>Recovers rows that name this node although nothing runs for them, and restarts pauses that a clock put back would prolong.</summary>
    public async Task RecoverStrays(CancellationToken cancellation)
    {
        if (!node.HoldsLease) return;
        await IndependentTasks.RunAll(cancellation, RebaseTimes, () => recovery.RecoverStrays(node.Name, node.Incarnation, runner.Runs));

        async Task RebaseTimes()
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            await using var transaction = await connection.BeginTransactionAsync(cancellation);
            // A row that somebody holds is left to a later round.
            await LockWait.Limit(connection, transaction, TimeSpan.FromSeconds(1));
            await connection.ExecuteAsync(RebaseTimesSql, new { DatabaseClock.MaxSkew }, transaction);
            await transaction.CommitAsync(cancellation);
        }
    }

    /// <summary>Forgets idempotency keys that are past their day.</summary>
    public async Task Clean(CancellationToken cancellation)
    {
        if (await guard.Allows(cancellation) is null) return;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(ForgetKeysSql);
    }

    public async Task<bool> Poll(CancellationToken cancellation)
    {
        // Another incarnation's rows were settled, or are about to be; what runs under them is killed, whoever runs it.
        foreach (var attempt in attempts.All.Where(attempt => attempt.Lane.Incarnation != node.Incarnation)) attempt.Ask(StopReason.Settled);
        List<long> due;
        double? soon;
        bool isOpen;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
        {
            foreach (var asked in await connection.QueryAsync<Asked>(AskedSql, new { node.Name }))
                attempts.Ask(asked.SchedId, asked.Attempt, asked.StopRequested);
            if (node.MayStart(WorkName))
                await connection.ExecuteAsync(ReleaseDueSql, new { From = LaneStates.From(LaneAction.Due) });
            due = node.MayStart(WorkName) ? (await connection.QueryAsync<long>(DueSql)).AsList() : [];
            (isOpen, soon) = await connection.QuerySingleAsync<(bool, double?)>(SoonSql);
        }
        var incarnation = node.Incarnation;
        if (lookedAs != incarnation)
        {
            await orphans.EndLocal(node.Name);
            // Last: what a database error has cut short is done again by the next poll.
            lookedAs = incarnation;
        }
        // After an outage a thousand orders may be due, and a kill must not wait for them.
        foreach (var listId in due) changed.Add(listId);
        await advancing.TakeWaiting();
        await usage.Store(attempts.All);
        if (soon is { } seconds) PollAgainIn(seconds);
        return isOpen || soon < LongestTimer || attempts.All.Count > 0;
    }

    public async Task Drain(CancellationToken graceOver)
    {
        await ended.CancelAsync();
        await Until(() => runner.Running == 0, graceOver);
        foreach (var attempt in attempts.All) attempt.Ask(StopReason.Shutdown);
        using var killed = new CancellationTokenSource(KillTime);
        await Until(() => runner.Running == 0, killed.Token);
        throttle.GiveUp();
    }

    public async Task<IReadOnlyList<RunningWork>> Running(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var rows = await connection.QueryAsync<RunningRow>(RunningSql);
        return
        [
            .. rows.Select(row => new RunningWork(
                $"Order #{row.ListId} {row.TaskName} @ {row.Host}",
                row.Node,
                row.StartedAt,
                $"attempt {row.Attempt}, process group {row.ProcessGroup}",
                OrderMirror.LinkOf(row.ListId)
            )),
        ];
    }

    public void Dispose() => ended.Dispose();

    // What is due between two polls is not to wait for the second.
    private void PollAgainIn(double seconds)
    {
        if (seconds is < 0 or > LongestTimer || Interlocked.Exchange(ref timer, 1) == 1) return;
        _ = Task.Run(async () =>
        {
            try
            {
                await Task.Delay(TimeSpan.FromSeconds(seconds) + TimeSpan.FromMilliseconds(2), ended.Token);
                Interlocked.Exchange(ref timer, 0);
                Wake.Set();
            }
            catch (OperationCanceledException)
            {
                // The host ends; what is due is another node's, or the next start's.
                log.LogDebug("The orders' timer ends with the host");
            }
        }, CancellationToken.None);
    }

    private static async Task Until(Func<bool> holds, CancellationToken atMost)
    {
        while (!holds() && !atMost.IsCancellationRequested) await Task.Delay(20, CancellationToken.None);
    }

    private sealed record Asked(long SchedId, int Attempt, string StopRequested);

    private sealed record RunningRow(long ListId, string TaskName, string Host, string Node, DateTime StartedAt, int Attempt, int ProcessGroup);
}
