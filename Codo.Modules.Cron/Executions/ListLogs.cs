using System.Globalization;
using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Platform.Localization;
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

    /// <param name="Partial">The search for <c>q</c> ran out of time: older rows may contain it as well.</param>
    internal sealed record Result(int Status, long Count, List<LogView> Data, bool Partial) : Answer(Say.Fetched);

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
        JsonNode? Attempts
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

    internal sealed class Handler(NpgsqlDataSource source, Zone zone, TimeProvider time, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 10;

        // A page of more rows than this shows less of each output.
        private const int MostWithOutput = 100;

        // Room for the line that names where the rest is.
        private const int EndLine = 1024;

        /// <summary>
        /// How long a search for a text may take, and how much of it is looked through first: the newest hour, then four times as much, and so on.
        /// </summary>
        private static readonly TimeSpan MostSearch = TimeSpan.FromSeconds(2), FirstStretch = TimeSpan.FromHours(1);

        // Conditions that were not asked for are null and drop out. The planner sees the values (Npgsql plans unprepared statements with them).
        private const string Where = $"""
            WHERE l.exec_time >= @From AND l.exec_time < @Until AND {JobAccess.RowVisible}
                AND (CAST(@LogId AS bigint) IS NULL OR l.log_id = @LogId) AND (CAST(@KeyJobId AS text) IS NULL OR l.job_id = @KeyJobId)
                AND (CAST(@JobId AS text) IS NULL OR l.job_id = @JobId)
                AND (CAST(@KeyStatuses AS text[]) IS NULL OR l.status = ANY(@KeyStatuses)) AND (CAST(@Statuses AS text[]) IS NULL OR l.status = ANY(@Statuses))
                AND (CAST(@Wrong AS text[]) IS NULL OR l.status = ANY(@Wrong))
                AND (CAST(@Tag AS text) IS NULL OR EXISTS (SELECT FROM cron.job j WHERE j.id = l.job AND @Tag = ANY(j.tags)))
                AND (CAST(@Owner AS text) IS NULL OR EXISTS (SELECT FROM cron.job j WHERE j.id = l.job AND (@Owner = ANY(j.owners) OR (cardinality(j.owners) = 0
                    AND j.creator = @Owner))))
                AND (CAST(@TaskCmd AS text) IS NULL OR l.task_cmd = @TaskCmd)
                AND (CAST(@Found AS bigint[]) IS NULL OR l.log_id = ANY(@Found))
                AND (CAST(@TaskLog AS text) IS NULL OR @TaskLog IN (l.task_log, l.cause_zh, l.cause_en, l.task_log || E'\n' || l.cause_zh,
                    l.task_log || E'\n' || l.cause_en))
                AND (CAST(@ExecTime AS timestamptz) IS NULL OR date_trunc('second', l.exec_time) = @ExecTime)
            """;

        private const string ListSql = $"""
            SELECT l.log_id, l.job_id, l.status, CASE WHEN length(l.task_cmd) > 4096 THEN left(l.task_cmd, 4096) || '…' ELSE l.task_cmd END AS task_cmd,
                l.exec_time, l.trigger, l.by_name, l.nominal_at, l.nominal_until, l.times, l.ended_at, l.exit_code, l.cause_zh, l.cause_en,
                CASE WHEN l.status = 'running' THEN coalesce((SELECT left(string_agg(o.text, '' ORDER BY o.from_byte), @Most) FROM cron.output o
                    WHERE o.log_id = l.log_id AND o.nominal_at = l.nominal_at AND o.from_byte < @Most AND o.attempt = (SELECT max(attempt)
                        FROM cron.attempt m WHERE m.log_id = l.log_id AND m.nominal_at = l.nominal_at)), '')
                    WHEN length(l.task_log) > @Most THEN left(l.task_log, @Most) || E'\n… /v1/cron/log/output/?log_id=' || l.log_id || ' …'
                        ELSE l.task_log END AS task_log,
                (SELECT jsonb_agg(jsonb_build_object('attempt', a.attempt, 'trigger', a.trigger, 'node', a.node, 'status', a.status, 'exit_code',
                    a.exit_code, 'left_alive', a.left_alive,
                    'seconds', round(CAST(extract(epoch FROM a.ended_at - a.started_at) AS numeric), 3), 'zh', a.cause_zh, 'en', a.cause_en)
                        ORDER BY a.attempt)::text
                    FROM cron.attempt a WHERE a.log_id = l.log_id AND a.nominal_at = l.nominal_at) AS attempts
            FROM cron.cron_log l {Where}
            ORDER BY l.exec_time DESC, l.log_id DESC LIMIT @Limit OFFSET @Offset;
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM cron.cron_log l {Where}
            """;

        // Lists hold the head of an output; all of it is in cron.output, and that of a command that runs is there alone.
        private const string SearchSql = $"""
            SELECT l.log_id FROM cron.cron_log l {Where}
                AND (l.task_log ILIKE @Pattern ESCAPE '\' OR l.cause_zh ILIKE @Pattern ESCAPE '\' OR l.cause_en ILIKE @Pattern ESCAPE '\'
                    OR ((l.status = 'running' OR octet_length(l.task_log) > 60000)
                        AND EXISTS (SELECT FROM cron.output o WHERE o.log_id = l.log_id AND o.nominal_at = l.nominal_at AND o.text ILIKE @Pattern ESCAPE '\')))
            ORDER BY l.exec_time DESC, l.log_id DESC
            """;

        private const string TimeLimitSql = """
            SELECT set_config('statement_timeout', @Milliseconds, true)
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var filter = Filter(request);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            if (request.Q is not null) return await Search(connection, request, filter, cancellationToken);
            await using var both = await connection.QueryMultipleAsync(ListSql + CountSql, filter);
            var rows = (await both.ReadAsync<Row>()).Select(View).ToList();
            return new Result(0, await both.ReadSingleAsync<long>(), rows, false);
        }

        // Stretch by stretch from the newest back, so that what is recent is found whatever lies behind it.
        private async Task<Result> Search(NpgsqlConnection connection, Query request, Asked filter, CancellationToken cancellation)
        {
            var began = time.GetTimestamp();
            var found = new List<long>();
            var (whole, end, stretch) = (filter, filter.Until, FirstStretch);
            var isPartial = false;
            for (; end > whole.From && !isPartial; stretch *= 4)
            {
                var start = end - whole.From < stretch ? whole.From : end - stretch;
                var left = MostSearch - time.GetElapsedTime(began);
                try
                {
                    if (left <= TimeSpan.Zero) throw new TimeoutException();
                    await using var transaction = await connection.BeginTransactionAsync(cancellation);
                    await connection.ExecuteAsync(
                        TimeLimitSql,
                        new { Milliseconds = ((int)left.TotalMilliseconds + 1).ToString(CultureInfo.InvariantCulture) },
                        transaction
                    );
                    found.AddRange(
                        await connection.QueryAsync<long>(
                            SearchSql,
                            whole with
                            {
                                From = start,
                                Until = end,
                                Pattern = "%" + Paging.PrefixPattern(request.Q!),
                            },
                            transaction
                        )
                    );
                }
                catch (Exception error) when (error is TimeoutException or PostgresException { SqlState: PostgresErrorCodes.QueryCanceled })
                {
                    isPartial = true;
                }
                end = start;
            }
            var page = found.Skip((int)Math.Min(filter.Offset, int.MaxValue)).Take(filter.Limit).ToArray();
            var rows =
                page.Length == 0
                    ? []
                    : (await connection.QueryAsync<Row>(ListSql, whole with { Found = page, Offset = 0, Limit = page.Length })).Select(View).ToList();
            return new Result(0, found.Count, rows, isPartial);
        }

        private Asked Filter(Query request)
        {
            var now = time.GetUtcNow();
            var from = now.AddMonths(-1);
            if (request.StartDate is not null && !Times.TryParseStart(request.StartDate, zone.Info, out from)) throw Wrong("start_date");
            // A month back to tomorrow, so that a clock that is a little ahead hides nothing.
            var until = now.AddDays(1);
            if (request.EndDate is not null && !Times.TryParseEnd(request.EndDate, zone.Info, out until)) throw Wrong("end_date");
            var value = request.Key is null ? null : request.Value;
            var sight = access.Sees(ResourceKind.Job);
            return new Asked(from.UtcDateTime, until.UtcDateTime, request.Limit ?? DefaultLimit, request.Offset(DefaultLimit))
            {
                SeesAll = sight.All,
                Spaces = sight.Spaces,
                Objects = sight.Objects,
                Most = request.Limit > MostWithOutput ? Beginning.Length : ExecutionStore.ListLimit + EndLine,
                KeyJobId = request.Key == "job_id" ? value : null,
                KeyStatuses = request.Key == "status" && value is not null ? Words(value) : null,
                TaskCmd = request.Key == "task_cmd" ? value : null,
                TaskLog = request.Key == "task_log" ? value : null,
                LogId =
                    request.Key == "log_id" && value is not null
                        ? long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var id)
                            ? id
                            : throw Wrong("value")
                        : (long?)null,
                ExecTime =
                    request.Key == "exec_time" && value is not null
                        ? Times.TryParse(value, zone.Info, out var at)
                            ? at.UtcDateTime
                            : throw Wrong("value")
                        : (DateTime?)null,
                JobId = request.JobId,
                Statuses = request.Status is null ? null : Words(request.Status),
                Wrong = request.Failed == true ? WentWrong : null,
                Tag = request.Tag,
                Owner = request.Owner,
            };
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
                attempts
            );
        }

        private sealed record Asked(DateTime From, DateTime Until, int Limit, long Offset)
        {
            /// <summary>Characters of a row's output.</summary>
            public int Most { get; init; }
            public bool SeesAll { get; init; }
            public long[] Spaces { get; init; } = [];
            public string[] Objects { get; init; } = [];
            public string? KeyJobId { get; init; }
            public string[]? KeyStatuses { get; init; }
            public string? TaskCmd { get; init; }
            public string? TaskLog { get; init; }
            public long? LogId { get; init; }
            public DateTime? ExecTime { get; init; }
            public string? JobId { get; init; }
            public string[]? Statuses { get; init; }
            public string[]? Wrong { get; init; }
            public string? Tag { get; init; }
            public string? Owner { get; init; }
            public long[]? Found { get; init; }
            public string? Pattern { get; init; }
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
