using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host;

public sealed class QuotasHost(TestPostgres postgres)
    : HostFixture(
        postgres,
        ("Codo:Quotas:Jobs", "2"),
        ("Codo:Quotas:PendingOrders", "1"),
        ("Codo:Quotas:Streams", "1"),
        ("Codo:Quotas:Requests", "2"),
        ("Codo:Quotas:BytesPerMinute", "200000"),
        ("Codo:Quotas:Runs", "2")
    );

/// <summary>Nobody takes more than a share, and whoever fills it waits alone.</summary>
public sealed class QuotasTests(QuotasHost fixture) : IClassFixture<QuotasHost>
{
    private static readonly Dictionary<string, string> Here = new() { ["1"] = "127.0.0.1" };
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Of_jobs()
    {
        var token = TestTokens.For(501, "u501");
        object Job(string id) => new { job_id = id, cmd = "true", cron = CronClient.Never };
        (await host.Post("/v1/cron/job/", Job("q1"), token))["code"]!.GetValue<int>().ShouldBe(0);
        (await host.Post("/v1/cron/job/", Job("q2"), token))["code"]!.GetValue<int>().ShouldBe(0);
        (await host.Post("/v1/cron/job/", Job("q3"), token))["msg"]!.GetValue<string>().ShouldContain("Codo:Quotas:Jobs");
        for (var n = 0; n < 3; n++) (await host.Post("/v1/cron/job/", Job($"admin{n}")))["code"]!.GetValue<int>().ShouldBe(0);
        (await host.Delete("/v1/cron/job/", new { job_id = "q1" }, token))["code"]!.GetValue<int>().ShouldBe(0);
        (await host.Post("/v1/cron/job/", Job("q3"), token))["code"]!.GetValue<int>().ShouldBe(0);
    }

    [Fact]
    public async Task Of_orders_that_await_their_approval()
    {
        var (token, template) = (TestTokens.For(502, "u502"), await host.Template(Step("true")));
        var order = new { task_name = "x", temp_id = template, hosts = Here };
        (await host.Post("/v2/task/accept/", order, token))["code"]!.GetValue<int>().ShouldBe(0);
        (await host.Post("/v2/task/accept/", order, token))["msg"]!.GetValue<string>().ShouldContain("Codo:Quotas:PendingOrders");
        (await host.Post("/v2/task/accept/", order, TestTokens.For(503, "u503")))["code"]!.GetValue<int>().ShouldBe(0);
    }

