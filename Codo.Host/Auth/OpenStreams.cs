using System.Collections.Concurrent;
using Codo.Host.Accounts;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;

namespace Codo.Host.Auth;

/// <summary>
/// What is answered for as long as the client likes, a stream or a WebSocket: it ends with the token that opened it, when that is revoked, when the owner of an
/// access token is no superuser any more, and when what its person may do has changed or a grant of theirs runs out: the client connects again, and is asked
/// again.
/// </summary>
internal sealed class OpenStreams
{
    // A timer takes no longer pause; who is still there after it connects again.
    private static readonly TimeSpan Longest = TimeSpan.FromDays(40);

    private static readonly Text TooMany = new("你打开的日志流已达上限（Codo:Quotas:Streams）", "You have too many streams open (Codo:Quotas:Streams)");

    private readonly Quotas quotas;
    private readonly Revocations revocations;
    private readonly AccessTokens tokens;
    private readonly TimeProvider time;
    private readonly ConcurrentDictionary<long, int> open = new();
    private readonly CurrentRules current;
    private readonly ConcurrentDictionary<CancellationTokenSource, (Caller Caller, string Rights)> ends = new();

    public OpenStreams(Quotas quotas, Revocations revocations, AccessTokens tokens, CurrentRules current, TimeProvider time)
    {
        (this.quotas, this.revocations, this.tokens, this.current, this.time) = (quotas, revocations, tokens, current, time);
        revocations.Added += () => EndWhere((caller, _) => IsOver(caller));
        current.Changed += () => EndWhere((caller, rights) => rights != RightsOf(caller));
    }

    /// <summary>
    /// Runs the rest of the request, or answers 429 where the caller has too many open; its <see cref="HttpContext.RequestAborted"/> is cancelled when the
    /// token ends.
    /// </summary>
    public async Task Run(HttpContext context, Caller caller, RequestDelegate next)
    {
        if (!Quotas.HasRoom(caller, await quotas.Streams(), open.GetValueOrDefault(caller.UserId)))
        {
            await Failures.Write(context, 429, 429, TooMany);
            return;
        }

        var rest = Rest(caller);
        using var end = new CancellationTokenSource(rest < TimeSpan.Zero ? TimeSpan.Zero : rest < Longest ? rest : Longest, time);
        var gone = context.RequestAborted;
        using var either = CancellationTokenSource.CreateLinkedTokenSource(gone, end.Token);
        open.AddOrUpdate(caller.UserId, 1, (_, count) => count + 1);
        context.RequestAborted = either.Token;
        ends[end] = (caller, RightsOf(caller));
        try
        {
            // Between the gate and here it may have been revoked, which nobody tells a second time.
            if (IsOver(caller)) await end.CancelAsync();
            await next(context);
        }
        finally
        {
            ends.TryRemove(end, out _);
            context.RequestAborted = gone;
            if (open.AddOrUpdate(caller.UserId, 0, (_, count) => count - 1) <= 0) open.TryRemove(new KeyValuePair<long, int>(caller.UserId, 0));
        }
    }

    // An access token outlasts its owner's superuser mark and may do less from then on, but a stream keeps the caller that it began with.
    private bool IsOver(Caller caller) =>
        revocations.Against(caller) is not null || (caller is { IsSuperuser: true, AccessTokenId: { } id } && !tokens.IsSuperusers(id));

    // Until the token ends, or the first of the grants that hold now.
    private TimeSpan Rest(Caller caller)
    {
        var now = time.GetUtcNow();
        var token = caller.Expires - now ?? Longest;
        if (caller.IsSuperuser) return token;
        var ends = current.Rules.GrantsOf(caller.UserId).Where(grant => grant.Holds(now.UtcDateTime)).Select(grant => grant.Until).OfType<DateTime>();
        return ends.Select(until => until - now.UtcDateTime).Append(token).Min();
    }

    // A superuser's rights are the token's.
    private string RightsOf(Caller caller) =>
        caller.IsSuperuser
            ? ""
            : string.Join(' ', current.Rules.GrantsOf(caller.UserId).Select(grant => $"{grant.GrantId} {grant.Role} {grant.Until?.Ticks}"))
                + " " + string.Join(' ', current.Rules.TeamsOf.GetValueOrDefault(caller.UserId, []));

    private void EndWhere(Func<Caller, string, bool> isOver)
    {
        foreach (var (end, (caller, rights)) in ends)
        {
            if (!isOver(caller, rights)) continue;
            try
            {
                // On another thread: what a stream does at its end is not the reader's business.
                _ = end.CancelAsync();
            }
            catch (ObjectDisposedException)
            {
                // It has ended by itself.
            }
        }
    }
}
