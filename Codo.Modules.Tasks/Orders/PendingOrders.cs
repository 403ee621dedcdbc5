using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Dapper;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Ends orders that nobody has approved for <c>Codo:Tasks:PendingDays</c>, and has their submitters told.</summary>
internal sealed class PendingOrders(
    NpgsqlDataSource source,
    Node node,
    TaskSettings settings,
    KeptRules kept,
    IServiceScopeFactory scopes,
    ILogger<PendingOrders> log
)
{
    // A while at once: the next look ends the rest.
    private const string OverdueSql = """
        SELECT list_id, task_name, task_type, creator, creator_id, space_id FROM tasks.scheduler_task_list
        WHERE schedule = 'new' AND GREATEST(create_time, CAST(@From AS timestamptz)) < clock_timestamp() - make_interval(days => @Days)
            ORDER BY list_id LIMIT 100
        """;

    public async Task EndOverdue(CancellationToken cancellation)
    {
        if (settings.PendingDays == 0 || !node.MayStart(OrderWork.WorkName)) return;
        // An installation that is older than the rule counts from its upgrade.
        var from = await kept.Read("keep.tasks.pending_from", cancellation) is { } upgraded
            ? DateTime.Parse(upgraded, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal)
            : DateTime.UnixEpoch;
        List<Row> overdue;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            overdue = (await connection.QueryAsync<Row>(OverdueSql, new { From = from, Days = settings.PendingDays })).AsList();
        foreach (var order in overdue)
        {
            try
            {
                await End(order, cancellation);
            }
            catch (Refusal refusal)
            {
                // Another node was first, or somebody has approved it in this instant.
                log.LogInformation("Order {Order} is not ended for want of an approval: {Why}", order.ListId, refusal.Text.En);
            }
        }
    }

    private async Task End(Row order, CancellationToken cancellation)
    {
        await using var scope = scopes.CreateAsyncScope();
        var mediator = scope.ServiceProvider.GetRequiredService<IMediator>();
        // Told first: a crash between the two tells again, which adds to the same incident, and never ends an order in silence.
        await mediator.Publish(
            new OrderExpired(order.ListId, order.TaskName, order.TaskType, settings.PendingDays, order.Creator, order.CreatorId, order.SpaceId),
            cancellation
        );
        await mediator.Send(new EndOrder.Command(order.ListId), cancellation);
        log.LogInformation("Order {Order} of {Creator} is ended: nobody approved it in {Days} days", order.ListId, order.Creator, settings.PendingDays);
    }

    private sealed record Row(long ListId, string TaskName, string TaskType, string Creator, long? CreatorId, long SpaceId);
}
