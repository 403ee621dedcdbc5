using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>The versions of a job, newest first: who made each of them, when, and in which fields it differs from the one before.</summary>
internal static class ListJobVersions
{
    internal sealed record Query(string? JobId, int? Page, int? Limit) : IRequest<Result>, IPaged;

    /// <param name="Version">The stored one.</param>
    internal sealed record Result(IReadOnlyList<Row> Data, long Count, int Version) : Answer(Messages.Fetched);

    /// <param name="RestoredFrom">The version whose content came back as this one; null for an edit.</param>
    /// <param name="Changed">Fields that differ from the version before; none of the first, and where that is no longer kept.</param>
    internal sealed record Row(int Version, DateTime At, long ById, string By, int? RestoredFrom, IReadOnlyList<string> Changed);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.JobId).Must(id => !string.IsNullOrWhiteSpace(id)).Refuse("job id 不能为空", "job_id is missing");
            RuleFor(query => query.Page).Within(1, int.MaxValue, "page");
            RuleFor(query => query.Limit).Within(1, MostLimit, "limit");
        }
    }

    // Each row is compared with the one before, and a version holds up to 200 KiB.
    private const int MostLimit = 200;

    internal sealed class Handler(NpgsqlDataSource source, JobEnvironment environments, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 20;

        private const string RowsSql = """
            SELECT version, at, by_id, by_name, restored_from, content::text AS content, env FROM cron.job_version WHERE job = @Job
            ORDER BY version DESC LIMIT @Limit OFFSET @Offset
            """;

        private const string CountSql = """
            SELECT count(*) FROM cron.job_version WHERE job = @Job
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var limit = request.Limit ?? DefaultLimit;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var job = await JobVersions.HeadOf(connection, access, Verbs.See, request.JobId!);
            var asked = new { Job = job.Id, Limit = limit + 1, Offset = request.Offset(DefaultLimit) };
            var rows = (await connection.QueryAsync<JobVersion>(RowsSql, asked)).AsList();
            var marked = await JobVersions.Marked(connection, null, job.Id, job.Env, environments);
            var contents = rows.ConvertAll(row => JobContent.Of(row, marked, environments, access));
            var data = rows.Take(limit)
                .Select((row, place) => new Row(row.Version, row.At, row.ById, row.ByName, row.RestoredFrom, Changed(contents, place)))
                .ToList();
            return new Result(data, await connection.ExecuteScalarAsync<long>(CountSql, asked), job.Version);
        }

        private static List<string> Changed(List<JobContent> contents, int place) =>
            place + 1 < contents.Count ? contents[place].Since(contents[place + 1]).ConvertAll(one => one.Field) : [];
    }
}
