using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Why a job ran at a time, or did not: the ledger's answer in a sentence.</summary>
internal static class ExplainFire
{
    internal sealed record Query(string? JobId, string? Time) : IRequest<Result>;

    /// <param name="Sentence">What happened, and why.</param>
    /// <param name="LogId">The row of the ledger that says so; null where none does.</param>
    /// <param name="Status">Of that row; null where there is none.</param>
    internal sealed record Result(string JobId, Text Sentence, long? LogId, string? Status) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.JobId).Must(id => !string.IsNullOrWhiteSpace(id)).Refuse("job id 不能为空", "job_id is missing");
            RuleFor(query => query.Time).NotEmpty().Refuse("time 不能为空", "time is required");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Zone zone, TimeProvider time, Access access) : IRequestHandler<Query, Result>
    {
        private const string JobSql = """
            SELECT id, cron, time_zone, paused, create_time, update_time, accounted_to FROM cron.job WHERE job_id = @JobId
            """;

        private const string DeletedSql = """
            SELECT job, space_id, deleted_at, by_name FROM cron.deleted_job WHERE job_id = @JobId ORDER BY deleted_at DESC LIMIT 1
            """;

        // Every due time is in one row, and rows do not overlap: the last that begins by then covers it, or the first that begins within the time asked for.
        private const string RowSql = """
            SELECT l.log_id, l.status, l.nominal_at, l.nominal_until, l.times, l.exec_time, l.ended_at, l.exit_code, l.cause_zh, l.cause_en,
                (SELECT max(a.attempt) FROM cron.attempt a WHERE a.log_id = l.log_id AND a.nominal_at = l.nominal_at) AS attempts FROM (
                (SELECT b.* FROM cron.cron_log b WHERE b.job = @Id AND b.kind = 'schedule' AND b.nominal_at <= @From ORDER BY b.nominal_at DESC LIMIT 1)
                UNION ALL
                (SELECT w.* FROM cron.cron_log w WHERE w.job = @Id AND w.kind = 'schedule' AND w.nominal_at > @From AND w.nominal_at < @Until
                    ORDER BY w.nominal_at LIMIT 1)) l
            WHERE l.nominal_until >= @From ORDER BY l.nominal_at LIMIT 1
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            if (!Times.TryParse(Whole(request.Time!), zone.Info, out var from)) throw Refusal.Invalid("time " + Times.Expected.Zh, "time " + Times.Expected.En);
            // A time without seconds is the whole minute.
            var until = from.AddSeconds(from.Second > 0 ? 1 : 60);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var job = await connection.QuerySingleOrDefaultAsync<Job>(JobSql, new { request.JobId });
            var deleted = job is null ? await connection.QueryFirstOrDefaultAsync<Deleted>(DeletedSql, new { request.JobId }) : null;
            // Grants on a deleted job have ended with it: the roles on its space decide.
            if (deleted is null) await JobAccess.Demand(connection, access, Verbs.See, request.JobId!);
            else await access.Demand(Verbs.See, Resource.Any(ResourceKind.Job, deleted.SpaceId), JobAccess.NotFound(request.JobId));
            var id = job?.Id ?? deleted?.Job ?? throw JobAccess.NotFound(request.JobId);
            var row = await connection.QueryFirstOrDefaultAsync<Row>(RowSql, new { Id = id, From = from.UtcDateTime, Until = until.UtcDateTime });
            if (row is not null) return new Result(request.JobId!, Told(request.JobId!, row), row.LogId, row.Status);
            var sentence = job is null ? OfDeleted(request.JobId!, deleted!, from) : WithoutRow(request.JobId!, job, from, until);
            return new Result(request.JobId!, sentence, null, null);
        }

        // A time of day is today's, where Codo is.
        private string Whole(string text) =>
            TimeOnly.TryParseExact(text, ["H:mm", "H:mm:ss"], CultureInfo.InvariantCulture, DateTimeStyles.None, out _)
                ? $"{TimeZoneInfo.ConvertTime(time.GetUtcNow(), zone.Info).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)} {text}"
                : text;

        private Text Told(string jobId, Row row)
        {
            var due = zone.Text(row.NominalAt);
            var (zh, en) = row.Times > 1
                ? (
                    $"{jobId} 在 {due} 到 {zone.Text(row.NominalUntil)} 之间应执行 {row.Times} 次",
                    $"{jobId} was due {row.Times} times from {due} to {zone.Text(row.NominalUntil)}"
                )
                : ($"{jobId} 应于 {due} 执行", $"{jobId} was due at {due}");
            var cause = new Text(row.CauseZh.Length > 0 ? "：" + row.CauseZh : "", row.CauseEn.Length > 0 ? ": " + row.CauseEn : "");
            var began = row.ExecTime - row.NominalAt >= TimeSpan.FromSeconds(1) ? zone.Text(row.ExecTime) : null;
            var (startedZh, startedEn) = began is null ? ("，按时开始", " and began then") : ($"，于 {began} 开始", $" and began at {began}");
            return row.Status switch
            {
                "queued" when row.Attempts is { } failed => new Text(
                    $"{zh}{startedZh}，第 {failed} 次尝试失败，等待重试{cause.Zh}。",
                    $"{en}{startedEn}; attempt {failed} failed, and it waits for its retry{cause.En}."
                ),
                "queued" => new Text($"{zh}，正在排队{cause.Zh}。", $"{en} and is queued{cause.En}."),
                "killed" when row.Attempts is null => new Text(
                    $"{zh}，尚未开始就被移出队列{cause.Zh}。",
                    $"{en} and was taken from the queue before it began{cause.En}."
                ),
                "running" => new Text($"{zh}{startedZh}，仍在运行。", $"{en}{startedEn}; it is still running."),
                "skipped" => new Text($"{zh}，被跳过{cause.Zh}。", $"{en} and was skipped{cause.En}."),
                "missed" => new Text($"{zh}，但错过了{cause.Zh}。", $"{en} and was missed{cause.En}."),
                _ => new Text($"{zh}{startedZh}，{EndedZh(row)}{cause.Zh}。", $"{en}{startedEn}; it ended as {row.Status}{After(row)}{Code(row)}{cause.En}."),
            };
        }

        private static string EndedZh(Row row) =>
            string.Create(CultureInfo.InvariantCulture, $"结果 {row.Status}")
            + (row.EndedAt is { } end ? string.Create(CultureInfo.InvariantCulture, $"，用时 {(end - row.ExecTime).TotalSeconds:0.#} 秒") : "")
            + (row.ExitCode is { } code ? string.Create(CultureInfo.InvariantCulture, $"，退出码 {code}") : "");

        private static string After(Row row) =>
            row.EndedAt is { } end ? string.Create(CultureInfo.InvariantCulture, $" after {(end - row.ExecTime).TotalSeconds:0.#} seconds") : "";

        private static string Code(Row row) => row.ExitCode is { } code ? string.Create(CultureInfo.InvariantCulture, $" with exit code {code}") : "";

        private Text OfDeleted(string jobId, Deleted job, DateTimeOffset from) => new(
            $"{jobId} 已于 {zone.Text(job.DeletedAt)} 被 {job.ByName} 删除，台账没有它在 {zone.Text(from.UtcDateTime)} 的记录。",
            $"{jobId} was deleted at {zone.Text(job.DeletedAt)} by {job.ByName}; the ledger has no row of it for {zone.Text(from.UtcDateTime)}."
        );

        private Text WithoutRow(string jobId, Job job, DateTimeOffset from, DateTimeOffset until)
        {
            var at = zone.Text(from.UtcDateTime);
            if (until.UtcDateTime <= job.CreateTime)
                return new Text(
                    $"{jobId} 在 {at} 还不存在，创建于 {zone.Text(job.CreateTime)}。",
                    $"{jobId} did not exist at {at}: it was made at {zone.Text(job.CreateTime)}."
                );
            DateTimeOffset? next;
            var info = zone.Info;
            try
            {
                info = JobRow.ZoneOf(job.TimeZone);
                next = JobRow.ExpressionOf(job.Cron).Next(from.AddTicks(-1), info);
            }
            catch (JobIsBroken broken)
            {
                return new Text($"{jobId} 无法读取：{broken.Why.Zh}。", $"{jobId} cannot be read: {broken.Why.En}.");
            }

            var due = next is null ? "" : Times.FormatWithOffset(next.Value, info);
            if (next is null || next >= until)
                return new Text(
                    $"按 {job.Cron}（{job.TimeZone}），{jobId} 在 {at} 不应执行{(next is null ? "" : $"，其后第一次是 {due}")}。",
                    $"{jobId} is not due at {at} by {job.Cron} ({job.TimeZone}){(next is null ? "" : $"; the first time after it is {due}")}."
                );
            if (next.Value.UtcDateTime > job.AccountedTo)
                return job.Paused
                    ? new Text($"{jobId} 将于 {due} 到期，但已暂停。", $"{jobId} will be due at {due}, and it is paused.")
                    : new Text($"{jobId} 将于 {due} 执行。", $"{jobId} is to run at {due}.");
            return next.Value.UtcDateTime < job.UpdateTime
                ? new Text(
                    $"台账没有 {jobId} 在 {due} 的记录：定时器在 {zone.Text(job.UpdateTime)} 改过，或记录已过保留期。",
                    $"The ledger has no row of {jobId} for {due}: the job was changed at {zone.Text(job.UpdateTime)}, or the row is past its retention."
                )
                : new Text($"台账没有 {jobId} 在 {due} 的记录：已过保留期。", $"The ledger has no row of {jobId} for {due}: it is past its retention.");
        }

        private sealed record Job(
            long Id,
            string Cron,
            string TimeZone,
            bool Paused,
            DateTime CreateTime,
            DateTime UpdateTime,
            DateTime AccountedTo
        );

        private sealed record Deleted(long Job, long SpaceId, DateTime DeletedAt, string? ByName);

        private sealed record Row(
            long LogId,
            string Status,
            DateTime NominalAt,
            DateTime NominalUntil,
            int Times,
            DateTime ExecTime,
            DateTime? EndedAt,
            int? ExitCode,
            string CauseZh,
            string CauseEn,
            int? Attempts
        );
    }
}
