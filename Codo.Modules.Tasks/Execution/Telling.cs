using Codo.Platform.Events;
using Dapper;
using Hangfire;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Tells other modules what becomes of an order. What was told is kept in the order's row, so that a crash between a change and its telling loses nothing.</summary>
internal sealed class Telling(NpgsqlDataSource source, IMediator mediator)
{
    // An order that ends without ever having been in trouble is nobody's news, nor is a lane that a person stopped.
    private const string Situation = """
        CASE WHEN o.schedule = 'OK' THEN CASE WHEN o.told IN (0, 9) THEN o.told ELSE 9 END
             WHEN o.schedule = 'new' THEN 1
             WHEN o.schedule = 'start' AND (o.status IN (4, 5) OR o.status = 6 AND EXISTS (SELECT FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state = 'interrupted')) THEN o.status
             ELSE 0 END
        """;

    // The row in tasks.advance stays until the telling is queued.
    private const string NoteSql = $"""
        INSERT INTO tasks.advance (list_id) SELECT o.list_id FROM tasks.scheduler_task_list o WHERE o.list_id = @ListId AND o.told <> {Situation} RETURNING advance_id
        """;

    private const string QueuedSql = $"""
        UPDATE tasks.scheduler_task_list o SET told = {Situation} WHERE o.list_id = @ListId AND o.told <> {Situation}
        """;

    private const string ForgetSql = """
        DELETE FROM tasks.advance WHERE advance_id = @Noted
        """;

    private const string ReadSql = $"""
        SELECT o.list_id, o.task_name, o.task_type, {Situation} AS situation, o.approver_ids, o.watchers,
               ARRAY(SELECT COALESCE((SELECT u.nickname FROM tasks.scheduler_temp_user u WHERE u.temp_id = o.temp_id AND u.user_id = a.id), '')
                FROM unnest(o.approver_ids) WITH ORDINALITY AS a(id, place) ORDER BY a.place) AS approver_names,
               ARRAY(SELECT l.host FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state IN ('failed', 'interrupted') ORDER BY l.lane_id) AS hosts, clock_timestamp() AS now
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
            SELECT line, log_info FROM tasks.scheduler_task_log WHERE sched_id = @SchedId AND attempt = @Attempts ORDER BY line DESC LIMIT 20) n
        """;

    /// <summary>Notes in the transaction that changed the order whether there is something to tell: a number to give to <see cref="Queue"/> after the commit.</summary>
    public static Task<long?> Note(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId) =>
        connection.QuerySingleOrDefaultAsync<long?>(NoteSql, new { ListId = listId }, transaction);

    /// <summary>Queues the telling. A crash in the middle tells twice, which whoever listens must stand, and never not at all.</summary>
    public static async Task Queue(NpgsqlDataSource source, IBackgroundJobClient jobs, long listId, long noted)
    {
        jobs.Enqueue<Telling>("alerts", telling => telling.Tell(listId));
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync(QueuedSql, new { ListId = listId });
        await connection.ExecuteAsync(ForgetSql, new { Noted = noted });
    }

    /// <summary>The background job.</summary>
    [AutomaticRetry(Attempts = 5, DelaysInSeconds = [1, 5, 20, 60, 300])]
    [JobDisplayName("Order {0}: tell of its situation")]
    public async Task Tell(long listId)
    {
        Row? row;
        List<StepRow> steps = [];
        var output = "";
        await using (var connection = await source.OpenConnectionAsync())
        {
            row = await connection.QuerySingleOrDefaultAsync<Row>(ReadSql, new { ListId = listId });
            if (row is null) return;
            if (row.Hosts.Length > 0) steps = (await connection.QueryAsync<StepRow>(StepsSql, new { ListId = listId })).AsList();
            if (steps.Count > 0) output = await connection.ExecuteScalarAsync<string?>(OutputSql, steps[0]) ?? "";
        }
        await mediator.Publish(new OrderSituationChanged(row.ListId, row.TaskName, row.TaskType, Read(row.Situation), row.Now, row.Hosts, [.. row.ApproverIds.Zip(row.ApproverNames, (id, name) => new Approver(id, name))], row.Watchers,
            steps.ConvertAll(step => new StepInTrouble(step.Host, step.Step, step.Outcome, step.Cause, step.ExitCode)), output));
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

        public long[] ApproverIds { get; init; } = [];

        public string[] ApproverNames { get; init; } = [];

        public string[] Watchers { get; init; } = [];

        public string[] Hosts { get; init; } = [];

        public DateTime Now { get; init; }
    }
}
