using System.Security.Cryptography;
using System.Text;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;

namespace Codo.Host.Auth;

/// <summary>
/// A change, or a WebSocket handshake, that a browser sends with the cookie must come from a page that may: the cookie alone does not say so.
/// </summary>
internal static class CrossOrigin
{
    private static readonly Text Refused = new("csrf error: 跨站请求被拒绝，请刷新页面后重试", "csrf error: a cross-origin request was refused; reload the page and try again");

    /// <summary>Answers 402 and returns false when the request may come from somebody else's page.</summary>
    public static async Task<bool> Allows(HttpContext context, TokenSource source)
    {
        if (source != TokenSource.Cookie) return true;
        var request = context.Request;
        var reads = HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method) || HttpMethods.IsOptions(request.Method);
        if (reads && !context.WebSockets.IsWebSocketRequest)
        {
            Xsrf.Key(context);
            return true;
        }
        if (HasKey(request) || HasOrigin(context) || IsNoBrowser(request))
            return true;
        if (context.WebSockets.IsWebSocketRequest && (HasKeyInQuery(request) || IsHostWithoutPort(request)))
            return true;
        Log(context)
            .LogWarning(
                "Refused as cross-origin: {Method} {Path} from a page of {Origin}, while the host is called {Host}; Codo:PublicUrl or "
                    + "Codo:Auth:AllowedOrigins lets that page in",
                request.Method,
                request.Path.Value,
                request.Headers.Origin.ToString(),
                request.Host.Value
            );
        await Failures.Write(context, 402, 402, Refused);
        return false;
    }

    private static bool HasKey(HttpRequest request) =>
        request.Cookies.TryGetValue(Xsrf.Cookie, out var key) && key.Length > 0
        && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(request.Headers[Xsrf.Header].ToString()), Encoding.UTF8.GetBytes(key));

    // A script cannot set a header of a handshake.
    private static bool HasKeyInQuery(HttpRequest request) =>
        request.Cookies.TryGetValue(Xsrf.Cookie, out var key) && key.Length > 0
        && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(request.Query[Xsrf.Cookie].ToString()), Encoding.UTF8.GetBytes(key));

    // nginx's $host drops the port that the page was loaded from. A Host with a port is never compared this way.
    private static bool IsHostWithoutPort(HttpRequest request) =>
        request.Host.Port is null && Uri.TryCreate(request.Headers.Origin.ToString(), UriKind.Absolute, out var origin)
        && string.Equals(origin.Host, request.Host.Host, StringComparison.OrdinalIgnoreCase);

    private static ILogger Log(HttpContext context) => context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("Codo.Auth");

    // The scheme is not compared with the host's own: behind a proxy that ends TLS the two differ.
    private static bool HasOrigin(HttpContext context)
    {
        if (!Uri.TryCreate(context.Request.Headers.Origin.ToString(), UriKind.Absolute, out var origin)) return false;
        if (string.Equals(origin.Authority, Authority(context.Request), StringComparison.OrdinalIgnoreCase)) return true;
        var configuration = context.RequestServices.GetRequiredService<IConfiguration>();
        var allowed = configuration.GetSection("Codo:Auth:AllowedOrigins").Get<string[]>() ?? [];
        var settings = context.RequestServices.GetRequiredService<NodeSettings>();
        return allowed.Append(settings.PublicUrl).Any(text => Uri.TryCreate(text, UriKind.Absolute, out var uri)
            && string.Equals(uri.GetLeftPart(UriPartial.Authority), origin.GetLeftPart(UriPartial.Authority), StringComparison.OrdinalIgnoreCase));
    }

    private static string Authority(HttpRequest request) =>
        Uri.TryCreate($"{request.Headers.Origin.ToString().Split(':')[0]}://{request.Host}", UriKind.Absolute, out var uri)
            ? uri.Authority
            : request.Host.Value ?? "";

    private static bool IsNoBrowser(HttpRequest request) => request.Headers.Origin.Count == 0 && !request.Headers.ContainsKey("Sec-Fetch-Site");
}
