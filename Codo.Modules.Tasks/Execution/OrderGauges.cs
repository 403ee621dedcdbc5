using Codo.Platform.Telemetry;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Orders of the whole installation.</summary>
internal sealed class OrderGauges : IGaugeSource
{
    private const string Sql = """
        SELECT 'codo.orders' AS name, w.word, CAST(count(*) AS float8) AS value FROM tasks.scheduler_task_list o, LATERAL (SELECT CASE
            WHEN o.schedule = 'new' THEN 'awaits_approval' WHEN o.schedule = 'ready' THEN 'ready' WHEN o.status = 4 THEN 'failed'
            WHEN o.status = 5 THEN 'awaits_person' WHEN o.status = 6 THEN 'interrupted' ELSE 'running' END AS word) w
        WHERE o.schedule <> 'OK' GROUP BY w.word
        UNION ALL SELECT 'codo.orders.oldest', w.word, CAST(extract(epoch FROM clock_timestamp() - min(o.create_time)) AS float8)
            FROM tasks.scheduler_task_list o, LATERAL (SELECT CASE WHEN o.schedule = 'new' THEN 'awaits_approval' WHEN o.status = 4 THEN 'failed'
            WHEN o.status = 5 THEN 'awaits_person' END AS word) w
        WHERE o.schedule <> 'OK' AND w.word IS NOT NULL GROUP BY w.word
        """;

    public IReadOnlyList<Gauge> Gauges { get; } =
    [
        new("codo.orders", "{order}", "Orders that have not ended, by what they wait for", "state"),
        new("codo.orders.oldest", "s", "Age of the oldest order that waits for a person", "state"),
    ];

    public Task<IEnumerable<GaugeValue>> Read(NpgsqlConnection connection) => connection.QueryAsync<GaugeValue>(Sql);
}
