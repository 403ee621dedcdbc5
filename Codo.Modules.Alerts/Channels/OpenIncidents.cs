using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Alerts.Rules;
using Dapper;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>Tells a channel that was added, or enabled again, of what is open: what happened before it was there would otherwise never be heard.</summary>
internal static class OpenIncidents
{
    private const string OpenSql = """
        SELECT id, source, kind, subjects, space_id FROM alerts.task_monitor WHERE state = ANY(@From) AND kind <> 'undeliverable'
        """;

    // A message that failed for good may have failed because of what was mended just now.
    private const string TellSql = """
        INSERT INTO alerts.delivery (incident_id, round, channel_id, channel_name, reason, people, due_at, create_time)
        SELECT m.id, m.rounds, c.channel_id, c.name, 'opened', m.told_names, @Now, @Now
        FROM alerts.channel c JOIN alerts.task_monitor m ON m.state = ANY(@From) AND m.id = ANY(@Ids) LEFT JOIN alerts.rule r ON r.rule_id = m.rule_id
        WHERE c.channel_id = @ChannelId AND c.enabled AND (c.space_id = 1 OR c.space_id = m.space_id)
            AND (COALESCE(cardinality(r.channels), 0) = 0 OR c.channel_id = ANY(r.channels))
          AND NOT EXISTS (SELECT FROM alerts.delivery d WHERE d.incident_id = m.id AND d.channel_id = c.channel_id AND d.state <> 'failed')
        ORDER BY m.id
        """;

    /// <summary>In the transaction that adds or enables the channel.</summary>
    /// <returns>How many messages it is sent.</returns>
    public static async Task<int> Tell(NpgsqlConnection connection, NpgsqlTransaction transaction, long channelId, DateTime now)
    {
        var from = IncidentStates.From(IncidentAction.Escalate);
        var open = await connection.QueryAsync<Row>(OpenSql, new { From = from }, transaction);
        var silences = (await connection.QueryAsync<Silence>(Silence.InForceSql, new { Now = now }, transaction)).AsList();
        // Also what was told before its silence began.
        var ids = open.Where(row => Silence.For(row.Source, row.Kind, row.Subjects, row.SpaceId, silences) is null).Select(row => row.Id).ToArray();
        return await connection.ExecuteAsync(TellSql, new { ChannelId = channelId, Now = now, From = from, Ids = ids }, transaction);
    }

    private sealed record Row
    {
        public long Id { get; init; }
        public string Source { get; init; } = "";
        public string Kind { get; init; } = "";
        public string[] Subjects { get; init; } = [];
        public long SpaceId { get; init; }
    }
}
