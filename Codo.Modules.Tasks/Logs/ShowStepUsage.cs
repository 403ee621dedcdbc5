using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>What a step on one host has used: live with its processes, or in the end.</summary>
internal static class ShowStepUsage
{
    /// <param name="SchedId">Where several steps have the same log; else the one that began last.</param>
    internal sealed record Query(string? LogKey, long? SchedId, int? Attempt) : IRequest<Result>;

    /// <param name="Attempt">0 before the first.</param>
    /// <param name="At">When the figures of a running attempt were taken; null where there are none, and after the end.</param>
    /// <param name="Usage">Until <paramref name="At"/>, or in all; null where nothing was measured.</param>
    internal sealed record Result(
        long SchedId,
        int Attempt,
        string? Node,
        bool Running,
        DateTime? At,
        RunUsage? Usage,
        double? Cores,
        long? MemoryBytes,
        int? ProcessCount,
        IReadOnlyList<RunProcess> Processes,
        IReadOnlyList<UsagePoint> History,
        Text Note
    ) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.Attempt).Within(1, int.MaxValue, "attempt");
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        RunningAttempts attempts,
        UsageSampler sampler,
        Node node,
        Zone zone,
        TimeProvider time,
        Access access
    ) : IRequestHandler<Query, Result>
    {
        private const int MostProcesses = 200;

        // How old a look may be that is answered without another.
        private static readonly TimeSpan Fresh = TimeSpan.FromMilliseconds(500);

        private const string RowSql = """
            SELECT s.sched_id, a.attempt, a.node, CASE WHEN s.force_host <> '' THEN s.force_host ELSE l.host END AS host, a.ended_at, a.cpu_ms,
                a.peak_memory_bytes, a.read_bytes, a.written_bytes, a.usage_source, a.usage_at
            FROM tasks.scheduler_task_info s JOIN tasks.lane l USING (lane_id) LEFT JOIN LATERAL (
                SELECT * FROM tasks.attempt a WHERE a.sched_id = s.sched_id AND (CAST(@Attempt AS int) IS NULL OR a.attempt = @Attempt)
                    ORDER BY attempt DESC LIMIT 1) a ON true
            WHERE s.list_id = @ListId AND s.task_group = @Group AND s.task_level = @Level AND l.host = @Host
                AND (CAST(@SchedId AS bigint) IS NULL OR s.sched_id = @SchedId)
            ORDER BY a.started_at DESC NULLS LAST, s.sched_id LIMIT 1
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var key = await LogAccess.Open(source, access, query.LogKey, cancellationToken);
            if (key.Text.Split('_', 4) is not [_, var group, _, var host] || key.ListId == 0) throw LogAccess.NoSuchLog;
            Row row;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
                row =
                    await connection.QuerySingleOrDefaultAsync<Row>(
                        RowSql,
                        new
                        {
                            key.ListId,
                            Group = int.TryParse(group, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : -1,
                            key.Level,
                            Host = host,
                            query.SchedId,
                            query.Attempt,
                        }
                    ) ?? throw LogAccess.NoSuchLog;
            if (query.Attempt is { } asked && row.Attempt is null)
                throw Refusal.NotFound($"步骤 {row.SchedId} 没有第 {asked} 次尝试", $"Step {row.SchedId} has no attempt {asked}");
            var isRunning = row is { Attempt: not null, EndedAt: null };
            var stored = StepUsage.Of(row.CpuMs, row.PeakMemoryBytes, row.ReadBytes, row.WrittenBytes, row.UsageSource);
            var answer = new Result(
                row.SchedId,
                row.Attempt ?? 0,
                row.Node,
                isRunning,
                isRunning ? row.UsageAt : null,
                stored,
                null,
                null,
                null,
                [],
                [],
                NoteOf(row, stored, isRunning)
            );
            return isRunning && attempts.Find(row.SchedId, row.Attempt!.Value)?.Watch is { } watch ? await Here(answer, watch) : answer;
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
                Note = Text.Same(""),
            };
        }

        private Text NoteOf(Row row, RunUsage? stored, bool isRunning)
        {
            if (!StepHost.IsLocal(row.Host)) return new Text("只测量 Codo 所在机器上的步骤", "Only steps on Codo's own machine are measured");
            if (!isRunning || row.Node == node.Name) return Text.Same("");
            return stored is null
                ? new Text(
                    $"在节点 {row.Node} 上运行；运行超过 5 秒后，那个节点每隔几秒保存一次数据",
                    $"It runs on node {row.Node}, which stores figures of steps that have gone on for 5 seconds"
                )
                : new Text(
                    $"在节点 {row.Node} 上运行，数据由它保存于 {zone.Text(row.UsageAt!.Value)}",
                    $"It runs on node {row.Node}, which stored these figures at {zone.Text(row.UsageAt!.Value)}"
                );
        }

        private sealed record Row(
            long SchedId,
            int? Attempt,
            string? Node,
            string Host,
            DateTime? EndedAt,
            long? CpuMs,
            long? PeakMemoryBytes,
            long? ReadBytes,
            long? WrittenBytes,
            string? UsageSource,
            DateTime? UsageAt
        );
    }
}
