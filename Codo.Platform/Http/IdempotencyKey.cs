using Microsoft.AspNetCore.Http;

namespace Codo.Platform.Http;

/// <summary>
/// The header <c>Idempotency-Key</c>: whoever got no answer sends the request again with the same key, and what it asked for is done once. A key is the
/// caller's own and is kept for 24 hours.
/// </summary>
public static class IdempotencyKey
{
    public const string Header = "Idempotency-Key";

    /// <summary>In characters.</summary>
    public const int Longest = 200;

    /// <summary>The request's key; empty where it has none.</summary>
    /// <exception cref="Refusal">It is longer than 200 characters.</exception>
    public static string Of(HttpContext? context)
    {
        var key = context?.Request.Headers[Header].ToString() ?? "";
        return key.Length <= Longest
            ? key
            : throw Refusal.Invalid($"{Header} 不能超过 {Longest} 个字符", $"{Header} is longer than {Longest} characters");
    }
}
