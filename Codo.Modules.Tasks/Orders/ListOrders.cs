using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Orders that have not ended, newest start first.</summary>
internal static class ListOrders
{
    internal sealed record Query(int? Page, int? Limit) : IRequest<Result>, IPaged;

    internal sealed record Result(IReadOnlyList<OrderRow> Data, long Count) : Answer(Say.Fetched)
    {
        /// <summary>The first order's, or empty text: the console opens it.</summary>
        public object ListId => Data.Count > 0 ? Data[0].ListId : "";
    }

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Query, Result>
    {
        private const string PageSql = $"""
            SELECT {OrderRow.Columns}
            FROM tasks.scheduler_task_list o WHERE o.schedule <> 'OK' AND {OrderAccess.Visible}
            ORDER BY o.start_time DESC, o.list_id DESC LIMIT @Limit OFFSET @Offset
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM tasks.scheduler_task_list o WHERE o.schedule <> 'OK' AND {OrderAccess.Visible}
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var viewer = new Viewer(caller);
            var asked = new { viewer.UserId, viewer.IsSuperuser, viewer.Names, Limit = query.Limit ?? 100, Offset = query.Offset(100) };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var data = (await connection.QueryAsync<OrderRow>(PageSql, asked)).AsList();
            // A page that is not full is the last: its rows are all that there are.
            var count = data.Count > 0 && data.Count < asked.Limit ? asked.Offset + data.Count : await connection.ExecuteScalarAsync<long>(CountSql, asked);
            return new Result(data, count);
        }
    }
}

/// <summary>An order's columns, as lists answer them.</summary>
/// <param name="TempId">Text, as the original has it.</param>
/// <param name="Status">Text, as the original has it; <c>0</c> before the approval, so that the console shows 新建 and an approver finds the order.</param>
internal sealed record OrderRow(
    long ListId, string TaskName, string TaskType, string Hosts, string Args, string Details, string Description, string AssociatedUser, string Creator, long? CreatorId,
    string Executor, long? ExecutorId, string Status, string Schedule, string TempId, DateTime CreateTime, DateTime StartTime, bool Hold, DateTime? EndedAt)
{
    public const string Columns = """
        o.list_id, o.task_name, o.task_type, o.hosts, o.args, o.details, o.description, o.associated_user, o.creator, o.creator_id,
        o.executor, o.executor_id, CASE WHEN o.schedule = 'new' THEN '0' ELSE CAST(o.status AS text) END AS status, o.schedule, CAST(o.temp_id AS text) AS temp_id, o.create_time, o.start_time, o.hold, o.ended_at
        """;
}
