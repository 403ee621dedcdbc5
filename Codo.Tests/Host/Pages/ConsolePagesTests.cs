using System.Net;
using System.Text.RegularExpressions;
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
        const string Words = "All hosts of this group are done; an order needs hosts for every group. While the order runs, restart there instead";
        (await host.Page($"/orders/new?failed_of={order}", TestTokens.Admin, "en")).Html.ShouldContain(Words);
        (await host.Page($"/orders/new?failed_of={whole}", TestTokens.Admin, "en")).Html.ShouldNotContain(Words);
        foreach (var one in new[] { order, whole }) await host.Put("/v2/task/list/", new { list_id = one });
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

    [GeneratedRegex("{[^}]*}")]
    private static partial Regex Parameters();

    [GeneratedRegex(@"\p{IsCJKUnifiedIdeographs}")]
    private static partial Regex Han();
}
