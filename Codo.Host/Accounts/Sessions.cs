using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Host.Auth;
using Codo.Platform.Http;
using Microsoft.IdentityModel.JsonWebTokens;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>A person who is signed in, as the session's token names the person.</summary>
internal sealed record SignedIn(long UserId, string Username, string Nickname, string Email, bool IsSuperuser);

/// <summary>Signs people in: a token of the shape that every other has, and the cookie that carries it. Each sign-in is a new token.</summary>
internal sealed class Sessions(SigningKeys keys, AuthSettings settings, TimeProvider time)
{
    private readonly JsonWebTokenHandler handler = new() { SetDefaultTimesOnTokenCreation = false };

    /// <summary>
    /// Signs the person in, and gives the browser the cookie. The session is recorded in the transaction: a revocation ends it before it was ever used, also
    /// where it is issued in the next second.
    /// </summary>
    /// <param name="after">
    /// What was issued up to then is revoked. A token says in whole seconds when it was issued: one of the same second would be too.
    /// </param>
    public async Task<(string Token, DateTimeOffset Expires)> Open(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        HttpContext context,
        SignedIn person,
        DateTime? after
    )
    {
        var now = time.GetUtcNow();
        var ended = after is { } revoked ? new DateTimeOffset(revoked, TimeSpan.Zero).ToUnixTimeSeconds() : 0;
        var expires = now + TimeSpan.FromHours(settings.SessionHours);
        var issued = Math.Max(now.ToUnixTimeSeconds(), ended + 1);
        var tokenId = Guid.NewGuid().ToString("N");
        var payload = new JsonObject
        {
            ["exp"] = expires.ToUnixTimeSeconds(),
            ["nbf"] = now.ToUnixTimeSeconds(),
            ["iat"] = issued,
            ["iss"] = "codo",
            ["sub"] = "session",
            ["jti"] = tokenId,
            ["data"] = new JsonObject
            {
                ["user_id"] = person.UserId,
                ["username"] = person.Username,
                ["nickname"] = person.Nickname,
                ["email"] = person.Email,
                ["is_superuser"] = person.IsSuperuser,
            },
        };
        var token = handler.CreateToken(payload.ToJsonString(JsonSerializerOptions.Default), keys.Session);
        var signedIn = Stranger(context) with
        {
            UserId = person.UserId,
            TokenId = tokenId,
            Issued = DateTimeOffset.FromUnixTimeSeconds(issued),
            Expires = expires,
        };
        await SeenSessions.Write(connection, transaction, [(signedIn, context.Request.Headers.UserAgent.ToString())]);
        SessionCookie.Append(context, token, expires);
        return (token, expires);
    }

    /// <summary>Who asks, for the record, before or without a sign-in.</summary>
    public static Caller Stranger(HttpContext context, OwnAccount? account = null) =>
        new(
            account?.UserId ?? 0,
            account?.Username ?? "",
            account?.Nickname ?? "",
            account?.Email ?? "",
            false,
            context.Connection.RemoteIpAddress?.ToString() ?? "",
            context.TraceIdentifier
        );
}
