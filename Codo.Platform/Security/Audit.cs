using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Platform.Security;

/// <summary>Who changed what. Written in the transaction of the change itself, so that neither exists without the other.</summary>
public static class Audit
{
    // Characters of a text that are kept as they are, and of a whole line.
    private const int LongText = 1024, LongLine = 64 << 10;

    private const string WriteSql = """
        INSERT INTO platform.audit (user_id, username, nickname, address, request_id, action, kind, object_id, before, after, result)
        VALUES (@UserId, @Username, @Nickname, @Address, @RequestId, @Action, @Kind, @ObjectId, CAST(@Before AS jsonb), CAST(@After AS jsonb), @Result)
        """;

    /// <summary>
    /// The line of a new object as the end of the very statement that makes it, for what is made a thousand times a second: one round trip instead of three.
    /// Put it behind <c>WITH made AS (INSERT … RETURNING … AS id)</c> and give it <see cref="Made"/>; it answers the id, or nothing when nothing was made.
    /// </summary>
    public const string MadeLine = """
        INSERT INTO platform.audit (user_id, username, nickname, address, request_id, action, kind, object_id, after)
        SELECT @UserId, @Username, @Nickname, @Address, @RequestId, 'create', @Kind, made.id::text, CAST(@After AS jsonb) FROM made
        RETURNING CAST(object_id AS bigint)
        """;

    /// <summary>The parameters of <see cref="MadeLine"/>, to which the statement adds its own; <c>@UserId</c> and <c>@Username</c> are the caller's.</summary>
    public static DynamicParameters Made(Caller caller, string kind, object after) => new(new
    {
        caller.UserId,
        caller.Username,
        caller.Nickname,
        caller.Address,
        caller.RequestId,
        Kind = kind,
        After = Kept(after),
    });

    /// <summary>Writes one line.</summary>
    /// <param name="action">The verb: <c>create</c>, <c>edit</c>, <c>pause</c>, <c>kill</c>, <c>approve</c>.</param>
    /// <param name="kind">What was changed: <c>job</c>, <c>order</c>, <c>template</c>.</param>
    /// <param name="before">What it was; null when it is new. The caller of this method leaves secrets out or masks them.</param>
    /// <param name="after">What it is now; null when it is gone.</param>
    /// <param name="result"><c>ok</c>, <c>refused</c> or <c>failed</c>.</param>
    public static Task Write(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        Caller caller,
        string action,
        string kind,
        string objectId,
        object? before = null,
        object? after = null,
        string result = "ok"
    ) =>
        connection.ExecuteAsync(
            WriteSql,
            new
            {
                caller.UserId,
                caller.Username,
                caller.Nickname,
                caller.Address,
                caller.RequestId,
                Action = action,
                Kind = kind,
                ObjectId = objectId,
                Before = Kept(before),
                After = Kept(after),
                Result = result,
            },
            transaction
        );

    // What a person reads of a long text is its beginning; the digest says whether two are the same. The table is append-only, so nobody could take a flood
    // back out of it.
    private static string? Kept(object? value)
    {
        if (value is null) return null;
        var whole = JsonSerializer.Serialize(value, Json.Stored);
        if (whole.Length <= LongText) return whole;
        var shorter = Shorten(JsonNode.Parse(whole))!.ToJsonString(Json.Stored);
        return shorter.Length <= LongLine
            ? shorter
            : new JsonObject
            {
                ["sha256"] = Digest(whole),
                ["length"] = whole.Length,
                ["beginning"] = OutsideText.Head(whole, LongText),
            }.ToJsonString(Json.Stored);
    }

    private static JsonNode? Shorten(JsonNode? node) =>
        node switch
        {
            JsonObject members => new JsonObject(members.Select(member => KeyValuePair.Create(member.Key, Shorten(member.Value)))),
            JsonArray items => new JsonArray([.. items.Select(Shorten)]),
            JsonValue given when given.TryGetValue<string>(out var text) && text.Length > LongText => JsonValue.Create(
                $"{OutsideText.Head(text, LongText)}… (sha256 {Digest(text)}, {text.Length})"
            ),
            _ => node?.DeepClone(),
        };

    private static string Digest(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
