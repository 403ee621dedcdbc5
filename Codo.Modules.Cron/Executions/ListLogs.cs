using System.Globalization;
using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>The ledger, newest first.</summary>
internal static class ListLogs
{
    internal sealed record Query(int? Page, int? Limit, string? Key, string? Value, string? StartDate, string? EndDate) : IRequest<Result>, IPaged;

    internal sealed record Result(int Status, long Count, List<LogView> Data) : Answer(Say.Fetched);

    /// <param name="NominalTime">When it was due; <paramref name="NominalUntil"/> and <paramref name="Times"/> tell of a stretch that is one row.</param>
    internal sealed record LogView(
        long LogId, string JobId, string Status, string TaskCmd, string TaskLog, DateTime ExecTime, string Trigger, string By, DateTime NominalTime, DateTime NominalUntil, int Times,
        DateTime? EndTime, int? ExitCode, JsonNode? Attempts);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public static readonly string[] Keys = ["log_id", "job_id", "status", "task_cmd", "task_log", "exec_time"];

        public Validator()
        {
            this.Paged();
            RuleFor(query => query.Key).OneOf("key", Keys);
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Zone zone, TimeProvider time) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 10;

        // One condition a key; the others are null and drop out. The planner sees the values (Npgsql plans unprepared statements with them).
        private const string Where = """
            WHERE l.exec_time >= @From AND l.exec_time < @Until
                AND (CAST(@LogId AS bigint) IS NULL OR l.log_id = @LogId) AND (CAST(@JobId AS text) IS NULL OR l.job_id = @JobId)
                AND (CAST(@Status AS text) IS NULL OR l.status = @Status) AND (CAST(@TaskCmd AS text) IS NULL OR l.task_cmd = @TaskCmd)
                AND (CAST(@TaskLog AS text) IS NULL OR @TaskLog IN (l.task_log, l.cause_zh, l.cause_en, l.task_log || E'\n' || l.cause_zh, l.task_log || E'\n' || l.cause_en))
                AND (CAST(@ExecTime AS timestamptz) IS NULL OR date_trunc('second', l.exec_time) = @ExecTime)
            """;

        private const string ListSql = $"""
            SELECT l.log_id, l.job_id, l.status, l.task_cmd, l.exec_time, l.trigger, l.by_name, l.nominal_at, l.nominal_until, l.times, l.ended_at, l.exit_code, l.cause_zh, l.cause_en,
                CASE WHEN l.status = 'running' THEN coalesce((SELECT left(string_agg(o.text, '' ORDER BY o.from_byte), 65536) FROM cron.output o
                    WHERE o.log_id = l.log_id AND o.nominal_at = l.nominal_at AND o.from_byte < 65536 AND o.attempt = (SELECT max(attempt) FROM cron.attempt m WHERE m.log_id = l.log_id AND m.nominal_at = l.nominal_at)), '')
                    ELSE l.task_log END AS task_log,
                (SELECT jsonb_agg(jsonb_build_object('attempt', a.attempt, 'trigger', a.trigger, 'node', a.node, 'status', a.status, 'exit_code', a.exit_code, 'left_alive', a.left_alive,
                    'seconds', round(CAST(extract(epoch FROM a.ended_at - a.started_at) AS numeric), 3), 'zh', a.cause_zh, 'en', a.cause_en) ORDER BY a.attempt)::text
                    FROM cron.attempt a WHERE a.log_id = l.log_id AND a.nominal_at = l.nominal_at) AS attempts
            FROM cron.cron_log l {Where}
            ORDER BY l.exec_time DESC, l.log_id DESC LIMIT @Limit OFFSET @Offset;
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM cron.cron_log l {Where}
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var filter = Filter(request);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var both = await connection.QueryMultipleAsync(ListSql + CountSql, filter);
            var rows = (await both.ReadAsync<Row>()).Select(View).ToList();
            return new Result(0, await both.ReadSingleAsync<long>(), rows);
        }

        private DynamicParameters Filter(Query request)
        {
            var now = time.GetUtcNow();
            var from = now.AddMonths(-1);
            if (request.StartDate is not null && !Times.TryParseStart(request.StartDate, zone.Info, out from)) throw Wrong("start_date");
            // A month back to tomorrow, so that a clock that is a little ahead hides nothing.
            var until = now.AddDays(1);
            if (request.EndDate is not null && !Times.TryParseEnd(request.EndDate, zone.Info, out until)) throw Wrong("end_date");
            var value = request.Key is null ? null : request.Value;
            var parameters = new DynamicParameters(new
            {
                From = from.UtcDateTime,
                Until = until.UtcDateTime,
                Limit = request.Limit ?? DefaultLimit,
                Offset = request.Offset(DefaultLimit),
                JobId = request.Key == "job_id" ? value : null,
                Status = request.Key == "status" ? value : null,
                TaskCmd = request.Key == "task_cmd" ? value : null,
                TaskLog = request.Key == "task_log" ? value : null,
                LogId = request.Key == "log_id" && value is not null ? long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : throw Wrong("value") : (long?)null,
                ExecTime = request.Key == "exec_time" && value is not null ? Times.TryParse(value, zone.Info, out var at) ? at.UtcDateTime : throw Wrong("value") : (DateTime?)null,
            });
            return parameters;
        }

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
            return new LogView(row.LogId, row.JobId, row.Status, row.TaskCmd, text, row.ExecTime, row.Trigger, row.ByName, row.NominalAt, row.NominalUntil, row.Times, row.EndedAt, row.ExitCode, attempts);
        }

        private sealed record Row(
            long LogId, string JobId, string Status, string TaskCmd, DateTime ExecTime, string Trigger, string ByName, DateTime NominalAt, DateTime NominalUntil, int Times, DateTime? EndedAt, int? ExitCode,
            string CauseZh, string CauseEn, string TaskLog, string? Attempts);
    }
}
