using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

internal static class ListJobs
{
    internal sealed record Query(int? Page, int? Limit, string? JobId) : IRequest<Result>, IPaged;

    internal sealed record Result(IAsyncEnumerable<JobView> Data, long Count) : Answer(Say.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, JobEnvironment environments) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 15;

        // A job holds up to 200 KiB of texts.
        private const int Some = 10;

        private const string PageSql = """
            SELECT id FROM cron.job WHERE CAST(@JobId AS text) IS NULL OR job_id = @JobId
            ORDER BY paused, next_run_at NULLS LAST, job_id LIMIT @Limit OFFSET @Offset;
            """;

        private const string RowsSql = """
            SELECT id, job_id, cmd, cron, time_zone, paused, timeout, overlap, misfire, misfire_window, retries, retry_delay, env, working_directory, description, tags, owners,
                creator_id, creator, create_time, updater_id, updater, update_time, next_run_at, broken_at, broken_zh, broken_en
            FROM cron.job WHERE id = ANY(@Ids)
            """;

        private const string CountSql = """
            SELECT count(*) FROM cron.job WHERE CAST(@JobId AS text) IS NULL OR job_id = @JobId
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var both = await connection.QueryMultipleAsync(PageSql + CountSql, new { request.JobId, Limit = request.Limit ?? DefaultLimit, Offset = request.Offset(DefaultLimit) });
            var ids = (await both.ReadAsync<long>()).AsList();
            var count = await both.ReadSingleAsync<long>();
            if (request.JobId is not null && count == 0) throw Refusal.NotFound($"job {request.JobId} Not Found!", $"job {request.JobId} Not Found!");
            return new Result(Chunks.Read(ids, (some, cancellation) => Read(some, request.JobId is null, cancellation), Some, cancellationToken), count);
        }

        private async Task<IEnumerable<(long, JobView)>> Read(long[] ids, bool inList, CancellationToken cancellation)
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            return (await connection.QueryAsync<JobView.Row>(RowsSql, new { Ids = ids })).Select(row => (row.Id, JobView.Of(row, environments, inList)));
        }
    }
}
