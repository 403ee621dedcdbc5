using System.Globalization;
using System.Text;
using Codo.Modules.Tasks.Orders;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// The output of all hosts and steps of an order as server-sent events, each line with its host and step. An event's id is a time of PostgreSQL's clock: what
/// was written until then has been sent. A client that resumes from it loses no line and gets those of the last 30 seconds twice; <c>sched_id</c>,
/// <c>attempt</c> and <c>line</c> tell them apart.
/// </summary>
internal static class StreamOrderLog
{
    // Lines that come in so short a time are read at once.
    private static readonly TimeSpan Gather = TimeSpan.FromMilliseconds(200);

    public static async Task Handle(HttpContext context)
    {
        var services = context.RequestServices;
        var source = services.GetRequiredService<NpgsqlDataSource>();
        var listId = OrderIds.Of(context);
        await using (var connection = await source.OpenConnectionAsync(context.RequestAborted))
            if (!await OrderAccess.Sees(connection, context.RequestServices.GetRequiredService<Access>(), listId)) throw OrderAccess.NoSuchOrder;
        var from = Resume(context);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(
            context.RequestAborted,
            services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping
        );
        using var subscription = new OrderLogSubscription(services.GetRequiredService<LogChanges>(), listId);
        try
        {
            await Follow(
                new EventStream(context),
                new OrderLogReader(source, listId),
                subscription,
                services.GetRequiredService<LogBacklog>(),
                listId,
                from,
                ending.Token
            );
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
            // The client has gone, or the host goes.
        }
    }

    private static async Task Follow(
        EventStream stream,
        OrderLogReader reader,
        OrderLogSubscription subscription,
        LogBacklog backlog,
        long listId,
        DateTime? from,
        CancellationToken ending
    )
    {
        if (!await stream.Begin()) return;
        LaggingNode? away = null;
        var said = Text.Same("");
        subscription.All = true;
        var looked = DateTime.MinValue;
        while (true)
        {
            var until = await reader.Now(ending);
            var (all, some) = subscription.Taken();
            // That nobody brings the lines any more for which others wait is announced to no one: it is looked at now and then, whatever else comes.
            all |= reader.Waits && until - looked >= EventStream.Heartbeat;
            if (all) looked = until;
            if (all) await reader.TakeAll(from, ending);
            await reader.Take(some, ending);
            while (!reader.IsDone)
            {
                // Without an id until everything is read: of attempts that come later in the list older lines may be missing yet.
                var lines = await reader.Next(ending);
                var isLast = reader.IsDone;
                var text = new StringBuilder();
                for (var place = 0; place < lines.Count; place++)
                    text.Append(stream.Event(null, isLast && place == lines.Count - 1 ? Id(until) : null, lines[place]));
                if (text.Length > 0 && !await stream.Write(text.ToString()))
                    return;
            }
            from = until;
            if (all) away = await backlog.Elsewhere(listId, ending) is { Alive: false } gone ? gone : null;
            var missing = LostLines.Words(reader.Lost, away);
            if (missing != said && !await stream.Send("missing", null, new { missing, lost = LostLines.Words(reader.Lost, null) })) return;
            said = missing;
            await Task.Delay(Gather, ending);
            while (!await subscription.Come(EventStream.Heartbeat, ending))
            {
                if (!await stream.Beat()) return;
                if (!reader.Waits) continue;
                subscription.All = true;
                break;
            }
        }
    }

    private static DateTime? Resume(HttpContext context)
    {
        var text = context.Request.Headers["Last-Event-ID"].ToString() is { Length: > 0 } id ? id : context.Request.Query["after"].ToString();
        if (text.Length == 0) return null;
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds) && milliseconds < 253_402_300_800_000
            ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds).UtcDateTime
            : throw Refusal.Invalid("after 必须是上一个事件的 id", "after must be the id of an event");
    }

    private static string Id(DateTime time) =>
        new DateTimeOffset(DateTime.SpecifyKind(time, DateTimeKind.Utc)).ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture);
}

/// <summary>Which attempts of an order have new lines, as every node announces it.</summary>
internal sealed class OrderLogSubscription : IDisposable
{
    private readonly LogChanges changes;
    private readonly string prefix;
    private readonly Lock gate = new();
    private readonly WakeSignal signal = new();
    private HashSet<(long SchedId, int Attempt)> some = [];

    public OrderLogSubscription(LogChanges changes, long listId)
    {
        (this.changes, prefix) = (changes, string.Create(CultureInfo.InvariantCulture, $"{listId}_"));
        changes.Heard += Hear;
    }

    /// <summary>News may have been missed: every attempt is to be looked at.</summary>
    public bool All { get; set; }

    /// <summary>What there is, which is nothing afterwards.</summary>
    public (bool All, IReadOnlyCollection<(long SchedId, int Attempt)> Some) Taken()
    {
        lock (gate)
        {
            var taken = (All, some);
            (All, some) = (false, []);
            return taken;
        }
    }

    /// <summary>False when nothing came for so long.</summary>
    public Task<bool> Come(TimeSpan most, CancellationToken cancellation) => signal.Wait(most, cancellation);

    public void Dispose() => changes.Heard -= Hear;

    private void Hear(LogChange? change)
    {
        if (change is not null && !change.LogKey.StartsWith(prefix, StringComparison.Ordinal)) return;
        lock (gate)
        {
            // Line 0: something became of an attempt whose node was lost.
            if (change is null || change.Line == 0) All = true;
            else some.Add((change.SchedId, change.Attempt));
        }
        signal.Set();
    }
}
