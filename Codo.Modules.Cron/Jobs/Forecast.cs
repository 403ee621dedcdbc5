using System.Globalization;
using Codo.Modules.Cron.Executions;
using Codo.Modules.Cron.Schedules;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>
/// What the schedules bring in the next hours: due times, jobs that meet, runs at the same time by how long they have taken in the last week, and changes of
/// the clock.
/// </summary>
internal static class Forecast
{
    private static readonly int[] Lengths = [24, 168];

    /// <param name="Hours">24, by the minute; or 168, by the hour.</param>
    internal sealed record Query(int? Hours, string? Space) : IRequest<Result>;

    /// <param name="Step">Seconds of one slot.</param>
    /// <param name="Jobs">Jobs that were counted.</param>
    /// <param name="LeftOut">Jobs that were not, because there are too many due times.</param>
    /// <param name="Meetings">Jobs that are due at the same second, and those within the same minute, the most first.</param>
    /// <param name="Changes">The next change of each zone that a job is in.</param>
    internal sealed record Result(
        DateTime From,
        DateTime To,
        int Step,
        int Jobs,
        int LeftOut,
        long Fires,
        IReadOnlyList<Slot> Slots,
        IReadOnlyList<Meeting> Meetings,
        IReadOnlyList<Change> Changes
    ) : Answer(Say.Fetched);

    /// <param name="ParallelP50">The most runs at the same time, if each takes as long as half of its runs do at most.</param>
    /// <param name="ParallelP95">The same, if each takes as long as 95 % of its runs do at most.</param>
    internal sealed record Slot(DateTime At, long Fires, long ParallelP50, long ParallelP95);

    /// <param name="Within"><c>second</c> or <c>minute</c>.</param>
    /// <param name="Times">How often just these jobs meet.</param>
    /// <param name="JobIds">At most twenty of them.</param>
    internal sealed record Meeting(DateTime At, string Within, int Times, int Jobs, IReadOnlyList<string> JobIds);

    /// <param name="Jobs">Jobs whose due times it touches, at most a hundred.</param>
    internal sealed record Change(DateTime At, string TimeZone, string Before, string After, IReadOnlyList<Touched> Jobs);

