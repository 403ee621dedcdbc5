using System.Net;
using Codo.Platform.Localization;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Alerts;

/// <summary>A whole host: from a command that fails to the message, and every endpoint with its rights.</summary>
public sealed class AlertsHostTests(TestPostgres postgres) : IAsyncLifetime
{
    private const string OnlyTold = "只有收到此告警的人或超级用户可以处理";

    private static readonly string Ann = TestTokens.For(7, "ann"), Bob = TestTokens.For(8, "bob");
    private TestHost host = null!;
    private readonly string flag = Path.Combine(Path.GetTempPath(), $"codo-flag-{Guid.NewGuid():N}");
    private HttpStub stub = null!;

    public async ValueTask InitializeAsync()
    {
        stub = await HttpStub.Start();
        host = await TestHost.Start(postgres, null, ("Codo:PublicUrl", "https://codo.example.test"), ("Codo:Alerts:HeartbeatUrl", stub.Url + "/beat"));
    }

    public async ValueTask DisposeAsync()
    {
        await host.DisposeAsync();
        await stub.DisposeAsync();
        File.Delete(flag);
    }

    [Fact]
    public async Task A_job_that_fails_is_told_to_its_owner_and_its_recovery_as_well()
    {
        (
            await host.Post(
                "/v2/alerts/channel/",
                new
                {
                    name = "hook",
                    kind = "webhook",
                    settings = new { url = stub.Url + "/hook" },
                }
            )
        ).Code().ShouldBe(0);
        await host.Make(
            new
            {
                job_id = "flaky",
                cmd = "echo token is $API_TOKEN; test -e $FLAG",
                cron = CronClient.Never,
                owners = new[] { "ann" },
                env = new { API_TOKEN = "sesame", FLAG = "/nowhere" },
            }
        );
        var log = await host.Ended(await host.RunNow("flaky"));
        await Eventually.True(() => Hooks().Count == 1, "the failure is told");
        var told = Hooks()[0].Json;
        told["title"]!.GetValue<string>().ShouldBe("【告警】任务 flaky 失败");
        told["incident"]!["output"]!.GetValue<string>().ShouldBe("token is ******");
        told["people"]![0]!["name"]!.GetValue<string>().ShouldBe("ann");

        var incident = (await host.Get("/v2/alerts/incident/?state=open&subject=flaky", Bob))["data"]![0]!;
        incident["call_info"]!.GetValue<string>().ShouldBe($"ID-{log["log_id"]} 任务-flaky 类型-cron");
        var id = incident["id"]!.GetValue<long>();
        (await host.Patch("/v2/alerts/incident/", new { id, action = "acknowledge" }, Bob)).Code().ShouldBe(-2);
        (await host.Patch("/v2/alerts/incident/", new { id, action = "acknowledge" }, Ann)).Msg().ShouldBe("已确认");
        (await host.Get($"/v2/alerts/incident/?id={id}"))["data"]![0]!["acknowledger"]!.GetValue<string>().ShouldBe("ann");

        (await host.Put("/v1/cron/job/", new { job_id = "flaky", env = new { FLAG = "/" } })).Code().ShouldBe(0);
        await host.Ended(await host.RunNow("flaky"));
        await Eventually.True(() => Hooks().Count == 2, "the recovery is told");
        Hooks()[1].Json["title"]!.GetValue<string>().ShouldBe("【已恢复】任务 flaky 失败");
        await host.Ended(await host.RunNow("flaky"));
        (await host.Get("/v2/alerts/delivery/?incident_id=" + id, Ann))["data"]!
            .AsArray()
            .Select(row => $"{row!["reason"]} {row["state"]}")
            .ShouldBe(["recovered sent", "opened sent"]);
        (await host.Get("/v2/alerts/incident/?limit=1"))["count"]!.GetValue<long>().ShouldBe(1);
        await Eventually.True(() => stub.Requests.Any(got => got.Path == "/beat"), "the heartbeat is heard outside");
    }

