using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;

namespace Codo.Host;

/// <summary>
/// Bounds what one person's requests take at once: so many are answered, and the next ones wait, before anything of their bodies is read. What one request may
/// take of memory and of connections to PostgreSQL then holds for a thousand of them as well, and whoever sends a thousand waits alone. Streams and WebSockets
/// are counted by <see cref="Auth.OpenStreams"/>.
/// </summary>
internal sealed class ConcurrentRequests(Quotas quotas)
{
    private const int MostWaiting = 256;

    private static readonly Text TooMany = new("你同时发出的请求太多，请稍后重试", "You have too many requests under way; try again shortly");

    private readonly Lock gate = new();
    private readonly Dictionary<long, Share> shares = [];

    /// <summary>Runs the rest of the request when it is its turn, or answers 429 where too many of the caller's wait already.</summary>
    public async Task Run(HttpContext context, Caller caller, RequestDelegate next)
    {
        if (quotas.Requests == 0 || caller.IsSuperuser)
        {
            await next(context);
            return;
        }

        if (Enter(caller.UserId) is not { } share)
        {
            context.Response.Headers.RetryAfter = "1";
            await Failures.Write(context, 429, 429, TooMany);
            return;
        }

        try
        {
            await share.Places.WaitAsync(context.RequestAborted);
            try
            {
                await next(context);
            }
            finally
            {
                share.Places.Release();
            }
        }
        finally
        {
            Leave(caller.UserId, share);
        }
    }

    private Share? Enter(long userId)
    {
        lock (gate)
        {
            if (!shares.TryGetValue(userId, out var share)) shares[userId] = share = new Share(new SemaphoreSlim(quotas.Requests));
            if (share.Requests >= quotas.Requests + MostWaiting) return null;
            share.Requests++;
            return share;
        }
    }

    private void Leave(long userId, Share share)
    {
        lock (gate)
        {
            if (--share.Requests > 0) return;
            shares.Remove(userId);
            share.Places.Dispose();
        }
    }

    /// <summary>The requests of one person, those that wait among them.</summary>
    private sealed record Share(SemaphoreSlim Places)
    {
        public int Requests { get; set; }
    }
}
