using Codo.Platform.Cluster;
using Codo.Tests.Host.Client;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Operations;

/// <summary>A drained node finishes what runs and takes nothing new, over a restart too.</summary>
public sealed class DrainTests(TestPostgres postgres)
{
    [Fact]
    public async Task A_drained_node_finishes_what_runs_and_takes_nothing_new_until_it_is_undrained()
    {
        await using var first = await TestHost.Start(postgres, null, ("Codo:NodeName", "a"));
        var second = await first.Again(("Codo:NodeName", "b"));
        try
        {
            using var folder = new TestFolder();
            var go = folder.At("go");
            await first.Make(new { job_id = "long", cmd = $"while [ ! -e {go} ]; do sleep 0.05; done", cron = CronClient.Never });
            await first.Make(new { job_id = "short", cmd = "true", cron = CronClient.Never, overlap = "allow" });
            var template = await OrderHost.Template(first, OrderHost.Step("true"));

            (await Drain(first, "a"))["warnings"]!.AsArray().ShouldBeEmpty("b takes work");
            var log = await first.RunNow("long");
            await first.Running(log);
            (await NodeOf(first, log)).ShouldBe("b");
            (await first.Post("/v2/nodes/undrain/", new { name = "a" })).Code().ShouldBe(0);
            ((long)(await Drain(first, "b"))["running"]!).ShouldBe(1, "it says what it still has to finish");
            (await first.Post("/v2/nodes/drain/", new { name = "b" })).Code().ShouldNotBe(0);
            (await first.Post("/v2/nodes/drain/", new { name = "c" })).Msg().ShouldContain("c");
            await Eventually.True(() => second.Services.GetRequiredService<Node>().IsDrained, "b has heard of it");

            for (var i = 0; i < 3; i++) (await NodeOf(first, (await first.Ended(await second.RunNow("short")))["log_id"]!.GetValue<long>())).ShouldBe("a");
            var order = await OrderHost.Order(second, template);
            (await OrderHost.Ended(first, order)).ShouldBe("3");
            (await first.Ask<string>($"SELECT node FROM tasks.attempt WHERE list_id = {order}")).ShouldBe("a");
            await File.WriteAllTextAsync(go, "", TestContext.Current.CancellationToken);
            (await first.Ended(log)).Status().ShouldBe("success", "what ran goes on to its end");
            (await Client("node", "list")).Lines.Single(line => line.StartsWith("b ", StringComparison.Ordinal)).ShouldContain("drained");
            await Eventually.True(
                async () => await first.Count("SELECT count(*) FROM hangfire.server") == 1,
                "its Hangfire server has left: a worker would take wake-ups that others wait for"
            );

            // The last node that takes work.
            var warned = (await Client("node", "drain", "a")).Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            warned.Length.ShouldBe(2, "jobs and orders wait, and each is said once");
            warned.ShouldAllBe(line => line.StartsWith("warning: No other node takes ", StringComparison.Ordinal));
            var waits = await first.RunNow("short");
            (await first.Get("/v2/nodes/"))["data"]!
                .AsArray()
                .ShouldAllBe(node => node!["drained_at"] != null);
            await second.DisposeAsync();
            (await first.Get("/v2/nodes/"))["data"]!.AsArray().Single(node => (string)node!["name"]! == "b")!["heartbeat_at"]!
                .GetValue<string>()
                .ShouldStartWith("20", customMessage: "a node that has left was seen when it left");
            second = await first.Again(("Codo:NodeName", "b"));
            second.Services.GetRequiredService<Node>().IsDrained.ShouldBeTrue("a restart changes nothing");
            (await first.Log(waits)).Status().ShouldBe("queued");
            (await Client("node", "undrain", "b")).Code.ShouldBe(0);
            (await NodeOf(first, (await first.Ended(waits))["log_id"]!.GetValue<long>())).ShouldBe("b");
        }
        finally
        {
            await second.DisposeAsync();
        }

        Task<ClientRun> Client(params string[] arguments) =>
            ClientHost.RunIn("", [("CODO_URL", first.Http.BaseAddress!.ToString()), ("CODO_TOKEN", TestTokens.Admin)], arguments);
    }

