using Codo.Platform.Telemetry;
using Dapper;
using Npgsql;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>Incidents that are not resolved, and deliveries on their way.</summary>
internal sealed class AlertGauges : IGaugeSource
{
    private const string Sql = """
        SELECT 'codo.incidents' AS name, state AS word, CAST(count(*) AS float8) AS value FROM alerts.task_monitor WHERE state <> 'resolved' GROUP BY state
        UNION ALL SELECT 'codo.deliveries', state, CAST(count(*) AS float8) FROM alerts.delivery WHERE state IN ('due', 'sending', 'held') GROUP BY state
        """;

    public IReadOnlyList<Gauge> Gauges { get; } =
    [
        new("codo.incidents", "{incident}", "Incidents that are not resolved", "state"),
        new("codo.deliveries", "{delivery}", "Messages to channels that are not sent yet", "state"),
    ];

    public Task<IEnumerable<GaugeValue>> Read(NpgsqlConnection connection, CancellationToken cancellation) =>
        connection.QueryAsync<GaugeValue>(new CommandDefinition(Sql, cancellationToken: cancellation));
}
