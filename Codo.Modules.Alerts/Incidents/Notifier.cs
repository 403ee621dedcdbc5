using Codo.Modules.Alerts.Rules;
using Codo.Platform.Cluster;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>One telling of an incident: to whom, at which step of the escalation, why.</summary>
internal sealed record Round(long Incident, int Number, string Reason, int Level, IReadOnlyList<Person> People);

/// <summary>Writes the messages of an incident in the transaction that changes it: one a channel, which the courier sends.</summary>
internal sealed class Notifier(Undeliverable undeliverable, TimeProvider time, ILogger<Notifier> log)
{
    /// <summary>Set after the commit: what was written is sent at once, instead of at the courier's next poll.</summary>
    public WakeSignal Written { get; } = new();

    private const string NamesSql = """
        SELECT user_id AS id, name FROM alerts.contact WHERE user_id = ANY(@Ids) OR (user_id IS NOT NULL AND name = ANY(@Names))
        """;

    private const string InsertSql = """
        INSERT INTO alerts.delivery (incident_id, round, channel_id, channel_name, reason, people, due_at, create_time)
        SELECT @Incident, @Number, c.channel_id, c.name, @Reason, @Names, @Now, @Now FROM alerts.channel c
        WHERE c.enabled AND (c.space_id = 1 OR c.space_id = (SELECT m.space_id FROM alerts.task_monitor m WHERE m.id = @Incident))
            AND (cardinality(CAST(@Channels AS bigint[])) = 0 OR c.channel_id = ANY(@Channels)) ORDER BY c.channel_id
        """;

    private const string AnyChannelSql = """
        SELECT EXISTS (SELECT 1 FROM alerts.channel)
        """;

    // Before the first telling, escalate_at is when an untold one is looked at next.
    private const string ToldSql = """
        UPDATE alerts.task_monitor SET rounds = @Number, told_at = @Now, call_level = @Level,
            escalate_at = CASE WHEN @Anew OR told_at IS NULL OR CAST(@EscalateAt AS timestamptz) IS NULL THEN @EscalateAt
                ELSE LEAST(escalate_at, @EscalateAt) END,
            silence_id = NULL, held_people = '[]',
            told_names = ARRAY(SELECT DISTINCT unnest(told_names || @Names) ORDER BY 1), told_ids = ARRAY(SELECT DISTINCT unnest(told_ids || @Ids) ORDER BY 1),
            told_by_name = ARRAY(SELECT DISTINCT unnest(told_by_name || @ByName) ORDER BY 1),
            call_users = array_to_string(ARRAY(SELECT DISTINCT unnest(string_to_array(call_users, ',') || @Shown) ORDER BY 1), ',')
        WHERE id = @Incident
        """;

    private const string RecoverySql = """
        WITH heard AS (
            SELECT d.channel_id, max(d.channel_name) AS name FROM alerts.delivery d JOIN alerts.channel c USING (channel_id)
            WHERE d.incident_id = @Id AND d.state <> 'failed' AND c.enabled
                AND (c.space_id = 1 OR c.space_id = (SELECT m.space_id FROM alerts.task_monitor m WHERE m.id = @Id))
            GROUP BY d.channel_id
        ), counted AS (
            UPDATE alerts.task_monitor SET rounds = rounds + 1 WHERE id = @Id AND EXISTS (SELECT 1 FROM heard) RETURNING rounds, told_names
        )
        INSERT INTO alerts.delivery (incident_id, round, channel_id, channel_name, reason, people, due_at, create_time)
        SELECT @Id, c.rounds, h.channel_id, h.name, 'recovered', c.told_names, @Now, @Now FROM heard h CROSS JOIN counted c ORDER BY h.channel_id
        """;

    /// <summary>Queues the round's messages, and sets when the rule's next people are told.</summary>
    public async Task Tell(NpgsqlConnection connection, NpgsqlTransaction transaction, Round round, Rule rule)
    {
        var now = time.GetUtcNow().UtcDateTime;
        var ids = round.People.Where(person => person.Id is not null).Select(person => person.Id!.Value).Distinct().ToArray();
        // An approver whose name nobody told has it in the contact, and an owner who is named there has an id.
        var known = (
            await connection.QueryAsync<(long Id, string Name)>(
                NamesSql,
                new { Ids = ids, Names = round.People.Where(person => person.Id is null).Select(person => person.Name).ToArray() },
                transaction
            )
        ).ToDictionary(row => row.Id, row => row.Name);
        var names = round.People.SelectMany(Names).Where(name => name.Length > 0).Distinct(StringComparer.Ordinal).ToArray();
        // Whoever is looked for under two names is shown as one person.
        var shown = names
            .Except(round.People.Where(person => person.Name.Length > 0).SelectMany(person => Names(person).Skip(1)), StringComparer.Ordinal)
            .ToArray();
        var byName = names
            .Except(round.People.Where(person => person.Id is not null).Select(person => person.Name), StringComparer.Ordinal)
            .Except(known.Values, StringComparer.Ordinal)
            .ToArray();
        var more = round.Level < rule.Steps.Length;
        var messages = await connection.ExecuteAsync(
            InsertSql,
            new
            {
                round.Incident,
                round.Number,
                round.Reason,
                Names = names,
                Now = now,
                rule.Channels,
            },
            transaction
        );
        await connection.ExecuteAsync(
            ToldSql,
            new
            {
                round.Incident,
                round.Number,
                Now = now,
                round.Level,
                EscalateAt = more ? now.AddSeconds(rule.EscalateAfter) : (DateTime?)null,
                // A reminder to the same people does not put off the next ones.
                Anew = round.Reason == "escalated",
                Names = names,
                Shown = shown,
                Ids = ids.Union(known.Keys).ToArray(),
                ByName = byName,
            },
            transaction
        );
        if (messages > 0)
            return;
        if (await connection.ExecuteScalarAsync<bool>(AnyChannelSql, transaction: transaction))
            await undeliverable.Raise(connection, transaction, round.Incident);
        else
            log.LogWarning("Incident {Id}: nobody is told, because no channel has been set up (docs/alerts.md)", round.Incident);

        // Orders name people by their nicknames, under which codo-admin may have their contact; their own contact has the name that they sign in with.
        string[] Names(Person person) =>
            person.Id is { } id && known.TryGetValue(id, out var own) && own != person.Name ? [person.Name, own] : [person.Name];
    }

    /// <summary>Those who heard of it hear that it is over, by the channels that told them.</summary>
    public Task TellRecovery(NpgsqlConnection connection, NpgsqlTransaction transaction, long id) =>
        connection.ExecuteAsync(RecoverySql, new { Id = id, Now = time.GetUtcNow().UtcDateTime }, transaction);
}
