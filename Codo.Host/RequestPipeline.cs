using System.Diagnostics;
using System.Threading.RateLimiting;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Ui;

namespace Codo.Host;

/// <summary>What every request gets: an id, a language, the headers of a careful server, a line in the log for a change, and a rate limit.</summary>
internal static class RequestPipeline
{
    private const string NoPage = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

    /// <summary>Stands first.</summary>
    public static IApplicationBuilder UseRequestPipeline(this IApplicationBuilder app) => app.Use(async (HttpContext context, RequestDelegate next) =>
    {
        var given = context.Request.Headers["X-Request-Id"].ToString();
        context.TraceIdentifier = IsId(given) ? given : Guid.NewGuid().ToString("N");
        // The console's switch is a cookie; a client without one is asked by its header alone.
        Language.English = context.Request.Cookies["codo_lang"] switch
        {
            "en" => true,
            "zh" => false,
            _ => Language.PrefersEnglish(context.Request.Headers.AcceptLanguage),
        };
        context.Response.OnStarting(() =>
        {
            Guard(context);
            return Task.CompletedTask;
        });
        var began = Stopwatch.GetTimestamp();
        await next(context);
        if (HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method)) return;
        if (context.Response.StatusCode < StatusCodes.Status400BadRequest) context.RequestServices.GetRequiredService<LiveTopics>().Changed();
        // The path alone: a query may hold a token, a body may hold a secret.
        context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("Codo.Http").LogInformation(
            "{Method} {Path} {Status} in {Milliseconds:0.0} ms by {Username} ({UserId}) from {Address}, request {RequestId}",
            context.Request.Method, context.Request.Path.Value, context.Response.StatusCode, Stopwatch.GetElapsedTime(began).TotalMilliseconds,
            Caller.Of(context)?.Username ?? "", Caller.Of(context)?.UserId, context.Connection.RemoteIpAddress, context.TraceIdentifier);
    });

    /// <summary>By user, or by address where a route asks for no token. It stands behind the gate: what has no token is refused there at no cost.</summary>
    public static IApplicationBuilder UseRequestLimit(this IApplicationBuilder app)
    {
        var most = app.ApplicationServices.GetRequiredService<NodeSettings>().RequestsPerSecond;
        var limit = new KeyedLimit<string>(_ => new TokenBucketRateLimiterOptions
        {
            TokenLimit = most,
            TokensPerPeriod = Math.Max(1, most / 10),
            ReplenishmentPeriod = TimeSpan.FromMilliseconds(100),
        });
        return app.Use((HttpContext context, RequestDelegate next) =>
        {
            if (limit.Takes(Caller.Of(context) is { } caller ? "user " + caller.UserId : "address " + context.Connection.RemoteIpAddress)) return next(context);
            // What the envelope says is written behind it, as for every bare status.
            context.Response.StatusCode = StatusCodes.Status429TooManyRequests;
            return Task.CompletedTask;
        });
    }

    // What an answer says to a browser, whoever wrote it; a page that has said more of its own keeps that.
    private static void Guard(HttpContext context)
    {
        var headers = context.Response.Headers;
        headers["X-Request-Id"] = context.TraceIdentifier;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "same-origin";
        headers.XFrameOptions = "SAMEORIGIN";
        if (headers.ContentSecurityPolicy.Count == 0)
            headers.ContentSecurityPolicy = context.GetEndpoint()?.Metadata.GetMetadata<PagePolicy>()?.Value ?? NoPage;
        if (headers.CacheControl.Count == 0)
            headers.CacheControl = "no-store";
        if (context.Request.IsHttps && !ListenWarning.IsLoopback($"https://{context.Request.Host}"))
            headers.StrictTransportSecurity = "max-age=31536000";
    }

    private static bool IsId(string text) =>
        text.Length is > 0 and <= 64 && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.');
}
