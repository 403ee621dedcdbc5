using System.Diagnostics;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Telemetry;
using StackExchange.Redis;

namespace Codo.Host.Telemetry;

/// <summary>What this node stands on beside the database: its loops, its spool, descriptors, the way to Redis.</summary>
internal sealed class NodeGauges(LoopStates loops, RedisClient redis, NodeSettings settings) : INodeGaugeSource
{
    // A ping that takes longer has no value: whoever waits for the metrics waits for it.
    private static readonly TimeSpan LongestPing = TimeSpan.FromSeconds(1);

    private static readonly long Started = StartOfProcess();

    public IReadOnlyList<Gauge> Gauges { get; } =
    [
        new("codo.loop.age", "s", "Time since the last success of a loop of this node; 0 while it rests on purpose", "loop"),
        new("codo.loops.stale", "{loop}", "1 where a loop of this node has not succeeded for ten periods, else 0", "loop"),
        new("codo.redis.latency", "s", "One ping; not there while Redis is away"),
        new("codo.spool.size", "By", "Output on this node's disk that waits for the database"),
        new("codo.descriptors", "{descriptor}", "Open descriptors of this process"),
        new("codo.started", "s", "Unix time at which this process started"),
    ];

    public async Task<IEnumerable<GaugeValue>> Read()
    {
        var all = new List<GaugeValue>();
        foreach (var loop in loops.All)
        {
            all.Add(new GaugeValue("codo.loop.age", loop.Name, loop.Rests?.Invoke() == true ? 0 : loop.Age.TotalSeconds));
            all.Add(new GaugeValue("codo.loops.stale", loop.Name, loop.IsStale ? 1 : 0));
        }
        if (redis.Connected is { } connected && await Ping(connected) is { } latency) all.Add(new GaugeValue("codo.redis.latency", "", latency.TotalSeconds));
        all.Add(new GaugeValue("codo.spool.size", "", SizeOf(Path.Combine(settings.DataDirectory, "spool"))));
        all.Add(new GaugeValue("codo.descriptors", "", Directory.EnumerateFileSystemEntries("/proc/self/fd").Count()));
        all.Add(new GaugeValue("codo.started", "", Started));
        return all;
    }

    // By the machine's own clock, as anything else on it says when it started.
    private static long StartOfProcess()
    {
        using var process = Process.GetCurrentProcess();
        return new DateTimeOffset(process.StartTime.ToUniversalTime()).ToUnixTimeSeconds();
    }

    private static async Task<TimeSpan?> Ping(IConnectionMultiplexer redis)
    {
        try
        {
            return await redis.GetDatabase().PingAsync().WaitAsync(LongestPing);
        }
        catch (Exception error) when (error is RedisException or TimeoutException)
        {
            // Health says that it is away; a gauge has no value then.
            return null;
        }
    }

    private static double SizeOf(string folder)
    {
        var size = 0L;
        if (!Directory.Exists(folder)) return 0;
        foreach (var file in new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories))
        {
            try
            {
                size += file.Length;
            }
            catch (FileNotFoundException)
            {
                // It has been stored and deleted meanwhile.
            }
        }
        return size;
    }
}
