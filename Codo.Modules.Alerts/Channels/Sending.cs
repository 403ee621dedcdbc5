using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Alerts.Rules;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>One try of one message: its words, the call within the channel's time limit, and the record of what came back.</summary>
internal sealed class Sending(
    NpgsqlDataSource source,
    ChannelSettings channels,
    Contacts contacts,
    MessageTexts wording,
    Undeliverable undeliverable,
    AlertSettings settings,
    TimeProvider time,
    ILogger<Sending> log
)
{
    /// <summary>Each pause before the next try is so many times as long as the last.</summary>
    private const int Growth = 6;

    /// <summary>Seconds: what grows beyond a year has no end anybody waits for.</summary>
    private const double MostPause = 365 * 86_400;

    private const int MostOfAnswer = 600;

    private const string IncidentSql = $"""
        SELECT {IncidentView.Columns} FROM alerts.task_monitor m WHERE m.id = @Id
        """;

    private const string HeldSql = $"""
        SELECT d.reason, {IncidentView.Columns} FROM alerts.delivery d JOIN alerts.task_monitor m ON m.id = d.incident_id
            WHERE d.digest_id = @DeliveryId AND (@SpaceId = 1 OR m.space_id = @SpaceId) ORDER BY d.delivery_id
        """;

    // What a digest carries shares its fate.
    private const string EndSql = """
        UPDATE alerts.delivery SET state = @State, ended_at = @Now, answer = CASE WHEN delivery_id = @DeliveryId THEN @Answer ELSE 'digest ' || @DeliveryId END
        WHERE (delivery_id = @DeliveryId AND state = 'sending' AND attempts = @Attempts) OR (digest_id = @DeliveryId AND state = 'digested'
            AND EXISTS (SELECT FROM alerts.delivery g WHERE g.delivery_id = @DeliveryId AND g.state = 'sending' AND g.attempts = @Attempts))
        RETURNING incident_id, round
        """;

    private const string RetrySql = """
        UPDATE alerts.delivery SET state = 'due', due_at = @DueAt, answer = @Answer WHERE delivery_id = @DeliveryId AND state = 'sending'
            AND attempts = @Attempts
        """;

    private const string ToldSql = """
        UPDATE alerts.task_monitor SET call_status = 1 WHERE id = ANY(@Incidents) AND call_status <> 1
        """;

    /// <summary>Sends a claimed message and records what came of it; never throws.</summary>
    public async Task Carry(ChannelRow channel, Delivery delivery)
    {
        Outcome outcome;
        try
        {
            outcome = await Compose(channel, delivery) is { } message
                ? await Call(channel, message)
                : new Outcome(false, "the incident is gone, or another space's", Retry: false) { HasNoIncident = true };
        }
        catch (Exception error)
        {
            outcome = new Outcome(false, error.Message);
        }
        try
        {
            await Record(channel, delivery, outcome);
        }
        catch (Exception error)
        {
            log.LogWarning(
                error,
                "What came of delivery {Id} by {Channel} could not be recorded; it is tried again once its time is over",
                delivery.DeliveryId,
                channel.Name
            );
        }
    }

    /// <summary>Calls the channel, within its time limit. Whatever it throws is an answer.</summary>
    public async Task<Outcome> Call(ChannelRow channel, Message message)
    {
        var outcome = await Try(channel, message);
        return outcome with { Answer = Excerpt.Head(outcome.Answer, MostOfAnswer) };
    }

    /// <summary>The longest time that a message waits for its next try.</summary>
    public static TimeSpan LongestPause(AlertSettings settings) => TimeSpan.FromSeconds(Pause(settings, Math.Max(1, settings.Retries)));

    // Seconds.
    private static double Pause(AlertSettings settings, int attempts) => Math.Min(settings.RetryDelay * Math.Pow(Growth, attempts - 1), MostPause);

    private async Task<Outcome> Try(ChannelRow channel, Message message)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(channel.Timeout));
        try
        {
            return await channels.Of(channel.Kind).Send(channels.Open(channel.Kind, channel.Stored), message, limit.Token);
        }
        catch (Exception error) when (limit.IsCancellationRequested)
        {
            return new Outcome(false, $"no answer within {channel.Timeout} s ({error.GetType().Name})");
        }
        catch (Exception error)
        {
            return new Outcome(false, error.InnerException is { } inner ? $"{error.Message} {inner.Message}" : error.Message);
        }
    }

    // The incident or the channel may have moved to another space since the message was written: a channel tells of its own space alone, default's of all.
    private async Task<Message?> Compose(ChannelRow channel, Delivery delivery)
    {
        var english = channel.Language == "en";
        var people = await contacts.Find(delivery.People);
        await using var connection = await source.OpenConnectionAsync();
        if (delivery.Reason == "digest")
        {
            var held = await connection.QueryAsync<string, IncidentView.Row, (string, IncidentView.Row)>(
                HeldSql,
                (reason, incident) => (reason, incident),
                new { delivery.DeliveryId, channel.SpaceId },
                splitOn: "id"
            );
            return held.AsList() is { Count: > 0 } some ? wording.Digest(delivery.DeliveryId, some, english, people) : null;
        }
        var incident = await connection.QuerySingleOrDefaultAsync<IncidentView.Row>(IncidentSql, new { Id = delivery.IncidentId });
        return incident is null || (channel.SpaceId != 1 && incident.SpaceId != channel.SpaceId)
            ? null
            : wording.Of(delivery.DeliveryId, delivery.Reason, incident, english, people);
    }

    private async Task Record(ChannelRow channel, Delivery delivery, Outcome outcome)
    {
        await using var connection = await source.OpenConnectionAsync();
        var now = time.GetUtcNow().UtcDateTime;
        if (!outcome.Taken && outcome.Retry && delivery.Attempts <= settings.Retries)
        {
            var pause = Pause(settings, delivery.Attempts);
            await connection.ExecuteAsync(
                RetrySql,
                new
                {
                    delivery.DeliveryId,
                    delivery.Attempts,
                    outcome.Answer,
                    DueAt = now.AddSeconds(pause),
                }
            );
            log.LogWarning(
                "Delivery {Id} by {Channel} failed and is tried again in {Pause} s: {Answer}",
                delivery.DeliveryId,
                channel.Name,
                pause,
                outcome.Answer
            );
            return;
        }
        // In one transaction: a host that dies in between repeats the message, and does not lose that nobody took it.
        await using var transaction = await connection.BeginTransactionAsync();
        var carried = (
            await connection.QueryAsync<GivenUp>(
                EndSql,
                new
                {
                    delivery.DeliveryId,
                    delivery.Attempts,
                    State = outcome.Taken ? "sent" : "failed",
                    outcome.Answer,
                    Now = now,
                },
                transaction
            )
        ).AsList();
        if (outcome.Taken)
        {
            await Undeliverable.Lock(connection, transaction, carried);
            await connection.ExecuteAsync(ToldSql, new { Incidents = Undeliverable.Ids(carried) }, transaction);
            await undeliverable.Over(connection, transaction);
        }
        else
            await undeliverable.GivenUp(connection, transaction, carried, outcome.HasNoIncident);
        await transaction.CommitAsync();
        // Of one that another host has claimed meanwhile nothing was recorded.
        if (!outcome.Taken && carried.Count > 0)
            log.LogError("Delivery {Id} by {Channel} is given up: {Answer}", delivery.DeliveryId, channel.Name, outcome.Answer);
    }
}
