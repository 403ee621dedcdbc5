using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Ends orders that nobody has approved for <c>Codo:Tasks:PendingDays</c>, and has their submitters told.</summary>
internal sealed class PendingOrders(
    NpgsqlDataSource source,
    Node node,
    TaskSettings settings,
    KeptRules kept,
    AdvanceOrder advance,
    Outbox outbox,
    ILogger<PendingOrders> log
)
{
    // A while at once: the next look ends the rest. The audit is asked only about those that are old enough.
    private const string OverdueSql = $"""
        SELECT o.list_id FROM tasks.scheduler_task_list o
        WHERE o.schedule = 'new' AND GREATEST(o.create_time, CAST(@From AS timestamptz)) < clock_timestamp() - make_interval(days => @Days)
            AND {StartCheck.WaitsSince} < clock_timestamp() - make_interval(days => @Days)
            ORDER BY o.list_id LIMIT 100
        """;

    public async Task EndOverdue(CancellationToken cancellation)
    {
        if (settings.PendingDays == 0 || !node.MayStart(OrderWork.WorkName)) return;
        // An installation that is older than the rule counts from its upgrade.
        var from = await kept.Read("keep.tasks.pending_from", cancellation) is { } upgraded
            ? DateTime.Parse(upgraded, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal)
            : DateTime.UnixEpoch;
        List<long> overdue;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            overdue = (await connection.QueryAsync<long>(OverdueSql, new { From = from, Days = settings.PendingDays })).AsList();
        foreach (var listId in overdue)
        {
            try
            {
                await End(listId, cancellation);
            }
            catch (Refusal refusal)
            {
                // It was deleted since it was found.
                log.LogInformation("Order {Order} is not ended for want of an approval: {Why}", listId, refusal.Text.En);
            }
            catch (Exception error)
                when ((!DatabaseErrors.IsTransient(error) || DatabaseErrors.IsLockTimeout(error)) && !cancellation.IsCancellationRequested)
            {
                // It would come first again in the next look: the others do not wait for it.
                log.LogError(error, "Order {Order} could not be ended for want of an approval; it is tried again", listId);
            }
        }
    }

    private async Task End(long listId, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        // An order that somebody holds for longer is left to the next look.
        await LockWait.Limit(connection, transaction, TimeSpan.FromSeconds(5));
        var order = await OrderAccess.Lock(connection, transaction, listId);
        // Somebody has approved or ended it since it was found: an order that was approved in time is never ended for want of an approval.
        if (order.State != OrderState.New || !await OrderEnding.End(connection, transaction, listId, "ended", Text.Same(Caller.Codo.Nickname))) return;
        var id = listId.ToString(CultureInfo.InvariantCulture);
        await Audit.Write(connection, transaction, Caller.Codo, "end", "order", id, new { order.Schedule });
        // With the end itself, so that neither happens without the other. A stream of its own: it holds up nothing else of the order.
        await Outbox.Write(
            connection,
            transaction,
            OrderEvents.Stream(listId) + ":expired",
            OrderEvents.Expired,
            new OrderEvents.Expiry(listId, settings.PendingDays)
        );
        await AdvanceOrder.Note(connection, transaction, listId);
        await transaction.CommitAsync(cancellation);
        outbox.Wake();
        await advance.Enqueue(connection, listId);
        log.LogInformation("Order {Order} of {Creator} is ended: nobody approved it in {Days} days", listId, order.Creator, settings.PendingDays);
    }
}
