using System.Text.Json.Nodes;
using Codo.Modules.Cron.Executions;
using Codo.Modules.Tasks.Execution;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Operations;

/// <summary>Two nodes with tags, and a third that takes orders alone: what a selector and a role let each of them take.</summary>
public sealed class PlacementTests(TestPostgres postgres)
{
    [Fact]
    public async Task Runs_and_steps_go_to_nodes_that_fit_and_what_nobody_fits_is_said_in_the_row_and_an_incident()
    {
        await using var a = await TestHost.Start(
            postgres,
            null,
            ("Codo:NodeName", "a"),
            ("Codo:Node:Tags", "dc=bj, canary, 区=北"),
            ("Codo:Node:Roles", "web, cron, orders, logs")
        );
        (await Roles(a)).ShouldBe("degraded: no live node has the role alerts (Codo:Node:Roles): its work waits");
        await using var b = await a.Again(("Codo:NodeName", "b"), ("Codo:Node:Tags", "dc=sh"));
        (await Roles(a)).ShouldStartWith("healthy");

        foreach (
            var (selector, nodes) in new[]
            {
                ("", "a,b"),
                ("a", "a"),
                ("dc", ""),
                ("dc=bj", "a"),
                ("!dc=bj", "b"),
                ("canary | b", "a,b"),
                ("dc=bj & !canary", ""),
                ("!(dc=bj & canary) & !c", "b"),
                ("a | b & !b", "a"),
                ("区=北", "a"),
                ("A", ""),
            }
        )
            (await Fits(a, selector)).ShouldBe(nodes, selector);
        // Its clock is off, so that it begins nothing.
        await a.Ask<int>(
            "INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, tags, clock_skew, heartbeat_at) "
                + "VALUES ('c', 1, 'm', 'b', 1, '1', '{skewed}', '1 minute', clock_timestamp()) RETURNING 1"
        );
        (await Fits(a, "skewed")).ShouldBe("");
        await a.Ask<int>("DELETE FROM platform.node WHERE name = 'c' RETURNING 1");
        (await a.Get("/v2/nodes/fit/?node=" + Uri.EscapeDataString("a &"))).Msg().ShouldStartWith("node ");
        var listed = (await b.Get("/v2/nodes/"))["data"]!.AsArray();
        listed[0]!["roles"]!.ToJsonString().ShouldBe("""["web","cron","orders","logs"]""");
        listed[1]!["tags"]!.ToJsonString().ShouldBe("""["dc=sh"]""");

        await Jobs(a, b);
        await Steps(a, b);
        await Roles(a, b);
    }

