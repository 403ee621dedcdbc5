using Codo.Tests.Support;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Modules.Tasks.Orders;

/// <summary>What people do to an order that runs.</summary>
public sealed class InterventionTests(OrderFixture fixture) : IClassFixture<OrderFixture>
{
    private const string Here = "127.0.0.1";
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_hand_step_waits_until_it_is_executed()
    {
        var order = await host.Order(
            await host.Template(Step("true", level: 1), Step("true", level: 2, trigger: "hand", name: "gate"), Step("true", level: 3))
        );
        await host.Stands(order, "351");
        var page = await host.Check(order);
        (page["hand_list"]!.ToJsonString(), (string)page["hosts_status"]![Here]!).ShouldBe(("[\"gate\"]", "5"));
        await Eventually.Get<string>(
            () => host.Ask<string?>("SELECT status::text FROM tasks.scheduler_task_list WHERE list_id = @order", new { order }),
            status => status == "5",
            "the order shows 5"
        );
        (await host.Ask<long>("SELECT count(*) FROM tasks.lane WHERE list_id = @order AND node IS NOT NULL", new { order })).ShouldBe(0);

        (await host.Intervene(order, "execute", level: 2)).Code().ShouldBe(-2);
        var first = (long)(await host.Steps(order))[0]["sched_id"]!;
        (await host.Intervene(order, "execute", level: 1, more: new { scheduler_id = first })).Code().ShouldBe(-1);
        var gate = (long)(await host.Steps(order))[1]["sched_id"]!;
        var released = await host.Intervene(order, "execute", level: 2, more: new { scheduler_id = $"{gate}" });
        (released.Code(), (string)released["msg"]!).ShouldBe((0, "审核执行成功"));
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task Put_releases_a_hand_step_on_every_host_that_has_begun_and_on_no_other()
    {
        var template = await host.Template(
            Step("true", group: 1, trigger: "hand", name: "确认", forceHost: Here),
            Step("true", group: 2, trigger: "hand", name: "确认", forceHost: Here)
        );
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2", ["2"] = "10.0.0.3" });
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM tasks.lane WHERE list_id = @order AND state = 'hand'", new { order }) == 2,
            "both wait"
        );
        (await host.Put("/v2/task/check/", new { list_id = order })).Code().ShouldBe(-2);
        (await host.Put("/v2/task/check/", new { list_id = order, hand_task = "nothing" })).Code().ShouldBe(-2);
        ((string)(await host.Put("/v2/task/check/", new { hand_task = "x" }))["msg"]!).ShouldBe("订单ID 不能为空");
        var answer = await host.Put("/v2/task/check/", new { list_id = order, hand_task = "确认" });
        (answer.Code(), (string)answer["msg"]!).ShouldBe((0, "审核干预成功"));
        await host.Stands(order, "3", "&get_run_group=1&get_run_host=10.0.0.2");
        await host.Stands(order, "5", "&get_run_group=2");
        await Eventually.True(
            async () => (await host.Put("/v2/task/check/", new { list_id = order, hand_task = "确认" })).Code() == 0,
            "the second group has begun"
        );
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task Put_with_a_level_opens_that_gate_alone_and_only_where_hosts_stand_at_it()
    {
        var order = await host.Order(
            await host.Template(
                Step("true", level: 1, trigger: "hand", name: "gate"),
                Step("true", level: 2),
                Step("true", level: 3, trigger: "hand", name: "gate")
            )
        );
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM tasks.lane WHERE list_id = @order AND state = 'hand'", new { order }) == 1,
            "it waits"
        );
        var page = await host.Check(order);
        page["hand_steps"]!.AsArray().Select(step => ((int)step!["task_group"]!, (int)step["task_level"]!, (string)step["task_name"]!))
            .ShouldBe([(1, 1, "gate"), (1, 3, "gate")]);
        page["hand_list"]!.ToJsonString().ShouldBe("[\"gate\"]");
        var release = (int level) => host.Put("/v2/task/check/", new { list_id = order, hand_task = "gate", task_group = 1, task_level = level });
        (await release(3)).Code().ShouldBe(-1);
        (await release(1)).Code().ShouldBe(0);
        await host.Stands(order, "335");
        (await release(1)).Code().ShouldBe(-1);
        (await host.Put("/v2/task/check/", new { list_id = order, hand_task = "gate", task_level = 3 })).Code().ShouldBe(-1);
        (await host.Statuses(order)).ShouldBe("335");
        (await release(3)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task A_later_hand_step_may_be_released_ahead()
    {
        var file = fixture.NewFile();
        var order = await host.Order(
            await host.Template(Step($"while ! test -e {file}; do sleep 0.05; done", level: 1), Step("true", level: 2, trigger: "hand"))
        );
        await host.Stands(order, "25");
        var step = (long)(await host.Steps(order))[1]["sched_id"]!;
        (await host.Intervene(order, "execute", level: 2, more: new { scheduler_id = step })).Code().ShouldBe(0);
        await File.WriteAllTextAsync(file, "");
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task Restart_runs_from_a_level_on_and_counts_failures_before_it_as_skipped()
    {
        var (file, flag) = (fixture.NewFile(), fixture.NewFile());
        var order = await host.Order(
            await host.Template(
                Step($"echo 1 >> {file}", level: 1),
                Step($"echo 2 >> {file}; test -e {flag}", level: 2),
                Step($"echo 3 >> {file}", level: 3),
                Step($"echo 4 >> {file}", level: 4, trigger: "hand")
            )
        );
        await host.Stands(order, "3415");
        (await host.Intervene(order, "restart", level: 9)).Code().ShouldBe(-1);
        var answer = await host.Intervene(order, "restart", level: 3);
        (answer.Code(), (string)answer["msg"]!).ShouldBe((0, "重新执行成功"));
        await host.Stands(order, "3335");
        var steps = await host.Steps(order);
        ((string)steps[1]["outcome"]!, (string)steps[1]["cause"]!).ShouldBe(("skipped", "admin"));
        // An earlier step waits for a person.
        await Eventually.True(async () => (await host.Intervene(order, "restart", level: 5)).Code() == -1, "refused");
        await File.WriteAllTextAsync(flag, "");
        (await host.Intervene(order, "restart", level: 1)).Code().ShouldBe(0);
        await host.Stands(order, "3335");
        (await host.Intervene(order, "execute", level: 4, more: new { scheduler_id = (long)steps[3]["sched_id"]! })).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        string.Concat(await File.ReadAllLinesAsync(file)).ShouldBe("1231234");
        (await host.Steps(order)).Select(step => step["attempts"]!.AsArray().Count).ShouldBe([2, 2, 2, 1]);
    }

    [Fact]
    public async Task Restart_from_a_later_level_leaves_out_what_has_not_run_before_it()
    {
        var file = fixture.NewFile();
        var order = await host.Order(
            await host.Template(Step("exit 1", level: 1), Step($"echo 2 >> {file}", level: 2), Step($"echo 3 >> {file}", level: 3))
        );
        await host.Stands(order, "411");
        (await host.Intervene(order, "restart", level: 3)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        string.Concat(await File.ReadAllLinesAsync(file)).ShouldBe("3");
        var steps = await host.Steps(order);
        steps.Select(step => (string)step["outcome"]!).ShouldBe(["skipped", "skipped", "done"]);
        steps.Select(step => step["attempts"]!.AsArray().Count).ShouldBe([1, 0, 1]);
    }

    [Fact]
    public async Task Restart_from_a_later_level_counts_a_step_that_pauses_before_its_retry_as_skipped()
    {
        var file = fixture.NewFile();
        var order = await host.Order(
            await host.Template(Step($"echo 1 >> {file}; exit 1", level: 1, retries: 5, retryDelay: 600), Step($"echo 2 >> {file}", level: 2))
        );
        await Eventually.True(
            async () => await host.Ask<string>("SELECT state FROM tasks.lane WHERE list_id = @order", new { order }) == "timed",
            "the first step pauses"
        );
        (await host.Statuses(order)).ShouldBe("21");
        (await host.Intervene(order, "restart", level: 2)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        string.Concat(await File.ReadAllLinesAsync(file)).ShouldBe("12");
        var first = (await host.Steps(order))[0];
        ((string)first["outcome"]!, (string)first["cause"]!, first["attempts"]!.AsArray().Count).ShouldBe(("skipped", "admin", 1));
    }

    [Fact]
    public async Task Restart_is_refused_while_a_step_of_the_lane_runs()
    {
        var order = await host.Order(await host.Template(Step("sleep 600", level: 1), Step("true", level: 2)));
        await host.Stands(order, "21");
        (await host.Intervene(order, "restart")).Code().ShouldBe(-1);
        (await host.Statuses(order)).ShouldBe("21");
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task Stop_one_kills_the_lane_within_a_second_and_no_later_group_waits_for_it()
    {
        var (file, done) = (fixture.NewFile(), fixture.NewFile());
        var template = await host.Template(
            Step($"echo $$ > {file}.$$; exec sleep 600", level: 1, forceHost: Here),
            Step("true", level: 2, forceHost: Here),
            Step($"echo x >> {done}", group: 2, forceHost: Here)
        );
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1", ["2"] = "10.0.0.2" });
        var started = await Eventually.Get(
            () =>
                Task.FromResult(
                    Directory.GetFiles(Path.GetDirectoryName(file)!, Path.GetFileName(file) + ".*").FirstOrDefault(name => new FileInfo(name).Length > 0)
                ),
            _ => true,
            "it runs"
        );
        var answer = await host.Intervene(order, "stop_one", ip: "10.0.0.1");
        (answer.Code(), (string)answer["msg"]!).ShouldBe((0, "终止此组任务成功"));
        (await host.Statuses(order, "&get_run_group=1")).ShouldBe("66");
        await Eventually.True(() => !IsAlive(File.ReadAllText(started)), "it is dead");
        // Not every step is 3, so the history does not paint it green.
        (await host.Ended(order)).ShouldBe("4");
        File.Exists(done).ShouldBeTrue();
        // The order goes on before the killed command's end is written down.
        var step = await Eventually.Get(
            async () => (await host.Steps(order, "&get_run_group=1"))[0],
            step => !string.IsNullOrEmpty((string?)step["attempts"]![0]!["outcome"]),
            "the attempt's end is recorded"
        );
        ((string)step["outcome"]!, (string)step["cause"]!, (string)step["attempts"]![0]!["outcome"]!).ShouldBe(("stopped", "admin", "stopped"));
    }

    [Fact]
    public async Task A_stopped_lane_can_be_restarted_while_the_order_goes_on()
    {
        var (file, begun) = (fixture.NewFile(), fixture.NewFile());
        var template = await host.Template(Step($"test -e {file} || {{ echo >> {begun}; sleep 600; }}", forceHost: Here));
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2" });
        await host.Stands(order, "2", "&get_run_host=10.0.0.2");
        await host.Stands(order, "2", "&get_run_host=10.0.0.1");
        await Eventually.True(() => File.Exists(begun) && File.ReadAllLines(begun).Length == 2, "both have looked for the file");
        (await host.Intervene(order, "stop_one", ip: "10.0.0.1")).Code().ShouldBe(0);
        await File.WriteAllTextAsync(file, "");
        await Eventually.True(async () => (await host.Intervene(order, "restart", ip: "10.0.0.1")).Code() == 0, "the killed command is gone, so it may");
        await host.Stands(order, "3", "&get_run_host=10.0.0.1");
        (await host.Intervene(order, "stop_one", ip: "10.0.0.2")).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("4");
    }

    [Fact]
    public async Task An_order_that_goes_on_after_one_of_its_hosts_was_stopped_waits_for_nobody()
    {
        var (owner, file) = (TestTokens.For(24, "owner"), fixture.NewFile());
        var template = await host.Template(null, ["24,,,owner"], Step($"while ! test -e {file}; do sleep 0.05; done", forceHost: Here));
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2" }, token: owner);
        await host.Stands(order, "2", "&get_run_host=10.0.0.1");
        await host.Stands(order, "2", "&get_run_host=10.0.0.2");
        (await host.Intervene(order, "stop_one", ip: "10.0.0.1")).Code().ShouldBe(0);
        await Eventually.True(
            async () => await host.Ask<short>("SELECT status FROM tasks.scheduler_task_list WHERE list_id = @order", new { order }) == 6,
            "the order shows 6"
        );
        using var request = TestHost.Request(HttpMethod.Get, "/", null, owner);
        using var page = await host.Http.SendAsync(request, TestContext.Current.CancellationToken);
        var html = await page.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        html.ShouldContain($"\"runs-{order}\"");
        html.ShouldNotContain($"\"wait-{order}\"");
        await File.WriteAllTextAsync(file, "", TestContext.Current.CancellationToken);
        (await host.Ended(order)).ShouldBe("4");
    }

    [Fact]
    public async Task Skip_counts_a_failed_step_as_done()
    {
        var order = await host.Order(await host.Template(Step("exit 1", level: 1), Step("true", level: 2)));
        await host.Stands(order, "41");
        (await host.Intervene(order, "skip", level: 2)).Code().ShouldBe(-1);
        (await host.Intervene(order, "skip", level: 1)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        ((string)(await host.Steps(order))[0]["outcome"]!).ShouldBe("skipped");
    }

    [Fact]
    public async Task Restart_failed_restarts_every_failed_lane_where_it_stands_and_no_other()
    {
        var (file, flag) = (fixture.NewFile(), fixture.NewFile());
        var template = await host.Template(Step($"echo a >> {file}", level: 1, forceHost: Here), Step($"test -e {flag}", level: 2, forceHost: Here));
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2,10.0.0.3" });
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM tasks.lane WHERE list_id = @order AND state = 'failed'", new { order }) == 3,
            "all failed"
        );
        await File.WriteAllTextAsync(flag, "");
        var answer = await host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "restart_failed" });
        (answer.Code(), (string)answer["msg"]!).ShouldBe((0, "重新执行成功"));
        (await host.Ended(order)).ShouldBe("3");
        (await File.ReadAllLinesAsync(file)).Length.ShouldBe(3);
    }

    [Theory]
    [InlineData("restart_failed")]
    [InlineData("restart")]
    public async Task Restart_failed_goes_on_at_the_step_that_failed_where_steps_share_a_level(string type)
    {
        var (file, flag) = (fixture.NewFile(), fixture.NewFile());
        var order = await host.Order(
            await host.Template(
                Step($"echo 1 >> {file}", level: 88, name: "one"),
                Step($"test -e {flag}", level: 88, name: "two"),
                Step($"echo 3 >> {file}", level: 88, name: "three")
            )
        );
        await host.Stands(order, "341");
        await File.WriteAllTextAsync(flag, "");
        var steps = await host.Steps(order);
        var failed = new { scheduler_id = (long)steps[1]["sched_id"]! };
        // A step that is of another level, or of no lane at all.
        (await host.Intervene(order, "restart", level: 1, more: failed)).Code().ShouldBe(-1);
        (await host.Intervene(order, "restart", level: 88, more: new { scheduler_id = 999_999_999 })).Code().ShouldBe(-1);
        (await host.Statuses(order)).ShouldBe("341");
        (await host.Intervene(order, type, level: 88, more: type == "restart" ? failed : null)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        string.Concat(await File.ReadAllLinesAsync(file)).ShouldBe("13");
        (await host.Steps(order)).Select(step => step["attempts"]!.AsArray().Count).ShouldBe([1, 2, 1]);
    }

    [Fact]
    public async Task A_host_that_was_stopped_before_its_turn_and_is_restarted_waits_for_it()
    {
        var gate = fixture.NewFile();
        var template = await host.Template(
            Step($"while ! test -e {gate}; do sleep 0.05; done", group: 1, forceHost: Here),
            Step("true", group: 2, forceHost: Here)
        );
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1", ["2"] = "10.0.0.2" });
        await host.Stands(order, "2");
        (await host.Intervene(order, "stop_one", group: 2, ip: "10.0.0.2")).Code().ShouldBe(0);
        (await host.Intervene(order, "restart", group: 2, ip: "10.0.0.2")).Code().ShouldBe(0);
        (await host.Ask<string>("SELECT state FROM tasks.lane WHERE list_id = @order AND task_group = 2", new { order })).ShouldBe("waiting");
        await File.WriteAllTextAsync(gate, "");
        (await host.Ended(order)).ShouldBe("3");
        (
            await host.Ask<bool>(
                """
                SELECT (SELECT started_at FROM tasks.attempt a JOIN tasks.lane l USING (lane_id) WHERE a.list_id = @order AND l.task_group = 2)
                    >= (SELECT ended_at FROM tasks.attempt a JOIN tasks.lane l USING (lane_id) WHERE a.list_id = @order AND l.task_group = 1)
                """,
                new { order }
            )
        ).ShouldBeTrue();
    }

    [Fact]
    public async Task A_host_that_was_stopped_at_its_first_gate_is_there_again_when_it_is_restarted()
    {
        var template = await host.Template(Step("true", trigger: "hand", forceHost: Here));
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2" });
        await AtTheGate();
        (await host.Intervene(order, "stop_one", ip: "10.0.0.1")).Code().ShouldBe(0);
        (await host.Intervene(order, "restart", ip: "10.0.0.1")).Code().ShouldBe(0);
        // Its batch has begun, so it is opened at once.
        await AtTheGate();
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);

        Task AtTheGate() =>
            Eventually.True(
                async () => await host.Ask<long>("SELECT count(*) FROM tasks.lane WHERE list_id = @order AND state = 'hand'", new { order }) == 2,
                "both are at the gate"
            );
    }

    [Fact]
    public async Task Restart_failed_leaves_alone_what_a_person_stopped_unless_it_is_told_to_take_it_along()
    {
        var (flag, ran) = (fixture.NewFile(), fixture.NewFile());
        var template = await host.Template(Step($"echo a >> {ran}; test -e {flag}", forceHost: Here));
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2,10.0.0.3" });
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM tasks.lane WHERE list_id = @order AND state = 'failed'", new { order }) == 3,
            "all failed"
        );
        (await host.Intervene(order, "stop_one", ip: "10.0.0.1")).Code().ShouldBe(0);
        (await host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "restart_failed" })).Code().ShouldBe(0);
        await Eventually.True(async () => (await File.ReadAllLinesAsync(ran)).Length == 5, "two ran again");
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM tasks.lane WHERE list_id = @order AND state = 'failed'", new { order }) == 2,
            "both failed again"
        );
        (await host.Ask<string>("SELECT state FROM tasks.lane WHERE list_id = @order AND host = '10.0.0.1'", new { order })).ShouldBe("stopped");

        await File.WriteAllTextAsync(flag, "");
        (await host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "restart_failed", include_stopped = true })).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        (await File.ReadAllLinesAsync(ran)).Length.ShouldBe(8);
    }

    [Fact]
    public async Task Restart_failed_leaves_alone_a_host_that_cannot_be_asked_and_names_it()
    {
        var (flag, ran) = (fixture.NewFile(), fixture.NewFile());
        var template = await host.Template(Step($"echo a >> {ran}; test -e {flag}", forceHost: Here));
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2" });
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM tasks.lane WHERE list_id = @order AND state = 'failed'", new { order }) == 2,
            "both failed"
        );
        // As after a lost link to a host that does not answer any more.
        await host.Ask<long>(
            """
            UPDATE tasks.attempt a SET left_behind = 'unreachable', host = '10.255.255.1' FROM tasks.lane l
            WHERE l.lane_id = a.lane_id AND l.list_id = @order AND l.host = '10.0.0.1' RETURNING a.lane_id
            """,
            new { order }
        );
        await File.WriteAllTextAsync(flag, "");
        var body = new { list_id = order, task_group = 1, hand_type = "restart_failed" };
        var answer = await host.Patch("/v2/task/check/", body);
        (answer.Code(), ((string)answer["msg"]!).Contains("10.0.0.1", StringComparison.Ordinal)).ShouldBe((0, true), answer.ToJsonString());
        var left = answer["not_restarted"]!.AsArray().ShouldHaveSingleItem()!;
        ((string)left["host"]!, ((string)left["why"]!).Contains("10.255.255.1", StringComparison.Ordinal)).ShouldBe(("10.0.0.1", true));
        await host.Stands(order, "3", "&get_run_host=10.0.0.2");
        (await host.Ask<string>("SELECT state FROM tasks.lane WHERE list_id = @order AND host = '10.0.0.1'", new { order })).ShouldBe("failed");
        (await File.ReadAllLinesAsync(ran)).Length.ShouldBe(3);
        var told = (await host.Check(order))["events"]!.AsArray().Last(each => (string)each!["action"]! == "restart_failed")!["detail"]!;
        ((string)told["hosts"]!.AsArray().ShouldHaveSingleItem()!, (string)told["not_restarted"]![0]!["host"]!).ShouldBe(("10.0.0.2", "10.0.0.1"));
        ((int)told["not_restarted_count"]!).ShouldBe(1);

        // Where none can be restarted, it is a refusal as of one host.
        var refused = await host.Patch("/v2/task/check/", body);
        (refused.Code(), ((string)refused["msg"]!).Contains("force", StringComparison.Ordinal)).ShouldBe((-1, true), refused.ToJsonString());
        (await host.Intervene(order, "restart", ip: "10.0.0.1", more: new { force = true })).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task Restart_failed_says_that_only_stopped_hosts_are_left()
    {
        var template = await host.Template(Step("exit 1", forceHost: Here));
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2" });
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM tasks.lane WHERE list_id = @order AND state = 'failed'", new { order }) == 2,
            "both failed"
        );
        (await host.Intervene(order, "stop_one", ip: "10.0.0.1")).Code().ShouldBe(0);
        (await host.Intervene(order, "skip", ip: "10.0.0.2")).Code().ShouldBe(0);
        var answer = await host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "restart_failed" });
        answer.Code().ShouldBe(-1);
    }

    [Fact]
    public async Task End_kills_what_runs_and_nothing_else_ever_runs()
    {
        var (file, never) = (fixture.NewFile(), fixture.NewFile());
        var order = await host.Order(
            await host.Template(
                Step($"trap '' TERM; sleep 600 & echo $! > {file}; wait; sleep 600", level: 1),
                Step($"touch {never}", level: 2),
                Step("true", level: 3, trigger: "hand"),
                Step($"touch {never}", group: 2)
            ),
            new Dictionary<string, string> { ["1"] = Here, ["2"] = Here }
        );
        await Eventually.True(() => File.Exists(file) && new FileInfo(file).Length > 0, "it runs");
        var answer = await host.Put("/v2/task/list/", new { list_id = order });
        (answer.Code(), (string)answer["msg"]!).ShouldBe((0, "订单终止成功"));
        (await host.Statuses(order)).ShouldBe("666");
        (await host.Statuses(order, "&get_run_group=2")).ShouldBe("6");
        (await host.Ended(order)).ShouldBe("4");
        await Eventually.True(() => !IsAlive(File.ReadAllText(file)), "the child is dead");
        await Eventually.Get(
            async () => (await host.Steps(order))[0]["attempts"]![0]!.AsObject(),
            attempt => (string?)attempt["outcome"] == "ended",
            "the attempt is ended"
        );
        File.Exists(never).ShouldBeFalse();
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(-1);
        foreach (var type in new[] { "restart", "stop_one", "skip" }) (await host.Intervene(order, type)).Code().ShouldBe(-1);
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" })).Code().ShouldBe(-1);
    }

    [Theory]
    [InlineData("{}", -1, "缺少必要参数")]
    [InlineData("""{"list_id": 1, "task_group": 1, "task_level": 1}""", -1, "缺少必要参数")]
    [InlineData("""{"list_id": 1, "task_group": 1, "task_level": 1, "exec_ip": "127.0.0.1"}""", -1, "执行类型不能为空")]
    [InlineData("""{"list_id": 1, "task_group": 1, "task_level": 1, "exec_ip": "127.0.0.1", "hand_type": "dance"}""", -5, "错误任务类型")]
    [InlineData("""{"list_id": 1, "task_group": 1, "task_level": 1, "exec_ip": "127.0.0.1", "hand_type": "execute"}""", -2, "审批执行任务参数缺失")]
    [InlineData("""{"list_id": 99999999, "task_group": 1, "task_level": 1, "exec_ip": "127.0.0.1", "hand_type": "restart"}""", -1, "没有这个订单")]
    public async Task Refuses_a_wrong_intervention(string body, int code, string msg)
    {
        var answer = await host.Patch("/v2/task/check/", body);
        (answer.Code(), (string)answer["msg"]!).ShouldBe((code, msg));
    }

    [Fact]
    public async Task Only_those_with_the_right_may_and_the_submitter_may_stop_and_end()
    {
        var (friend, submitter, stranger) = (TestTokens.For(21, "friend"), TestTokens.For(22, "submitter"), TestTokens.For(23, "stranger"));
        var template = await host.Template(null, ["21,,,friend"], Step("exit 1", level: 1), Step("true", level: 2));
        var order = await host.Order(template, schedule: "new", token: submitter);
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" }, submitter)).Code().ShouldBe(-2);
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" }, friend)).Code().ShouldBe(0);
        await host.Stands(order, "41");
        (await host.Intervene(order, "skip", token: submitter)).Code().ShouldBe(-2);
        (await host.Intervene(order, "skip", token: stranger)).Code().ShouldBe(-2);
        (await host.Intervene(order, "stop_one", token: stranger)).Code().ShouldBe(-2);
        (await host.Put("/v2/task/list/", new { list_id = order }, stranger)).Code().ShouldBe(-2);
        (await host.Get($"/v2/task/check/?list_id={order}", stranger)).Code().ShouldBe(-1);
        (await host.Get($"/v2/task/check/?list_id={order}", submitter))["data"]!["approval_button"]!.GetValue<bool>().ShouldBeFalse();
        (await host.Get($"/v2/task/check/?list_id={order}", friend))["data"]!["approval_button"]!.GetValue<bool>().ShouldBeTrue();
        (await host.Intervene(order, "stop_one", token: submitter)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("4");
        var events = (await host.Check(order))["events"]!.AsArray().Select(each => $"{each!["user"]} {each["action"]}");
        events.ShouldBe(["submitter create", "friend approve", "submitter stop_one"]);
    }
}
