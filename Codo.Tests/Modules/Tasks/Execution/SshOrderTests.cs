using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
using Codo.Platform.Processes;
using Codo.Tests.Modules.Tasks.Hosts;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Modules.Tasks.Execution;

/// <summary>Orders over SSH: a real sshd on loopback, whose addresses stand for hosts.</summary>
public sealed class SshOrderTests(OrderFixture fixture, TestSshd sshd) : IClassFixture<OrderFixture>, IClassFixture<TestSshd>
{
    private readonly TestHost host = fixture.Host;

    [Theory]
    [InlineData("/bin/bash")]
    [InlineData("/bin/dash")]
    [InlineData("/bin/zsh")]
    public async Task Runs_in_the_login_shell_and_pins_the_host(string shell)
    {
        var alias = await ExecuteUser(sshd.MakeAccount(shell));
        var template = await host.Template(Step("test", "VALUE = VALUE && exit 3", execUser: alias));
        var order = await host.Order(template, OnHosts("127.0.0.2"), new { VALUE = "it's; $(touch x) \"y\"\nz" });
        await host.Stands(order, "4", "&get_run_host=127.0.0.2");
        var step = (await host.Steps(order))[0];
        ((string)step["outcome"]!, (int)step["attempts"]![0]!["exit_code"]!).ShouldBe(("failed", 3));
        (await host.Intervene(order, "skip", ip: "127.0.0.2")).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        (await host.Ask<long>("SELECT count(*) FROM tasks.host_keys WHERE host = '127.0.0.2' AND port = @Port", new { sshd.Port })).ShouldBe(1);
    }

