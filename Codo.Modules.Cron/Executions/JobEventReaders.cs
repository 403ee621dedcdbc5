using Codo.Platform.Events;
using Codo.Platform.Localization;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// An execution's end, with what its row and its job say. The failures in a row are counted here, in the transaction that deletes the message: once.
/// </summary>
internal sealed class EndedReader(JobEnvironment environments) : IOutboxReader
{
    private const string ReadSql = """
        SELECT l.status, l.exec_time, l.ended_at, l.exit_code, l.task_cmd, l.cause_zh, l.cause_en, l.env, j.owners, j.space_id,
            (SELECT a.node FROM cron.attempt a WHERE a.log_id = l.log_id AND a.nominal_at = l.nominal_at ORDER BY a.attempt DESC LIMIT 1) AS node
        FROM cron.cron_log l JOIN cron.job j ON j.id = @Job WHERE l.log_id = @LogId AND l.nominal_at = @At
        """;

    private const string OutputSql = """
        SELECT right(string_agg(p.text, '' ORDER BY p.from_byte), 8000) FROM (
            SELECT o.text, o.from_byte FROM cron.output o WHERE o.log_id = @LogId AND o.nominal_at = @At
                AND o.attempt = (SELECT max(a.attempt) FROM cron.attempt a WHERE a.log_id = @LogId AND a.nominal_at = @At)
            ORDER BY o.from_byte DESC LIMIT 4) p
        """;

    private const string CountSql = """
        UPDATE cron.job SET failures = CASE WHEN @Failed THEN failures + 1 ELSE 0 END, troubled = @Failed WHERE id = @Job RETURNING failures
        """;

    public string Kind => JobEvents.Ended;

    public async Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var ended = messages[0].Read<JobEvents.Execution>();
        var key = new { ended.Job, ended.LogId, At = ended.NominalAt.UtcDateTime };
        // Of a job that was deleted meanwhile only that is told: nothing of it can become well again.
        if (await connection.QuerySingleOrDefaultAsync<Row>(ReadSql, key, transaction) is not { } row) return null;
        var failed = row.Status != ExecutionStatus.Success;
        var failures = await connection.ExecuteScalarAsync<int?>(CountSql, new { ended.Job, Failed = failed }, transaction) ?? (failed ? 1 : 0);
        var output = failed ? await connection.ExecuteScalarAsync<string?>(OutputSql, key, transaction) ?? "" : "";
        var at = row.EndedAt ?? messages[0].At;
        return new ExecutionEnded(
            ended.JobId,
            ended.LogId,
            row.Status switch
            {
                ExecutionStatus.Success => ExecutionOutcome.Succeeded,
                ExecutionStatus.Timeout => ExecutionOutcome.TimedOut,
                ExecutionStatus.Interrupted => ExecutionOutcome.Interrupted,
                _ => ExecutionOutcome.Failed,
            },
            failures,
            key.At,
            row.ExecTime,
            at,
            row.ExitCode,
            row.Node ?? "",
            new Text(row.CauseZh, row.CauseEn),
            row.TaskCmd,
            Masked(output, row.Env),
            row.Owners ?? [],
            row.SpaceId
        );
    }

    private string Masked(string output, byte[]? env)
    {
        try
        {
            return environments.WithoutSecrets(output, env);
        }
        catch (Exception error) when (JobEnvironment.DoesNotRead(error))
        {
            // What cannot be masked is not shown.
            return "";
        }
    }

    // With properties, because Dapper gives no array to a constructor.
    private sealed record Row
    {
        public required ExecutionStatus Status { get; init; }
        public DateTime ExecTime { get; init; }
        public DateTime? EndedAt { get; init; }
        public int? ExitCode { get; init; }
        public required string TaskCmd { get; init; }
        public required string CauseZh { get; init; }
        public required string CauseEn { get; init; }
        public byte[]? Env { get; init; }
        public string[]? Owners { get; init; }
        public long SpaceId { get; init; }
        public string? Node { get; init; }
    }
}

/// <summary>Skips in a row.</summary>
internal sealed class SkippedReader : IOutboxReader
{
    private const string ReadSql = """
        SELECT j.owners, j.space_id, l.cause_zh, l.cause_en FROM cron.cron_log l JOIN cron.job j ON j.id = @Job WHERE l.log_id = @LogId AND l.nominal_at = @At
        """;

