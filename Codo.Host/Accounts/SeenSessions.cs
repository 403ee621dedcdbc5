using System.Collections.Concurrent;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// Records which sign-ins are used, when, from where and with which browser. Off the path of the request, and at most once a minute a sign-in. A token without
/// a <c>jti</c> cannot be told from another and is not recorded.
/// </summary>
internal sealed class SeenSessions(NpgsqlDataSource source, TimeProvider time)
{
    // Sign-ins that wait while PostgreSQL is away; only those with a valid token get here.
    private const int MostWaiting = 100_000, MostOfBatch = 500, MostTokenId = 200, MostAgent = 300;

    private const string RecordSql = """
        INSERT INTO accounts.session (user_id, jti, issued_at, expires_at, last_from, user_agent)
        SELECT user_id, jti, issued_at, expires_at, address, agent
        FROM unnest(CAST(@Ids AS bigint[]), CAST(@Tokens AS text[]), CAST(@Issued AS timestamptz[]), CAST(@Expires AS timestamptz[]),
            CAST(@Addresses AS text[]), CAST(@Agents AS text[])) AS s (user_id, jti, issued_at, expires_at, address, agent)
        ORDER BY user_id, jti
        ON CONFLICT (user_id, jti) DO UPDATE SET last_seen = clock_timestamp(), last_from = excluded.last_from, user_agent = excluded.user_agent
        """;

    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<(long UserId, string TokenId), long> noted = new();
    private readonly ConcurrentDictionary<(long UserId, string TokenId), (Caller Caller, string Agent)> waiting = new();

    /// <summary>Set when one is to be recorded.</summary>
    public WakeSignal Wake { get; } = new();

    /// <summary>Notes that a caller was let in.</summary>
    public void Note(Caller caller, string agent)
    {
        if (caller.UserId <= 0 || caller.AccessTokenId is not null || caller.Expires is null || caller.TokenId.Length is 0 or > MostTokenId) return;
        var key = (caller.UserId, caller.TokenId);
        if (noted.TryGetValue(key, out var at) && time.GetElapsedTime(at) < Minute) return;
        if (waiting.Count >= MostWaiting) return;
        noted[key] = time.GetTimestamp();
        waiting[key] = (caller, agent);
        Wake.Set();
    }

    /// <summary>Records sign-ins as seen now.</summary>
    public static Task Write(NpgsqlConnection connection, NpgsqlTransaction? transaction, IReadOnlyList<(Caller Caller, string Agent)> seen) =>
        connection.ExecuteAsync(
            RecordSql,
            new
            {
                Ids = seen.Select(one => one.Caller.UserId).ToArray(),
                Tokens = seen.Select(one => OutsideText.Clean(one.Caller.TokenId)).ToArray(),
                Issued = seen.Select(one => one.Caller.Issued?.UtcDateTime).ToArray(),
                Expires = seen.Select(one => one.Caller.Expires!.Value.UtcDateTime).ToArray(),
                Addresses = seen.Select(one => one.Caller.Address).ToArray(),
                Agents = seen.Select(one => OutsideText.Clean(one.Agent, MostAgent)).ToArray(),
            },
            transaction
        );

    /// <summary>Writes those that wait; after a failure they go on waiting.</summary>
    public async Task Record(CancellationToken cancellation)
    {
        while (waiting.Take(MostOfBatch).ToArray() is { Length: > 0 } batch)
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            await Write(connection, null, [.. batch.Select(one => one.Value)]);
            foreach (var one in batch) waiting.TryRemove(one);
        }

        foreach (var one in noted)
            if (time.GetElapsedTime(one.Value) > Minute * 2)
                noted.TryRemove(one);
    }
}
