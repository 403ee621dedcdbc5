using System.Collections.Concurrent;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Host.Auth;

/// <summary>What is answered for as long as the client likes, a stream or a WebSocket: it ends with the token that opened it.</summary>
internal sealed class OpenStreams(Quotas quotas, TimeProvider time)
{
    // A timer takes no longer pause; who is still there after it connects again.
    private static readonly TimeSpan Longest = TimeSpan.FromDays(40);

    private static readonly Text TooMany = new("你打开的日志流已达上限（Codo:Quotas:Streams）", "You have too many streams open (Codo:Quotas:Streams)");

    private readonly ConcurrentDictionary<long, int> open = new();

    /// <summary>Runs the rest of the request, or answers 429 where the caller has too many open; its <see cref="HttpContext.RequestAborted"/> is cancelled when the token ends.</summary>
    public async Task Run(HttpContext context, Caller caller, RequestDelegate next)
    {
        if (!Quotas.HasRoom(caller, await quotas.Streams(), open.GetValueOrDefault(caller.UserId)))
        {
            await Failures.Write(context, 429, 429, TooMany);
            return;
        }

        var rest = caller.Expires - time.GetUtcNow() ?? Longest;
        using var ends = new CancellationTokenSource(rest < TimeSpan.Zero ? TimeSpan.Zero : rest < Longest ? rest : Longest, time);
        var gone = context.RequestAborted;
        using var either = CancellationTokenSource.CreateLinkedTokenSource(gone, ends.Token);
        open.AddOrUpdate(caller.UserId, 1, (_, count) => count + 1);
        context.RequestAborted = either.Token;
        try
        {
            await next(context);
        }
        finally
        {
            context.RequestAborted = gone;
            if (open.AddOrUpdate(caller.UserId, 0, (_, count) => count - 1) <= 0) open.TryRemove(new KeyValuePair<long, int>(caller.UserId, 0));
        }
    }
}
