using System.Security.Cryptography;
using System.Text;
using Codo.Platform.Cluster;
using Codo.Platform.Http;

namespace Codo.Host.Auth;

/// <summary>A change, or a WebSocket handshake, that a browser sends with the cookie must come from a page that may: the cookie alone does not say so.</summary>
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
        if (HasKey(request) || HasOrigin(context) || IsNoBrowser(request)) return true;
        await Failures.Write(context, 402, 402, Refused);
        return false;
    }

    private static bool HasKey(HttpRequest request) =>
        request.Cookies.TryGetValue(Xsrf.Cookie, out var key) && key.Length > 0
        && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(request.Headers[Xsrf.Header].ToString()), Encoding.UTF8.GetBytes(key));

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
        Uri.TryCreate($"{request.Headers.Origin.ToString().Split(':')[0]}://{request.Host}", UriKind.Absolute, out var uri) ? uri.Authority : request.Host.Value ?? "";

    private static bool IsNoBrowser(HttpRequest request) => request.Headers.Origin.Count == 0 && !request.Headers.ContainsKey("Sec-Fetch-Site");
}
