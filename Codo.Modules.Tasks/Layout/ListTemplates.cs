using System.Text.Json.Serialization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class ListTemplates
{
    internal sealed record Query(string? Key, string? Value, string? Space) : IRequest<Result>;

    internal sealed record Result(IAsyncEnumerable<Row> Data) : Answer(Messages.Fetched);

    internal sealed record Row(long TempId, string TempName, string Creator, [property: JsonIgnore] long SpaceId)
    {
        public string Space { get; init; } = "";
    }

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.Key).OneOf("key", "temp_id", "temp_name", "creator");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = $"""
            SELECT t.temp_id, t.temp_name, t.creator, t.space_id FROM tasks.scheduler_temp_list t
            WHERE {TemplateRight.Visible} AND (CAST(@SpaceId AS bigint) IS NULL OR t.space_id = @SpaceId)
                AND temp_id > @After AND CASE CAST(@Key AS text) WHEN 'temp_id' THEN temp_id::text = @Value
                WHEN 'temp_name' THEN temp_name = @Value
                WHEN 'creator' THEN creator = @Value ELSE true END
            ORDER BY temp_id LIMIT @Limit
            """;

        public Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            // The console sends the key with an empty value when nothing is searched for.
            var space = query.Space is null ? (long?)null : access.SpaceOf(query.Space);
            var key = string.IsNullOrEmpty(query.Value) ? null : query.Key;
            return Task.FromResult(
                new Result(
                    Chunks.All<Row>(
                        row => row.TempId,
                        (after, some, cancellation) => Read(key, query.Value, space, after, some, cancellation),
                        cancellationToken
                    )
                )
            );
        }

        private async Task<IReadOnlyList<Row>> Read(string? key, string? value, long? space, long after, int some, CancellationToken cancellation)
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            var asked = new DynamicParameters(TemplateRight.Parameters(access));
            asked.AddDynamicParams(
                new
                {
                    Key = key,
                    Value = value,
                    SpaceId = space,
                    After = after,
                    Limit = some,
                }
            );
            return [.. (await connection.QueryAsync<Row>(RowsSql, asked)).Select(row => row with { Space = access.NameOf(row.SpaceId) })];
        }
    }
}
