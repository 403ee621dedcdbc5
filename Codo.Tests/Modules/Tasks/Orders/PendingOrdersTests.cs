using Codo.Modules.Tasks;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Orders;
using Codo.Platform.Cluster;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Tasks.Orders;

/// <summary>Orders that nobody approves in time; that their submitters hear of it is in QuotasTests.</summary>
public sealed class PendingOrdersTests(OrderFixture fixture) : IClassFixture<OrderFixture>
{
    [Fact]
    public async Task An_order_that_is_approved_while_it_is_found_overdue_is_not_ended_and_nobody_is_told_that_it_was()
    {
        // Its own sweep does nothing: the test makes the one that counts.
        await using var host = await fixture.Another(("Codo:Tasks:PendingDays", "0"));
        await Eventually.True(() => host.Services.GetRequiredService<Node>().MayStart(OrderWork.WorkName), "the node may start orders");
        var order = await host.Order(await host.Template(OrderHost.Step("true")), schedule: "new");
        await using var approver = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await approver.ExecuteAsync("UPDATE tasks.scheduler_task_list SET create_time = now() - interval '15 days' WHERE list_id = @order", new { order });
        await using var approval = await approver.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await approver.ExecuteAsync(
            "UPDATE tasks.scheduler_task_list SET schedule = 'ready', hold = true, start_time = '2099-01-01' WHERE list_id = @order",
            new { order },
            approval
        );

        var sweep = ActivatorUtilities
            .CreateInstance<PendingOrders>(host.Services, new TaskSettings { PendingDays = 14 })
            .EndOverdue(TestContext.Current.CancellationToken);
        await Eventually.True(
            () =>
                host.Ask<bool>(
                    """
                    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                        AND query LIKE '%o.approver_ids%')
                    """
                ),
            "the sweep waits for the order's row"
        );
        await approval.CommitAsync(TestContext.Current.CancellationToken);
        await sweep;

        (await host.Ask<string>("SELECT schedule FROM tasks.scheduler_task_list WHERE list_id = @order", new { order })).ShouldBe("ready");
        (await host.Count("SELECT count(*) FROM platform.outbox WHERE stream LIKE '%:expired'")).ShouldBe(0);
        (await host.Count($"SELECT count(*) FROM alerts.task_monitor WHERE fingerprint = 'order:{order}:expired'")).ShouldBe(0);
    }

    [Fact]
    public async Task An_overdue_order_that_somebody_holds_keeps_no_other_from_its_end()
    {
        await using var host = await fixture.Another(("Codo:Tasks:PendingDays", "0"));
        await Eventually.True(() => host.Services.GetRequiredService<Node>().MayStart(OrderWork.WorkName), "the node may start orders");
        var template = await host.Template(OrderHost.Step("true"));
        var held = await host.Order(template, schedule: "new");
        var other = await host.Order(template, schedule: "new");
        await using var holder = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await holder.ExecuteAsync("UPDATE tasks.scheduler_task_list SET create_time = now() - interval '15 days'");
        await using (var holding = await holder.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            await holder.ExecuteAsync("SELECT 1 FROM tasks.scheduler_task_list WHERE list_id = @held FOR UPDATE", new { held }, holding);
            await Sweep();
        }
        (await Schedule(other)).ShouldBe("OK");
        (await Schedule(held)).ShouldBe("new");
        await Sweep();
        (await Schedule(held)).ShouldBe("OK");

        Task Sweep() =>
            ActivatorUtilities
                .CreateInstance<PendingOrders>(host.Services, new TaskSettings { PendingDays = 14 })
                .EndOverdue(TestContext.Current.CancellationToken);

        Task<string> Schedule(long order) => host.Ask<string>("SELECT schedule FROM tasks.scheduler_task_list WHERE list_id = @order", new { order });
    }

    [Fact]
    public async Task An_order_that_was_sent_back_at_its_start_awaits_its_approval_from_then_on()
    {
        var host = fixture.Host;
        await Eventually.True(() => host.Services.GetRequiredService<Node>().MayStart(OrderWork.WorkName), "the node may start orders");
        var order = await host.Order(await host.Template(OrderHost.Step("true")), schedule: "new");
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2099-01-01 00:00" })).Code().ShouldBe(0);
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(
            """
            UPDATE tasks.scheduler_task_list SET create_time = create_time - interval '15 days' WHERE list_id = @order;
            UPDATE tasks.scheduler_task_info SET timeout = 7 WHERE list_id = @order
            """,
            new { order }
        );
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" })).Code().ShouldBe(0);
        await Eventually.True(async () => (string)(await host.Check(order))["schedule"]! == "new", "sent back");

        await ActivatorUtilities
            .CreateInstance<PendingOrders>(host.Services, new TaskSettings { PendingDays = 14 })
            .EndOverdue(TestContext.Current.CancellationToken);
        (await host.Ask<string>("SELECT schedule FROM tasks.scheduler_task_list WHERE list_id = @order", new { order })).ShouldBe("new");
    }
}
