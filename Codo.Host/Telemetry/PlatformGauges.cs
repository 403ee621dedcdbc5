using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Telemetry;
using Dapper;
using Npgsql;
using StackExchange.Redis;

namespace Codo.Host.Telemetry;

/// <summary>What Codo stands on: the outbox, loops, Redis, the spool, descriptors. Loops, descriptors, spool and latency are this node's.</summary>
internal sealed class PlatformGauges(LoopStates loops, RedisClient redis, NodeSettings settings) : IGaugeSource
{
    private const string Sql = """
        SELECT 'codo.outbox.messages' AS name, CASE WHEN dead_at IS NULL THEN 'waiting' ELSE 'dead' END AS word, CAST(count(*) AS float8) AS value
            FROM platform.outbox GROUP BY 2
        UNION ALL SELECT 'codo.outbox.oldest', '', COALESCE(CAST(extract(epoch FROM clock_timestamp() - min(at)) AS float8), 0)
            FROM platform.outbox WHERE dead_at IS NULL AND at <= clock_timestamp()
        UNION ALL SELECT 'codo.nodes', CASE WHEN heartbeat_at >= clock_timestamp() - CAST(@Lease AS interval) THEN 'alive' ELSE 'away' END,
            CAST(count(*) AS float8) FROM platform.node GROUP BY 2
        """;

    public IReadOnlyList<Gauge> Gauges { get; } =
    [
        new("codo.outbox.messages", "{message}", "Messages between modules that wait, or were given up", "state"),
        new("codo.outbox.oldest", "s", "Age of the oldest message that waits"),
        new("codo.nodes", "{node}", "Nodes with and without a lease", "state"),
        new("codo.loop.age", "s", "Time since the last success of a loop of this node", "loop"),
        new("codo.redis.latency", "s", "One ping; not there while Redis is away"),
        new("codo.spool.size", "By", "Output on this node's disk that waits for the database"),
        new("codo.descriptors", "{descriptor}", "Open descriptors of this process"),
    ];

    public async Task<IEnumerable<GaugeValue>> Read(NpgsqlConnection connection)
    {
        var all = (await connection.QueryAsync<GaugeValue>(Sql, new { Node.Lease })).AsList();
        all.AddRange(loops.All.Select(loop => new GaugeValue("codo.loop.age", loop.Name, loop.Age.TotalSeconds)));
        if (redis.Connected is { } connected && await Ping(connected) is { } latency) all.Add(new GaugeValue("codo.redis.latency", "", latency.TotalSeconds));
        all.Add(new GaugeValue("codo.spool.size", "", SizeOf(Path.Combine(settings.DataDirectory, "spool"))));
        all.Add(new GaugeValue("codo.descriptors", "", Directory.EnumerateFileSystemEntries("/proc/self/fd").Count()));
        return all;
    }

    private static async Task<TimeSpan?> Ping(IConnectionMultiplexer redis)
    {
        try
        {
            return await redis.GetDatabase().PingAsync();
        }
        catch (RedisException)
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
