using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// Tokens that were taken back before their end, by their <c>jti</c> or by their person. Every request asks, so they are held in memory: read before the host
/// listens, after each announcement on the control channel, and every second as a fallback. While PostgreSQL is away the last ones hold.
/// </summary>
internal sealed class Revocations(NpgsqlDataSource source)
{
    private const string CountSql = """
        SELECT count(*) FROM accounts.revocation
        """;

    private const string TokensSql = """
        SELECT DISTINCT jti FROM accounts.revocation WHERE jti IS NOT NULL
        """;

    private const string PeopleSql = """
        SELECT user_id, max(revoked_at) AS revoked_at FROM accounts.revocation WHERE user_id IS NOT NULL GROUP BY user_id
        """;

    private readonly Lock gate = new();
    private volatile Known known = new(-1, new(StringComparer.Ordinal), []);

    /// <summary>Set when another node has announced something.</summary>
    public WakeSignal Announced { get; } = new();

    /// <summary>Raised when there are more: what is open for longer than a request looks again.</summary>
    public event Action? Added;

    /// <summary>Whether the token that brought the caller in is taken back.</summary>
    public bool Cover(Caller caller)
    {
        var now = known;
        // A token that does not say when it was issued may be from before.
        return (caller.TokenId.Length > 0 && now.Tokens.Contains(caller.TokenId))
            || (now.People.TryGetValue(caller.UserId, out var until) && !(caller.Issued > until));
    }

    /// <summary>Reads what is new.</summary>
    public async Task Refresh(CancellationToken cancellation)
    {
        await using (var connection = await source.OpenConnectionAsync(cancellation))
        {
            // Counted first: what is added while the rest is read is read again.
            var count = await connection.ExecuteScalarAsync<long>(CountSql);
            if (count == known.Count) return;
            var tokens = (await connection.QueryAsync<string>(TokensSql)).ToHashSet(StringComparer.Ordinal);
            var people = (await connection.QueryAsync<(long UserId, DateTime At)>(PeopleSql)).ToDictionary(
                person => person.UserId,
                person => new DateTimeOffset(person.At, TimeSpan.Zero)
            );
            lock (gate)
            {
                if (count > known.Count) known = new Known(count, tokens, people);
            }
        }

        Added?.Invoke();
    }

    private sealed record Known(long Count, HashSet<string> Tokens, Dictionary<long, DateTimeOffset> People);
}
