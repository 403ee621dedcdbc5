using Codo.Modules.Cron.Jobs;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Writes the fire ledger: locks jobs, accounts for their due times, inserts the rows and moves <c>accounted_to</c>, in one transaction. Two nodes that race find the job locked, or accounted for.</summary>
internal sealed class Ledger(NpgsqlDataSource source, News news, TimeProvider time, Node node)
{
    /// <summary>Jobs that one transaction takes; a burst of more is taken in turns.</summary>
    private const int Batch = 500;

    private const string LockDueSql = """
        SELECT id, job_id, cmd, cron, time_zone, paused, timeout, overlap, misfire, misfire_window, retries, retry_delay, env, working_directory,
            accounted_to, gap_log_id, gap_nominal_at, gap_reason
        FROM cron.job WHERE NOT paused AND next_run_at <= @Now
        ORDER BY next_run_at LIMIT @Batch FOR UPDATE SKIP LOCKED
        """;

    private const string LockPausedSql = """
        SELECT id, job_id, cmd, cron, time_zone, paused, timeout, overlap, misfire, misfire_window, retries, retry_delay, env, working_directory,
            accounted_to, gap_log_id, gap_nominal_at, gap_reason
        FROM cron.job WHERE paused AND next_run_at <= @Now
        ORDER BY next_run_at LIMIT @Batch FOR UPDATE SKIP LOCKED
        """;

    private const string LockOneSql = """
        SELECT id, job_id, cmd, cron, time_zone, paused, timeout, overlap, misfire, misfire_window, retries, retry_delay, env, working_directory,
            accounted_to, gap_log_id, gap_nominal_at, gap_reason
        FROM cron.job WHERE job_id = @JobId FOR UPDATE
        """;

    private const string GoingSql = """
        SELECT job, log_id, state = 'running' AS running FROM cron.going WHERE job = ANY(@Jobs) ORDER BY job, log_id
        """;

    private const string InsertFiresSql = """
        WITH fire AS (
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd, spec, env)
            SELECT j.id, j.job_id, 'schedule', f.trigger, f.at, f.at, 'queued', f.at, j.cmd,
                jsonb_build_object('timeout', j.timeout, 'retries', j.retries, 'retry_delay', j.retry_delay, 'working_directory', j.working_directory, 'overlap', j.overlap), j.env
            FROM unnest(CAST(@Jobs AS bigint[]), CAST(@Triggers AS text[]), CAST(@Times AS timestamptz[])) WITH ORDINALITY AS f(job, trigger, at, place) JOIN cron.job j ON j.id = f.job
            ORDER BY f.place
            ON CONFLICT (job, nominal_at) WHERE kind = 'schedule' DO NOTHING
            RETURNING log_id, nominal_at, job, job_id, spec ->> 'overlap' AS overlap
        )
        INSERT INTO cron.going (log_id, nominal_at, job, job_id, not_before, exclusive)
        SELECT log_id, nominal_at, job, job_id, nominal_at, overlap <> 'allow' FROM fire
        """;

    private const string InsertGapSql = """
        INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, times, status, exec_time, task_cmd, cause_zh, cause_en)
        VALUES (@Job, @JobId, 'schedule', 'schedule', @From, @Until, @Times, @Status, @Until, @Cmd, @Zh, @En)
        ON CONFLICT (job, nominal_at) WHERE kind = 'schedule' DO NOTHING
        RETURNING log_id
        """;

    // A stretch stands in the list where it ends: a pause that goes on is among the newest, however long ago it began.
    private const string ExtendGapSql = """
        UPDATE cron.cron_log SET nominal_until = @Until, exec_time = @Until, times = times + @Times WHERE log_id = @LogId AND nominal_at = @NominalAt RETURNING times
        """;

    private const string InsertNewsSql = """
        INSERT INTO cron.news (kind, job, job_id, log_id, nominal_at, nominal_until, times) VALUES (@Kind, @Job, @JobId, @LogId, @From, @Until, @Times)
        """;

