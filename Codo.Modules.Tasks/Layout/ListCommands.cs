using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class ListCommands
{
    internal sealed record Query(string? SearchValue, int? Page, int? Limit) : IRequest<Result>, IPaged;

    internal sealed record Result(IReadOnlyList<Row> Data, long Count) : Answer(Say.Fetched);

    internal sealed record Row(long CommandId, string CommandName, string Command, string Args, string ForceHost, string Creator, DateTime CreateTime, DateTime UpdateTime);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = """
            SELECT command_id, command_name, command, args, force_host, creator, create_time, update_time FROM tasks.scheduler_cmd_list
            WHERE CAST(@Pattern AS text) IS NULL OR command_name ILIKE @Pattern ESCAPE '\' OR command ILIKE @Pattern ESCAPE '\' OR args ILIKE @Pattern ESCAPE '\'
               OR force_host ILIKE @Pattern ESCAPE '\' OR creator ILIKE @Pattern ESCAPE '\'
            ORDER BY command_id LIMIT CAST(@Limit AS bigint) OFFSET CAST(@Offset AS bigint)
            """;

        private const string CountSql = """
            SELECT count(*) FROM tasks.scheduler_cmd_list
            WHERE CAST(@Pattern AS text) IS NULL OR command_name ILIKE @Pattern ESCAPE '\' OR command ILIKE @Pattern ESCAPE '\' OR args ILIKE @Pattern ESCAPE '\'
               OR force_host ILIKE @Pattern ESCAPE '\' OR creator ILIKE @Pattern ESCAPE '\'
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var (limit, offset) = query.Slice();
            var parameters = new { Pattern = LibraryRules.Pattern(query.SearchValue), Limit = limit, Offset = offset };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rows = (await connection.QueryAsync<Row>(RowsSql, parameters)).AsList();
            // All of them were read: they are the count.
            return new Result(rows, limit is null ? rows.Count : await connection.ExecuteScalarAsync<long>(CountSql, parameters));
        }
    }
}
