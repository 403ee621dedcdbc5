using Codo.Tests.Modules.Alerts;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Npgsql;

namespace Codo.Tests.Faults;

/// <summary>A host that is killed between an event and its delivery.</summary>
public sealed class AlertsFaultsTests
{
    [Fact]
    public async Task After_kill_9_between_the_event_and_the_delivery_it_is_delivered_and_at_most_once_more()
    {
        await using var stub = await HttpStub.Start();
        // Until the host is dead nobody answers: the message is on its way and its answer never comes.
        stub.Answer = (_, _) => (-1, "");
        using var folder = new TestFolder();
        await using (var host = await HostProcess.Start(folder.At("data")))
        {
            (
                await host.Send(
                    HttpMethod.Post,
                    "/v2/alerts/channel/",
                    new
                    {
                        name = "hook",
                        kind = "webhook",
                        timeout = 5,
                        settings = new { url = stub.Url },
                    }
                )
            ).Code().ShouldBe(0);
            (
                await host.Send(
                    HttpMethod.Post,
                    "/v1/cron/job/",
                    new
                    {
                        job_id = "fails",
                        cmd = "exit 3",
                        cron = CronClient.Never,
                    }
                )
            ).Code().ShouldBe(0);
            (await host.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "fails" })).Code().ShouldBe(0);
            await Eventually.True(() => !stub.Requests.IsEmpty, "the message is on its way", seconds: 90);
            await host.Kill();
        }
        var before = stub.Requests.Count;
        stub.Answer = (_, _) => (200, "{}");
        await using var again = await HostProcess.Start(folder.At("data"));
        await Eventually.True(
            async () => (await again.Send(HttpMethod.Get, "/v2/alerts/delivery/"))["data"]![0]!["state"]!.GetValue<string>() == "sent",
            "it is delivered once the host is back",
            seconds: 120
        );
        (before, stub.Requests.Count).ShouldBe((1, 2));
        (await again.Send(HttpMethod.Get, "/v2/alerts/incident/"))["count"]!.GetValue<long>().ShouldBe(1);
    }

    [Fact]
    public async Task A_reminder_of_an_order_that_awaits_approval_outlives_kill_9_and_is_told_at_most_once_more()
    {
        await using var stub = await HttpStub.Start();
        using var folder = new TestFolder();
        await using (var host = await HostProcess.Start(folder.At("data")))
        {
            var channel = new { name = "hook", kind = "webhook", language = "en", timeout = 5, settings = new { url = stub.Url } };
            (await host.Send(HttpMethod.Post, "/v2/alerts/channel/", channel)).Code().ShouldBe(0);
            (await host.Send(HttpMethod.Post, "/v2/task_layout/temp/", new { temp_name = "t" })).Code().ShouldBe(0);
            var steps = new { temp_id = 1, new_temp_data = new[] { new { command_name = "s", command = "true", group = 1 } } };
            (await host.Send(HttpMethod.Put, "/v2/task_layout/details/", steps)).Code().ShouldBe(0);
            (await host.Send(HttpMethod.Put, "/v2/task/approval/rule/", new { temp_id = 1, approvals = 1 })).Code().ShouldBe(0);
            var order = new
            {
                task_name = "o",
                temp_id = 1,
                hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
                args = new { },
                schedule = "new",
            };
            (await host.Send(HttpMethod.Post, "/v2/task/accept/", order)).Code().ShouldBe(0);
            await Eventually.True(() => stub.Requests.Count == 1, "told at once", seconds: 90);
            // From here on nobody answers: the host dies while the reminder is on its way.
            stub.Answer = (_, _) => (-1, "");
            await Sql(
                host,
                "UPDATE alerts.task_monitor SET told_at = told_at - interval '1 hour';"
                    + "UPDATE platform.outbox SET next_try_at = clock_timestamp() WHERE kind = 'orders.approval_reminder'"
            );
            await Eventually.True(() => stub.Requests.Count == 2, "the reminder is on its way", seconds: 90);
            await host.Kill();
        }
        stub.Answer = (_, _) => (200, "{}");
        await using var again = await HostProcess.Start(folder.At("data"));
        await Eventually.True(
            async () =>
                (await again.Send(HttpMethod.Get, "/v2/alerts/delivery/"))["data"]!.AsArray().All(one => (string)one!["state"]! == "sent")
                && await Sql(again, "SELECT count(*) FROM platform.outbox WHERE kind = 'orders.approval_reminder'") == 0,
            "the reminder is delivered, and nothing of it is left",
            seconds: 120
        );
        stub.Requests.Count.ShouldBe(3);
        stub.Requests.Last().Json["title"]!.GetValue<string>().ShouldContain("still awaits approval");
        (await again.Send(HttpMethod.Get, "/v2/alerts/incident/"))["count"]!.GetValue<long>().ShouldBe(1);
    }

    private static async Task<long?> Sql(HostProcess host, string sql)
    {
        await using var connection = new NpgsqlConnection($"Host={host.DataDirectory}/postgres-socket;Username=codo;Database=codo;Pooling=false");
        return await connection.ExecuteScalarAsync<long?>(sql);
    }
}
