using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

internal static class ListJobs
{
    internal sealed record Query(int? Page, int? Limit, string? JobId) : IRequest<Result>, IPaged;

    internal sealed record Result(List<JobView> Data, long Count) : Answer(Say.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, JobEnvironment environments) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 15;

        private const string ListSql = """
            SELECT job_id, cmd, cron, time_zone, paused, timeout, overlap, misfire, misfire_window, retries, retry_delay, env, working_directory, interpreter, encoding, description, tags, owners,
                creator_id, creator, create_time, updater_id, updater, update_time, next_run_at, broken_at, broken_zh, broken_en
            FROM cron.job WHERE CAST(@JobId AS text) IS NULL OR job_id = @JobId
            ORDER BY paused, next_run_at NULLS LAST, job_id LIMIT @Limit OFFSET @Offset;
            """;

        private const string CountSql = """
            SELECT count(*) FROM cron.job WHERE CAST(@JobId AS text) IS NULL OR job_id = @JobId
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var both = await connection.QueryMultipleAsync(ListSql + CountSql, new { request.JobId, Limit = request.Limit ?? DefaultLimit, Offset = request.Offset(DefaultLimit) });
            var jobs = (await both.ReadAsync<JobView.Row>()).Select(row => JobView.Of(row, environments)).ToList();
            var count = await both.ReadSingleAsync<long>();
            if (request.JobId is not null && count == 0) throw Refusal.NotFound($"job {request.JobId} Not Found!", $"job {request.JobId} Not Found!");
            return new Result(jobs, count);
        }
    }
}
