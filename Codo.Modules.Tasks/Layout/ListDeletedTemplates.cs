using System.Text.Json.Serialization;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>Templates that were deleted within the last 30 days and can be brought back, the last deleted first.</summary>
internal static class ListDeletedTemplates
{
    internal sealed record Query(int? Page, int? Limit) : IRequest<Result>, IPaged;

    internal sealed record Result(IReadOnlyList<Row> Data, long Count) : Answer(Messages.Fetched);

    /// <param name="Steps">How many it had.</param>
    /// <param name="Until">Until when it is kept.</param>
    /// <param name="Taken">Whether there is another template of this name by now.</param>
    internal sealed record Row(
        long TempId,
        string TempName,
        [property: JsonIgnore] long SpaceId,
        int Steps,
        int Version,
        DateTime DeletedAt,
        string By,
        DateTime Until,
        bool Taken
    )
    {
        public string Space { get; init; } = "";
    }

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 50;

        private const string Where = """
            WHERE d.deleted_at > clock_timestamp() - make_interval(days => @Days) AND (@SeesAll OR d.space_id = ANY(@Spaces)
                OR jsonb_path_exists(d.users, '$[*].user_id ? (@ == $id)', jsonb_build_object('id', CAST(@ViewerId AS bigint))))
            """;

        private const string RowsSql = $"""
            SELECT d.temp_id, d.temp_name, d.space_id, CASE WHEN jsonb_typeof(d.steps) = 'array' THEN jsonb_array_length(d.steps) ELSE 0 END AS steps,
                d.version, d.deleted_at, d.by_name AS by, d.deleted_at + make_interval(days => @Days) AS until,
                EXISTS (SELECT FROM tasks.scheduler_temp_list t WHERE t.temp_name = d.temp_name) AS taken
            FROM tasks.deleted_template d {Where} ORDER BY d.deleted_at DESC, d.temp_id DESC LIMIT @Limit OFFSET @Offset
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM tasks.deleted_template d {Where}
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var sight = access.Sees(ResourceKind.Template);
            var asked = new
            {
                SeesAll = sight.All,
                sight.Spaces,
                ViewerId = access.Caller.UserId,
                Days = RetentionGuard.DeletedDays,
                Limit = query.Limit ?? DefaultLimit,
                Offset = query.Offset(DefaultLimit),
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rows = (await connection.QueryAsync<Row>(RowsSql, asked)).Select(row => row with { Space = access.NameOf(row.SpaceId) });
            return new Result([.. rows], await connection.ExecuteScalarAsync<long>(CountSql, asked));
        }
    }
}
