using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>The last 24 hours by the hour: how many rows of the ledger came out how.</summary>
internal static class LastDay
{
    internal sealed record Query : IRequest<Result>;

    internal sealed record Result(IReadOnlyList<Hour> Data) : Answer(Say.Fetched);

    /// <param name="At">The hour's beginning.</param>
    internal sealed record Hour(DateTime At, long Succeeded, long Wrong, long NotRun);

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const string HoursSql = $"""
            SELECT h.at, COALESCE(c.succeeded, 0) AS succeeded, COALESCE(c.wrong, 0) AS wrong, COALESCE(c.not_run, 0) AS not_run
            FROM generate_series(date_trunc('hour', clock_timestamp()) - interval '23 hours', date_trunc('hour', clock_timestamp()), interval '1 hour') AS h(at)
            LEFT JOIN (SELECT date_trunc('hour', exec_time) AS at, count(*) FILTER (WHERE status = 'success') AS succeeded,
                    count(*) FILTER (WHERE status IN ('faild', 'timeout', 'killed', 'interrupted')) AS wrong,
                    count(*) FILTER (WHERE status IN ('skipped', 'missed')) AS not_run
                FROM cron.cron_log l
                WHERE exec_time >= date_trunc('hour', clock_timestamp()) - interval '23 hours' AND {JobAccess.RowVisible} GROUP BY 1) c ON c.at = h.at
            ORDER BY h.at
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            return new Result((await connection.QueryAsync<Hour>(HoursSql, JobAccess.Parameters(access))).AsList());
        }
    }
}
