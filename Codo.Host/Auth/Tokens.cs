using System.Globalization;
using System.Text;
using System.Text.Json;
using Codo.Host.Accounts;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Codo.Host.Auth;

/// <summary>Where a request's token came from: only a cookie is sent by a browser without the page asking for it.</summary>
internal enum TokenSource
{
    None,
    Header,
    Query,
    Cookie,
}

/// <summary>Reads and verifies the JWT of a request: signature, algorithm and life time, which the original leaves out.</summary>
internal sealed class Tokens
{
    /// <summary>How far the issuer's clock may be ahead; expiry is taken to the second.</summary>
    private static readonly TimeSpan EarlyBy = TimeSpan.FromSeconds(10);

    // Characters of a name that are kept.
    private const int MostWord = 200;

    private readonly JsonWebTokenHandler handler = new() { MapInboundClaims = false };
    private readonly TokenValidationParameters parameters;

    private readonly Revocations revocations;
    private readonly AccessTokens access;

    public Tokens(SigningKeys keys, TimeProvider time, Revocations revocations, AccessTokens access)
    {
        (this.revocations, this.access) = (revocations, access);
        parameters = new TokenValidationParameters
        {
            IssuerSigningKeys = keys.All,
            ValidAlgorithms = [SecurityAlgorithms.HmacSha256],
            RequireSignedTokens = true,
            ValidateIssuer = false,
            ValidateAudience = false,
            LifetimeValidator = (from, until, _, _) =>
            {
                var now = time.GetUtcNow().UtcDateTime;
                if (until is null) throw new SecurityTokenMalformedException("no exp");
                if (until <= now) throw new SecurityTokenExpiredException();
                return from is null || from <= now + EarlyBy ? true : throw new SecurityTokenNotYetValidException();
            },
        };
    }

    /// <summary>An explicit header wins over a query value, and that over a cookie.</summary>
    public static (string Token, TokenSource Source) Find(HttpRequest request)
    {
        if (request.Headers["auth-key"].ToString() is { Length: > 0 } header) return (header, TokenSource.Header);
        if (request.Headers.Authorization.ToString() is { } bearer && bearer.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return (bearer["Bearer ".Length..].Trim(), TokenSource.Header);
        if (request.Query["auth_key"].ToString() is { Length: > 0 } query) return (query, TokenSource.Query);
        if (SessionCookie.Read(request) is { } own) return (own, TokenSource.Cookie);
        return AuthKeyCookie(request) is { } cookie ? (cookie, TokenSource.Cookie) : ("", TokenSource.None);
    }

    /// <summary>The token of codo-admin's cookie; null where there is none.</summary>
    public static string? AuthKeyCookie(HttpRequest request) =>
        request.Cookies.TryGetValue("auth_key", out var cookie) && cookie.Trim('"') is { Length: > 0 } token ? token : null;

    /// <summary>
    /// The caller, or why there is none: missing, malformed, signature, expired, not_yet_valid, no_user_id, revoked, disabled; of an access token also unknown
    /// and network.
    /// </summary>
    public async Task<(Caller? Caller, string Reason)> Read(HttpContext context, string token)
    {
        if (token.Length == 0) return (null, "missing");
        if (token.StartsWith(AccessTokens.Prefix, StringComparison.Ordinal)) return await ReadAccess(context, token);
        try
        {
            return await Verified(context, token);
        }
        catch (Exception error)
            when (error is InvalidOperationException or JsonException or ArgumentException or DecoderFallbackException or SecurityTokenException)
        {
            // Half a surrogate pair, or bytes that are no text: nobody signs such a thing by accident.
            return (null, "malformed");
        }
    }

    private async Task<(Caller? Caller, string Reason)> ReadAccess(HttpContext context, string token)
    {
        if (!AccessTokens.IsOne(token)) return (null, "malformed");
        var found = access.Find(context, token);
        // Another node may have made it in this second.
        if (found.Reason == "unknown" && await revocations.Poll(context.RequestAborted)) found = access.Find(context, token);
        if (found.Caller is not { } caller) return found;
        return revocations.Against(caller) is { } reason ? (null, reason) : (caller, "");
    }

    private async Task<(Caller? Caller, string Reason)> Verified(HttpContext context, string token)
    {
        var result = await handler.ValidateTokenAsync(token, parameters);
        if (!result.IsValid)
        {
            return (null, result.Exception switch
            {
                SecurityTokenExpiredException => "expired",
                SecurityTokenNotYetValidException => "not_yet_valid",
                SecurityTokenMalformedException or ArgumentException => "malformed",
                _ => handler.CanReadToken(token) ? "signature" : "malformed",
            });
        }
        var jwt = (JsonWebToken)result.SecurityToken;
        // Its extensions must be understood or the token refused (RFC 7515, 4.1.11), and none is known here.
        if (jwt.TryGetHeaderValue<JsonElement>("crit", out _))
            return (null, "malformed");
        if (!jwt.TryGetPayloadValue<JsonElement>("data", out var data) || data.ValueKind != JsonValueKind.Object || UserId(data) is not { } id)
            return (null, "no_user_id");
        var username = Word(data, "username");
        var nickname = Word(data, "nickname");
        var address = context.Connection.RemoteIpAddress?.ToString() ?? "";
        var caller = new Caller(
            id,
            username,
            nickname.Length > 0 ? nickname : username,
            Word(data, "email"),
            IsTrue(data, "is_superuser"),
            address,
            context.TraceIdentifier
        );
        caller = caller with
        {
            Expires = new DateTimeOffset(jwt.ValidTo, TimeSpan.Zero),
            TokenId = jwt.Id ?? "",
            Issued = jwt.IssuedAt > DateTime.MinValue ? new DateTimeOffset(jwt.IssuedAt, TimeSpan.Zero) : null,
        };
        return revocations.Against(caller) is { } reason ? (null, reason) : (caller, "");
    }

    /// <summary>The name that an unverified token claims, for the log alone.</summary>
    public string ClaimedName(string token)
    {
        try
        {
            return
                handler.CanReadToken(token)
                && handler.ReadJsonWebToken(token).TryGetPayloadValue<JsonElement>("data", out var data)
                && data.ValueKind == JsonValueKind.Object
                ? Word(data, "username")
                : "";
        }
        catch (Exception error)
            when (error is ArgumentException or SecurityTokenException or JsonException or InvalidOperationException or DecoderFallbackException)
        {
            return "";
        }
    }

    private static long? UserId(JsonElement data)
    {
        if (!data.TryGetProperty("user_id", out var value)) return null;
        // 0 is Codo itself, and nobody's in what was imported.
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number))
            return number > 0 ? number : null;
        return
            value.ValueKind == JsonValueKind.String
            && long.TryParse(value.GetString(), NumberStyles.None, CultureInfo.InvariantCulture, out var digits)
            && digits > 0
            ? digits
            : null;
    }

    private static string Word(JsonElement data, string name)
    {
        // Half a surrogate pair, as an escape, throws: JSON takes it, text cannot. Such a token is malformed.
        return data.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? OutsideText.Clean(value.GetString(), MostWord) : "";
    }

    private static bool IsTrue(JsonElement data, string name) => data.TryGetProperty(name, out var value)
        && (value.ValueKind == JsonValueKind.True || (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var one) && one == 1));
}
