using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>What an execution has used: live with its processes and the time that it is likely to go on, or in the end with what is left of it.</summary>
internal static class ShowUsage
{
    internal sealed record Query(long? LogId, int? Attempt = null) : IRequest<Result>;

    /// <param name="At">When the figures of a running attempt were taken; null where there are none, and after the end.</param>
    /// <param name="Usage">Until <paramref name="At"/>, or in all; null where nothing was measured.</param>
    /// <param name="Processes">Those that run; after the end those that are left on this node.</param>
    /// <param name="Outlook">One of <see cref="Unknown"/> and so on; null when it does not run.</param>
    internal sealed record Result(
        long LogId,
        int Attempt,
        string Status,
        string? Node,
        DateTime? At,
        RunUsage? Usage,
        double? Cores,
        long? MemoryBytes,
        int? ProcessCount,
        IReadOnlyList<RunProcess> Processes,
        IReadOnlyList<UsagePoint> History,
        double? ElapsedSeconds,
        double? ExpectedSeconds,
        double? ExpectedP95Seconds,
        double? RemainingSeconds,
        string? Outlook,
        Text Note
    ) : Answer(Messages.Fetched);

    /// <summary>
    /// How a running execution compares with the job's runs of the last 30 days: too few of them, not past their p50, past it, past their p95.
    /// </summary>
    public const string Unknown = "unknown",
        Usual = "usual",
        Longer = "longer",
        Overdue = "overdue";

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.LogId).NotNull().Refuse("log_id 不能为空", "log_id is missing");
            RuleFor(query => query.Attempt).Within(1, int.MaxValue, "attempt");
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        Runner runner,
        UsageSampler sampler,
        JobEnvironment environments,
        Node node,
        Zone zone,
        TimeProvider time,
        Access access
    ) : IRequestHandler<Query, Result>
    {
        private const int MostProcesses = 200, LeastRuns = 3;

        // How old a look may be that is answered without another.
        private static readonly TimeSpan Fresh = TimeSpan.FromMilliseconds(500);

        private const string RowSql = """
            SELECT l.job, l.status, l.exec_time, l.env, a.attempt, a.node, a.run_id, a.process_group, a.start_ticks, a.boot_id, a.ended_at,
                a.cpu_ms, a.peak_memory_bytes, a.read_bytes, a.written_bytes, a.usage_source, u.at AS live_at, u.cpu_ms AS live_cpu_ms,
                u.peak_memory_bytes AS live_peak, u.read_bytes AS live_read, u.written_bytes AS live_written, u.sample::text AS sample
            FROM cron.cron_log l LEFT JOIN LATERAL (
                SELECT * FROM cron.attempt a
                WHERE a.log_id = l.log_id AND a.nominal_at = l.nominal_at AND (CAST(@Attempt AS int) IS NULL OR a.attempt = @Attempt)
                    ORDER BY attempt DESC LIMIT 1) a ON true
            LEFT JOIN cron.live_usage u ON u.log_id = l.log_id AND u.attempt = a.attempt AND a.ended_at IS NULL
            WHERE l.log_id = @LogId
            """;

        private const string DurationsSql = """
            SELECT cron.merge_counts(durations) FROM cron.job_day WHERE job = @Job AND day > CURRENT_DATE - 30
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var absent = Refusal.NotFound($"日志 {request.LogId} 不存在", $"There is no log {request.LogId}");
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var row = await connection.QuerySingleOrDefaultAsync<Row>(RowSql, new { request.LogId, request.Attempt }) ?? throw absent;
            await access.Demand(Verbs.See, await JobAccess.OfRow(connection, row.Job), absent);
            if (request.Attempt is not null && row.Attempt is null)
                throw Refusal.NotFound($"日志 {request.LogId} 没有第 {request.Attempt} 次尝试", $"Log {request.LogId} has no attempt {request.Attempt}");
            var answer = new Result(
                request.LogId!.Value,
                row.Attempt ?? 0,
                row.Status,
                row.Node,
                null,
                null,
                null,
                null,
                null,
                [],
                [],
                null,
                null,
                null,
                null,
                null,
                new Text("", "")
            );
            if (row.Attempt is not { } attempt) return answer;
            if (row.EndedAt is not null) return await Ended(answer, row);
            answer = WithOutlook(answer, row, await connection.ExecuteScalarAsync<int[]?>(DurationsSql, new { row.Job }));
            return runner.Find(answer.LogId, attempt)?.Watch is { } watch ? await Here(answer, watch) : Elsewhere(answer, row);
        }

        private Result WithOutlook(Result answer, Row row, int[]? durations)
        {
            var elapsed = Math.Max(0, (time.GetUtcNow().UtcDateTime - row.ExecTime).TotalSeconds);
            answer = answer with { ElapsedSeconds = Math.Round(elapsed, 1), Outlook = Unknown };
            if (durations is null || durations.Sum(count => (long)count) < LeastRuns) return answer;
            var (p50, p95) = (Histogram.Percentile(durations, 0.5), Histogram.Percentile(durations, 0.95));
            return answer with
            {
                ExpectedSeconds = p50,
                ExpectedP95Seconds = p95,
                RemainingSeconds = elapsed < p50 ? Math.Round(p50.Value - elapsed, 1) : null,
                Outlook =
                    elapsed <= p50 ? Usual
                    : elapsed <= p95 ? Longer
                    : Overdue,
            };
        }

        private async Task<Result> Here(Result answer, RunWatch watch)
        {
            await sampler.Sample(Fresh);
            if (watch.Latest is not { } sample) return answer;
            return answer with
            {
                At = sample.At,
                Usage = sample.Usage,
                Cores = sample.Cores,
                MemoryBytes = sample.MemoryBytes,
                ProcessCount = sample.Processes,
                Processes = watch.Processes(MostProcesses, time.GetUtcNow().UtcDateTime),
                History = sample.History,
            };
        }

        private Result Elsewhere(Result answer, Row row)
        {
            if (row.Node == node.Name) return answer with { Note = new Text("命令正在启动", "Its command is being started") };
            if (row.LiveAt is not { } at)
                return answer with
                {
                    Note = new Text(
                        $"在节点 {row.Node} 上运行；运行超过 5 秒后，那个节点每隔几秒保存一次数据",
                        $"It runs on node {row.Node}, which stores figures of runs that have gone on for 5 seconds"
                    ),
                };
            var stored = LiveUsage.Read(row.Sample);
            return answer with
            {
                At = at,
                Usage = new RunUsage(row.LiveCpuMs / 1000.0, row.LivePeak, row.LiveRead, row.LiveWritten, RunUsage.Sampled),
                Cores = stored?.Cores,
                MemoryBytes = stored?.MemoryBytes,
                ProcessCount = stored?.Count,
                Processes = stored?.Processes ?? [],
                History = stored?.History ?? [],
                Note = new Text(
                    $"在节点 {row.Node} 上运行，数据由它保存于 {zone.Text(at)}",
                    $"It runs on node {row.Node}, which stored these figures at {zone.Text(at)}"
                ),
            };
        }

        private async Task<Result> Ended(Result answer, Row row)
        {
            if (row.UsageSource is { } word)
                answer = answer with { Usage = new RunUsage(row.CpuMs / 1000.0, row.PeakMemoryBytes, row.ReadBytes, row.WrittenBytes, word) };
            // Whether a process of another boot or another machine is left cannot be known here.
            if (row.Node != node.Name || row.BootId != RunMark.CurrentBootId) return answer;
            if (row is not { RunId: { } run, ProcessGroup: { } group, StartTicks: > 0 and var start }) return answer;
            var readable = environments.TryOpen(row.Env) is not null;
            var left = await sampler.Left(
                new RunMark(run, group, start, row.BootId),
                () => readable ? environments.Secrets(row.Env) : [],
                MostProcesses
            );
            return answer with
            {
                ProcessCount = left.Count,
                Processes = readable ? left : [.. left.Select(process => process with { Command = JobEnvironment.Mask })],
            };
        }

        // With properties, because Dapper gives no array to a constructor.
        private sealed record Row
        {
            public long Job { get; init; }
            public required string Status { get; init; }
            public DateTime ExecTime { get; init; }
            public byte[]? Env { get; init; }
            public int? Attempt { get; init; }
            public string? Node { get; init; }
            public string? RunId { get; init; }
            public int? ProcessGroup { get; init; }
            public long? StartTicks { get; init; }
            public string? BootId { get; init; }
            public DateTime? EndedAt { get; init; }
            public long? CpuMs { get; init; }
            public long? PeakMemoryBytes { get; init; }
            public long? ReadBytes { get; init; }
            public long? WrittenBytes { get; init; }
            public string? UsageSource { get; init; }
            public DateTime? LiveAt { get; init; }
            public long? LiveCpuMs { get; init; }
            public long? LivePeak { get; init; }
            public long? LiveRead { get; init; }
            public long? LiveWritten { get; init; }
            public string? Sample { get; init; }
        }
    }
}