    [Fact]
    public async Task A_job_that_is_deleted_takes_its_incidents_along_and_those_who_heard_of_them_hear_why()
    {
        (await host.Post("/v2/alerts/channel/", new { name = "hook", kind = "webhook", settings = new { url = stub.Url + "/hook" } })).Code().ShouldBe(0);
        await host.Make(new { job_id = "doomed", cmd = "exit 1", cron = CronClient.Never, owners = new[] { "ann" } });
        await host.Ended(await host.RunNow("doomed"));
        await Eventually.True(() => Hooks().Count == 1, "the failure is told");
        (await host.Delete("/v1/cron/job/", new { job_id = "doomed" })).Code().ShouldBe(0);
        await Eventually.True(() => Hooks().Count == 2, "the end is told");
        var told = Hooks()[1].Json;
        (told["title"]!.GetValue<string>(), told["reason"]!.GetValue<string>(), told["people"]![0]!["name"]!.GetValue<string>()).ShouldBe(
            ("【已关闭】任务 doomed 失败（任务已删除）", "recovered", "ann")
        );
        var incident = (await host.Get("/v2/alerts/incident/?subject=doomed"))["data"]![0]!;
        (incident["state"]!.GetValue<string>(), incident["ending"]!.GetValue<string>()).ShouldBe(("resolved", "deleted"));
        (await Page(HttpMethod.Get, $"/i/{incident["id"]}", Ann)).Html.ShouldContain("已关闭（任务已删除）");
        // Of which nothing was told, nothing is told now, and what fails after the deletion belongs to nobody.
        await host.Make(new { job_id = "fine", cmd = "true", cron = CronClient.Never });
        await host.Ended(await host.RunNow("fine"));
        (await host.Delete("/v1/cron/job/", new { job_id = "fine" })).Code().ShouldBe(0);
        await host.Make(new { job_id = "outlives", cmd = $"while [ ! -e {flag} ]; do sleep 0.05; done; exit 1", cron = CronClient.Never });
        var log = await host.RunNow("outlives");
        await host.Running(log);
        (await host.Delete("/v1/cron/job/", new { job_id = "outlives" })).Code().ShouldBe(0);
        await File.WriteAllTextAsync(flag, "");
        (await host.Ended(log)).Status().ShouldBe("faild");
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM platform.outbox") == 0, "all news is told");
        (await host.Get("/v2/alerts/incident/"))["count"]!.GetValue<long>().ShouldBe(1);
    }

    [Fact]
    public async Task The_incident_of_a_run_that_outlives_its_job_stays_in_the_space_of_the_job_and_as_it_is()
    {
        (await host.Post("/v2/accounts/space/", new { name = "shop" })).Code().ShouldBe(0);
        (await host.Post("/v2/alerts/rule/", new { name = "long", kinds = new[] { "overlong" }, runs_after = 1 })).Code().ShouldBe(0);
        await host.Make(new { job_id = "outlives", cmd = $"while [ ! -e {flag} ]; do sleep 0.05; done", cron = CronClient.Never, space = "shop" });
        var log = await host.RunNow("outlives");
        const string Overlong = "FROM alerts.task_monitor m JOIN accounts.space s USING (space_id) WHERE m.kind = 'overlong'";
        await Eventually.True(async () => await host.Count($"SELECT count(*) {Overlong}") == 1, "it has been running too long");
        var id = await host.Ask<long>($"SELECT m.id {Overlong}");
        (await host.Patch("/v2/alerts/incident/", new { id, action = "acknowledge" })).Code().ShouldBe(0);
        (await host.Delete("/v1/cron/job/", new { job_id = "outlives" })).Code().ShouldBe(0);
        // As two minutes later: what still runs is looked at again.
        await host.Ask<long>("UPDATE alerts.task_monitor SET last_time = last_time - interval '2 minutes' WHERE kind = 'overlong' RETURNING id");
        const string IsFresh = "AND m.last_time > clock_timestamp() - interval '1 minute'";
        await Eventually.True(async () => await host.Count($"SELECT count(*) {Overlong} {IsFresh}") == 1, "it was looked at again");
        (await host.Ask<string>($"SELECT m.state || ' ' || s.name {Overlong}")).ShouldBe("acknowledged shop");
        await File.WriteAllTextAsync(flag, "");
        await host.Ended(log);
    }

