using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// Writes the fire ledger: locks jobs, accounts for their due times, inserts the rows and moves <c>accounted_to</c>, in one transaction. Two nodes that race
/// find the job locked, or accounted for.
/// </summary>
internal sealed class Ledger(
    NpgsqlDataSource source,
    Outbox outbox,
    RiskRules rules,
    JobEnvironment environments,
    Node node,
    Hold hold,
    ILogger<Ledger> log
)
{
    private const string OneJob = "one";

    // What the reason of a stretch begins with that a high-risk rule keeps from running.
    private const string OfRule = "risk ";

    /// <summary>Due times of a broken job.</summary>
    internal static readonly Accounting.GapReason BrokenGap = new("broken", new Text("任务数据损坏，未执行", "The job was broken"));

    /// <summary>Jobs that one transaction takes; a burst of more is taken in turns.</summary>
    private const int Batch = 500;

    internal const string Columns = """
        id, job_id, cmd, cron, time_zone, paused, timeout, overlap, misfire, misfire_window, retries, retry_delay, env, working_directory, run_as,
            node_selector, interpreter, released, held_by, coalesce(writer_id, updater_id) AS writer_id,
            held_zh, held_en, accounted_to, next_run_at, gap_log_id, gap_nominal_at, gap_reason,
            broken_at, broken_zh, broken_en, create_time, clock_timestamp() AS locked_at
        """;

    // statement_timestamp() and not clock_timestamp(): a volatile function keeps the planner from the index, and every job would be looked at.
    private const string LockDueSql = $"""
        SELECT {Columns} FROM cron.job WHERE NOT paused AND next_run_at <= statement_timestamp() AND broken_at IS NULL
        ORDER BY next_run_at LIMIT @Batch FOR UPDATE SKIP LOCKED
        """;

    private const string DueInSql = """
        SELECT CAST(extract(epoch FROM min(next_run_at) - clock_timestamp()) AS float8) FROM cron.job WHERE NOT paused AND broken_at IS NULL
            AND next_run_at <= statement_timestamp() + CAST(@Within AS interval)
        """;

    private const string LockPausedSql = $"""
        SELECT {Columns} FROM cron.job WHERE paused AND next_run_at <= statement_timestamp() AND broken_at IS NULL
        ORDER BY next_run_at LIMIT @Batch FOR UPDATE SKIP LOCKED
        """;

    private const string LockOneSql = $"""
        SELECT {Columns} FROM cron.job WHERE job_id = @JobId FOR UPDATE
        """;

    private const string ActiveSql = """
        SELECT job, CAST(count(*) AS int) AS count, min(log_id) AS first FROM cron.active_execution WHERE job = ANY(@Jobs) GROUP BY job
        """;

    private const string InsertFiresSql = $"""
        WITH fire AS (
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd, spec, env)
            SELECT j.id, j.job_id, 'schedule', f.trigger, f.at, f.at, 'queued', f.at, j.cmd,
                {Spec.OfJob}, j.env
            FROM unnest(CAST(@Jobs AS bigint[]), CAST(@Triggers AS text[]), CAST(@Times AS timestamptz[])) WITH ORDINALITY AS f(job, trigger, at, place)
                JOIN cron.job j ON j.id = f.job
            ORDER BY f.place
            ON CONFLICT (job, nominal_at) WHERE kind = 'schedule' DO NOTHING
            RETURNING log_id, nominal_at, job, job_id, spec ->> 'overlap' AS overlap, COALESCE(spec ->> 'node', '') AS selector
        )
        INSERT INTO cron.active_execution (log_id, nominal_at, job, job_id, not_before, exclusive, node_selector)
        SELECT log_id, nominal_at, job, job_id, nominal_at, overlap <> 'allow', selector FROM fire
        """;

    private const string InsertGapSql = """
        INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, times, status, exec_time, task_cmd, cause_zh, cause_en)
        VALUES (@Job, @JobId, 'schedule', 'schedule', @From, @Until, @Times, @Status, @Until, @Cmd, @Zh, @En)
        ON CONFLICT (job, nominal_at) WHERE kind = 'schedule' DO NOTHING
        RETURNING log_id
        """;

    // A stretch stands in the list where it ends: a pause that goes on is among the newest, however long ago it began.
    private const string ExtendGapSql = """
        WITH before AS (
            SELECT nominal_until FROM cron.cron_log WHERE log_id = @LogId AND nominal_at = @NominalAt
        )
        UPDATE cron.cron_log l SET nominal_until = GREATEST(l.nominal_until, @Until), exec_time = GREATEST(l.exec_time, @Until), times = l.times + @Times
        FROM before b WHERE l.log_id = @LogId AND l.nominal_at = @NominalAt
        RETURNING l.times, date_trunc('hour', l.nominal_until) > date_trunc('hour', b.nominal_until) AS is_new_hour
        """;

    // The account moves forward only: a clock that was put back accounts for nothing twice.
    private const string MoveSql = """
        UPDATE cron.job j SET accounted_to = GREATEST(j.accounted_to, m.accounted_to), next_run_at = m.next_run_at, gap_log_id = m.gap_log_id,
            gap_nominal_at = m.gap_nominal_at, gap_reason = m.gap_reason
        FROM unnest(CAST(@Jobs AS bigint[]), CAST(@Accounted AS timestamptz[]), CAST(@Nexts AS timestamptz[]), CAST(@GapIds AS bigint[]),
            CAST(@GapTimes AS timestamptz[]), CAST(@GapReasons AS text[]))
            AS m(job, accounted_to, next_run_at, gap_log_id, gap_nominal_at, gap_reason)
        WHERE j.id = m.job
        """;

    // A rule that was made after the job: from here on the job waits for a second person, as if it had been saved under the rule.
    private const string HoldSql = """
        UPDATE cron.job SET paused = true, held_by = COALESCE(held_by, writer_id, updater_id), held_zh = @Zh, held_en = @En, risks = CAST(@Risks AS jsonb)
            WHERE id = @Id AND NOT paused
        """;

    private const string BreakSql = """
        UPDATE cron.job SET broken_at = clock_timestamp(), broken_zh = @Zh, broken_en = @En, next_run_at = NULL, gap_log_id = @GapId,
            gap_nominal_at = @GapAt, gap_reason = @GapKey, accounted_to = GREATEST(accounted_to, CAST(@GapAt AS timestamptz)) WHERE id = @Id
        """;

    private const string HeldSql = """
        SELECT backup_at, released_at FROM platform.hold WHERE released_at IS NULL OR released_at <= clock_timestamp() ORDER BY hold_id DESC LIMIT 1
        """;

    private const string InLedgerSql = """
        SELECT EXISTS (SELECT 1 FROM cron.cron_log WHERE job = @Job AND kind = 'schedule' AND nominal_at = @At)
        """;

    private const string StopRunningSql = """
        UPDATE cron.active_execution SET stop_zh = @Zh, stop_en = @En WHERE job = @Job AND state = 'running' AND stop_zh IS NULL RETURNING node
        """;

    // This node's looks, by which it is told whether a due time is late because Codo was away or was only held up.
    private static readonly TimeSpan LongestPoll = TimeSpan.FromSeconds(12);
    private readonly Lock polls = new();

    // The last look: PostgreSQL's time of it, and between which times since boot PostgreSQL was asked for that.
    private DateTime polledNow;
    private TimeSpan askedAt, polledAt = TimeSpan.MinValue;
    private DateTimeOffset steadySince = DateTimeOffset.MaxValue;

    /// <summary>How long until the next job is due, where that is within a time and nothing is due already: a wake-up that came early waits for it.</summary>
    public async Task<TimeSpan?> DueIn(TimeSpan within, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return await connection.ExecuteScalarAsync<double?>(DueInSql, new { Within = within }) is > 0 and var seconds
            ? TimeSpan.FromSeconds(seconds) + TimeSpan.FromMilliseconds(1)
            : null;
    }

    /// <summary>Takes every job that is due and not locked by somebody else; returns how many.</summary>
    public async Task<int> AccountDue(CancellationToken cancellation)
    {
        var taken = 0;
        while (node.MayAccount(Runner.WorkName))
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
        while (node.HoldsLease && node.Has(NodeRoles.Cron) && await AccountSome(LockPausedSql, cancellation) == Batch)
        {
        }
    }

    /// <summary>
    /// Locks one job and accounts for it up to now, inside the caller's transaction: what a change of the job begins with. A broken job is locked and not
    /// accounted for.
    /// </summary>
    /// <returns>The job as that leaves it, and up to when it is accounted for now; null when there is none.</returns>
    public async Task<Locked?> LockAndAccount(NpgsqlConnection connection, NpgsqlTransaction transaction, string jobId)
    {
        if (await connection.QuerySingleOrDefaultAsync<JobRow>(LockOneSql, new { JobId = jobId }, transaction) is not { } job) return null;
        var now = new DateTimeOffset(job.LockedAt, TimeSpan.Zero);
        if (job.BrokenAt is not null) return new Locked(job, now, false) { WasPaused = job.Paused };
        var isTold = true;
        await transaction.SaveAsync(OneJob);
        try
        {
            var (whole, reason) = await ScheduleCheck.TakeBack(connection, transaction, job);
            isTold = await AccountWhole(connection, transaction, whole, reason);
        }
        catch (Exception error) when (DatabaseErrors.IsPermanent(error))
        {
            log.LogError(error, "Job {JobId} is broken", job.JobId);
            await transaction.RollbackAsync(OneJob);
            await Break(connection, transaction, job, Text.Same(OutsideText.Clean(error.Message)), withGap: false);
        }
        // The account itself may have held the job for a rule, or found it broken: what the caller changes is that.
        var left = await connection.QuerySingleAsync<JobRow>(LockOneSql, new { job.JobId }, transaction);
        return new Locked(left, now, isTold) { WasPaused = job.Paused };
    }

    /// <summary>Accounts for one locked job up to now, also where more is due than one pass works out.</summary>
    /// <returns>Whether the outbox was written.</returns>
    internal async Task<bool> AccountWhole(NpgsqlConnection connection, NpgsqlTransaction transaction, JobRow job, Accounting.GapReason? reason = null)
    {
        var isTold = false;
        while (true)
        {
            var (told, due) = await Account(connection, transaction, [job], reason);
            isTold |= told;
            if (due.Count == 0) return isTold;
            job = await connection.QuerySingleAsync<JobRow>(LockOneSql, new { job.JobId }, transaction);
        }
    }

    /// <summary>This node has looked for due jobs just now.</summary>
    /// <param name="now">PostgreSQL's time.</param>
    /// <param name="asked"><see cref="BootTime.Now"/> before PostgreSQL was asked for it.</param>
    public void Polled(DateTime now, TimeSpan asked)
    {
        lock (polls)
        {
            // Once it looks for due jobs again, what was due meanwhile is as late as after a stop.
            if (node.LeavesDueAlone(Runner.WorkName))
            {
                polledAt = TimeSpan.MinValue;
                return;
            }
            var answered = BootTime.Now;
            if (polledAt == TimeSpan.MinValue || answered - polledAt > LongestPoll || IsSet()) steadySince = new DateTimeOffset(now, TimeSpan.Zero);
            (polledNow, askedAt, polledAt) = (now, asked, answered);

            // What a clock that was set has passed over was never there to be run: it is as late as after a stop.
            bool IsSet() => now - polledNow < asked - polledAt - DatabaseClock.Jump || now - polledNow > answered - askedAt + DatabaseClock.Jump;
        }
    }

    private DateTimeOffset SteadySince
    {
        get
        {
            lock (polls) return polledAt == TimeSpan.MinValue || BootTime.Now - polledAt > LongestPoll ? DateTimeOffset.MaxValue : steadySince;
        }
    }

    private async Task<int> AccountSome(string lockSql, CancellationToken cancellation)
    {
        try
        {
            return await AccountSome(lockSql, Batch, cancellation);
        }
        catch (Exception error) when (DatabaseErrors.IsPermanent(error))
        {
            // One of the batch has a row that PostgreSQL does not take: alone each shows whether it is the one.
            log.LogError(error, "Due jobs could not be accounted for together; each is accounted for alone");
            var taken = 0;
            while (await AccountAlone(lockSql, cancellation)) taken++;
            return taken;
        }
    }

    private async Task<int> AccountSome(string lockSql, int batch, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var asked = BootTime.Now;
        var jobs = (await connection.QueryAsync<JobRow>(lockSql, new { Batch = batch }, transaction)).AsList();
        if (jobs.Count == 0) return 0;
        // A wake-up may come before the poll that would notice that the clock was set.
        Polled(jobs[0].LockedAt, asked);
        var isTold = (await Account(connection, transaction, jobs)).IsTold;
        await transaction.CommitAsync(cancellation);
        Polled(jobs[^1].LockedAt, asked);
        if (isTold) outbox.Wake();
        return jobs.Count;
    }

    private async Task<bool> AccountAlone(string lockSql, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (await connection.QueryFirstOrDefaultAsync<JobRow>(lockSql, new { Batch = 1 }, transaction) is not { } job) return false;
        await transaction.SaveAsync(OneJob, cancellation);
        try
        {
            await Account(connection, transaction, [job]);
        }
        catch (Exception error) when (DatabaseErrors.IsPermanent(error))
        {
            await transaction.RollbackAsync(OneJob, cancellation);
            await Break(connection, transaction, job, Text.Same(OutsideText.Clean(error.Message)), withGap: false);
        }
        await transaction.CommitAsync(cancellation);
        outbox.Wake();
        return true;
    }

    /// <summary>Accounts for jobs that the transaction has locked. One that does not read becomes broken, and the rest goes on.</summary>
    /// <returns>Whether the outbox was written, and the jobs that have more due times than one pass works out.</returns>
    private async Task<(bool IsTold, List<long> Due)> Account(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        List<JobRow> jobs,
        Accounting.GapReason? reason = null
    )
    {
        // Of jobs that may overlap thousands may wait, and nobody asks how many.
        var unfinished = (
            await connection.QueryAsync<ActiveRow>(
                ActiveSql,
                new { Jobs = jobs.Where(job => job.Overlap is "skip" or "queue").Select(job => job.Id).ToArray() },
                transaction
            )
        ).ToDictionary(row => row.Job, row => new Accounting.Active(row.Count, row.First));
        var (fires, moves, due, isTold) = (new List<(long Job, string Trigger, DateTime At)>(), new List<Move>(), new List<long>(), false);
        var isSelective = false;
        var steady = SteadySince;
        var set = await rules.Read(connection, transaction);
        var held = await HeldTimes(connection, transaction);
        foreach (var job in jobs)
        {
            var (skip, waits) = Risk(set, job);
            Accounting.Outcome outcome;
            try
            {
                outcome = Accounting.Account(
                    job.ToDue(steady, reason, skip, held),
                    unfinished.GetValueOrDefault(job.Id),
                    new DateTimeOffset(job.LockedAt, TimeSpan.Zero)
                );
            }
            catch (Exception error) when (error is JobIsBroken or ArgumentException or OverflowException or InvalidOperationException)
            {
                log.LogError(error, "Job {JobId} is broken", job.JobId);
                await Break(connection, transaction, job, (error as JobIsBroken)?.Why ?? Text.Same(OutsideText.Clean(error.Message)), withGap: true);
                isTold = true;
                continue;
            }
            if (outcome.StopOthers && !await IsInLedger(connection, transaction, job.Id, outcome.Entries)) await StopOthers(connection, transaction, job.Id);
            var gap = new Gap(job.GapLogId, job.GapNominalAt, job.GapReason);
            foreach (var entry in outcome.Entries)
            {
                if (entry.Reason is null)
                {
                    fires.Add((job.Id, entry.Trigger, entry.From.UtcDateTime));
                    isSelective |= job.NodeSelector.Length > 0;
                    gap = default;
                }
                else
                {
                    (gap, var told) = await WriteGap(connection, transaction, job, gap, entry);
                    isTold |= told;
                }
            }
            if (outcome.NextRunAt <= new DateTimeOffset(job.LockedAt, TimeSpan.Zero)) due.Add(job.Id);
            if (waits is not null && outcome.Entries.Count > 0)
                await connection.ExecuteAsync(HoldSql, new { job.Id, waits.SecondCause.Zh, waits.SecondCause.En, Risks = waits.Stored }, transaction);
            moves.Add(new Move(job.Id, outcome.AccountedTo.UtcDateTime, outcome.NextRunAt?.UtcDateTime, gap));
        }
        if (fires.Count > 0)
        {
            await connection.ExecuteAsync(InsertFiresSql, new
            {
                Jobs = fires.Select(fire => fire.Job).ToArray(),
                Triggers = fires.Select(fire => fire.Trigger).ToArray(),
                Times = fires.Select(fire => fire.At).ToArray(),
            }, transaction);
            // Another node may be the one that fits.
            if (isSelective) await Control.Notify(connection, transaction, "");
        }
        await connection.ExecuteAsync(MoveSql, new
        {
            Jobs = moves.Select(move => move.Job).ToArray(),
            Accounted = moves.Select(move => move.AccountedTo).ToArray(),
            Nexts = moves.Select(move => move.Next).ToArray(),
            GapIds = moves.Select(move => move.Gap.LogId).ToArray(),
            GapTimes = moves.Select(move => move.Gap.At).ToArray(),
            GapReasons = moves.Select(move => move.Gap.Reason).ToArray(),
        }, transaction);
        return (isTold, due);
    }

    // After PostgreSQL's clock was put back a due time may have its row already, and nothing runs for it again: then nothing has to make room.
    private static Task<bool> IsInLedger(NpgsqlConnection connection, NpgsqlTransaction transaction, long job, List<Accounting.Entry> entries) =>
        connection.ExecuteScalarAsync<bool>(
            InLedgerSql,
            new { Job = job, At = entries.FindLast(entry => entry.Status == ExecutionStatus.Queued)!.From.UtcDateTime },
            transaction
        );

    // Read in the transaction: what this node knows of the hold may be a moment old, and what is due after the release must run.
    private async Task<Accounting.HeldTimes?> HeldTimes(NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        if (!hold.WasRestored || await connection.QuerySingleOrDefaultAsync<HeldRow>(HeldSql, transaction: transaction) is not { } row) return null;
        var from = row.BackupAt.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        return new Accounting.HeldTimes(
            row.ReleasedAt is { } at ? new DateTimeOffset(at, TimeSpan.Zero) : DateTimeOffset.MaxValue,
            new Text(
                $"系统由 {from} UTC 的备份恢复并暂停，解除之前的到期在此处不执行",
                $"The installation was restored from the backup of {from} UTC and held: nothing that was due before its release ran here"
            )
        );
    }

    // Why a high-risk rule keeps the job's command from running, and what holds the job where a second person may release it.
    private (Accounting.GapReason? Skip, JobRisk? Hold) Risk(RiskRuleSet set, JobRow job)
    {
        if (job.Paused) return (null, null);
        var risk = JobRisk.Of(set, job.Cmd, job.Interpreter, () => environments.TryOpen(job.Env)?.Values);
        if (risk.Block is { } block) return (new Accounting.GapReason($"{OfRule}{block.RuleId}", risk.BlockCause), null);
        return risk.NeedsSecond(job.Released) ? (new Accounting.GapReason($"{OfRule}{risk.Second!.RuleId}", risk.SecondCause), risk) : (null, null);
    }

    /// <summary>Sets a job apart, with the due time at which it was found in the ledger.</summary>
    private static async Task Break(NpgsqlConnection connection, NpgsqlTransaction transaction, JobRow job, Text why, bool withGap)
    {
        var gap = default(Gap);
        if (withGap && job.NextRunAt is { } at && at <= job.LockedAt)
        {
            var time = new DateTimeOffset(at, TimeSpan.Zero);
            (gap, _) = await WriteGap(
                connection,
                transaction,
                job,
                default,
                new Accounting.Entry(ExecutionStatus.Missed, "schedule", time, time, 1, BrokenGap.Key, why),
                tell: false
            );
        }
        await connection.ExecuteAsync(BreakSql, new { job.Id, why.Zh, why.En, GapId = gap.LogId, GapAt = gap.At, GapKey = gap.Reason }, transaction);
        await Outbox.Write(connection, transaction, JobEvents.Stream(job.Id), JobEvents.Broken, new JobEvents.Brokenness(job.Id, job.JobId, why.Zh, why.En));
    }

    private static async Task<(Gap Gap, bool IsTold)> WriteGap(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        JobRow job,
        Gap open,
        Accounting.Entry entry,
        bool tell = true
    )
    {
        // A stretch that has outlived the retention has lost its row with the month in which it began; what comes now begins another.
        if (
            open.LogId is { } logId
            && open.Reason == entry.Reason
            && await connection.QuerySingleOrDefaultAsync<Extended>(
                ExtendGapSql,
                new
                {
                    LogId = logId,
                    NominalAt = open.At,
                    Until = entry.Until.UtcDateTime,
                    entry.Times,
                },
                transaction
            )
                is { } extended
        )
        {
            CronMetrics.Over(entry.Status, entry.Times);
            return (open, tell && await Tell(connection, transaction, job, logId, open.At!.Value, entry, extended));
        }
        CronMetrics.Over(entry.Status, entry.Times);
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
        return (
            new Gap(made, from, entry.Reason),
            tell && made is { } written && await Tell(connection, transaction, job, written, from, entry, new Extended(entry.Times, false))
        );
    }

    // Published: every miss, unless the job was broken (reported already);
    // overlap skips at the third in a row, then once an hour, so that alert rules can repeat;
    // skips by a high-risk rule at the first, because they last until a person acts.
    private static async Task<bool> Tell(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        JobRow job,
        long logId,
        DateTime at,
        Accounting.Entry entry,
        Extended stretch
    )
    {
        var times = stretch.Times;
        var isMissed = entry.Status == ExecutionStatus.Missed && entry.Reason != BrokenGap.Key;
        var isSkipped = entry.Reason!.StartsWith(OfRule, StringComparison.Ordinal)
            ? times == entry.Times
            : entry.Reason.StartsWith("overlap", StringComparison.Ordinal)
                && times >= JobEvents.SkipsThatCount
                && (stretch.IsNewHour || times - entry.Times < JobEvents.SkipsThatCount);
        if (!isMissed && !isSkipped)
            return false;
        await Outbox.Write(
            connection,
            transaction,
            JobEvents.Stream(job.Id),
            isMissed ? JobEvents.Missed : JobEvents.Skipped,
            isMissed
                ? new JobEvents.Stretch(job.Id, job.JobId, logId, entry.From.UtcDateTime, entry.Until.UtcDateTime, entry.Times)
                : new JobEvents.Stretch(job.Id, job.JobId, logId, at, entry.Until.UtcDateTime, times)
        );
        return true;
    }

    /// <summary>Makes room for a fire under <c>overlap: replace</c>: what runs is asked to end, what is queued is taken from the queue.</summary>
    public async Task StopOthers(NpgsqlConnection connection, NpgsqlTransaction transaction, long job)
    {
        var cause = new Text("被新的一次执行取代（overlap=replace）", "Replaced by the next fire (overlap=replace)");
        await QueuedExecutions.DropOfJob(connection, transaction, job, cause);
        foreach (var holder in await connection.QueryAsync<string>(StopRunningSql, new { Job = job, cause.Zh, cause.En }, transaction))
            await Control.Notify(connection, transaction, holder);
    }

    /// <summary>A job whose row the caller's transaction holds.</summary>
    /// <param name="IsTold">Whether the outbox was written: the caller wakes it after its commit.</param>
    internal sealed record Locked(JobRow Job, DateTimeOffset AccountedTo, bool IsTold)
    {
        /// <summary>Whether it was paused before the account, which may have held it for a rule.</summary>
        public bool WasPaused { get; init; }
    }

    /// <summary>The job's newest row of the ledger when that is a stretch of skips or misses.</summary>
    private readonly record struct Gap(long? LogId, DateTime? At, string? Reason);

    /// <summary>A stretch with what has come to it.</summary>
    /// <param name="IsNewHour">It ends in another hour than before.</param>
    private sealed record Extended(int Times, bool IsNewHour);

    private sealed record Move(long Job, DateTime AccountedTo, DateTime? Next, Gap Gap);

    private sealed record HeldRow(DateTime BackupAt, DateTime? ReleasedAt);

    private sealed record ActiveRow(long Job, int Count, long First);
}
