using Codo.Platform.Events;
using Codo.Platform.Localization;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Reads what has become of an order, for other modules.</summary>
internal sealed class OrderSituationReader : IOutboxReader
{
    private const string ToldSql = """
        UPDATE tasks.scheduler_task_list SET told = @Situation, told_hosts = @Hosts WHERE list_id = @ListId
        """;

    // One query, so that ids and names are of the same people: what counts depends on the clock.
    private const string StillAskedSql = $"""
        SELECT c.id, c.name FROM tasks.scheduler_task_list o CROSS JOIN LATERAL {OrderApproval.Candidates} c
        WHERE o.list_id = @ListId AND o.schedule = 'new' AND NOT EXISTS (SELECT FROM tasks.approval p WHERE p.list_id = o.list_id
            AND p.user_id = c.id AND p.verdict = 'approve' AND {OrderApproval.Counts}) ORDER BY c.place
        """;

    private const string ReadSql = $"""
        SELECT o.list_id, o.task_name, o.task_type, {OrderEvents.Situation} AS situation, o.told, o.told_hosts, o.approver_ids, o.watchers, o.watcher_ids,
            o.watcher_names, o.creator_id, o.creator, o.space_id,
               ARRAY(SELECT COALESCE((SELECT u.nickname FROM tasks.scheduler_temp_user u WHERE u.temp_id = o.temp_id AND u.user_id = a.id), '')
                FROM unnest(o.approver_ids) WITH ORDINALITY AS a(id, place) ORDER BY a.place) AS approver_names,
               ARRAY(SELECT l.host FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state IN ('failed', 'interrupted') ORDER BY l.lane_id) AS hosts
        FROM tasks.scheduler_task_list o WHERE o.list_id = @ListId
        """;

    // Of each lane that stands, the step at which it does.
    private const string StepsSql = """
        SELECT DISTINCT ON (l.lane_id) l.host, i.sched_id, i.task_name AS step, COALESCE(i.outcome, '') AS outcome, i.cause, i.attempts,
            (SELECT a.exit_code FROM tasks.attempt a WHERE a.sched_id = i.sched_id ORDER BY a.attempt DESC LIMIT 1) AS exit_code
        FROM tasks.lane l JOIN tasks.scheduler_task_info i USING (lane_id)
        WHERE l.list_id = @ListId AND l.state IN ('failed', 'interrupted') AND i.task_status IN (4, 6) ORDER BY l.lane_id, i.task_level, i.sched_id
        """;

    private const string OutputSql = """
        SELECT right(string_agg(n.log_info, E'\n' ORDER BY n.line), 8000) FROM (
            SELECT line, log_info FROM (
                (SELECT line, log_info FROM tasks.log_line WHERE sched_id = @SchedId AND attempt = @Attempts ORDER BY line DESC LIMIT 20)
                UNION ALL
                SELECT line, log_info FROM tasks.sealed_line WHERE sched_id = @SchedId AND attempt = @Attempts AND last_line > (
                    SELECT max(last_line) - 20 FROM tasks.sealed_log WHERE sched_id = @SchedId AND attempt = @Attempts)) both_tables
            ORDER BY line DESC LIMIT 20) n
        """;

    public string Kind => OrderEvents.SituationChanged;

    /// <summary>An order's situation as it is now; null when there is no such order.</summary>
    public static async Task<OrderSituationChanged?> Now(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId, DateTime since) =>
        await connection.QuerySingleOrDefaultAsync<Row>(ReadSql, new { ListId = listId }, transaction) is { } row
            ? await Describe(connection, transaction, row, since)
            : null;

    public async Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var changed = messages[0].Read<OrderEvents.Changed>();
        if (await connection.QuerySingleOrDefaultAsync<Row>(ReadSql, new { changed.ListId }, transaction) is not { } row) return null;
        await connection.ExecuteAsync(ToldSql, new { changed.ListId, row.Situation, Hosts = row.Hosts.Length }, transaction);
        // What became of it and went back in the meantime is told as it is now: whoever listens may have to count it.
        return !changed.Grown && changed.Situation == row.Told && row.Situation == row.Told && row.Hosts.Length <= row.ToldHosts
            ? null
            : await Describe(connection, transaction, row, messages[0].At);
    }

    private static async Task<OrderSituationChanged> Describe(NpgsqlConnection connection, NpgsqlTransaction transaction, Row row, DateTime since)
    {
        var steps = row.Hosts.Length == 0 ? [] : (await connection.QueryAsync<StepRow>(StepsSql, new { row.ListId }, transaction)).AsList();
        var output = steps.Count == 0 ? "" : await connection.ExecuteScalarAsync<string?>(OutputSql, steps[0], transaction) ?? "";
        return new OrderSituationChanged(
            row.ListId,
            row.TaskName,
            row.TaskType,
            Read(row.Situation),
            since,
            row.Hosts,
            OrderPeople.Of(row.ApproverIds, row.ApproverNames, row.WatcherIds, row.WatcherNames, row.CreatorId, row.Creator),
            row.Watchers,
            [.. await connection.QueryAsync<Approver>(StillAskedSql, new { row.ListId }, transaction)],
            steps.ConvertAll(step => new StepInTrouble(step.Host, step.Step, step.Outcome, Causes.Apart(step.Cause), step.ExitCode)),
            output,
            row.SpaceId
        );
    }

    private static OrderSituation Read(int situation) => situation switch
    {
        1 => OrderSituation.AwaitsApproval,
        4 => OrderSituation.Failed,
        5 => OrderSituation.AwaitsPerson,
        6 => OrderSituation.Interrupted,
        9 => OrderSituation.Ended,
        _ => OrderSituation.GoesOn,
    };

    private sealed record StepRow(string Host, long SchedId, string Step, string Outcome, string Cause, int Attempts, int? ExitCode);

    // With properties, because Dapper gives no array to a constructor.
    private sealed record Row
    {
        public long ListId { get; init; }

        public required string TaskName { get; init; }

        public required string TaskType { get; init; }

        public int Situation { get; init; }

        public int Told { get; init; }

        public int ToldHosts { get; init; }

        public long[] ApproverIds { get; init; } = [];

        public string[] ApproverNames { get; init; } = [];

        public string[] Watchers { get; init; } = [];

        public long[] WatcherIds { get; init; } = [];

        public string[] WatcherNames { get; init; } = [];

        public long? CreatorId { get; init; }

        public string Creator { get; init; } = "";

        public long SpaceId { get; init; }

        public string[] Hosts { get; init; } = [];
    }
}

