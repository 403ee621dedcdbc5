using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class ListTemplates
{
    internal sealed record Query(string? Key, string? Value) : IRequest<Result>;

    internal sealed record Result(IAsyncEnumerable<Row> Data) : Answer(Say.Fetched);

    internal sealed record Row(long TempId, string TempName, string Creator);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.Key).OneOf("key", "temp_id", "temp_name", "creator");
    }

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = """
            SELECT temp_id, temp_name, creator FROM tasks.scheduler_temp_list
            WHERE temp_id > @After AND CASE CAST(@Key AS text) WHEN 'temp_id' THEN temp_id::text = @Value WHEN 'temp_name' THEN temp_name = @Value
                WHEN 'creator' THEN creator = @Value ELSE true END
            ORDER BY temp_id LIMIT @Limit
            """;

        public Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            // The console sends the key with an empty value when nothing is searched for.
            var key = string.IsNullOrEmpty(query.Value) ? null : query.Key;
            return Task.FromResult(
                new Result(
                    Chunks.All<Row>(row => row.TempId, (after, some, cancellation) => Read(key, query.Value, after, some, cancellation), cancellationToken)
                )
            );
        }

        private async Task<IReadOnlyList<Row>> Read(string? key, string? value, long after, int some, CancellationToken cancellation)
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            return (await connection.QueryAsync<Row>(RowsSql, new { Key = key, Value = value, After = after, Limit = some })).AsList();
        }
    }
}
