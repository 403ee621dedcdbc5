using System.Threading.Channels;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Hangfire;
using Hangfire.Common;
using Hangfire.Storage;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// Reconciles Hangfire's recurring jobs, which are called by their job_id, with the table by difference: all at the start, one on its change, and a page of
/// them every 60 s, which also revives those that Hangfire has given up. They are registered at the offset that is in force now, as <c>UTC+05:30</c>, so that
/// Hangfire never computes times across a change of the clock; when the offset changes they are registered anew.
/// </summary>
internal sealed class RecurringJobs(NpgsqlDataSource source, IRecurringJobManager recurring, TimeProvider time, ILogger<RecurringJobs> log) : IDisposable
{
    private const int PageSize = 1000;

    private const string PageSql = """
        SELECT id, job_id, cron, time_zone FROM cron.job WHERE id > @After AND NOT paused AND broken_at IS NULL ORDER BY id LIMIT @Most
        """;

    // Hangfire's storage interface reads one recurring job after another, which takes 10,000 of them more than a second.
    private const string RegisteredSql = """
        SELECT substr(h.key, length('recurring-job:') + 1) AS job_id,
            max(h.value) FILTER (WHERE h.field = 'Cron') AS cron, max(h.value) FILTER (WHERE h.field = 'TimeZoneId') AS zone,
            max(h.value) FILTER (WHERE h.field = 'Job') AS payload,
            coalesce(max(h.value) FILTER (WHERE h.field = 'Error'), '') = '' AND coalesce(max(h.value) FILTER (WHERE h.field = 'NextExecution'), '') <> ''
                AND EXISTS (SELECT FROM hangfire.set s WHERE s.key = 'recurring-jobs' AND s.score >= 0
                    AND s.value = substr(h.key, length('recurring-job:') + 1)) AS is_alive
        FROM hangfire.hash h WHERE h.key = ANY(@Keys) GROUP BY h.key
        """;

    private const string OrphanedSql = """
        SELECT s.value FROM hangfire.set s WHERE s.key = 'recurring-jobs'
            AND NOT EXISTS (SELECT FROM cron.job j WHERE j.job_id = s.value AND NOT j.paused AND j.broken_at IS NULL) LIMIT @Most
        """;

    private const string OneSql = """
        SELECT id, job_id, cron, time_zone FROM cron.job WHERE NOT paused AND broken_at IS NULL AND job_id = @JobId
        """;

    private readonly Channel<string> changed = Channel.CreateUnbounded<string>(new UnboundedChannelOptions { SingleReader = true });

    private long? comparedTo;

    /// <summary>Set when a job of this node's may have another next due time.</summary>
    public AutoResetEvent ScheduleChanged { get; } = new(false);

    /// <summary>Wakes the registration of changed jobs.</summary>
    public WakeSignal Changes { get; } = new();

    /// <summary>
    /// To be called after the commit that changed the job. When the process dies before it is heard, the next start or another node's minute finds the
    /// difference.
    /// </summary>
    public void Changed(string jobId)
    {
        changed.Writer.TryWrite(jobId);
        Changes.Set();
        ScheduleChanged.Set();
    }

    /// <summary>Registers what was changed since the last run. One that cannot be registered is logged, and the rest goes on.</summary>
    public async Task ReconcileChanged(CancellationToken cancellation)
    {
        while (changed.Reader.TryPeek(out var jobId))
        {
            try
            {
                await using var connection = await source.OpenConnectionAsync(cancellation);
                if (await connection.QuerySingleOrDefaultAsync<Row>(OneSql, new { JobId = jobId }) is { } row && Wanted(row) is { } wanted) Register(wanted);
                else recurring.RemoveIfExists(jobId);
            }
            catch (Exception error) when (IsOfOne(error) && !cancellation.IsCancellationRequested)
            {
                // Hangfire may hold its entry locked. The others do not wait for that: the comparison with the table finds it again.
                log.LogError(error, "Job {JobId} could not be registered with Hangfire", jobId);
            }
            // Taken out only now: while the database is away it is tried again.
            changed.Reader.TryRead(out _);
        }
    }

    /// <summary>Compares the next page, all of them the first time.</summary>
    public async Task ReconcileNext(CancellationToken cancellation)
    {
        if (comparedTo is null) await Reconcile(cancellation);
        else comparedTo = (await ReconcilePage(comparedTo.Value, cancellation)).Last ?? 0;
    }