/// <summary>Reads that an order cannot be advanced.</summary>
internal sealed class BrokenOrderReader : IOutboxReader
{
    private const string NameSql = """
        SELECT task_name FROM tasks.scheduler_task_list WHERE list_id = @ListId
        """;

    public string Kind => OrderEvents.Broken;

    public async Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var broken = messages[0].Read<OrderEvents.Brokenness>();
        var name = await connection.ExecuteScalarAsync<string?>(NameSql, new { broken.ListId }, transaction);
        var key = $"order:{broken.ListId}";
        return broken.En.Length == 0
            ? new SystemTroubleOver(key)
            : new SystemTroubleFound(
                key,
                new Text($"订单 {broken.ListId} {name} 的数据无法读取，无法推进", $"Order {broken.ListId} {name} does not read and cannot be advanced"),
                new Text(broken.Zh, broken.En)
            );
    }
}

/// <summary>Reads that an order still awaits approval after an hour.</summary>
internal sealed class ApprovalReminderReader : IOutboxReader
{
    public string Kind => OrderEvents.Reminder;

    public bool IsScheduled => true;

    public async Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var order = await OrderSituationReader.Now(connection, transaction, messages[0].Read<OrderEvents.Reminded>().ListId, messages[0].At.AddHours(-1));
        return order is { Situation: OrderSituation.AwaitsApproval } ? new ApprovalReminder(order) : null;
    }
}

/// <summary>Reads that somebody started an order without its approvals.</summary>
internal sealed class BrokenGlassReader : IOutboxReader
{
    public string Kind => OrderEvents.GlassBroken;

    public async Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var glass = messages[0].Read<OrderEvents.BrokeGlass>();
        var order = await OrderSituationReader.Now(connection, transaction, glass.ListId, messages[0].At);
        return order is null ? null : new OrderBrokeGlass(order, glass.By, glass.Reason);
    }
}

/// <summary>Reads that somebody pushed an order back to its submitter; nothing once it no longer awaits approval.</summary>
internal sealed class PushedBackReader : IOutboxReader
{
    // The order cannot be approved or ended before this is told.
    private const string OrderSql = """
        SELECT task_name, task_type, creator, creator_id, space_id FROM tasks.scheduler_task_list WHERE list_id = @ListId AND schedule = 'new' FOR SHARE
        """;

    public string Kind => OrderEvents.PushedBack;

    public async Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var said = messages[0].Read<OrderEvents.BrokeGlass>();
        var order = await connection.QuerySingleOrDefaultAsync<Row>(OrderSql, new { said.ListId }, transaction);
        return order is null
            ? null
            : new OrderPushedBack(
                said.ListId,
                order.TaskName,
                order.TaskType,
                said.By,
                said.Reason,
                messages[0].At,
                order.Creator,
                order.CreatorId,
                order.SpaceId
            );
    }

    private sealed record Row(string TaskName, string TaskType, string Creator, long? CreatorId, long SpaceId);
}

/// <summary>Reads that an order was ended because nobody approved it in time.</summary>
internal sealed class ExpiredOrderReader : IOutboxReader
{
    internal const string OrderSql = """
        SELECT task_name, task_type, creator, creator_id, space_id FROM tasks.scheduler_task_list WHERE list_id = @ListId
        """;

    public string Kind => OrderEvents.Expired;

    public async Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var said = messages[0].Read<OrderEvents.Expiry>();
        var order = await connection.QuerySingleOrDefaultAsync<Row>(OrderSql, new { said.ListId }, transaction);
        return order is null
            ? null
            : new OrderExpired(said.ListId, order.TaskName, order.TaskType, said.Days, order.Creator, order.CreatorId, order.SpaceId);
    }

    internal sealed record Row(string TaskName, string TaskType, string Creator, long? CreatorId, long SpaceId);
}

/// <summary>Reads that an order never starts: it was rejected, or a high-risk rule blocks it.</summary>
internal sealed class TurnedDownReader(string kind) : IOutboxReader
{
    public string Kind => kind;

    public async Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var said = messages[0].Read<OrderEvents.TurnedDown>();
        var order = await connection.QuerySingleOrDefaultAsync<ExpiredOrderReader.Row>(ExpiredOrderReader.OrderSql, new { said.ListId }, transaction);
        return order is null
            ? null
            : new OrderTurnedDown(
                said.ListId,
                order.TaskName,
                order.TaskType,
                said.By,
                new Text(said.Zh, said.En),
                messages[0].At,
                order.Creator,
                order.CreatorId,
                order.SpaceId
            );
    }
}
