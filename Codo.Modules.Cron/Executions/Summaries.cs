using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// Adds up what has ended (<c>cron.summary_delta</c>) by day and job, and counts the ledger's rows by hour. One node at a time does it; a crash leaves the
/// deltas where they are. Keeps also how long each job usually takes.
/// </summary>
internal sealed class Summaries(NpgsqlDataSource source, Zone zone, Node node, TimeProvider time)
{
    private const long Lock = 0x0C0D0_0180;
    private const int Batch = 5_000, UsualBatch = 500;

    /// <summary>How many rows are not added up yet.</summary>
    public const string WaitingSql = """
        SELECT count(*) FROM cron.summary_delta
        """;

    private const string LockSql = """
        SELECT pg_try_advisory_xact_lock(@Lock)
        """;

    // The rows of one batch, grouped by day and job and by day alone. A run that was never begun has neither duration nor lateness.
    private const string Sums = """
        SELECT ended.day, CASE WHEN GROUPING(ended.job) = 1 THEN 0 ELSE ended.job END AS job,
            CASE WHEN GROUPING(ended.job) = 1 THEN '' ELSE max(ended.job_id) END AS job_id,
            coalesce(sum(times) FILTER (WHERE status = 'success'), 0) AS success, coalesce(sum(times) FILTER (WHERE status = 'faild'), 0) AS faild,
            coalesce(sum(times) FILTER (WHERE status = 'timeout'), 0) AS timeout, coalesce(sum(times) FILTER (WHERE status = 'killed'), 0) AS killed,
            coalesce(sum(times) FILTER (WHERE status = 'interrupted'), 0) AS interrupted, coalesce(sum(times) FILTER (WHERE status = 'skipped'), 0) AS skipped,
            coalesce(sum(times) FILTER (WHERE status = 'missed'), 0) AS missed, coalesce(sum(extract(epoch FROM took)), 0) AS seconds,
            cron.histogram(cron.bucket(took)) AS durations, cron.histogram(cron.bucket(late)) AS lateness
        FROM ended GROUP BY GROUPING SETS ((ended.day, ended.job), (ended.day))
        """;

    // What is killed while it waits has no attempt. A scalar subquery is asked for those rows alone; EXISTS could be hashed, which reads all attempts.
    private const string IsRun = """
        d.status IN ('success', 'faild', 'timeout', 'killed', 'interrupted') AND isfinite(d.exec_time) AND isfinite(d.ended_at) AND isfinite(d.nominal_at)
            AND (d.status <> 'killed' OR (SELECT a.attempt FROM cron.attempt a WHERE a.log_id = d.log_id AND a.attempt = 1 AND a.nominal_at = d.nominal_at)
                IS NOT NULL)
        """;

    private const string EndedOf = $"""
        d.job, d.job_id, d.status, d.times, CAST(d.exec_time AT TIME ZONE @Zone AS date) AS day,
            CASE WHEN {IsRun} THEN d.ended_at - d.exec_time END AS took, CASE WHEN {IsRun} AND d.kind = 'schedule' THEN d.exec_time - d.nominal_at END AS late
        """;

    private const string Add = """
        INSERT INTO cron.job_day AS t (day, job, job_id, success, faild, timeout, killed, interrupted, skipped, missed, seconds, durations, lateness)
        SELECT day, job, job_id, success, faild, timeout, killed, interrupted, skipped, missed, seconds, durations, lateness FROM sums
        ON CONFLICT (job, day) DO UPDATE SET success = t.success + EXCLUDED.success, faild = t.faild + EXCLUDED.faild, timeout = t.timeout + EXCLUDED.timeout,
            killed = t.killed + EXCLUDED.killed, interrupted = t.interrupted + EXCLUDED.interrupted, skipped = t.skipped + EXCLUDED.skipped,
            missed = t.missed + EXCLUDED.missed, seconds = t.seconds + EXCLUDED.seconds, durations = cron.add_counts(t.durations, EXCLUDED.durations),
            lateness = cron.add_counts(t.lateness, EXCLUDED.lateness)
        """;

    // A row that was taken out of the ledger again (ScheduleCheck) counts with its times below zero, and is no job's last.
    private const string KeepLast = $"""
        INSERT INTO cron.job_last AS t (job, log_id, exec_time, status, seconds)
            SELECT DISTINCT ON (d.job) d.job, d.log_id, d.exec_time, d.status,
                CASE WHEN {IsRun} THEN round(CAST(extract(epoch FROM d.ended_at - d.exec_time) AS numeric), 3) END
            FROM taken d WHERE d.job <> 0 AND NOT EXISTS (SELECT FROM taken r WHERE r.log_id = d.log_id AND r.times < 0)
            ORDER BY d.job, d.exec_time DESC, d.log_id DESC
            ON CONFLICT (job) DO UPDATE SET log_id = EXCLUDED.log_id, exec_time = EXCLUDED.exec_time, status = EXCLUDED.status, seconds = EXCLUDED.seconds
            WHERE (t.exec_time, t.log_id) <= (EXCLUDED.exec_time, EXCLUDED.log_id)
        """;

