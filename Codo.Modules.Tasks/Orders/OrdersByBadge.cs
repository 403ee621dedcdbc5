using System.Text.Json;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// Orders that have not ended by what they wait for, the most pressing first and of those the newest start: the console's list. It looks at every open order,
/// so that one that failed is on the first page however many have been made since.
/// </summary>
internal static class OrdersByBadge
{
    /// <param name="Face">The key of the <see cref="OrderBadge"/> that is asked for; null for all.</param>
    /// <param name="Page">From 1.</param>
    internal sealed record Query(string? Face, int Page, int Limit) : IRequest<Result>;

    /// <param name="Counts">Of all open orders that the caller may see, by the key of their face.</param>
    internal sealed record Result(IReadOnlyList<Row> Data, IReadOnlyDictionary<string, long> Counts) : Answer(Messages.Fetched);

    /// <param name="Since">Since when it has this face.</param>
    internal sealed record Row(long ListId, string TaskName, string TaskType, string Creator, string Executor, string Face, DateTime Since);

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        // All of them are looked at once, for the counts as for the page. There is always a first row, for the counts where the page has none.
        private const string PageSql = $"""
            WITH faced AS MATERIALIZED (
                SELECT o.list_id, o.start_time, {OrderBadge.KeyOf} AS face
                FROM tasks.scheduler_task_list o WHERE o.schedule <> 'OK' AND {OrderAccess.Visible}
            ), counted AS (
                SELECT CAST(jsonb_object_agg(c.face, c.orders) AS text) AS counts FROM (SELECT face, count(*) AS orders FROM faced GROUP BY face) c
            ), shown AS MATERIALIZED (
                SELECT list_id, face, array_position(CAST(@Faces AS text[]), face) AS rank FROM faced
                WHERE CAST(@Face AS text) IS NULL OR face = @Face ORDER BY rank, start_time DESC, list_id DESC LIMIT @Limit OFFSET @Offset)
            SELECT k.counts, p.* FROM counted k LEFT JOIN (
                SELECT o.list_id, o.task_name, o.task_type, o.creator, o.executor, o.start_time, s.rank, s.face, {OrderBadge.Since} AS since
                FROM shown s JOIN tasks.scheduler_task_list o ON o.list_id = s.list_id) p ON true
            ORDER BY p.rank, p.start_time DESC, p.list_id DESC
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var viewer = Viewer.Of(access);
            var asked = new
            {
                viewer.UserId,
                viewer.IsSuperuser,
                viewer.Names,
                viewer.Spaces,
                viewer.Templates,
                viewer.Teams,
                query.Face,
                Faces = OrderBadge.Open.Select(face => face.Key).ToArray(),
                query.Limit,
                Offset = (query.Page - 1L) * query.Limit,
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await ListReading.Begin(connection, cancellationToken);
            var rows = (await connection.QueryAsync<Counted>(PageSql, asked, transaction)).AsList();
            await transaction.CommitAsync(cancellationToken);
            var counts = rows[0].Counts is { } text ? JsonSerializer.Deserialize<Dictionary<string, long>>(text)! : [];
            return new Result([.. rows.Where(row => row.Face is not null).Select(row => row.Shown())], counts);
        }

        private sealed record Counted
        {
            public string? Counts { get; init; }
            public long ListId { get; init; }
            public string TaskName { get; init; } = "";
            public string TaskType { get; init; } = "";
            public string Creator { get; init; } = "";
            public string Executor { get; init; } = "";
            public string? Face { get; init; }
            public DateTime Since { get; init; }

            public Row Shown() => new(ListId, TaskName, TaskType, Creator, Executor, Face!, Since);
        }
    }
}
