namespace Codo.Host.Auth;

/// <summary>
/// The cookie of a sign-in here: for this host alone, out of reach of scripts, and under a name of its own, so that codo-admin's <c>auth_key</c> is left alone.
/// Under HTTPS it has the prefix with which browsers refuse one that a neighbour of the domain, or somebody on the way, has set.
/// </summary>
internal static class SessionCookie
{
    private const string Plain = "codo_auth", Secure = "__Host-codo_auth";

    public static string? Read(HttpRequest request) =>
        request.Cookies.TryGetValue(Name(request), out var token) && token.Length > 0 ? token : null;

    public static void Append(HttpContext context, string token, DateTimeOffset? expires) =>
        context.Response.Cookies.Append(Name(context.Request), token, Options(context, expires));

    public static void Delete(HttpContext context) => context.Response.Cookies.Delete(Name(context.Request), Options(context, null));

    private static string Name(HttpRequest request) => request.IsHttps ? Secure : Plain;

    private static CookieOptions Options(HttpContext context, DateTimeOffset? expires) =>
        new()
        {
            HttpOnly = true,
            Path = "/",
            SameSite = SameSiteMode.Lax,
            Secure = context.Request.IsHttps,
            Expires = expires,
        };
}