    private const string TroubledSql = """
        UPDATE cron.job SET troubled = true WHERE id = @Job AND NOT troubled
        """;

    public string Kind => JobEvents.Skipped;

    public async Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var skipped = messages[0].Read<JobEvents.Stretch>();
        if (
            await connection.QuerySingleOrDefaultAsync<Row>(
                ReadSql,
                new
                {
                    skipped.Job,
                    skipped.LogId,
                    At = skipped.NominalAt.UtcDateTime,
                },
                transaction
            )
            is not { } row
        )
            return null;
        await connection.ExecuteAsync(TroubledSql, new { skipped.Job }, transaction);
        return new FiresSkipped(
            skipped.JobId,
            skipped.LogId,
            skipped.Times,
            skipped.NominalAt.UtcDateTime,
            skipped.NominalUntil.UtcDateTime,
            new Text(row.CauseZh, row.CauseEn),
            row.Owners ?? [],
            row.SpaceId
        );
    }

    private sealed record Row
    {
        public required string CauseZh { get; init; }
        public required string CauseEn { get; init; }
        public string[]? Owners { get; init; }
        public long SpaceId { get; init; }
    }
}

/// <summary>Misses. What was noticed together is one event: one downtime of a hundred jobs is told once.</summary>
internal sealed class MissedReader : IOutboxReader
{
    private const string OwnersSql = """
        UPDATE cron.job SET troubled = true WHERE id = ANY(@Jobs) RETURNING id, owners, space_id
        """;

    public string Kind => JobEvents.Missed;

    public bool ReadsTogether => true;

    public async Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var missed = messages.Select(message => (message.At, Stretch: message.Read<JobEvents.Stretch>())).ToList();
        var jobs = (
            await connection.QueryAsync<Row>(OwnersSql, new { Jobs = missed.Select(one => one.Stretch.Job).Distinct().Order().ToArray() }, transaction)
        ).ToDictionary(row => row.Id);
        var told = missed
            .Where(one => jobs.ContainsKey(one.Stretch.Job))
            .Select(one => new MissedJob(
                one.Stretch.JobId,
                one.Stretch.NominalAt.UtcDateTime,
                one.Stretch.NominalUntil.UtcDateTime,
                one.Stretch.Times,
                one.At,
                jobs[one.Stretch.Job].Owners ?? [],
                jobs[one.Stretch.Job].SpaceId
            ))
            .ToList();
        return told.Count == 0 ? null : new FiresMissed(told);
    }

    private sealed record Row
    {
        public long Id { get; init; }
        public string[]? Owners { get; init; }
        public long SpaceId { get; init; }
    }
}

/// <summary>A job that is gone.</summary>
internal sealed class DeletedReader : IOutboxReader
{
    public string Kind => JobEvents.Deleted;

    public Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction) =>
        Task.FromResult<INotification?>(new JobDeleted(messages[0].Read<JobEvents.Job>().JobId));
}

/// <summary>A job that does not read any more.</summary>
internal sealed class BrokenReader : IOutboxReader
{
    private const string OwnersSql = """
        SELECT owners, space_id FROM cron.job WHERE id = @Job AND broken_at IS NOT NULL
        """;

    public string Kind => JobEvents.Broken;

    public async Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var broken = messages[0].Read<JobEvents.Brokenness>();
        return await connection.QuerySingleOrDefaultAsync<Row>(OwnersSql, new { broken.Job }, transaction) is { } job
            ? new JobBroke(broken.JobId, messages[0].At, new Text(broken.Zh, broken.En), job.Owners ?? [], job.SpaceId)
            : null;
    }

    private sealed record Row
    {
        public string[]? Owners { get; init; }
        public long SpaceId { get; init; }
    }
}

/// <summary>A broken job that was put right.</summary>
internal sealed class MendedReader : IOutboxReader
{
    public string Kind => JobEvents.Mended;

    public Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction) =>
        Task.FromResult<INotification?>(new JobMended(messages[0].Read<JobEvents.Job>().JobId));
}
