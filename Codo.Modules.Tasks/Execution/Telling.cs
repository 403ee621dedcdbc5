using Codo.Platform.Events;
using Codo.Platform.Http;
using Dapper;
using Hangfire;
using MediatR;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Tells other modules what becomes of an order, from the rows in <c>tasks.news</c>. A crash after the telling tells twice, which whoever listens must stand, and never not at all.</summary>
internal sealed class Telling(NpgsqlDataSource source, IMediator mediator)
{
    // One teller of an order at a time, so that an older situation is not told after a newer one.
    private const string LockSql = """
        SELECT pg_advisory_xact_lock(hashtext('tasks.news'), hashint8(@ListId))
        """;

    private const string NewsSql = """
        SELECT n.news_id, n.at, n.situation, o.told FROM tasks.news n JOIN tasks.scheduler_task_list o USING (list_id) WHERE n.list_id = @ListId ORDER BY n.news_id
        """;

    private const string ToldSql = """
        UPDATE tasks.scheduler_task_list SET told = @Situation WHERE list_id = @ListId
        """;

    private const string ForgetSql = """
        DELETE FROM tasks.news WHERE list_id = @ListId AND news_id <= @Last
        """;

    private const string ReadSql = $"""
        SELECT o.list_id, o.task_name, o.task_type, {News.Situation} AS situation, o.approver_ids, o.watchers,
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
            SELECT line, log_info FROM tasks.scheduler_task_log WHERE sched_id = @SchedId AND attempt = @Attempts ORDER BY line DESC LIMIT 20) n
        """;

    /// <summary>The background job. What fails here stays in the table, and is told again.</summary>
    [AutomaticRetry(Attempts = 5, DelaysInSeconds = [1, 5, 20, 60, 300])]
    [JobDisplayName("Order {0}: tell of its situation")]
    public async Task Tell(long listId)
    {
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await connection.ExecuteAsync(LockSql, new { ListId = listId }, transaction);
        var news = (await connection.QueryAsync<NewsRow>(NewsSql, new { ListId = listId }, transaction)).AsList();
        if (news.Count == 0) return;
        var row = await connection.QuerySingleAsync<Row>(ReadSql, new { ListId = listId }, transaction);
        // What became of it and went back in the meantime is told as it is now: whoever listens may have to count it.
        if (news.Exists(item => item.Situation != item.Told) || row.Situation != news[0].Told) await mediator.Publish(await Describe(connection, transaction, row, news[0].At));
        await connection.ExecuteAsync(ToldSql, new { ListId = listId, row.Situation }, transaction);
        await connection.ExecuteAsync(ForgetSql, new { ListId = listId, Last = news[^1].NewsId }, transaction);
        await transaction.CommitAsync();
    }

    private static async Task<OrderSituationChanged> Describe(NpgsqlConnection connection, NpgsqlTransaction transaction, Row row, DateTime since)
    {
        var steps = row.Hosts.Length == 0 ? [] : (await connection.QueryAsync<StepRow>(StepsSql, new { row.ListId }, transaction)).AsList();
        var output = steps.Count == 0 ? "" : await connection.ExecuteScalarAsync<string?>(OutputSql, steps[0], transaction) ?? "";
        return new OrderSituationChanged(row.ListId, row.TaskName, row.TaskType, Read(row.Situation), since, row.Hosts, [.. row.ApproverIds.Zip(row.ApproverNames, (id, name) => new Approver(id, name))], row.Watchers,
            steps.ConvertAll(step => new StepInTrouble(step.Host, step.Step, step.Outcome, Causes.Apart(step.Cause), step.ExitCode)), output);
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

    private sealed record NewsRow(long NewsId, DateTime At, short Situation, short Told);

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
    }
}

/// <summary>Notes what is to be told of orders, and gets it told: at once after the commit that noted it, and by a sweep for what a crash in between left.</summary>
internal sealed class News(NpgsqlDataSource source, IBackgroundJobClient jobs, ILogger<News> log)
{
    // An order that ends without ever having been in trouble is nobody's news, nor is a lane that a person stopped.
    public const string Situation = """
        CASE WHEN o.schedule = 'OK' THEN CASE WHEN o.told IN (0, 9) THEN o.told ELSE 9 END
             WHEN o.schedule = 'new' THEN 1
             WHEN o.schedule = 'start' AND (o.status IN (4, 5) OR o.status = 6 AND EXISTS (SELECT FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state = 'interrupted')) THEN o.status
             ELSE 0 END
        """;

    private const string NoteSql = $"""
        INSERT INTO tasks.news (list_id, situation) SELECT o.list_id, {Situation} FROM tasks.scheduler_task_list o
        WHERE o.list_id = @ListId AND COALESCE((SELECT n.situation FROM tasks.news n WHERE n.list_id = o.list_id ORDER BY n.news_id DESC LIMIT 1), o.told) <> {Situation}
        """;

    private const string LeftSql = """
        UPDATE tasks.news SET asked_at = clock_timestamp() WHERE asked_at < clock_timestamp() - interval '20 seconds' RETURNING list_id
        """;

    /// <summary>Notes what the order's situation has become, in the transaction that changed it and holds its row. True when it is news: then <see cref="Soon"/> is called after the commit.</summary>
    public static async Task<bool> Note(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId) => await connection.ExecuteAsync(NoteSql, new { ListId = listId }, transaction) > 0;

    public void Soon(long listId)
    {
        try
        {
            jobs.Enqueue<Telling>("alerts", telling => telling.Tell(listId));
        }
        catch (Exception error) when (Failures.IsDatabaseAway(error) || error is BackgroundJobClientException)
        {
            log.LogWarning("What became of order {Order} could not be queued to be told, the sweep does it: {Cause}", listId, error.Message);
        }
    }

    /// <summary>On any node, every few seconds.</summary>
    public async Task Sweep(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        foreach (var listId in (await connection.QueryAsync<long>(LeftSql)).Distinct()) Soon(listId);
    }
}
