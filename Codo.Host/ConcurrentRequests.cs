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
    private readonly Dictionary<(long UserId, bool IsLong), Share> shares = [];

    /// <summary>Runs the rest of the request when it is its turn, or answers 429 where too many of the caller's wait already.</summary>
    public async Task Run(HttpContext context, Caller caller, RequestDelegate next)
    {
        if (quotas.Requests == 0 || caller.IsSuperuser)
        {
            await next(context);
            return;
        }

        // A body of 8 MiB takes ten times as much until it is stored: of those one at a time.
        var key = (caller.UserId, IsLong: context.GetEndpoint()?.Metadata.GetMetadata<LongBody>() is not null);
        var most = key.IsLong ? 1 : quotas.Requests;
        if (Enter(key, most) is not { } share)
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
            Leave(key, share);
        }
    }

    private Share? Enter((long UserId, bool IsLong) key, int most)
    {
        lock (gate)
        {
            if (!shares.TryGetValue(key, out var share)) shares[key] = share = new Share(new SemaphoreSlim(most));
            if (share.Requests >= most + MostWaiting) return null;
            share.Requests++;
            return share;
        }
    }

    private void Leave((long UserId, bool IsLong) key, Share share)
    {
        lock (gate)
        {
            if (--share.Requests > 0) return;
            shares.Remove(key);
            share.Places.Dispose();
        }
    }

    /// <summary>The requests of one person, those that wait among them.</summary>
    private sealed record Share(SemaphoreSlim Places)
    {
        public int Requests { get; set; }
    }
}
