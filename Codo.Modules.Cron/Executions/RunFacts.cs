using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>What the page of an execution asks beside the ledger: whose it is, and the environment that it was started with.</summary>
internal static class RunFacts
{
    internal sealed record Query(long LogId) : IRequest<Result>;

    /// <param name="IsDeleted">The job is; of a deleted job no environment is shown, here or elsewhere.</param>
    /// <param name="Environment">By name, with secrets masked; null when it does not read.</param>
    internal sealed record Result(Resource Job, bool IsDeleted, IReadOnlyDictionary<string, string>? Environment) : Answer(Messages.Fetched);

    internal sealed class Handler(NpgsqlDataSource source, JobEnvironment environments, Access access) : IRequestHandler<Query, Result>
    {
        private const string RowSql = """
            SELECT job, env FROM cron.cron_log WHERE log_id = @LogId
            """;

        // Their marks: what the owner made a secret later is one in the runs before, too.
        private const string EnvironmentsSql = """
            SELECT env FROM cron.job WHERE id = @Job AND env IS NOT NULL UNION SELECT env FROM cron.job_version WHERE job = @Job AND env IS NOT NULL
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var absent = Refusal.NotFound($"日志 {query.LogId} 不存在", $"There is no log {query.LogId}");
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var row = await connection.QuerySingleOrDefaultAsync<Row>(RowSql, query) ?? throw absent;
            var job = await JobAccess.OfRow(connection, row.Job);
            await access.Demand(Verbs.See, job, absent);
            if (!job.IsOne || row.Env is null) return new Result(job, !job.IsOne, JobVariables.None.Values);
            if (environments.TryOpen(row.Env) is not { } variables) return new Result(job, false, null);
            var all = await connection.QueryAsync<byte[]>(EnvironmentsSql, new { row.Job });
            var marked = all.SelectMany(one => environments.TryOpen(one)?.Marked ?? []).Union(variables.Marked);
            return new Result(job, false, environments.Masked(variables with { Marked = [.. marked] }));
        }

        // With properties, because Dapper gives no array to a constructor.
        private sealed record Row
        {
            public long Job { get; init; }
            public byte[]? Env { get; init; }
        }
    }
}
