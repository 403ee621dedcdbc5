using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>How many orders of each type there are: the original's statement page.</summary>
internal static class CountOrders
{
    internal sealed record Query : IRequest<Result>;

    internal sealed record Row(string TaskType, long TaskLen);

    internal sealed record Result(IReadOnlyList<Row> Data, long Count) : Answer(Messages.Fetched);

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const string CountSql = $"""
            SELECT o.task_type, count(*) AS task_len FROM tasks.scheduler_task_list o
            WHERE o.space_id = ANY(@Seen) OR {OrderAccess.Visible}
            GROUP BY task_type ORDER BY task_len DESC, task_type
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            // Whoever sees a space's templates knows their names: the counts of that space are the original's.
            var viewer = Viewer.Of(access);
            var asked = new
            {
                viewer.UserId,
                viewer.IsSuperuser,
                viewer.Names,
                viewer.Spaces,
                viewer.Templates,
                viewer.Teams,
                Seen = access.Sees(ResourceKind.Template).Spaces,
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var reading = await ListReading.Begin(connection, cancellationToken);
            var rows = (await connection.QueryAsync<Row>(CountSql, asked, reading)).AsList();
            return new Result(rows, rows.Sum(row => row.TaskLen));
        }
    }
}
