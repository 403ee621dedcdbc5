using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What a follower has not seen yet.</summary>
/// <param name="Version">The version that the follower has with it.</param>
/// <param name="Order">Null where the order's own row is as it was.</param>
internal sealed record OrderChange(long Version, GridOrder? Order, IReadOnlyList<GridLane> Lanes);

/// <summary>
/// One order for all who follow it on this node. While somebody does, the order is read again and again and compared with what was read before, each difference
/// under a new version; the pause between two reads is many times what a read took, so that followers cost PostgreSQL little however large the order is.
/// </summary>
internal sealed class OrderFeed(long listId, NpgsqlDataSource source, ILogger log) : IDisposable
{
    private const int PauseOfReads = 20;

    private static readonly TimeSpan LeastPause = TimeSpan.FromMilliseconds(300), PauseOfEnded = TimeSpan.FromSeconds(5), Again = TimeSpan.FromSeconds(1);

    private readonly Lock gate = new();
    private readonly Dictionary<(int Group, string Host), (GridLane Lane, long Version)> lanes = [];
    private CancellationTokenSource? reading;
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private OrderGrid? latest;
    private long orderVersion;
    private long version;

    public long ListId => listId;

    /// <summary>Names this feed in event ids: a version means nothing in another one.</summary>
    public string Name { get; } = Guid.NewGuid().ToString("N")[..12];

    /// <summary>How many follow; changed under the lock of <see cref="OrderFeeds"/>.</summary>
    public int Followers { get; set; }

    /// <summary>When the last follower left, as <see cref="Stopwatch"/> counts.</summary>
    public long LeftAt { get; set; }

    /// <summary>Reads until <see cref="Pause"/>.</summary>
    public void Resume()
    {
        reading = new CancellationTokenSource();
        var token = reading.Token;
        _ = Task.Run(() => Read(token), CancellationToken.None);
    }

    /// <summary>Keeps what was read, for a follower that comes back soon.</summary>
    public void Pause()
    {
        reading?.Cancel();
        reading?.Dispose();
        reading = null;
    }

    /// <summary>The whole order as it was last read; waits for the first read.</summary>
    public async Task<(OrderGrid Grid, long Version)> Whole(CancellationToken cancellation)
    {
        while (true)
        {
            Task wait;
            lock (gate)
            {
                if (latest is not null) return (latest, version);
                wait = changed.Task;
            }
            await wait.WaitAsync(cancellation);
        }
    }

    /// <summary>What has changed since a version; waits until something has, and answers null when nothing did for so long.</summary>
    public async Task<OrderChange?> Since(long seen, TimeSpan most, CancellationToken cancellation)
    {
        Task wait;
        lock (gate)
        {
            if (version > seen)
                return new OrderChange(
                    version,
                    orderVersion > seen ? latest!.Order : null,
                    [.. lanes.Values.Where(lane => lane.Version > seen).Select(lane => lane.Lane)]
                );
            wait = changed.Task;
        }
        try
        {
            await wait.WaitAsync(most, cancellation);
        }
        catch (TimeoutException)
        {
            return null;
        }
        return await Since(seen, most, cancellation);
    }

    public void Dispose() => Pause();

    private async Task Read(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            var pause = Again;
            try
            {
                var began = Stopwatch.GetTimestamp();
                OrderGrid grid;
                await using (var connection = await source.OpenConnectionAsync(cancellation)) grid = await OrderGrid.Read(connection, listId, cancellation);
                Compare(grid);
                pause = TimeSpan.FromTicks(
                    Math.Max((grid.Order.EndedAt is null ? LeastPause : PauseOfEnded).Ticks, Stopwatch.GetElapsedTime(began).Ticks * PauseOfReads)
                );
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                log.LogWarning("Followers of order {Order} wait: {Cause}", listId, error.Message);
            }
            await Task.Delay(pause, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private void Compare(OrderGrid grid)
    {
        TaskCompletionSource told;
        lock (gate)
        {
            var next = version + 1;
            var differs = latest is null;
            if (latest?.Order != grid.Order) (orderVersion, differs) = (next, true);
            foreach (var lane in grid.Lanes)
            {
                if (lanes.TryGetValue((lane.TaskGroup, lane.Host), out var known) && known.Lane == lane) continue;
                lanes[(lane.TaskGroup, lane.Host)] = (lane, next);
                differs = true;
            }
            latest = grid;
            if (!differs) return;
            version = next;
            (told, changed) = (changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        told.SetResult();
    }
}

/// <summary>The orders that are followed on this node, and for two minutes those that were: who comes back gets what changed meanwhile.</summary>
internal sealed class OrderFeeds(NpgsqlDataSource source, ILogger<OrderFeeds> log) : IDisposable
{
    private static readonly TimeSpan Kept = TimeSpan.FromMinutes(2);

    private readonly Lock gate = new();
    private readonly Dictionary<long, OrderFeed> feeds = [];

    /// <summary>To be given back with <see cref="Return"/>.</summary>
    public OrderFeed Share(long listId)
    {
        lock (gate)
        {
            Forget();
            if (!feeds.TryGetValue(listId, out var feed)) feeds[listId] = feed = new OrderFeed(listId, source, log);
            if (feed.Followers++ == 0) feed.Resume();
            return feed;
        }
    }

    public void Return(OrderFeed feed)
    {
        lock (gate)
        {
            if (--feed.Followers == 0)
            {
                feed.LeftAt = Stopwatch.GetTimestamp();
                feed.Pause();
            }
            Forget();
        }
    }

    public void Dispose()
    {
        lock (gate)
            foreach (var feed in feeds.Values)
                feed.Dispose();
    }

    private void Forget()
    {
        foreach (var feed in feeds.Values.Where(feed => feed.Followers == 0 && Stopwatch.GetElapsedTime(feed.LeftAt) > Kept).ToList())
            feeds.Remove(feed.ListId);
    }
}
