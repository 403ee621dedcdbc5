using Codo.Platform.Http;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>The last rows of the ledger of each of some jobs that a page shows: twenty a job for its bars.</summary>
internal static class RecentRuns
{
    internal sealed record Query(string[] JobIds, int Most) : IRequest<Result>;

    internal sealed record Result(ILookup<string, Run> Data) : Answer(Messages.Fetched);

    internal sealed record Run(string JobId, long LogId, string Status, DateTime ExecTime, double? Seconds);

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        // What was killed in the queue has no attempt, and lasted for no time.
        private const string RunsSql = """
            SELECT j.job_id, r.log_id, r.status, r.exec_time,
                CASE WHEN r.status <> 'killed' OR (SELECT a.attempt FROM cron.attempt a WHERE a.log_id = r.log_id AND a.attempt = 1
                    AND a.nominal_at = r.nominal_at) IS NOT NULL THEN CAST(extract(epoch FROM r.ended_at - r.exec_time) AS double precision) END AS seconds
            FROM cron.job j CROSS JOIN LATERAL (SELECT l.log_id, l.nominal_at, l.status, l.exec_time, l.ended_at FROM cron.cron_log l
                WHERE l.job_id = j.job_id AND l.job = j.id ORDER BY l.exec_time DESC, l.log_id DESC LIMIT @Most) r
            WHERE j.job_id = ANY(@JobIds) ORDER BY r.exec_time DESC, r.log_id DESC
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await NewestRows.Plan(connection, transaction);
            return new Result((await connection.QueryAsync<Run>(RunsSql, query, transaction)).ToLookup(run => run.JobId));
        }
    }
}