    [Fact]
    public async Task A_job_that_a_later_rule_keeps_from_running_is_told_at_once_with_the_rule()
    {
        // They may overlap: skips for that reason are told under the same kind.
        foreach (var name in new[] { "blocked", "held" })
            await host.Make(new { job_id = name, cmd = $"echo not{name}", cron = "* * * * * *", overlap = "allow" });
        foreach (var (name, action) in new[] { ("blocked", "block"), ("held", "approve") })
        {
            var rule = new { name = $"rule-{name}", kind = "words", pattern = $"echo not{name}", action, reason = "不许", reason_en = "no" };
            (await host.Post("/v2/task/risk/", rule)).Code().ShouldBe(0);
        }
        foreach (var name in new[] { "blocked", "held" })
        {
            var path = $"/v2/alerts/incident/?kind=skipped&subject={name}";
            await Eventually.True(async () => (await host.Get(path))["count"]!.GetValue<long>() > 0, "it is told");
            (await host.Get(path))["data"]![0]!["detail"]!.GetValue<string>().ShouldContain($"rule-{name}");
        }
        // Each due time extends one row of the ledger and is not told again.
        await Eventually.True(
            async () => await host.Count("SELECT coalesce(max(times), 0) FROM cron.cron_log WHERE job_id = 'blocked' AND status = 'skipped'") >= 4,
            "it goes on being skipped"
        );
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM platform.outbox") == 0, "all news is told");
        (await host.Count("SELECT count FROM alerts.task_monitor WHERE kind = 'skipped' AND subject = 'blocked'")).ShouldBe(1);
    }

    [Fact]
    public async Task What_was_written_and_whose_host_died_is_told_by_the_next_run_of_the_outbox()
    {
        await host.Make(new { job_id = "swept", cmd = "exit 1", cron = CronClient.Never });
        var log = await host.Ended(await host.RunNow("swept"));
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM alerts.task_monitor") == 1, "the failure is an incident");
        // As a host leaves it that dies after the commit and before it wakes the outbox.
        await using (var connection = await host.Source.OpenConnectionAsync())
        await using (
            var command = new Npgsql.NpgsqlCommand(
                """
                INSERT INTO platform.outbox (stream, kind, payload) SELECT 'job:' || job, 'cron.ended', jsonb_build_object('job', job, 'job_id', job_id,
                    'log_id', log_id, 'nominal_at', nominal_at) FROM cron.cron_log WHERE job_id = 'swept'
                """,
                connection
            )
        )
            (await command.ExecuteNonQueryAsync()).ShouldBe(1);
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM platform.outbox") == 0, "the sweep has told it");
        (await host.Count("SELECT count FROM alerts.task_monitor")).ShouldBe(2);
    }

