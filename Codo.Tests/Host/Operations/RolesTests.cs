using Codo.Modules.Alerts.Channels;
using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Tasks.Logs;
using Codo.Platform.Data;
using Codo.Tests.Modules.Alerts;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Modules.Tasks.Logs;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using StackExchange.Redis;

namespace Codo.Tests.Host.Operations;

/// <summary>Two nodes on one PostgreSQL and one Redis: one takes requests, jobs and orders, the other writes lines and tells people.</summary>
public sealed class RolesTests(TestPostgres postgres)
{
    private static readonly DateTime Day = DateTime.UtcNow.Date.AddDays(-3);

    [Fact]
    public async Task The_work_of_logs_and_alerts_is_done_by_the_node_with_the_role_alone_and_waits_while_none_has_it()
    {
        await using var redis = await TestRedis.StartNew();
        await using var publisher = await ConnectionMultiplexer.ConnectAsync(redis.Configuration);
        await using var stub = await HttpStub.Start();
        await using var a = await TestHost.Start(
            postgres,
            null,
            ("Codo:NodeName", "a"),
            ("Codo:Node:Roles", "web, cron, orders"),
            ("Codo:Alerts:HeartbeatUrl", stub.Url + "/beat/a"),
            ("ConnectionStrings:Redis", redis.Configuration)
        );
        (await a.Post("/v2/alerts/channel/", new { name = "hook", kind = "webhook", settings = new { url = stub.Url + "/hook" } })).Code().ShouldBe(0);
        var rule = new { name = "r", subject = "*", escalation = new[] { new[] { "boss" } }, escalate_after = 3600, runs_after = 60 };
        (await a.Post("/v2/alerts/rule/", rule)).Code().ShouldBe(0);
        await a.Make(new { job_id = "fails", cmd = "false", cron = CronClient.Never });
        await a.Make(new { job_id = "long", cmd = "sleep 600", cron = CronClient.Never });
        await a.Ended(await a.RunNow("fails"));
        var runs = await a.RunNow("long");
        await a.Running(runs);
        await a.Ask<int>($"UPDATE cron.attempt SET started_at = started_at - interval '2 minutes' WHERE log_id = {runs} RETURNING 1");
        await Eventually.True(async () => await Deliveries(a) == "opened due", "the incident waits for a node that tells of it");
        await a.Ask<int>("UPDATE alerts.task_monitor SET escalate_at = clock_timestamp() - interval '1 second' RETURNING 1");
        var old = LogSteps.Place();
        await Partitions.Ensure(a.Source, "tasks.log_line", PartitionSpan.Day, Day, 0);
        await a.Ask<int>(
            """
            INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time, log_time)
            VALUES (@LogKey, @ListId, @Level, @SchedId, @Attempt, 1, false, 'of another day', @day, @day) RETURNING 1
            """,
            new { old.LogKey, old.ListId, old.Level, old.SchedId, old.Attempt, day = Day.AddHours(1) }
        );

        // Nobody has the roles: what a node without them is asked to do, it does not.
        (await Roles(a)).ShouldBe("degraded: no live node has the role logs, alerts (Codo:Node:Roles): its work waits");
        await DoesNothing(a);
        (await Deliveries(a)).ShouldBe("opened due");
        (await Rows(a, old)).ShouldBe("1 open, 0 sealed");
        (await Published(publisher, 1)).ShouldBe(0);
        // Its own lines reach the database all the same.
        var own = LogSteps.Place();
        await using (var output = a.Open(own))
        {
            await output.PrintLines(1, 100);
            await output.Complete();
        }
        (await a.Source.Stored(own)).ShouldBeLines(100);
        stub.Requests.ShouldBeEmpty();

        await using (
            var b = await a.Again(
                ("Codo:NodeName", "b"),
                ("Codo:Node:Roles", "logs, alerts"),
                ("Codo:Alerts:HeartbeatUrl", stub.Url + "/beat/b"),
                ("ConnectionStrings:Redis", redis.Configuration)
            )
        )
        {
            (await Roles(a)).ShouldBe("healthy: this node: web, cron, orders");
            await Eventually.True(async () => await Deliveries(a) == "escalated sent, opened sent, opened sent", "b tells of everything");
            (await a.Ask<string>("SELECT string_agg(kind, ' ' ORDER BY kind) FROM alerts.task_monitor")).ShouldBe("failed overlong");
            await Eventually.True(() => stub.Requests.Any(got => got.Path == "/beat/b"), "b says that it is well");
            await Eventually.True(async () => await Rows(a, old) == "0 open, 1 sealed", "b seals the day");
            await Eventually.True(() => b.Services.GetRequiredService<Subscriber>().Subscribed, "b writes what is published");
            (await Published(publisher, 2)).ShouldBe(1, "one node listens");
            await Eventually.True(async () => await a.Count("SELECT count(*) FROM tasks.log_line WHERE log_info = 'published 2'") == 1, "it is written");
            await DoesNothing(a);
        }

        await Eventually.True(
            async () => (await Roles(a)).StartsWith("degraded: no live node has the role logs, alerts", StringComparison.Ordinal),
            "b has signed off"
        );
        var told = stub.Requests.Count;
        await a.Make(new { job_id = "fails too", cmd = "false", cron = CronClient.Never });
        await a.Ended(await a.RunNow("fails too"));
        await Eventually.True(async () => await Deliveries(a) == "escalated sent, opened due, opened sent, opened sent", "it waits again");
        await DoesNothing(a);
        (await Deliveries(a)).ShouldBe("escalated sent, opened due, opened sent, opened sent");
        (await Published(publisher, 3)).ShouldBe(0);
        stub.Requests.Count.ShouldBe(told);
        stub.Requests.ShouldNotContain(got => got.Path == "/beat/a");
        (await a.Count("SELECT count(*) FROM tasks.log_line WHERE log_info IN ('published 1', 'published 3')")).ShouldBe(0);
    }