    private static async Task Jobs(TestHost a, TestHost b)
    {
        var refused = await a.Post("/v1/cron/job/", Job("wrong", "dc=bj &"));
        refused.Code().ShouldNotBe(0);
        refused.Msg().ShouldStartWith("node ");
        await a.Make(Job("in-sh", "dc=sh", "* * * * * *"));
        await a.Make(Job("by-name", " a "));
        for (var i = 0; i < 3; i++) (await NodeOf(a, await b.RunNow("by-name"))).ShouldBe("a");
        await Eventually.True(async () => (await a.Logs("in-sh")).Count(log => log.Status() == "success") > 1, "it fires on the node that fits");
        (await a.Count("SELECT count(*) FROM cron.attempt t JOIN cron.cron_log l USING (log_id) WHERE l.job_id = 'in-sh' AND t.node <> 'b'")).ShouldBe(0);
        (await a.Put("/v1/cron/job/", new { job_id = "in-sh", cron = CronClient.Never })).Code().ShouldBe(0);

        var made = await a.Post("/v1/cron/job/", Job("nowhere", "dc=bj & !canary"));
        made["warnings"]![0]!.GetValue<string>().ShouldContain("dc=bj & !canary");
        var ran = await a.Post("/v1/cron/job/run/", new { job_id = "nowhere" });
        ran["warnings"]![0]!.GetValue<string>().ShouldContain("dc=bj & !canary");
        var waits = (long)ran["log_id"]!;
        await a.Ask<int>($"UPDATE cron.active_execution SET not_before = not_before - interval '31 seconds' WHERE log_id = {waits} RETURNING 1");
        await Looked<UnplacedRuns>(a, async () => await Incident(a, "runs without a node") == "open");
        var row = await a.Log(waits);
        row.Status().ShouldBe("queued");
        row["task_log"]!.GetValue<string>().ShouldContain("dc=bj & !canary");
        // An edit takes what is queued along.
        (await b.Put("/v1/cron/job/", new { job_id = "nowhere", node = "b" })).Code().ShouldBe(0);
        (await NodeOf(a, waits)).ShouldBe("b");
        (await a.Log(waits))["task_log"]!.GetValue<string>().ShouldBe("");
        await Looked<UnplacedRuns>(a, async () => await Incident(a, "runs without a node") == "resolved");
        (await a.Ask<string>("SELECT content ->> 'node' FROM cron.job_version v JOIN cron.job j ON j.id = v.job WHERE j.job_id = 'nowhere' AND v.version = 2"))
            .ShouldBe("b");
        (await a.Post("/v1/cron/job/version/", new { job_id = "nowhere", version = 1 })).Code().ShouldBe(0);
        (await a.Ask<string>("SELECT node_selector FROM cron.job WHERE job_id = 'nowhere'")).ShouldBe("dc=bj & !canary");

        // Whoever is drained takes nothing, and fits nothing.
        (await a.Post("/v2/nodes/drain/", new { name = "a" })).Code().ShouldBe(0);
        (await Fits(b, "a")).ShouldBe("");
        var drained = await b.RunNow("by-name");
        (await b.Log(drained)).Status().ShouldBe("queued");
        (await a.Post("/v2/nodes/undrain/", new { name = "a" })).Code().ShouldBe(0);
        (await NodeOf(a, drained)).ShouldBe("a");
    }

