using System.Text.Json.Serialization;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>Jobs that were deleted within the last 30 days and can be brought back, the last deleted first.</summary>
internal static class ListDeletedJobs
{
    internal sealed record Query(int? Page, int? Limit) : IRequest<Result>, IPaged;

    internal sealed record Result(IReadOnlyList<Row> Data, long Count) : Answer(Messages.Fetched);

    /// <param name="DeletedId">What brings it back.</param>
    /// <param name="Until">Until when it is kept.</param>
    /// <param name="Taken">Whether there is another job of this <c>job_id</c> by now.</param>
    internal sealed record Row(
        long DeletedId,
        string JobId,
        string Cmd,
        string Cron,
        string Space,
        int Version,
        DateTime DeletedAt,
        string By,
        DateTime Until,
        bool Taken,
        [property: JsonIgnore] long SpaceId
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 50;

        private const string Where = """
            WHERE d.job_id IS NOT NULL AND d.deleted_at > clock_timestamp() - make_interval(days => @Days) AND (@SeesAll OR d.space_id = ANY(@Spaces))
            """;

        private const string RowsSql = $"""
            SELECT d.job, d.job_id, COALESCE(v.content ->> 'cmd', '') AS cmd, COALESCE(v.content ->> 'cron', '') AS cron, d.space_id, d.version, d.deleted_at,
                d.by_name, d.deleted_at + make_interval(days => @Days) AS until, EXISTS (SELECT FROM cron.job j WHERE j.job_id = d.job_id) AS taken
            FROM cron.deleted_job d LEFT JOIN cron.job_version v ON v.job = d.job AND v.version = d.version {Where}
            ORDER BY d.deleted_at DESC, d.job DESC LIMIT @Limit OFFSET @Offset
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM cron.deleted_job d {Where}
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var sight = access.Sees(ResourceKind.Job);
            var asked = new
            {
                SeesAll = sight.All,
                sight.Spaces,
                Days = RetentionGuard.DeletedDays,
                Limit = request.Limit ?? DefaultLimit,
                Offset = request.Offset(DefaultLimit),
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rows = (await connection.QueryAsync<Deleted>(RowsSql, asked)).Select(row => new Row(
                row.Job,
                row.JobId,
                Excerpt.Of(row.Cmd),
                row.Cron,
                access.NameOf(row.SpaceId),
                row.Version,
                row.DeletedAt,
                row.ByName ?? "",
                row.Until,
                row.Taken,
                row.SpaceId
            ));
            return new Result([.. rows], await connection.ExecuteScalarAsync<long>(CountSql, asked));
        }

        private sealed class Deleted
        {
            public long Job { get; init; }
            public string JobId { get; init; } = "";
            public string Cmd { get; init; } = "";
            public string Cron { get; init; } = "";
            public long SpaceId { get; init; }
            public int Version { get; init; }
            public DateTime DeletedAt { get; init; }
            public string? ByName { get; init; }
            public DateTime Until { get; init; }
            public bool Taken { get; init; }
        }
    }
}
