using Dapper;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>
/// Alerts that no channel took: an incident of its own, which nobody can be sent. It shows in the log and in the host's readiness, until a message gets through
/// again.
/// </summary>
internal sealed class Undeliverable(NpgsqlDataSource source, TimeProvider time, ILogger<Undeliverable> log) : IHealthCheck
{
    private const string RaiseSql = """
        INSERT INTO alerts.task_monitor (call_info, call_status, ctime, source, kind, subject, fingerprint, last_time, title_zh, title_en, detail_zh, detail_en)
        VALUES ('ID-' || @Incident || ' 任务-alerts 类型-codo', 2, @Now, 'codo', 'undeliverable', 'alerts', 'codo:undeliverable', @Now,
            '告警无法送达', 'Alerts could not be delivered', '最近一条：事件 ' || @Incident, 'The last one: incident ' || @Incident)
        ON CONFLICT (fingerprint) WHERE state <> 'resolved' DO UPDATE SET count = alerts.task_monitor.count + 1, last_time = @Now,
            detail_zh = excluded.detail_zh, detail_en = excluded.detail_en
        """;

    private const string MarkSql = """
        UPDATE alerts.task_monitor SET call_status = 2 WHERE id = @Incident
        """;

    private const string LockSql = """
        SELECT id FROM alerts.task_monitor WHERE id = ANY(@Incidents) ORDER BY id FOR UPDATE
        """;

    private const string AllFailedSql = """
        SELECT NOT EXISTS (SELECT 1 FROM alerts.delivery WHERE incident_id = @Incident AND round = @Round AND state <> 'failed')
            AND NOT (@HasNoIncident AND EXISTS (SELECT 1 FROM alerts.delivery WHERE incident_id = @Incident AND round > @Round))
        """;

    private const string OverSql = """
        UPDATE alerts.task_monitor SET state = 'resolved', ending = 'recovered', resolver = 'Codo', resolved_at = @Now
            WHERE fingerprint = 'codo:undeliverable' AND state = ANY(@From)
        """;

    private const string OpenSql = """
        SELECT id, count FROM alerts.task_monitor WHERE fingerprint = 'codo:undeliverable' AND state <> 'resolved'
        """;

    private const string ChannelsSql = """
        SELECT count(*) FROM alerts.channel WHERE enabled
        """;

    /// <summary>Marks, in the check's data, that there is no channel: a state of the installation, of which a dead man's switch says nothing.</summary>
    internal const string NoChannel = "no_channel";

    /// <summary>No channel took this incident's message.</summary>
    public async Task Raise(NpgsqlConnection connection, NpgsqlTransaction transaction, long incident)
    {
        await connection.ExecuteAsync(RaiseSql, new { Incident = incident, Now = time.GetUtcNow().UtcDateTime }, transaction);
        await connection.ExecuteAsync(MarkSql, new { Incident = incident }, transaction);
        log.LogError("Incident {Id} could not be delivered by any channel", incident);
    }

    /// <summary>Messages were given up: what no other channel has taken, or may still take, is undeliverable.</summary>
    /// <param name="hasNoIncident">
    /// As <see cref="Channels.Outcome.HasNoIncident"/>: if a later round exists, it has notified people in the new space, so this is no delivery failure.
    /// </param>
    public async Task GivenUp(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        IReadOnlyList<GivenUp> messages,
        bool hasNoIncident = false
    )
    {
        await Lock(connection, transaction, messages);
        foreach (var message in messages.Where(message => message.IncidentId is not null).Distinct())
            if (await connection.ExecuteScalarAsync<bool>(AllFailedSql, new
            {
                Incident = message.IncidentId,
                message.Round,
                HasNoIncident = hasNoIncident,
            }, transaction))
                await Raise(connection, transaction, message.IncidentId!.Value);
    }

    /// <summary>
    /// Locks the incidents of messages, sorted, so that concurrent transactions cannot deadlock. Two channels that give up the last messages of one incident at
    /// once serialise here: otherwise neither would see the other's message as failed. The incident of what is undeliverable is locked after all others.
    /// </summary>
    public static Task Lock(NpgsqlConnection connection, NpgsqlTransaction transaction, IEnumerable<GivenUp> messages) =>
        connection.ExecuteAsync(LockSql, new { Incidents = Ids(messages) }, transaction);

    /// <summary>The incidents of messages.</summary>
    public static long[] Ids(IEnumerable<GivenUp> messages) =>
        [.. messages.Where(message => message.IncidentId is not null).Select(message => message.IncidentId!.Value).Distinct()];

    /// <summary>A message got through.</summary>
    public Task Over(NpgsqlConnection connection, NpgsqlTransaction? transaction = null) =>
        connection.ExecuteAsync(OverSql, new { Now = time.GetUtcNow().UtcDateTime, From = IncidentStates.From(IncidentAction.Recover) }, transaction);

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            if (await connection.QuerySingleOrDefaultAsync<Row>(OpenSql) is { } open)
                return HealthCheckResult.Degraded($"{open.Count} alerts could not be delivered by any channel: incident {open.Id}");
            return await connection.ExecuteScalarAsync<long>(ChannelsSql) > 0
                ? HealthCheckResult.Healthy("alerts are delivered")
                : HealthCheckResult.Degraded(
                    "no channel is set up and enabled: nobody is told when something fails (docs/alerts.md)",
                    data: new Dictionary<string, object> { [NoChannel] = true }
                );
        }
        catch (Exception error)
        {
            return HealthCheckResult.Degraded(error.Message);
        }
    }

    private sealed record Row(long Id, int Count);
}

/// <summary>A message that no try is left for; without an incident it was a digest.</summary>
internal sealed record GivenUp(long? IncidentId, int Round);
