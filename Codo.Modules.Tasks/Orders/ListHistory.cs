using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Ended orders, newest first.</summary>
internal static class ListHistory
{
    internal sealed record Query(string? SearchVal, int? Page, int? Limit) : IRequest<Result>, IPaged;

    internal sealed record Result(IAsyncEnumerable<OrderRow> Data, long Count) : Answer(Say.Fetched)
    {
        public bool History => true;
    }

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const string Matches = """
            o.schedule = 'OK' AND (CAST(@Pattern AS text) IS NULL
                OR CAST(o.list_id AS text) LIKE @Pattern ESCAPE '\' OR o.task_type LIKE @Pattern ESCAPE '\' OR CAST(o.temp_id AS text) LIKE @Pattern ESCAPE '\'
                OR o.creator LIKE @Pattern ESCAPE '\' OR o.executor LIKE @Pattern ESCAPE '\' OR CAST(o.status AS text) LIKE @Pattern ESCAPE '\'
                    OR o.task_name LIKE @Pattern ESCAPE '\')
            """;

        private const string PageSql = $"""
            SELECT o.list_id FROM tasks.scheduler_task_list o WHERE {Matches} AND {OrderAccess.Visible}
            ORDER BY o.list_id DESC LIMIT @Limit OFFSET @Offset
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM tasks.scheduler_task_list o WHERE {Matches} AND {OrderAccess.Visible}
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var viewer = Viewer.Of(access);
            var pattern = string.IsNullOrWhiteSpace(query.SearchVal) ? null : Paging.PrefixPattern(query.SearchVal.Trim());
            var asked = new
            {
                viewer.UserId,
                viewer.IsSuperuser,
                viewer.Names,
                viewer.Spaces,
                viewer.Templates,
                Pattern = pattern,
                Limit = query.Limit ?? 500,
                Offset = query.Offset(500),
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var ids = (await connection.QueryAsync<long>(PageSql, asked)).AsList();
            var count = ids.Count > 0 && ids.Count < asked.Limit ? asked.Offset + ids.Count : await connection.ExecuteScalarAsync<long>(CountSql, asked);
            return new Result(OrderRow.Read(source, ids, cancellationToken), count);
        }
    }
}
