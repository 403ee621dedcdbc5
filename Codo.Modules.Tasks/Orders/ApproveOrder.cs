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

/// <summary>Approves a new order; moves the time of one that was approved and has steps that wait for it.</summary>
internal static class ApproveOrder
{
    /// <param name="Hold">Puts the whole order off until the start time, not only its timed steps. Absent: an approval does so for a time more than a minute
    /// ahead (<c>Codo:Tasks:LaterMeansHold</c>).</param>
    internal sealed record Command(long? ListId, string? StartTime, bool? Hold) : IRequest<Result>;

    /// <param name="BeginsAt">When the order begins at the earliest.</param>
    /// <param name="Hold">Whether the whole order waits for its start time.</param>
    internal sealed record Result(DateTime BeginsAt, bool Hold, IReadOnlyList<Text> Warnings) : Answer(new Text("任务开始成功", "The order is approved"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() =>
            RuleFor(command => command)
                .Must(command => command.ListId is not null && !string.IsNullOrWhiteSpace(command.StartTime))
                .Refuse("订单ID和开始时间不能为空", "list_id and start_time are required");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access, Zone zone, TaskSettings settings, AdvanceOrder advance)
        : IRequestHandler<Command, Result>
    {
        // A time in the past means now. The console's button for a later time promises that nothing starts before it.
        private const string ApproveSql = """
            UPDATE tasks.scheduler_task_list SET schedule = 'ready', executor = @Nickname, executor_id = @UserId,
                hold = COALESCE(@Hold, hold OR (@LaterMeansHold AND @StartTime > clock_timestamp() + interval '1 minute')),
                start_time = GREATEST(@StartTime, clock_timestamp()), not_before = GREATEST(not_before, clock_timestamp())
            WHERE list_id = @ListId AND schedule = ANY(@From)
            """;

        private const string MoveSql = """
            UPDATE tasks.scheduler_task_list SET start_time = GREATEST(@StartTime, clock_timestamp()), hold = COALESCE(@Hold, hold) WHERE list_id = @ListId
            """;

        // A lane that pauses before a retry has a step at 2, and waits for no start time.
        private const string MoveLanesSql = """
            UPDATE tasks.lane l SET due_at = o.start_time FROM tasks.scheduler_task_list o WHERE o.list_id = l.list_id AND l.list_id = @ListId
                AND l.state = 'timed'
              AND NOT EXISTS (SELECT FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id AND i.task_status = 2)
            """;

        private const string BeginsSql = """
            SELECT begins_at, hold, NOT hold AND start_time > clock_timestamp() + interval '1 minute' AS early FROM tasks.scheduler_task_list
                WHERE list_id = @ListId
            """;

        private const string TimedSql = """
            SELECT count(*) FROM tasks.scheduler_task_info WHERE list_id = @ListId AND task_status = 7
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var caller = access.Caller;
            if (!Times.TryParse(command.StartTime, zone.Info, out var start))
                throw Refusal.Invalid("start_time " + Times.Expected.Zh, "start_time " + Times.Expected.En);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var order = await OrderAccess.Lock(connection, transaction, command.ListId!.Value);
            await order.Demand(access, Verbs.Approve, new Text("你没有审批权限", "You have no right to approve this order"));
            var timed = await connection.ExecuteScalarAsync<long>(TimedSql, order, transaction);
            var values = new
            {
                order.ListId,
                StartTime = start.UtcDateTime,
                command.Hold,
                settings.LaterMeansHold,
                caller.Nickname,
                caller.UserId,
                From = OrderStates.From(OrderAction.Approve),
            };
            var approves = order.State == OrderState.New;
            var held = command.Hold ?? order.Hold;
            if (order.State == OrderState.Ended)
                throw Refusal.Conflict("订单已结束，不能再开始", "The order has ended and does not start again");
            if (!approves && timed == 0 && !(held && order.State == OrderState.Ready))
                throw Refusal.Conflict("订单已审批，且没有等待执行时间的任务", "The order is approved already, and nothing in it waits for a time");
            await connection.ExecuteAsync(approves ? ApproveSql : MoveSql, values, transaction);
            await connection.ExecuteAsync(MoveLanesSql, order, transaction);
            var begins = await connection.QuerySingleAsync<BeginsRow>(BeginsSql, order, transaction);
            await Audit.Write(connection, transaction, caller, approves ? "approve" : "move", "order", order.ListId.ToString(CultureInfo.InvariantCulture),
                new { order.Schedule, order.StartTime }, new { start_time = start.UtcDateTime, hold = begins.Hold });
            await AdvanceOrder.Note(connection, transaction, order.ListId);
            await Control.Notify(connection, transaction, "");
            await transaction.CommitAsync(cancellationToken);
            await advance.Enqueue(connection, order.ListId);
            return new Result(
                begins.BeginsAt,
                begins.Hold,
                approves && timed == 0 && begins.Early
                    ?
                    [
                        new Text(
                            "模板没有定时任务，订单立即开始；要整体等待请使用 hold",
                            "No step is timed, so the order starts at once; use hold to put it off as a whole"
                        ),
                    ]
                    : []
            );
        }

        private sealed record BeginsRow(DateTime BeginsAt, bool Hold, bool Early);
    }
}
