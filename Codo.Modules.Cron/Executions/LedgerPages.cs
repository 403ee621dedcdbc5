using Codo.Platform.Data;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>What rows of the ledger are asked for; null asks for nothing.</summary>
internal sealed record LedgerFilter(DateTime From, DateTime Until)
{
    /// <summary>What the caller may see: <see cref="JobAccess"/>.</summary>
    public bool SeesAll { get; init; }
    public long[] Spaces { get; init; } = [];
    public string[] Objects { get; init; } = [];

    public string? JobId { get; init; }
    public string[]? Statuses { get; init; }
    public string? TaskCmd { get; init; }
    public long? LogId { get; init; }

    /// <summary>The jobs with a tag or an owner: <see cref="JobIds"/> are their names, in the same order.</summary>
    public long[]? Jobs { get; init; }
    public string[]? JobIds { get; init; }

    public bool IsTimeAlone => this is { SeesAll: true, JobId: null, Statuses: null, TaskCmd: null, LogId: null, Jobs: null };
}

/// <summary>A row's place in the ledger's order.</summary>
internal sealed record LedgerKey(DateTime ExecTime, long LogId);

/// <summary>
/// Finds the keys of a page of the ledger: each filter along an index of its own, several statuses merged from the index of one. The rows are read by their
/// keys afterwards, so that those before a page are passed over in the index alone.
/// </summary>
internal static class LedgerPages
{
    /// <summary>
    /// Of the newest rows so many are looked through for the jobs of a tag or an owner; jobs that are seldom among them are looked up one by one.
    /// </summary>
    private const int NewestRows = 20_000;

    /// <summary>Of twice as many jobs or more, so many are counted first: where all have far more rows than are counted, that is the estimate.</summary>
    private const int SampledJobs = 64;

    /// <summary>A page further away than this is found by the rows that were counted hour by hour.</summary>
    private const int FarAway = 5_000;

    private const string Newest = "l.exec_time DESC, l.log_id DESC";

    private const string Times = """
        l.exec_time >= @From AND l.exec_time < @Until
            AND (CAST(@BeforeTime AS timestamptz) IS NULL OR (l.exec_time, l.log_id) < (@BeforeTime, CAST(@BeforeId AS bigint)))
        """;

    private const string Conditions = $"""
        {Times} AND {JobAccess.RowVisible} AND (CAST(@JobId AS text) IS NULL OR l.job_id = @JobId) AND (CAST(@LogId AS bigint) IS NULL OR l.log_id = @LogId)
            AND (CAST(@TaskCmd AS text) IS NULL OR (hashtextextended(l.task_cmd, 0) = hashtextextended(@TaskCmd, 0) AND l.task_cmd = @TaskCmd))
        """;

    /// <summary>For a WHERE with the row as <c>l</c>: every condition of the filter.</summary>
    public const string Where = $"""
        {Conditions} AND (CAST(@Statuses AS text[]) IS NULL OR l.status = ANY(@Statuses)) AND (CAST(@Jobs AS bigint[]) IS NULL OR l.job = ANY(@Jobs))
        """;

    private const string PageSql = $"""
        SELECT r.exec_time, r.log_id FROM (SELECT l.exec_time, l.log_id, l.job FROM cron.cron_log l
            WHERE {Conditions} AND (CAST(@Status AS text) IS NULL OR l.status = @Status) ORDER BY {Newest} LIMIT CAST(@Newest AS bigint)) r
        WHERE CAST(@Jobs AS bigint[]) IS NULL OR r.job = ANY(@Jobs) ORDER BY r.exec_time DESC, r.log_id DESC LIMIT @Limit OFFSET @Offset
        """;

    private const string Branch = $"SELECT l.exec_time, l.log_id, l.job FROM cron.cron_log l WHERE {Conditions} AND l.status = ";

