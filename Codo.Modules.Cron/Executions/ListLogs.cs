using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>The ledger, newest first.</summary>
internal static class ListLogs
{
    /// <param name="JobId">Of this job; all conditions must hold.</param>
    /// <param name="Status">One word, or several with commas.</param>
    /// <param name="Failed">Only what went wrong: <c>faild</c>, <c>timeout</c>, <c>killed</c>, <c>interrupted</c>, <c>missed</c>.</param>
    /// <param name="Tag">Of jobs that have this tag.</param>
    /// <param name="Owner">Of jobs that this person owns, or made where nobody owns them.</param>
    /// <param name="Q">A text in the output or in the reason, in any case.</param>
    internal sealed record Query(
        int? Page,
        int? Limit,
        string? Key,
        string? Value,
        string? StartDate,
        string? EndDate,
        string? JobId,
        string? Status,
        bool? Failed,
        string? Tag,
        string? Owner,
        string? Q
    ) : IRequest<Result>, IPaged;

    /// <param name="CountIsEstimate">There are more than 10,000 rows, and no more were counted.</param>
    /// <param name="Partial">The search for <c>q</c> ran out of time: older rows may contain it as well.</param>
    internal sealed record Result(int Status, long Count, bool CountIsEstimate, List<LogView> Data, bool Partial) : Answer(Messages.Fetched);

    /// <param name="Usage">What all attempts that are over used together; null where nothing was measured.</param>
    /// <param name="NominalTime">When it was due; <paramref name="NominalUntil"/> and <paramref name="Times"/> tell of a stretch that is one row.</param>
    internal sealed record LogView(
        long LogId,
        string JobId,
        string Status,
        string TaskCmd,
        string TaskLog,
        DateTime ExecTime,
        string Trigger,
        string By,
        DateTime NominalTime,
        DateTime NominalUntil,
        int Times,
        DateTime? EndTime,
        int? ExitCode,
        JsonNode? Attempts,
        RunUsage? Usage
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public static readonly string[] Keys = ["log_id", "job_id", "status", "task_cmd", "task_log", "exec_time"];

        public Validator()
        {
            this.Paged();
            RuleFor(query => query.Key).OneOf("key", Keys);
            RuleFor(query => query.Status).Must(AreStatuses).Refuse(NoStatusZh, NoStatusEn);
            RuleFor(query => query.Value).Must(AreStatuses).When(query => query.Key == "status").WithState(_ => Refusal.Invalid(NoStatusZh, NoStatusEn));
            RuleFor(query => query.Q).AtMost(200, "q");
        }

        private static readonly string Statuses = string.Join(" | ", Enum.GetValues<ExecutionStatus>().Select(status => status.Word()));
        private static readonly string NoStatusZh = $"status 只能是 {Statuses}，多个用逗号分隔", NoStatusEn = $"status must be one of {Statuses}, several with commas";

        private static bool AreStatuses(string? words) =>
            words is null || Words(words).All(word => Enum.GetValues<ExecutionStatus>().Any(status => status.Word() == word));
    }

    /// <summary>What did not end well. A time that a pause or the overlap policy skipped is as it was meant.</summary>
    private static readonly string[] WentWrong =
    [
        ExecutionStatus.Faild.Word(),
        ExecutionStatus.Timeout.Word(),
        ExecutionStatus.Killed.Word(),
        ExecutionStatus.Interrupted.Word(),
        ExecutionStatus.Missed.Word(),
    ];

    private static string[] Words(string text) => text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    internal sealed class Handler(
        NpgsqlDataSource source,
        LedgerSearch search,
        Zone zone,
        TimeProvider time,
        PagePositions positions,
        Access access
    ) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 10;

        // A page of more rows than this shows less of each output.
        private const int MostWithOutput = 100;

        // Room for the line that names where the rest is.
        private const int EndLine = 1024;

