using System.Text.Json;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Platform.Events;

/// <summary>A message of the outbox, as its reader gets it.</summary>
/// <param name="At">UTC; when the change that it tells of was made.</param>
/// <param name="Stream">Messages of one stream are published in order: <c>job:12</c>, <c>order:34</c>.</param>
/// <param name="Payload">JSON, as it was written.</param>
public sealed record OutboxMessage(long MessageId, DateTime At, string Stream, string Kind, string Payload, int Attempts)
{
    /// <exception cref="JsonException">The payload is not of that shape.</exception>
    public T Read<T>() => JsonSerializer.Deserialize<T>(Payload, Json.Stored) ?? throw new JsonException($"The payload of outbox message {MessageId} is null.");
}

/// <summary>Turns stored messages of one kind into the event that is published. A module registers one for each kind that it writes.</summary>
public interface IOutboxReader
{
    /// <summary>The word in <c>platform.outbox.kind</c>.</summary>
    string Kind { get; }

    /// <summary>Whether messages of several streams that are due together become one event.</summary>
    bool ReadsTogether => false;

    /// <summary>Messages are written for a time far ahead (a reminder), so a distant next_try_at is no sign that PostgreSQL's clock was put back.</summary>
    bool IsScheduled => false;

    /// <summary>
    /// Reads what the event says, in the transaction that deletes the messages once the event was published: what is changed here is changed once.
    /// </summary>
    /// <param name="messages">One; several where <see cref="ReadsTogether"/>.</param>
    /// <returns>Null when there is nothing to say any more.</returns>
    Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction);
}

/// <summary>
/// The transactional outbox: a message is written with the change that it tells of, and published by <see cref="OutboxRelay"/> at least once. A crash after
/// publishing repeats the event, so handlers are idempotent.
/// </summary>
public sealed class Outbox
{
    private const string WriteSql = """
        INSERT INTO platform.outbox (stream, kind, payload) VALUES (@Stream, @Kind, CAST(@Payload AS jsonb))
        """;

    /// <summary>Wakes this node's relay.</summary>
    internal WakeSignal Written { get; } = new();

    /// <summary>Writes a message in the transaction of the change.</summary>
    public static Task Write(NpgsqlConnection connection, NpgsqlTransaction transaction, string stream, string kind, object payload) =>
        connection.ExecuteAsync(WriteSql, new { Stream = stream, Kind = kind, Payload = JsonSerializer.Serialize(payload, Json.Stored) }, transaction);

    /// <summary>To be called after the commit: the message is published at once instead of at the relay's next run.</summary>
    public void Wake() => Written.Set();
}
