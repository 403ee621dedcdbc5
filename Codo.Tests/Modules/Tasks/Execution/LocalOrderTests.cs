using System.Text.Json.Nodes;
using Codo.Host.LocalServices;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
using Codo.Platform.Processes;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Modules.Tasks.Execution;

/// <summary>How orders run, on Codo's own machine: levels, groups, lanes, retries, limits, arguments. Lanes on made-up hosts are forced to this one.</summary>
public sealed class LocalOrderTests(OrderFixture fixture) : IClassFixture<OrderFixture>
{
    private const string Here = "127.0.0.1";
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Runs_its_steps_by_level_and_ends_with_3()
    {
        var file = fixture.NewFile();
        var template = await host.Template(
            Step($"echo third >> {file}", level: 3),
            Step($"echo first >> {file}", level: 1),
            Step($"echo second >> {file}", level: 2)
        );
        var order = await host.Order(template);

        (await host.Ended(order)).ShouldBe("3");
        (await File.ReadAllLinesAsync(file)).ShouldBe(["first", "second", "third"]);
        var steps = await host.Steps(order);
        steps.ShouldAllBe(step => (string)step["outcome"]! == "done");
        steps.ShouldAllBe(step => (int)step["attempts"]![0]!["exit_code"]! == 0);
    }

    [Fact]
    public async Task A_step_on_this_machine_tells_what_its_tree_uses_while_it_runs_and_afterwards()
    {
        var go = fixture.NewFile();
        // A grandchild that works, then one that waits.
        var wait = $"while ! test -e {go}; do sleep 0.05; done";
        var template = await host.Template(
            Step($"sh -c '(timeout 0.3 sh -c \"while :; do :; done\"); true'; sh -c '{wait}' child"),
            Step("kill -9 $$", level: 2, onError: "continue")
        );
        var order = await host.Order(template);
        var usage = (JsonObject?)null;
        await Eventually.True(
            async () =>
                (usage = await Usage(order)) is { } live
                && (int)live["code"]! == 0
                && (bool)live["running"]!
                && live["processes"]!.AsArray().Count >= 2
                && (double?)live["usage"]?["cpu_seconds"] > 0.02,
            "the step is seen at work"
        );
        ((long?)usage!["memory_bytes"]).ShouldNotBeNull().ShouldBeGreaterThan(0);
        usage["processes"]!.AsArray().ShouldContain(process => ((string)process!["command"]!).Contains("child", StringComparison.Ordinal));
        await File.WriteAllTextAsync(go, "");
        (await host.Ended(order)).ShouldBe("3");
        var ended = await Usage(order);
        ((bool)ended["running"]!, ended["at"], ended["processes"]!.AsArray().Count).ShouldBe((false, null, 0));
        ((double)ended["usage"]!["cpu_seconds"]!).ShouldBeInRange((double)usage["usage"]!["cpu_seconds"]! - 0.001, 10);
        // The same with the attempt, and of one that was killed too.
        var steps = await host.Steps(order);
        JsonNode.DeepEquals(steps[0]["attempts"]![0]!["usage"], ended["usage"]).ShouldBeTrue();
        ((string)steps[1]["attempts"]![0]!["usage"]!["source"]!).ShouldBeOneOf("rusage", "both");
        ((int)(await host.Get($"/v2/task/log/usage/?log_key={order}_1_9_{Here}"))["code"]!).ShouldBe(-1);
        ((int)(await host.Get($"/v2/task/log/usage/?log_key={order}_1_1_{Here}", TestTokens.For(5, "bob")))["code"]!).ShouldBe(-1);
    }