    // The branches of statuses that are not asked for are planned away. An index gives the order within one status alone; the branches are merged.
    private const string SeveralSql = $"""
        SELECT r.exec_time, r.log_id FROM (SELECT b.exec_time, b.log_id, b.job FROM (
            ({Branch} 'queued' AND 'queued' = ANY(CAST(@Statuses AS text[])) ORDER BY {Newest})
            UNION ALL ({Branch} 'running' AND 'running' = ANY(@Statuses) ORDER BY {Newest})
            UNION ALL ({Branch} 'success' AND 'success' = ANY(@Statuses) ORDER BY {Newest})
            UNION ALL ({Branch} 'faild' AND 'faild' = ANY(@Statuses) ORDER BY {Newest})
            UNION ALL ({Branch} 'timeout' AND 'timeout' = ANY(@Statuses) ORDER BY {Newest})
            UNION ALL ({Branch} 'killed' AND 'killed' = ANY(@Statuses) ORDER BY {Newest})
            UNION ALL ({Branch} 'interrupted' AND 'interrupted' = ANY(@Statuses) ORDER BY {Newest})
            UNION ALL ({Branch} 'skipped' AND 'skipped' = ANY(@Statuses) ORDER BY {Newest})
            UNION ALL ({Branch} 'missed' AND 'missed' = ANY(@Statuses) ORDER BY {Newest})) b
            ORDER BY b.exec_time DESC, b.log_id DESC LIMIT CAST(@Newest AS bigint)) r
        WHERE CAST(@Jobs AS bigint[]) IS NULL OR r.job = ANY(@Jobs) ORDER BY r.exec_time DESC, r.log_id DESC LIMIT @Limit OFFSET @Offset
        """;

    private const string JobByJobSql = $"""
        SELECT k.exec_time, k.log_id FROM unnest(CAST(@Jobs AS bigint[]), CAST(@JobIds AS text[])) AS j(id, job_id)
            CROSS JOIN LATERAL (SELECT l.exec_time, l.log_id FROM cron.cron_log l WHERE l.job_id = j.job_id AND l.job = j.id AND {Conditions}
                ORDER BY {Newest} LIMIT @Upto) k
        ORDER BY k.exec_time DESC, k.log_id DESC LIMIT @Limit OFFSET @Offset
        """;

    private const string JobByJobOfStatusesSql = $"""
        SELECT k.exec_time, k.log_id FROM unnest(CAST(@Jobs AS bigint[]), CAST(@JobIds AS text[])) AS j(id, job_id)
            CROSS JOIN unnest(CAST(@Statuses AS text[])) AS s(status)
            CROSS JOIN LATERAL (SELECT l.exec_time, l.log_id FROM cron.cron_log l WHERE l.job_id = j.job_id AND l.status = s.status AND l.job = j.id
                AND {Conditions} ORDER BY {Newest} LIMIT @Upto) k
        ORDER BY k.exec_time DESC, k.log_id DESC LIMIT @Limit OFFSET @Offset
        """;

    private const string RowsSql = $"""
        SELECT FROM cron.cron_log l WHERE {Where}
        """;

    private const string CountOfJobsSql = $"""
        SELECT count(*) AS rows, count(DISTINCT id) AS jobs FROM (
            SELECT j.id FROM unnest(CAST(@Jobs AS bigint[]), CAST(@JobIds AS text[])) AS j(id, job_id)
            CROSS JOIN LATERAL (SELECT FROM cron.cron_log l WHERE l.job_id = j.job_id AND l.job = j.id AND {Conditions}
                AND (CAST(@Statuses AS text[]) IS NULL OR l.status = ANY(@Statuses))) k LIMIT 10001) counted
        """;

    // Rows that stand before the first hour that is counted, then the hour in which the page begins; past the end the oldest hour, with more rows to pass over
    // than it has.
    private const string FarSql = """
        WITH newest AS (
            SELECT LEAST(max(hour) + interval '1 hour', date_trunc('hour', CAST(@Until AS timestamptz))) AS hour FROM cron.ledger_hour),
        live AS (SELECT count(*) AS rows FROM cron.cron_log l WHERE l.exec_time >= (SELECT hour FROM newest) AND l.exec_time < @Until),
        counted AS (
            SELECT h.hour, (SELECT rows FROM live) + sum(h.rows) OVER (ORDER BY h.hour DESC) AS upto, h.rows FROM cron.ledger_hour h
            WHERE h.hour < (SELECT hour FROM newest) AND h.hour >= date_trunc('hour', CAST(@From AS timestamptz)))
        SELECT hour + interval '1 hour' AS until, CAST(@Offset - (upto - rows) AS bigint) AS "offset" FROM counted
        WHERE (SELECT rows FROM live) <= @Offset ORDER BY upto > @Offset DESC, CASE WHEN upto > @Offset THEN hour END DESC, hour LIMIT 1
        """;

    private const string JobsSql = """
        SELECT id, job_id FROM cron.job WHERE (CAST(@Tag AS text) IS NULL OR tags @> ARRAY[@Tag])
            AND (CAST(@Owner AS text) IS NULL OR owners @> ARRAY[@Owner] OR (owners = '{}' AND creator = @Owner))
        """;

