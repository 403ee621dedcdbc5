using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class ListArguments
{
    internal sealed record Query(string? SearchValue, int? Page, int? Limit) : IRequest<Result>, IPaged;

    internal sealed record Result(IReadOnlyList<Row> Data, long Count) : Answer(Say.Fetched);

    internal sealed record Row(long ArgsId, string ArgsName, string ArgsSelf, string Creator, DateTime UpdateTime);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = """
            SELECT args_id, args_name, args_self, creator, update_time FROM tasks.scheduler_args_list
            WHERE CAST(@Pattern AS text) IS NULL OR args_name ILIKE @Pattern ESCAPE '\' OR args_self ILIKE @Pattern ESCAPE '\' OR creator ILIKE @Pattern ESCAPE '\'
            ORDER BY args_id LIMIT CAST(@Limit AS bigint) OFFSET CAST(@Offset AS bigint)
            """;

        private const string CountSql = """
            SELECT count(*) FROM tasks.scheduler_args_list
            WHERE CAST(@Pattern AS text) IS NULL OR args_name ILIKE @Pattern ESCAPE '\' OR args_self ILIKE @Pattern ESCAPE '\' OR creator ILIKE @Pattern ESCAPE '\'
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var (limit, offset) = query.Slice();
            var parameters = new { Pattern = LibraryRules.Pattern(query.SearchValue), Limit = limit, Offset = offset };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rows = (await connection.QueryAsync<Row>(RowsSql, parameters)).AsList();
            return new Result(rows, limit is null ? rows.Count : await connection.ExecuteScalarAsync<long>(CountSql, parameters));
        }
    }
}
