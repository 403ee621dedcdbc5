using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using Dapper;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Events;

/// <summary>
/// Publishes the outbox. Each run takes the head of every stream that is due; a message that fails blocks only its own stream, is tried again with growing
/// pauses, and becomes a dead letter after <see cref="MostAttempts"/>. Every node runs it; a row lock lets one node publish a message at a time.
/// </summary>
public sealed class OutboxRelay(
    NpgsqlDataSource source,
    IServiceScopeFactory scopes,
    Outbox outbox,
    IEnumerable<IOutboxReader> readers,
    ILogger<OutboxRelay> log
)
{
    /// <summary>Attempts that failed for another reason than the database; the last is about 12 minutes after the first.</summary>
    public const int MostAttempts = 12;

    private const int Batch = 200;

    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(2);

    /// <summary>A message whose next attempt is further ahead was written before PostgreSQL's clock was put back.</summary>
    internal static readonly TimeSpan MostAhead = LongestPause + DatabaseClock.MaxSkew;

    /// <summary>In SQL, of a message: whether its time is from before PostgreSQL's clock was put back. It is not waited for.</summary>
    internal const string IsFromAhead = """
        next_try_at > clock_timestamp() + CAST(@MostAhead AS interval) AND next_try_at < 'infinity' AND kind <> ALL(@ScheduledKinds)
        """;

    private const string HeadsSql = $"""
        SELECT message_id, kind FROM platform.outbox o
        WHERE dead_at IS NULL AND (next_try_at <= clock_timestamp() OR {IsFromAhead})
            AND NOT EXISTS (SELECT 1 FROM platform.outbox e WHERE e.stream = o.stream AND e.message_id < o.message_id AND e.dead_at IS NULL)
        ORDER BY message_id LIMIT @Batch
        """;

    private const string LockSql = """
        SELECT message_id, at, stream, kind, payload::text AS payload, attempts FROM platform.outbox WHERE message_id = ANY(@Ids)
            AND dead_at IS NULL ORDER BY message_id FOR UPDATE SKIP LOCKED
        """;

    private const string DeleteSql = """
        DELETE FROM platform.outbox WHERE message_id = ANY(@Ids)
        """;

    private const string FailedSql = """
        UPDATE platform.outbox SET attempts = attempts + 1, cause = @Cause, next_try_at = clock_timestamp() + CAST(@Pause AS interval), dead_at = CASE
            WHEN @IsDead THEN clock_timestamp() END
        WHERE message_id = @MessageId AND attempts = @Attempts AND dead_at IS NULL
        """;

    private const string PutOffSql = """
        UPDATE platform.outbox SET cause = @Cause, next_try_at = clock_timestamp() + interval '5 seconds' WHERE message_id = @MessageId AND dead_at IS NULL
        """;

    private const string DeadSql = """
        SELECT count(*) FROM platform.outbox WHERE dead_at IS NOT NULL
        """;

    // Whether there may be a dead letter of which nobody was told: one of an earlier start, or one whose incident could not be opened.
    private volatile bool untold = true;

    private readonly Dictionary<string, IOutboxReader> readers = readers.ToDictionary(reader => reader.Kind, StringComparer.Ordinal);
    private readonly string[] scheduledKinds = ScheduledKinds(readers);

    /// <summary>Set when this node has written a message.</summary>
    public WakeSignal Written => outbox.Written;

    /// <summary>The kinds whose messages wait for a time that is far ahead.</summary>
    internal static string[] ScheduledKinds(IEnumerable<IOutboxReader> readers) =>
        [.. readers.Where(reader => reader.IsScheduled).Select(reader => reader.Kind)];

    /// <summary>Publishes until no stream has a message that is due.</summary>
    public async Task<bool> PublishDue(CancellationToken cancellation)
    {
        var isAny = false;
        while (true)
        {
            List<Head> heads;
            await using (var connection = await source.OpenConnectionAsync(cancellation))
                heads = (await connection.QueryAsync<Head>(HeadsSql, new { Batch, MostAhead, ScheduledKinds = scheduledKinds })).AsList();
            var moved = 0;
            foreach (var (kind, ids) in Grouped(heads))
            {
                cancellation.ThrowIfCancellationRequested();
                moved += await Publish(kind, ids, cancellation);
            }
            // Nothing moved: another node holds them, or each failed and waits for its next attempt.
            if (moved == 0) return isAny || heads.Count > 0;
            isAny = true;
        }
    }

    /// <summary>Set when a dead letter could not be told of.</summary>
    public WakeSignal Untold { get; } = new();

    /// <summary>Ends the incident of the dead letters when none is left.</summary>
    public async Task SayOverWithoutDeadLetters()
    {
        if (await CountDead() == 0) await Tell(new SystemTroubleOver(DeadLetters.Problem));
    }

    /// <summary>Tells of the dead letters that nobody was told of, and ends their incident when none is left.</summary>
    public async Task TellOfDeadLetters()
    {
        var isUntold = untold;
        // Before the look: what cannot be told from here on is the next look's.
        untold = false;
        try
        {
            var dead = await CountDead();
            if (dead == 0)
                await Tell(new SystemTroubleOver(DeadLetters.Problem));
            else if (isUntold)
                await Tell(
                    Found(
                        new Text(
                            $"{dead} 条消息在多次尝试后放弃。查看与重发：/v2/outbox/",
                            $"Messages that were given up after many attempts: {dead}. List and send again: /v2/outbox/"
                        ),
                        isReminder: true
                    )
                );
        }
        catch
        {
            // Only what this look was to tell: the rest is told already.
            if (isUntold) untold = true;
            throw;
        }
    }

    // In order of the oldest message, those of a kind that is read together as one.
    private List<(string Kind, long[] Ids)> Grouped(List<Head> heads) =>
        [
            .. heads
                .GroupBy(
                    head => readers.TryGetValue(head.Kind, out var reader) && reader.ReadsTogether ? head.Kind : $"{head.Kind} {head.MessageId}",
                    StringComparer.Ordinal
                )
                .Select(group => (group.First().Kind, group.Select(head => head.MessageId).ToArray())),
        ];

    private async Task<int> Publish(string kind, long[] ids, CancellationToken cancellation)
    {
        List<OutboxMessage> messages = [];
        try
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            await using var transaction = await connection.BeginTransactionAsync(cancellation);
            // The transaction holds what is due to be told: of a row that somebody holds for long the message waits, and no other does.
            await LockWait.Limit(connection, transaction, TimeSpan.FromMilliseconds(500));
            messages = (await connection.QueryAsync<OutboxMessage>(LockSql, new { Ids = ids }, transaction)).AsList();
            if (messages.Count == 0) return 0;
            if (!readers.TryGetValue(kind, out var reader)) throw new InvalidOperationException($"No module reads messages of kind '{kind}'.");
            if (await reader.Read(messages, connection, transaction) is { } told)
            {
                await using var scope = scopes.CreateAsyncScope();
                await scope.ServiceProvider.GetRequiredService<IMediator>().Publish(told, cancellation);
            }
            await connection.ExecuteAsync(DeleteSql, new { Ids = messages.Select(message => message.MessageId).ToArray() }, transaction);
            await transaction.CommitAsync(cancellation);
            return messages.Count;
        }
        catch (Exception error)
            when (messages.Count > 1
                && error is not OperationCanceledException
                && (!DatabaseErrors.IsTransient(error) || DatabaseErrors.IsLockTimeout(error))
            )
        {
            // One of them is the cause: alone each shows whether it is.
            var moved = 0;
            foreach (var message in messages) moved += await Publish(kind, [message.MessageId], cancellation);
            return moved;
        }
        catch (Exception error) when (messages.Count > 0 && !cancellation.IsCancellationRequested)
        {
            // A dead letter lets the rest of its stream go on.
            var dead = 0;
            foreach (var message in messages)
                if (await Failed(message, error)) dead++;
            return dead;
        }
    }

    /// <summary>Puts the message off, or makes it a dead letter: then true.</summary>
    private async Task<bool> Failed(OutboxMessage message, Exception error)
    {
        var cause = OutsideText.Clean($"{error.GetType().Name}: {error.Message}");
        await using var connection = await source.OpenConnectionAsync();
        if (DatabaseErrors.IsTransient(error))
        {
            log.LogWarning(error, "Outbox message {Id} ({Kind} of {Stream}) waits for PostgreSQL", message.MessageId, message.Kind, message.Stream);
            await connection.ExecuteAsync(PutOffSql, new { message.MessageId, Cause = cause });
            return false;
        }
        var isDead = message.Attempts + 1 >= MostAttempts;
        var pause = TimeSpan.FromSeconds(Math.Min(Math.Pow(2, message.Attempts), LongestPause.TotalSeconds));
        await connection.ExecuteAsync(FailedSql, new { message.MessageId, message.Attempts, Cause = cause, Pause = pause, IsDead = isDead });
        if (!isDead)
        {
            log.LogWarning(
                error,
                "Outbox message {Id} ({Kind} of {Stream}) could not be published, attempt {Attempt}; tried again in {Pause} s",
                message.MessageId,
                message.Kind,
                message.Stream,
                message.Attempts + 1,
                pause.TotalSeconds
            );
            return false;
        }
        log.LogError(
            error,
            "Outbox message {Id} ({Kind} of {Stream}) is a dead letter after {Attempts} attempts",
            message.MessageId,
            message.Kind,
            message.Stream,
            message.Attempts + 1
        );
        await SayDead(message, cause);
        return true;
    }

    // Directly and not by the outbox: the way that has just failed must not be the only one.
    private async Task SayDead(OutboxMessage message, string cause)
    {
        try
        {
            await Tell(
                Found(
                    new Text(
                        $"消息 {message.MessageId}（{message.Kind}，{message.Stream}）尝试 {message.Attempts + 1} 次后放弃：{cause}\n查看与重发：/v2/outbox/",
                        ($"Message {message.MessageId} ({message.Kind} of {message.Stream}) was given up after {message.Attempts + 1} attempts: "
                            + $"{cause}\nList and send again: /v2/outbox/")
                    )
                )
            );
        }
        catch (Exception error)
        {
            log.LogError(error, "No incident could be opened for dead letter {Id}; it is told by a later look, and readiness shows it", message.MessageId);
            untold = true;
            Untold.Set();
        }
    }

    private static SystemTroubleFound Found(Text detail, bool isReminder = false) =>
        new(
            DeadLetters.Problem,
            new Text("消息无法送达其他模块（死信）", "A message could not be delivered to another module (dead letter)"),
            detail,
            isReminder
        );

    private async Task<long> CountDead()
    {
        await using var connection = await source.OpenConnectionAsync();
        return await connection.ExecuteScalarAsync<long>(DeadSql);
    }

    private async Task Tell(INotification told)
    {
        await using var scope = scopes.CreateAsyncScope();
        await scope.ServiceProvider.GetRequiredService<IMediator>().Publish(told);
    }

    private sealed record Head(long MessageId, string Kind);
}
