using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Ends an order for good: what runs is killed, what has not run never will.</summary>
internal static class EndOrder
{
    internal sealed record Command(long? ListId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.ListId).NotNull().Refuse("订单ID不能为空", "list_id is required");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access, OrphanedProcesses orphans, AdvanceOrder advance) : IRequestHandler<Command, Answer>
    {
        // First of all: from here on no step is claimed, because a claim asks for a lane that is still its owner's.
        private const string EndSql = """
            UPDATE tasks.scheduler_task_list SET schedule = 'OK', ended_at = clock_timestamp() WHERE list_id = @ListId AND schedule = ANY(@From)
            """;

        private const string LanesSql = """
            UPDATE tasks.lane SET state = 'ended', since = clock_timestamp(), due_at = NULL, node = NULL, incarnation = NULL WHERE list_id = @ListId
                AND state = ANY(@From)
            """;

        private const string KillSql = """
            UPDATE tasks.attempt SET stop_requested = 'ended'
            WHERE ended_at IS NULL AND lane_id IN (SELECT lane_id FROM tasks.lane WHERE list_id = @ListId) RETURNING node
            """;

        private const string StepsSql = """
            UPDATE tasks.scheduler_task_info SET task_status = 6, outcome = 'ended', cause = @By WHERE list_id = @ListId AND task_status = ANY(@From)
            """;

        private const string StatusSql = """
            UPDATE tasks.scheduler_task_list SET status = CASE WHEN EXISTS (SELECT FROM tasks.scheduler_task_info i WHERE i.list_id = @ListId
                AND i.task_status <> 3) THEN 4 ELSE 3 END
            WHERE list_id = @ListId
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var order = await OrderAccess.Lock(connection, transaction, command.ListId!.Value);
            var caller = access.Caller;
            await order.Demand(access, Verbs.Run, new Text("你没有终止权限", "You have no right to end this order"));
            if (await connection.ExecuteAsync(EndSql, new { order.ListId, From = OrderStates.From(OrderAction.End) }, transaction) == 0)
                throw Refusal.Conflict("订单已经结束", "The order has ended already");
            await connection.ExecuteAsync(LanesSql, new { order.ListId, From = LaneStates.From(LaneAction.End) }, transaction);
            var nodes = await connection.QueryAsync<string>(KillSql, order, transaction);
            await connection.ExecuteAsync(
                StepsSql,
                new
                {
                    order.ListId,
                    By = Text.Same(caller.Nickname).Both(),
                    From = StepStates.From(StepAction.Stop),
                },
                transaction
            );
            await connection.ExecuteAsync(StatusSql, order, transaction);
            await Audit.Write(connection, transaction, caller, "end", "order", order.ListId.ToString(CultureInfo.InvariantCulture), new { order.Schedule });
            await AdvanceOrder.Note(connection, transaction, order.ListId);
            foreach (var node in nodes.Distinct()) await Control.Notify(connection, transaction, node);
            await transaction.CommitAsync(cancellationToken);
            await advance.Enqueue(connection, order.ListId);
            await orphans.EndAll(order.ListId, null);
            return new Answer(new Text("订单终止成功", "The order is ended"));
        }
    }
}
