using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Events;
using Codo.Platform.Localization;
using Dapper;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// Finds jobs that would be silent: broken ones that read again, ones whose account is ahead of PostgreSQL's clock (it was put back, or the row is damaged),
/// and ones whose next due time is not what their expression says. Each is put right under its lock, with what did not run in the ledger. Executions that
/// wait for a time from before the clock was put back are let go. The first check looks at all jobs, each further one at those that are broken or
/// ahead, and at the next page of all.
/// </summary>
internal sealed class ScheduleCheck(NpgsqlDataSource source, Ledger ledger, RecurringJobs recurring, Outbox outbox, Node node, ILogger<ScheduleCheck> log)
    : IHealthCheck
{
    private const int PageSize = 1000;

    private const string PageSql = $"""
        SELECT {Ledger.Columns} FROM cron.job WHERE id > @After ORDER BY id LIMIT @Most
        """;

    // A clock that was put back concerns all jobs at once, and zone data that are there again all that were broken for want of them: neither is waited for
    // page by page.
    private const string AheadOrBrokenSql = $"""
        SELECT {Ledger.Columns} FROM cron.job WHERE broken_at IS NOT NULL OR accounted_to > clock_timestamp() + CAST(@Ahead AS interval) ORDER BY id
        """;

    private const string LockSql = $"""
        SELECT {Ledger.Columns} FROM cron.job WHERE id = @Id FOR UPDATE SKIP LOCKED
        """;

    private const string MendSql = """
        UPDATE cron.job SET broken_at = NULL, broken_zh = '', broken_en = '' WHERE id = @Id
        """;

    // A stretch that has begun ends now: what of it is to come is forgotten, as evenly as it lies. First the count, so that the trigger takes it from the day
    // in which it was counted (exec_time), then the place in the list.
    private const string BegunSql = """
        UPDATE cron.cron_log SET nominal_until = CAST(@Now AS timestamptz),
            times = 1 + CAST(floor((times - 1) * extract(epoch FROM CAST(@Now AS timestamptz) - nominal_at)
                / extract(epoch FROM nominal_until - nominal_at)) AS int)
        WHERE job = @Id AND kind = 'schedule' AND nominal_until > @Now AND isfinite(nominal_until) AND isfinite(nominal_at)
            AND status IN ('skipped', 'missed') AND nominal_at = (SELECT max(b.nominal_at) FROM cron.cron_log b
                WHERE b.job = @Id AND b.kind = 'schedule' AND b.nominal_at <= @Now);
        UPDATE cron.cron_log SET exec_time = CAST(@Now AS timestamptz)
        WHERE job = @Id AND kind = 'schedule' AND exec_time > @Now AND status IN ('skipped', 'missed')
            AND nominal_at = (SELECT max(b.nominal_at) FROM cron.cron_log b WHERE b.job = @Id AND b.kind = 'schedule' AND b.nominal_at <= @Now)
        """;

    // A row of a due time that is still to come would be in the way of its fire. The sums of its day are put right as they were made.
    private const string NotYetDueSql = """
        WITH gone AS (
            DELETE FROM cron.cron_log WHERE job = @Id AND kind = 'schedule' AND nominal_at > @Now AND status IN ('skipped', 'missed')
            RETURNING job, job_id, log_id, nominal_at, exec_time, status, kind, times
        )
        INSERT INTO cron.summary_delta (job, job_id, log_id, nominal_at, exec_time, status, kind, times)
        SELECT job, job_id, log_id, nominal_at, exec_time, status, kind, -times FROM gone
        """;

    // What ended last at a time to come would stay the last until then. The usual durations stay.
    private const string LastSql = """
        UPDATE cron.job_last k SET log_id = l.log_id, exec_time = l.exec_time, status = l.status, seconds = NULL FROM (
            SELECT log_id, exec_time, status FROM cron.cron_log WHERE job_id = @JobId AND job = @Id AND exec_time <= @Now
                AND status NOT IN ('queued', 'running') ORDER BY exec_time DESC, log_id DESC LIMIT 1) l
        WHERE k.job = @Id AND k.exec_time > @Now;
        DELETE FROM cron.job_last WHERE job = @Id AND exec_time > @Now
        """;

    // The newest due time up to now of which the ledger knows, or since when the job is as it is: a change of the job accounts for it.
    private const string AccountedSql = """
        SELECT GREATEST(LEAST(j.update_time, @Now), (SELECT LEAST(l.nominal_until, @Now) FROM cron.cron_log l WHERE l.job = j.id
            AND l.kind = 'schedule' AND l.nominal_at <= @Now ORDER BY l.nominal_at DESC LIMIT 1)) FROM cron.job j WHERE j.id = @Id
        """;

    private const string BackSql = """
        UPDATE cron.job SET accounted_to = @From, gap_log_id = NULL, gap_nominal_at = NULL, gap_reason = NULL WHERE id = @Id
        """;

    // Nothing waits for longer than its retry's delay; a fire does not wait at all. Rows that somebody is changing are left to the next round.
    private const string LetGoSql = """
        UPDATE cron.active_execution g SET not_before = clock_timestamp() + make_interval(secs => w.delay) FROM (
            SELECT a.log_id, d.delay FROM cron.active_execution a JOIN cron.cron_log l ON l.log_id = a.log_id AND l.nominal_at = a.nominal_at
                CROSS JOIN LATERAL (SELECT CASE WHEN a.attempt = 1 THEN 0 WHEN l.spec ->> 'retry_delay' ~ '^[0-9]{1,6}$'
                    THEN CAST(l.spec ->> 'retry_delay' AS int) ELSE 0 END AS delay) d
            WHERE a.state = 'queued' AND a.not_before > statement_timestamp() + CAST(@MaxSkew AS interval)
                AND a.not_before > statement_timestamp() + make_interval(secs => d.delay) + CAST(@MaxSkew AS interval)
            FOR UPDATE OF a SKIP LOCKED) w
        WHERE g.log_id = w.log_id
        """;

    private const string BrokenSql = """
        SELECT count(*) FROM cron.job WHERE broken_at IS NOT NULL
        """;

    /// <summary>
    /// Whether a row <c>g</c> of <c>cron.active_execution</c> waits for nothing but a node that takes it. What waits for the run before it, as its job wants,
    /// does not; what no live node fits has an incident of its own (<see cref="UnplacedRuns"/>): more nodes would not start it.
    /// </summary>
    internal const string CouldStart = """
        g.state = 'queued' AND g.not_before <= clock_timestamp() AND NOT (g.exclusive AND EXISTS (SELECT 1 FROM cron.active_execution o
            WHERE o.job = g.job AND o.log_id <> g.log_id AND (o.state = 'running' OR o.log_id < g.log_id)))
            AND (g.node_selector = '' OR platform.has_node('cron', g.node_selector))
        """;

    private const string WaitingSql = $"""
        SELECT count(*) AS count, coalesce(CAST(extract(epoch FROM clock_timestamp() - min(not_before)) AS float8), 0) AS seconds FROM cron.active_execution g
        WHERE {CouldStart}
        """;

    // Another node's clock may be measured a little ahead.
    private static readonly TimeSpan LongWait = TimeSpan.FromSeconds(10), Ahead = TimeSpan.FromSeconds(2), Made = TimeSpan.FromMinutes(1);

    private static readonly Accounting.GapReason ClockGap = new(
        "clock",
        new Text(
            "任务的记账时间超前于 PostgreSQL 时钟（时钟曾被拨回，或数据被改动），这段时间没有执行",
            "The job's account was ahead of PostgreSQL's clock (it was put back, or the row was changed); nothing ran meanwhile"
        )
    );

    // The job that the next page begins behind; null until all have been looked at.
    private long? checkedTo;

    public async Task Check(CancellationToken cancellation)
    {
        if (!node.HoldsLease || !node.Has(NodeRoles.Cron)) return;
        var wrong = new SortedSet<long>();
        await using (var connection = await source.OpenConnectionAsync(cancellation))
        {
            if (await connection.ExecuteAsync(LetGoSql, new { DatabaseClock.MaxSkew }) is > 0 and var count)
                log.LogWarning("{Count} executions waited for a time from before PostgreSQL's clock was put back; they wait no longer", count);
            Collect(await connection.QueryAsync<JobRow>(AheadOrBrokenSql, new { Ahead }));
            var (isFirst, last) = (checkedTo is null, checkedTo ?? 0);
            do
            {
                var page = (await connection.QueryAsync<JobRow>(PageSql, new { After = last, Most = PageSize })).AsList();
                Collect(page);
                last = page.Count == PageSize ? page[^1].Id : 0;
            }
            while (isFirst && last > 0);
            checkedTo = last;
        }
        foreach (var id in wrong)
        {
            try
            {
                await PutRight(id, cancellation);
            }
            catch (Exception error) when (!cancellation.IsCancellationRequested)
            {
                log.LogError(error, "The schedule of job {Id} is wrong and could not be put right", id);
            }
        }

        void Collect(IEnumerable<JobRow> jobs) => wrong.UnionWith(jobs.Where(job => Wrong(job) is not null).Select(job => job.Id));
    }

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        // A number and no names: every token reads this, and not every token may see every job.
        var broken = await connection.ExecuteScalarAsync<long>(new CommandDefinition(BrokenSql, cancellationToken: cancellationToken));
        var (waiting, seconds) = await connection.QuerySingleAsync<(long, double)>(new CommandDefinition(WaitingSql, cancellationToken: cancellationToken));
        var queue =
            waiting == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"; {waiting} executions wait for their start, the first for {seconds:0.0} s");
        if (broken == 0 && seconds > LongWait.TotalSeconds)
            return HealthCheckResult.Degraded("more is due than the nodes can start" + queue);
        return broken == 0
            ? HealthCheckResult.Healthy("every job reads" + queue)
            : HealthCheckResult.Degraded($"{broken} broken jobs, which fire nothing; GET /v1/cron/job/?status=broken lists them");
    }

    /// <summary>What is wrong with a job's schedule; null when nothing is.</summary>
    internal static string? Wrong(JobRow job)
    {
        try
        {
            var (expression, zone) = (JobRow.ExpressionOf(job.Cron), JobRow.ZoneOf(job.TimeZone));
            if (job.BrokenAt is not null) return "it was broken and reads again";
            if (job.AccountedTo > job.LockedAt + Ahead) return $"its account is ahead of PostgreSQL's clock, at {job.AccountedTo:yyyy-MM-dd HH:mm:ss} UTC";
            // Both are taken at the same moment when a job is made, one by PostgreSQL and one by the node.
            if (job.AccountedTo < job.CreateTime - Made && job.CreateTime < job.LockedAt)
                return "its account lies before it was made";
            return expression.Next(new DateTimeOffset(job.AccountedTo, TimeSpan.Zero), zone)?.UtcDateTime == job.NextRunAt
                ? null
                : $"its next due time was {job.NextRunAt:yyyy-MM-dd HH:mm:ss} UTC";
        }
        catch (JobIsBroken broken)
        {
            // The ledger breaks it, with the due time at which it was found; without one it is found here.
            return job.BrokenAt is null && (job.NextRunAt is null || job.NextRunAt > job.LockedAt) ? broken.Message : null;
        }
    }

    /// <summary>
    /// Takes a job's account that is ahead of PostgreSQL's clock back to it. What is recorded as not run and due only later is forgotten, so that it runs when
    /// its time comes; what has run stays.
    /// </summary>
    /// <returns>The job as it is now, and why what was due up to now is missed; null where its account is not ahead.</returns>
    internal static async Task<(JobRow Job, Accounting.GapReason? Reason)> TakeBack(NpgsqlConnection connection, NpgsqlTransaction transaction, JobRow job)
    {
        if (job.AccountedTo <= job.LockedAt + Ahead) return (job, null);
        await connection.ExecuteAsync(BegunSql, new { job.Id, Now = job.LockedAt }, transaction);
        await connection.ExecuteAsync(NotYetDueSql, new { job.Id, Now = job.LockedAt }, transaction);
        await connection.ExecuteAsync(LastSql, new { job.Id, job.JobId, Now = job.LockedAt }, transaction);
        var from = await connection.ExecuteScalarAsync<DateTime>(AccountedSql, new { job.Id, Now = job.LockedAt }, transaction);
        await connection.ExecuteAsync(BackSql, new { job.Id, From = from }, transaction);
        return (job with { AccountedTo = from, GapLogId = null, GapNominalAt = null, GapReason = null }, ClockGap);
    }

    private async Task PutRight(long id, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (await connection.QuerySingleOrDefaultAsync<JobRow>(LockSql, new { Id = id }, transaction) is not { } job || Wrong(job) is not { } wrong) return;
        Accounting.GapReason? reason = null;
        if (job.BrokenAt is not null)
        {
            await connection.ExecuteAsync(MendSql, new { job.Id }, transaction);
            await Outbox.Write(connection, transaction, JobEvents.Stream(job.Id), JobEvents.Mended, new JobEvents.Job(job.JobId));
            reason = Ledger.BrokenGap;
        }
        (job, var ahead) = await TakeBack(connection, transaction, job);
        reason ??= ahead;
        await ledger.AccountWhole(connection, transaction, job, reason);
        await transaction.CommitAsync(cancellation);
        log.LogWarning("The schedule of job {JobId} was put right: {Wrong}", job.JobId, wrong);
        recurring.Changed(job.JobId);
        outbox.Wake();
    }
}
