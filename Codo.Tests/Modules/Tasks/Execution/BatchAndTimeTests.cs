using System.Net;
using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Events;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Modules.Tasks.Execution;

/// <summary>What waits: for a batch, a confirmation, a pause, a time, a free slot.</summary>
public sealed class BatchAndTimeTests(OrderFixture fixture) : IClassFixture<OrderFixture>
{
    private const string Here = "127.0.0.1";
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_batch_begins_when_the_one_before_it_is_over_and_its_pause_has_passed()
    {
        var order = await host.Order(await host.Template(Groups(batch: "2", pause: 1), [], Step("true", forceHost: Here)), On(5));
        (await host.Ended(order)).ShouldBe("3");
        (
            await host.Ask<bool>(
                """
                SELECT bool_and(a.started_at >= b.last + interval '1 second') FROM tasks.attempt a JOIN tasks.lane l USING (lane_id)
                JOIN (SELECT l.batch, max(a.ended_at) AS last FROM tasks.attempt a JOIN tasks.lane l USING (lane_id)
                    WHERE a.list_id = @order GROUP BY l.batch) b ON b.batch = l.batch - 1
                WHERE a.list_id = @order
                """,
                new { order }
            )
        ).ShouldBeTrue();
        (await host.Ask<int>("SELECT max(batch) FROM tasks.lane WHERE list_id = @order", new { order })).ShouldBe(3);
    }

