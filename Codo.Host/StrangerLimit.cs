using System.Net;
using System.Threading.RateLimiting;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;

namespace Codo.Host;

/// <summary>Requests without a valid token, those that are refused for that among them: each address has a small share of each route.</summary>
internal sealed class StrangerLimit(NodeSettings settings) : IDisposable
{
    private const int Burst = 10;

    /// <summary>Bytes of a body that a stranger may send; the longest that is meant for one is a token in a form.</summary>
    public const long MostBody = 16 << 10;

    private static readonly Text TooMany = new("请求太频繁，请稍后重试", "Too many requests; try again shortly");

    private readonly KeyedLimit<(string Route, IPAddress Address)> limit = new(_ => new TokenBucketRateLimiterOptions
    {
        TokenLimit = settings.StrangerRequestsPerSecond * Burst,
        TokensPerPeriod = settings.StrangerRequestsPerSecond,
        ReplenishmentPeriod = TimeSpan.FromSeconds(1),
    });

    /// <summary>Counts the request; answers 429 and returns false when its address has asked too often.</summary>
    /// <param name="route">What is counted together.</param>
    public async Task<bool> Allows(HttpContext context, string route)
    {
        if (limit.Takes((route, ConnectionLimit.Network(context.Connection.RemoteIpAddress ?? IPAddress.None)))) return true;
        context.Response.Headers.RetryAfter = "1";
        await Failures.Write(context, 429, 429, TooMany);
        return false;
    }

    public void Dispose() => limit.Dispose();
}
