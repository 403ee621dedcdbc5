using System.Globalization;
using Dapper;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;

namespace Codo.Platform.Events;

/// <summary>
/// Readiness of the outbox: degraded while there are dead letters, or while a message has been waiting for more than a minute, or for a time from before
/// PostgreSQL's clock was put back.
/// </summary>
public sealed class DeadLetters(NpgsqlDataSource source, IEnumerable<IOutboxReader> readers) : IHealthCheck
{
    /// <summary>The key of the incident that dead letters open; it is over when none is left.</summary>
    public const string Problem = "outbox";

    private const string StateSql = $"""
        SELECT (SELECT count(*) FROM platform.outbox WHERE dead_at IS NOT NULL) AS dead,
            CAST(extract(epoch FROM clock_timestamp() - (SELECT min(at) FROM platform.outbox WHERE dead_at IS NULL)) AS float8) AS oldest,
            (SELECT count(*) FROM platform.outbox WHERE dead_at IS NULL AND {OutboxRelay.IsFromAhead}) AS ahead
        """;

    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(1);

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        var asked = new { OutboxRelay.MostAhead, ScheduledKinds = OutboxRelay.ScheduledKinds(readers) };
        var (dead, oldest, ahead) = await connection.QuerySingleAsync<(long Dead, double? Oldest, long Ahead)>(
            new CommandDefinition(StateSql, asked, cancellationToken: cancellationToken)
        );
        var waits = oldest is { } seconds && seconds > LongestWait.TotalSeconds;
        if (dead == 0 && !waits && ahead == 0)
            return HealthCheckResult.Healthy("delivered");
        return HealthCheckResult.Degraded(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{dead} dead letters (GET /v2/outbox/){(waits ? $", the oldest message has been waiting for {oldest:0} s" : "")}{(ahead > 0
                    ? $", messages that wait for a time from before PostgreSQL's clock was put back: {ahead}" : "")}"
            )
        );
    }
}
