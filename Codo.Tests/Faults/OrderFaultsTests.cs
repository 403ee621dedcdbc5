using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Codo.Host.LocalServices;
using Codo.Platform.Cluster;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Faults;

/// <summary>Orders under real faults: hosts that are killed or stand still, a database that goes away, two hosts on one order.</summary>
public sealed class OrderFaultsTests(TestPostgres postgres, TestSshd sshd) : IClassFixture<TestSshd>, IDisposable
{
    private const string Here = "127.0.0.1";
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-faults-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task Fifty_orders_are_all_accounted_for_after_kills_at_random_moments_and_no_command_ran_twice_for_one_release()
    {
        var database = await Database();
        var ledger = Directory.CreateDirectory(In("ledger")).FullName;
        var nodes = new Dictionary<string, HostProcess> { ["one"] = await Start("one", database), ["two"] = await Start("two", database) };
        try
        {
            var template = await Template(
                nodes["one"],
                [.. Enumerable.Range(1, 3).Select(level => Line("echo $CODO_RUN_ID", $">> {ledger}/FLOW_ID-{level}; sleep 0.1", level))]
            );
            var accepted = new List<long>();
            var random = new Random(20260307);
            for (var round = 0; round < 3; round++)
            {
                var accepting = Enumerable.Range(0, 17).Select(_ => TryAccept(nodes[random.Next(2) == 0 ? "one" : "two"], template)).ToList();
                await Task.WhenAny(Task.WhenAll(accepting), Task.Delay(random.Next(50, 600), TestContext.Current.CancellationToken));
                var victim = round % 2 == 0 ? "one" : "two";
                await nodes[victim].Kill();
                accepted.AddRange((await Task.WhenAll(accepting)).OfType<long>());
                await nodes[victim].DisposeAsync();
                nodes[victim] = await Start(victim, database);
            }
            await using var source = NpgsqlDataSource.Create(database);
            await using var connection = await source.OpenConnectionAsync();
            accepted.Count.ShouldBeGreaterThan(10, "there are orders at all");
            // What was answered is there; what was not may be there too, whole or not at all.
            (
                await connection.ExecuteScalarAsync<long>(
                    "SELECT count(*) FROM tasks.scheduler_task_list WHERE list_id = ANY(@accepted)",
                    new { accepted = accepted.ToArray() }
                )
            ).ShouldBe(accepted.Count);
            (
                await connection.ExecuteScalarAsync<long>(
                    "SELECT count(*) FROM tasks.scheduler_task_list o WHERE (SELECT count(*) FROM tasks.scheduler_task_info i WHERE i.list_id = o.list_id) <> 3"
                )
            ).ShouldBe(0);
            await Eventually.True(
                async () =>
                    await connection.ExecuteScalarAsync<long>(
                        ("SELECT count(*) FROM tasks.scheduler_task_list o WHERE schedule <> 'OK' AND NOT EXISTS (SELECT FROM tasks.lane l WHERE l.list_id = "
                            + "o.list_id AND l.state = 'interrupted')")
                    ) == 0,
                "every order has ended, or waits for a person at an interrupted step",
                60
            );
            // A release is an attempt; each ran once at most, and the done ones exactly once.
            var runs = Directory.GetFiles(ledger).SelectMany(File.ReadAllLines).Where(line => line.Length > 0).ToList();
            runs.ShouldBe(runs.Distinct());
            var done = (await connection.QueryAsync<string>("SELECT run_id FROM tasks.attempt WHERE outcome = 'done'")).ToHashSet();
            done.Except(runs).ShouldBeEmpty();
            done.Count.ShouldBeGreaterThan(10, "and they ran");
            (await connection.ExecuteScalarAsync<long>("SELECT count(*) FROM tasks.attempt WHERE attempt > 1")).ShouldBe(0);
            (await connection.ExecuteScalarAsync<long>("SELECT count(*) FROM tasks.attempt WHERE ended_at IS NULL")).ShouldBe(0);
            // People restart what was interrupted, and all is well.
            foreach (var waiting in (await connection.QueryAsync<long>("SELECT list_id FROM tasks.scheduler_task_list WHERE schedule = 'start'")).ToList())
                (
                    await Send(
                        nodes["two"],
                        HttpMethod.Patch,
                        "/v2/task/check/",
                        new
                        {
                            list_id = waiting,
                            task_group = 1,
                            hand_type = "restart_failed",
                        }
                    )
                ).Code().ShouldBe(0);
            await Eventually.True(
                async () =>
                    await connection.ExecuteScalarAsync<long>("SELECT count(*) FROM tasks.scheduler_task_list WHERE schedule <> 'OK' OR status <> 3") == 0,
                "all ended with 3",
                60
            );
        }
        finally
        {
            foreach (var node in nodes.Values) await node.DisposeAsync();
        }
    }