    private const string MoveSql = """
        UPDATE cron.job j SET accounted_to = @Now, next_run_at = m.next_run_at, gap_log_id = m.gap_log_id, gap_nominal_at = m.gap_nominal_at, gap_reason = m.gap_reason
        FROM unnest(CAST(@Jobs AS bigint[]), CAST(@Nexts AS timestamptz[]), CAST(@GapIds AS bigint[]), CAST(@GapTimes AS timestamptz[]), CAST(@GapReasons AS text[])) AS m(job, next_run_at, gap_log_id, gap_nominal_at, gap_reason)
        WHERE j.id = m.job
        """;

    private const string StopRunningSql = """
        UPDATE cron.going SET stop_zh = @Zh, stop_en = @En WHERE job = @Job AND state = 'running' AND stop_zh IS NULL RETURNING node
        """;

    private const string DropQueuedSql = """
        WITH dropped AS (DELETE FROM cron.going WHERE job = @Job AND state = 'queued' RETURNING log_id, nominal_at)
        UPDATE cron.cron_log l SET status = 'killed', ended_at = @Now, cause_zh = @Zh, cause_en = @En
        FROM dropped d WHERE l.log_id = d.log_id AND l.nominal_at = d.nominal_at AND l.status = 'queued'
        """;

    /// <summary>Takes every job that is due and not locked by somebody else; returns how many.</summary>
    public async Task<int> AccountDue(CancellationToken cancellation)
    {
        var taken = 0;
        while (node.MayStart)
        {
            var some = await AccountSome(LockDueSql, cancellation);
            taken += some;
            if (some < Batch) break;
        }
        return taken;
    }

    /// <summary>Paused jobs' due times are accounted for as well, so that the ledger answers while the pause lasts.</summary>
    public async Task AccountPaused(CancellationToken cancellation)
    {
        while (await AccountSome(LockPausedSql, cancellation) == Batch)
        {
        }
    }

    /// <summary>Locks one job and accounts for it up to now, inside the caller's transaction: what a change of the job begins with.</summary>
    /// <returns>The job as it was, and up to when it is accounted for now; null when there is none.</returns>
    public async Task<Locked?> LockAndAccount(NpgsqlConnection connection, NpgsqlTransaction transaction, string jobId)
    {
        if (await connection.QuerySingleOrDefaultAsync<JobRow>(LockOneSql, new { JobId = jobId }, transaction) is not { } job) return null;
        return new Locked(job, (await Account(connection, transaction, [job])).Now);
    }

    private async Task<int> AccountSome(string lockSql, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var jobs = (await connection.QueryAsync<JobRow>(lockSql, new { Now = time.GetUtcNow().UtcDateTime, Batch }, transaction)).AsList();
        if (jobs.Count == 0) return 0;
        var (_, isNews) = await Account(connection, transaction, jobs);
        await transaction.CommitAsync(cancellation);
        if (isNews) news.Soon();
        return jobs.Count;
    }

    private async Task<(DateTimeOffset Now, bool IsNews)> Account(NpgsqlConnection connection, NpgsqlTransaction transaction, List<JobRow> jobs)
    {
        var now = time.GetUtcNow();
        var going = (await connection.QueryAsync<GoingRow>(GoingSql, new { Jobs = jobs.Select(job => job.Id).ToArray() }, transaction)).ToLookup(row => row.Job);
        var fires = new List<(long Job, string Trigger, DateTime At)>();
        var tidings = new List<Tiding>();
        var gaps = new (long? LogId, DateTime? At, string? Reason)[jobs.Count];
        var nexts = new DateTime?[jobs.Count];
        for (var i = 0; i < jobs.Count; i++)
        {
            var job = jobs[i];
            var outcome = Accounting.Account(job.ToDue(), going[job.Id].Select(row => new Accounting.Going(row.LogId, row.Running)).ToList(), now);
            if (outcome.StopOthers) await StopOthers(connection, transaction, job.Id);
            gaps[i] = (job.GapLogId, job.GapNominalAt, job.GapReason);
            foreach (var entry in outcome.Entries)
            {
                if (entry.Reason is null)
                {
                    fires.Add((job.Id, entry.Trigger, entry.From.UtcDateTime));
                    gaps[i] = default;
                }
                else
                {
                    gaps[i] = await WriteGap(connection, transaction, job, gaps[i], entry, tidings);
                }
            }
            nexts[i] = outcome.NextRunAt?.UtcDateTime;
        }
        if (fires.Count > 0)
        {
            await connection.ExecuteAsync(InsertFiresSql, new
            {
                Jobs = fires.Select(fire => fire.Job).ToArray(),
                Triggers = fires.Select(fire => fire.Trigger).ToArray(),
                Times = fires.Select(fire => fire.At).ToArray(),
            }, transaction);
        }
        await connection.ExecuteAsync(MoveSql, new
        {
            Now = now.UtcDateTime,
            Jobs = jobs.Select(job => job.Id).ToArray(),
            Nexts = nexts,
            GapIds = gaps.Select(gap => gap.LogId).ToArray(),
            GapTimes = gaps.Select(gap => gap.At).ToArray(),
            GapReasons = gaps.Select(gap => gap.Reason).ToArray(),
        }, transaction);
        await connection.ExecuteAsync(InsertNewsSql, tidings, transaction);
        return (now, tidings.Count > 0);
    }

