using System.Diagnostics;
using System.Threading.RateLimiting;
using Codo.Platform.Cluster;
using Dapper;
using Hangfire;
using Hangfire.Server;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// Wakes due jobs to the millisecond: a process of the Hangfire server that waits for the earliest next due time, which Codo alone computes, and triggers the
/// recurring jobs that are due. The first at once, since its wake-up accounts for everything that is due; the others, so that the dashboard shows their
/// executions, at a bounded rate: under load they are left out first. Of several nodes one triggers, and each accounts for what is due. Hangfire's own
/// schedule and the node's poll are the fallbacks below it. That schedule has no bound and makes a background job of each due time it meets, so what is
/// accounted for in time is kept out of its reach.
/// </summary>
internal sealed class TriggerDueJobs(
    NpgsqlDataSource source,
    IRecurringJobManager recurring,
    RecurringJobs jobs,
    FireDueJobs fire,
    WakeSources sources,
    Node node,
    LoopStates states,
    ILogger<TriggerDueJobs> log
) : IBackgroundProcess, IDisposable
{
    private const int MostWaiting = 200, MirroredASecond = 8;

    private const string DueSql = """
        SELECT id, job_id, next_run_at FROM cron.job WHERE NOT paused AND next_run_at <= statement_timestamp() + CAST(@Lead AS interval)
            AND broken_at IS NULL ORDER BY next_run_at LIMIT @MostWaiting
        """;

    private const string NextSql = """
        SELECT CAST(extract(epoch FROM next_run_at - CAST(@Lead AS interval) - clock_timestamp()) AS float8) FROM cron.job
        WHERE NOT paused AND next_run_at > statement_timestamp() + CAST(@Lead AS interval) AND broken_at IS NULL ORDER BY next_run_at LIMIT 1
        """;

    // Of several nodes one makes the background jobs, or all but one of a fire's would stand for nothing: the first by name of those that may start runs. Where
    // two disagree for a moment a fire is shown twice or not at all; it runs either way.
    private const string ShowsSql = """
        SELECT NOT EXISTS (SELECT FROM platform.live_node WHERE name < @Name AND 'cron' = ANY(roles))
        """;

    // Hangfire's schedule looks at a recurring job when the time in its score has come. A job that is accounted for gets its next due time, which the dashboard
    // shows, and a score that lies behind that. Rows that Hangfire holds locked are left out, so that the two never wait for each other.
    private const string PutOffSql = """
        WITH accounted AS (
            SELECT s.id, 'recurring-job:' || j.job_id AS key, j.next_run_at FROM hangfire.set s JOIN cron.job j ON j.job_id = s.value
            WHERE s.key = 'recurring-jobs' AND s.score BETWEEN 0 AND extract(epoch FROM clock_timestamp() + CAST(@Reach AS interval))
                AND NOT j.paused AND j.broken_at IS NULL AND j.next_run_at > clock_timestamp() FOR UPDATE OF s SKIP LOCKED
        ), put_off AS (
            UPDATE hangfire.set s SET score = floor(extract(epoch FROM a.next_run_at + CAST(@Reach AS interval))) FROM accounted a WHERE s.id = a.id
        ), shown AS (
            SELECT h.id, CAST(CAST(floor(extract(epoch FROM a.next_run_at) * 1000) AS bigint) AS text) AS next FROM hangfire.hash h
            JOIN accounted a ON h.key = a.key WHERE h.field = 'NextExecution' FOR UPDATE OF h SKIP LOCKED
        )
        UPDATE hangfire.hash h SET value = s.next FROM shown s WHERE h.id = s.id AND h.value IS DISTINCT FROM s.next
        """;

    /// <summary>
    /// How much earlier a wake-up is sent than it is due: its way through Hangfire takes some 20 ms, and what it wakes waits for the rest
    /// (<see cref="FireDueJobs"/>).
    /// </summary>
    public static readonly TimeSpan Lead = TimeSpan.FromMilliseconds(30);

    // A change of a job on another node is seen after the longest wait; the poll of that node is as late.
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5),
        WhileNotAllowed = TimeSpan.FromSeconds(1),
        WhileAccounted = TimeSpan.FromMilliseconds(50),
        BetweenTriggers = TimeSpan.FromMilliseconds(20),
        // Jobs are put off every LongestWait; a row that is locked at one time is put off at the next, before Hangfire looks at it.
        Reach = TimeSpan.FromSeconds(10),
        Again = TimeSpan.FromMilliseconds(300);

    private readonly LoopState state = states.Add("cron trigger", LongestWait, rests: () => node.IsDrained || !node.Has(NodeRoles.Cron));
    private readonly Queue<string> waiting = new();

    // A burst is shown whole; of many jobs a second that go on and on only a part is.
    private readonly TokenBucketRateLimiter mirrored = new(
        new()
        {
            TokenLimit = MostWaiting,
            TokensPerPeriod = MirroredASecond,
            ReplenishmentPeriod = TimeSpan.FromSeconds(1),
        }
    );

    // Which due time of a job was triggered, and when: until it is accounted for it is found again in each round. After a while it is triggered again, because
    // the job's row may have been locked.
    private readonly Dictionary<long, (DateTime Due, long At)> triggered = [];

    // Which job was shown when, so that all of them come in turn where there is not room for each due time.
    private readonly Dictionary<long, long> shown = [];
    private long triggeredAt, putOffAt;

    /// <summary>One round; Hangfire calls it again and again until the server stops.</summary>
    public void Execute(BackgroundProcessContext context)
    {
        try
        {
            var wait = Round(context.StoppingToken);
            state.Succeeded();
            if (wait > TimeSpan.Zero) WaitHandle.WaitAny([context.StoppingToken.WaitHandle, jobs.ScheduleChanged], wait);
        }
        catch (Exception error) when (!context.IsStopping)
        {
            state.Failed(error);
            log.LogWarning(error, "Due jobs could not be triggered; Hangfire's schedule and the poll fire them meanwhile");
            context.Wait(WhileNotAllowed);
        }
    }

    public void Dispose() => mirrored.Dispose();

    /// <summary>Keeps jobs that are accounted for out of the reach of Hangfire's own schedule.</summary>
    internal void PutOff(NpgsqlConnection connection)
    {
        putOffAt = Stopwatch.GetTimestamp();
        connection.Execute(PutOffSql, new { Reach });
    }

    /// <summary>Triggers what is due; returns how long nothing more will be.</summary>
    private TimeSpan Round(CancellationToken stopping)
    {
        // A node that may not start anything leaves the triggering to the others.
        if (!sources.Trigger || !node.MayStart(Runner.WorkName)) return WhileNotAllowed;
        using var connection = source.OpenConnection();
        if (Stopwatch.GetElapsedTime(putOffAt) >= LongestWait) PutOff(connection);
        var due = connection.Query<(long Id, string JobId, DateTime At)>(DueSql, new { MostWaiting, Lead }).AsList();
        var (isFirst, isLeftOut) = (waiting.Count == 0, false);
        if (due.Count == 0)
            triggered.Clear();
        var fresh = due.Where(job => !triggered.TryGetValue(job.Id, out var known) || known.Due != job.At || Stopwatch.GetElapsedTime(known.At) > Again)
            .OrderBy(job => shown.GetValueOrDefault(job.Id))
            .ToList();
        var shows = fresh.Count > 0 && connection.ExecuteScalar<bool>(ShowsSql, new { node.Name });
        foreach (var (id, jobId, at) in fresh)
        {
            triggered[id] = (at, Stopwatch.GetTimestamp());
            if (shows && waiting.Count < MostWaiting && mirrored.AttemptAcquire().IsAcquired)
            {
                shown[id] = Stopwatch.GetTimestamp();
                waiting.Enqueue(jobId);
            }
            else isLeftOut = true;
        }
        if (isLeftOut && waiting.Count == 0) fire.Account(stopping).GetAwaiter().GetResult();
        if (waiting.Count > 0 && (isFirst || Stopwatch.GetElapsedTime(triggeredAt) >= BetweenTriggers))
        {
            triggeredAt = Stopwatch.GetTimestamp();
            recurring.Trigger(waiting.Dequeue());
            // Its score is the due time that it was triggered for.
            PutOff(connection);
        }
        if (waiting.Count > 0) return BetweenTriggers;
        // A job that is being accounted for has no next due time yet.
        var longest = due.Count > 0 ? WhileAccounted : LongestWait;
        return connection.ExecuteScalar<double?>(NextSql, new { Lead }) is { } seconds && seconds < longest.TotalSeconds
            ? TimeSpan.FromSeconds(Math.Max(0, seconds)) + TimeSpan.FromMilliseconds(1)
            : longest;
    }
}