    [Fact]
    public async Task After_a_kill_in_mid_step_the_next_start_ends_the_survivors_and_a_remote_command_is_ended_by_the_restart()
    {
        var database = await Database();
        var (local, remote) = (In("local"), In("remote"));
        long order;
        await using (var first = await Start("one", database))
        {
            await Send(
                first,
                HttpMethod.Post,
                "/v2/task_layout/user/",
                new
                {
                    alias_user = "me",
                    exec_user = Environment.UserName,
                    ssh_port = sshd.Port,
                    user_key = sshd.PrivateKey,
                    remarks = "",
                }
            );
            var template = await Template(
                first,
                Line(
                    $"if test -n \"$SSH_CONNECTION\"; then echo $$ >> {remote}; else trap '' TERM HUP PIPE; echo $$ >> {local}; fi; while :; do sleep 1; done",
                    "",
                    1
                )
            );
            order = (long)(await TryAccept(first, template, $"{Here},127.0.0.7"))!;
            await Eventually.True(() => Written(local) && Written(remote), "both run");
            await first.Kill();
        }
        OrderHost.IsAlive(Last(local)).ShouldBeTrue("commands outlive their host");
        await using var second = await Start("one", database);
        OrderHost.IsAlive(Last(local)).ShouldBeFalse("survivors are ended before the host listens");
        OrderHost.IsAlive(Last(remote)).ShouldBeTrue("nobody has asked for the remote one's end");
        // A host that does not answer the look of the start in time is unreachable until it has answered.
        foreach (var (host, left) in new[] { (Here, "gone"), ("127.0.0.7", "running") })
            await Eventually.Get(
                async () =>
                {
                    var answer = await Send(second, HttpMethod.Get, $"/v2/task/check/?list_id={order}&get_run_host={host}");
                    var step = answer["data"]!["scheduler_list"]![0]!;
                    return $"{step["task_status"]} {step["outcome"]} {step["attempts"]![0]!["left_behind"]}";
                },
                stands => stands == $"6 interrupted {left}",
                $"what became of the command on {host}"
            );
        var survivor = Last(remote);
        (await Send(second, HttpMethod.Patch, "/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "restart_failed" })).Code().ShouldBe(0);
        OrderHost.IsAlive(survivor).ShouldBeFalse("the restart kills first what is left");
        await Eventually.True(() => File.ReadAllLines(remote).Length == 2 && File.ReadAllLines(local).Length == 2, "both run again, once");
        (await Send(second, HttpMethod.Put, "/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        await Eventually.True(() => !OrderHost.IsAlive(Last(local)) && !OrderHost.IsAlive(Last(remote)), "the end kills both");
    }

    [Fact]
    public async Task A_node_that_stood_still_is_settled_by_another_and_kills_its_command_when_it_is_back()
    {
        var database = await Database();
        var pid = In("pid");
        await using var still = await Start("one", database);
        var template = await Template(still, Line($"echo $$ >> {pid}; exec sleep 600", "", 1));
        var order = (long)(await TryAccept(still, template))!;
        await Eventually.True(() => Written(pid), "it runs");
        await using var other = await Start("two", database);
        Posix.Signal(still.Pid, 19);
        try
        {
            await Eventually.Get(
                async () => (await Send(other, HttpMethod.Get, $"/v2/task/check/?list_id={order}"))["data"]!["scheduler_list"]![0]!.AsObject(),
                step => (string)step["task_status"]! == "6",
                "the other node settles it"
            );
        }
        finally
        {
            Posix.Signal(still.Pid, 18);
        }
        await Eventually.True(() => !OrderHost.IsAlive(Last(pid)), "the command is ended");
        (await Send(other, HttpMethod.Patch, "/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "restart_failed" })).Code().ShouldBe(0);
        await Eventually.True(() => File.ReadAllLines(pid).Length == 2, "it runs again, once");
        (await Send(other, HttpMethod.Put, "/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task Two_hosts_that_race_on_the_same_orders_run_each_step_once()
    {
        await using var first = await TestHost.Start(postgres, null, ("Codo:NodeName", "one"));
        await using var second = await TestHost.Start(postgres, first.Postgres, ("Codo:NodeName", "two"));
        var file = In("ledger");
        var template = await first.Template([.. Enumerable.Range(1, 2).Select(level => Step($"echo $CODO_RUN_ID >> {file}", level: level, forceHost: Here))]);
        var hosts = new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2,10.0.0.3" };
        var orders = await Task.WhenAll(Enumerable.Range(0, 12).Select(n => (n % 2 == 0 ? first : second).Order(template, hosts)));
        // Everybody advances everything, all the time.
        using var over = new CancellationTokenSource();
        var racing = new[] { first, second }.Select(host => Task.Run(async () =>
        {
            var advancing = (Codo.Modules.Tasks.Execution.Advancing)host.Services.GetService(typeof(Codo.Modules.Tasks.Execution.Advancing))!;
            while (!over.IsCancellationRequested)
                foreach (var order in orders) await advancing.Now(order);
        })).ToList();
        foreach (var order in orders) (await first.Ended(order, 60)).ShouldBe("3");
        await over.CancelAsync();
        await Task.WhenAll(racing);
        var lines = await File.ReadAllLinesAsync(file);
        (lines.Length, lines.Distinct().Count()).ShouldBe((72, 72));
        (await first.Ask<long>("SELECT count(*) FROM tasks.attempt WHERE attempt > 1")).ShouldBe(0);
    }

    [Fact]
    public async Task A_stop_on_one_node_reaches_the_command_on_another()
    {
        await using var first = await TestHost.Start(postgres, null, ("Codo:NodeName", "one"));
        var pid = In("pid");
        var order = await first.Order(await first.Template(Step($"echo $$ >> {pid}; exec sleep 600")));
        await Eventually.True(() => Written(pid), "it runs");
        await using var second = await TestHost.Start(postgres, first.Postgres, ("Codo:NodeName", "two"));
        (await second.Intervene(order, "stop_one")).Code().ShouldBe(0);
        await Eventually.True(() => !OrderHost.IsAlive(Last(pid)), "it is dead");
        (await second.Ended(order)).ShouldBe("4");
    }

    [Fact]
    public async Task A_lane_that_is_a_nodes_own_by_its_row_and_runs_nowhere_is_given_back()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:NodeName", "one"));
        var order = await host.Order(await host.Template(Step("true", trigger: "hand", level: 1), Step("true", level: 2)));
        await host.Stands(order, "51");
        // As after a commit whose answer was lost: the row names this node, and no runner has it.
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("UPDATE tasks.scheduler_task_info SET task_status = 1 WHERE list_id = @order", new { order });
        await connection.ExecuteAsync("""
            UPDATE tasks.lane l SET state = 'running', since = now() - interval '1 minute', node = n.name, incarnation = n.incarnation
                FROM platform.node n WHERE l.list_id = @order AND n.name = 'one'
            """, new { order });
        (await host.Ended(order, 60)).ShouldBe("3");
    }

    [Fact]
    public async Task A_row_that_somebody_holds_keeps_no_lane_that_runs_nowhere_from_being_given_back()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:NodeName", "one"));
        var order = await host.Order(await host.Template(Step("true", trigger: "hand", level: 1), Step("true", level: 2)));
        await host.Stands(order, "51");
        await using var connection = await host.Source.OpenConnectionAsync();
        // Of an order that is not there: it is taken back, and leads to nothing.
        await connection.ExecuteAsync("INSERT INTO tasks.advance (list_id, at) VALUES (900001, clock_timestamp() + interval '1 hour')");
        await using var transaction = await connection.BeginTransactionAsync();
        await connection.ExecuteAsync("SELECT list_id FROM tasks.advance WHERE list_id = 900001 FOR UPDATE", transaction: transaction);
        // As after a commit whose answer was lost: the row names this node, and no runner has it.
        await using var other = await host.Source.OpenConnectionAsync();
        await other.ExecuteAsync("UPDATE tasks.scheduler_task_info SET task_status = 1 WHERE list_id = @order", new { order });
        await other.ExecuteAsync(
            """
            UPDATE tasks.lane l SET state = 'running', since = now() - interval '1 minute', node = n.name, incarnation = n.incarnation
                FROM platform.node n WHERE l.list_id = @order AND n.name = 'one'
            """,
            new { order }
        );
        (await host.Ended(order, 60)).ShouldBe("3");
    }

    [Fact]
    public async Task A_lane_that_was_taken_anew_since_it_was_found_to_run_nowhere_is_not_given_back()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:NodeName", "one"));
        var order = await host.Order(await host.Template(Step("true", trigger: "hand")));
        await host.Stands(order, "5");
        var recovery = (Codo.Modules.Tasks.Execution.Recovery)host.Services.GetService(typeof(Codo.Modules.Tasks.Execution.Recovery))!;
        await using var connection = await host.Source.OpenConnectionAsync();
        // Of a node that nobody else looks after.
        const string Stray = """
            UPDATE tasks.lane SET state = 'running', since = now() - interval '1 minute', node = 'two', incarnation = 7 WHERE list_id = @order
            """;
        await connection.ExecuteAsync(Stray, new { order });
        var taken = 0;
        await recovery.RecoverStrays("two", 7, _ =>
        {
            taken += connection.Execute("UPDATE tasks.lane SET since = clock_timestamp() WHERE list_id = @order", new { order });
            return false;
        });
        taken.ShouldBe(1, "it was found, and is taken anew before it is given back");
        (await host.Ask<string>("SELECT state FROM tasks.lane WHERE list_id = @order", new { order })).ShouldBe("running");

        await connection.ExecuteAsync(Stray, new { order });
        await recovery.RecoverStrays("two", 7, _ => false);
        await Eventually.True(
            async () => await host.Ask<string>("SELECT state FROM tasks.lane WHERE list_id = @order", new { order }) == "hand",
            "it is given back, and meets its hand step again"
        );
    }

    [Theory]
    [InlineData(false, 7, "unreachable")]
    [InlineData(true, 8, "unreachable")]
    [InlineData(true, 7, "gone")]
    public async Task A_command_on_another_machine_is_not_taken_for_gone(bool hasJoined, long machineSince, string leftBehind)
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:NodeName", "two"));
        var order = await host.Order(await host.Template(Step("true", trigger: "hand")));
        await host.Stands(order, "5");
        await using var connection = await host.Source.OpenConnectionAsync();
        // What a node leaves that died while the step ran, long ago: by its name its machine is this one, by its boot id it is not. Or it has joined
        // anew since, on this machine, which it came to only then, or was on before.
        await connection.ExecuteAsync(
            """
            WITH node AS (
                INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, heartbeat_at, machine_since)
                VALUES ('one', @incarnation, @machine, @boot, 1, '0.2.0', '-infinity', @machineSince)
            ), step AS (
                UPDATE tasks.scheduler_task_info SET task_status = 2, attempts = 1, tries = 1 WHERE list_id = @order
                RETURNING sched_id, list_id, lane_id, exec_user
            ), lane AS (
                UPDATE tasks.lane SET state = 'running', since = now(), node = 'one', incarnation = 7 WHERE list_id = @order
            )
            INSERT INTO tasks.attempt (sched_id, attempt, list_id, lane_id, node, incarnation, run_id, host, exec_user, process_group, start_ticks, boot_id,
                started_at)
            SELECT sched_id, 1, list_id, lane_id, 'one', 7, @run, @here, exec_user, 99, 1, 'another', '2001-01-01' FROM step
            """,
            new
            {
                order,
                machine = Environment.MachineName,
                run = Guid.NewGuid().ToString("N"),
                here = Here,
                incarnation = hasJoined ? 8L : 7L,
                boot = hasJoined ? Codo.Platform.Processes.RunMark.CurrentBootId : "another",
                machineSince,
            }
        );
        var recovery = (Codo.Modules.Tasks.Execution.Recovery)host.Services.GetService(typeof(Codo.Modules.Tasks.Execution.Recovery))!;
        await recovery.Recover("one", 7, TestContext.Current.CancellationToken);
        var step = (await host.Steps(order))[0];
        ((string)step["task_status"]!, (string)step["attempts"]![0]!["left_behind"]!).ShouldBe(("6", leftBehind));
        var restarted = await host.Intervene(order, "restart");
        var isRefused = leftBehind != "gone";
        (restarted.Code(), ((string)restarted["msg"]!).Contains("force")).ShouldBe((isRefused ? -1 : 0, isRefused));
    }

    [Fact]
    public async Task A_lane_whose_key_cannot_be_opened_any_more_is_restarted_by_force_like_one_whose_host_does_not_answer()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:NodeName", "one"));
        var user = new
        {
            alias_user = "me",
            exec_user = Environment.UserName,
            ssh_port = sshd.Port,
            user_key = sshd.PrivateKey,
            remarks = "",
        };
        (await host.Post("/v2/task_layout/user/", user)).Code().ShouldBe(0);
        var order = await host.Order(await host.Template(Step("false", execUser: "me")), new Dictionary<string, string> { ["1"] = "127.0.0.7" });
        await Eventually.True(() => host.Ask<bool>("SELECT state = 'failed' FROM tasks.lane WHERE list_id = @order", new { order }), "its step has failed");
        // As where its command was left behind, and the master key is another now.
        await host.Ask<int>("UPDATE tasks.attempt SET left_behind = 'running' WHERE list_id = @order RETURNING 1", new { order });
        await host.Ask<int>("UPDATE tasks.scheduler_execute_user SET user_key = '\\x00' WHERE alias_user = 'me' RETURNING 1");

        var refused = await host.Intervene(order, "restart", ip: "127.0.0.7");
        (refused.Code(), ((string)refused["msg"]!).Contains("force", StringComparison.Ordinal)).ShouldBe((-1, true), refused.ToJsonString());
        (await host.Ask<string>("SELECT left_behind FROM tasks.attempt WHERE list_id = @order", new { order })).ShouldBe("unreachable");
        (await host.Intervene(order, "restart", ip: "127.0.0.7", more: new { force = true })).Code().ShouldBe(0);
        var step = await Eventually.Get(
            async () => (JsonObject?)(await host.Steps(order, "&get_run_host=127.0.0.7"))[0],
            now => now["attempts"]!.AsArray().Count == 2 && (string)now["task_status"]! == "4",
            "it is tried again, and fails"
        );
        step["cause"]!.GetValue<string>().ShouldContain("执行用户 me 或其跳板机的私钥无法解密");
    }

    [Fact]
    public async Task A_stop_of_the_host_gives_what_runs_its_grace_and_the_rest_goes_on_at_the_next_start()
    {
        var database = await Database();
        var (gate, file) = (In("gate"), In("steps"));
        long quick, slow;
        Task opened;
        await using (var host = await TestHost.Start(postgres, database, ("Codo:NodeName", "one"), ("Codo:ShutdownGrace", "10")))
        {
            var template = await host.Template(
                Step($"echo 1 >> {file}; while ! test -e {gate}; do sleep 0.05; done", level: 1),
                Step($"echo 2 >> {file}", level: 2)
            );
            quick = await host.Order(template);
            slow = await host.Order(await host.Template(Step("exec sleep 600")));
            await host.Stands(slow, "2");
            await host.Stands(quick, "21");
            opened = OpenWhenItDrains(host.Services.GetRequiredService<Node>());
        }
        await opened;
        await using var next = await TestHost.Start(postgres, database, ("Codo:NodeName", "one"));
        (await next.Ended(quick)).ShouldBe("3");
        (await File.ReadAllTextAsync(file)).ShouldBe("1\n2\n");
        var step = (await next.Steps(slow))[0];
        ((string)step["task_status"]!, (string)step["outcome"]!).ShouldBe(("6", "interrupted"));
        step["attempts"]![0]!["left_behind"].ShouldBeNull();

        // The step ends within the grace, whenever that begins.
        async Task OpenWhenItDrains(Node node)
        {
            await Eventually.True(() => node.Draining, "it drains");
            await File.WriteAllTextAsync(gate, "");
        }
    }

    [Fact]
    public async Task A_database_that_restarts_harms_no_order()
    {
        await using var own = await TestPostgres.StartNew();
        await using var host = await TestHost.Start(own);
        var (gate, file) = (In("gate"), In("steps"));
        var template = await host.Template(
            Step($"echo 1 >> {file}; while ! test -e {gate}; do sleep 0.05; done", level: 1),
            Step($"echo 2 >> {file}", level: 2)
        );
        var order = await host.Order(template);
        await Eventually.True(() => Written(file), "the first step runs");
        await own.Stop();
        await File.WriteAllTextAsync(gate, "");
        await own.Start();
        await Eventually.Get(
            async () =>
            {
                try
                {
                    return await host.Ask<string>("SELECT schedule || status FROM tasks.scheduler_task_list WHERE list_id = @order", new { order });
                }
                catch (NpgsqlException)
                {
                    return null;
                }
            }, state => state == "OK3", "the order ends well");
        (await File.ReadAllTextAsync(file)).ShouldBe("1\n2\n");
    }

    private static bool Written(string file) => File.Exists(file) && new FileInfo(file).Length > 1;

    private static string Last(string file) => File.ReadAllLines(file)[^1];

    private string In(string name) => Path.Combine(folder.FullName, name);

    private async Task<string> Database() => await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));

    private Task<HostProcess> Start(string node, string database) =>
        HostProcess.Start(
            In(node),
            environment:
            [
                ("ConnectionStrings__Postgres", database),
                ("Codo__Auth__TokenSecret", TestTokens.Secret),
                ("Codo__MasterKey", "a-master-key-for-tests-of-more-than-32-bytes"),
                ("Codo__NodeName", node),
                ("Codo__TimeZone", "Asia/Shanghai"),
            ]
        );

    private static JsonObject Line(string command, string args, int level) => Step(command, args, level: level, execUser: "me");

    private static async Task<long> Template(HostProcess host, params JsonObject[] steps)
    {
        var name = Guid.NewGuid().ToString("N");
        (await Send(host, HttpMethod.Post, "/v2/task_layout/temp/", new { temp_name = name })).Code().ShouldBe(0);
        var id = (long)(await Send(host, HttpMethod.Get, $"/v2/task_layout/temp/?key=temp_name&value={name}"))["data"]![0]!["temp_id"]!;
        (await Send(host, HttpMethod.Put, "/v2/task_layout/details/", new { temp_id = id, new_temp_data = steps })).Code().ShouldBe(0);
        return id;
    }

    private static async Task<long?> TryAccept(HostProcess host, long template, string hosts = Here)
    {
        try
        {
            var answer = await Send(
                host,
                HttpMethod.Post,
                "/v2/task/accept/",
                new
                {
                    task_name = "fault",
                    temp_id = template,
                    hosts = new Dictionary<string, string> { ["1"] = hosts },
                    schedule = "ready",
                }
            );
            // A refusal is no fault.
            answer.Code().ShouldBe(0, answer.ToJsonString());
            return (long)answer["list_id"]!;
        }
        catch (Exception error) when (error is HttpRequestException or IOException or TaskCanceledException)
        {
            // The host died over it.
            return null;
        }
    }

    private static async Task<JsonObject> Send(HostProcess host, HttpMethod method, string path, object? body = null)
    {
        using var http = new HttpClient { BaseAddress = host.Address };
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : JsonContent.Create(body) };
        request.Headers.Add("auth-key", TestTokens.Admin);
        using var response = await http.SendAsync(request);
        return (await response.Content.ReadFromJsonAsync<JsonObject>())!;
    }
}