    [Fact]
    public async Task Of_streams()
    {
        var (token, template) = (TestTokens.For(504, "u504"), await host.Template(Step("true")));
        var made = await host.Post("/v2/task/accept/", new { task_name = "x", temp_id = template, hosts = Here }, token);
        var path = $"/v2/task/log/stream/?log_key={made["list_id"]}_1_1_127.0.0.1";
        using (var first = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, path, null, token), HttpCompletionOption.ResponseHeadersRead))
        {
            first.StatusCode.ShouldBe(HttpStatusCode.OK);
            using var second = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, path, null, token), HttpCompletionOption.ResponseHeadersRead);
            second.StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
            using var admin = await host.Http.SendAsync(
                TestHost.Request(HttpMethod.Get, path, null, TestTokens.Admin),
                HttpCompletionOption.ResponseHeadersRead
            );
            admin.StatusCode.ShouldBe(HttpStatusCode.OK);
        }
        await Eventually.True(async () =>
        {
            using var again = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, path, null, token), HttpCompletionOption.ResponseHeadersRead);
            return again.StatusCode == HttpStatusCode.OK;
        }, "the place is free again");
    }

    [Fact]
    public async Task Of_requests_at_once_and_more_wait_for_their_turn()
    {
        var (token, list) = (TestTokens.For(509, "u509"), "/v1/cron/job/?limit=1");
        // A body is asked for: the request has its place, and keeps it.
        using var slow = await Begin("POST", "/v2/task/preview/", token);
        (await slow.ReadLine()).ShouldContain("100 Continue");
        using var slow2 = await Begin("POST", "/v2/task/preview/", token);
        (await slow2.ReadLine()).ShouldContain("100 Continue");
        var waiting = Enumerable.Range(0, 300).Select(async _ =>
        {
            using var answer = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, list, null, token));
            return answer.StatusCode;
        }).ToList();
        // Past those that may wait the next is refused. Others are answered, the person's other requests are not.
        (await await Task.WhenAny(waiting)).ShouldBe(HttpStatusCode.TooManyRequests);
        (await host.Get(list, TestTokens.For(510, "u510")))["code"]!.GetValue<int>().ShouldBe(0);
        (await host.Get(list))["code"]!.GetValue<int>().ShouldBe(0);
        waiting.Count(one => !one.IsCompleted || one.Result == HttpStatusCode.OK).ShouldBeGreaterThanOrEqualTo(256);
        waiting.Where(one => one.IsCompleted).ShouldAllBe(one => one.Result == HttpStatusCode.TooManyRequests);
        await slow.Write("{}");
        (await Task.WhenAll(waiting)).Count(code => code == HttpStatusCode.OK).ShouldBe(256);
    }

    [Fact]
    public async Task Of_requests_with_long_bodies_one_is_read_at_a_time()
    {
        var (token, steps) = (TestTokens.For(511, "u511"), "/v2/task_layout/details/");
        using var slow = await Begin("PUT", steps, token);
        (await slow.ReadLine()).ShouldContain("100 Continue");
        using var next = await Begin("PUT", steps, token);
        var asked = next.ReadLine();
        // Two others that come after it are answered, and it still waits.
        for (var n = 0; n < 2; n++) (await host.Get("/v1/cron/job/?limit=1", token))["code"]!.GetValue<int>().ShouldBe(0);
        asked.IsCompleted.ShouldBeFalse();
        await slow.Write("{}");
        (await asked).ShouldContain("100 Continue");
    }

    /// <summary>A request without its body, which the host asks for when it reads it.</summary>
    private async Task<Begun> Begin(string method, string path, string token)
    {
        var begun = new Begun();
        await begun.Client.ConnectAsync(host.Http.BaseAddress!.Host, host.Http.BaseAddress.Port);
        await begun.Write($"{method} {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\nauth-key: {token}\r\n\r\n");
        return begun;
    }

    private sealed class Begun : IDisposable
    {
        private StreamReader? reader;

        public TcpClient Client { get; } = new();

        public async Task Write(string text) => await Client.GetStream().WriteAsync(System.Text.Encoding.ASCII.GetBytes(text));

        public async Task<string> ReadLine() => await (reader ??= new StreamReader(Client.GetStream())).ReadLineAsync() ?? "";

        public void Dispose()
        {
            reader?.Dispose();
            Client.Dispose();
        }
    }

    [Fact]
    public async Task Of_bytes()
    {
        var token = TestTokens.For(505, "u505");
        var codes = new List<int>();
        for (var n = 0; n < 5; n++)
            codes.Add(
                (await host.Send(HttpMethod.Post, "/v2/task/preview/", $$"""{"details": "{{new string('x', 60_000)}}"}""", token))["code"]!.GetValue<int>()
            );
        codes.ShouldBe([6, 6, 6, 429, 429]);
        (await host.Send(HttpMethod.Post, "/v2/task/preview/", $$"""{"details": "{{new string('x', 60_000)}}"}""", TestTokens.For(506, "u506")))["code"]!
            .GetValue<int>()
            .ShouldBe(6);
    }

    [Fact]
    public async Task Of_runs_of_jobs()
    {
        var (greedy, modest) = (TestTokens.For(507, "u507"), TestTokens.For(508, "u508"));
        (
            await host.Post(
                "/v1/cron/job/",
                new
                {
                    job_id = "greedy",
                    cmd = "sleep 60",
                    cron = CronClient.Never,
                    overlap = "allow",
                },
                greedy
            )
        )["code"]!.GetValue<int>().ShouldBe(0);
        (
            await host.Post(
                "/v1/cron/job/",
                new
                {
                    job_id = "modest",
                    cmd = "true",
                    cron = CronClient.Never,
                },
                modest
            )
        )["code"]!.GetValue<int>().ShouldBe(0);
        var runs = new List<long>();
        for (var n = 0; n < 4; n++) runs.Add((await host.Post("/v1/cron/job/run/", new { job_id = "greedy" }, greedy))["log_id"]!.GetValue<long>());
        await Eventually.True(async () => (await Statuses(runs)).Count(status => status == "running") == 2, "two run");
        (await CronClient.Ended(host, (await host.Post("/v1/cron/job/run/", new { job_id = "modest" }, modest))["log_id"]!.GetValue<long>()))
            .Status()
            .ShouldBe("success");
        (await Statuses(runs)).Order().ShouldBe(["queued", "queued", "running", "running"]);
        foreach (var run in runs) await Eventually.True(async () =>
        {
            await host.Post("/v1/cron/job/kill/", new { log_id = run });
            return (await host.Log(run)).Status() == "killed";
        }, "it is killed");
    }

    [Fact]
    public async Task Of_hosts_of_orders()
    {
        var four = new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4" };
        var local = await host.Template(Step("sleep 60", forceHost: "127.0.0.1"));
        var greedy = await host.Order(local, four, token: TestTokens.Admin);
        await Eventually.True(async () => await Running(greedy) == 2, "two run");
        var modest = await host.Order(await host.Template(null, ["510,,,u510"], Step("true", forceHost: "127.0.0.1")), token: TestTokens.For(510, "u510"));
        (await OrderHost.Ended(host, modest)).ShouldBe("3");
        (await Running(greedy)).ShouldBe(2);
        (await host.Put("/v2/task/list/", new { list_id = greedy }))["code"]!.GetValue<int>().ShouldBe(0);
    }

    [Fact]
    public async Task An_upgraded_installation_has_none_until_somebody_sets_them()
    {
        // It has read its rules already, and would end the order as overdue.
        await using var first = await fixture.Another(("Codo:Tasks:PendingDays", "0"));
        await using (var connection = await first.Source.OpenConnectionAsync())
            await connection.ExecuteAsync("""
                DELETE FROM platform.schema_version WHERE scriptname LIKE '%0010-kept-rules.sql' OR scriptname LIKE '%0040-words-and-watchers.sql';
                ALTER TABLE tasks.scheduler_temp_list DROP COLUMN declared;
                ALTER TABLE tasks.scheduler_task_list DROP COLUMN watcher_ids, DROP COLUMN watcher_names;
                INSERT INTO tasks.scheduler_task_list (list_id, task_name, task_type, hosts, args, creator, creator_id, associated_user, watchers, schedule,
                    temp_id, start_time, not_before, create_time) VALUES
                    (901, 'before', 't', '{}', '{}', '安', 7, '{"admin": ["安"], "g": ["小红", "12,,,小明"]}', ARRAY['安', '小红', '小明'], 'new', 1, now(), now(),
                        now() - interval '100 days');
                """);
        await using var upgraded = await first.Again(("Codo:Tasks:AnyWord", ""));
        var health = await upgraded.Get("/healthz/ready");
        ((string)health["checks"]!["order_words"]!["detail"]!).ShouldContain("Codo:Tasks:AnyWord is on");
        ((string)health["checks"]!["quotas"]!["detail"]!).ShouldBe(
            ("runs no quota, pending orders no quota, jobs no quota, streams no quota, bytes a minute no quota: this installation is older than quotas, and "
                + "those that Codo:Quotas does not set are off")
        );
        // On the new one they are in force.
        health = await host.Get("/healthz/ready");
        ((string)health["checks"]!["order_words"]!["detail"]!).ShouldContain("Codo:Tasks:AnyWord is on");
        ((string)health["checks"]!["quotas"]!["detail"]!).ShouldNotContain("older than quotas");
        (await upgraded.Ask<long>("SELECT count(*) FROM platform.setting WHERE key = 'keep.quotas' AND value = 'off'")).ShouldBe(1);
        // The rows know now who is meant: nobody by the name of somebody whose id is there.
        foreach (
            var (token, sees) in new[]
            {
                (TestTokens.For(7, "ann", nickname: "安"), true),
                (TestTokens.For(13, "eve", nickname: "安"), false),
                (TestTokens.For(14, "r", nickname: "小红"), true),
                (TestTokens.For(12, "m", nickname: "other"), true),
                (TestTokens.For(15, "e", nickname: "小明"), false),
            }
        )
            (await upgraded.Get("/v2/task/list/", token))["count"]!.GetValue<long>().ShouldBe(sees ? 1 : 0);
        // Pending orders are counted from the upgrade.
        (await upgraded.Ask<string>("SELECT schedule FROM tasks.scheduler_task_list WHERE list_id = 901")).ShouldBe("new");
    }

    [Fact]
    public async Task A_pending_order_expires_and_its_submitter_hears_of_it()
    {
        await using var first = await fixture.Another();
        var template = await first.Template(Step("true"));
        var made = await first.Post("/v2/task/accept/", new { task_name = "forgotten", temp_id = template, hosts = Here }, TestTokens.For(520, "u520"));
        var id = (long)made["list_id"]!;
        await using (var connection = await first.Source.OpenConnectionAsync())
            await connection.ExecuteAsync("UPDATE tasks.scheduler_task_list SET create_time = now() - interval '15 days' WHERE list_id = @id", new { id });
        await using var again = await first.Again();
        (await OrderHost.Ended(again, id)).ShouldBe("4");
        var told = await Eventually.Get<JsonNode>(
            async () => (await again.Get($"/v2/alerts/incident/?list_id={id}", TestTokens.For(520, "u520")))["data"]!.AsArray().FirstOrDefault(),
            _ => true,
            "the submitter sees an incident"
        );
        ((string)told["title"]!).ShouldContain("无人审批");
        (
            await again.Ask<string>("SELECT nickname FROM platform.audit WHERE kind = 'order' AND action = 'end' AND object_id = @id", new { id = $"{id}" })
        ).ShouldBe("Codo");
    }

    [Fact]
    public async Task The_audit_keeps_of_a_long_text_its_beginning_and_its_digest()
    {
        var cmd = $"echo {new string('x', 50_000)}";
        (await host.Post("/v1/cron/job/", new { job_id = "long", cmd, cron = CronClient.Never }))["code"]!.GetValue<int>().ShouldBe(0);
        var kept = await host.Ask<string>("SELECT after ->> 'cmd' FROM platform.audit WHERE kind = 'job' AND object_id = 'long'");
        kept.Length.ShouldBeLessThan(1200);
        kept.ShouldStartWith(cmd[..1000]);
        kept.ShouldContain(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(cmd))));
        var steps = Enumerable.Range(0, 200).Select(n => Step(new string('c', 3000), level: n, name: $"s{n}")).ToArray();
        await host.Template(steps);
        (await host.Ask<long>("SELECT max(length(after::text)) FROM platform.audit WHERE kind = 'template'")).ShouldBeLessThan(70_000);
    }

    private Task<long> Running(long order) => host.Ask<long>("SELECT count(*) FROM tasks.attempt WHERE list_id = @order AND ended_at IS NULL", new { order });

    private async Task<List<string>> Statuses(List<long> runs)
    {
        var statuses = new List<string>();
        foreach (var run in runs) statuses.Add((await host.Log(run)).Status());
        return statuses;
    }
}
