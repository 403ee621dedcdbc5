using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;

namespace Codo.Platform.Http;

/// <summary>The cookie <c>_xsrf</c>, whose value the console repeats in the header <c>X-Xsrftoken</c>.</summary>
public static class Xsrf
{
    public const string Cookie = "_xsrf";
    public const string Header = "X-Xsrftoken";

    /// <summary>The caller's key. It is set only when it is absent: on a shared domain the cookie belongs to codo-admin.</summary>
    public static string Key(HttpContext context)
    {
        if (context.Request.Cookies.TryGetValue(Cookie, out var key) && !string.IsNullOrEmpty(key)) return key;
        // One request may ask twice, and the answer must name the key that the cookie has.
        if (context.Items.TryGetValue(typeof(Xsrf), out var made)) return (string)made!;
        context.Items[typeof(Xsrf)] = key = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        // Not HttpOnly: the console's script reads it, that is what it is for.
        context.Response.Cookies.Append(Cookie, key, new CookieOptions { Path = "/", SameSite = SameSiteMode.Lax, Secure = context.Request.IsHttps });
        return key;
    }
}
