using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>What days and jobs came to, from their summaries; the last seconds are not added up yet.</summary>
internal static class ShowStatistics
{
    private static readonly string[] Units = ["day", "hour"];
    private static readonly string[] Orders = ["failed", "runs", "seconds", "missed"];

    /// <param name="From">The first day; a week back by default.</param>
    /// <param name="To">The last day; today by default.</param>
    /// <param name="Sort">What the jobs are sorted by, the most first.</param>
    /// <param name="By"><c>day</c>, or <c>hour</c>: the last 24 hours alone, from the ledger itself.</param>
    internal sealed record Query(string? From, string? To, string? JobId, string? Sort, int? Limit, string? By = null) : IRequest<Result>;

    /// <param name="Days">One entry a day, of all jobs or of the job.</param>
    /// <param name="Jobs">Those with the most of what is sorted by.</param>
    /// <param name="Hours">The last 24 hours, where they were asked for; else empty. Of all jobs together they are up to 10 seconds old.</param>
    internal sealed record Result(string From, string To, List<DaySums> Days, List<JobSums> Jobs, List<HourSums> Hours) : Answer(Messages.Fetched);

    /// <param name="At">When the hour begins.</param>
    /// <param name="NotRun">Due times of this hour that were skipped or missed.</param>
    internal sealed record HourSums(DateTime At, long Success, long Failed, long NotRun);

    /// <param name="Failed">Ended as <c>faild</c>, <c>timeout</c>, <c>killed</c> or <c>interrupted</c>.</param>
    internal sealed record DaySums(
        string Day,
        long Runs,
        long Failed,
        long Success,
        long Faild,
        long Timeout,
        long Killed,
        long Interrupted,
        long Skipped,
        long Missed,
        double Seconds,
        double? DurationP50,
        double? DurationP95,
        double? LateP50,
        double? LateP95
    );

