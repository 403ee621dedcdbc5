using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>What the module writes into the outbox: that an order's situation is another than other modules were told last.</summary>
internal static class OrderEvents
{
    /// <summary>The kind of message.</summary>
    public const string SituationChanged = "orders.situation";

    /// <summary>The kind of message that tells of an order which cannot be advanced.</summary>
    public const string Broken = "orders.broken";

    /// <summary>The kind of message that tells of an order which was started without its approvals.</summary>
    public const string GlassBroken = "orders.break_glass";

    /// <summary>The kind of message that tells a submitter that the order was pushed back.</summary>
    public const string PushedBack = "orders.push_back";

    /// <summary>The kind of message that tells that an order was ended because nobody approved it in time.</summary>
    public const string Expired = "orders.expired";

    /// <summary>The kind of message that tells a submitter that a high-risk rule ended the order at its start.</summary>
    public const string Blocked = "orders.blocked";

    /// <summary>The kind of message that tells a submitter that the order was rejected.</summary>
    public const string Rejected = "orders.rejected";

    /// <summary>The kind of message that reminds of an order which awaits approval.</summary>
    public const string Reminder = "orders.approval_reminder";

    // An order that ends without ever having been in trouble is told to nobody, nor is a lane that a person stopped.
    public const string Situation = $"""
        CASE WHEN o.schedule = 'OK' THEN CASE WHEN o.told IN (0, 9) THEN o.told ELSE 9 END
             WHEN o.schedule = 'new' THEN 1
             WHEN o.schedule = 'start' AND (o.status IN (4, 5) OR o.status = 6 AND {Progress.HasInterrupted}) THEN o.status
             WHEN o.schedule = 'start' AND o.status = 6 AND {Progress.AtHand} THEN 5
             ELSE 0 END
        """;

    // A dead letter counts as noted, so that later changes do not repeat its situation; it is published when a person sends it again.
    // Hosts that fail later are reported by the message that still waits (locked, so that the relay reads it after this commit), else by a new one, which waits
    // 2 s or a little more for others: few messages for a thousand failures.
    // A falling number of failed hosts is noted at once and reported to nobody, so that the next failure counts.
    private const string NoteSql = $"""
        WITH waiting AS (
            SELECT message_id FROM platform.outbox WHERE stream = 'order:' || CAST(@ListId AS bigint) AND kind = 'orders.situation' FOR UPDATE SKIP LOCKED
        )
        INSERT INTO platform.outbox (stream, kind, payload, next_try_at)
        SELECT 'order:' || o.list_id, 'orders.situation', jsonb_build_object('list_id', o.list_id, 'situation', {Situation},
                'grown', NOT change.is_new AND change.hosts > o.told_hosts),
            clock_timestamp() + CASE WHEN change.is_new OR change.hosts < o.told_hosts THEN interval '0' ELSE interval '2 seconds' END
        FROM tasks.scheduler_task_list o, LATERAL (
            SELECT COALESCE((SELECT CAST(m.payload ->> 'situation' AS int) FROM platform.outbox m WHERE m.stream = 'order:' || o.list_id
                ORDER BY m.message_id DESC LIMIT 1), o.told) <> {Situation} AS is_new,
                (SELECT count(*) FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state IN ('failed', 'interrupted')) AS hosts) change
        WHERE o.list_id = @ListId
            AND (change.is_new OR {Situation} IN (4, 6) AND o.told_hosts <> change.hosts AND NOT EXISTS (SELECT FROM waiting))
        """;

    // Its stream is its own, so that it holds up nothing else of the order; its time is the one at which it is due, so that it counts as late only after that.
    // One that is there already is of an earlier wait, and is put off: it would come right after the order is told of anew, and be taken for the same again.
    private const string RemindSql = """
        WITH t AS (
            SELECT clock_timestamp() + interval '1 hour' AS due
        ), moved AS (
            UPDATE platform.outbox SET at = t.due, next_try_at = t.due FROM t WHERE stream = @Stream AND dead_at IS NULL RETURNING 1
        )
        INSERT INTO platform.outbox (stream, kind, payload, at, next_try_at)
        SELECT @Stream, @Kind, jsonb_build_object('list_id', CAST(@ListId AS bigint)), due, due FROM t WHERE NOT EXISTS (SELECT FROM moved)
        """;

    /// <summary>Has those who can approve the order told once more after an hour from now, if it still awaits approval then.</summary>
    public static Task RemindLater(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId) =>
        connection.ExecuteAsync(RemindSql, new { Stream = $"order:{listId}:approval", Kind = Reminder, ListId = listId }, transaction);

    /// <summary>
    /// Notes what the order's situation has become, in the transaction that changed it and holds its row. True when it is told: then the outbox is woken after
    /// the commit.
    /// </summary>
    public static async Task<bool> Note(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId) =>
        await connection.ExecuteAsync(NoteSql, new { ListId = listId }, transaction) > 0;

    /// <summary>The messages of one order are published in order.</summary>
    public static string Stream(long listId) => $"order:{listId}";

    // Also of a push back: who said what.
    internal sealed record BrokeGlass(long ListId, string By, long ById, string Reason);

    /// <param name="Days">How long it waited, at least.</param>
    internal sealed record Expiry(long ListId, int Days);

    /// <param name="By">Null where a rule blocks it.</param>
    internal sealed record TurnedDown(long ListId, string? By, string Zh, string En);

    internal sealed record Reminded(long ListId);

    /// <param name="Grown">More hosts had failed than were told, while the situation stayed.</param>
    internal sealed record Changed(long ListId, int Situation, bool Grown = false);

    internal sealed record Brokenness(long ListId, string Zh, string En);
}