    private static async Task Steps(TestHost a, TestHost b)
    {
        var template = await OrderHost.Template(a, Step(1, "b"), Step(2, "canary"), Step(3, ""), Step(4, "dc=sh"));
        var order = await OrderHost.Order(a, template);
        (await OrderHost.Ended(b, order)).ShouldBe("3");
        (await a.Ask<string>($"SELECT string_agg(t.node, '' ORDER BY i.task_level) FROM tasks.attempt t JOIN tasks.scheduler_task_info i USING (sched_id) "
            + $"WHERE t.list_id = {order}")).ShouldMatch("^ba[ab]b$");
        (await a.Get($"/v2/task_layout/details/?temp_id={template}"))["data"]!["temp_list"]![1]!["node"]!.GetValue<string>().ShouldBe("canary");

        (await Save(Step(1, "(b"))).Msg().ShouldStartWith("new_temp_data[0].node ");
        (await Save(Step(1, ""), Step(2, "x")))["warnings"]![0]!.GetValue<string>().ShouldContain("符合 x");
        var asked = new { task_name = "placed", temp_id = template, hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" } };
        var preview = await a.Post("/v2/task/preview/", asked);
        preview["data"]!["groups"]![0]!["hosts"]![0]!["steps"]![1]!["node"]!.GetValue<string>().ShouldBe("x");
        preview["warnings"]!.AsArray().ShouldContain(warning => warning!.GetValue<string>().Contains("符合 x", StringComparison.Ordinal));
        order = await OrderHost.Order(b, template);
        (await a.Get($"/v2/task/plan/?list_id={order}"))["data"]!["groups"]![0]!["alike"]![0]!["steps"]![1]!["node"]!.GetValue<string>().ShouldBe("x");
        await OrderHost.Stands(a, order, "31");
        await Eventually.True(async () => await a.Ask<string>($"SELECT state FROM tasks.lane WHERE list_id = {order}") == "ready", "the second step waits");
        await a.Ask<int>($"UPDATE tasks.lane SET since = since - interval '31 seconds' WHERE list_id = {order} RETURNING 1");
        await Looked<UnplacedLanes>(a, async () => await Incident(a, "lanes without a node") == "open");
        (await OrderHost.Steps(a, order))[1]["cause"]!.GetValue<string>().ShouldContain("没有存活的节点符合 x");
        (await a.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        await Looked<UnplacedLanes>(a, async () => await Incident(a, "lanes without a node") == "resolved");

        Task<JsonObject> Save(params JsonNode[] steps) =>
            a.Put("/v2/task_layout/details/", new JsonObject { ["temp_id"] = template, ["new_temp_data"] = new JsonArray(steps) }.ToJsonString());
    }

    private static async Task Roles(TestHost a, TestHost b)
    {
        await using var c = await a.Again(("Codo:NodeName", "c"), ("Codo:Node:Roles", "orders"));
        var refused = await c.Get("/v1/cron/job/");
        refused.Code().ShouldBe(503);
        refused.Msg().ShouldContain("Codo:Node:Roles");
        (await c.Get("/healthz/ready")).Code().ShouldBe(0);
        (await Fits(a, "c")).ShouldBe("");
        (await Fits(a, "c", "orders")).ShouldBe("c");
        var order = await OrderHost.Order(a, await OrderHost.Template(a, Step(1, "c")));
        (await OrderHost.Ended(a, order)).ShouldBe("3");
        // The others may take nothing: what is due waits for a node with the role.
        foreach (var name in new[] { "a", "b" }) (await a.Post("/v2/nodes/drain/", new { name })).Code().ShouldBe(0);
        await a.Make(new { job_id = "any", cmd = "true", cron = CronClient.Never });
        var waits = await a.RunNow("any");
        order = await OrderHost.Order(b, await OrderHost.Template(a, Step(1, "")));
        (await OrderHost.Ended(a, order)).ShouldBe("3");
        (await a.Log(waits)).Status().ShouldBe("queued");
        (await a.Post("/v2/nodes/undrain/", new { name = "b" })).Code().ShouldBe(0);
        (await NodeOf(a, waits)).ShouldBe("b");
    }

    private static object Job(string name, string node, string cron = CronClient.Never) => new { job_id = name, cmd = "true", cron, node, overlap = "allow" };

    private static JsonObject Step(int level, string node)
    {
        var step = OrderHost.Step("true", level: level, name: $"s{level}");
        step["node"] = node;
        return step;
    }

    // A watch believes what it sees when the lease was held for a while.
    private static Task Looked<T>(TestHost host, Func<Task<bool>> holds) where T : Codo.Platform.Cluster.PlacementWatch =>
        Eventually.True(
            async () =>
            {
                await host.Services.GetRequiredService<T>().Poll(CancellationToken.None);
                return await holds();
            },
            typeof(T).Name
        );

    private static async Task<string> Incident(TestHost host, string key) =>
        await host.Ask<string?>($"SELECT max(state) FROM alerts.task_monitor WHERE fingerprint = 'codo:{key}'") ?? "";

    private static async Task<string> Fits(TestHost host, string selector, string role = "cron")
    {
        var answer = await host.Get($"/v2/nodes/fit/?role={role}&node={Uri.EscapeDataString(selector)}");
        return string.Join(',', answer["data"]!.AsArray().Select(node => (string)node!["name"]!));
    }

    private static async Task<string> Roles(TestHost host)
    {
        var roles = (await host.Get("/healthz/ready"))["checks"]!["roles"]!;
        return $"{roles["status"]}: {roles["detail"]}";
    }

    private static async Task<string> NodeOf(TestHost host, long log)
    {
        await host.Ended(log);
        return await host.Ask<string>($"SELECT node FROM cron.attempt WHERE log_id = {log}");
    }
}
