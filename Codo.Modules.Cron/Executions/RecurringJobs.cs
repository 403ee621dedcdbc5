using System.Threading.Channels;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Hangfire;
using Hangfire.Storage;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// Reconciles Hangfire's recurring jobs, which are called by their job_id, with the table by difference: at the start, on a change, and every 60 s, which also
/// revives one that Hangfire has given up. They are registered at the offset that is in force now, as <c>UTC+05:30</c>, so that Hangfire never computes times
/// across a change of the clock; when the offset changes they are registered anew.
/// </summary>
internal sealed class RecurringJobs(NpgsqlDataSource source, IRecurringJobManager recurring, JobStorage storage, TimeProvider time, ILogger<RecurringJobs> log)
    : IDisposable
{
    private const string AllSql = """
        SELECT id, job_id, cron, time_zone FROM cron.job WHERE NOT paused AND broken_at IS NULL
        """;

    private const string OneSql = """
        SELECT id, job_id, cron, time_zone FROM cron.job WHERE NOT paused AND broken_at IS NULL AND job_id = @JobId
        """;

    private readonly Channel<string> changed = Channel.CreateUnbounded<string>(new UnboundedChannelOptions { SingleReader = true });

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

    /// <summary>Registers what was changed since the last run.</summary>
    public async Task ReconcileChanged(CancellationToken cancellation)
    {
        while (changed.Reader.TryPeek(out var jobId))
        {
            await using (var connection = await source.OpenConnectionAsync(cancellation))
            {
                if (await connection.QuerySingleOrDefaultAsync<Row>(OneSql, new { JobId = jobId }) is { } row && Wanted(row) is { } wanted) Register(wanted);
                else recurring.RemoveIfExists(jobId);
            }
            // Taken out only now: after a failure it is tried again.
            changed.Reader.TryRead(out _);
        }
    }

    /// <summary>Compares all; returns how many were put right. One that cannot be compared is logged, and the rest goes on.</summary>
    internal async Task<int> Reconcile(CancellationToken cancellation)
    {
        Dictionary<string, Registration> wanted;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            wanted = (await connection.QueryAsync<Row>(AllSql))
                .Select(Wanted)
                .OfType<Registration>()
                .ToDictionary(registration => registration.JobId, StringComparer.Ordinal);
        using var hangfire = storage.GetConnection();
        var mended = 0;
        foreach (var have in hangfire.GetRecurringJobs())
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                wanted.Remove(have.Id, out var registration);
                if (registration is not null && IsSame(have, registration)) continue;
                // One that Hangfire has disabled after too many errors is enabled by being made anew alone.
                recurring.RemoveIfExists(have.Id);
                if (registration is not null) Register(registration);
                mended++;
            }
            catch (Exception error) when (!DatabaseErrors.IsTransient(error))
            {
                log.LogError(error, "Hangfire's recurring job {Id} could not be put right", have.Id);
            }
        }
        foreach (var registration in wanted.Values)
        {
            cancellation.ThrowIfCancellationRequested();
            Register(registration);
            mended++;
        }
        if (mended > 0) log.LogInformation("{Count} of Hangfire's recurring jobs were put right", mended);
        return mended;
    }

    public void Dispose() => ScheduleChanged.Dispose();

    private static bool IsSame(RecurringJobDto have, Registration wanted) =>
        have.Cron == wanted.Cron
        && have.TimeZoneId == wanted.Zone.Id
        && !have.Removed
        && have.Error is null
        && have.NextExecution is not null
        && have.LoadException is null
        && wanted.Id.Equals(have.Job?.Args[0])
        && have.Job?.Method.Name == nameof(FireDueJobs.Fire);

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
        recurring.AddOrUpdate<FireDueJobs>(
            job.JobId,
            fire => fire.Fire(job.Id, job.JobId, null!, CancellationToken.None),
            job.Cron,
            new RecurringJobOptions { TimeZone = job.Zone, MisfireHandling = MisfireHandlingMode.Relaxed }
        );

    private sealed record Row(long Id, string JobId, string Cron, string TimeZone);

    private sealed record Registration(long Id, string JobId, string Cron, TimeZoneInfo Zone);
}

/// <summary>Resolves the fixed offsets under which recurring jobs are registered.</summary>
internal sealed class FixedOffsets : ITimeZoneResolver
{
    public TimeZoneInfo GetTimeZoneById(string timeZoneId) => FixedZone.Parse(timeZoneId) ?? TimeZoneInfo.FindSystemTimeZoneById(timeZoneId);
}