    [Fact]
    public async Task Rules_channels_silences_and_contacts_are_kept_with_their_rights_and_secrets_never_shown()
    {
        // Whoever has no role on alerts sees none of them.
        foreach (var path in new[] { "rule", "channel" }) ((int)(await host.Get($"/v2/alerts/{path}/", Ann))["count"]!).ShouldBe(0);
        (await host.Get("/v2/alerts/rule/"))["data"]![0]!["name"]!.GetValue<string>().ShouldBe("default");
        var made = await host.Post("/v2/alerts/rule/", new { name = "db", subject = "db-*", escalation = new[] { new[] { "boss" } }, runs_after = "60" });
        var rule = made["rule_id"]!.GetValue<long>();
        (await host.Put("/v2/alerts/rule/", new { rule_id = rule, repeat_after = 60, runs_after = 0 })).Code().ShouldBe(0);
        var shown = (await host.Get($"/v2/alerts/rule/?rule_id={rule}"))["data"]![0]!;
        (shown["subject"]!.GetValue<string>(), shown["repeat_after"]!.GetValue<int>(), shown["runs_after"], shown["escalation"]!.ToJsonString()).ShouldBe(
            ("db-*", 60, null, """[["boss"]]""")
        );
        (await host.Post("/v2/alerts/rule/", new { name = "db" })).Code().ShouldBe(-2);
        foreach (
            var wrong in new object[]
            {
                new { },
                new { name = "x", kinds = new[] { "explodes" } },
                new { name = "x", source = "moon" },
                new { name = "x", failures = 0 },
                new { name = "x", escalation = new[] { Array.Empty<string>() } },
                new { name = "x", channels = new[] { 77 } },
            }
        )
            (await host.Post("/v2/alerts/rule/", wrong)).Code().ShouldBe(-1, wrong.ToString());
        (await host.Put("/v2/alerts/rule/", new { rule_id = rule, channels = new[] { 77, 78 } })).Msg().ShouldBe("channels 中的 77, 78 不存在");
        (await host.Delete("/v2/alerts/rule/", new { rule_id = rule })).Code().ShouldBe(0);
        (await host.Delete("/v2/alerts/rule/", new { rule_id = rule })).Code().ShouldBe(-1);

        stub.Answer = (_, _) => (200, """{"errcode":0}""");
        var channel = (
            await host.Post(
                "/v2/alerts/channel/",
                new
                {
                    name = "ding",
                    kind = "dingtalk",
                    settings = new { url = stub.Url + "/one", secret = "SEC1" },
                }
            )
        )["channel_id"]!.GetValue<long>();
        (await host.Get("/v2/alerts/channel/"))["data"]![0]!["settings"]!.ToJsonString().ShouldBe("""{"url":"******","secret":"******"}""");
        (
            await host.Put(
                "/v2/alerts/channel/",
                new
                {
                    channel_id = channel,
                    language = "en",
                    settings = new { url = stub.Url + "/two", secret = "******" },
                }
            )
        ).Code().ShouldBe(0);
        var test = await host.Post("/v2/alerts/channel/test/", new { channel_id = channel });
        (test["delivered"]!.GetValue<bool>(), test["answer"]!.GetValue<string>()).ShouldBe((true, """HTTP 200 {"errcode":0}"""));
        var got = stub.Requests.Last(request => request.Path != "/beat");
        got.Path.ShouldBe("/two");
        got.Query["sign"].ShouldBe(Codo.Modules.Alerts.Channels.DingTalkChannel.Sign(got.Query["timestamp"], "SEC1"));
        (await host.Count($"SELECT count(*) FROM platform.audit WHERE action = 'test' AND kind = 'alert_channel' AND object_id = '{channel}'")).ShouldBe(1);
        await using (var connection = await host.Source.OpenConnectionAsync())
        await using (
            var command = new Npgsql.NpgsqlCommand(
                "SELECT string_agg(c::text, '') || (SELECT string_agg(a::text, '') FROM platform.audit a) FROM alerts.channel c",
                connection
            )
        )
            ((string)(await command.ExecuteScalarAsync())!).ShouldSatisfyAllConditions(
                all => all.ShouldNotContain("SEC1"),
                all => all.ShouldNotContain("/two")
            );
        (await host.Post("/v2/alerts/contact/", new { name = "zed", email = "zed" })).Code().ShouldBe(-1);
        foreach (
            var wrong in new object[]
            {
                new { name = "x", kind = "pigeon" },
                new { name = "x", kind = "webhook" },
                new
                {
                    name = "x",
                    kind = "webhook",
                    settings = new { url = "ftp://x" },
                },
                new
                {
                    name = "x",
                    kind = "webhook",
                    settings = new { url = "http://x", colour = "red" },
                },
                new
                {
                    name = "x",
                    kind = "dingtalk",
                    settings = new { url = "******" },
                },
                new
                {
                    name = "x",
                    kind = "email",
                    settings = new
                    {
                        host = "h",
                        from = "a@b",
                        port = 99999,
                    },
                },
                new
                {
                    name = "x",
                    kind = "command",
                    settings = new { path = "sh" },
                },
                new
                {
                    name = "x",
                    kind = "webhook",
                    settings = "url",
                },
            }
        )
            (await host.Post("/v2/alerts/channel/", wrong)).Code().ShouldBe(-1, wrong.ToString());

        (await host.Post("/v2/alerts/contact/", new { name = "ann", tel = "13800000001" }, Ann)).Code().ShouldBe(0);
        (await host.Put("/v2/alerts/contact/", new { name = "ann", email = "ann@example.test" }, Ann)).Code().ShouldBe(0);
        (await host.Post("/v2/alerts/contact/", new { name = "bob", tel = "1" }, Ann)).Code().ShouldBe(-1);
        (await host.Post("/v2/alerts/contact/", new { name = "bob", tel = "13800000002" }, Ann)).Code().ShouldBe(-2);
        (await host.Get("/v2/alerts/contact/", Ann))["data"]![0]!
            .ToJsonString()
            .ShouldStartWith("""{"name":"ann","user_id":7,"tel":"13800000001","email":"ann@example.test","feishu":"",""");
        (await host.Get("/v2/alerts/contact/", Bob))["count"]!.GetValue<long>().ShouldBe(0);
        (await host.Delete("/v2/alerts/contact/", new { name = "ann" }, Bob)).Code().ShouldBe(-2);

        (await host.Post("/v2/alerts/silence/", new { subject = "*", ends_at = "2099-01-01 00:00", reason = "quiet" }, Ann)).Code().ShouldBe(-2);
        (await host.Post("/v2/alerts/silence/", new { subject = "*", ends_at = "2020-01-01 00:00", reason = "quiet" })).Code().ShouldBe(-1);
        (await host.Post("/v2/alerts/silence/", new { subject = "*", ends_at = "soon", reason = "quiet" })).Code().ShouldBe(-1);
        (await host.Post("/v2/alerts/silence/", new { subject = "*", ends_at = "2099-01-01 00:00" })).Code().ShouldBe(-1);
        var silence = (
            await host.Post(
                "/v2/alerts/silence/",
                new
                {
                    subject = "*",
                    ends_at = "2099-01-01 00:00",
                    reason = "quiet",
                }
            )
        )["silence_id"]!.GetValue<long>();
        (await host.Get("/v2/alerts/silence/"))["data"]![0]!["ends_at"]!.GetValue<string>().ShouldBe("2099-01-01 00:00:00");
        ((int)(await host.Get("/v2/alerts/silence/", Ann))["count"]!).ShouldBe(0);
        (await host.Delete("/v2/alerts/silence/", new { silence_id = silence })).Code().ShouldBe(0);
        foreach (
            var query in new[]
            {
                "incident/?page=0",
                "incident/?state=new",
                "incident/?kind=x",
                "delivery/?limit=0",
                "delivery/?state=x",
                "rule/?page=x",
                "channel/?channel_id=5abc",
                "silence/?limit=-1",
                "contact/?page=0",
            }
        )
            (await host.Get("/v2/alerts/" + query)).Code().ShouldBe(-1, query);
        (await host.Delete("/v2/alerts/channel/", new { channel_id = channel })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task An_editor_tests_a_channel_on_nobody_else_since_the_message_has_their_numbers()
    {
        (await host.Post("/v2/accounts/space/", new { name = "shop" })).Code().ShouldBe(0);
        (await host.Post("/v2/accounts/grant/", new { user_id = 7, role = "editor", space = "shop" })).Code().ShouldBe(0);
        (await host.Post("/v2/alerts/contact/", new { name = "boss", tel = "13800000009" })).Code().ShouldBe(0);
        stub.Answer = (_, _) => (200, """{"errcode":0}""");
        var mine = new { name = "mine", kind = "dingtalk", space = "shop", settings = new { url = stub.Url + "/mine" } };
        var made = await host.Post("/v2/alerts/channel/", mine, Ann);
        made.Code().ShouldBe(0, made.ToJsonString());
        var channel = (long)made["channel_id"]!;
        // Anybody can have a nickname.
        var alias = TestTokens.For(7, "ann", nickname: "boss");
        foreach (var (people, token) in new[] { (new[] { "boss" }, Ann), (["ann", "boss"], Ann), (["boss"], alias) })
        {
            var refused = await host.Post("/v2/alerts/channel/test/", new { channel_id = channel, people }, token);
            (refused.Code(), refused.Msg()).ShouldBe((-2, "people 只能是自己，测试别人需要超级用户"));
        }
        stub.Requests.Count(got => got.Path == "/mine").ShouldBe(0);
        foreach (var (people, token) in new[] { (new[] { "ann" }, Ann), (["boss"], TestTokens.Admin) })
            (await host.Post("/v2/alerts/channel/test/", new { channel_id = channel, people }, token))["delivered"]!.GetValue<bool>().ShouldBeTrue();
        stub.Requests.Count(got => got.Path == "/mine").ShouldBe(2);
        (await host.Post("/v2/alerts/channel/test/", new { channel_id = channel }, alias))["delivered"]!.GetValue<bool>().ShouldBeTrue();
        (await host.Ask<string[]>("SELECT people FROM alerts.delivery WHERE reason = 'test' ORDER BY delivery_id DESC LIMIT 1")).ShouldBe(["ann"]);
    }

    [Fact]
    public async Task An_empty_pattern_of_a_rule_or_a_silence_is_any()
    {
        var rule = (long)(await host.Post("/v2/alerts/rule/", new { name = "all", subject = "" }))["rule_id"]!;
        (await Subject()).ShouldBe("*");
        foreach (var (subject, kept) in new[] { ("db-*", "db-*"), ("", "*") })
        {
            (await host.Put("/v2/alerts/rule/", new { rule_id = rule, subject })).Code().ShouldBe(0);
            (await Subject()).ShouldBe(kept);
        }
        (await host.Post("/v2/alerts/silence/", new { subject = "", ends_at = "2099-01-01 00:00", reason = "quiet" })).Code().ShouldBe(0);
        ((string)(await host.Get("/v2/alerts/silence/"))["data"]![0]!["subject"]!).ShouldBe("*");

        async Task<string> Subject() => (string)(await host.Get($"/v2/alerts/rule/?rule_id={rule}"))["data"]![0]!["subject"]!;
    }

    [Fact]
    public async Task The_page_asks_a_stranger_to_sign_in_and_lets_those_who_were_told_acknowledge()
    {
        await host.Post("/v2/alerts/channel/", new { name = "hook", kind = "webhook", settings = new { url = stub.Url + "/hook" } });
        await host.Make(new { job_id = "pa<ge", cmd = "echo '<script>alert(1)</script>'; exit 3", cron = CronClient.Never, owners = new[] { "ann" } });
        await host.Ended(await host.RunNow("pa<ge"));
        await Eventually.True(() => Hooks().Count == 1, "the failure is told");
        var path = new Uri(Hooks()[0].Json["url"]!.GetValue<string>()).AbsolutePath;

        var stranger = await host.Http.GetAsync(path);
        stranger.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        (await stranger.Content.ReadAsStringAsync()).ShouldSatisfyAllConditions(
            html => html.ShouldContain("name=\"token\""),
            html => html.ShouldNotContain("pa&lt;ge")
        );
        using var signedIn = await host.Http.PostAsync("/sign-in/", new FormUrlEncodedContent([new("token", Ann), new("next", path)]));
        signedIn.Headers.Location!.ToString().ShouldBe(path);
        using var mistyped = await host.Http.PostAsync("/sign-in/", new FormUrlEncodedContent([new("token", "oops"), new("next", path)]));
        ((int)mistyped.StatusCode, mistyped.Headers.Location!.ToString()).ShouldBe((303, path + "?refused=malformed"));
        using var again = await host.Http.GetAsync(mistyped.Headers.Location);
        (await again.Content.ReadAsStringAsync()).ShouldSatisfyAllConditions(
            html => html.ShouldContain("这不是令牌"),
            html => html.ShouldContain($"name=\"next\" value=\"{path}\""),
            html => html.ShouldContain("codo token --user"),
            html => html.ShouldContain("codo-admin"),
            html => html.ShouldNotContain("Sign in")
        );
        using var elsewhere = await host.Http.PostAsync("/sign-in/", new FormUrlEncodedContent([new("token", Ann), new("next", "//evil.example.test")]));
        elsewhere.Headers.Location!.ToString().ShouldBe("/");

        (await Page(HttpMethod.Get, path, Bob)).Html.ShouldSatisfyAllConditions(
            html => html.ShouldContain("任务 pa&lt;ge 失败"),
            html => html.ShouldContain("&lt;script&gt;"),
            html => html.ShouldNotContain("<script"),
            html => html.ShouldNotContain("<button"),
            html => html.ShouldContain(OnlyTold)
        );
        foreach (var page in new[] { "/incidents", "/" })
        {
            WebUtility.HtmlDecode((await host.Page(page, Bob)).Html).ShouldContain($"aria-disabled=\"true\" title=\"{OnlyTold}\"", Case.Sensitive, page);
            WebUtility.HtmlDecode((await host.Page(page, Ann)).Html).ShouldSatisfyAllConditions(
                html => html.ShouldNotContain(OnlyTold),
                html => html.ShouldContain("data-key=\"a\"")
            );
        }
        (await host.Page("/incidents", Bob, "en")).Html.ShouldContain("Only those who were told of it, or a superuser, may do this");
        (await Page(HttpMethod.Get, path, Ann)).Html.ShouldContain("我来处理");
        var run = (await host.Get("/v1/cron/log/?job_id=" + Uri.EscapeDataString("pa<ge")))["data"]![0]!["log_id"]!.GetValue<long>();
        (await Page(HttpMethod.Get, path, Ann)).Html.ShouldSatisfyAllConditions(
            html => html.ShouldContain($"<a href=\"/runs/{run}\">执行 {run}</a>"),
            html => html.ShouldContain("<a href=\"/jobs/pa%3Cge\">任务 pa&lt;ge</a>")
        );
        // Who was told by what, and to superusers what came back.
        var messages = $"/v2/alerts/delivery/?incident_id={path.Split('/')[^1]}";
        await Eventually.True(async () => (string)(await host.Get(messages))["data"]![0]!["state"]! == "sent", "the message is sent");
        const string Answer = "HTTP 200";
        ((string)(await host.Get(messages))["data"]![0]!["answer"]!).ShouldContain(Answer);
        (await Page(HttpMethod.Get, path, Bob)).Html.ShouldSatisfyAllConditions(
            html => html.ShouldContain("<strong>hook</strong>"),
            html => html.ShouldContain("已发送"),
            html => html.ShouldNotContain(Answer)
        );
        (await Page(HttpMethod.Get, path, TestTokens.Admin)).Html.ShouldContain(Answer);
        foreach (var (cookie, theme) in new[] { ("", "auto"), ("; codo_theme=dark", "dark"), ("; codo_theme=x", "auto") })
            (await Page(HttpMethod.Get, path, Ann + cookie)).Html.ShouldContain($" data-theme=\"{theme}\">");
        (await Page(HttpMethod.Get, path, Ann, language: "en")).Html.ShouldSatisfyAllConditions(
            html => html.ShouldContain($"Run {run}"),
            html => html.ShouldContain("<a href=\"/incidents\">All incidents</a>"),
            html => html.ShouldMatch($"As of [0-9:]{{8}} {host.Services.GetRequiredService<Zone>().Info.Id}</span> · <a href=\"{path}\">Reload</a>"),
            html => html.ShouldContain("sent</span>"),
            html => html.ShouldContain("lang=\"en\""),
            html => html.ShouldNotMatch("[\u4e00-\u9fff]")
        );
        (await Page(HttpMethod.Post, path, Ann, "https://evil.example.test")).Status.ShouldBe(402);
        (await Page(HttpMethod.Post, path, Bob)).Status.ShouldBe(409);
        const string RefusedSql =
            "SELECT EXISTS (SELECT FROM platform.audit WHERE username = 'bob' AND result = 'refused' AND object_id = 'POST /i/{id:long}')";
        await Eventually.True(() => host.Ask<bool>(RefusedSql), "as by the API it is a refused attempt");
        await TheButtonAnswersWithAPageAndDoesNothing(path);
        (await Page(HttpMethod.Post, path, Ann)).Status.ShouldBe(303);
        (await Page(HttpMethod.Get, path, Ann)).Html.ShouldSatisfyAllConditions(html => html.ShouldContain("ann 已确认"), html => html.ShouldNotContain("我来处理"));
        var (status, gone) = await Page(HttpMethod.Get, "/i/999", Ann);
        status.ShouldBe(404);
        gone.ShouldContain("<a href=\"/incidents\">全部事件</a>");
    }

    // The session has ended, or the token is for looking alone.
    private async Task TheButtonAnswersWithAPageAndDoesNothing(string path)
    {
        var made = await host.Post("/v2/accounts/token/", new { name = "looks", scopes = new[] { "see" }, days = 1 }, Ann);
        made.Code().ShouldBe(0, made.ToJsonString());
        var looks = (string)made["token"]!;
        const string Missing = "令牌的权限范围不含";
        (await Page(HttpMethod.Get, path, looks)).Html.ShouldSatisfyAllConditions(
            html => html.ShouldContain(Missing),
            html => html.ShouldNotContain("<button")
        );
        var over = TestTokens.Payload(7, "ann");
        over["exp"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 1;
        foreach (
            var (token, status, text) in new[]
            {
                (null, 401, $"name=\"next\" value=\"{path}\""),
                (TestTokens.Sign(over), 401, "name=\"token\""),
                (looks, 409, Missing),
            }
        )
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new FormUrlEncodedContent([new("action", "acknowledge")]) };
            request.Headers.Add("Accept", "text/html");
            if (token is not null) request.Headers.Add("Cookie", "auth_key=" + token);
            using var response = await host.Http.SendAsync(request, TestContext.Current.CancellationToken);
            ((int)response.StatusCode).ShouldBe(status);
            response.Content.Headers.ContentType!.MediaType.ShouldBe("text/html");
            (await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldContain(text);
        }
        (await Page(HttpMethod.Post, path, null, "https://evil.example.test")).Status.ShouldBe(402);
        (await Page(HttpMethod.Post, path, looks, "https://evil.example.test")).Status.ShouldBe(402);
        (await host.Count("SELECT count(*) FROM alerts.task_monitor WHERE state <> 'open'")).ShouldBe(0);
        const string Refused = "SELECT count(*) FROM platform.audit WHERE action = 'refuse' AND user_id = 7 AND object_id LIKE 'POST /i/%'";
        await Eventually.True(async () => await host.Count(Refused) == 1, "what the token is not for is in the audit");
    }

    [Theory]
    [InlineData("rule")]
    [InlineData("channel")]
    public async Task A_change_that_waits_for_a_move_to_another_space_leaves_it_there(string kind)
    {
        var space = (long)(await host.Post("/v2/accounts/space/", new { name = "moved-meanwhile" }))["space_id"]!;
        object fields =
            kind == "rule"
                ? new { name = "moves", subject = "nothing" }
                : new { name = "moves", kind = "webhook", settings = new { url = stub.Url } };
        var made = await host.Post($"/v2/alerts/{kind}/", fields);
        var id = (long)made[$"{kind}_id"]!;
        await using var connection = await host.Source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await connection.ExecuteAsync($"UPDATE alerts.{kind} SET space_id = @space WHERE {kind}_id = @id", new { space, id }, transaction);
        var saving = host.Put($"/v2/alerts/{kind}/", new Dictionary<string, object> { [$"{kind}_id"] = id, ["name"] = "renamed" });
        await Eventually.True(
            () =>
                host.Ask<bool>(
                    $"""
                    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                        AND query LIKE '%FROM alerts.{kind}%FOR UPDATE%')
                    """
                ),
            "the change waits for the move"
        );
        await transaction.CommitAsync();
        var saved = await saving;
        saved.Code().ShouldBe(0, saved.ToJsonString());
        (await host.Ask<string>($"SELECT space_id || ' ' || name FROM alerts.{kind} WHERE {kind}_id = @id", new { id })).ShouldBe($"{space} renamed");
    }

    private List<HttpStub.Got> Hooks() => [.. stub.Requests.Where(got => got.Path == "/hook")];

    private async Task<(int Status, string Html)> Page(HttpMethod method, string path, string? token, string? origin = null, string? language = null)
    {
        using var request = new HttpRequestMessage(method, path);
        if (token is not null) request.Headers.Add("Cookie", "auth_key=" + token);
        if (language is not null) request.Headers.Add("Accept-Language", language);
        if (origin is not null) request.Headers.Add("Origin", origin);
        if (method == HttpMethod.Post) request.Content = new FormUrlEncodedContent([new("action", "acknowledge")]);
        using var response = await host.Http.SendAsync(request);
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }
}