    [Fact]
    public async Task Draining_the_last_node_of_a_role_warns_although_others_are_there()
    {
        await using var first = await TestHost.Start(postgres, null, ("Codo:NodeName", "a"));
        await using var web = await first.Again(("Codo:NodeName", "w"), ("Codo:Node:Roles", "web, orders"));
        var warnings = (await Drain(first, "a"))["warnings"]!.AsArray();
        ((string)warnings.ShouldHaveSingleItem()!).ShouldContain("cron");
        using var page = TestHost.Request(HttpMethod.Get, "/nodes", null, TestTokens.Admin);
        page.Headers.Add("Accept-Language", "en");
        (await first.Post("/v2/nodes/undrain/", new { name = "a" })).Code().ShouldBe(0);
        using var shown = await first.Http.SendAsync(page, TestContext.Current.CancellationToken);
        (await shown.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldContain("No other node has the role cron:");
    }

    [Fact]
    public async Task A_node_that_is_to_stop_takes_no_wake_ups_while_requests_are_still_under_way()
    {
        await using var host = await TestHost.Start(postgres);
        const string servers = "SELECT count(*) FROM hangfire.server";
        await Eventually.True(async () => await host.Count(servers) == 1, "its Hangfire server is there");
        // The signal alone: nothing is stopped before the requests have ended.
        host.Services.GetRequiredService<IHostApplicationLifetime>().StopApplication();
        await Eventually.True(async () => await host.Count(servers) == 0, "its Hangfire server has left");
    }

    [Fact]
    public async Task A_node_without_the_role_cron_queues_no_wake_ups_while_nobody_is_there_to_take_them()
    {
        await using var first = await TestHost.Start(postgres, null, ("Codo:NodeName", "a"));
        await using var web = await first.Again(("Codo:NodeName", "w"), ("Codo:Node:Roles", "web, orders"), ("Codo:SchedulePolling", "1"));
        await first.Make(new { job_id = "tick", cmd = "true", cron = "* * * * * *" });
        await Eventually.True(async () => await first.Count("SELECT count(*) FROM cron.cron_log WHERE status = 'success'") > 0, "it fires");
        await Eventually.True(async () => await first.Count("SELECT count(*) FROM hangfire.set WHERE key = 'recurring-jobs'") == 1, "Hangfire knows it");
        await Drain(first, "a");
        await Eventually.True(async () => await first.Count("SELECT count(*) FROM hangfire.server") == 1, "a's Hangfire server has left");
        var queued = await first.Ask<long>("SELECT coalesce(max(id), 0) FROM hangfire.jobqueue");
        // The trigger has put it off by ten seconds; now it is due for any schedule that looks.
        var due = await first.Ask<DateTime>("UPDATE hangfire.set SET score = 0 WHERE key = 'recurring-jobs' RETURNING clock_timestamp()");
        await Eventually.True(
            () => first.Ask<bool>("SELECT heartbeat_at > @due + interval '6 seconds' FROM platform.node WHERE name = 'w'", new { due }),
            "w has looked at its work several times"
        );
        (await first.Ask<long>("SELECT count(*) FROM hangfire.jobqueue WHERE queue = 'cron' AND id > @queued", new { queued })).ShouldBe(0);
        (await first.Post("/v2/nodes/undrain/", new { name = "a" })).Code().ShouldBe(0);
        await Eventually.True(
            () => first.Ask<bool>("SELECT EXISTS (SELECT FROM cron.cron_log WHERE status = 'success' AND nominal_at > @due)", new { due }),
            "it fires again"
        );
    }

    [Fact]
    public async Task A_node_that_is_gone_for_good_is_forgotten_and_one_that_lives_is_not()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:NodeName", "a"));
        await host.Ask<int>(
            "INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, fenced, settled) VALUES ('gone', 7, 'm', 'b', 1, '1', 7, 7) "
                + "RETURNING 1"
        );
        (await host.Delete("/v2/nodes/", new { name = "a" })).Msg().ShouldContain("仍在运行");
        (await host.Delete("/v2/nodes/", new { name = "nobody" })).Code().ShouldBe(-1);
        using var page = TestHost.Request(HttpMethod.Get, "/nodes", null, TestTokens.Admin);
        page.Headers.Add("Accept-Language", "en");
        using var shown = await host.Http.SendAsync(page, TestContext.Current.CancellationToken);
        (await shown.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldContain("Forget node gone");
        var forgotten = await ClientHost.RunIn(
            "",
            [("CODO_URL", host.Http.BaseAddress!.ToString()), ("CODO_TOKEN", TestTokens.Admin)],
            "node", "forget", "gone"
        );
        forgotten.Text.ShouldContain("gone is forgotten");
        (await host.Get("/v2/nodes/"))["data"]!.AsArray().Select(node => (string)node!["name"]!).ShouldBe(["a"]);
        (await host.Count("SELECT count(*) FROM platform.audit WHERE kind = 'node' AND action = 'forget' AND object_id = 'gone'")).ShouldBe(1);
    }

    private static async Task<System.Text.Json.Nodes.JsonObject> Drain(TestHost host, string name)
    {
        var answer = await host.Post("/v2/nodes/drain/", new { name });
        answer.Code().ShouldBe(0, answer.ToJsonString());
        return answer;
    }

    private static Task<string> NodeOf(TestHost host, long log) => host.Ask<string>($"SELECT node FROM cron.attempt WHERE log_id = {log}");
}