    private static async Task<(long?, DateTime?, string?)> WriteGap(NpgsqlConnection connection, NpgsqlTransaction transaction, JobRow job, (long? LogId, DateTime? At, string? Reason) open, Accounting.Entry entry, List<Tiding> tidings)
    {
        // A stretch that has outlived the retention has lost its row with the month in which it began; what comes now begins another.
        if (open.LogId is { } logId && open.Reason == entry.Reason
            && await connection.ExecuteScalarAsync<int?>(ExtendGapSql, new { LogId = logId, NominalAt = open.At, Until = entry.Until.UtcDateTime, entry.Times }, transaction) is { } times)
        {
            Note(job, logId, open.At!.Value, entry, times, tidings);
            return open;
        }
        var from = entry.From.UtcDateTime;
        var made = await connection.ExecuteScalarAsync<long?>(InsertGapSql, new
        {
            Job = job.Id,
            job.JobId,
            From = from,
            Until = entry.Until.UtcDateTime,
            entry.Times,
            Status = entry.Status.Word(),
            job.Cmd,
            entry.Cause.Zh,
            entry.Cause.En,
        }, transaction);
        if (made is { } written) Note(job, written, from, entry, entry.Times, tidings);
        return (made, from, entry.Reason);
    }

    // A miss is news whenever it is noticed; skips are once they are three in a row, which are one row of the ledger since nothing ran in between.
    private static void Note(JobRow job, long logId, DateTime at, Accounting.Entry entry, int times, List<Tiding> tidings)
    {
        if (entry.Status == ExecutionStatus.Missed)
            tidings.Add(new Tiding("missed", job.Id, job.JobId, logId, entry.From.UtcDateTime, entry.Until.UtcDateTime, entry.Times));
        else if (entry.Reason!.StartsWith("overlap", StringComparison.Ordinal) && times >= News.SkipsThatCount && times - entry.Times < News.SkipsThatCount)
            tidings.Add(new Tiding("skipped", job.Id, job.JobId, logId, at, entry.Until.UtcDateTime, times));
    }

    /// <summary>Makes room for a fire under <c>overlap: replace</c>: what runs is asked to end, what is queued is taken from the queue.</summary>
    public async Task StopOthers(NpgsqlConnection connection, NpgsqlTransaction transaction, long job)
    {
        var cause = new Text("被新的一次执行取代（overlap=replace）", "Replaced by the next fire (overlap=replace)");
        await connection.ExecuteAsync(DropQueuedSql, new { Job = job, Now = time.GetUtcNow().UtcDateTime, cause.Zh, cause.En }, transaction);
        foreach (var holder in await connection.QueryAsync<string>(StopRunningSql, new { Job = job, cause.Zh, cause.En }, transaction))
            await Control.Notify(connection, transaction, holder);
    }

    /// <summary>A job whose row the caller's transaction holds.</summary>
    internal sealed record Locked(JobRow Job, DateTimeOffset AccountedTo);

    private sealed record Tiding(string Kind, long Job, string JobId, long LogId, DateTime From, DateTime Until, int Times);

    private sealed record GoingRow(long Job, long LogId, bool Running);
}
