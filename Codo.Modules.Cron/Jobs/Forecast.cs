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
/// What the schedules bring in the next hours: due times, jobs that meet, runs at the same time by how long they usually take, and changes of the clock.
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
    ) : Answer(Messages.Fetched);

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

    internal sealed class Handler(NpgsqlDataSource source, Zone zone, TimeProvider time, Access access, ForecastCache cache) : IRequestHandler<Query, Result>
    {
        // Seconds that a job is taken to run of which no run has ended.
        private const double Unknown = 1;

        // One expression every second of a week is 604,800.
        private const int MostTimes = 1_000_000, MostMeetings = 10, MostNamed = 20, MostTouched = 100, MostNotes = 500;

        private static readonly SemaphoreSlim OneAtATime = new(1);

        private const string Where = $"""
            WHERE NOT j.paused AND j.broken_at IS NULL AND {JobAccess.Visible} AND (CAST(@SpaceId AS bigint) IS NULL OR j.space_id = @SpaceId)
            """;

        private const string JobsSql = $"""
            SELECT j.job_id, j.cron, j.time_zone, j.overlap, k.usual_p50, k.usual_p95
            FROM cron.job j LEFT JOIN cron.job_last k ON k.job = j.id {Where} ORDER BY j.id
            """;

        // All that a forecast is made of, but for how long runs usually take: what is answered again may be behind in that by a minute.
        private const string StateSql = $"""
            SELECT count(*) || '.' || COALESCE(sum(hashtextextended(concat_ws(chr(31), j.id, j.job_id, j.cron, j.time_zone, j.overlap), 0)), 0)
            FROM cron.job j {Where}
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var hours = request.Hours ?? Lengths[0];
            var asked = new DynamicParameters(JobAccess.Parameters(access));
            asked.Add("SpaceId", request.Space is null ? null : access.SpaceOf(request.Space));
            var key = $"{access.Sees(ResourceKind.Job).Key} {request.Space} {hours}";
            if (cache.Find(key, await State()) is { } known) return known;
            await OneAtATime.WaitAsync(cancellationToken);
            try
            {
                // A request earlier in the queue may have asked the same. The state is read right before the jobs: if a job changes between the two, the next
                // request finds another state and computes anew.
                var state = await State();
                if (cache.Find(key, state) is { } made) return made;
                var jobs = await Jobs();
                // A thread of its own: a second of one of the pool's threads would hold up everybody's requests.
                var result = await Task.Factory.StartNew(
                    () => Compute(jobs, hours, cancellationToken),
                    cancellationToken,
                    TaskCreationOptions.LongRunning,
                    TaskScheduler.Default
                );
                cache.Keep(key, state, result);
                return result;
            }
            finally
            {
                OneAtATime.Release();
            }

            // No connection is held while others have their turn: forecasts in a queue would take them all.
            async Task<string> State()
            {
                await using var connection = await source.OpenConnectionAsync(cancellationToken);
                var jobs = await connection.ExecuteScalarAsync<string>(new CommandDefinition(StateSql, asked, cancellationToken: cancellationToken));
                return $"{time.GetUtcNow():yyyyMMddHHmm} {jobs}";
            }

            async Task<List<Row>> Jobs()
            {
                await using var connection = await source.OpenConnectionAsync(cancellationToken);
                return (await connection.QueryAsync<Row>(new CommandDefinition(JobsSql, asked, cancellationToken: cancellationToken))).AsList();
            }
        }

        private Result Compute(List<Row> jobs, int hours, CancellationToken cancellation)
        {
            var step = hours == Lengths[0] ? 60 : 3600;
            // From the whole minute or hour that it is, in Codo's zone: the first slot is under way.
            var now = time.GetUtcNow();
            var local = TimeZoneInfo.ConvertTime(now, zone.Info);
            var from = now.AddTicks(-(local.Ticks % TimeSpan.FromSeconds(step).Ticks));
            var (dues, leftOut) = Dues(jobs, from, hours * 3600, cancellation);
            var timetable = new Timetable(dues, hours * 3600);
            var fires = timetable.Fires(step);
            var p50 = timetable.Parallel(step, job => jobs[job].UsualP50 ?? Unknown, IsAlone);
            var p95 = timetable.Parallel(step, job => jobs[job].UsualP95 ?? Unknown, IsAlone);
            return new Result(
                from.UtcDateTime,
                from.UtcDateTime.AddHours(hours),
                step,
                jobs.Count - leftOut,
                leftOut,
                fires.Sum(),
                [.. fires.Select((count, at) => new Slot(from.UtcDateTime.AddSeconds((double)at * step), count, p50[at], p95[at]))],
                [.. Meetings(1, "second"), .. Meetings(60, "minute")],
                Changes(jobs, now, cancellation)
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
            // What is computed and left out all the same counts as well: many jobs of each second would take minutes.
            var (dues, left, spare, leftOut) = (new List<Due>(), MostTimes, MostTimes, 0);
            var (after, until) = (from.AddTicks(-1), from.AddSeconds(length).AddTicks(-1));
            var offsets = new Dictionary<TimeZoneInfo, TimeSpan?>();
            var groups = jobs.Select((job, place) => (job, place))
                .GroupBy(one => (one.job.Cron, one.job.TimeZone), one => one.place)
                .Select(group => (Read: Read(group.Key.Cron, group.Key.TimeZone), Jobs: group.ToList()))
                .OrderByDescending(group => group.Jobs.Count)
                .ThenBy(group => group.Read?.Expression.TimesADay);
            foreach (var (read, members) in groups)
            {
                cancellation.ThrowIfCancellationRequested();
                if (read is not var (expression, zone)) continue;
                if (expression.IsForEachDay && (long)expression.TimesADay * (length / 86_400) > left)
                {
                    leftOut += members.Count;
                    continue;
                }
                var most = Math.Min(left, spare);
                if (!offsets.TryGetValue(zone, out var offset)) offsets[zone] = offset = new WallClock(zone).OnlyOffset(after, until);
                var seconds = (offset is { } steady ? expression.OnSteadyClock(after, until, steady) : expression.Between(after, until, zone))
                    .Take(most + 1)
                    .Select(at => (int)(at - from).TotalSeconds)
                    .ToArray();
                if (seconds.Length > most)
                {
                    spare -= most;
                    leftOut += members.Count;
                    continue;
                }
                left -= seconds.Length;
                dues.Add(new Due(members, seconds));
            }
            return (dues, leftOut);
        }

        private static List<Change> Changes(List<Row> jobs, DateTimeOffset now, CancellationToken cancellation)
        {
            var (changes, left) = (new List<Change>(), MostNotes);
            foreach (var group in jobs.GroupBy(job => job.TimeZone))
            {
                if (ZoneOf(group.Key) is not { } zone || WallClock.NextChange(zone, now) is not { } at) continue;
                var touched = new List<Touched>();
                var notes = new Dictionary<string, Text?>(StringComparer.Ordinal);
                foreach (var job in group)
                {
                    if (touched.Count == MostTouched) break;
                    if (!notes.TryGetValue(job.Cron, out var note))
                    {
                        cancellation.ThrowIfCancellationRequested();
                        if (--left < 0) break;
                        notes[job.Cron] = note = Note(job.Cron, zone, at);
                    }
                    if (note is { } words) touched.Add(new Touched(job.JobId, words));
                }
                changes.Add(new Change(at.UtcDateTime, zone.Id, Wall(at, zone.GetUtcOffset(at.AddTicks(-1))), Wall(at, zone.GetUtcOffset(at)), touched));
            }
            return [.. changes.OrderBy(change => change.At).ThenBy(change => change.TimeZone, StringComparer.Ordinal)];
        }

        private static Text? Note(string cron, TimeZoneInfo zone, DateTimeOffset change)
        {
            if (Read(cron, zone.Id) is not var (expression, _)) return null;
            // A change touches what is due right after it. Where the clock goes back, the hour that comes twice begins before the change.
            var back = zone.GetUtcOffset(change.AddTicks(-1)) - zone.GetUtcOffset(change);
            return new[] { back > TimeSpan.Zero ? change - back : change, change }
                .Select(at => expression.Next(at.AddTicks(-1), zone))
                .Select(due => due is { } at ? expression.DstNote(at, zone) : null)
                .FirstOrDefault(note => note is not null);
        }

        // The clock's reading as one side of the change has it.
        private static string Wall(DateTimeOffset at, TimeSpan offset) =>
            at.ToOffset(offset).ToString("yyyy-MM-dd HH:mm:sszzz", CultureInfo.InvariantCulture);

        private static (CronExpression Expression, TimeZoneInfo Zone)? Read(string cron, string timeZone) =>
            JobRow.ReadExpression(cron, out _) is { } expression && ZoneOf(timeZone) is { } zone ? (expression, zone) : null;

        private static TimeZoneInfo? ZoneOf(string id)
        {
            try
            {
                return JobRow.ZoneOf(id);
            }
            catch (JobIsBroken)
            {
                return null;
            }
        }

        private sealed record Row(string JobId, string Cron, string TimeZone, string Overlap, double? UsualP50, double? UsualP95);
    }
}
