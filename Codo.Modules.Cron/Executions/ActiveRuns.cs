using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>What is queued or runs, the longest first, read from the small table of active executions and not from the ledger.</summary>
internal static class ActiveRuns
{
    /// <param name="JobId">Of this job alone.</param>
    internal sealed record Query(int Limit, string? JobId = null) : IRequest<Result>;

    /// <param name="Count">Of all jobs how many there are; of one job how many are answered.</param>
    internal sealed record Result(IReadOnlyList<Row> Data, long Count) : Answer(Messages.Fetched);

    internal sealed record Row(long LogId, string JobId, string Status, DateTime ExecTime);

    private const string CountSql = $"""
        SELECT count(*) FROM cron.active_execution l WHERE {JobAccess.RowVisible}
        """;

    /// <summary>How many are under way.</summary>
    public static Task<long> Count(NpgsqlConnection connection, Access access) =>
        connection.QuerySingleAsync<long>(CountSql, JobAccess.Parameters(access));

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = $"""
            SELECT l.log_id, l.job_id, l.state AS status, r.exec_time FROM cron.active_execution l
                JOIN cron.cron_log r ON r.log_id = l.log_id AND r.nominal_at = l.nominal_at
            WHERE {JobAccess.RowVisible}
                AND (CAST(@JobId AS text) IS NULL OR l.job = (SELECT j.id FROM cron.job j WHERE j.job_id = @JobId))
            ORDER BY l.state DESC, r.exec_time, l.log_id LIMIT @Limit
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var asked = new DynamicParameters(JobAccess.Parameters(access));
            asked.Add("Limit", query.Limit);
            asked.Add("JobId", query.JobId);
            var rows = (await connection.QueryAsync<Row>(RowsSql, asked)).AsList();
            return new Result(rows, rows.Count < query.Limit || query.JobId is not null ? rows.Count : await Count(connection, access));
        }
    }
}
