using System.Text.Json;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Processes;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// Stores what this node's long runs have used so far, all of them in one statement every few seconds: other nodes show it, and a run whose node dies keeps it.
/// A run that ends within the first seconds is never in it, so that a fire costs no statement more.
/// </summary>
internal sealed class LiveUsage(NpgsqlDataSource source, Node node, TimeProvider time)
{
    /// <summary>Points and processes of a run that are stored.</summary>
    private const int MostPoints = 30, MostProcesses = 30;

    private static readonly TimeSpan Least = TimeSpan.FromSeconds(5), EachRun = TimeSpan.FromMilliseconds(100);

    // What has ended is taken out by the statement that stores the others.
    private const string StoreSql = """
        WITH given AS (
            SELECT * FROM unnest(CAST(@LogIds AS bigint[]), CAST(@Attempts AS int[]), CAST(@Times AS timestamptz[]), CAST(@Cpu AS bigint[]),
                CAST(@Peaks AS bigint[]), CAST(@Reads AS bigint[]), CAST(@Writes AS bigint[]), CAST(@Samples AS text[]))
                AS g(log_id, attempt, at, cpu_ms, peak_memory_bytes, read_bytes, written_bytes, sample) ORDER BY log_id
        ), gone AS (
            DELETE FROM cron.live_usage u WHERE u.node = @Node AND u.incarnation = @Incarnation
                AND NOT EXISTS (SELECT FROM given g WHERE g.log_id = u.log_id AND g.attempt = u.attempt)
        )
        INSERT INTO cron.live_usage (log_id, attempt, node, incarnation, at, cpu_ms, peak_memory_bytes, read_bytes, written_bytes, sample)
        SELECT log_id, attempt, @Node, @Incarnation, at, cpu_ms, peak_memory_bytes, read_bytes, written_bytes, CAST(sample AS jsonb) FROM given
        ON CONFLICT (log_id, attempt) DO UPDATE SET node = EXCLUDED.node, incarnation = EXCLUDED.incarnation, at = EXCLUDED.at, cpu_ms = EXCLUDED.cpu_ms,
            peak_memory_bytes = EXCLUDED.peak_memory_bytes, read_bytes = EXCLUDED.read_bytes, written_bytes = EXCLUDED.written_bytes,
            sample = EXCLUDED.sample
        """;

    private long storedAt;
    private TimeSpan pause = Least;
    private bool isAnyStored;

    /// <summary>Stores the newest look at each run that has gone on for some seconds, when it is time.</summary>
    public async Task Store(IEnumerable<Run> running, CancellationToken cancellation)
    {
        if (storedAt > 0 && time.GetElapsedTime(storedAt) < pause) return;
        var all = running
            .Where(run => run.Watch?.Latest is { } sample && sample.Seconds >= Least.TotalSeconds)
            .Select(run => (run.Claimed, Sample: run.Watch!.Latest!, run.Watch))
            .ToList();
        if (all.Count == 0 && !isAnyStored) return;
        var now = time.GetUtcNow().UtcDateTime;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(
            new CommandDefinition(
                StoreSql,
                new
                {
                    Node = node.Name,
                    node.Incarnation,
                    LogIds = all.Select(one => one.Claimed.LogId).ToArray(),
                    Attempts = all.Select(one => one.Claimed.Attempt).ToArray(),
                    Times = all.Select(one => one.Sample.At).ToArray(),
                    Cpu = all.Select(one => Milliseconds(one.Sample.Usage)).ToArray(),
                    Peaks = all.Select(one => one.Sample.Usage.PeakMemoryBytes).ToArray(),
                    Reads = all.Select(one => one.Sample.Usage.ReadBytes).ToArray(),
                    Writes = all.Select(one => one.Sample.Usage.WrittenBytes).ToArray(),
                    Samples = all.Select(one => Text(one.Sample, one.Watch.Processes(MostProcesses, now))).ToArray(),
                },
                cancellationToken: cancellation
            )
        );
        (storedAt, isAnyStored) = (time.GetTimestamp(), all.Count > 0);
        pause = EachRun * all.Count is var wide && wide > Least ? wide : Least;
    }

    /// <summary>Processor time as it is stored.</summary>
    public static long? Milliseconds(RunUsage? usage) => usage?.CpuSeconds is { } seconds ? (long)Math.Round(seconds * 1000) : null;

    /// <summary>What a row has besides its figures; null where it does not read.</summary>
    public static Stored? Read(string? text)
    {
        try
        {
            return text is null ? null : JsonSerializer.Deserialize<Stored>(text, Json.Stored);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string Text(UsageSample sample, IReadOnlyList<RunProcess> processes)
    {
        var each = (int)Math.Ceiling(sample.History.Count / (double)MostPoints);
        var history = sample.History.Where((_, at) => (sample.History.Count - 1 - at) % Math.Max(1, each) == 0);
        return JsonSerializer.Serialize(new Stored(sample.Cores, sample.MemoryBytes, sample.Processes, [.. history], [.. processes]), Json.Stored);
    }

    internal sealed record Stored(double? Cores, long MemoryBytes, int Count, UsagePoint[]? History, RunProcess[]? Processes);
}