    [Fact]
    public async Task What_a_dead_start_left_is_looked_for_again_where_the_database_has_cut_the_first_look_short()
    {
        var order = await host.Order(await host.Template(Step("true", trigger: "hand")));
        await host.Stands(order, "5");
        var commands = Enumerable.Range(1, 2).Select(_ => LocalCommand.Start("exec sleep 1000", $"left-{Guid.NewGuid():N}")).ToArray();
        var ends = commands.Select(command => command.ReadToEndAsync(_ => ValueTask.CompletedTask)).ToArray();
        for (var attempt = 1; attempt <= commands.Length; attempt++)
            await host.Ask<int>(
                """
                INSERT INTO tasks.attempt (sched_id, attempt, list_id, lane_id, node, incarnation, run_id, boot_id, host, exec_user, ended_at, outcome,
                    left_behind, log_whole)
                SELECT sched_id, @attempt, list_id, lane_id, @node, 0, @run, @boot, @Here, exec_user, clock_timestamp(), 'interrupted', 'unreachable', true
                FROM tasks.scheduler_task_info WHERE list_id = @order RETURNING 1
                """,
                new
                {
                    attempt,
                    node = host.Services.GetRequiredService<Node>().Name,
                    run = commands[attempt - 1].Mark.RunId,
                    boot = commands[attempt - 1].Mark.BootId,
                    Here,
                    order,
                }
            );
        // As at the start of a host: it has not looked yet.
        using var work = ActivatorUtilities.CreateInstance<OrderWork>(host.Services);
        await using (var holder = await host.Source.OpenConnectionAsync())
        {
            await using var transaction = await holder.BeginTransactionAsync();
            await holder.ExecuteAsync("SELECT FROM tasks.attempt WHERE list_id = @order FOR UPDATE", new { order }, transaction);
            var first = work.Poll(CancellationToken.None);
            await host.CancelBehind(holder, first, "the first look is cut short");
            (await Should.ThrowAsync<PostgresException>(() => first)).SqlState.ShouldBe(PostgresErrorCodes.QueryCanceled);
        }
        await work.Poll(CancellationToken.None);
        (await host.Ask<string>("SELECT string_agg(left_behind, ' ') FROM tasks.attempt WHERE list_id = @order", new { order })).ShouldBe("gone gone");
        (await Task.WhenAll(ends)).ShouldAllBe(end => end.Signal == "SIGTERM");
    }

    [Fact]
    public async Task Nothing_runs_on_this_machine_where_that_is_not_allowed()
    {
        await using var closed = await fixture.Another(("Codo:Tasks:AllowLocal", "false"));
        foreach (var (command, forced, at) in new[] { ("touch", "", Here), ("touch", Here, "10.0.0.1"), ("#!/bin/sh\ntouch", "", Here) })
        {
            var file = fixture.NewFile();
            var template = await closed.Template(Step($"{command} {file}", forceHost: forced));
            var order = await closed.Order(template, new Dictionary<string, string> { ["1"] = at });
            await closed.Stands(order, "4", $"&get_run_host={at}");
            var step = (await closed.Steps(order, $"&get_run_host={at}"))[0];
            ((string)step["outcome"]!).ShouldBe("failed", command);
            ((string)step["cause"]!).ShouldContain("Codo:Tasks:AllowLocal", Case.Sensitive, command);
            File.Exists(file).ShouldBeFalse(command);
        }
    }

    private async Task<JsonObject> Usage(long order) => await host.Get($"/v2/task/log/usage/?log_key={order}_1_1_{Here}");

    [Fact]
    public async Task Says_when_a_background_process_held_the_output_open()
    {
        var file = fixture.NewFile();
        var order = await host.Order(await host.Template(Step($"sleep 600 & echo $! > {file}; echo up")));
        (await host.Ended(order)).ShouldBe("3");
        Posix.Signal(int.Parse(await File.ReadAllTextAsync(file)), Posix.Kill);
        var step = (await host.Steps(order))[0];
        ((string)step["outcome"]!, (string)step["cause"]!).ShouldBe(("done", "命令已结束，仍有 1 个后台进程占用输出；它们继续运行，此后的输出不再保留"));
        (await host.Log($"{order}_1_1_{Here}")).ShouldContain($"up\n[Codo]: {step["cause"]} / The command has ended");
    }

    [Fact]
    public async Task Groups_go_in_ascending_order_and_wait_for_every_lane_before_them()
    {
        var file = fixture.NewFile();
        var template = await host.Template(
            Step($"echo 2 >> {file}", group: 20, forceHost: Here),
            Step($"echo 1 >> {file}; sleep 0.1; echo 1 >> {file}", group: 3, forceHost: Here),
            Step($"echo 3 >> {file}", group: 100, forceHost: Here)
        );
        var order = await host.Order(
            template,
            new Dictionary<string, string>
            {
                ["3"] = "10.0.0.1,10.0.0.2,10.0.0.3",
                ["20"] = "10.0.0.1,10.0.0.2",
                ["100"] = "10.0.0.9",
            }
        );

        (await host.Ended(order)).ShouldBe("3");
        string.Concat(await File.ReadAllLinesAsync(file)).ShouldBe("111111223");
    }