    /// <summary>The filter with the jobs that have a tag and an owner, as far as they are asked for.</summary>
    public static async Task<LedgerFilter> OfJobs(
        NpgsqlConnection connection,
        LedgerFilter filter,
        string? tag,
        string? owner,
        CancellationToken cancellation
    )
    {
        if (tag is null && owner is null) return filter;
        await using var transaction = await ListReading.Begin(connection, cancellation, withBitmaps: true);
        var jobs = (await connection.QueryAsync<(long Id, string JobId)>(JobsSql, new { Tag = tag, Owner = owner }, transaction)).AsList();
        await transaction.CommitAsync(cancellation);
        return filter with { Jobs = [.. jobs.Select(job => job.Id)], JobIds = [.. jobs.Select(job => job.JobId)] };
    }

    /// <summary>The keys of a page, newest first.</summary>
    /// <param name="before">The row before the page; null where that is not known, then so many rows are passed over.</param>
    public static async Task<List<LedgerKey>> Page(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        LedgerFilter filter,
        LedgerKey? before,
        long offset,
        int limit
    )
    {
        if (filter.Statuses is [] || filter.Jobs is []) return [];
        if (before is null && offset > FarAway && filter.IsTimeAlone)
        {
            var far = await connection.QuerySingleOrDefaultAsync<Far>(FarSql, new { filter.From, filter.Until, Offset = offset }, transaction);
            if (far is not null) (filter, offset) = (filter with { Until = far.Until < filter.Until ? far.Until : filter.Until }, far.Offset);
        }
        var asked = Asked(filter);
        asked.AddDynamicParams(new { BeforeTime = before?.ExecTime, BeforeId = before?.LogId, Limit = limit, Offset = before is null ? offset : 0 });
        var upto = limit + (before is null ? offset : 0);
        asked.AddDynamicParams(new { Newest = filter.Jobs is null || upto > NewestRows ? (long?)null : NewestRows, Upto = upto });
        var sql = filter.Statuses is { Length: > 1 } ? SeveralSql : PageSql;
        var found = (await connection.QueryAsync<LedgerKey>(sql, asked, transaction)).AsList();
        if (filter.Jobs is null || found.Count == limit || upto > NewestRows) return found;
        return (await connection.QueryAsync<LedgerKey>(filter.Statuses is null ? JobByJobSql : JobByJobOfStatusesSql, asked, transaction)).AsList();
    }

    /// <summary>How many rows the filter has.</summary>
    public static async Task<ListCount> Count(NpgsqlConnection connection, NpgsqlTransaction transaction, LedgerFilter filter)
    {
        if (filter.Statuses is [] || filter.Jobs is []) return default;
        var asked = Asked(filter);
        asked.AddDynamicParams(new { BeforeTime = (DateTime?)null, BeforeId = (long?)null });
        if (filter.Jobs is null) return await ListReading.Count(connection, transaction, RowsSql, asked);
        if (filter.Jobs.Length > 2 * SampledJobs)
        {
            var sample = Asked(Sample(filter));
            sample.AddDynamicParams(new { BeforeTime = (DateTime?)null, BeforeId = (long?)null });
            var some = await connection.QuerySingleAsync<Counted>(CountOfJobsSql, sample, transaction);
            var all = some.Rows * filter.Jobs.Length / (some.Rows > ListReading.MostCounted ? Math.Max(1, some.Jobs) : SampledJobs);
            if (all > 2 * ListReading.MostCounted) return new ListCount(all, true);
        }
        var counted = await connection.QuerySingleAsync<Counted>(CountOfJobsSql, asked, transaction);
        // As many rows for each of the jobs as those have that were counted.
        return counted.Rows <= ListReading.MostCounted
            ? new ListCount(counted.Rows, false)
            : new ListCount(counted.Rows * filter.Jobs.Length / Math.Max(1, counted.Jobs), true);
    }

    // Jobs from all over the list: those that were made together are alike.
    private static LedgerFilter Sample(LedgerFilter filter)
    {
        var places = Enumerable.Range(0, SampledJobs).Select(place => (int)((long)place * filter.Jobs!.Length / SampledJobs)).ToArray();
        return filter with { Jobs = [.. places.Select(place => filter.Jobs![place])], JobIds = [.. places.Select(place => filter.JobIds![place])] };
    }

    /// <summary>The parameters of <see cref="Where"/>.</summary>
    public static DynamicParameters Asked(LedgerFilter filter)
    {
        var asked = new DynamicParameters(filter);
        asked.Add("Status", filter.Statuses is [var one] ? one : null);
        return asked;
    }

    private sealed record Far(DateTime Until, long Offset);

    private sealed record Counted(long Rows, long Jobs);
}
