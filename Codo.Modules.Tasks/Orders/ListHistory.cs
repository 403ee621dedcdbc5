using Codo.Platform.Data;
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

    /// <param name="CountIsEstimate">There are more than 10,000 orders, and no more were counted.</param>
    internal sealed record Result(IAsyncEnumerable<OrderRow> Data, long Count, bool CountIsEstimate) : Answer(Messages.Fetched)
    {
        public bool History => true;
    }

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, PagePositions positions, Access access) : IRequestHandler<Query, Result>
    {
        /// <summary>
        /// Of the newest orders so many are looked through for a text; one that is seldom among them is looked up in the indexes of all columns.
        /// </summary>
        private const int NewestOrders = 2000;

        private const int LongestIndexed = 200;

        private const string Matches = """
            o.schedule = 'OK' AND (CAST(@Pattern AS text) IS NULL
                OR CAST(o.list_id AS text) LIKE @Pattern OR o.task_type LIKE @Pattern OR CAST(o.temp_id AS text) LIKE @Pattern OR o.creator LIKE @Pattern
                OR o.executor LIKE @Pattern OR CAST(o.status AS text) LIKE @Pattern OR o.task_name LIKE @Pattern)
            """;

        private const string PageSql = $"""
            SELECT o.list_id FROM (SELECT * FROM tasks.scheduler_task_list n WHERE n.schedule = 'OK'
                AND (CAST(@Before AS bigint) IS NULL OR n.list_id < @Before) ORDER BY n.list_id DESC LIMIT CAST(@Newest AS bigint)) o
            WHERE {Matches} AND {OrderAccess.Visible}
            ORDER BY o.list_id DESC LIMIT @Limit OFFSET @Offset
            """;

        private const string Column = "SELECT list_id FROM tasks.scheduler_task_list WHERE schedule = 'OK' AND";

        // Indexes hold the beginnings of texts.
        private const string Found = $"""
            ({Column} CAST(list_id AS text) LIKE @Pattern LIMIT @Most)
            UNION ({Column} CAST(temp_id AS text) LIKE @Pattern LIMIT @Most)
            UNION ({Column} CAST(status AS text) LIKE @Pattern LIMIT @Most)
            UNION ({Column} left(task_type, 200) LIKE @Start LIMIT @Most)
            UNION ({Column} left(creator, 200) LIKE @Start LIMIT @Most)
            UNION ({Column} left(executor, 200) LIKE @Start LIMIT @Most)
            UNION ({Column} left(task_name, 200) LIKE @Start LIMIT @Most)
            """;

        // Row by row: a planner that expects many would rather read all orders in their order.
        private const string ByKey = "CROSS JOIN LATERAL (SELECT * FROM tasks.scheduler_task_list p WHERE p.list_id = f.list_id OFFSET 0) o";

        private const string FoundPageSql = $"""
            SELECT o.list_id FROM ({Found}) f {ByKey}
            WHERE {Matches} AND {OrderAccess.Visible} AND (CAST(@Before AS bigint) IS NULL OR o.list_id < @Before)
            ORDER BY o.list_id DESC LIMIT @Limit OFFSET @Offset
            """;

        private const string FoundCountSql = $"""
            SELECT count(*) FROM (SELECT FROM ({Found}) f {ByKey}
                WHERE {Matches} AND {OrderAccess.Visible} LIMIT 10001) counted
            """;

        // For whoever sees every order, and a text that the indexes hold whole, the keys are enough.
        private const string FoundKeysSql = $"""
            SELECT count(*) FROM (SELECT FROM ({Found}) f LIMIT 10001) counted
            """;

        private const string RowsSql = $"""
            SELECT FROM tasks.scheduler_task_list o WHERE {Matches} AND {OrderAccess.Visible}
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM ({RowsSql} LIMIT 10001) counted
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var viewer = Viewer.Of(access);
            var searched = string.IsNullOrWhiteSpace(query.SearchVal) ? null : query.SearchVal.Trim();
            var place = new PagePositions.PageKey(access.Caller.UserId, "history " + searched, query.Limit ?? 500, query.Page ?? 1);
            var before = positions.Before<Last>(place)?.ListId;
            var offset = before is null ? query.Offset(500) : 0;
            var asked = new
            {
                viewer.UserId,
                viewer.IsSuperuser,
                viewer.Names,
                viewer.Spaces,
                viewer.Templates,
                viewer.Teams,
                Pattern = searched is null ? null : Paging.PrefixPattern(searched),
                Start = searched is null ? null : Paging.PrefixPattern(OutsideText.Head(searched, LongestIndexed)),
                place.Limit,
                Offset = offset,
                Before = before,
                Newest = searched is null ? (long?)null : NewestOrders,
                Most = searched is { Length: > 0 } ? 100_000 : 0,
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await ListReading.Begin(connection, cancellationToken);
            var ids = (await connection.QueryAsync<long>(PageSql, asked, transaction)).AsList();
            if (searched is not null && ids.Count < place.Limit) ids = (await connection.QueryAsync<long>(FoundPageSql, asked, transaction)).AsList();
            if (ids.Count == place.Limit) positions.Remember(place, new Last(ids[^1]));
            var shown = query.Offset(500) + ids.Count;
            var count =
                ids.Count > 0 && ids.Count < place.Limit && shown <= ListReading.MostCounted
                    ? new ListCount(shown, false)
                    : await ListReading.Count(connection, transaction, CountOf(searched, viewer.IsSuperuser), RowsSql, asked);
            await transaction.CommitAsync(cancellationToken);
            return new Result(OrderRow.Read(source, ids, cancellationToken), count.Rows, count.IsEstimate);
        }

        private static string CountOf(string? searched, bool seesAll) =>
            searched is null ? CountSql
            : seesAll && searched.Length <= LongestIndexed ? FoundKeysSql
            : FoundCountSql;

        private sealed record Last(long ListId);
    }
}
