using System.Buffers;
using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using Npgsql;
using IPNetwork = System.Net.IPNetwork;

namespace Codo.Host.Accounts;

/// <summary>
/// The access tokens that are good, in memory: a request costs a digest and no query, and while PostgreSQL is away the last ones hold.
/// <see cref="Revocations"/> reads them anew whenever one is made or revoked anywhere.
/// </summary>
internal sealed class AccessTokens(NpgsqlDataSource source, SecretBox box, TimeProvider time, ILogger<AccessTokens> log)
{
    public const string Prefix = "codo_";

    /// <summary>What a token may be limited to: the verbs of the roles.</summary>
    public static readonly IReadOnlyList<string> AllScopes = [.. Roles.Words.Keys];

    private const string Alphabet = "abcdefghijklmnopqrstuvwxyz234567", Place = "accounts.access_token.digest";

    // 5 bits each: 160.
    private const int Letters = 32;

    private const string LiveSql = """
        SELECT t.token_id, t.digest, array_to_string(t.scopes, ',', '?') AS scopes, array_to_string(t.networks, ',', '?') AS networks,
            t.created_at, t.expires_at, p.user_id, p.username, p.nickname, p.email,
            p.is_superuser AND t.of_superuser AS is_superuser
        FROM accounts.access_token t JOIN accounts.person p USING (user_id)
        WHERE t.revoked_at IS NULL AND t.expires_at > clock_timestamp()
        """;

    private const string UsedSql = """
        UPDATE accounts.access_token t SET last_used_at = u.at, last_used_from = u.address
        FROM unnest(CAST(@Ids AS bigint[]), CAST(@Times AS timestamptz[]), CAST(@Addresses AS text[])) AS u (token_id, at, address)
        WHERE t.token_id = u.token_id AND (t.last_used_at IS NULL OR t.last_used_at < u.at)
        """;

    private static readonly SearchValues<char> OfAlphabet = SearchValues.Create(Alphabet);

    private volatile Known known = new(new(StringComparer.Ordinal), []);
    private readonly ConcurrentDictionary<long, (DateTime At, string Address)> used = new();

    /// <summary>A new token.</summary>
    public static string Make() => Prefix + RandomNumberGenerator.GetString(Alphabet, Letters);

    /// <summary>What is stored of it.</summary>
    public string Digest(string token) => box.Digest(token, Place);

    /// <summary>Whether a text has the form of a token: anything else is not looked for.</summary>
    public static bool IsOne(string text) =>
        text.Length == Prefix.Length + Letters
        && text.StartsWith(Prefix, StringComparison.Ordinal)
        && !text.AsSpan(Prefix.Length).ContainsAnyExcept(OfAlphabet);

    /// <summary>Whether the token is still good.</summary>
    public bool Has(long tokenId) => known.Owners.ContainsKey(tokenId);

    /// <summary>Whether the token is good and makes its bearer a superuser now: a stream keeps the caller that it began with.</summary>
    public bool IsSuperusers(long tokenId) => known.Owners.TryGetValue(tokenId, out var owner) && owner.IsSuperuser;

    /// <summary>The caller, or why there is none: unknown, expired, network.</summary>
    public (Caller? Caller, string Reason) Find(HttpContext context, string token)
    {
        if (box.Digests(token, Place).Select(digest => known.Tokens.GetValueOrDefault(digest)).FirstOrDefault(one => one is not null) is not { } found)
            return (null, "unknown");
        var now = time.GetUtcNow();
        if (found.Expires <= now) return (null, "expired");
        var address = context.Connection.RemoteIpAddress ?? IPAddress.None;
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        if (found.Networks.Length > 0 && !found.Networks.Any(network => network.Contains(address))) return (null, "network");
        used[found.TokenId] = (now.UtcDateTime, address.ToString());
        return (found.Owner with { Address = address.ToString(), RequestId = context.TraceIdentifier }, "");
    }

    /// <summary>Reads all that are good; a row that does not read is left out, and refuses its token.</summary>
    public async Task Load(NpgsqlConnection connection)
    {
        var (tokens, owners) = (new Dictionary<string, Entry>(StringComparer.Ordinal), new Dictionary<long, Caller>());
        foreach (var row in await connection.QueryAsync<Row>(LiveSql))
        {
            try
            {
                var entry = ToEntry(row);
                tokens[row.Digest] = entry;
                owners[row.TokenId] = entry.Owner;
            }
            catch (Exception failure) when (failure is FormatException or ArgumentException)
            {
                log.LogWarning("The access token {TokenId} does not read and is refused: {Reason}", row.TokenId, failure.Message);
            }
        }

        known = new Known(tokens, owners);
    }

    /// <summary>Writes when and from where tokens were last used.</summary>
    public async Task Record(CancellationToken cancellation)
    {
        var uses = used.OrderBy(one => one.Key).ToArray();
        if (uses.Length == 0) return;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(
            UsedSql,
            new
            {
                Ids = uses.Select(one => one.Key).ToArray(),
                Times = uses.Select(one => one.Value.At).ToArray(),
                Addresses = uses.Select(one => one.Value.Address).ToArray(),
            }
        );
        foreach (var one in uses) used.TryRemove(one);
    }

    private static Entry ToEntry(Row row)
    {
        var scope = row.Scopes.Split(',').Aggregate(Verbs.None, (all, word) => all | Roles.Words.GetValueOrDefault(word));
        // A token without the verb admin is no superuser's, whoever has made it.
        var owner = new Caller(row.UserId, row.Username, row.Nickname, row.Email, row.IsSuperuser && scope.HasFlag(Verbs.Admin), "", "")
        {
            Expires = Time(row.ExpiresAt),
            Issued = Time(row.CreatedAt),
            TokenId = $"access-{row.TokenId}",
            AccessTokenId = row.TokenId,
            Scope = scope,
        };
        return new Entry(row.TokenId, owner, [.. row.Networks.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(ParseNetwork)], Time(row.ExpiresAt));
    }

    /// <summary>A network, or one address.</summary>
    /// <exception cref="FormatException">It is neither.</exception>
    public static IPNetwork ParseNetwork(string text)
    {
        if (text.Contains('/', StringComparison.Ordinal)) return IPNetwork.Parse(text);
        var address = IPAddress.Parse(text);
        return new IPNetwork(address, address.GetAddressBytes().Length * 8);
    }

    private static DateTimeOffset Time(DateTime utc) => new(utc, TimeSpan.Zero);

    private sealed record Row(
        long TokenId,
        string Digest,
        string Scopes,
        string Networks,
        DateTime CreatedAt,
        DateTime ExpiresAt,
        long UserId,
        string Username,
        string Nickname,
        string Email,
        bool IsSuperuser
    );

    private sealed record Entry(long TokenId, Caller Owner, IPNetwork[] Networks, DateTimeOffset Expires);

    private sealed record Known(Dictionary<string, Entry> Tokens, Dictionary<long, Caller> Owners);
}