        // Of what runs a subquery within CASE, which is asked of those rows alone. Its pieces are counted in bytes, what is shown of them in characters.
        private const string RowsSql = """
            SELECT l.log_id, l.job_id, l.status, CASE WHEN length(l.task_cmd) > 4096 THEN left(l.task_cmd, 4096) || '…' ELSE l.task_cmd END AS task_cmd,
                l.exec_time, l.trigger, l.by_name, l.nominal_at, l.nominal_until, l.times, l.ended_at, l.exit_code, l.cause_zh, l.cause_en,
                CASE WHEN l.status = 'running' THEN (
                    SELECT left(head.text, CAST(@Most AS int))
                        || CASE WHEN length(head.text) > @Most OR EXISTS (SELECT FROM cron.output n WHERE n.log_id = l.log_id
                            AND n.nominal_at = l.nominal_at AND n.attempt = newest.attempt AND n.from_byte >= @Most)
                            THEN E'\n… /v1/cron/log/output/?log_id=' || l.log_id || ' …' ELSE '' END
                    FROM (SELECT max(m.attempt) AS attempt FROM cron.attempt m WHERE m.log_id = l.log_id AND m.nominal_at = l.nominal_at) newest
                    CROSS JOIN LATERAL (SELECT coalesce(string_agg(o.text, '' ORDER BY o.from_byte), '') AS text FROM cron.output o
                        WHERE o.log_id = l.log_id AND o.nominal_at = l.nominal_at AND o.attempt = newest.attempt AND o.from_byte < @Most) head)
                    WHEN length(l.task_log) > @Most THEN left(l.task_log, CAST(@Most AS int)) || E'\n… /v1/cron/log/output/?log_id=' || l.log_id || ' …'
                        ELSE l.task_log END AS task_log,
                (SELECT jsonb_agg(jsonb_build_object('attempt', a.attempt, 'trigger', a.trigger, 'node', a.node, 'status', a.status, 'exit_code',
                    a.exit_code, 'left_alive', a.left_alive,
                    'seconds', round(CAST(extract(epoch FROM a.ended_at - a.started_at) AS numeric), 3), 'zh', a.cause_zh, 'en', a.cause_en,
                    'usage', CASE WHEN a.usage_source IS NOT NULL THEN jsonb_build_object('cpu_seconds', CAST(a.cpu_ms AS float8) / 1000, 'peak_memory_bytes',
                        a.peak_memory_bytes, 'read_bytes', a.read_bytes, 'written_bytes', a.written_bytes, 'source', a.usage_source) END)
                        ORDER BY a.attempt)::text
                    FROM cron.attempt a WHERE a.log_id = l.log_id AND a.nominal_at = l.nominal_at) AS attempts
            FROM cron.cron_log l WHERE l.log_id = ANY(CAST(@Ids AS bigint[]))
            ORDER BY l.exec_time DESC, l.log_id DESC
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var (limit, offset) = (request.Limit ?? DefaultLimit, request.Offset(DefaultLimit));
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var filter = await LedgerPages.OfJobs(connection, Filter(request), request.Tag, request.Owner, cancellationToken);
            if (request.Q is not null || request is { Key: "task_log", Value: not null })
                return await Search(connection, request, filter, limit, offset, cancellationToken);
            var place = new PagePositions.PageKey(access.Caller.UserId, (request with { Page = null, Limit = null }).ToString(), limit, request.Page ?? 1);
            await using var transaction = await ListReading.Begin(connection, cancellationToken);
            var keys = await LedgerPages.Page(connection, transaction, filter, positions.Before<LedgerKey>(place), offset, limit);
            if (keys.Count == limit) positions.Remember(place, keys[^1]);
            // A page that is neither full nor empty is the last.
            var count = keys.Count > 0 && keys.Count < limit && offset < ListReading.MostCounted
                ? new ListCount(offset + keys.Count, false)
                : await LedgerPages.Count(connection, transaction, filter);
            var rows = await Rows(connection, transaction, keys, limit);
            await transaction.CommitAsync(cancellationToken);
            return new Result(0, count.Rows, count.IsEstimate, rows, false);
        }

        private async Task<Result> Search(
            NpgsqlConnection connection,
            Query request,
            LedgerFilter filter,
            int limit,
            long offset,
            CancellationToken cancellation
        )
        {
            var taskLog = request.Key == "task_log" ? request.Value : null;
            var found = await search.Find(connection, filter, request.Q, taskLog, offset + limit, cancellation);
            var page = found.Keys.Skip((int)Math.Min(offset, int.MaxValue)).Take(limit).ToList();
            await using var reading = await ListReading.Begin(connection, cancellation);
            return new Result(0, found.Keys.Count, found.IsPartial, await Rows(connection, reading, page, limit), found.IsPartial);
        }

        private static async Task<List<LogView>> Rows(NpgsqlConnection connection, NpgsqlTransaction transaction, List<LedgerKey> keys, int limit)
        {
            if (keys.Count == 0) return [];
            var most = limit > MostWithOutput ? Excerpt.Length : ExecutionStore.ListLimit + EndLine;
            var rows = await connection.QueryAsync<Row>(RowsSql, new { Ids = keys.Select(key => key.LogId).ToArray(), Most = most }, transaction);
            return [.. rows.Select(View)];
        }

        private LedgerFilter Filter(Query request)
        {
            var now = time.GetUtcNow();
            var from = now.AddMonths(-1);
            if (request.StartDate is not null && !Times.TryParseStart(request.StartDate, zone.Info, out from)) throw Wrong("start_date");
            // A month back to tomorrow, so that a clock that is a little ahead hides nothing.
            var until = now.AddDays(1);
            if (request.EndDate is not null && !Times.TryParseEnd(request.EndDate, zone.Info, out until)) throw Wrong("end_date");
            var value = request.Key is null ? null : request.Value;
            if (request.Key == "exec_time" && value is not null)
            {
                if (!Times.TryParse(value, zone.Info, out var at)) throw Wrong("value");
                (from, until) = (at > from ? at : from, at.AddSeconds(1) < until ? at.AddSeconds(1) : until);
            }
            var statuses = request.Status is null ? null : Words(request.Status);
            if (request.Key == "status" && value is not null) statuses = Both(statuses, Words(value));
            if (request.Failed == true) statuses = Both(statuses, WentWrong);
            var jobId = request.JobId;
            if (request.Key == "job_id" && value is not null)
            {
                // Two jobs at once are none.
                if (jobId is not null && jobId != value) statuses = [];
                jobId = value;
            }
            var sight = access.Sees(ResourceKind.Job);
            return new LedgerFilter(from.UtcDateTime, until.UtcDateTime)
            {
                SeesAll = sight.All,
                Spaces = sight.Spaces,
                Objects = sight.Objects,
                JobId = jobId,
                Statuses = statuses?.Distinct(StringComparer.Ordinal).ToArray(),
                TaskCmd = request.Key == "task_cmd" ? value : null,
                LogId =
                    request.Key == "log_id" && value is not null
                        ? long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var id)
                            ? id
                            : throw Wrong("value")
                        : (long?)null,
            };
        }

        private static string[] Both(string[]? some, string[] others) =>
            some is null ? others : [.. some.Intersect(others, StringComparer.Ordinal)];

        private static Refusal Wrong(string field) => Refusal.Invalid($"{field} 格式错误", $"{field} is not of the right form");

        private static LogView View(Row row)
        {
            var cause = new Text(row.CauseZh, row.CauseEn).ToString();
            var text = cause.Length == 0 ? row.TaskLog : row.TaskLog.Length == 0 ? cause : row.TaskLog + (row.TaskLog.EndsWith('\n') ? "" : "\n") + cause;
            var attempts = row.Attempts is null ? new JsonArray() : JsonNode.Parse(row.Attempts)!.AsArray();
            foreach (var attempt in attempts.Select(node => node!.AsObject()))
            {
                attempt["cause"] = (Language.English ? attempt["en"] : attempt["zh"])!.GetValue<string>();
                attempt.Remove("zh");
                attempt.Remove("en");
            }
            return new LogView(
                row.LogId,
                row.JobId,
                row.Status,
                row.TaskCmd,
                text,
                row.ExecTime,
                row.Trigger,
                row.ByName,
                row.NominalAt,
                row.NominalUntil,
                row.Times,
                row.EndedAt,
                row.ExitCode,
                attempts,
                UsageOf(attempts)
            );
        }

        private static RunUsage? UsageOf(JsonArray attempts)
        {
            var all = attempts.Select(attempt => attempt!["usage"]).OfType<JsonObject>().Select(usage => usage.Deserialize<RunUsage>(Json.Stored)!).ToList();
            return all.Count == 0 ? null : all.Aggregate((sum, usage) => sum.With(usage));
        }

        private sealed record Row(
            long LogId,
            string JobId,
            string Status,
            string TaskCmd,
            DateTime ExecTime,
            string Trigger,
            string ByName,
            DateTime NominalAt,
            DateTime NominalUntil,
            int Times,
            DateTime? EndedAt,
            int? ExitCode,
            string CauseZh,
            string CauseEn,
            string TaskLog,
            string? Attempts
        );
    }
}
