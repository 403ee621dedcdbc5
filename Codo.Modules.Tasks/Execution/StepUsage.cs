using Codo.Platform.Processes;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// Stores what this node's long steps on its own machine have used so far, all of them in one statement every few seconds. A step that ends within the first
/// seconds is never in it, so that it costs no statement more.
/// </summary>
internal sealed class StepUsage(NpgsqlDataSource source, TimeProvider time)
{
    private static readonly TimeSpan Least = TimeSpan.FromSeconds(5);

    // Not the row of an attempt that was ended or settled meanwhile.
    private const string StoreSql = """
        UPDATE tasks.attempt a SET cpu_ms = g.cpu_ms, peak_memory_bytes = g.peak, read_bytes = g.read, written_bytes = g.written, usage_source = 'sampled',
            usage_at = g.at
        FROM (SELECT * FROM unnest(CAST(@Scheds AS bigint[]), CAST(@Attempts AS int[]), CAST(@Times AS timestamptz[]), CAST(@Cpu AS bigint[]),
            CAST(@Peaks AS bigint[]), CAST(@Reads AS bigint[]), CAST(@Writes AS bigint[])) AS g(sched_id, attempt, at, cpu_ms, peak, read, written)
            ORDER BY sched_id) g
        WHERE a.sched_id = g.sched_id AND a.attempt = g.attempt AND a.ended_at IS NULL
        """;

    private long storedAt;

    /// <summary>Stores the newest look at each attempt that has gone on for some seconds, when it is time.</summary>
    public async Task Store(IEnumerable<RunningAttempt> running)
    {
        if (storedAt > 0 && time.GetElapsedTime(storedAt) < Least) return;
        var all = running
            .Where(attempt => attempt.Watch?.Latest is { } sample && sample.Seconds >= Least.TotalSeconds)
            .Select(attempt => (attempt.Step, Sample: attempt.Watch!.Latest!))
            .ToList();
        if (all.Count == 0) return;
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            StoreSql,
            new
            {
                Scheds = all.Select(one => one.Step.SchedId).ToArray(),
                Attempts = all.Select(one => one.Step.Attempt).ToArray(),
                Times = all.Select(one => one.Sample.At).ToArray(),
                Cpu = all.Select(one => Milliseconds(one.Sample.Usage)).ToArray(),
                Peaks = all.Select(one => one.Sample.Usage.PeakMemoryBytes).ToArray(),
                Reads = all.Select(one => one.Sample.Usage.ReadBytes).ToArray(),
                Writes = all.Select(one => one.Sample.Usage.WrittenBytes).ToArray(),
            }
        );
        storedAt = time.GetTimestamp();
    }

    /// <summary>Processor time as it is stored.</summary>
    public static long? Milliseconds(RunUsage? usage) => usage?.CpuSeconds is { } seconds ? (long)Math.Round(seconds * 1000) : null;

    /// <summary>What a row says; null where nothing was measured.</summary>
    public static RunUsage? Of(long? cpuMs, long? peak, long? read, long? written, string? word) =>
        word is null ? null : new RunUsage(cpuMs / 1000.0, peak, read, written, word);
}
