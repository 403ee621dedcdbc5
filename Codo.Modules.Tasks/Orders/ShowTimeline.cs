using System.Globalization;
using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>When the steps and batches of an order ran, what it waited for, and who did what to it.</summary>
internal static class ShowTimeline
{
    // More would be no picture.
    private const int MostStretches = 2000, MostEvents = 1000;

    internal sealed record Query(long? ListId) : IRequest<Result>;

    /// <param name="Data">By their beginning.</param>
    /// <param name="Partial">There are more stretches or events than are answered.</param>
    internal sealed record Result(
        TimelineOrder Order,
        IReadOnlyList<TimelineStretch> Data,
        IReadOnlyList<TimelineWait> Waits,
        IReadOnlyList<TimelineEvent> Events,
        bool Partial
    ) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.ListId).NotNull().Refuse("订单ID不能为空", "list_id is required");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const string OrderSql = """
            SELECT create_time, begins_at, ended_at, schedule, clock_timestamp() AS now FROM tasks.scheduler_task_list WHERE list_id = @ListId
            """;

        // Attempts of one step and batch that overlap, or follow within a second, are one stretch.
        private const string StretchesSql = """
            WITH runs AS (
                SELECT l.task_group, l.batch, l.host, i.step, i.task_name, i.trigger, a.lane_id, a.sched_id, a.attempt, a.started_at, a.ended_at, a.outcome
                FROM (SELECT sched_id, lane_id, task_name, trigger,
                        CAST(row_number() OVER (PARTITION BY lane_id ORDER BY task_level, sched_id) AS int) AS step
                      FROM tasks.scheduler_task_info WHERE list_id = @ListId) i
                JOIN tasks.lane l USING (lane_id) JOIN tasks.attempt a ON a.sched_id = i.sched_id),
            marked AS (
                SELECT *, COALESCE(started_at > max(COALESCE(ended_at, 'infinity')) OVER (PARTITION BY task_group, batch, step ORDER BY started_at, sched_id,
                    attempt ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) + interval '1 second', true) AS begins FROM runs),
            numbered AS (
                SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY task_group, batch, step ORDER BY started_at, sched_id, attempt) AS number
                FROM marked)
            SELECT task_group, batch, step, min(task_name) AS task_name, min(trigger) AS trigger, min(started_at) AS from_time,
                CASE WHEN bool_and(ended_at IS NOT NULL) THEN max(ended_at) END AS to_time, min(ended_at) AS first_end,
                CAST(count(DISTINCT lane_id) AS int) AS hosts, CAST(count(*) AS int) AS attempts, CAST(count(*) FILTER (WHERE attempt > 1) AS int) AS repeated,
                CAST(count(*) FILTER (WHERE outcome = 'done') AS int) AS done, CAST(count(*) FILTER (WHERE ended_at IS NULL) AS int) AS running,
                (array_agg(host ORDER BY COALESCE(ended_at, clock_timestamp()) - started_at DESC))[1] AS slowest_host
            FROM numbered GROUP BY task_group, batch, step, number ORDER BY from_time, task_group, batch, step LIMIT @Most
            """;

        // Lanes that stand at a step; and the next batch of a group of which nothing runs, which waits since the batch before it stood.
        private const string StandingSql = """
            SELECT l.task_group, l.batch, l.state, min(l.since) AS since, min(i.step) AS step, min(i.task_name) AS task_name, bool_or(g.confirm) AS confirms
            FROM tasks.lane l
            JOIN tasks.order_group g USING (list_id, task_group)
            JOIN tasks.scheduler_task_list o USING (list_id)
            CROSS JOIN LATERAL (
                SELECT s.step, s.task_name FROM (
                    SELECT task_name, task_status, CAST(row_number() OVER (ORDER BY task_level, sched_id) AS int) AS step
                    FROM tasks.scheduler_task_info WHERE lane_id = l.lane_id) s
                WHERE s.task_status <> 3 ORDER BY s.step LIMIT 1) i
            WHERE l.list_id = @ListId AND o.schedule = 'start' AND l.state IN ('failed', 'interrupted', 'hand', 'timed')
            GROUP BY l.task_group, l.batch, l.state
            UNION ALL
            SELECT g.task_group, w.batch, 'waiting', w.since, 1, '', g.confirm
            FROM tasks.order_group g
            JOIN tasks.scheduler_task_list o USING (list_id)
            CROSS JOIN LATERAL (
                SELECT min(batch) FILTER (WHERE state = 'waiting') AS batch, max(since) FILTER (WHERE state <> 'waiting') AS since,
                    bool_or(state IN ('ready', 'running')) AS goes_on
                FROM tasks.lane WHERE list_id = g.list_id AND task_group = g.task_group) w
            WHERE g.list_id = @ListId AND o.schedule = 'start' AND w.batch > 1 AND w.since IS NOT NULL AND NOT w.goes_on
            ORDER BY since, task_group, batch LIMIT 200
            """;

        private const string EventsSql = """
            SELECT at, nickname, user_id, action, CAST(after AS text) AS after FROM platform.audit WHERE kind = 'order' AND object_id = @Id
            ORDER BY audit_id LIMIT @Most
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var id = query.ListId!.Value;
            if (!await OrderAccess.Sees(connection, access, id)) throw OrderAccess.NoSuchOrder;
            var order = await connection.QuerySingleAsync<TimelineOrder>(new CommandDefinition(OrderSql, query, cancellationToken: cancellationToken));
            var stretches = (
                await connection.QueryAsync<TimelineStretch>(
                    new CommandDefinition(StretchesSql, new { query.ListId, Most = MostStretches + 1 }, cancellationToken: cancellationToken)
                )
            ).AsList();
            var standing = await connection.QueryAsync<TimelineStanding>(new CommandDefinition(StandingSql, query, cancellationToken: cancellationToken));
            var rows = (
                await connection.QueryAsync<EventRow>(
                    new CommandDefinition(
                        EventsSql,
                        new { Id = id.ToString(CultureInfo.InvariantCulture), Most = MostEvents + 1 },
                        cancellationToken: cancellationToken
                    )
                )
            ).AsList();
            var partial = stretches.Count > MostStretches || rows.Count > MostEvents;
            if (stretches.Count > MostStretches) stretches.RemoveRange(MostStretches, stretches.Count - MostStretches);
            List<TimelineEvent> events =
            [
                .. rows.Take(MostEvents)
                    .Select(row => new TimelineEvent(row.At, row.Nickname, row.UserId, row.Action, row.After is null ? null : JsonNode.Parse(row.After))),
            ];
            return new Result(order, stretches, OrderTimeline.Waits(order, stretches, events, standing.AsList()), events, partial);
        }

        private sealed record EventRow(DateTime At, string Nickname, long UserId, string Action, string? After);
    }
}