    [Fact]
    public async Task Ending_an_order_kills_the_whole_tree_on_the_host()
    {
        var alias = await ExecuteUser(Environment.UserName);
        var file = fixture.NewFile();
        var order = await host.Order(
            await host.Template(Step($"trap '' TERM; setsid sleep 600 & echo $! > {file}; sleep 600 & wait; sleep 600", execUser: alias)),
            OnHosts("127.0.0.3")
        );
        await Eventually.True(() => File.Exists(file) && File.ReadAllText(file).Length > 0, "the command runs");
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        (await host.Statuses(order)).ShouldBe("6");
        await Eventually.True(() => !IsAlive(File.ReadAllText(file)), "the child in another session is gone too");
        await Eventually.Get(
            async () => (await host.Steps(order))[0]["attempts"]![0]!.AsObject(),
            attempt => (string?)attempt["outcome"] == "ended",
            "the attempt is ended"
        );
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_is_killed_while_its_login_shell_starts_never_runs(bool byPerson)
    {
        var account = sshd.MakeAccount("/bin/zsh", "echo x >> $HOME/begun; while [ ! -e $HOME/go ]; do sleep 0.02; done");
        var home = Path.Combine(sshd.Folder, account);
        var begun = Path.Combine(home, "begun");
        var step = Step("echo ran >> $HOME/ledger; exec sleep 600", execUser: await ExecuteUser(account), timeout: byPerson ? 1800 : 5);
        var order = await host.Order(await host.Template(step), OnHosts("127.0.0.7"));
        await Eventually.True(() => File.Exists(begun), "the login shell reads its start file");
        if (byPerson) (await host.Intervene(order, "stop_one", ip: "127.0.0.7")).Code().ShouldBe(0);
        // Whoever kills looks over a connection of its own, in a login shell of its own.
        await Eventually.True(() => File.ReadAllLines(begun).Length > 1, "the host is asked what is left");
        await File.WriteAllTextAsync(Path.Combine(home, "go"), "");
        var attempt = await Eventually.Get(
            async () => (await host.Steps(order))[0]["attempts"]![0]!.AsObject(),
            attempt => attempt["end_time"] is not null,
            "the attempt is over"
        );
        ((string?)attempt["outcome"], (string?)attempt["left_behind"]).ShouldBe((byPerson ? "stopped" : "timeout", null));
        await Eventually.True(() => Processes(account) == 0, "nothing of the account runs any more");
        File.Exists(Path.Combine(home, "ledger")).ShouldBeFalse();
    }

    [Fact]
    public async Task A_cut_link_is_lost_and_a_restart_kills_first_what_is_left()
    {
        await using var own = new TestSshd();
        await own.InitializeAsync();
        var alias = await ExecuteUser(Environment.UserName, own);
        var (file, ledger) = (fixture.NewFile(), fixture.NewFile());
        var order = await host.Order(
            await host.Template(Step($"echo x >> {ledger}; echo $$ > {file}; exec sleep 600", execUser: alias, retries: 3)),
            OnHosts("127.0.0.4")
        );
        await Eventually.True(() => File.Exists(file) && File.ReadAllText(file).Length > 0, "the command runs");
        var first = await File.ReadAllTextAsync(file);
        own.CutConnections();
        await host.Stands(order, "6");
        var step = (await host.Steps(order))[0];
        ((string)step["outcome"]!, (string)step["attempts"]![0]!["left_behind"]!, step["attempts"]!.AsArray().Count).ShouldBe(("lost", "running", 1));
        IsAlive(first).ShouldBeTrue();

        (await host.Intervene(order, "restart", ip: "127.0.0.4")).Code().ShouldBe(0);
        IsAlive(first).ShouldBeFalse();
        await Eventually.True(
            async () => (await File.ReadAllTextAsync(file)) != first && (await File.ReadAllLinesAsync(ledger)).Length == 2,
            "it runs again, once"
        );

        // Nobody can be asked now: a restart is refused, unless it is forced.
        await own.Stop();
        await host.Stands(order, "6");
        var refused = await host.Intervene(order, "restart", ip: "127.0.0.4");
        (refused.Code(), ((string)refused["msg"]!).Contains("force")).ShouldBe((-1, true));
        await own.Start();
        (await host.Intervene(order, "restart", ip: "127.0.0.4")).Code().ShouldBe(0);
        await Eventually.True(async () => (await File.ReadAllLinesAsync(ledger)).Length == 3, "it runs again, once more");
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task A_restart_ends_what_is_left_of_the_hosts_that_it_restarts_and_of_no_others()
    {
        await using var own = new TestSshd();
        await own.InitializeAsync();
        var alias = await ExecuteUser(Environment.UserName, own);
        var file = fixture.NewFile();
        var order = await host.Order(
            // The address of the server tells which host a process is of.
            await host.Template(
                Step($"echo \"$$ $SSH_CONNECTION\" >> {file}; exec sleep 600", level: 1, execUser: alias),
                Step("true", level: 2, trigger: "hand", execUser: alias)
            ),
            OnHosts("127.0.0.4", "127.0.0.5")
        );
        await Eventually.True(() => Running("127.0.0.4").Count + Running("127.0.0.5").Count == 2, "the command runs on both hosts");
        var (skipped, failed) = (Running("127.0.0.4")[0], Running("127.0.0.5")[0]);
        own.CutConnections();
        foreach (var lost in new[] { "127.0.0.4", "127.0.0.5" }) await host.Stands(order, "65", $"&get_run_host={lost}");
        (await host.Intervene(order, "skip", ip: "127.0.0.4")).Code().ShouldBe(0);
        await Eventually.True(
            async () => await host.Ask<string>("SELECT state FROM tasks.lane WHERE list_id = @order AND host = '127.0.0.4'", new { order }) == "hand",
            "the lane goes on to its gate"
        );

        // What is refused kills nothing.
        (await host.Intervene(order, "restart", level: 9, ip: "127.0.0.5")).Code().ShouldBe(-1);
        (await host.Intervene(order, "restart", ip: "127.0.0.5", more: new { scheduler_id = 999_999_999 })).Code().ShouldBe(-1);
        (IsAlive(skipped), IsAlive(failed)).ShouldBe((true, true));

        (await host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "restart_failed" })).Code().ShouldBe(0);
        (IsAlive(skipped), IsAlive(failed)).ShouldBe((true, false));
        await Eventually.True(() => Running("127.0.0.5").Count == 2, "the one that failed runs again");
        Running("127.0.0.4").Count.ShouldBe(1);
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);