    [Fact]
    public async Task A_failed_step_halts_its_lane_others_go_on_and_later_groups_wait()
    {
        var flag = fixture.NewFile();
        // Each lane runs the same line: the one that makes the folder is the one that fails.
        var template = await host.Template(
            Step($"mkdir {flag} || exit 0; exit 3", level: 1, forceHost: Here),
            Step("true", level: 2, forceHost: Here),
            Step("true", group: 2, forceHost: Here)
        );
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2,10.0.0.3", ["2"] = "10.0.0.4" });

        var data = await Eventually.Get(
            async () => await host.Check(order),
            page => page["hosts_status"]!.AsObject().Select(pair => (string)pair.Value!).Order().SequenceEqual(["3", "3", "4"]),
            "one of three failed"
        );
        var failed = data["hosts_status"]!.AsObject().Single(pair => (string)pair.Value! == "4").Key;
        (
            string.Concat((await host.Steps(order, $"&get_run_host={failed}")).Select(step => (string)step["task_status"]!)),
            (string)data["schedule"]!,
            (string)data["run_group"]!
        ).ShouldBe(("41", "start", "1"));
        var step = (await host.Steps(order, $"&get_run_host={failed}"))[0];
        ((string)step["outcome"]!, (int)step["attempts"]![0]!["exit_code"]!).ShouldBe(("failed", 3));
        (await host.Statuses(order, "&get_run_group=2")).ShouldBe("1");
        await Eventually.Get<string>(
            () => host.Ask<string?>("SELECT status::text FROM tasks.scheduler_task_list WHERE list_id = @order", new { order }),
            status => status == "4",
            "the order shows 4"
        );

        (await host.Intervene(order, "restart", level: 1, ip: failed)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        (await host.Steps(order, $"&get_run_host={failed}"))[0]["attempts"]!.AsArray().Count.ShouldBe(2);
    }

    [Fact]
    public async Task A_step_is_retried_as_often_as_it_may_be()
    {
        var file = fixture.NewFile();
        var template = await host.Template(Step($"echo x >> {file}; test $(wc -l < {file}) -ge 3", retries: 2, retryDelay: 0));
        var order = await host.Order(template);
        (await host.Ended(order)).ShouldBe("3");
        (await host.Steps(order))[0]["attempts"]!.AsArray().Select(attempt => (string)attempt!["outcome"]!).ShouldBe(["failed", "failed", "done"]);

        var again = await host.Order(await host.Template(Step("exit 7", retries: 1)));
        await host.Stands(again, "4");
        (await host.Steps(again))[0]["attempts"]!.AsArray().Count.ShouldBe(2);
        (await host.Intervene(again, "restart")).Code().ShouldBe(0);
        await Eventually.True(async () => (await host.Steps(again))[0]["attempts"]!.AsArray().Count == 4, "a restart gives the retries anew");
    }

    [Fact]
    public async Task A_retry_waits_and_holds_no_slot_and_a_person_may_cut_the_wait_short_or_stop_it()
    {
        var order = await host.Order(await host.Template(Step("exit 7", retries: 5, retryDelay: 600)));
        var step = await Eventually.Get(async () => (await host.Steps(order))[0], step => ((string)step["cause"]!).Length > 0, "it waits");
        ((string)step["task_status"]!, step["attempts"]!.AsArray().Count, (int)step["retry_delay"]!).ShouldBe(("2", 1, 600));
        ((string)step["cause"]!).ShouldContain("秒后第 1 次重试（共 5 次）");
        (await host.Ask<string>("SELECT state FROM tasks.lane WHERE list_id = @order", new { order })).ShouldBe("timed");
        (
            await host.Ask<double>("SELECT CAST(extract(epoch FROM due_at - since) AS float8) FROM tasks.lane WHERE list_id = @order", new { order })
        ).ShouldBeInRange(470, 730);
        // Moving the order's time moves no retry.
        await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00:00" });
        (await host.Ask<bool>("SELECT due_at > now() + interval '5 minutes' FROM tasks.lane WHERE list_id = @order", new { order })).ShouldBeTrue();

        (await host.Intervene(order, "restart")).Code().ShouldBe(0);
        await Eventually.True(async () => (await host.Steps(order))[0]["attempts"]!.AsArray().Count == 2, "it runs again at once");
        (await host.Intervene(order, "stop_one")).Code().ShouldBe(0);
        await host.Stands(order, "6");
        await Eventually.True(
            async () => await host.Ask<string>("SELECT schedule FROM tasks.scheduler_task_list WHERE list_id = @order", new { order }) == "OK",
            "the order ends"
        );
    }

    [Fact]
    public async Task A_retry_comes_when_its_pause_is_over()
    {
        var file = fixture.NewFile();
        var order = await host.Order(await host.Template(Step($"echo x >> {file}; test $(wc -l < {file}) -ge 2", retries: 1)));
        (await host.Ended(order)).ShouldBe("3");
        var attempts = (await host.Steps(order))[0]["attempts"]!.AsArray();
        attempts.Select(attempt => (string)attempt!["outcome"]!).ShouldBe(["failed", "done"]);
        (
            await host.Ask<double>(
                "SELECT CAST(extract(epoch FROM max(started_at) - min(ended_at)) AS float8) FROM tasks.attempt WHERE list_id = @order",
                new { order }
            )
        ).ShouldBeGreaterThan(0.75);
    }

    [Theory]
    [InlineData(1, 1, 0, 0.8)]
    [InlineData(1, 1, 1, 1.2)]
    [InlineData(2, 4, 0.5, 16)]
    [InlineData(0, 9, 1, 0)]
    [InlineData(3600, 100, 0.5, 86_400)]
    public void Retries_pause_twice_as_long_each_time(int delay, int tries, double chance, double seconds) =>
        RetryPause.Of(delay, tries, chance).TotalSeconds.ShouldBe(seconds, 0.001);

    [Fact]
    public async Task A_step_that_may_fail_counts_as_done_and_says_ignored()
    {
        var order = await host.Order(await host.Template(Step("exit 5", level: 1, onError: "continue"), Step("true", level: 2)));
        (await host.Ended(order)).ShouldBe("3");
        (await host.Steps(order)).Select(step => (string)step["outcome"]!).ShouldBe(["ignored", "done"]);
    }

    [Fact]
    public async Task A_step_past_its_time_limit_is_killed_with_all_that_it_started()
    {
        var file = fixture.NewFile();
        // It ignores TERM and has a child in a session of its own.
        var order = await host.Order(await host.Template(Step($"trap '' TERM; setsid sleep 77 & echo $! > {file}; sleep 78 & wait", timeout: 5)));
        await host.Stands(order, "4");
        ((string)(await host.Steps(order))[0]["outcome"]!).ShouldBe("timeout");
        IsAlive(await File.ReadAllTextAsync(file)).ShouldBeFalse();
    }

    [Theory]
    [InlineData("it's")]
    [InlineData("say \"hi\"")]
    [InlineData("x; touch /tmp/never-{0}")]
    [InlineData("$(touch /tmp/never-{0})")]
    [InlineData("`id` $HOME * ~ \\ & | > <")]
    [InlineData("two\nlines")]
    [InlineData("")]
    [InlineData("-n")]
    [InlineData("中文 😀")]
    public async Task A_value_reaches_the_command_as_one_argument(string value)
    {
        var file = fixture.NewFile();
        var order = await host.Order(await host.Template(Step("printf '%s|'", $"before VALUE after-FLOW_ID > {file}")), args: new { VALUE = value });
        (await host.Ended(order)).ShouldBe("3");
        (await File.ReadAllTextAsync(file)).ShouldBe($"before|{value}|after-{order}|");
        File.Exists("/tmp/never-{0}").ShouldBeFalse();
    }

    [Fact]
    public async Task A_secret_is_sealed_in_the_row_masked_in_answers_and_given_to_the_command()
    {
        var file = fixture.NewFile();
        var template = await host.Template(Step("printf %s", $"DB_PASSWORD > {file}"));
        var order = await host.Order(template, args: new { DB_PASSWORD = "hunter2-hunter2" });
        (await host.Ended(order)).ShouldBe("3");
        (await File.ReadAllTextAsync(file)).ShouldBe("hunter2-hunter2");
        var page = await host.Check(order);
        ((string)page["new_args"]!["DB_PASSWORD"]!).ShouldBe("******");
        page.ToJsonString().ShouldNotContain("hunter2");
        (await host.Ask<long>("SELECT count(*) FROM tasks.scheduler_task_list o WHERE o::text LIKE '%hunter2%'")).ShouldBe(0);
        (await host.Ask<long>("SELECT count(*) FROM platform.audit o WHERE o::text LIKE '%hunter2%'")).ShouldBe(0);
        var refused = await host.Post("/v2/task/accept/", new { task_name = "x", temp_id = template, hosts = new { }, args = new { DB_PASSWORD = "******" } });
        (refused.Code(), ((string)refused["msg"]!).Contains("DB_PASSWORD")).ShouldBe((-1, true));
    }
}