    internal sealed record Touched(string JobId, Text Note);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() =>
            RuleFor(query => query.Hours).Must(hours => hours is null || Lengths.Contains(hours.Value))
                .Refuse("hours 只能是 24 | 168", "hours must be one of 24 | 168");
    }

    internal sealed class Handler(NpgsqlDataSource source, Zone zone, TimeProvider time, Access access) : IRequestHandler<Query, Result>
    {
        // One expression every second of a week is 604,800.
        private const int MostTimes = 1_000_000, MostMeetings = 10, MostNamed = 20, MostTouched = 100;

        private const string JobsSql = $"""
            SELECT j.job_id, j.cron, j.time_zone, j.overlap,
                (SELECT cron.merge_counts(d.durations) FROM cron.job_day d
                    WHERE d.job = j.id AND d.day > (SELECT CAST(clock_timestamp() AS date) - 8)) AS durations
            FROM cron.job j WHERE NOT j.paused AND j.broken_at IS NULL AND {JobAccess.Visible}
                AND (CAST(@SpaceId AS bigint) IS NULL OR j.space_id = @SpaceId) ORDER BY j.job_id
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var hours = request.Hours ?? Lengths[0];
            var step = hours == Lengths[0] ? 60 : 3600;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var asked = new DynamicParameters(JobAccess.Parameters(access));
            asked.Add("SpaceId", request.Space is null ? null : access.SpaceOf(request.Space));
            var jobs = (await connection.QueryAsync<Row>(JobsSql, asked)).AsList();
            // From the whole minute or hour that it is, in Codo's zone: the first slot is under way.
            var now = time.GetUtcNow();
            var local = TimeZoneInfo.ConvertTime(now, zone.Info);
            var from = now.AddTicks(-(local.Ticks % TimeSpan.FromSeconds(step).Ticks));
            var (dues, leftOut) = Dues(jobs, from, hours * 3600, cancellationToken);
            var timetable = new Timetable(dues, hours * 3600);
            var fires = timetable.Fires(step);
            var p50 = timetable.Parallel(step, job => Histogram.Percentile(jobs[job].Durations, 0.5) ?? 1, IsAlone);
            var p95 = timetable.Parallel(step, job => Histogram.Percentile(jobs[job].Durations, 0.95) ?? 1, IsAlone);
            return new Result(
                from.UtcDateTime,
                from.UtcDateTime.AddHours(hours),
                step,
                jobs.Count - leftOut,
                leftOut,
                fires.Sum(),
                [.. fires.Select((count, at) => new Slot(from.UtcDateTime.AddSeconds((double)at * step), count, p50[at], p95[at]))],
                [.. Meetings(1, "second"), .. Meetings(60, "minute")],
                Changes(jobs, now)
            );

            bool IsAlone(int job) => jobs[job].Overlap != "allow";

            IEnumerable<Meeting> Meetings(int slot, string within) =>
                timetable.Meetings(slot, MostMeetings).Select(meeting => new Meeting(
                    from.UtcDateTime.AddSeconds((double)meeting.Slot * slot),
                    within,
                    meeting.Times,
                    meeting.Jobs.Count,
                    [.. meeting.Jobs.Take(MostNamed).Select(job => jobs[job].JobId).Order(StringComparer.Ordinal)]
                ));
        }

        // Jobs of one expression in one zone are computed once: most installations have many at the same times.
        private static (List<Due> Dues, int LeftOut) Dues(List<Row> jobs, DateTimeOffset from, int length, CancellationToken cancellation)
        {
            var (dues, left, leftOut) = (new List<Due>(), MostTimes, 0);
            var groups = jobs.Select((job, place) => (job, place)).GroupBy(one => (one.job.Cron, one.job.TimeZone), one => one.place);
            foreach (var group in groups.OrderByDescending(group => group.Count()))
            {
                cancellation.ThrowIfCancellationRequested();
                if (Read(group.Key.Cron, group.Key.TimeZone) is not var (expression, zone)) continue;
                var seconds = expression.Between(from.AddTicks(-1), from.AddSeconds(length).AddTicks(-1), zone)
                    .Take(left + 1)
                    .Select(at => (int)(at - from).TotalSeconds)
                    .ToArray();
                if (seconds.Length > left)
                {
                    leftOut += group.Count();
                    continue;
                }
                left -= seconds.Length;
                dues.Add(new Due([.. group], seconds));
            }
            return (dues, leftOut);
        }

        private static List<Change> Changes(List<Row> jobs, DateTimeOffset now)
        {
            var changes = new List<Change>();
            foreach (var group in jobs.GroupBy(job => job.TimeZone))
            {
                if (!TimeZoneInfo.TryFindSystemTimeZoneById(group.Key, out var zone) || WallClock.NextChange(zone, now) is not { } at) continue;
                var touched = new List<Touched>();
                foreach (var job in group)
                {
                    if (touched.Count == MostTouched) break;
                    if (Read(job.Cron, job.TimeZone) is not var (expression, _)) continue;
                    var note = expression.Between(at.AddHours(-2), at.AddHours(2), zone)
                        .Take(MostNamed * MostNamed)
                        .Select(due => expression.DstNote(due, zone))
                        .FirstOrDefault(note => note is not null);
                    if (note is { } words) touched.Add(new Touched(job.JobId, words));
                }
                changes.Add(new Change(at.UtcDateTime, zone.Id, Wall(at, zone.GetUtcOffset(at.AddTicks(-1))), Wall(at, zone.GetUtcOffset(at)), touched));
            }
            return [.. changes.OrderBy(change => change.At).ThenBy(change => change.TimeZone, StringComparer.Ordinal)];
        }

        // The clock's reading as one side of the change has it.
        private static string Wall(DateTimeOffset at, TimeSpan offset) =>
            at.ToOffset(offset).ToString("yyyy-MM-dd HH:mm:sszzz", CultureInfo.InvariantCulture);

        private static (CronExpression Expression, TimeZoneInfo Zone)? Read(string cron, string timeZone) =>
            CronExpression.TryParse(cron, out var expression, out _, out _) && TimeZoneInfo.TryFindSystemTimeZoneById(timeZone, out var zone)
                ? (expression!, zone)
                : null;

        // With properties, because Dapper gives no array to a constructor.
        private sealed record Row
        {
            public string JobId { get; init; } = "";
            public string Cron { get; init; } = "";
            public string TimeZone { get; init; } = "";
            public string Overlap { get; init; } = "";
            public int[] Durations { get; init; } = [];
        }
    }
}
