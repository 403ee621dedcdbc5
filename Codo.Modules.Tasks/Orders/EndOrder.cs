using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
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
        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            var listId = command.ListId!.Value;
            await End(listId, cancellationToken);
            // Hosts may take tens of seconds to answer, and no connection to PostgreSQL waits for them.
            await orphans.EndAll(listId, null);
            return new Answer(new Text("订单终止成功", "The order is ended"));
        }

        private async Task End(long listId, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var order = await OrderAccess.Lock(connection, transaction, listId);
            var caller = access.Caller;
            await order.Demand(access, Verbs.Run, new Text("你没有终止权限", "You have no right to end this order"));
            if (!await OrderEnding.End(connection, transaction, order.ListId, "ended", Text.Same(caller.Nickname)))
                throw Refusal.Conflict("订单已经结束", "The order has ended already");
            await Audit.Write(connection, transaction, caller, "end", "order", order.ListId.ToString(CultureInfo.InvariantCulture), new { order.Schedule });
            await AdvanceOrder.Note(connection, transaction, order.ListId);
            await transaction.CommitAsync(cancellationToken);
            await advance.Enqueue(connection, order.ListId);
        }
    }
}
