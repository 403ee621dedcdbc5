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
               ARRAY(SELECT l.host FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state IN ('failed', 'interrupted') ORDER BY l.lane_id) AS hosts, clock_timestamp() AS now
        FROM tasks.scheduler_task_list o WHERE o.list_id = @ListId
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
        await using (var connection = await source.OpenConnectionAsync())
            row = await connection.QuerySingleOrDefaultAsync<Row>(ReadSql, new { ListId = listId });
        if (row is null) return;
        await mediator.Publish(new OrderSituationChanged(row.ListId, row.TaskName, row.TaskType, Read(row.Situation), row.Now, row.Hosts, row.ApproverIds, row.Watchers));
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

    // With properties, because Dapper gives no array to a constructor.
    private sealed record Row
    {
        public long ListId { get; init; }

        public required string TaskName { get; init; }

        public required string TaskType { get; init; }

        public int Situation { get; init; }

        public long[] ApproverIds { get; init; } = [];

        public string[] Watchers { get; init; } = [];

        public string[] Hosts { get; init; } = [];

        public DateTime Now { get; init; }
    }
}