        // Process ids, in the order of their start; SSH_CONNECTION is the client's address and port, then the server's.
        List<string> Running(string address)
        {
            var lines = File.Exists(file) ? File.ReadAllLines(file) : [];
            return [.. lines.Select(line => line.Split(' ')).Where(words => words.Length == 5 && words[3] == address).Select(words => words[0])];
        }
    }

    [Fact]
    public async Task A_connection_that_died_while_its_lane_was_busy_elsewhere_is_made_anew()
    {
        await using var own = new TestSshd();
        await own.InitializeAsync();
        var alias = await ExecuteUser(Environment.UserName, own);
        var (ledger, busy, gate) = (fixture.NewFile(), fixture.NewFile(), fixture.NewFile());
        var order = await host.Order(
            await host.Template(
                Step($"echo 1 >> {ledger}", level: 1, execUser: alias),
                Step($"touch {busy}; while ! test -e {gate}; do sleep 0.05; done", level: 2, forceHost: "127.0.0.1"),
                Step($"echo 3 >> {ledger}", level: 3, execUser: alias)
            ),
            OnHosts("127.0.0.6")
        );
        await Eventually.True(() => File.Exists(busy), "the lane is busy on this machine");
        own.FreezeConnections();
        await File.WriteAllTextAsync(gate, "");
        (await host.Ended(order)).ShouldBe("3");
        string.Concat(await File.ReadAllLinesAsync(ledger)).ShouldBe("13");
        (await host.Steps(order))[2]["attempts"]!.AsArray().Count.ShouldBe(1);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Who_ends_an_order_or_stops_a_lane_ends_what_a_lost_link_left_too(bool wholeOrder)
    {
        await using var own = new TestSshd();
        await own.InitializeAsync();
        var file = fixture.NewFile();
        var order = await host.Order(
            await host.Template(Step($"echo $$ > {file}; exec sleep 600", execUser: await ExecuteUser(Environment.UserName, own))),
            OnHosts("127.0.0.4")
        );
        await Eventually.True(() => File.Exists(file) && File.ReadAllText(file).Length > 0, "the command runs");
        own.CutConnections();
        await host.Stands(order, "6");
        IsAlive(await File.ReadAllTextAsync(file)).ShouldBeTrue();

        var answer = wholeOrder ? await host.Put("/v2/task/list/", new { list_id = order }) : await host.Intervene(order, "stop_one", ip: "127.0.0.4");
        answer.Code().ShouldBe(0);
        IsAlive(await File.ReadAllTextAsync(file)).ShouldBeFalse();
        var attempt = (await host.Steps(order))[0]["attempts"]![0]!;
        ((string)attempt["outcome"]!, (string)attempt["left_behind"]!).ShouldBe(("lost", "gone"));
    }

    [Fact]
    public async Task A_changed_host_key_fails_the_step_and_says_what_to_do()
    {
        await using var own = new TestSshd();
        await own.InitializeAsync();
        var alias = await ExecuteUser(Environment.UserName, own);
        var template = await host.Template(Step("true", execUser: alias));
        (await host.Ended(await host.Order(template, OnHosts("127.0.0.5")))).ShouldBe("3");
        var before = own.HostFingerprint;
        await own.ChangeHostKey();
        var order = await host.Order(template, OnHosts("127.0.0.5"));
        await host.Stands(order, "4");
        var cause = (string)(await host.Steps(order))[0]["cause"]!;
        cause.ShouldContain(before);
        cause.ShouldContain(own.HostFingerprint);
        cause.ShouldContain("DELETE /v2/task/host_key/");
        (await host.Log($"{order}_1_1_127.0.0.5")).ShouldStartWith($"[CMD]: true\n[Codo]: {cause} / The key of ");
        (await host.Delete("/v2/task/host_key/", new { host = "127.0.0.5", port = own.Port })).Code().ShouldBe(0);
        (await host.Intervene(order, "restart", ip: "127.0.0.5")).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task An_unreachable_host_an_unknown_user_and_an_unknown_alias_fail_the_step_and_say_so()
    {
        var nowhere = await ExecuteUser(Environment.UserName, port: TestRedis.FreePort());
        var stranger = await ExecuteUser("nobody-of-that-name");
        var order = await host.Order(
            await host.Template(
                Step("true", group: 1, execUser: nowhere),
                Step("true", group: 2, execUser: stranger),
                Step("true", group: 3, execUser: "no-such-alias"),
                Step("true", group: 4, execUser: nowhere, onError: "continue")
            ),
            Enumerable.Range(1, 4).ToDictionary(group => $"{group}", _ => "127.0.0.6")
        );
        foreach (var (group, outcome) in new[] { (1, "unreachable"), (2, "failed"), (3, "failed") })
        {
            await host.Stands(order, "4", $"&get_run_group={group}");
            ((string)(await host.Steps(order, $"&get_run_group={group}"))[0]["outcome"]!).ShouldBe(outcome);
            (await host.Intervene(order, "skip", ip: "127.0.0.6", group: group)).Code().ShouldBe(0);
        }
        (await host.Ended(order)).ShouldBe("3");
        ((string)(await host.Steps(order, "&get_run_group=4"))[0]["outcome"]!).ShouldBe("ignored");
    }

    [Fact]
    public async Task A_host_that_says_what_cannot_be_stored_fails_its_step_with_what_it_said()
    {
        await using var strange = new FakeSsh([.. FakeSsh.Banner, .. FakeSsh.Disconnect(2, [.. "full\0\u001b[31m"u8, 0xFF])], address: "127.0.0.12");
        var alias = await ExecuteUser("root", port: strange.Port);
        var order = await host.Order(await host.Template(Step("true", execUser: alias)), OnHosts("127.0.0.12"));
        await host.Stands(order, "4");
        var step = (await host.Steps(order))[0];
        ((string)step["outcome"]!, ((string)step["cause"]!).Contains("full␀␛[31m\uFFFD")).ShouldBe(("unreachable", true), (string)step["cause"]!);
        (await host.Ask<string>("SELECT state FROM tasks.lane WHERE list_id = @order", new { order })).ShouldBe("failed");
    }

    [Fact]
    public async Task Runs_over_bastions_and_pins_keys_by_the_way()
    {
        await using var own = new TestSshd();
        await own.InitializeAsync();
        await using var front = new TestSshd();
        await front.InitializeAsync();
        await using var second = new TestSshd();
        await second.InitializeAsync();
        var first = await ExecuteUser(Environment.UserName, front, address: "127.0.0.1");
        var behind = await ExecuteUser(Environment.UserName, second, address: "127.0.0.2", via: first);
        var (one, two) = (await ExecuteUser(Environment.UserName, own, via: first), await ExecuteUser(Environment.UserName, own, via: behind));
        var template = await host.Template(Step("echo over one", execUser: one), Step("echo over two", level: 2, execUser: two));
        var order = await host.Order(template, OnHosts("127.0.0.8", "127.0.0.9"));
        (await host.Ended(order)).ShouldBe("3");
        (await host.Log($"{order}_1_2_127.0.0.9")).ShouldContain("over two");
        front.ConnectionCount.ShouldBe(1);
        var pinned = (await host.Get("/v2/task/host_key/?limit=1000"))["data"]!
            .AsArray()
            .Where(row => new[] { own.Port, front.Port, second.Port }.Contains((int)row!["port"]!))
            .Select(row => $"{row!["path"]}>{row["host"]}:{row["port"]}")
            .Order()
            .ToList();
        var (a, b) = ($"127.0.0.1:{front.Port}", $"127.0.0.2:{second.Port}");
        pinned.ShouldBe(
            new[]
            {
                $">{a}",
                $"{a}>{b}",
                $"{a}>127.0.0.8:{own.Port}",
                $"{a}>127.0.0.9:{own.Port}",
                $"{a},{b}>127.0.0.8:{own.Port}",
                $"{a},{b}>127.0.0.9:{own.Port}",
            }.Order()
        );
        // What is known of the way is not warned of again; another way would be.
        (
            await host.Post(
                "/v2/task/preview/",
                new
                {
                    task_name = "x",
                    temp_id = template,
                    hosts = new Dictionary<string, string> { ["1"] = "127.0.0.8" },
                }
            )
        )["warnings"]!
            .AsArray()
            .ShouldBeEmpty();

        await front.ChangeHostKey();
        var changed = await host.Order(await host.Template(Step("true", execUser: one)), OnHosts("127.0.0.8"));
        await host.Stands(changed, "4");
        ((string)(await host.Steps(changed))[0]["cause"]!).ShouldContain(front.HostFingerprint);
    }

    [Fact]
    public async Task A_strict_host_refuses_whom_it_does_not_know_until_the_key_is_given()
    {
        var failures = new ConcurrentBag<string>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, itself) =>
            {
                if (instrument.Name == "codo.ssh.failures") itself.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((_, _, tags, _) => failures.Add((string)tags[0].Value!));
        listener.Start();
        await using var strict = await fixture.Another(("Codo:Tasks:HostKeys", "strict"));
        var alias = await ExecuteUser(Environment.UserName, on: strict);
        var template = await strict.Template(Step("true", execUser: alias));
        var warned = await strict.Post(
            "/v2/task/preview/",
            new
            {
                task_name = "x",
                temp_id = template,
                hosts = new Dictionary<string, string> { ["1"] = "127.0.0.10" },
            }
        );
        ((string)warned["warnings"]!.AsArray().Single()!).ShouldContain("连接会被拒绝");
        var order = await strict.Order(template, OnHosts("127.0.0.10"));
        await strict.Stands(order, "4");
        var cause = (string)(await strict.Steps(order))[0]["cause"]!;
        cause.ShouldContain(sshd.HostFingerprint);
        cause.ShouldContain("POST /v2/task/host_key/");
        failures.ShouldContain("host_key_unknown", "no alarm of a key that has changed");
        (await strict.Ask<long>("SELECT count(*) FROM tasks.host_keys")).ShouldBe(0);
        (await strict.Post("/v2/task/host_key/", new { known_hosts = $"[127.0.0.10]:{sshd.Port} {await File.ReadAllTextAsync(sshd.In("host.pub"))}" }))
            .Code()
            .ShouldBe(0);
        (await strict.Intervene(order, "restart", ip: "127.0.0.10")).Code().ShouldBe(0);
        (await strict.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task Logs_in_with_a_certificate()
    {
        using var authority = new CertificateAuthority();
        await using var own = new TestSshd { MoreConfiguration = $"TrustedUserCAKeys {authority.PublicFile}" };
        await own.InitializeAsync();
        foreach (var kind in new[] { "ed25519", "rsa", "ecdsa" })
        {
            var (key, certificate) = authority.Certify($"-n {Environment.UserName}", kind);
            var alias = await ExecuteUser(Environment.UserName, own, key: key, certificate: certificate);
            (await host.Ended(await host.Order(await host.Template(Step("true", execUser: alias)), OnHosts("127.0.0.11")))).ShouldBe("3");
            var bare = await ExecuteUser(Environment.UserName, own, key: key);
            var refused = await host.Order(await host.Template(Step("true", execUser: bare)), OnHosts("127.0.0.11"));
            await host.Stands(refused, "4");
        }
    }

    [Fact]
    public async Task Runs_the_lanes_of_many_hosts_at_once()
    {
        var alias = await ExecuteUser(Environment.UserName);
        var file = fixture.NewFile();
        var order = await host.Order(
            await host.Template([.. Enumerable.Range(1, 3).Select(level => Step($"echo x >> {file}", level: level, execUser: alias))]),
            OnHosts([.. TestSshd.Hosts.Skip(1)])
        );
        (await host.Ended(order, 60)).ShouldBe("3");
        (await File.ReadAllLinesAsync(file)).Length.ShouldBe(45);
    }

    // As after a connect that took longer than the node's lease: it was declared dead, its steps were settled, and it is back.
    [Fact]
    public async Task A_command_is_not_sent_once_its_node_is_back_under_another_incarnation()
    {
        var (alias, file) = (await ExecuteUser(Environment.UserName), fixture.NewFile());
        var order = await host.Order(await host.Template(Step("true")), schedule: "new");
        var (node, remote) = (host.Services.GetRequiredService<Node>(), host.Services.GetRequiredService<RemoteSteps>());
        await using var hosts = remote.Hosts();
        await using var output = new NoOutput();
        foreach (var (incarnation, outcome) in new[] { (node.Incarnation - 1, "interrupted"), (node.Incarnation, "done") })
        {
            var run = Guid.NewGuid().ToString("N");
            var step = new ClaimedStep(0, 1, run, 1, "touch", "touch", file, alias, "127.0.0.12", 60, 0, 0, "stop", 1, "{}", null, false, "", "");
            var attempt = new RunningAttempt(new OwnedLane(0, order, 1, "127.0.0.12", node.Name, incarnation, DateTime.UtcNow), step);
            var end = await remote.Run(attempt, $"touch {file}", CommandForm.Plain, null, output, hosts, _ => Task.CompletedTask);
            (end.Outcome, File.Exists(file)).ShouldBe((outcome, outcome == "done"));
        }
    }

    private sealed class NoOutput : StepOutput
    {
        public override ValueTask Append(ReadOnlyMemory<byte> bytes) => ValueTask.CompletedTask;

        public override ValueTask Complete() => ValueTask.CompletedTask;

        public override ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private static int Processes(string account) => int.Parse(TestSshd.Run("sh", "-c", $"ps -o pid= -u {account} | wc -l"));

    private static Dictionary<string, string> OnHosts(params string[] hosts) => new() { ["1"] = string.Join(',', hosts) };

    private async Task<string> ExecuteUser(
        string login,
        TestSshd? server = null,
        int? port = null,
        string? address = null,
        string? via = null,
        string? key = null,
        string? certificate = null,
        TestHost? on = null
    )
    {
        var alias = $"u{Guid.NewGuid():N}";
        var body = new JsonObject
        {
            ["alias_user"] = alias,
            ["exec_user"] = login,
            ["ssh_port"] = port ?? (server ?? sshd).Port,
            ["user_key"] = key ?? (server ?? sshd).PrivateKey,
            ["remarks"] = "",
        };
        (body["ssh_host"], body["via"], body["certificate"]) = (address, via, certificate);
        (await (on ?? host).Post("/v2/task_layout/user/", body.ToJsonString())).Code().ShouldBe(0);
        return alias;
    }
}
