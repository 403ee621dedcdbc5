using System.Collections.Concurrent;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// Records who comes in: everyone whose token is accepted, with the names of the token. Off the path of the request, and at most once a minute a person unless
/// the names change.
/// </summary>
internal sealed class People(NpgsqlDataSource source, TimeProvider time)
{
    /// <summary>Ids of Codo's own people, and of those that come by OpenID Connect, are not below it; codo-admin's are.</summary>
    public const long FirstOwnId = 1_000_000_000;

    // People who wait while PostgreSQL is away; only those with a valid token get here.
    private const int MostWaiting = 100_000, MostOfBatch = 500;

    private const string SeenPeople = """
        unnest(CAST(@Ids AS bigint[]), CAST(@Usernames AS text[]), CAST(@Nicknames AS text[]), CAST(@Emails AS text[]), CAST(@Superusers AS boolean[]),
            CAST(@Kinds AS text[]), CAST(@Issued AS timestamptz[])) AS s (user_id, username, nickname, email, is_superuser, kind, facts_at)
        """;

    private const string RecordSql = $"""
        INSERT INTO accounts.person (user_id, username, nickname, email, is_superuser, kind, facts_at, last_seen)
        SELECT user_id, username, nickname, email, is_superuser, kind, facts_at, clock_timestamp() FROM {SeenPeople} ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE SET last_seen = excluded.last_seen
        """;

    // An older token of the same person does not bring old names back.
    private const string RenameSql = $"""
        UPDATE accounts.person p
        SET username = s.username, nickname = s.nickname, email = s.email, is_superuser = s.is_superuser, facts_at = s.facts_at
        FROM {SeenPeople}
        WHERE p.user_id = s.user_id AND NOT p.managed AND s.facts_at IS NOT NULL AND (p.facts_at IS NULL OR s.facts_at >= p.facts_at)
            AND (s.username, s.nickname, s.email, s.is_superuser) IS DISTINCT FROM (p.username, p.nickname, p.email, p.is_superuser)
        RETURNING p.user_id
        """;

    private const string NewSql = """
        SELECT CAST(id AS bigint) FROM unnest(CAST(@Ids AS bigint[])) AS seen (id) WHERE NOT EXISTS (SELECT FROM accounts.person p WHERE p.user_id = id)
        """;

    // Nodes cache the names of people who have a grant or are in a team. A higher version makes them read those again.
    private const string NamesSql = """
        UPDATE platform.setting SET value = CAST(CAST(value AS bigint) + 1 AS text)
        WHERE key = 'accounts.rights' AND (EXISTS (SELECT FROM accounts.team_member m WHERE m.user_id = ANY(@Named))
            OR EXISTS (SELECT FROM accounts.role_grant g WHERE g.user_id = ANY(@Named)))
        """;

    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<long, Noted> noted = new();
    private readonly ConcurrentDictionary<long, Caller> waiting = new();

    /// <summary>Set when somebody is to be recorded.</summary>
    public WakeSignal Wake { get; } = new();

    /// <summary>Notes that a caller was let in.</summary>
    public void Note(Caller caller)
    {
        if (caller.UserId <= 0) return;
        if (noted.TryGetValue(caller.UserId, out var before) && time.GetElapsedTime(before.At) < Minute)
        {
            var isOlder = caller.AccessTokenId is not null || caller.Issued is null || caller.Issued < before.Issued;
            if (isOlder || before.HasNamesOf(caller)) return;
        }
        else if (waiting.Count >= MostWaiting)
        {
            return;
        }

        var issued = caller.AccessTokenId is null ? caller.Issued : null;
        noted[caller.UserId] = new Noted(time.GetTimestamp(), issued, caller.Username, caller.Nickname, caller.Email, caller.IsSuperuser);
        waiting.AddOrUpdate(caller.UserId, caller, (_, one) => FactsAt(one) > FactsAt(caller) || FactsAt(caller) is null ? one : caller);
        Wake.Set();
    }

    /// <summary>Writes those who wait; after a failure they go on waiting.</summary>
    public async Task Record(CancellationToken cancellation)
    {
        while (waiting.Take(MostOfBatch).OrderBy(one => one.Key).ToArray() is { Length: > 0 } batch)
        {
            var people = batch.Select(one => one.Value).ToArray();
            await using var connection = await source.OpenConnectionAsync(cancellation);
            await using var transaction = await connection.BeginTransactionAsync(cancellation);
            var seen = new
            {
                Ids = people.Select(caller => caller.UserId).ToArray(),
                Usernames = people.Select(caller => caller.Username).ToArray(),
                Nicknames = people.Select(caller => caller.Nickname).ToArray(),
                Emails = people.Select(caller => caller.Email).ToArray(),
                Superusers = people.Select(caller => caller.IsSuperuser).ToArray(),
                Kinds = people.Select(caller => caller.UserId < FirstOwnId ? "codo-admin" : "own").ToArray(),
                // An access token says nothing of its owner: it may be less than the owner is.
                Issued = people.Select(FactsAt).ToArray(),
            };
            var named = (await connection.QueryAsync<long>(NewSql, new { seen.Ids }, transaction)).AsList();
            await connection.ExecuteAsync(RecordSql, seen, transaction);
            var renamed = (await connection.QueryAsync<long>(RenameSql, seen, transaction)).AsList();
            // Access tokens speak with their owner's names: every node reads them anew.
            if (renamed.Count > 0) await Revocations.Announce(connection, transaction);
            named.AddRange(renamed);
            if (named.Count > 0 && await connection.ExecuteAsync(NamesSql, new { Named = named.ToArray() }, transaction) > 0)
                await Control.Notify(connection, transaction, "");
            await transaction.CommitAsync(cancellation);
            foreach (var one in batch) waiting.TryRemove(one);
        }

        foreach (var one in noted)
            if (time.GetElapsedTime(one.Value.At) > Minute * 2)
                noted.TryRemove(one);
    }

    private static DateTime? FactsAt(Caller caller) =>
        caller.AccessTokenId is null ? (caller.Issued ?? DateTimeOffset.UnixEpoch).UtcDateTime : null;

    private sealed record Noted(long At, DateTimeOffset? Issued, string Username, string Nickname, string Email, bool IsSuperuser)
    {
        public bool HasNamesOf(Caller caller) =>
            (Username, Nickname, Email, IsSuperuser) == (caller.Username, caller.Nickname, caller.Email, caller.IsSuperuser);
    }
}