    internal sealed record JobSums(
        string JobId,
        long Runs,
        long Failed,
        long Skipped,
        long Missed,
        double Seconds,
        double? DurationP50,
        double? DurationP95,
        double? LateP50,
        double? LateP95
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.From).Must(IsDay).Refuse("from " + Expected.Zh, "from " + Expected.En);
            RuleFor(query => query.To).Must(IsDay).Refuse("to " + Expected.Zh, "to " + Expected.En);
            RuleFor(query => query.Sort).OneOf("sort", Orders);
            RuleFor(query => query.Limit).Within(1, 200, "limit");
            RuleFor(query => query.By).OneOf("by", Units);
        }

        private static readonly Text Expected = new("必须是日期，如 2026-01-31", "must be a day, such as 2026-01-31");

        private static bool IsDay(string? text) => text is null || Times.TryParseDate(text, out _);
    }

    internal sealed class Handler(NpgsqlDataSource source, Zone zone, TimeProvider time, Access access, LastDayCache lastDay) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 20;

        // The histograms of more jobs together would take seconds to add up.
        private const int MostMerged = 200;

        // Of all jobs; a single one has a row a day, and all of them may be asked for.
        private const int MostDays = 400;

        private const string Sums = """
            CAST(sum(success + faild + timeout + killed + interrupted) AS bigint) AS runs,
                CAST(sum(faild + timeout + killed + interrupted) AS bigint) AS failed, CAST(sum(success) AS bigint) AS success,
                CAST(sum(faild) AS bigint) AS faild, CAST(sum(timeout) AS bigint) AS timeout, CAST(sum(killed) AS bigint) AS killed,
                CAST(sum(interrupted) AS bigint) AS interrupted, CAST(sum(skipped) AS bigint) AS skipped, CAST(sum(missed) AS bigint) AS missed,
                sum(seconds) AS seconds
            """;

        // The jobs that are asked for; asked for first, so that their days are found along the index.
        private const string WantedSql = $"""
            SELECT j.id FROM cron.job j WHERE (CAST(@JobId AS text) IS NULL OR j.job_id = @JobId) AND {JobAccess.Visible}
            """;

        private const string DaysSql = $"""
            SELECT to_char(d.day, 'YYYY-MM-DD') AS name, {Sums}, cron.merge_counts(durations) FILTER (WHERE @Merges) AS durations,
                cron.merge_counts(lateness) FILTER (WHERE @Merges) AS lateness
            FROM cron.job_day d WHERE d.day BETWEEN CAST(@From AS date) AND CAST(@To AS date)
                AND d.job = ANY(COALESCE(CAST(@Jobs AS bigint[]), ARRAY[CAST(0 AS bigint)]))
            GROUP BY d.day ORDER BY d.day
            """;

        // Of each job only what it is ordered by; everything else of those alone that are shown.
        private const string JobsSql = $"""
            WITH most AS MATERIALIZED (
                SELECT d.job, sum(CASE @Sort WHEN 'runs' THEN success + faild + timeout + killed + interrupted WHEN 'seconds' THEN seconds
                    WHEN 'missed' THEN missed ELSE faild + timeout + killed + interrupted END) AS most
                FROM cron.job_day d WHERE d.day BETWEEN CAST(@From AS date) AND CAST(@To AS date) AND d.job <> 0
                    AND (CAST(@Jobs AS bigint[]) IS NULL OR d.job = ANY(@Jobs))
                GROUP BY d.job ORDER BY most DESC, d.job LIMIT @Limit)
            SELECT coalesce(j.job_id, (SELECT max(d.job_id) FROM cron.job_day d WHERE d.job = m.job)) AS name, h.*
            FROM most m LEFT JOIN cron.job j ON j.id = m.job CROSS JOIN LATERAL (
                SELECT {Sums}, cron.merge_counts(durations) AS durations, cron.merge_counts(lateness) AS lateness FROM cron.job_day d
                WHERE d.job = m.job AND d.day BETWEEN CAST(@From AS date) AND CAST(@To AS date)) h
            ORDER BY m.most DESC, m.job
            """;

        // By status, from the index that has status and time. The time is read once: clock_timestamp() in a condition is asked anew for each row of the table.
        // A stretch of skips or misses is one row that stands where it ends: its due times are put into the hours in which they were, as evenly as they lie
        // between its first and its last one.
        private const string HoursSql = $"""
            WITH day AS MATERIALIZED (SELECT date_trunc('hour', clock_timestamp()) - interval '23 hours' AS start)
            SELECT h.at, COALESCE(c.success, 0) AS success, COALESCE(c.failed, 0) AS failed, COALESCE(n.not_run, 0) AS not_run
            FROM generate_series((SELECT start FROM day), (SELECT start + interval '23 hours' FROM day), interval '1 hour') AS h(at)
            LEFT JOIN (SELECT b.at, CAST(sum(b.rows) FILTER (WHERE s.status = 'success') AS bigint) AS success,
                    CAST(sum(b.rows) FILTER (WHERE s.status <> 'success') AS bigint) AS failed
                FROM unnest(ARRAY['success', 'faild', 'timeout', 'killed', 'interrupted']) AS s(status) CROSS JOIN LATERAL (
                    SELECT date_trunc('hour', l.exec_time) AS at, count(*) AS rows FROM cron.cron_log l
                    WHERE l.status = s.status AND l.exec_time >= (SELECT start FROM day)
                        AND (CAST(@JobId AS text) IS NULL OR l.job_id = @JobId) AND {JobAccess.RowVisible} GROUP BY 1) b
                GROUP BY b.at) c ON c.at = h.at
            LEFT JOIN (SELECT b.at, CAST(sum(b.times) AS bigint) AS not_run
                FROM unnest(ARRAY['skipped', 'missed']) AS s(status) CROSS JOIN LATERAL (
                    SELECT t.at, sum(CASE WHEN f.due < l.exec_time
                        THEN least(l.times, ceil(extract(epoch FROM t.at + interval '1 hour' - f.due) * (l.times - 1)
                                / extract(epoch FROM l.exec_time - f.due)))
                            - least(l.times, greatest(0, ceil(extract(epoch FROM t.at - f.due) * (l.times - 1)
                                / extract(epoch FROM l.exec_time - f.due))))
                        ELSE l.times END) AS times
                    FROM cron.cron_log l
                    CROSS JOIN LATERAL (SELECT CASE WHEN l.times > 1 AND isfinite(l.nominal_at) THEN l.nominal_at ELSE l.exec_time END AS due) f
                    CROSS JOIN LATERAL generate_series(date_trunc('hour', greatest(f.due, (SELECT start FROM day))), l.exec_time, interval '1 hour') AS t(at)
                    WHERE l.status = s.status AND l.exec_time >= (SELECT start FROM day) AND l.exec_time < (SELECT start + interval '24 hours' FROM day)
                        AND (CAST(@JobId AS text) IS NULL OR l.job_id = @JobId) AND {JobAccess.RowVisible} GROUP BY 1) b
                GROUP BY b.at) n ON n.at = h.at
            ORDER BY h.at
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var today = DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(time.GetUtcNow(), zone.Info).Date);
            var to = Times.TryParseDate(request.To, out var last) ? last : today;
            var from = Times.TryParseDate(request.From, out var first) ? first : to.AddDays(-6);
            var wanted = new DynamicParameters(JobAccess.Parameters(access));
            wanted.Add("JobId", request.JobId);
            var sight = access.Sees(ResourceKind.Job);
            if (request.By == "hour")
            {
                var hours = request.JobId is null ? await lastDay.Get(sight.Key, () => Hours(CancellationToken.None)) : await Hours(cancellationToken);
                return new Result(DayOf(hours[0].At), DayOf(hours[^1].At), [], [], hours);
            }
            if (request.JobId is null && to.DayNumber - from.DayNumber >= MostDays)
                throw Refusal.Invalid($"没有 job_id 时最多查询 {MostDays} 天", $"Without job_id at most {MostDays} days are answered");
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var isAll = request.JobId is null && sight.All;
            var ids = isAll ? null : (await connection.QueryAsync<long>(WantedSql, wanted)).ToArray();
            var asked = new DynamicParameters(new
            {
                From = from.ToDateTime(TimeOnly.MinValue),
                To = to.ToDateTime(TimeOnly.MinValue),
                Jobs = ids,
                Merges = ids is null || ids.Length <= MostMerged,
                Sort = request.Sort ?? Orders[0],
                Limit = request.Limit ?? DefaultLimit,
            });
            var days = await connection.QueryAsync<Row>(DaysSql, asked);
            var jobs = await connection.QueryAsync<Row>(JobsSql, asked);
            return new Result(
                Day(from),
                Day(to),
                [
                    .. days.Select(day => new DaySums(
                        day.Name,
                        day.Runs,
                        day.Failed,
                        day.Success,
                        day.Faild,
                        day.Timeout,
                        day.Killed,
                        day.Interrupted,
                        day.Skipped,
                        day.Missed,
                        Math.Round(day.Seconds, 3),
                        Histogram.Percentile(day.Durations, 0.5),
                        Histogram.Percentile(day.Durations, 0.95),
                        Histogram.Percentile(day.Lateness, 0.5),
                        Histogram.Percentile(day.Lateness, 0.95)
                    )),
                ],
                [
                    .. jobs.Select(job => new JobSums(
                        job.Name,
                        job.Runs,
                        job.Failed,
                        job.Skipped,
                        job.Missed,
                        Math.Round(job.Seconds, 3),
                        Histogram.Percentile(job.Durations, 0.5),
                        Histogram.Percentile(job.Durations, 0.95),
                        Histogram.Percentile(job.Lateness, 0.5),
                        Histogram.Percentile(job.Lateness, 0.95)
                    )),
                ],
                []
            );

            // Whoever asked first may go away while others wait for the same answer.
            async Task<List<HourSums>> Hours(CancellationToken cancellation)
            {
                await using var own = await source.OpenConnectionAsync(cancellation);
                return (await own.QueryAsync<HourSums>(HoursSql, wanted)).AsList();
            }
        }

        private string DayOf(DateTime at) => zone.Text(at)[..10];

        private static string Day(DateOnly day) => day.ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture);

        // With properties, because Dapper gives no array to a constructor.
        private sealed record Row
        {
            public string Name { get; init; } = "";
            public long Runs { get; init; }
            public long Failed { get; init; }
            public long Success { get; init; }
            public long Faild { get; init; }
            public long Timeout { get; init; }
            public long Killed { get; init; }
            public long Interrupted { get; init; }
            public long Skipped { get; init; }
            public long Missed { get; init; }
            public double Seconds { get; init; }
            public int[] Durations { get; init; } = [];
            public int[] Lateness { get; init; } = [];
        }
    }
}
