using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Dashboard;
using Dapper;
using Hangfire;
using Hangfire.Common;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// Shows each order as one background job of the dashboard, from its acceptance to its end. The tables are the truth; this is a mirror beside them, with a
/// bounded rate, and nothing waits for it.
/// </summary>
internal sealed class OrderMirror(
    NpgsqlDataSource source,
    BackgroundMirror mirror,
    IBackgroundJobClient jobs,
    Node node,
    TimeProvider time,
    ILogger<OrderMirror> log
) : DashboardMirror<OrderMirror.OutdatedRow>(source, mirror, node, time, log)
{
    /// <summary>
    /// In SQL, of an order <c>o</c>: how it is shown; one that has ended, or has not begun, by its <c>schedule</c> alone. A failure, an interruption, a hand
    /// step and a batch that waits are for a person, and nothing else of an order changes how it is shown. Its status alone does not tell: it is 6 also where
    /// a person stopped a host.
    /// </summary>
    public const string ShownState = $"""
        CASE WHEN o.schedule <> 'start' THEN o.schedule WHEN o.status = 4 THEN 'start 4'
            WHEN o.status = 6 AND {Progress.HasInterrupted} THEN '{AtInterruption}' WHEN o.status IN (5, 6) AND {Progress.AtHand} THEN '{AtHand}'
            WHEN {Progress.AwaitsBatch} THEN '{AtBatch}' ELSE 'start' END
        """;

    public const string AtBatch = "start batch", AtHand = "start 5", AtInterruption = "start 6";

    private const string NewSql = """
        INSERT INTO tasks.dashboard_job (list_id) VALUES (@ListId)
        """;

    // An order that was made just now gets its background job from whoever wakes it. Each is looked up by itself: without statistics of the few that are
    // shown the planner would read all orders.
    private const string OutdatedSql = $"""
        SELECT d.list_id, d.background_job FROM tasks.dashboard_job d
            LEFT JOIN LATERAL (SELECT list_id, schedule, status FROM tasks.scheduler_task_list WHERE list_id = d.list_id LIMIT 1) o ON true
        WHERE d.state IS DISTINCT FROM {ShownState} AND (d.background_job IS NOT NULL OR d.looked_at < clock_timestamp() - interval '1 second')
        ORDER BY d.looked_at LIMIT @Batch FOR UPDATE OF d SKIP LOCKED
        """;

    private const string FactsSql = $"""
        SELECT o.list_id, o.task_name, o.schedule, o.status, o.create_time, o.begins_at, o.ended_at, {ShownState} AS shown, d.background_job,
            (SELECT min(a.started_at) FROM tasks.scheduler_task_info i JOIN tasks.attempt a USING (sched_id) WHERE i.list_id = o.list_id) AS started_at,
            coalesce((SELECT string_agg(f.line, E'\n') FROM (
                SELECT i.exec_ip || ' ' || i.task_name || ': ' || CASE WHEN i.outcome IS NULL THEN 'not run' ELSE i.outcome END AS line
                    FROM tasks.scheduler_task_info i
                WHERE o.schedule = 'OK' AND i.list_id = o.list_id AND i.task_status <> 3 ORDER BY i.outcome IS NULL, i.sched_id LIMIT 20) f), '') AS failures
        FROM tasks.scheduler_task_list o LEFT JOIN tasks.dashboard_job d USING (list_id) WHERE o.list_id = @ListId
        """;

    // Whoever makes a background job holds the row until it is noted down; a worker that is quicker waits here.
    private const string MadeSql = """
        UPDATE tasks.dashboard_job SET background_job = @Id WHERE list_id = @ListId AND (background_job IS NULL OR background_job = @Id)
        """;

    private const string ShownSql = """
        UPDATE tasks.dashboard_job SET state = @Shown, looked_at = clock_timestamp() WHERE list_id = @ListId
        """;

    private const string LookedAtSql = """
        UPDATE tasks.dashboard_job SET looked_at = clock_timestamp() WHERE list_id = @ListId
        """;

    private const string SettledSql = """
        DELETE FROM tasks.dashboard_job WHERE list_id = @ListId
        """;

    // The order keeps the number, with which it is shown.
    private const string EndedSql = """
        WITH settled AS (DELETE FROM tasks.dashboard_job WHERE list_id = @ListId RETURNING list_id, background_job)
        UPDATE tasks.scheduler_task_list o SET dashboard_job = s.background_job FROM settled s WHERE o.list_id = s.list_id AND s.background_job IS NOT NULL
        """;

    private const string YoungSql = """
        SELECT EXISTS (SELECT FROM tasks.dashboard_job WHERE background_job IS NULL)
        """;

    private const string LostSql = """
        SELECT CAST(j.id AS text) FROM hangfire.job j WHERE j.statename IN ('Waiting', 'Running') AND j.invocationdata::text LIKE '%Codo.Modules.Tasks%'
            AND j.createdat < clock_timestamp() - interval '5 minutes'
            AND NOT EXISTS (SELECT FROM tasks.dashboard_job d WHERE d.background_job = CAST(j.id AS text)) LIMIT 100
        """;

    protected override string Outdated => OutdatedSql;

    protected override string LookedAt => LookedAtSql;

    protected override string Lost => LostSql;

    /// <summary>The order's page in the console.</summary>
    public static string LinkOf(long listId) => string.Create(CultureInfo.InvariantCulture, $"/orders/{listId}");

    /// <summary>In the transaction that makes the order.</summary>
    public static Task Note(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId) =>
        connection.ExecuteAsync(NewSql, new { ListId = listId }, transaction);

    /// <summary>Shows the order in the background job that has just advanced it, out of the hands of its worker.</summary>
    public async Task ShowFromWorker(string backgroundJob, long listId)
    {
        await using var connection = await Source.OpenConnectionAsync();
        var facts = await connection.QuerySingleOrDefaultAsync<Facts>(FactsSql, new { ListId = listId });
        // It may have been quicker than whoever queued it is with noting it down.
        var isOwn =
            facts is not null
            && (
                facts.BackgroundJob == backgroundJob
                || (facts.BackgroundJob is null && await connection.ExecuteAsync(MadeSql, new { ListId = listId, Id = backgroundJob }) > 0)
            );
        if (facts is null || !isOwn)
            Mirror.ShowFromWorker(
                backgroundJob,
                DashboardState.Deleted("another background job shows this order, or it has ended", Now)
            );
        else if (Mirror.ShowFromWorker(backgroundJob, StateOf(facts)))
            await Shown(connection, null, facts);
        Wake.Set();
    }

    protected override Task<bool> HasMore(NpgsqlConnection connection) => connection.ExecuteScalarAsync<bool>(YoungSql);

    protected override async Task Show(NpgsqlConnection connection, NpgsqlTransaction transaction, OutdatedRow row)
    {
        if (await connection.QuerySingleOrDefaultAsync<Facts>(FactsSql, new { row.ListId }, transaction) is not { } facts)
        {
            await connection.ExecuteAsync(SettledSql, new { row.ListId }, transaction);
            return;
        }
        if (row.BackgroundJob is null)
        {
            // Write to the row first: if it cannot be updated, no background job is made. Otherwise every round would make another one.
            await connection.ExecuteAsync(LookedAtSql, new { row.ListId }, transaction);
            var made = jobs.Create(Job.FromExpression<Advancing>(advancing => advancing.Advance(row.ListId, null!)), StateOf(facts));
            await connection.ExecuteAsync(MadeSql, new { row.ListId, Id = made }, transaction);
            await transaction.SaveAsync(OneRow);
            await Shown(connection, transaction, facts);
            return;
        }
        await Move(
            row.BackgroundJob,
            StateOf(facts),
            $"order {row.ListId}",
            () => Shown(connection, transaction, facts),
            () => connection.ExecuteAsync(LookedAtSql, new { row.ListId }, transaction),
            () => connection.ExecuteAsync(SettledSql, new { row.ListId }, transaction)
        );
    }

    private static Task Shown(NpgsqlConnection connection, NpgsqlTransaction? transaction, Facts facts) =>
        connection.ExecuteAsync(facts.State == OrderState.Ended ? EndedSql : ShownSql, new { facts.ListId, facts.Shown }, transaction);

    private static DashboardState StateOf(Facts facts)
    {
        var link = LinkOf(facts.ListId);
        var ended = facts.EndedAt ?? facts.CreateTime;
        return facts.State switch
        {
            OrderState.New => DashboardState.Waiting(link, "awaits approval"),
            OrderState.Ready => DashboardState.Waiting(
                link,
                string.Create(CultureInfo.InvariantCulture, $"begins at {facts.BeginsAt:yyyy-MM-dd HH:mm:ss} UTC")
            ),
            OrderState.Ended when facts.Status == StepState.Done => DashboardState.Succeeded(
                link,
                (facts.StartedAt ?? ended) - facts.CreateTime,
                ended - (facts.StartedAt ?? ended),
                facts.TaskName,
                ended
            ),
            OrderState.Ended when facts.StartedAt is null => DashboardState.Deleted("ended before anything of it ran", ended),
            OrderState.Ended => DashboardState.Failed(link, "order", "not every step succeeded", facts.Failures, ended),
            _ when facts.Shown == AtHand => DashboardState.Waiting(link, "a step waits for a person"),
            _ when facts.Shown == AtBatch => DashboardState.Waiting(link, "a batch waits for a person"),
            _ => DashboardState.Running(
                link,
                facts.StartedAt ?? facts.CreateTime,
                "",
                facts.Status == StepState.Failed ? "a step has failed and waits for a person"
                    : facts.Shown == AtInterruption ? "a host was interrupted and waits for a person"
                    : ""
            ),
        };
    }

    internal sealed record OutdatedRow(long ListId, string? BackgroundJob);

    private sealed record Facts(
        long ListId,
        string TaskName,
        string Schedule,
        StepState Status,
        DateTime CreateTime,
        DateTime? BeginsAt,
        DateTime? EndedAt,
        string Shown,
        string? BackgroundJob,
        DateTime? StartedAt,
        string Failures
    )
    {
        public OrderState State => OrderStates.Read(Schedule);
    }
}
