using Microsoft.AspNetCore.Http;

namespace Codo.Platform.Http;

/// <summary>Who is asking. Rights are decided by <see cref="UserId"/> alone; names are what is shown.</summary>
/// <param name="UserId">The token's <c>data.user_id</c>; 0 is Codo itself.</param>
/// <param name="Username">The token's <c>data.username</c>.</param>
/// <param name="Nickname">The token's <c>data.nickname</c>, the username when it has none.</param>
/// <param name="IsSuperuser">The token's <c>data.is_superuser</c>.</param>
/// <param name="Address">Where the request came from.</param>
/// <param name="RequestId">The request's <c>X-Request-Id</c>.</param>
public sealed record Caller(long UserId, string Username, string Nickname, string Email, bool IsSuperuser, string Address, string RequestId)
{
    /// <summary>When the token ends; null for what has none.</summary>
    public DateTimeOffset? Expires { get; init; }

    /// <summary>The token's <c>jti</c>; empty for one that has none.</summary>
    public string TokenId { get; init; } = "";

    /// <summary>When the token was issued (<c>iat</c>); null for one that does not say.</summary>
    public DateTimeOffset? Issued { get; init; }

    /// <summary>The number of the access token that the request came with; null for every other token.</summary>
    public long? AccessTokenId { get; init; }

    /// <summary>What the token was made for: it cuts down what its person may do, a superuser too. A token that names no scope has all.</summary>
    public Verbs Scope { get; init; } = Verbs.All;

    /// <summary>What Codo does by itself: schedules, sweeps, settling.</summary>
    public static readonly Caller Codo = new(0, "codo", "Codo", "", true, "", "");

    private static readonly object Key = new();

    /// <summary>The caller of this request; null before its token was accepted.</summary>
    public static Caller? Of(HttpContext context) => context.Items.TryGetValue(Key, out var caller) ? (Caller?)caller : null;

    /// <summary>Sets the caller once its token was accepted.</summary>
    public static void Set(HttpContext context, Caller caller) => context.Items[Key] = caller;
}
