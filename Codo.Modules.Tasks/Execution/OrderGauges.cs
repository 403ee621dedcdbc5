using Codo.Platform.Telemetry;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Orders of the whole installation.</summary>
internal sealed class OrderGauges : IGaugeSource
{
    private const string Sql = $"""
        SELECT 'codo.orders' AS name, w.word, CAST(count(*) AS float8) AS value FROM tasks.scheduler_task_list o, LATERAL (SELECT CASE
            WHEN o.schedule = 'new' THEN 'awaits_approval' WHEN o.schedule = 'ready' THEN 'ready' WHEN o.status = 4 THEN 'failed'
            WHEN o.status = 6 AND {Progress.HasInterrupted} THEN 'interrupted' WHEN o.status IN (5, 6) AND {Progress.AtHand} THEN 'awaits_person'
            WHEN {Progress.AwaitsBatch} THEN 'awaits_person' ELSE 'running' END AS word) w
        WHERE o.schedule <> 'OK' GROUP BY w.word
        UNION ALL SELECT 'codo.orders.oldest', w.word, CAST(extract(epoch FROM clock_timestamp() - min(w.since)) AS float8)
            FROM (SELECT 'awaits_approval' AS word, o.create_time AS since FROM tasks.scheduler_task_list o WHERE o.schedule = 'new'
                UNION ALL SELECT CASE l.state WHEN 'hand' THEN 'awaits_person' ELSE l.state END, l.since
                    FROM tasks.scheduler_task_list o JOIN tasks.lane l ON l.list_id = o.list_id
                    WHERE o.schedule = 'start' AND l.state IN ('hand', 'failed', 'interrupted')
                UNION ALL SELECT 'awaits_person', {Progress.BatchWaitsSince} FROM tasks.scheduler_task_list o JOIN tasks.order_group g USING (list_id)
                    WHERE o.schedule = 'start' AND g.confirm AND {Progress.BatchWaits}) w
            GROUP BY w.word
        """;

    public IReadOnlyList<Gauge> Gauges { get; } =
    [
        new("codo.orders", "{order}", "Orders that have not ended, by what they wait for", "state"),
        new("codo.orders.oldest", "s", "How long an order has waited for a person, at most", "state"),
    ];

    public Task<IEnumerable<GaugeValue>> Read(NpgsqlConnection connection, CancellationToken cancellation) =>
        connection.QueryAsync<GaugeValue>(new CommandDefinition(Sql, cancellationToken: cancellation));
}