    [Fact]
    public async Task Past_the_threshold_no_further_batch_starts_until_a_person_lets_it()
    {
        var flag = fixture.NewFile();
        var order = await host.Order(await host.Template(Groups(batch: "50%", maxFailures: 1), [], Step($"test -e {flag}", forceHost: Here)), On(4));
        await Count(order, "failed", 2);
        await Count(order, "waiting", 2);
        (await host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "next_batch" })).Code().ShouldBe(0);
        await Count(order, "failed", 4);
        (await host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "next_batch" })).Code().ShouldBe(-1);
        await File.WriteAllTextAsync(flag, "");
        (await host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "restart_failed" })).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task A_confirmed_group_waits_for_a_person_after_each_batch()
    {
        var order = await host.Order(await host.Template(Groups(batch: "1", next: "confirm"), [], Step("true", forceHost: Here)), On(3));
        for (var done = 1; done <= 2; done++)
        {
            await Count(order, "done", done);
            await Count(order, "waiting", 3 - done);
            await using var scope = host.Services.CreateAsyncScope();
            var orders = await scope.ServiceProvider.GetRequiredService<IMediator>().Send(new ListRunningOrders(), TestContext.Current.CancellationToken);
            var standing = orders.Single(one => one.ListId == order);
            (standing.Situation, standing.Step).ShouldBe((OrderSituation.AwaitsPerson, ""));
            var next = (await host.Check(order))["next_batch"]!;
            ((int)next["batch"]!, (bool)next["awaits_person"]!).ShouldBe((done + 1, true));
            var shown = (await host.Page($"/orders/{order}", TestTokens.Admin, "en")).Html;
            shown.ShouldContain("next_batch");
            shown.ShouldContain("A batch waits for a person");
            await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
            var gauges = (await new OrderGauges().Read(connection, TestContext.Current.CancellationToken)).ToList();
            gauges.ShouldContain(gauge => gauge.Name == "codo.orders" && gauge.Word == "awaits_person" && gauge.Value == 1);
            gauges.ShouldContain(gauge => gauge.Name == "codo.orders.oldest" && gauge.Word == "awaits_person" && gauge.Value >= 0);
            (await host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "next_batch" })).Code().ShouldBe(0);
        }
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task To_let_the_next_batch_begin_is_refused_while_the_one_that_was_let_begin_last_is_under_way()
    {
        var (running, flag) = (fixture.NewFile(), fixture.NewFile());
        // The first batch is over at once; each further one runs until the flag is there.
        var step = Step($"test -e {running} || exit 0; while ! test -e {flag}; do sleep 0.05; done", forceHost: Here);
        var order = await host.Order(await host.Template(Groups(batch: "1", next: "confirm"), [], step), On(3));
        await Count(order, "done", 1);
        await File.WriteAllTextAsync(running, "");
        (await Next()).Code().ShouldBe(0);
        await Count(order, "running", 1);
        var again = await Next();
        (again.Code(), (string)again["msg"]!).ShouldBe((-1, "上次放行的批次尚未结束，不能再放行下一批"));
        (await host.Ask<int>("SELECT allowed FROM tasks.order_group WHERE list_id = @order", new { order })).ShouldBe(2);
        await File.WriteAllTextAsync(flag, "");
        await Count(order, "done", 2);
        (await Next()).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");

        Task<JsonObject> Next() => host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "next_batch" });
    }

    // As a page does that was opened before somebody else let the batch begin, and a client that got no answer.
    [Fact]
    public async Task To_let_a_batch_begin_that_is_over_meanwhile_opens_no_further_one()
    {
        var order = await host.Order(await host.Template(Groups(batch: "1", next: "confirm"), [], Step("true", forceHost: Here)), On(3));
        await Count(order, "done", 1);
        var page = WebUtility.HtmlDecode((await host.Page($"/orders/{order}", TestTokens.Admin, "en")).Html);
        page.ShouldContain("\"hand_type\":\"next_batch\",\"batch\":2}");
        (await Begin(0)).Code().ShouldBe(-1);
        (await Begin(2)).Code().ShouldBe(0);
        await Count(order, "done", 2);
        var again = await Begin(2);
        (again.Code(), (string)again["msg"]!).ShouldBe((-1, "等待开始的是第 3 批，不是第 2 批"));
        (await host.Ask<int>("SELECT allowed FROM tasks.order_group WHERE list_id = @order", new { order })).ShouldBe(2);
        (await Begin(3)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");

        Task<JsonObject> Begin(int batch) => host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "next_batch", batch });
    }

    [Fact]
    public async Task A_batch_waits_for_a_person_also_where_a_host_before_it_was_stopped()
    {
        var before = await Gauges();
        var step = Step("exec sleep 600", forceHost: Here);
        var order = await host.Order(await host.Template(Groups(batch: "1", next: "confirm"), [], step), On(2));
        await Count(order, "running", 1);
        (await host.Intervene(order, "stop_one", ip: "10.1.0.1")).Code().ShouldBe(0);
        await Count(order, "stopped", 1);
        await IsInterrupted(order);
        await Shows(order, "A batch waits for a person", before);
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        await host.Ended(order);
    }

    [Fact]
    public async Task A_hand_step_waits_for_a_person_also_where_another_host_was_stopped()
    {
        var before = await Gauges();
        var flag = fixture.NewFile();
        var template = await host.Template(
            Step($"while ! test -e {flag}; do sleep 0.05; done", forceHost: Here),
            Step("true", level: 2, trigger: "hand", forceHost: Here)
        );
        var order = await host.Order(template, On(2));
        await Count(order, "running", 2);
        (await host.Intervene(order, "stop_one", ip: "10.1.0.1")).Code().ShouldBe(0);
        await Count(order, "stopped", 1);
        await File.WriteAllTextAsync(flag, "");
        await Count(order, "hand", 1);
        await IsInterrupted(order);
        // Those who can release it are told.
        await Told(order, 5);
        await Shows(order, "A step waits for a person", before);
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        await host.Ended(order);
    }

    [Fact]
    public async Task A_timed_step_waits_for_its_time_and_nothing_else_does()
    {
        var template = await host.Template(Step("true", level: 1), Step("true", level: 2, trigger: "timed"));
        var later = await Accept(template, new { exec_time = "2099-01-01 00:00" });
        await host.Stands(later, "37");
        (
            await host.Patch(
                "/v2/task/list/",
                new
                {
                    list_id = later,
                    start_time = DateTime.UtcNow.AddSeconds(2).ToString("yyyy-MM-ddTHH:mm:ssZ", System.Globalization.CultureInfo.InvariantCulture),
                }
            )
        )
            .Code()
            .ShouldBe(0);
        (await host.Ended(later)).ShouldBe("3");
        (
            await host.Ask<double>(
                """
                SELECT extract(epoch FROM a.started_at - o.start_time)::float8 FROM tasks.attempt a JOIN tasks.scheduler_task_info i USING (sched_id)
                    JOIN tasks.scheduler_task_list o ON o.list_id = a.list_id
                WHERE a.list_id = @later AND i.trigger = 'timed'
                """,
                new { later }
            )
        ).ShouldBeGreaterThanOrEqualTo(0);
    }

    [Fact]
    public async Task A_timed_step_of_a_host_that_was_stopped_and_restarted_still_waits_for_its_time()
    {
        var template = await host.Template(Step("true", level: 1, forceHost: Here), Step("true", level: 2, trigger: "timed", forceHost: Here));
        var order = await Accept(template, new { exec_time = "2099-01-01 00:00", hosts = On(2) });
        await Count(order, "timed", 2);
        (await host.Intervene(order, "stop_one", ip: "10.1.0.1")).Code().ShouldBe(0);
        (await host.Statuses(order, "&get_run_host=10.1.0.1")).ShouldBe("36");
        (await host.Intervene(order, "restart", ip: "10.1.0.1")).Code().ShouldBe(0);
        await Count(order, "timed", 2);
        (await host.Statuses(order, "&get_run_host=10.1.0.1")).ShouldBe("37");
        (
            await host.Ask<long>(
                "SELECT count(*) FROM tasks.attempt a JOIN tasks.scheduler_task_info i USING (sched_id) WHERE a.list_id = @order AND i.trigger = 'timed'",
                new { order }
            )
        ).ShouldBe(0);
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
    }

    // As after a change of the time that did not see the lane yet, which had read the time of before.
    [Fact]
    public async Task A_lane_that_came_to_its_timed_step_while_the_time_was_moved_learns_of_it()
    {
        var order = await Accept(await host.Template(Step("true", trigger: "timed")), new { exec_time = "2099-01-01 00:00" });
        await Count(order, "timed", 1);
        await host.Ask<int>(
            """
            WITH moved AS (UPDATE tasks.scheduler_task_list SET start_time = clock_timestamp() WHERE list_id = @order RETURNING list_id)
            INSERT INTO tasks.advance (list_id) SELECT list_id FROM moved RETURNING 1
            """,
            new { order }
        );
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task An_order_that_ended_in_the_pause_between_two_batches_keeps_no_node_awake()
    {
        await using var quiet = await fixture.Another();
        var order = await quiet.Order(await quiet.Template(Groups(batch: "1", pause: 600), [], Step("true", forceHost: Here)), On(2));
        await Eventually.True(
            async () => await quiet.Ask<long>("SELECT count(*) FROM tasks.order_group WHERE list_id = @order AND wake_at IS NOT NULL", new { order }) == 1,
            "it pauses"
        );
        (await quiet.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        // As after ten minutes.
        await quiet.Ask<int>("UPDATE tasks.order_group SET wake_at = now() - interval '1 minute' WHERE list_id = @order RETURNING 1", new { order });
        var work = quiet.Services.GetRequiredService<OrderWork>();
        await Eventually.True(async () => !await work.Poll(TestContext.Current.CancellationToken), "nothing is under way or soon to be begun");
    }

    [Fact]
    public async Task What_was_to_last_for_a_while_lasts_no_longer_because_the_clock_was_put_back()
    {
        var paused = await host.Order(await host.Template(Groups(batch: "1", pause: 600), [], Step("true", forceHost: Here)), On(2));
        await Eventually.True(() => Holds("SELECT count(wake_at) = 1 FROM tasks.order_group WHERE list_id = @order", paused), "it pauses between two batches");
        var failed = await host.Order(await host.Template(Step("exit 1", retries: 1, retryDelay: 600)));
        await Count(failed, "timed", 1);
        var timed = await Accept(await host.Template(Step("true", trigger: "timed")), new { exec_time = "2099-01-01 00:00" });
        await Count(timed, "timed", 1);
        // As if all that had begun while the clock was an hour ahead.
        await host.Ask<int>(
            """
            UPDATE tasks.order_group SET wake_at = wake_at + interval '1 hour' WHERE list_id = @paused;
            UPDATE tasks.lane SET since = since + interval '1 hour', due_at = due_at + interval '1 hour' WHERE list_id = @failed;
            UPDATE tasks.lane SET since = since + interval '1 hour' WHERE list_id = @timed;
            INSERT INTO tasks.advance (list_id, at) VALUES (@paused, clock_timestamp() + interval '1 hour');
            SELECT 1
            """,
            new { paused, failed, timed }
        );
        var work = host.Services.GetRequiredService<OrderWork>();
        // The pause before a retry is a fifth more or less than what is set.
        const string soon = "<= clock_timestamp() + interval '13 minutes'";
        await Eventually.True(
            async () =>
            {
                await work.RecoverStrays(TestContext.Current.CancellationToken);
                return await Holds($"SELECT bool_and(wake_at {soon}) FROM tasks.order_group WHERE list_id = @order", paused)
                    && await Holds($"SELECT bool_and(due_at {soon}) FROM tasks.lane WHERE list_id = @order", failed)
                    && await Holds("SELECT NOT EXISTS (SELECT FROM tasks.advance WHERE list_id = @order)", paused);
            },
            "they are taken back"
        );
        (await Holds("SELECT bool_and(due_at > '2098-12-30') FROM tasks.lane WHERE list_id = @order", timed)).ShouldBeTrue("a person has named that time");

        Task<bool> Holds(string sql, long order) => host.Ask<bool>(sql, new { order });
    }

    [Fact]
    public async Task A_time_in_the_past_means_now()
    {
        var order = await Accept(await host.Template(Step("true", trigger: "timed")), new { exec_time = "2001-02-03 04:05:06" });
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task Hold_holds_the_whole_order_and_a_start_delay_puts_it_off()
    {
        var template = await host.Template(Step("true"));
        var held = await Accept(template, new { exec_time = "2099-01-01 00:00", hold = true });
        (
            (
                await host.Post(
                    "/v2/task/preview/",
                    new
                    {
                        task_name = "t",
                        temp_id = template,
                        hosts = new Dictionary<string, string> { ["1"] = Here },
                        schedule = "ready",
                        exec_time = "2099-01-01 00:00",
                        hold = true,
                    }
                )
            )["warnings"]!.AsArray()
        ).ShouldBeEmpty();
        var delayed = await Accept(template, new { start_delay = "1" });
        (await host.Ended(delayed)).ShouldBe("3");
        (
            await host.Ask<double>(
                "SELECT extract(epoch FROM a.started_at - o.create_time)::float8 FROM tasks.attempt a JOIN tasks.scheduler_task_list o USING (list_id) "
                    + "WHERE o.list_id = @delayed",
                new { delayed }
            )
        ).ShouldBeGreaterThanOrEqualTo(1);
        (await host.Statuses(held)).ShouldBe("1");
        ((string)(await host.Check(held))["schedule"]!).ShouldBe("ready");
        (await host.Patch("/v2/task/list/", new { list_id = held, start_time = "2020-01-01 00:00" })).Code().ShouldBe(0);
        (await host.Ended(held)).ShouldBe("3");
    }

    [Fact]
    public async Task Only_so_many_lanes_run_at_once_on_a_node_and_all_get_their_turn()
    {
        await using var small = await fixture.Another(("Codo:Tasks:MaxParallelHosts", "3"));
        var order = await small.Order(await small.Template(Step("sleep 0.1", forceHost: Here)), On(10));
        (await small.Ended(order)).ShouldBe("3");
        (
            await small.Ask<long>(
                """
                SELECT max((SELECT count(*) FROM tasks.attempt b WHERE b.list_id = a.list_id AND b.started_at <= a.started_at
                    AND b.ended_at > a.started_at)) FROM tasks.attempt a WHERE a.list_id = @order
                """,
                new { order }
            )
        ).ShouldBeLessThanOrEqualTo(3);
    }

    [Fact]
    public async Task A_hundred_orders_with_a_long_step_do_not_delay_the_next()
    {
        var file = fixture.NewFile();
        var slow = await host.Template(Step($"while ! test -e {file}; do sleep 0.5; done"));
        var quick = await host.Template(Step("true"));
        var orders = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => host.Order(slow)));
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM tasks.attempt WHERE list_id = ANY(@orders) AND ended_at IS NULL", new { orders }) == 100,
            "all run at once",
            60
        );
        (await host.Ended(await host.Order(quick))).ShouldBe("3");
        await File.WriteAllTextAsync(file, "");
        foreach (var order in orders) await host.Ended(order, 60);
    }

    [Fact]
    public async Task A_hundred_hosts_with_five_steps_each_run_them_all_once_in_order()
    {
        var file = fixture.NewFile();
        var order = await host.Order(
            await host.Template([.. Enumerable.Range(1, 5).Select(level => Step($"echo {level} >> {file}", level: level, forceHost: Here))]),
            On(100)
        );
        (await host.Ended(order, 90)).ShouldBe("3");
        (await File.ReadAllLinesAsync(file)).CountBy(line => line).ShouldAllBe(pair => pair.Value == 100);
        (
            await host.Ask<bool>(
                """
                SELECT bool_and(later.started_at >= earlier.ended_at) FROM tasks.attempt later JOIN tasks.scheduler_task_info l ON l.sched_id = later.sched_id
                JOIN tasks.scheduler_task_info e ON e.lane_id = l.lane_id AND e.task_level = l.task_level - 1
                    JOIN tasks.attempt earlier ON earlier.sched_id = e.sched_id WHERE later.list_id = @order
                """,
                new { order }
            )
        ).ShouldBeTrue();
    }

    [Fact]
    public async Task Other_modules_are_told_of_trouble_and_of_its_end_and_of_nothing_else()
    {
        var fine = await host.Order(await host.Template(Step("true")));
        (await host.Ended(fine)).ShouldBe("3");
        var order = await host.Order(await host.Template(Step("exit 1", level: 1), Step("true", level: 2, trigger: "hand")));
        await Told(order, 4);
        (await host.Intervene(order, "skip")).Code().ShouldBe(0);
        await Told(order, 5);
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        await Told(order, 9);
        await Told(await host.Order(await host.Template(Step("true")), schedule: "new"), 1);
        (await host.Ask<int>("SELECT told FROM tasks.scheduler_task_list WHERE list_id = @fine", new { fine })).ShouldBe(0);
    }

    [Fact]
    public async Task What_a_crash_left_untold_is_told_by_the_outbox_and_what_was_told_is_not_told_again()
    {
        var order = await host.Order(await host.Template(Step("exit 1")));
        await Told(order, 4);
        // As a host leaves it that dies between the change and its background job.
        await host.Ask<int>(
            "WITH n AS (INSERT INTO platform.outbox (stream, kind, payload) SELECT 'order:' || CAST(@order AS bigint), 'orders.situation', "
                + "jsonb_build_object('list_id', CAST(@order AS bigint), 'situation', 4)) UPDATE tasks.scheduler_task_list SET told = 0 WHERE list_id = "
                    + "@order RETURNING 1",
            new { order }
        );
        await Told(order, 4);
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM platform.outbox WHERE stream = @stream", new { stream = $"order:{order}" }) == 0,
            "the message is gone"
        );
        await host.Services.GetRequiredService<Advancing>().Now(order);
        (await host.Ask<long>("SELECT count(*) FROM platform.outbox WHERE stream = @stream", new { stream = $"order:{order}" })).ShouldBe(0);
    }

    [Fact]
    public async Task No_order_is_accepted_when_the_disk_is_nearly_full()
    {
        await using var full = await fixture.Another(("Codo:MinFreeDisk", $"{long.MaxValue}"));
        var template = await full.Template(Step("true"));
        var answer = await full.Post("/v2/task/accept/", new { task_name = "x", temp_id = template, hosts = new Dictionary<string, string> { ["1"] = Here } });
        (answer.Code(), ((string)answer["msg"]!).Contains("磁盘")).ShouldBe((-1, true));
    }

    // The code of an order says 6 also of a host that a person stopped.
    private Task IsInterrupted(long order) =>
        Eventually.True(async () => (string)(await host.Check(order))["status"]! == "6", "the stopped host is the most pressing");

    // The gauges count all orders of the database.
    private async Task Shows(long order, string word, (double AwaitPerson, double Interrupted) before)
    {
        var page = (await host.Page($"/orders/{order}", TestTokens.Admin, "en")).Html;
        page.ShouldContain(word);
        page.ShouldNotContain("A host was interrupted");
        var after = await Gauges();
        after.AwaitPerson.ShouldBe(before.AwaitPerson + 1);
        after.Interrupted.ShouldBeLessThanOrEqualTo(before.Interrupted);
    }

    private async Task<(double AwaitPerson, double Interrupted)> Gauges()
    {
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        var orders = (await new OrderGauges().Read(connection, TestContext.Current.CancellationToken)).Where(gauge => gauge.Name == "codo.orders").ToList();
        return (Of("awaits_person"), Of("interrupted"));

        double Of(string word) => orders.Where(gauge => gauge.Word == word).Sum(gauge => gauge.Value);
    }

    private Task Told(long order, short what) =>
        Eventually.True(
            async () => await host.Ask<short>("SELECT told FROM tasks.scheduler_task_list WHERE list_id = @order", new { order }) == what,
            $"told {what}"
        );

    private static Dictionary<string, string> On(int hosts) => new() { ["1"] = string.Join(',', Enumerable.Range(1, hosts).Select(last => $"10.1.0.{last}")) };

    private static JsonArray Groups(string batch, int pause = 0, int maxFailures = 0, string next = "auto") =>
        [new JsonObject { ["group"] = 1, ["batch"] = batch, ["batch_pause"] = pause, ["max_failures"] = maxFailures, ["next"] = next }];

    private Task Count(long order, string state, long count) =>
        Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM tasks.lane WHERE list_id = @order AND state = @state", new { order, state }) == count,
            $"{count} lanes {state}"
        );

    private async Task<long> Accept(long template, object more)
    {
        var body = new JsonObject { ["task_name"] = "timed", ["temp_id"] = template, ["hosts"] = new JsonObject { ["1"] = Here }, ["schedule"] = "ready" };
        foreach (var (key, value) in System.Text.Json.JsonSerializer.SerializeToNode(more)!.AsObject()) body[key] = value?.DeepClone();
        var answer = await host.Post("/v2/task/accept/", body.ToJsonString());
        answer.Code().ShouldBe(0, answer.ToJsonString());
        return (long)answer["list_id"]!;
    }
}
