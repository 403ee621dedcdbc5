using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Codo.Platform.Localization;
using Codo.Platform.Ui;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Deque.AxeCore.Commons;
using Deque.AxeCore.Playwright;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Pages;

/// <summary>Each page of the console filled, empty, refused and failing, in both languages and themes, wide and on a phone.</summary>
public sealed partial class ConsolePagesTests(ConsoleFixture fixture) : IClassFixture<ConsoleFixture>
{
    private readonly TestHost host = fixture.Host;

    // Pairwise: every page in both languages, both themes and both widths, in the first two looks or the last two; every pair of those on every other page.
    private static readonly (string Language, string Theme, int Width)[] Looks =
    [
        ("en", "light", 1440),
        ("zh", "dark", 360),
        ("en", "dark", 360),
        ("zh", "light", 1440),
    ];

    [Fact]
    public async Task Each_page_is_whole_in_every_look()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, "chromium is not installed: apt-get install -y chromium");
        (string Path, string Zh, string En)[] pages =
        [
            ("/", "等我处理的订单", "Orders that wait for me"),
            ("/jobs", "nightly backup", "nightly backup"),
            ("/jobs/nightly%20backup", "接下来十次", "Next ten times"),
            ("/jobs/new", "时间表", "Schedule"),
            ("/ledger", "certificates", "certificates"),
            ($"/runs/{fixture.FailedRun}", "退出码 7", "exit code 7"),
            ("/orders", "有主机失败", "A host has failed"),
            ($"/orders/{fixture.Failed}", "an order", "an order"),
            ($"/orders/{fixture.Failed}?tab=facts", "没有参数", "No arguments"),
            ($"/orders/{fixture.Failed}/timeline", "谁做了什么", "Who did what"),
            ($"/orders/{fixture.Failed}/compare?step=2", "台相同", "identical"),
            ($"/orders/{fixture.New}/approve", "已审批 0 / 1", "0 of 1 given"),
            ("/incidents", "确认", "Acknowledge"),
            ("/people", "admin", "admin"),
            ("/people/teams?team=1", "成员", "Member"),
            ("/people/spaces?space=1", "个任务", "jobs"),
            ("/people/grants", "操作员 operator", "operator"),
            ("/people/explain?verb=edit&kind=job&name=paused", "编辑 edit：job:paused", "superuser"),
            ("/account", "我的登录", "My sessions"),
            ("/people/7/sessions", "没有记录到登录", "No session was seen"),
            ("/audit", "成功", "Done"),
            ("/nodes", "持有", "Held"),
            ("/settings", "Codo:Cron:MaxParallel", "Codo:Cron:MaxParallel"),
            ("/alerting?edit=1", "failures", "failures"),
            ("/alerting/channels?kind=email", "邮件", "Email"),
            ("/alerting/silences", "nightly", "nightly"),
            ("/alerting/contacts", "ann@example.test", "ann@example.test"),
            ("/ledger/matrix", "任务与时间", "Jobs against time"),
            ("/jobs/nightly%20backup/versions", "版本 2 与版本 1 的不同", "Version 2 against version 1"),
            ("/deleted/jobs", "retired", "retired"),
            ("/forecast", "同时运行", "Runs at the same time"),
            ("/forecast?hours=168", "同一秒到期的任务", "Jobs due at the same second"),
            ($"/orders/{fixture.Failed}/output", "所有输出", "Output of all hosts"),
        ];
        for (var look = 0; look < Looks.Length; look++)
        {
            var (language, theme, width) = Looks[look];
            await using var visitor = await fixture.Visit(language, theme, width);
            var shown = look;
            foreach (var (path, zh, en) in pages.Where((_, at) => at % 2 == 0 == shown < 2))
            {
                (await visitor.Open(path)).ShouldBe(200, path);
                (await visitor.Text()).ShouldContain(language == "en" ? en : zh, Case.Insensitive, path);
                await Look(visitor, $"{path} {language} {theme} {width}", language);
                await Shot(visitor, path, language, theme, width);
            }
        }
        wrong.ShouldBeEmpty();
    }

    [Fact]
    public async Task Each_page_of_the_library_and_of_making_orders_is_whole()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, "chromium is not installed: apt-get install -y chromium");
        await host.Post("/v2/task_layout/args/", new { args_name = "Release", args_self = "VERSION" });
        await host.Post("/v2/task_layout/command/", new { command_name = "restart", command = "systemctl restart shop", args = "VERSION" });
        (string Path, string Zh, string En)[] pages =
        [
            ($"/orders/new?like={fixture.Failed}", "将要执行的内容", "What it would run"),
            ("/templates", "新建模板", "New template"),
            ("/search?q=re&context=1", "connection refused", "expired: shop.example.test"),
            ($"/templates/{fixture.Template}", "可替换的词", "Words that orders replace"),
            ($"/templates/{fixture.Template}/versions", "版本 2 与版本 1 的不同", "Version 2 against version 1"),
            ("/commands?new=1", "systemctl restart shop", "systemctl restart shop"),
            ("/arguments", "VERSION", "VERSION"),
            ("/execute-users?new=1", "私钥", "Private key"),
        ];
        for (var at = 0; at < pages.Length; at++)
        {
            var (path, zh, en) = pages[at];
            // Both languages, themes and widths of each page, in two looks.
            foreach (var (language, theme, width) in at % 2 == 0 ? Looks[..2] : Looks[2..])
            {
                await using var visitor = await fixture.Visit(language, theme, width);
                (await visitor.Open(path)).ShouldBe(200, path);
                (await visitor.Text()).ShouldContain(language == "en" ? en : zh, Case.Insensitive, path);
                await Look(visitor, $"{path} {language} {theme} {width}", language);
                await Shot(visitor, path, language, theme, width);
            }
        }
        wrong.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_page_that_is_asked_for_again_and_again_has_its_rows_each_time()
    {
        await host.Make(new { job_id = "seen often", cmd = "true", cron = "0 */20 * * * *" });
        foreach (var path in new[] { "/jobs/seen%20often", "/jobs?q=seen", "/" })
        {
            for (var time = 0; time < 15; time++)
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, path) { Headers = { { "auth-key", TestTokens.Admin } } };
                using var response = await host.Http.SendAsync(request, TestContext.Current.CancellationToken);
                response.StatusCode.ShouldBe(HttpStatusCode.OK, path);
                (await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldContain("/jobs/seen%20often", Case.Sensitive, path);
            }
        }
    }

    [Fact]
    public async Task An_empty_page_says_what_to_do_first()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, "chromium is not installed: apt-get install -y chromium");
        await using var empty = await fixture.Another();
        (string Path, string Zh, string En)[] pages =
        [
            ("/", "没有等你的订单", "No order waits for you"),
            ("/jobs", "还没有任务", "There are no jobs yet"),
            ("/ledger", "台账还是空的", "The ledger is empty"),
            ("/orders", "没有未结束的订单", "No order is open"),
            ("/orders?show=ended", "还没有结束的订单", "No order has ended yet"),
            ("/templates", "还没有模板", "There are no templates yet"),
            ("/incidents", "没有未处理的事件", "No incident is open"),
            ("/jobs?q=nothing", "没有符合条件的任务", "No job matches"),
            ("/people/teams", "还没有团队", "There are no teams yet"),
            ("/account", "还没有访问令牌", "You have no access token"),
            ("/alerting/silences", "没有静默", "There is no silence"),
            ("/alerting/channels", "还没有渠道", "There are no channels yet"),
            ("/forecast", "这段时间没有任务到期", "No job is due in this time"),
            ("/audit?who=nobody", "没有符合条件的记录", "No line matches"),
        ];
        foreach (var (language, theme, width) in Looks[..2])
        {
            await using var visitor = await fixture.Visit(language, theme, width, host: empty);
            foreach (var (path, zh, en) in pages)
            {
                (await visitor.Open(path)).ShouldBe(200, path);
                (await visitor.Text()).ShouldContain(language == "en" ? en : zh);
                await Look(visitor, $"empty {path} {language} {theme} {width}", language);
            }
        }
        wrong.ShouldBeEmpty();
    }

    [Fact]
    public async Task What_one_may_not_see_or_do_is_said_with_the_reason()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, "chromium is not installed: apt-get install -y chromium");
        await using var closed = await fixture.Another(("Codo:Cron:Operators", "nobody-at-all"));
        await closed.Post("/v1/cron/job/", new { job_id = "theirs", cmd = "true", cron = "0 0 3 * * *" });
        await using var visitor = await fixture.Visit("en", "dark", 360, TestTokens.For(5, "bob"), closed);
        (await visitor.Open("/jobs/theirs")).ShouldBe(200);
        var button = visitor.Page.Locator(".title [aria-disabled='true']").First;
        (await button.GetAttributeAsync("title")).ShouldNotBeNull().ShouldContain("superuser");
        await button.ClickAsync(new() { Force = true });
        await visitor.Page.WaitForSelectorAsync(".message.bad");
        await Look(visitor, "forbidden job", "en");
        (await visitor.Open("/jobs/new")).ShouldBe(403);
        await Look(visitor, "forbidden form", "en");
        (string, int)[] refused =
        [
            ("/jobs/nobody", 404),
            ("/orders/999999", 404),
            ("/runs/999999", 404),
            ("/orders/x", 404),
            ("/incidents?state=x", 400),
            ("/audit", 403),
            ("/people/teams?team=999", 404),
            ("/people/spaces?space=999", 404),
            ("/templates/999999", 404),
            ("/orders/999999/approve", 404),
            ("/orders/999999/timeline", 404),
            ("/orders/999999/compare", 404),
            ("/orders/999999/output", 404),
            ("/search?in=orders&list_id=999999", 404),
            ("/search?in=orders&list_id=x", 400),
        ];
        foreach (var (path, status) in refused)
        {
            (await visitor.Open(path)).ShouldBe(status, path);
            (await visitor.Page.Locator("[role=alert]").CountAsync()).ShouldBe(1, path);
            await Look(visitor, path, "en");
        }
        // Bob is neither the submitter nor a user of the template.
        await using var outsider = await fixture.Visit("zh", "light", 1440, TestTokens.For(5, "bob"));
        (await outsider.Open($"/orders/{fixture.Failed}")).ShouldBe(404);
        await Look(outsider, "an order of others", "zh");
        wrong.ShouldBeEmpty();
    }

    [Fact]
    public async Task Without_the_database_a_page_says_so_and_comes_back_by_itself()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, "chromium is not installed: apt-get install -y chromium");
        await using var own = await TestPostgres.StartNew();
        await using var lonely = await TestHost.Start(own);
        await own.Stop();
        await using var visitor = await fixture.Visit("en", "light", 360, host: lonely);
        (await visitor.Open("/orders")).ShouldBe(503);
        (await visitor.Text()).ShouldContain("The database does not answer");
        await own.Start();
        await visitor.Sees("No order is open");
        await visitor.Page.WaitForSelectorAsync("html[data-stream='live']");
    }

    [Fact]
    public async Task Every_address_opened_cold_leads_a_stranger_to_the_sign_in_and_never_fails()
    {
        var pages = host.Services.GetRequiredService<EndpointDataSource>()
            .Endpoints.OfType<RouteEndpoint>()
            .Where(endpoint => endpoint.Metadata.GetMetadata<IsPage>() is not null)
            .Select(endpoint => Parameters().Replace("/" + endpoint.RoutePattern.RawText!.Trim('/'), "1"))
            .ToList();
        pages.Count.ShouldBeGreaterThanOrEqualTo(8);
        foreach (var path in pages)
            foreach (var (token, statuses) in new[] { (null, [401]), (TestTokens.Admin, [200, 404]), (TestTokens.For(5, "bob"), new[] { 200, 403, 404 }) })
            {
                using var request = TestHost.Request(HttpMethod.Get, path, null, token);
                request.Headers.Add("Accept", "text/html");
                using var response = await host.Http.SendAsync(request);
                statuses.ShouldContain((int)response.StatusCode, $"{path} for {token}");
                response.Content.Headers.ContentType!.MediaType.ShouldBe("text/html");
                var policy = response.Headers.GetValues("Content-Security-Policy").Single();
                if (token is not null) policy.ShouldNotContain("unsafe");
            }
    }

    [Fact]
    public async Task A_page_is_printed_in_dark_letters_whatever_its_theme()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, "chromium is not installed: apt-get install -y chromium");
        const string Colour = "getComputedStyle(document.body).color";
        const Microsoft.Playwright.ColorScheme dark = Microsoft.Playwright.ColorScheme.Dark;
        foreach (var theme in new[] { "dark", "auto" })
        {
            await using var visitor = await fixture.Visit("en", theme);
            await visitor.Open("/jobs");
            await visitor.Page.EmulateMediaAsync(new() { ColorScheme = dark });
            (await visitor.Page.EvaluateAsync<string>(Colour)).ShouldBe("rgb(231, 234, 240)", theme);
            await visitor.Page.EmulateMediaAsync(new() { ColorScheme = dark, Media = Microsoft.Playwright.Media.Print });
            (await visitor.Page.EvaluateAsync<string>(Colour)).ShouldBe("rgb(22, 27, 38)", theme);
        }
    }

    [Fact]
    public async Task An_approver_sees_the_characters_that_would_make_a_command_line_read_like_another()
    {
        var template = await OrderHost.Template(host, OrderHost.Step("echo", "WHAT", name: "say", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("turned-1"), new { WHAT = "a\u202e\u200f" }, schedule: "new");
        var page = WebUtility.HtmlDecode((await host.Page($"/orders/{order}/approve", TestTokens.Admin)).Html);
        page.ShouldContain("a⟨U+202E⟩⟨U+200F⟩");
        page.Any(letter => letter is '\u202e' or '\u200f').ShouldBeFalse();
        await host.Post("/v2/task/approval/", new { list_id = order, verdict = "reject" });
    }

    [Fact]
    public async Task The_command_of_a_list_asks_for_the_page_that_is_shown()
    {
        var template = await OrderHost.Template(host, OrderHost.Step("true", forceHost: "127.0.0.1"));
        foreach (
            var (path, api) in new[]
            {
                ("/alerting", "/v2/alerts/rule/?page=1&limit=50"),
                ("/alerting/channels?page=2", "/v2/alerts/channel/?page=2&limit=50"),
                ("/alerting/silences", "/v2/alerts/silence/?page=1&limit=50"),
                ("/alerting/contacts", "/v2/alerts/contact/?page=1&limit=50"),
                ("/incidents", "/v2/alerts/incident/?state=open&page=1&limit=50"),
                ("/incidents?state=all&page=2", "/v2/alerts/incident/?page=2&limit=50"),
                ("/jobs?q=a%20b&page=2", "/v1/cron/job/?q=a%20b&sort=job_id&page=2&limit=50"),
                ("/deleted/jobs", "/v1/cron/job/deleted/?page=1&limit=50"),
                ("/ledger?view=failed&start_date=2026-01-01&q=x", "/v1/cron/log/?failed=true&start_date=2026-01-01&q=x&page=1&limit=100"),
                ("/ledger/matrix?page=2", "/v1/cron/log/matrix/?hours=24&page=2&limit=500"),
                ("/orders", "/v2/task/list/?page=1&limit=100"),
                ("/orders?show=ended&q=x&page=2", "/v2/task/check_history/?search_val=x&page=2&limit=100"),
                ($"/orders/new?temp_id={template}", $"/v2/task_layout/details/?temp_id={template}"),
                ("/commands?q=x", "/v2/task_layout/command/?search_value=x&page=1&limit=100"),
                ("/arguments", "/v2/task_layout/args/?search_value=&page=1&limit=100"),
                ("/deleted/templates?page=3", "/v2/task_layout/temp/deleted/?page=3&limit=50"),
                ("/people/grants?space=default", "/v2/accounts/grant/?space=default&limit=100"),
                ("/people/teams?after=5", "/v2/accounts/team/?after=5"),
                ("/people/spaces?after=5", "/v2/accounts/space/?after=5"),
            }
        )
        {
            var (status, html) = await host.Page(path, TestTokens.Admin);
            status.ShouldBe(200, path);
            WebUtility.HtmlDecode(html).ShouldContain($"{host.Http.BaseAddress!.Authority}{api}'\"", Case.Sensitive, path);
            (await host.Get(api)).Code().ShouldBe(0, api);
        }
        foreach (var path in new[] { "/orders?wait=hand", "/orders/new" })
            (await host.Page(path, TestTokens.Admin)).Html.ShouldNotContain("data-curl", Case.Sensitive, path);
    }

    [Fact]
    public async Task Each_field_for_a_time_says_in_which_zone_it_is_and_every_page_does()
    {
        var zone = host.Services.GetRequiredService<Zone>().Info.Id;
        var template = await OrderHost.Template(host, OrderHost.Step("true", forceHost: "127.0.0.1"));
        (await host.Get("/v2/accounts/me/", TestTokens.For(5, "bob"))).Code().ShouldBe(0);
        var grant = (long)(await host.Post("/v2/accounts/grant/", new { user_id = 5, role = "viewer", space = "default" }))["grant_id"]!;
        foreach (var (path, count) in new[] { ("/alerting/silences", 2), ($"/people/grants?edit={grant}", 2), ($"/orders/new?temp_id={template}", 1) })
        {
            var page = WebUtility.HtmlDecode((await host.Page(path, TestTokens.Admin, "en")).Html);
            page.ShouldContain($"Times are in {zone}", Case.Sensitive, path);
            var fields = page.Split("type=\"datetime-local\"")[1..];
            fields.Length.ShouldBe(count, path);
            foreach (var field in fields)
                field[..field.IndexOf("</label>", StringComparison.Ordinal)].ShouldContain($"Zone {zone}</small>", Case.Sensitive, path);
        }
        (await host.Delete("/v2/accounts/grant/", new { grant_id = grant })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task Pages_of_what_no_stream_tells_are_read_again_by_themselves()
    {
        var poll = host.Services.GetRequiredService<Assets>().Address("poll.js");
        var template = await OrderHost.Template(host, OrderHost.Step("true", trigger: "hand", name: "gate", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("polled-1"));
        foreach (var path in new[] { "/", "/nodes", "/alerting/silences", $"/orders/{order}/timeline" })
            (await host.Page(path, TestTokens.Admin)).Html.ShouldContain(poll, Case.Sensitive, path);
        await host.Put("/v2/task/list/", new { list_id = order });
        await OrderHost.Ended(host, order);
        foreach (var path in new[] { "/jobs", $"/orders/{order}/timeline" })
            (await host.Page(path, TestTokens.Admin)).Html.ShouldNotContain(poll, Case.Sensitive, path);
    }

    [Fact]
    public async Task The_list_of_jobs_says_when_each_ran_last()
    {
        await host.Make(new { job_id = "ran once", cmd = "true", cron = CronClient.Never });
        await host.Ended(await host.RunNow("ran once"));
        (await Row("/jobs?q=ran%20once", "job-ran once")).Split("</td>")[2].ShouldContain("<time datetime=");
        await host.Delete("/v1/cron/job/", new { job_id = "ran once" });
    }

    [Fact]
    public async Task A_time_that_was_missed_is_no_failure_of_the_job()
    {
        await host.Make(new { job_id = "half missed", cmd = "true", cron = CronClient.Never });
        await host.Ended(await host.RunNow("half missed"));
        await host.Count(
            """
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd)
            SELECT id, job_id, 'schedule', 'schedule', now() - interval '1 minute', now() - interval '1 minute', 'missed', now() - interval '1 minute', cmd
            FROM cron.job WHERE job_id = 'half missed' RETURNING 1
            """
        );
        (await host.Page("/jobs/half%20missed", TestTokens.Admin, "en")).Html.ShouldContain("100 % (of the last 1)");
        await host.Delete("/v1/cron/job/", new { job_id = "half missed" });
    }

    [Fact]
    public async Task The_hours_in_which_something_went_wrong_are_said_in_words()
    {
        await host.Make(new { job_id = "wrong once", cmd = "exit 3", cron = CronClient.Never });
        await host.Ended(await host.RunNow("wrong once"));
        const string Hour = "[0-9]{2}:[0-9]{2} [0-9]+ succeeded, [1-9][0-9]* went wrong, [0-9]+ did not run";
        // The hours are kept for some seconds: another test may have had them read before.
        var page = await Eventually.Get(
            async () => (await host.Page("/", TestTokens.Admin, "en")).Html,
            html => Regex.IsMatch(html, Hour),
            "the first page has read the hours anew"
        );
        page.ShouldMatch($"aria-label=\"Outcomes by the hour: [^\"]*{Hour}");
        page.ShouldMatch($"<p class=\"muted small-hours\">[^<]*{Hour}");
        await host.Delete("/v1/cron/job/", new { job_id = "wrong once" });
    }

    [Fact]
    public async Task What_narrows_the_ledger_is_said_and_stays_while_one_types()
    {
        foreach (var name in new[] { "tag", "owner" })
        {
            var page = WebUtility.HtmlDecode((await host.Page($"/ledger?{name}=db&view=failed", TestTokens.Admin, "en")).Html);
            page.ShouldContain($"<input type=\"hidden\" name=\"{name}\" value=\"db\"", Case.Sensitive, name);
            page.ShouldContain("href=\"/ledger?view=failed\">" + (name == "tag" ? "Tag" : "Owner") + " db ✕</a>", Case.Sensitive, name);
        }
    }

    [Fact]
    public async Task Of_an_order_that_was_rejected_the_approval_page_does_not_say_that_it_runs()
    {
        var template = await OrderHost.Template(host, OrderHost.Step("true", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("never-1"), schedule: "new");
        var row = await Row("/orders", $"{order}");
        foreach (var label in new[] { "Submitter", "Approver", "Type" }) row.ShouldContain($"data-label=\"{label}\"");
        (await host.Post("/v2/task/approval/", new { list_id = order, verdict = "reject" })).Code().ShouldBe(0);
        var page = (await host.Page($"/orders/{order}/approve", TestTokens.Admin, "en")).Html;
        page.ShouldContain("below is what it was to run");
        page.ShouldNotContain("below is what it runs");
    }

    [Fact]
    public async Task What_went_wrong_is_told_by_more_than_its_colour()
    {
        foreach (var (name, cmd) in new[] { ("notched", "exit 3"), ("unmarked", "true") })
        {
            await host.Make(new { job_id = name, cmd, cron = CronClient.Never });
            await host.Ended(await host.RunNow(name));
        }
        (await Row("/jobs?q=notched", "job-notched")).ShouldContain("class=\"notch\"");
        (await Row("/jobs?q=unmarked", "job-unmarked")).ShouldNotContain("class=\"notch\"");
        await Eventually.True(
            async () => (await host.Page("/", TestTokens.Admin, "en")).Html.Contains("class=\"notch\"", StringComparison.Ordinal),
            "the first page has read the hours anew"
        );
        foreach (var name in new[] { "notched", "unmarked" }) await host.Delete("/v1/cron/job/", new { job_id = name });
    }

    [Fact]
    public async Task Messages_that_were_given_up_are_paged()
    {
        await using var own = await fixture.Another();
        await own.Count(
            """
            WITH made AS (
                INSERT INTO platform.outbox (message_id, stream, kind, dead_at)
                SELECT 1000 + n, 'x', 'kind-' || n || '.', clock_timestamp() FROM generate_series(1, 21) n RETURNING 1)
            SELECT count(*) FROM made
            """
        );
        var first = (await own.Page("/nodes", TestTokens.Admin, "en")).Html;
        first.ShouldSatisfyAllConditions(
            html => html.ShouldContain("kind-20."),
            html => html.ShouldNotContain("kind-21."),
            html => html.ShouldContain("href=\"/nodes?page=2\"")
        );
        var second = (await own.Page("/nodes?page=2", TestTokens.Admin, "en")).Html;
        second.ShouldSatisfyAllConditions(html => html.ShouldContain("kind-21."), html => html.ShouldNotContain("kind-20."));
        (await own.Delete("/v2/outbox/", new { message_id = 1021 })).Code().ShouldBe(0);
        (await own.Page("/nodes?page=2", TestTokens.Admin, "en")).Html.ShouldContain("No message is left on this page");
    }

    [Fact]
    public async Task A_silence_is_not_ended_without_a_question()
    {
        var running = await host.Post("/v2/alerts/silence/", new { subject = "asked-first", reason = "x", ends_at = "2099-01-01 00:00" });
        running.Code().ShouldBe(0, running.ToJsonString());
        const string Insert = """
            INSERT INTO alerts.silence (subject, starts_at, ends_at, reason, creator_id, creator) VALUES
                (@subject, now() + @begins * interval '1 day', now() + @ends * interval '1 day', 'x', 1, 'admin') RETURNING silence_id
            """;
        var over = await host.Ask<long>(Insert, new { subject = "asked-over", begins = -2, ends = -1 });
        var later = await host.Ask<long>(Insert, new { subject = "asked-later", begins = 1, ends = 2 });
        var english = WebUtility.HtmlDecode((await host.Page("/alerting/silences", TestTokens.Admin, "en")).Html);
        english.ShouldContain("data-confirm=\"End the silence Everything asked-first\nIncidents that opened in it");
        english.ShouldContain("data-confirm=\"Delete the record of the silence Everything asked-over\"");
        english.ShouldContain("data-confirm=\"Cancel the silence Everything asked-later\nIt does not begin\"");
        WebUtility.HtmlDecode((await host.Page("/alerting/silences", TestTokens.Admin, "zh")).Html).ShouldContain("data-confirm=\"结束静默 全部 asked-first");
        foreach (var id in new[] { (long)running["silence_id"]!, over, later })
            (await host.Delete("/v2/alerts/silence/", new { silence_id = id })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task A_grant_that_one_may_not_change_has_no_form_to_change_it()
    {
        var own = TestTokens.For(5, "bob");
        (await host.Get("/v2/accounts/me/", own)).Code().ShouldBe(0);
        var grant = await host.Post("/v2/accounts/grant/", new { user_id = 5, role = "viewer", space = "default" });
        grant.Code().ShouldBe(0, grant.ToJsonString());
        var id = (long)grant["grant_id"]!;
        (await host.Page("/people/grants", own, "en")).Html.ShouldSatisfyAllConditions(
            html => html.ShouldContain($"data-row=\"grant-{id}\""),
            html => html.ShouldNotContain($"edit={id}"),
            html => Disabled().Count(html).ShouldBe(2, "Change and Take back say why")
        );
        (await host.Page("/people/grants", TestTokens.Admin, "en")).Html.ShouldContain($"edit={id}");
        (await host.Delete("/v2/accounts/grant/", new { grant_id = id })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task The_button_of_a_batch_says_which_hosts_begin()
    {
        JsonArray batches = [new JsonObject { ["group"] = 1, ["batch"] = "1", ["batch_pause"] = 0, ["max_failures"] = 0, ["next"] = "confirm" }];
        var template = await OrderHost.Template(host, batches, [], OrderHost.Step("true", name: "only", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("turn-1,turn-2"));
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM tasks.lane WHERE list_id = {order} AND state = 'done'") == 1,
            "the first batch is done"
        );
        WebUtility.HtmlDecode((await host.Page($"/orders/{order}", TestTokens.Admin, "en")).Html)
            .ShouldContain("Let batch 2 of group 1 begin, on 1 host: turn-2");
        await host.Put("/v2/task/list/", new { list_id = order });
    }

    [Fact]
    public async Task Of_the_hosts_that_are_not_done_no_order_is_offered_where_a_whole_group_is_done()
    {
        var template = await OrderHost.Template(
            host,
            OrderHost.Step("true", forceHost: "127.0.0.1"),
            OrderHost.Step("false", group: 2, forceHost: "127.0.0.1")
        );
        var order = await OrderHost.Order(host, template, new Dictionary<string, string> { ["1"] = "part-1", ["2"] = "part-2" });
        var alone = await OrderHost.Template(host, OrderHost.Step("false", forceHost: "127.0.0.1"));
        var whole = await OrderHost.Order(host, alone, ConsoleFixture.Hosts("part-3"));
        foreach (var one in new[] { order, whole })
            await Eventually.True(async () => (string)(await OrderHost.Check(host, one))["status"]! == "4", "a host has failed");
        (await host.Page($"/orders/{whole}", TestTokens.Admin, "en")).Html.ShouldContain($"failed_of={whole}");
        (await host.Page($"/orders/{order}", TestTokens.Admin, "en")).Html.ShouldNotContain("failed_of=");
        const string Words = "None of this group has failed, is interrupted or stopped; an order needs hosts for every group. While the order runs, ";
        (await host.Page($"/orders/new?failed_of={order}", TestTokens.Admin, "en")).Html.ShouldContain(Words);
        (await host.Page($"/orders/new?failed_of={whole}", TestTokens.Admin, "en")).Html.ShouldNotContain(Words);
        foreach (var one in new[] { order, whole }) await host.Put("/v2/task/list/", new { list_id = one });
        await OrderHost.Ended(host, order);
        (await host.Page($"/orders/new?failed_of={order}", TestTokens.Admin, "en")).Html.ShouldContain("All hosts of this group are done; an order needs");
    }

    [Fact]
    public async Task Of_an_order_that_still_runs_no_host_is_taken_over_whose_turn_is_now_or_comes_yet()
    {
        var template = await OrderHost.Template(host, Batches(0, 0, "auto"), [], OrderHost.Step("false", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("stuck-1,stuck-2"));
        await Eventually.True(async () => (string)(await OrderHost.Check(host, order))["status"]! == "4", "a host has failed");
        (await host.Page($"/orders/{order}", TestTokens.Admin, "en")).Html.ShouldContain("Only failed hosts");
        var page = (await host.Page($"/orders/new?failed_of={order}", TestTokens.Admin, "en")).Html;
        page.ShouldContain("stuck-1");
        page.ShouldNotContain("stuck-2");
        await host.Put("/v2/task/list/", new { list_id = order });
        await OrderHost.Ended(host, order);
        (await host.Page($"/orders/{order}", TestTokens.Admin, "en")).Html.ShouldContain("Only hosts not done");
        page = (await host.Page($"/orders/new?failed_of={order}", TestTokens.Admin, "en")).Html;
        page.ShouldContain("stuck-1");
        page.ShouldContain("stuck-2");
    }

    [Fact]
    public async Task The_list_of_orders_says_which_wait_for_a_person_although_their_status_does_not()
    {
        var template = await OrderHost.Template(host, Batches(0, 0, "confirm"), [], OrderHost.Step("true", name: "only", forceHost: "127.0.0.1"));
        var batch = await OrderHost.Order(host, template, ConsoleFixture.Hosts("await-1,await-2"));
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM tasks.lane WHERE list_id = {batch} AND state = 'done'") == 1,
            "the first batch is done"
        );
        var gate = await OrderHost.Template(host, OrderHost.Step("true", trigger: "hand", name: "gate", forceHost: "127.0.0.1"));
        var hand = await OrderHost.Order(host, gate, ConsoleFixture.Hosts("stay-1,stay-2"));
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM tasks.lane WHERE list_id = {hand} AND state = 'hand'") == 2,
            "both hosts wait at the gate"
        );
        (await OrderHost.Intervene(host, hand, "stop_one", ip: "stay-1")).Code().ShouldBe(0);
        await Eventually.True(async () => (string)(await OrderHost.Check(host, hand))["status"]! == "6", "the order knows that a host was stopped");

        var row = await Row("/orders", $"{batch}");
        row.ShouldContain("A batch waits for a person");
        row.ShouldNotContain("Running");
        row = await Row("/orders", $"{hand}");
        row.ShouldContain("A step waits for a person");
        row.ShouldNotContain("interrupted");
        await Row("/orders?wait=batch", $"{batch}");
        await Row("/orders?wait=hand", $"{hand}");
        (await host.Page("/orders?wait=hand", TestTokens.Admin, "en")).Html.ShouldNotContain($"data-row=\"{batch}\"");
        foreach (var one in new[] { batch, hand }) await host.Put("/v2/task/list/", new { list_id = one });
    }

    [Fact]
    public async Task An_order_that_failed_is_first_however_many_were_made_since_and_says_since_when()
    {
        var template = await OrderHost.Template(host, OrderHost.Step("false", forceHost: "127.0.0.1"));
        var failed = await OrderHost.Order(host, template, ConsoleFixture.Hosts("buried-1"));
        await Eventually.True(async () => (string)(await OrderHost.Check(host, failed))["status"]! == "4", "a host has failed");
        // It began long before it failed.
        await host.Count($"UPDATE tasks.scheduler_task_list SET start_time = '2001-02-03 04:05:06Z' WHERE list_id = {failed} RETURNING 1");
        const string Crowd = """
            WITH made AS (
                INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before)
                SELECT 'crowd', 'crowd', '{}', '{}', 'nobody', 'new', 0, now() + interval '1 day', now() + interval '1 day' FROM generate_series(1, 100)
                RETURNING 1)
            SELECT count(*) FROM made
            """;
        (await host.Count(Crowd)).ShouldBe(100);
        foreach (var (path, key) in new[] { ("/orders", $"{failed}"), ("/orders?wait=failed", $"{failed}"), ("/", $"wait-{failed}") })
        {
            var row = await Row(path, key);
            row.ShouldContain("A host has failed");
            row.ShouldNotContain("2001-", Case.Sensitive, path);
        }
        (await host.Page("/orders", TestTokens.Admin, "en")).Html.ShouldMatch("Awaits approval <b>1[0-9][0-9]</b>");
        await host.Count("WITH gone AS (DELETE FROM tasks.scheduler_task_list WHERE task_name = 'crowd' RETURNING 1) SELECT count(*) FROM gone");
        await host.Put("/v2/task/list/", new { list_id = failed });
    }

    [Fact]
    public async Task Whoever_approves_reads_how_the_batches_follow_each_other_and_when_they_stop()
    {
        var template = await OrderHost.Template(host, Batches(30, 7, "auto"), [], OrderHost.Step("true", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("slow-1,slow-2"), schedule: "new");
        foreach (var path in new[] { $"/orders/{order}/approve", $"/templates/{template}" })
        {
            var page = (await host.Page(path, TestTokens.Admin, "en")).Html;
            page.ShouldContain("more than 7 failures", Case.Sensitive, path);
            page.ShouldContain("30 s between", Case.Sensitive, path);
        }
        await host.Post("/v2/task/approval/", new { list_id = order, verdict = "reject" });
    }

    [Fact]
    public async Task A_text_is_searched_in_the_output_of_one_order_and_its_line_opens_at_the_step_that_printed_it()
    {
        // Both steps have one level. The command lines have not got the text.
        JsonObject[] steps =
        [
            OrderHost.Step("true", name: "first", forceHost: "127.0.0.1"),
            OrderHost.Step("printf 'hay%s\\n' 'stack 1'", name: "second", forceHost: "127.0.0.1"),
        ];
        var template = await OrderHost.Template(host, steps);
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("seen-1"));
        var other = await OrderHost.Order(host, template, ConsoleFixture.Hosts("seen-2"));
        foreach (var one in new[] { order, other })
        {
            await OrderHost.Ended(host, one);
            await Eventually.True(
                async () => (int)(await host.Get($"/v2/task/log/search/?q=haystack%201&list_id={one}"))["count"]! == 1,
                "its line is written"
            );
        }
        var page = WebUtility.HtmlDecode((await host.Page($"/search?in=orders&list_id={order}&q=haystack%201", TestTokens.Admin, "en")).Html);
        page.ShouldContain($"/orders/{order}?cell=1%2Fseen-1%2F1&find=haystack%201");
        page.ShouldNotContain("seen-2");
        page.ShouldContain($"<a href=\"/orders/{order}\">#{order} an order</a>");
        page.ShouldMatch($"<input type=\"hidden\" name=\"list_id\" value=\"{order}\"");
        page = WebUtility.HtmlDecode((await host.Page("/search?in=orders&q=haystack%201", TestTokens.Admin, "en")).Html);
        page.ShouldContain("seen-2");
        page.ShouldNotContain("name=\"list_id\"");
    }

    [Fact]
    public async Task Assets_are_small_compressed_and_kept_for_ever()
    {
        var assets = host.Services.GetRequiredService<Assets>();
        long Packed(string name) => assets.Bytes(name, "gzip")!.Length;
        assets.Bytes("codo.css", "")!.Length.ShouldBeLessThanOrEqualTo(40_000);
        string[] first = ["codo.css", "app.js", "api.js", "live.js", "hub.js", "morph.js", "words.js"];
        first.Sum(Packed).ShouldBeLessThanOrEqualTo(60_000);
        assets.Names.Sum(Packed).ShouldBeLessThanOrEqualTo(200_000);
        assets.ImportsOf(["app.js"]).Order().ShouldBe(["api.js", "hub.js", "live.js", "morph.js", "words.js"]);
        using var asked = new HttpRequestMessage(HttpMethod.Get, "/people/explain") { Headers = { { "auth-key", TestTokens.Admin } } };
        using var page = await host.Http.SendAsync(asked);
        (await page.Content.ReadAsStringAsync()).ShouldContain($"<link rel=\"modulepreload\" href=\"{assets.Address("hub.js")}\" />");
        foreach (var name in assets.Names)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, assets.Address(name));
            request.Headers.Add("Accept-Encoding", "gzip, br");
            using var response = await host.Http.SendAsync(request);
            response.StatusCode.ShouldBe(HttpStatusCode.OK);
            response.Headers.CacheControl!.ToString().ShouldContain("immutable");
            response.Content.Headers.ContentEncoding.ShouldBe(["br"]);
        }
        using var old = await host.Http.GetAsync("/assets/000000000000/app.js");
        old.Headers.CacheControl!.NoStore.ShouldBeTrue();
        using var none = await host.Http.GetAsync(assets.Address("none.js"));
        none.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    // A batch is one host.
    private static JsonArray Batches(int pause, int maxFailures, string next) =>
        [new JsonObject { ["group"] = 1, ["batch"] = "1", ["batch_pause"] = pause, ["max_failures"] = maxFailures, ["next"] = next }];

    /// <summary>One row of a list as a page shows it.</summary>
    private async Task<string> Row(string path, string key)
    {
        var page = WebUtility.HtmlDecode((await host.Page(path, TestTokens.Admin, "en")).Html);
        var at = page.IndexOf($"data-row=\"{key}\"", StringComparison.Ordinal);
        at.ShouldBeGreaterThanOrEqualTo(0, $"{path} has {key}");
        return page[at..page.IndexOf("</tr>", at, StringComparison.Ordinal)];
    }

    // All that is wrong anywhere is told at once: each look at a page costs a second.
    private readonly List<string> wrong = [];

    private async Task Look(Visitor visitor, string where, string language)
    {
        wrong.AddRange(visitor.Errors.Select(error => $"{where}: {error}"));
        var over = await visitor.Page.EvaluateAsync<int>("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        if (over > 0) wrong.Add($"{where}: {over} pixels to scroll sideways");
        if (await visitor.Page.GetAttributeAsync("html", "lang") != (language == "en" ? "en" : "zh-CN")) wrong.Add($"{where}: another language");
        var words = (await visitor.Page.InnerTextAsync("body")).Replace("中文", "", StringComparison.Ordinal);
        if (language == "en" && Han().Match(words) is { Success: true } han)
            wrong.Add($"{where}: has Chinese words behind “{words[Math.Max(0, han.Index - 20)..han.Index]}”");
        var axe = await visitor.Page.RunAxe(new AxeRunOptions { ResultTypes = [ResultType.Violations] });
        wrong.AddRange(axe.Violations.Select(found => $"{where}: {found.Id}: {string.Join(" | ", found.Nodes.Take(2).Select(node => node.Html))}"));
    }

    // For a person who wants to look at it.
    private static async Task Shot(Visitor visitor, string path, string language, string theme, int width)
    {
        if (Environment.GetEnvironmentVariable("CODO_TEST_SCREENSHOTS") is not { } folder) return;
        var name = $"console{path.Replace('/', '-').Replace('?', '-')}-{language}-{theme}-{width}.png";
        await visitor.Page.ScreenshotAsync(new() { Path = Path.Combine(folder, name) });
    }

    [GeneratedRegex("aria-disabled=\"true\" title=\"Admins of a space or an object")]
    private static partial Regex Disabled();

    [GeneratedRegex("{[^}]*}")]
    private static partial Regex Parameters();

    [GeneratedRegex(@"\p{IsCJKUnifiedIdeographs}")]
    private static partial Regex Han();
}
