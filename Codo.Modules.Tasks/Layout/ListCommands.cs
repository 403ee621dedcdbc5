using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class ListCommands
{
    internal sealed record Query(string? SearchValue, int? Page, int? Limit) : IRequest<Result>, IPaged;

    internal sealed record Result(IAsyncEnumerable<Row> Data, long Count) : Answer(Messages.Fetched);

    internal sealed record Row(
        long CommandId,
        string CommandName,
        string Command,
        string Args,
        string ForceHost,
        string Creator,
        DateTime CreateTime,
        DateTime UpdateTime
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.PagedOrAll();
    }

    private const string NewestSql = """
        SELECT command_id, command_name, command, args, force_host, creator, create_time, update_time FROM tasks.scheduler_cmd_list
        ORDER BY command_id DESC LIMIT @Most
        """;

    private const string AllSql = """
        SELECT count(*) FROM tasks.scheduler_cmd_list
        """;

    /// <summary>The newest commands, the last first, and how many there are in all; none for whoever may not see the library.</summary>
    internal static async Task<(List<Row> Newest, long Count)> Newest(NpgsqlConnection connection, Access access, int most)
    {
        if (!await MaySee(access)) return ([], 0);
        var newest = (await connection.QueryAsync<Row>(NewestSql, new { Most = most })).AsList();
        return (newest, await connection.ExecuteScalarAsync<long>(AllSql));
    }

    private static ValueTask<bool> MaySee(Access access) => access.May(Verbs.See, Resource.Any(ResourceKind.Library, Resource.DefaultSpace));

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = """
            SELECT command_id, command_name, command, args, force_host, creator, create_time, update_time FROM tasks.scheduler_cmd_list
            WHERE command_id > @After AND (CAST(@Pattern AS text) IS NULL OR command_name ILIKE @Pattern ESCAPE '\' OR command ILIKE @Pattern ESCAPE '\'
                OR args ILIKE @Pattern ESCAPE '\'
               OR force_host ILIKE @Pattern ESCAPE '\' OR creator ILIKE @Pattern ESCAPE '\')
            ORDER BY command_id LIMIT @Limit OFFSET @Offset
            """;

        private const string CountSql = """
            SELECT count(*) FROM tasks.scheduler_cmd_list
            WHERE CAST(@Pattern AS text) IS NULL OR command_name ILIKE @Pattern ESCAPE '\' OR command ILIKE @Pattern ESCAPE '\'
                OR args ILIKE @Pattern ESCAPE '\'
               OR force_host ILIKE @Pattern ESCAPE '\' OR creator ILIKE @Pattern ESCAPE '\'
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            if (!await MaySee(access))
                return new Result(AsyncEnumerable.Empty<Row>(), 0);
            var (limit, offset) = query.Slice();
            var pattern = LibraryRules.Pattern(query.SearchValue);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var count = await connection.ExecuteScalarAsync<long>(CountSql, new { Pattern = pattern });
            var data = limit is { } most
                ? (await connection.QueryAsync<Row>(RowsSql, new { Pattern = pattern, After = 0L, Limit = most, Offset = offset })).ToAsyncEnumerable()
                : Chunks.All<Row>(row => row.CommandId, (after, some, cancellation) => Read(pattern, after, some, cancellation), cancellationToken);
            return new Result(data, count);
        }

        private async Task<IReadOnlyList<Row>> Read(string? pattern, long after, int some, CancellationToken cancellation)
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            return (await connection.QueryAsync<Row>(RowsSql, new { Pattern = pattern, After = after, Limit = (long)some, Offset = 0L })).AsList();
        }
    }
}