    private const string FoldSql = $"""
        WITH taken AS (
            DELETE FROM cron.summary_delta WHERE delta_id IN (SELECT delta_id FROM cron.summary_delta ORDER BY delta_id LIMIT @Batch)
            RETURNING job, job_id, log_id, nominal_at, exec_time, ended_at, status, kind, times),
        ended AS (SELECT {EndedOf} FROM taken d),
        sums AS ({Sums}),
        added AS ({Add}),
        last AS ({KeepLast})
        SELECT count(*) FROM taken
        """;

    private const string NextDaySql = """
        SELECT from_time, until_time, ended_before FROM cron.summary_rebuild LIMIT 1 FOR UPDATE
        """;

    // Rows that were begun before the migration and have ended since have their delta.
    private const string RebuildSql = $"""
        WITH taken AS MATERIALIZED (
            SELECT l.job, l.job_id, l.log_id, l.nominal_at, l.exec_time, l.ended_at, l.status, l.kind, l.times FROM cron.cron_log l
            WHERE l.exec_time >= @Start AND l.exec_time < @End AND l.status NOT IN ('queued', 'running') AND coalesce(l.ended_at, l.exec_time) < @EndedBefore),
        ended AS (SELECT {EndedOf} FROM taken d),
        sums AS ({Sums}),
        added AS ({Add})
        {KeepLast}
        """;

    private const string RebuiltSql = """
        UPDATE cron.summary_rebuild SET until_time = @Start
        """;

    private const string AllRebuiltSql = """
        DELETE FROM cron.summary_rebuild WHERE until_time <= from_time
        """;

    // Jobs of which a run has ended since; each at most once an hour. A clock that was set back does not keep them for longer.
    private const string UsualSql = """
        SELECT l.job, l.log_id, (SELECT cron.merge_counts(d.durations) FROM cron.job_day d
            WHERE d.job = l.job AND d.day > (SELECT max(day) - 7 FROM cron.job_day WHERE job = l.job)) AS durations
        FROM cron.job_last l WHERE l.usual_at IS NULL
            OR (l.usual_of <> l.log_id AND l.usual_at NOT BETWEEN statement_timestamp() - interval '1 hour' AND statement_timestamp())
        LIMIT @Batch
        """;

    private const string KeepUsualSql = """
        UPDATE cron.job_last l SET usual_p50 = coalesce(u.p50, l.usual_p50), usual_p95 = coalesce(u.p95, l.usual_p95), usual_at = statement_timestamp(),
            usual_of = u.log_id
        FROM unnest(CAST(@Jobs AS bigint[]), CAST(@LogIds AS bigint[]), CAST(@P50 AS float8[]), CAST(@P95 AS float8[])) AS u(job, log_id, p50, p95)
        WHERE l.job = u.job
        """;

    // Hours that have been over for some minutes; those of the last days again, since the row of a stretch that goes on leaves its hour.
    private const string CountHoursSql = """
        WITH span AS (
            SELECT coalesce((SELECT CASE WHEN @Again THEN GREATEST(min(hour), max(hour) - interval '2 days') ELSE max(hour) + interval '1 hour' END
                    FROM cron.ledger_hour WHERE hour BETWEEN clock_timestamp() - interval '4000 days' AND clock_timestamp()), date_trunc('hour',
                    (SELECT min(exec_time) FROM cron.cron_log WHERE exec_time > clock_timestamp() - interval '4000 days'))) AS first,
                date_trunc('hour', clock_timestamp() - interval '5 minutes') AS before)
        INSERT INTO cron.ledger_hour AS t (hour, rows)
        SELECT h.hour, coalesce(c.rows, 0) FROM span
            CROSS JOIN LATERAL generate_series(span.first, span.before - interval '1 hour', interval '1 hour') AS h(hour)
            LEFT JOIN (SELECT date_trunc('hour', l.exec_time) AS hour, count(*) AS rows FROM cron.cron_log l, span
                WHERE l.exec_time >= span.first AND l.exec_time < span.before GROUP BY 1) c ON c.hour = h.hour
        ON CONFLICT (hour) DO UPDATE SET rows = EXCLUDED.rows WHERE t.rows <> EXCLUDED.rows
        """;

    private const string IsZoneSql = """
        SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = @Id)
        """;

    // A rebuild takes turns with what ends meanwhile, and so do the usual durations after an upgrade.
    private static readonly TimeSpan MostRebuilding = TimeSpan.FromSeconds(2);

    private DateTime countedAgain;
    private bool isUsualKept;
    private string? zoneName, zoneOf;

