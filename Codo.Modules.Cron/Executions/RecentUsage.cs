using Codo.Platform.Http;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>What the last executions of a job, which a page shows, used: p50 and p95 of those of the last 30 days that were measured.</summary>
internal static class RecentUsage
{
    internal sealed record Query(string JobId, int Most) : IRequest<Result>;

    /// <param name="Runs">How many were measured.</param>
    internal sealed record Result(long Runs, double? CpuP50, double? CpuP95, long? MemoryP50, long? MemoryP95) : Answer(Messages.Fetched);

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        // All attempts of an execution together; the peak is the largest.
        private const string UsageSql = """
            SELECT count(u.cpu_ms) AS runs, percentile_disc(0.5) WITHIN GROUP (ORDER BY u.cpu_ms) / 1000 AS cpu_p50,
                percentile_disc(0.95) WITHIN GROUP (ORDER BY u.cpu_ms) / 1000 AS cpu_p95,
                percentile_disc(0.5) WITHIN GROUP (ORDER BY u.peak) AS memory_p50, percentile_disc(0.95) WITHIN GROUP (ORDER BY u.peak) AS memory_p95
            FROM (SELECT l.log_id, l.nominal_at FROM cron.job j CROSS JOIN LATERAL (SELECT l.log_id, l.nominal_at FROM cron.cron_log l
                    WHERE l.job_id = j.job_id AND l.job = j.id AND l.exec_time > (SELECT clock_timestamp() - interval '30 days')
                        ORDER BY l.exec_time DESC, l.log_id DESC LIMIT @Most) l
                WHERE j.job_id = @JobId) r
            CROSS JOIN LATERAL (SELECT CAST(sum(a.cpu_ms) AS double precision) AS cpu_ms, max(a.peak_memory_bytes) AS peak FROM cron.attempt a
                WHERE a.log_id = r.log_id AND a.nominal_at = r.nominal_at AND a.usage_source IS NOT NULL) u
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await NewestRows.Plan(connection, transaction);
            return await connection.QuerySingleAsync<Result>(UsageSql, query, transaction);
        }
    }
}
