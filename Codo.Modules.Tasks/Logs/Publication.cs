using Codo.Platform.Cluster;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// Publishes the lines of one spool as they come. The spool is its queue: a slow Redis makes it lag, and costs neither memory nor the command's time.
/// </summary>
internal sealed class Publication(Delivery delivery, TaskLogChannel channel, ILogger log)
{
    // What is published and not yet written fills buffers in Redis and in the subscriber; past theirs, lines are dropped and have to be written by comparison.
    private const int BatchLines = 500, MostLines = 20_000, MostBytes = 2 << 20;

    private static readonly TimeSpan Again = TimeSpan.FromMilliseconds(250);

    private readonly WakeSignal wake = new();
    private readonly Queue<(long Line, long Bytes)> underWay = new();
    private long bytesUnderWay;
    private bool wasAway;

    /// <summary>There is more, or an end.</summary>
    public void Wake() => wake.Set();

    /// <summary>Returns when all lines of the ended spool were published, or are in the database without that.</summary>
    public async Task Run(CancellationToken cancellation)
    {
        delivery.Moved = Wake;
        var at = default(SpoolPosition);
        try
        {
            while (true)
            {
                // Read before the lines: what ended after this look is looked at again.
                var ended = delivery.Ended;
                var lines = delivery.Spool.Next(ref at, BatchLines);
                if (lines.Count > 0) await Publish(lines, cancellation);
                else if (ended) return;
                else await wake.Wait(cancellation);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
        {
            log.LogDebug(
                "Lines of {LogKey} after {Line} are not published: the host stops, or they are all stored and Redis was too slow",
                delivery.Place.LogKey,
                at.Lines
            );
        }
    }

    private async Task Publish(IReadOnlyList<SpooledLine> lines, CancellationToken cancellation)
    {
        var last = lines[^1].Line;
        while (IsFull(last)) await wake.Wait(cancellation);
        // While Redis is away the comparison writes lines; what it has written need not be sent any more.
        while (last > delivery.Stored || !wasAway)
        {
            try
            {
                await channel.Publish(delivery.Place, lines, cancellation);
                if (wasAway) log.LogInformation("Redis is back: lines of {LogKey} are published again", delivery.Place.LogKey);
                wasAway = false;
                var bytes = lines.Sum(line => (long)line.Utf8.Length);
                underWay.Enqueue((last, bytes));
                bytesUnderWay += bytes;
                return;
            }
            catch (Exception error) when (error is RedisException or TimeoutException or ObjectDisposedException)
            {
                if (!wasAway)
                    log.LogWarning("Lines of {LogKey} cannot be published; they are written without it: {Cause}", delivery.Place.LogKey, error.Message);
                wasAway = true;
                await wake.Wait(Again, cancellation);
            }
        }
    }

    private bool IsFull(long upto)
    {
        var heard = delivery.Heard;
        while (underWay.TryPeek(out var oldest) && oldest.Line <= heard) bytesUnderWay -= underWay.Dequeue().Bytes;
        return upto - heard > MostLines || bytesUnderWay > MostBytes;
    }
}
