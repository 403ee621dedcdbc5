using Codo.Platform.Cluster;
using Codo.Platform.Telemetry;
using Dapper;
using Npgsql;

namespace Codo.Host.Telemetry;

/// <summary>The outbox and the nodes of the whole installation.</summary>
internal sealed class PlatformGauges : IGaugeSource
{
    private const string Sql = """
        SELECT 'codo.outbox.messages' AS name, CASE WHEN dead_at IS NULL THEN 'waiting' ELSE 'dead' END AS word, CAST(count(*) AS float8) AS value
            FROM platform.outbox GROUP BY 2
        UNION ALL SELECT 'codo.outbox.oldest', '', COALESCE(CAST(extract(epoch FROM clock_timestamp() - min(at)) AS float8), 0)
            FROM platform.outbox WHERE dead_at IS NULL AND at <= clock_timestamp()
        UNION ALL SELECT 'codo.nodes', CASE WHEN stopped_at IS NOT NULL THEN 'stopped'
                WHEN heartbeat_at >= clock_timestamp() - CAST(@Lease AS interval) THEN 'alive' ELSE 'away' END,
            CAST(count(*) AS float8) FROM platform.node GROUP BY 2
        """;

    public IReadOnlyList<Gauge> Gauges { get; } =
    [
        new("codo.outbox.messages", "{message}", "Messages between modules that wait, or were given up", "state"),
        new("codo.outbox.oldest", "s", "Age of the oldest message that waits"),
        new("codo.nodes", "{node}", "Nodes that have a lease, have lost it, or were stopped", "state"),
    ];

    public Task<IEnumerable<GaugeValue>> Read(NpgsqlConnection connection, CancellationToken cancellation) =>
        connection.QueryAsync<GaugeValue>(new CommandDefinition(Sql, new { Node.Lease }, cancellationToken: cancellation));
}