    /// <summary>Adds up what has ended since the last time, and goes on with a rebuild; answers whether there is more to do.</summary>
    public async Task<bool> Round(CancellationToken cancellation)
    {
        if (!node.HoldsLease) return false;
        var folded = 0L;
        while (await Fold(cancellation) is { } count)
        {
            folded += count;
            if (count < Batch) break;
        }
        await CountHours(cancellation);
        var began = time.GetTimestamp();
        var more = await RebuildDay(cancellation);
        while (more && time.GetElapsedTime(began) < MostRebuilding) more = await RebuildDay(cancellation);
        if (more || (folded == 0 && isUsualKept)) return more || folded > 0;
        do isUsualKept = await KeepUsual(cancellation) < UsualBatch;
        while (!isUsualKept && time.GetElapsedTime(began) < MostRebuilding);
        return !isUsualKept || folded > 0;
    }

    /// <summary>Adds up one batch; null when another node does.</summary>
    private async Task<long?> Fold(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (!await connection.ExecuteScalarAsync<bool>(LockSql, new { Lock }, transaction)) return null;
        var count = await connection.ExecuteScalarAsync<long>(FoldSql, new { Batch, Zone = await ZoneName(connection, transaction) }, transaction);
        await transaction.CommitAsync(cancellation);
        return count;
    }

    private async Task<bool> RebuildDay(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (!await connection.ExecuteScalarAsync<bool>(LockSql, new { Lock }, transaction)) return false;
        if (await connection.QuerySingleOrDefaultAsync<Rebuild>(NextDaySql, transaction: transaction) is not { } rebuild) return false;
        var last = TimeZoneInfo.ConvertTime(new DateTimeOffset(rebuild.UntilTime.AddTicks(-10), TimeSpan.Zero), zone.Info);
        var start = Times.Resolve(last.Date, zone.Info).UtcDateTime;
        var asked = new
        {
            Start = start,
            End = rebuild.UntilTime,
            rebuild.EndedBefore,
            Zone = await ZoneName(connection, transaction),
        };
        await connection.ExecuteAsync(new CommandDefinition(RebuildSql, asked, transaction, commandTimeout: 300, cancellationToken: cancellation));
        await connection.ExecuteAsync(RebuiltSql, new { Start = start }, transaction);
        var done = await connection.ExecuteAsync(AllRebuiltSql, transaction: transaction) > 0;
        await transaction.CommitAsync(cancellation);
        isUsualKept = false;
        return !done;
    }

    /// <summary>Keeps the usual durations of so many jobs.</summary>
    private async Task<int> KeepUsual(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (!await connection.ExecuteScalarAsync<bool>(LockSql, new { Lock }, transaction)) return 0;
        var jobs = (await connection.QueryAsync<Usual>(UsualSql, new { Batch = UsualBatch }, transaction)).AsList();
        var kept = new
        {
            Jobs = jobs.Select(one => one.Job).ToArray(),
            LogIds = jobs.Select(one => one.LogId).ToArray(),
            P50 = jobs.Select(one => Histogram.Percentile(one.Durations, 0.5)).ToArray(),
            P95 = jobs.Select(one => Histogram.Percentile(one.Durations, 0.95)).ToArray(),
        };
        if (jobs.Count > 0) await connection.ExecuteAsync(KeepUsualSql, kept, transaction);
        await transaction.CommitAsync(cancellation);
        return jobs.Count;
    }

    private async Task CountHours(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (!await connection.ExecuteScalarAsync<bool>(LockSql, new { Lock }, transaction)) return;
        var now = await connection.ExecuteScalarAsync<DateTime>("SELECT statement_timestamp()", transaction: transaction);
        var again = now - countedAgain > TimeSpan.FromHours(1);
        await connection.ExecuteAsync(
            new CommandDefinition(CountHoursSql, new { Again = again }, transaction, commandTimeout: 300, cancellationToken: cancellation)
        );
        await transaction.CommitAsync(cancellation);
        if (again) countedAgain = now;
    }

    /// <summary>Codo's zone as PostgreSQL calls it; its present offset where PostgreSQL's zone data does not have it.</summary>
    private async Task<string> ZoneName(NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        if (zoneName is null || zoneOf != zone.Info.Id)
        {
            var isKnown =
                FixedZone.Parse(zone.Info.Id) is null && await connection.ExecuteScalarAsync<bool>(IsZoneSql, new { zone.Info.Id }, transaction: transaction);
            var offset = zone.Info.GetUtcOffset(time.GetUtcNow());
            // POSIX counts offsets westwards.
            var posix = $"<codo>{(offset < TimeSpan.Zero ? "+" : "-")}{offset:hh\\:mm}";
            (zoneName, zoneOf) = (isKnown ? zone.Info.Id : posix, zone.Info.Id);
        }
        return zoneName;
    }

    // With properties, because Dapper gives no array to a constructor.
    private sealed record Usual
    {
        public long Job { get; init; }
        public long LogId { get; init; }
        public int[] Durations { get; init; } = [];
    }

    private sealed record Rebuild(DateTime FromTime, DateTime UntilTime, DateTime EndedBefore);
}
