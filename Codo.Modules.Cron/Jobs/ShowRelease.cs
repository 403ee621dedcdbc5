using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>
/// What a paused job's page says before somebody lets it run again: also a job that a person paused may have a command that a rule of today holds.
/// </summary>
internal static class ShowRelease
{
    internal sealed record Query(string JobId) : IRequest<Result>;

    /// <param name="Cause">The rule that asks for a second person; empty where letting it run releases nothing.</param>
    internal sealed record Result(Text Cause) : Answer(Messages.Fetched);

    internal sealed class Handler(NpgsqlDataSource source, RiskRules rules, JobEnvironment environments, Access access) : IRequestHandler<Query, Result>
    {
        private const string PausedSql = """
            SELECT cmd, interpreter, released, env FROM cron.job WHERE job_id = @JobId AND paused
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await JobAccess.Demand(connection, access, Verbs.See, query.JobId);
            if (await connection.QuerySingleOrDefaultAsync<Row>(PausedSql, new { query.JobId }) is not { } job) return new Result(Text.Same(""));
            var risk = JobRisk.Of(await rules.Read(connection), job.Cmd, job.Interpreter, () => environments.TryOpen(job.Env)?.Values);
            return new Result(risk.NeedsSecond(job.Released) ? risk.SecondCause : Text.Same(""));
        }

        private sealed record Row(string Cmd, string Interpreter, string Released, byte[]? Env);
    }
}