    /// <summary>Compares all; returns how many were put right. One that cannot be compared is logged, and the rest goes on.</summary>
    internal async Task<int> Reconcile(CancellationToken cancellation)
    {
        var mended = 0;
        for (long? last = 0; last is { } after;)
        {
            (var more, last) = await ReconcilePage(after, cancellation);
            mended += more;
        }
        comparedTo = 0;
        return mended;
    }

    private async Task<(int Mended, long? Last)> ReconcilePage(long after, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var rows = (await connection.QueryAsync<Row>(PageSql, new { After = after, Most = PageSize })).AsList();
        var registered = (
            await connection.QueryAsync<Registered>(RegisteredSql, new { Keys = rows.Select(row => $"recurring-job:{row.JobId}").ToArray() })
        ).ToDictionary(have => have.JobId, StringComparer.Ordinal);
        var mended = 0;
        foreach (var wanted in rows.Select(Wanted).OfType<Registration>())
        {
            cancellation.ThrowIfCancellationRequested();
            var have = registered.GetValueOrDefault(wanted.JobId);
            if (have is not null && IsSame(have, wanted)) continue;
            if (PutRight(wanted.JobId, wanted, isGivenUp: have is { IsAlive: false })) mended++;
        }
        foreach (var orphan in await connection.QueryAsync<string>(OrphanedSql, new { Most = PageSize }))
            if (PutRight(orphan, null, isGivenUp: false)) mended++;
        if (mended > 0) log.LogInformation("{Count} of Hangfire's recurring jobs were put right", mended);
        return (mended, rows.Count == PageSize ? rows[^1].Id : null);
    }

    private bool PutRight(string jobId, Registration? wanted, bool isGivenUp)
    {
        try
        {
            // One that Hangfire has disabled after too many errors is enabled by being made anew alone. Any other keeps its last run.
            if (wanted is null || isGivenUp) recurring.RemoveIfExists(jobId);
            if (wanted is not null) Register(wanted);
            return true;
        }
        catch (Exception error) when (IsOfOne(error))
        {
            log.LogError(error, "Hangfire's recurring job {Id} could not be put right", jobId);
            return false;
        }
    }

    public void Dispose() => ScheduleChanged.Dispose();

    // Hangfire's lock on an entry is a TimeoutException, and none of the database's.
    private static bool IsOfOne(Exception error) => error is DistributedLockTimeoutException || !DatabaseErrors.IsTransient(error);

    private static bool IsSame(Registered have, Registration wanted) =>
        have.IsAlive
        && have.Cron == wanted.Cron
        && have.Zone == wanted.Zone.Id
        && have.Payload == InvocationData.SerializeJob(JobOf(wanted)).SerializePayload();

    // A job that does not read is the ledger's to break; here it is left out.
    private Registration? Wanted(Row row)
    {
        try
        {
            return new Registration(
                row.Id,
                row.JobId,
                JobRow.ExpressionOf(row.Cron).ForCronos,
                FixedZone.At(JobRow.ZoneOf(row.TimeZone).GetUtcOffset(time.GetUtcNow()))
            );
        }
        catch (JobIsBroken broken)
        {
            log.LogWarning("Job {JobId} is not registered with Hangfire: {Why}", row.JobId, broken.Message);
            return null;
        }
    }

    // Relaxed: after a stall one wake-up is enough, because the ledger accounts for every due time itself.
    private void Register(Registration job) =>
        recurring.AddOrUpdate(
            job.JobId,
            JobOf(job),
            job.Cron,
            new RecurringJobOptions { TimeZone = job.Zone, MisfireHandling = MisfireHandlingMode.Relaxed }
        );

    private static Job JobOf(Registration job) => Job.FromExpression<FireDueJobs>(fire => fire.Fire(job.Id, job.JobId, null!, CancellationToken.None));

    private sealed record Row(long Id, string JobId, string Cron, string TimeZone);

    private sealed record Registered(string JobId, string? Cron, string? Zone, string? Payload, bool IsAlive);

    private sealed record Registration(long Id, string JobId, string Cron, TimeZoneInfo Zone);
}

/// <summary>Resolves the fixed offsets under which recurring jobs are registered.</summary>
internal sealed class FixedOffsets : ITimeZoneResolver
{
    public TimeZoneInfo GetTimeZoneById(string timeZoneId) => FixedZone.Parse(timeZoneId) ?? TimeZoneInfo.FindSystemTimeZoneById(timeZoneId);
}
