using System.Collections.Concurrent;
using Codo.Modules.Alerts.Incidents;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>
/// Sends what is due. The rows are the truth: a message is claimed before its channel is called, and one whose host died is claimed once more when its time is
/// over.
/// </summary>
internal sealed class Courier(
    NpgsqlDataSource source,
    Sending sending,
    Undeliverable undeliverable,
    Notifier notifier,
    Node node,
    AlertSettings settings,
    TimeProvider time,
    ILogger<Courier> log
) : IHostedService
{
    private static readonly TimeSpan Window = TimeSpan.FromMinutes(1), AfterLimit = TimeSpan.FromSeconds(20), LongestLimit = TimeSpan.FromSeconds(300);

    // A time later than Codo ever sets was written before PostgreSQL's clock was put back: waiting for it would hold the message up for as long as the clock
    // was ahead. A message that was never tried is due from the beginning; a test is never due.
    private const string IsDue = "(due_at <= @Now OR attempts = 0 OR (due_at > @Latest AND due_at < 'infinity'))";

    /// <summary>How many deliveries are due or held.</summary>
    public const string WaitingSql = """
        SELECT count(*) FROM alerts.delivery WHERE state = 'held' OR (state IN ('due', 'sending') AND due_at <= clock_timestamp())
        """;

    private const string DueSql = $"""
        SELECT channel_id FROM alerts.delivery WHERE state = ANY(@From) AND {IsDue}
        UNION SELECT channel_id FROM alerts.delivery WHERE state = 'held'
        """;

    // One node at a time looks after a channel, so that its rate is counted once.
    private const string LockSql = $"""
        SELECT {ChannelRow.Columns} FROM alerts.channel
            WHERE channel_id = @Channel FOR UPDATE SKIP LOCKED
        """;

    // What started in the future has started before PostgreSQL's clock was put back.
    private const string UsedSql = """
        SELECT count(*) FROM alerts.delivery WHERE channel_id = @Channel AND reason <> 'test' AND started_at > @Since AND started_at <= @Until
        """;

    private const string ClaimSql = $"""
        UPDATE alerts.delivery SET state = 'sending', attempts = attempts + 1, started_at = @Now, due_at = @Until
        WHERE delivery_id IN (SELECT delivery_id FROM alerts.delivery WHERE channel_id = @Channel AND state = ANY(@From) AND {IsDue}
            ORDER BY delivery_id LIMIT @Room FOR UPDATE)
        RETURNING delivery_id, incident_id, round, channel_id, reason, people, attempts
        """;

    private const string HoldSql = """
        UPDATE alerts.delivery SET state = 'held' WHERE channel_id = @Channel AND state = ANY(@From) AND attempts = 0 AND reason <> 'digest'
        """;

    private const string DigestSql = """
        WITH held AS (
            SELECT delivery_id, people FROM alerts.delivery WHERE channel_id = @Channel AND state = ANY(@From)
        ), digest AS (
            INSERT INTO alerts.delivery (channel_id, channel_name, reason, people, due_at, create_time)
            SELECT @Channel, @Name, 'digest', ARRAY(SELECT DISTINCT unnest(people) FROM held ORDER BY 1), @Now, @Now WHERE EXISTS (SELECT 1
                FROM held) RETURNING delivery_id
        )
        UPDATE alerts.delivery d SET state = 'digested', digest_id = g.delivery_id FROM digest g WHERE d.delivery_id IN (SELECT delivery_id FROM held)
        """;

    private const string DropSql = """
        UPDATE alerts.delivery SET state = 'failed', ended_at = @Now, answer = 'the channel is disabled' WHERE channel_id = @Channel AND state = ANY(@From)
        RETURNING incident_id, round
        """;

    // A message that was committed just after its channel was deleted, which did not see it. A channel that only somebody else has locked is there.
    private const string GoneSql = """
        UPDATE alerts.delivery SET state = 'failed', ended_at = @Now, answer = 'the channel was deleted' WHERE channel_id = @Channel AND state = ANY(@From)
            AND NOT EXISTS (SELECT FROM alerts.channel WHERE channel_id = @Channel)
        RETURNING incident_id, round
        """;

    private readonly ConcurrentDictionary<Task, bool> underWay = new();

    // Of the longest pause before a try, and of the longest time after which a try counts as lost.
    private readonly TimeSpan longestWait = Longer(Sending.LongestPause(settings), LongestLimit + AfterLimit) + DatabaseClock.MaxSkew;

    /// <summary>Set when there is something to send: it is sent at once, instead of at the next poll.</summary>
    public WakeSignal Written => notifier.Written;

    /// <summary>Claims and sends what is due now; returns when all of it has been answered.</summary>
    internal async Task SendDue()
    {
        await Begin(CancellationToken.None);
        await Task.WhenAll(underWay.Keys);
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>What was claimed is sent to its end.</summary>
    public Task StopAsync(CancellationToken cancellationToken) => Task.WhenAll(underWay.Keys);

    /// <summary>Claims what is due, and begins to send it. A channel that cannot be read holds up none of the others.</summary>
    internal async Task<bool> Begin(CancellationToken cancellation)
    {
        // A restored installation tells nobody before it is released.
        if (node.IsHeld || !node.Has(NodeRoles.Alerts)) return false;
        List<long> due;
        var now = time.GetUtcNow().UtcDateTime;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            due = (
                await connection.QueryAsync<long>(DueSql, new { Now = now, Latest = now + longestWait, From = DeliveryStates.From(DeliveryAction.Claim) })
            ).AsList();
        foreach (var channel in due)
        {
            (ChannelRow? Row, List<Delivery> Claimed) taken;
            try
            {
                taken = await Claim(channel, cancellation);
            }
            catch (Exception error) when (!DatabaseErrors.IsTransient(error) && !cancellation.IsCancellationRequested)
            {
                log.LogError(error, "Messages of channel {Channel} cannot be claimed; the other channels go on", channel);
                continue;
            }
            var (row, claimed) = taken;
            foreach (var delivery in claimed)
            {
                var task = Task.Run(() => sending.Carry(row!, delivery), CancellationToken.None);
                underWay[task] = true;
                _ = task.ContinueWith(
                    ended => underWay.TryRemove(ended, out _),
                    CancellationToken.None,
                    TaskContinuationOptions.ExecuteSynchronously,
                    TaskScheduler.Default
                );
            }
        }
        return due.Count > 0 || !underWay.IsEmpty;
    }

    private async Task<(ChannelRow? Row, List<Delivery> Claimed)> Claim(long channel, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var row = await connection.QuerySingleOrDefaultAsync<ChannelRow>(LockSql, new { Channel = channel }, transaction);
        var now = time.GetUtcNow().UtcDateTime;
        if (row is not { Enabled: true })
        {
            await undeliverable.GivenUp(
                connection,
                transaction,
                (
                    await connection.QueryAsync<GivenUp>(
                        row is null ? GoneSql : DropSql,
                        new
                        {
                            Channel = channel,
                            Now = now,
                            From = DeliveryStates.From(DeliveryAction.GiveUp),
                        },
                        transaction
                    )
                ).AsList()
            );
            await transaction.CommitAsync(cancellation);
            return (row, []);
        }
        var minute = new { Channel = channel, Since = now - Window, Until = now + DatabaseClock.MaxSkew };
        var room = row.RateLimit - (int)await connection.ExecuteScalarAsync<long>(UsedSql, minute, transaction);
        var claimed = room <= 0 ? [] : (await connection.QueryAsync<Delivery>(ClaimSql, new
        {
            Channel = channel,
            Now = now,
            Latest = now + longestWait,
            Until = now.AddSeconds(row.Timeout) + AfterLimit,
            From = DeliveryStates.From(DeliveryAction.Claim),
            Room = room,
        }, transaction)).AsList();
        // With room left nothing is held back: what was written since the claim is claimed by the next look.
        if (claimed.Count >= room)
            await connection.ExecuteAsync(
                HoldSql,
                new { Channel = channel, From = DeliveryStates.From(DeliveryAction.Hold) },
                transaction
            );
        else
            await connection.ExecuteAsync(
                DigestSql,
                new
                {
                    Channel = channel,
                    row.Name,
                    Now = now,
                    From = DeliveryStates.From(DeliveryAction.Digest),
                },
                transaction
            );
        await transaction.CommitAsync(cancellation);
        return (row, claimed);
    }

    private static TimeSpan Longer(TimeSpan one, TimeSpan other) => one > other ? one : other;
}

/// <summary>A channel as it is stored.</summary>
internal sealed record ChannelRow(
    long ChannelId,
    string Name,
    string Kind,
    bool Enabled,
    string Language,
    int RateLimit,
    int Timeout,
    string Settings,
    byte[]? Secrets,
    long SpaceId
)
{
    public const string Columns = "channel_id, name, kind, enabled, language, rate_limit, timeout, settings::text AS settings, secrets, space_id";

    public Stored Stored => new(Settings, Secrets);
}

/// <summary>A message that this node has claimed.</summary>
internal sealed record Delivery
{
    public long DeliveryId { get; init; }
    public long? IncidentId { get; init; }
    public int Round { get; init; }
    public long ChannelId { get; init; }
    public string Reason { get; init; } = "";
    public string[] People { get; init; } = [];
    public int Attempts { get; init; }
}
