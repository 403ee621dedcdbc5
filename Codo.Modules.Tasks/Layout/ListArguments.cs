using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class ListArguments
{
    internal sealed record Query(string? SearchValue, int? Page, int? Limit) : IRequest<Result>, IPaged;

    internal sealed record Result(IAsyncEnumerable<Row> Data, long Count) : Answer(Messages.Fetched);

    internal sealed record Row(long ArgsId, string ArgsName, string ArgsSelf, string Creator, DateTime UpdateTime);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.PagedOrAll();
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = """
            SELECT args_id, args_name, args_self, creator, update_time FROM tasks.scheduler_args_list
            WHERE args_id > @After AND (CAST(@Pattern AS text) IS NULL OR args_name ILIKE @Pattern ESCAPE '\' OR args_self ILIKE @Pattern ESCAPE '\'
                OR creator ILIKE @Pattern ESCAPE '\')
            ORDER BY args_id LIMIT @Limit OFFSET @Offset
            """;

        private const string CountSql = """
            SELECT count(*) FROM tasks.scheduler_args_list
            WHERE CAST(@Pattern AS text) IS NULL OR args_name ILIKE @Pattern ESCAPE '\' OR args_self ILIKE @Pattern ESCAPE '\'
                OR creator ILIKE @Pattern ESCAPE '\'
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            if (!await access.May(Verbs.See, Resource.Any(ResourceKind.Library, Resource.DefaultSpace)))
                return new Result(AsyncEnumerable.Empty<Row>(), 0);
            var (limit, offset) = query.Slice();
            var pattern = LibraryRules.Pattern(query.SearchValue);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var count = await connection.ExecuteScalarAsync<long>(CountSql, new { Pattern = pattern });
            var data = limit is { } most
                ? (await connection.QueryAsync<Row>(RowsSql, new { Pattern = pattern, After = 0L, Limit = most, Offset = offset })).ToAsyncEnumerable()
                : Chunks.All<Row>(row => row.ArgsId, (after, some, cancellation) => Read(pattern, after, some, cancellation), cancellationToken);
            return new Result(data, count);
        }

        private async Task<IReadOnlyList<Row>> Read(string? pattern, long after, int some, CancellationToken cancellation)
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            return (await connection.QueryAsync<Row>(RowsSql, new { Pattern = pattern, After = after, Limit = (long)some, Offset = 0L })).AsList();
        }
    }
}
