using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// Tokens that were taken back before their end, by their <c>jti</c> or by their person, and people who are disabled. Every request asks, so they are held in
/// memory: read before the host listens, and after each change, of which the control channel tells and <see cref="WatchedState"/> within a second. While
/// PostgreSQL is away the last ones hold.
/// </summary>
internal sealed class Revocations(NpgsqlDataSource source, AccessTokens access) : IDisposable
{
    // An older node adds revocations without raising the generation, and those past their end are deleted: both numbers say whether there is something new.
    private const string StateSql = """
        SELECT (SELECT count(*) FROM accounts.revocation) AS count, coalesce((SELECT number FROM accounts.generation), 0) AS generation
        """;

    /// <summary><see cref="StateSql"/> as one value.</summary>
    public const string VersionSql = $"SELECT concat(count, ' ', generation) FROM ({StateSql}) state";

    private const string HasAccountsSql = """
        SELECT EXISTS (SELECT FROM accounts.own_account)
        """;

    private const string TokensSql = """
        SELECT DISTINCT jti FROM accounts.revocation WHERE jti IS NOT NULL AND (until IS NULL OR until > clock_timestamp() - interval '2 days')
        """;

    private const string PeopleSql = """
        SELECT user_id, max(revoked_at) AS revoked_at, max(revoked_at) FILTER (WHERE NOT sessions_only) AS all_revoked_at
        FROM accounts.revocation WHERE user_id IS NOT NULL AND except_jti IS NULL GROUP BY user_id
        """;

    private const string OthersSql = """
        SELECT user_id, except_jti, max(revoked_at) AS revoked_at FROM accounts.revocation WHERE except_jti IS NOT NULL GROUP BY user_id, except_jti
        """;

    private const string DisabledSql = """
        SELECT user_id FROM accounts.person WHERE disabled
        """;

    private const string RaiseSql = """
        UPDATE accounts.generation SET number = number + 1
        """;

    // Kept a little longer than the token: clocks differ. One that ends with the calendar is refused for good.
    private const string RevokeIssuedAfterSql = """
        INSERT INTO accounts.revocation (jti, until, by_id, reason)
        SELECT jti, CASE WHEN expires_at < '9999-12-31' THEN expires_at + interval '1 hour' END, @By, 'issued ahead' FROM accounts.session
        WHERE user_id = @UserId AND issued_at > @RevokedAt AND jti IS DISTINCT FROM CAST(@Except AS text)
        """;

    // Milliseconds.
    private const int BetweenLooks = 100;

    private static readonly ILookup<long, (string Except, DateTimeOffset At)> Nobody =
        Array.Empty<(string, DateTimeOffset)>().ToLookup(_ => 0L);

    private readonly SemaphoreSlim reading = new(1);
    private long lookedAt = -BetweenLooks;
    private volatile Known known = new((-1, -1), new(StringComparer.Ordinal), [], [], Nobody, false);

    /// <summary>Set when another node has announced something.</summary>
    public WakeSignal Announced { get; } = new();

    /// <summary>Whether anybody has a password here: else nobody is asked for one.</summary>
    public bool HasAccounts => known.HasAccounts;

    /// <summary>Raised when there are more: what is open for longer than a request looks again.</summary>
    public event Action? Added;

    /// <summary>Makes every node read anew, once the caller's transaction commits.</summary>
    public static async Task Announce(NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        await connection.ExecuteAsync(RaiseSql, transaction: transaction);
        await Control.Notify(connection, transaction, "");
    }

    /// <summary>
    /// Revokes, by jti, a person's recorded sessions with an issue time after <paramref name="revokedAt"/> (the clock was ahead, or the session followed
    /// another revocation in the same second): the revocation by time does not cover them. A session of another issuer that was never used is not recorded,
    /// and stays.
    /// </summary>
    /// <param name="revokedAt">UTC; the time of the revocation in this transaction.</param>
    /// <param name="except">The <c>jti</c> of the one that goes on.</param>
    public static Task RevokeIssuedAfter(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        long userId,
        DateTime revokedAt,
        long by,
        string? except = null
    ) =>
        connection.ExecuteAsync(
            RevokeIssuedAfterSql,
            new
            {
                UserId = userId,
                RevokedAt = revokedAt,
                By = by,
                Except = except,
            },
            transaction
        );

    /// <summary>Why the token that brought the caller in is refused: <c>revoked</c>, <c>disabled</c>; null when it is not.</summary>
    public string? Against(Caller caller)
    {
        var now = known;
        if (now.Disabled.Contains(caller.UserId)) return "disabled";
        if (caller.TokenId.Length > 0 && now.Tokens.Contains(caller.TokenId)) return "revoked";
        if (caller.AccessTokenId is { } id && !access.Has(id)) return "revoked";
        if (caller.AccessTokenId is null && now.Others[caller.UserId].Any(one => caller.TokenId != one.Except && !(caller.Issued > one.At))) return "revoked";
        if (!now.People.TryGetValue(caller.UserId, out var ended)) return null;
        // A new password ends sign-ins; programs go on. A token that does not say when it was issued may be from before.
        var until = caller.AccessTokenId is null ? ended.Sessions : ended.All;
        return until is not null && !(caller.Issued > until) ? "revoked" : null;
    }

    /// <summary>
    /// Reads what is new before the next second, for a token that is not known yet; false where that was done a moment ago, or PostgreSQL is away. Strangers
    /// bring unknown tokens as often as they like.
    /// </summary>
    public async Task<bool> Poll(CancellationToken cancellation)
    {
        var (now, before) = (Environment.TickCount64, Interlocked.Read(ref lookedAt));
        if (now - before < BetweenLooks || Interlocked.CompareExchange(ref lookedAt, now, before) != before) return false;
        try
        {
            await Refresh(cancellation);
            return true;
        }
        catch (Exception error) when (DatabaseErrors.IsTransient(error))
        {
            return false;
        }
    }

    /// <summary>Reads what is new; false where nothing was.</summary>
    public async Task<bool> Refresh(CancellationToken cancellation)
    {
        await reading.WaitAsync(cancellation);
        try
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            // Read first: what is added while the rest is read is read again.
            var state = await connection.QuerySingleAsync<(long, long)>(StateSql);
            if (state == known.State) return false;
            var tokens = (await connection.QueryAsync<string>(TokensSql)).ToHashSet(StringComparer.Ordinal);
            var people = (await connection.QueryAsync<(long UserId, DateTime Sessions, DateTime? All)>(PeopleSql)).ToDictionary(
                person => person.UserId,
                person => (Time(person.Sessions), person.All is { } all ? Time(all) : (DateTimeOffset?)null)
            );
            var disabled = (await connection.QueryAsync<long>(DisabledSql)).ToHashSet();
            var others = (await connection.QueryAsync<(long UserId, string Except, DateTime At)>(OthersSql)).ToLookup(
                one => one.UserId,
                one => (one.Except, Time(one.At))
            );
            await access.Load(connection);
            known = new Known(state, tokens, people, disabled, others, await connection.ExecuteScalarAsync<bool>(HasAccountsSql));
        }
        finally
        {
            reading.Release();
        }

        Added?.Invoke();
        return true;
    }

    public void Dispose() => reading.Dispose();

    private static DateTimeOffset Time(DateTime utc) => new(utc, TimeSpan.Zero);

    private sealed record Known(
        (long Count, long Generation) State,
        HashSet<string> Tokens,
        Dictionary<long, (DateTimeOffset Sessions, DateTimeOffset? All)> People,
        HashSet<long> Disabled,
        ILookup<long, (string Except, DateTimeOffset At)> Others,
        bool HasAccounts
    );
}
