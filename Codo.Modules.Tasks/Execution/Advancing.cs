using Codo.Platform.Dashboard;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Dapper;
using Hangfire;
using Hangfire.Server;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// Moves an order on: begins it when its time has come, opens the groups and batches whose turn it is, takes their lanes for this node, and ends it.
/// Idempotent, and the only place that does so; whatever changes an order leaves a row in <c>tasks.advance</c> and asks for this.
/// </summary>
internal sealed class Advancing(NpgsqlDataSource source, LaneSlots slots, LaneRunner runner, StartCheck check, Outbox outbox, OrderMirror mirror,
    ILogger<Advancing> log)
{
    private const string LockSql = """
        SELECT schedule, begins_at <= clock_timestamp() AS due, broken_en <> '' AS is_broken FROM tasks.scheduler_task_list
            WHERE list_id = @ListId FOR NO KEY UPDATE
        """;

    private const string AccountedSql = """
        DELETE FROM tasks.advance WHERE list_id = @ListId
        """;

    private const string GroupsSql = """
        SELECT g.task_group, g.batches, g.batch_pause, g.max_failures, g.confirm, g.allowed, g.wake_at IS NOT NULL AS pausing,
               COALESCE(g.wake_at <= clock_timestamp(), false) AS pause_over, l.batch, l.state, l.lanes
        FROM tasks.order_group g
        JOIN (SELECT task_group, batch, state, count(*) AS lanes FROM tasks.lane WHERE list_id = @ListId GROUP BY task_group, batch, state) l USING (task_group)
        WHERE g.list_id = @ListId
        """;

    private const string OpenSql = """
        UPDATE tasks.lane SET state = 'ready', since = clock_timestamp() WHERE list_id = @ListId AND task_group = @Group AND batch = @Batch
            AND state = ANY(@From)
        """;

    private const string OpenedSql = """
        UPDATE tasks.order_group SET wake_at = NULL WHERE list_id = @ListId AND task_group = @Group AND wake_at IS NOT NULL
        """;

    private const string PauseSql = """
        UPDATE tasks.order_group SET wake_at = clock_timestamp() + make_interval(secs => batch_pause) WHERE list_id = @ListId AND task_group = @Group
            AND wake_at IS NULL
        """;

    // A lane that is owned counts as running: its owner is about to start the step.
    private const string PressingSql = """
        SELECT DISTINCT CASE WHEN l.state = 'running' THEN 2 ELSE s.task_status END
        FROM tasks.lane l
        CROSS JOIN LATERAL (SELECT i.task_status FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id AND i.task_status <> 3 ORDER BY i.task_level,
            i.sched_id LIMIT 1) s
        WHERE l.list_id = @ListId AND l.task_group = @Group
        """;

    // A lane that pauses before a retry has a step at 2, and waits for no start time.
    private const string MoveTimedSql = """
        UPDATE tasks.lane l SET due_at = o.start_time FROM tasks.scheduler_task_list o WHERE o.list_id = l.list_id AND l.list_id = @ListId
            AND l.state = 'timed' AND l.due_at <> o.start_time
          AND NOT EXISTS (SELECT FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id AND i.task_status = 2)
        """;

    private const string BeginSql = """
        UPDATE tasks.scheduler_task_list SET schedule = 'start' WHERE list_id = @ListId AND schedule = ANY(@From)
        """;

    private const string StatusSql = """
        UPDATE tasks.scheduler_task_list SET status = @Status WHERE list_id = @ListId AND status <> @Status
        """;

    private const string EndSql = """
        UPDATE tasks.scheduler_task_list o SET schedule = 'OK', ended_at = clock_timestamp(),
            status = CASE WHEN EXISTS (SELECT FROM tasks.scheduler_task_info i WHERE i.list_id = o.list_id AND i.task_status <> 3) THEN 4 ELSE 3 END
        WHERE o.list_id = @ListId AND o.schedule = ANY(@From)
        """;

    private const string BreakSql = """
        WITH later AS (
            UPDATE tasks.advance SET at = clock_timestamp() + interval '1 minute' WHERE list_id = @ListId
        ), again AS (
            INSERT INTO tasks.advance (list_id, at) SELECT @ListId, clock_timestamp() + interval '1 minute' WHERE NOT EXISTS (SELECT FROM tasks.advance
                WHERE list_id = @ListId)
        )
        UPDATE tasks.scheduler_task_list SET broken_zh = @Zh, broken_en = @En WHERE list_id = @ListId AND broken_en <> @En RETURNING list_id
        """;

    private const string MendSql = """
        UPDATE tasks.scheduler_task_list SET broken_zh = '', broken_en = '' WHERE list_id = @ListId
        """;

    private readonly Dictionary<long, bool> underWay = [];

    /// <summary>The background job that carries an order's changes between nodes and over a crash. It stands for the order in the dashboard.</summary>
    // A failure here says nothing about the order, for which the mirror makes a new background job. Deleted, it expires; Hangfire keeps failed ones for ever.
    [AutomaticRetry(Attempts = 0, OnAttemptsExceeded = AttemptsExceededAction.Delete)]
    [JobDisplayName("Order {0}")]
    [KeepsFailures]
    public async Task Advance(long listId, PerformContext context)
    {
        await Now(listId);
        await mirror.ShowFromWorker(context.BackgroundJob.Id, listId);
    }

    /// <summary>
    /// The same at once. Calls for an order that is being advanced are folded into one more round: a hundred lanes that end together must not wait for one row
    /// with a hundred connections.
    /// </summary>
    public async Task Now(long listId)
    {
        lock (underWay)
        {
            if (!underWay.TryAdd(listId, false))
            {
                underWay[listId] = true;
                return;
            }
        }
        try
        {
            do await OnceOrBreak(listId);
            while (AskedAgain(listId));
        }
        catch
        {
            // The row in tasks.advance is still there, so the next look tries again.
            lock (underWay) underWay.Remove(listId);
            throw;
        }
    }

    /// <summary>Gives the order's start time to the lanes that wait for it, in the transaction that holds the order's row.</summary>
    public static Task MoveTimed(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId) =>
        connection.ExecuteAsync(MoveTimedSql, new { ListId = listId }, transaction);

    private bool AskedAgain(long listId)
    {
        lock (underWay)
        {
            if (!underWay[listId]) return !underWay.Remove(listId);
            underWay[listId] = false;
            return true;
        }
    }

    /// <summary>Takes lanes of any order that wait for a node with a free slot.</summary>
    public async Task TakeWaiting()
    {
        using var held = new HeldSlots(slots);
        List<OwnedLane> taken;
        await using (var connection = await source.OpenConnectionAsync())
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            taken = await slots.Take(connection, transaction, held, null);
            await transaction.CommitAsync();
        }
        runner.Start(taken, held);
        // What an order shows changes with its lanes.
        foreach (var listId in taken.Select(lane => lane.ListId).Distinct())
        {
            try
            {
                await Now(listId);
            }
            catch (Exception error)
            {
                // Its row in tasks.advance stays; the lanes of other orders have started all the same.
                log.LogWarning(error, "Order {Order} could not be advanced yet", listId);
            }
        }
    }

    private async Task OnceOrBreak(long listId)
    {
        try
        {
            await Once(listId);
        }
        catch (Exception error) when (!DatabaseErrors.IsTransient(error) && error is not OperationCanceledException)
        {
            log.LogError(error, "Order {Order} cannot be advanced; it is set apart and tried again in a minute", listId);
            await Break(listId, OutsideText.Clean(error.Message));
        }
    }

    private async Task Break(long listId, string why)
    {
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        var (zh, en) = ($"订单无法推进：{why}", $"The order cannot be advanced: {why}");
        if (await connection.ExecuteScalarAsync<long?>(BreakSql, new { ListId = listId, Zh = zh, En = en }, transaction) is not null)
            await Outbox.Write(connection, transaction, OrderEvents.Stream(listId), OrderEvents.Broken, new OrderEvents.Brokenness(listId, zh, en));
        await transaction.CommitAsync();
        outbox.Wake();
    }

    private async Task Once(long listId)
    {
        using var held = new HeldSlots(slots);
        List<OwnedLane> taken = [];
        bool changed, mended, refused;
        await using (var connection = await source.OpenConnectionAsync())
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            var order = await connection.QuerySingleOrDefaultAsync<OrderRow>(LockSql, new { ListId = listId }, transaction);
            await connection.ExecuteAsync(AccountedSql, new { ListId = listId }, transaction);
            mended = order is { IsBroken: true };
            var state = order is null ? OrderState.Ended : OrderStates.Read(order.Schedule);
            var isDue = state == OrderState.Ready && order!.Due;
            refused = isDue && !await check.Allows(connection, transaction, listId);
            if (isDue && !refused)
            {
                await connection.ExecuteAsync(BeginSql, new { ListId = listId, From = OrderStates.From(OrderAction.Begin) }, transaction);
                state = OrderState.Start;
            }
            if (mended)
            {
                await connection.ExecuteAsync(MendSql, new { ListId = listId }, transaction);
                await Outbox.Write(connection, transaction, OrderEvents.Stream(listId), OrderEvents.Broken, new OrderEvents.Brokenness(listId, "", ""));
            }
            if (state == OrderState.Start) taken = await Move(connection, transaction, listId, held);
            changed = await OrderEvents.Note(connection, transaction, listId);
            await transaction.CommitAsync();
        }
        runner.Start(taken, held);
        if (changed || mended || refused) outbox.Wake();
        mirror.Wake.Set();
    }

    private async Task<List<OwnedLane>> Move(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId, HeldSlots held)
    {
        var rows = (await connection.QueryAsync<GroupRow>(GroupsSql, new { ListId = listId }, transaction)).AsList();
        var move = Progress.Next(rows.GroupBy(row => row.TaskGroup).Select(Group));
        if (move.Group is not { } group)
        {
            await connection.ExecuteAsync(EndSql, new { ListId = listId, From = OrderStates.From(OrderAction.Finish) }, transaction);
            return [];
        }
        if (move.Open is { } batch)
        {
            await connection.ExecuteAsync(OpenSql, new { ListId = listId, Group = group, Batch = batch, From = LaneStates.From(LaneAction.Open) }, transaction);
            await connection.ExecuteAsync(OpenedSql, new { ListId = listId, Group = group }, transaction);
        }
        else if (rows.Any(row => row.TaskGroup == group && row.PauseOver))
        {
            // Something of the batches before runs again: the pause is counted anew after it.
            await connection.ExecuteAsync(OpenedSql, new { ListId = listId, Group = group }, transaction);
        }
        if (move.StartPause) await connection.ExecuteAsync(PauseSql, new { ListId = listId, Group = group }, transaction);
        // A lane that came to its timed step while somebody moved the time still has the time of before.
        if (rows.Exists(row => LaneStates.Read(row.State) == LaneState.Timed)) await MoveTimed(connection, transaction, listId);
        var taken = await slots.Take(connection, transaction, held, listId);
        var codes = (await connection.QueryAsync<int>(PressingSql, new { ListId = listId, Group = group }, transaction)).ToHashSet();
        var status = StepStates.Pressing.FirstOrDefault(code => codes.Contains((int)code), StepState.Waiting);
        await connection.ExecuteAsync(StatusSql, new { ListId = listId, Status = (short)status }, transaction);
        return taken;
    }

    private static GroupProgress Group(IGrouping<int, GroupRow> rows)
    {
        var group = rows.First();
        return new GroupProgress(
            group.TaskGroup,
            group.Batches,
            group.BatchPause,
            group.MaxFailures,
            group.Confirm,
            group.Allowed,
            group.Pausing,
            group.PauseOver,
            [.. rows.Select(row => new BatchLanes(row.Batch, LaneStates.Read(row.State), (int)row.Lanes))]
        );
    }

    private sealed record OrderRow(string Schedule, bool Due, bool IsBroken);

    private sealed record GroupRow(
        int TaskGroup,
        int Batches,
        int BatchPause,
        int MaxFailures,
        bool Confirm,
        int Allowed,
        bool Pausing,
        bool PauseOver,
        int Batch,
        string State,
        long Lanes
    );
}
