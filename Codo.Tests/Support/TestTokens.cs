using System.Text;
using System.Text.Json.Nodes;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Codo.Tests.Support;

/// <summary>Tokens as codo-admin signs them.</summary>
internal static class TestTokens
{
    public const string Secret = "a-secret-for-tests-of-more-than-32-bytes";

    public static readonly string Admin = For(1, "admin", superuser: true);

    public static string For(long userId, string username, bool superuser = false, string? nickname = null) =>
        Sign(Payload(userId, username, superuser, nickname));

    public static JsonObject Payload(long userId, string username, bool superuser = false, string? nickname = null)
    {
        var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        return new JsonObject
        {
            ["exp"] = now + 86_400,
            ["nbf"] = now - 10,
            ["iat"] = now - 10,
            ["iss"] = "auth: ss",
            ["sub"] = "my token",
            ["data"] = new JsonObject
            {
                ["user_id"] = userId,
                ["username"] = username,
                ["nickname"] = nickname ?? username,
                ["email"] = $"{username}@example.test",
                ["is_superuser"] = superuser,
            },
        };
    }

    public static string Sign(JsonObject payload, string secret = Secret) =>
        new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(
            payload.ToJsonString(),
            new SigningCredentials(new SymmetricSecurityKey(Encoding.UTF8.GetBytes(secret)), SecurityAlgorithms.HmacSha256)
        );
}
