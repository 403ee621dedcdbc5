using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// An order as server-sent events: <c>grid</c>, all of it, first; then <c>order</c> and <c>lanes</c>, each with what changed. A client that resumes with
/// <c>Last-Event-ID</c> gets what changed meanwhile, or the whole where that is not known any more.
/// </summary>
internal static class StreamOrder
{
    public static async Task Handle(HttpContext context)
    {
        var services = context.RequestServices;
        var listId = OrderIds.Of(context);
        await using (var connection = await services.GetRequiredService<NpgsqlDataSource>().OpenConnectionAsync(context.RequestAborted))
            if (!await OrderAccess.Sees(connection, context.RequestServices.GetRequiredService<Access>(), listId))
                throw OrderAccess.NoSuchOrder;
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(
            context.RequestAborted,
            services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping
        );
        var feeds = services.GetRequiredService<OrderFeeds>();
        var feed = feeds.Share(listId);
        try
        {
            await Follow(new EventStream(context), feed, context.Request.Headers["Last-Event-ID"].ToString(), ending.Token);
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
            // The client has gone, or the host goes.
        }
        finally
        {
            feeds.Return(feed);
        }
    }

    private static async Task Follow(EventStream stream, OrderFeed feed, string resume, CancellationToken ending)
    {
        if (!await stream.Begin()) return;
        if (Seen(feed, resume) is not { } seen)
        {
            var (grid, version) = await feed.Whole(ending);
            if (!await stream.Send("grid", Id(feed, seen = version), new { order = grid.Order, groups = grid.Groups })) return;
        }
        while (true)
        {
            if (await feed.Since(seen, EventStream.Heartbeat, ending) is not { } change)
            {
                if (!await stream.Beat()) return;
                continue;
            }
            if (change.Lanes.Count > 0 && !await stream.Send("lanes", change.Order is null ? Id(feed, change.Version) : null, change.Lanes)) return;
            // The id goes with the last event of a version: a client that was cut off between the two gets both again.
            if (change.Order is not null && !await stream.Send("order", Id(feed, change.Version), change.Order)) return;
            seen = change.Version;
        }
    }

    private static string Id(OrderFeed feed, long version) => string.Create(CultureInfo.InvariantCulture, $"{feed.Name}:{version}");

    private static long? Seen(OrderFeed feed, string id) =>
        id.Split(':') is [var name, var text] && name == feed.Name && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var version)
            ? version
            : null;
}

/// <summary>The order that a stream is asked for.</summary>
internal static class OrderIds
{
    /// <exception cref="Refusal"><c>list_id</c> is missing or no number.</exception>
    public static long Of(HttpContext context)
    {
        var text = context.Request.Query["list_id"].ToString();
        if (text.Length == 0)
            throw Refusal.Invalid("订单ID不能为空", "list_id is required");
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id)
            ? id
            : throw Refusal.Invalid("list_id 必须是数字", "list_id must be a number");
    }
}