    // Its loops do the same, at times of their own.
    private static async Task DoesNothing(TestHost host)
    {
        var token = TestContext.Current.CancellationToken;
        var (watch, subscriber) = (host.Services.GetRequiredService<Watch>(), host.Services.GetRequiredService<Subscriber>());
        await host.Services.GetRequiredService<Courier>().SendDue();
        (await host.Services.GetRequiredService<Heartbeat>().Beat(token)).ShouldBeFalse();
        (await watch.Run(watch.Escalate)).ShouldBeFalse();
        (await watch.Run(watch.FindLong)).ShouldBeFalse();
        await host.Services.GetRequiredService<LogSealing>().Seal(() => { }, token);
        subscriber.Subscribed.ShouldBeFalse();
    }

    private static Task<string> Deliveries(TestHost host) =>
        host.Ask<string>("SELECT coalesce(string_agg(reason || ' ' || state, ', ' ORDER BY reason, state), '') FROM alerts.delivery");

    private static Task<string> Rows(TestHost host, Codo.Modules.Tasks.Execution.OutputPlace place) =>
        host.Ask<string>(
            """
            SELECT (SELECT count(*) FROM tasks.log_line WHERE log_key = @LogKey) || ' open, '
                || (SELECT count(*) FROM tasks.sealed_log WHERE log_key = @LogKey) || ' sealed'
            """,
            place
        );

    /// <summary>Publishes a line as another program does, and answers how many nodes heard it.</summary>
    private static Task<long> Published(ConnectionMultiplexer publisher, int number) =>
        publisher
            .GetSubscriber()
            .PublishAsync(
                RedisChannel.Literal(TaskLogChannel.Name),
                $$"""{"log_key": "77_1_2_10.0.0.9", "exec_time": 1700000000123, "result": "published {{number}}"}"""
            );

    private static async Task<string> Roles(TestHost host)
    {
        var roles = (await host.Get("/healthz/ready"))["checks"]!["roles"]!;
        return $"{roles["status"]}: {roles["detail"]}";
    }
}
