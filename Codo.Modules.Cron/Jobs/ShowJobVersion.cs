using System.Text.Json.Nodes;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>One version of a job, whole, and in which fields it differs from another one.</summary>
internal static class ShowJobVersion
{
    /// <param name="Version">Absent, the stored one.</param>
    /// <param name="With">The version that it is compared with; absent, the one before.</param>
    internal sealed record Query(string? JobId, int? Version, int? With) : IRequest<Result>;

    /// <param name="With">The version that it was compared with; null for the first, which nothing goes before.</param>
    /// <param name="Content">Every field as the job had it, secret values masked as in the job's own answer.</param>
    internal sealed record Result(
        int Version,
        int? With,
        DateTime At,
        long ById,
        string By,
        int? RestoredFrom,
        JsonObject Content,
        IReadOnlyList<FieldDifference> Differences
    ) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.JobId).Must(id => !string.IsNullOrWhiteSpace(id)).Refuse("job id 不能为空", "job_id is missing");
            RuleFor(query => query.Version).Within(1, int.MaxValue, "version");
            RuleFor(query => query.With).Within(1, int.MaxValue, "with");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, JobEnvironment environments, Access access) : IRequestHandler<Query, Result>
    {
        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var job = await JobVersions.HeadOf(connection, access, Verbs.See, request.JobId!);
            var version = await JobVersions.One(connection, job.Id, request.Version ?? job.Version);
            var with = request.With is { } named
                ? await JobVersions.One(connection, job.Id, named)
                : (await JobVersions.Some(connection, null, job.Id, version.Version - 1)).FirstOrDefault();
            var marked = await JobVersions.Marked(connection, null, job.Id, job.Env, environments);
            var content = JobContent.Of(version, marked, environments, access);
            return new Result(
                version.Version,
                with?.Version,
                version.At,
                version.ById,
                version.ByName,
                version.RestoredFrom,
                content.Shown,
                with is null ? [] : content.Since(JobContent.Of(with, marked, environments, access))
            );
        }
    }
}
