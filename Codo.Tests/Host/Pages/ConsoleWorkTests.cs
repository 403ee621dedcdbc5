using System.Text.Json.Nodes;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Pages;

/// <summary>What a person does with the console: follow, act, move by keys.</summary>
public sealed partial class ConsoleWorkTests(ConsoleFixture fixture) : IClassFixture<ConsoleFixture>
{
    private const string NoBrowser = "chromium is not installed: apt-get install -y chromium";

    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_change_appears_without_a_reload_and_what_is_typed_stays()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        await visitor.Open("/jobs");
        await visitor.Page.EvaluateAsync("window.sameDocument = true");
        await visitor.Page.FocusAsync("main input[type=search]");
        await host.Make(new { job_id = "made meanwhile", cmd = "true", cron = CronClient.Never });
        await visitor.Sees("made meanwhile");
        (await visitor.Page.EvaluateAsync<bool>("window.sameDocument === true && document.activeElement.type === 'search'")).ShouldBeTrue();
        await host.Delete("/v1/cron/job/", new { job_id = "made meanwhile" });
        await visitor.Page.WaitForSelectorAsync("[data-row='job-made meanwhile']", new() { State = Microsoft.Playwright.WaitForSelectorState.Detached });
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task Two_tabs_share_one_stream()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        await visitor.Open("/incidents");
        await visitor.Page.WaitForSelectorAsync("html[data-stream='live']");
        var second = await visitor.Page.Context.NewPageAsync();
        await second.GotoAsync(new Uri(host.Http.BaseAddress!, "/jobs").ToString());
        await second.WaitForSelectorAsync("html[data-stream='live']");
        await host.Make(new { job_id = "for both", cmd = "exit 3", cron = CronClient.Never });
        await second.WaitForSelectorAsync("text=for both");
        await host.RunNow("for both");
        await visitor.Sees("Job for both failed");
    }

    [Fact]
    public async Task A_job_is_made_run_and_its_output_followed_to_the_end()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var go = fixture.NewFile();
        await using var visitor = await fixture.Visit("en", "dark");
        var page = visitor.Page;
        await visitor.Open("/jobs/new");
        await page.FillAsync("[name=job_id]", "from the form");
        await page.FillAsync("[name=cmd]", $"printf '\\033[31mred\\033[0m line\\n'; while ! test -e {go}; do sleep 0.05; done; echo the last line");
        await page.FillAsync("[name=cron]", "61 * * * * *");
        await page.ClickAsync(".form-bar button");
        await page.WaitForSelectorAsync(".field.invalid .error");
        await page.FillAsync("[name=cron]", "0 0 3 * * mon");
        await visitor.Sees("Monday");
        await page.ClickAsync(".form-bar button");
        await page.WaitForURLAsync("**/jobs/from%20the%20form");
        await page.ClickAsync("text=Run now");
        await page.WaitForSelectorAsync("dialog[open] .will");
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync("text=is to run now");
        await page.ClickAsync("tr[data-href^='/runs/'] a");
        await page.WaitForSelectorAsync(".log-line .f1:has-text('red')");
        await File.WriteAllTextAsync(go, "");
        await page.WaitForSelectorAsync(".log-line:has-text('the last line')");
        await page.WaitForSelectorAsync(".title .badge.ok");
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "from the form" });
    }

    [Fact]
    public async Task The_output_of_a_retry_follows_that_of_the_attempt_before_from_its_first_line()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var (go, tried) = (fixture.NewFile(), fixture.NewFile());
        var wait = $"while ! test -e {go}; do sleep 0.05; done";
        var cmd = $"test -e {tried} || {{ echo the first attempt says more; {wait}; touch {tried}; echo and ends; exit 1; }}; echo two";
        await host.Make(new { job_id = "tried twice", cmd, cron = CronClient.Never, retries = 1, retry_delay = 1 });
        var run = await host.RunNow("tried twice");
        await using var visitor = await fixture.Visit("en", "light");
        await visitor.Open($"/runs/{run}");
        await visitor.Page.WaitForSelectorAsync(".log-line:has-text('says more')");
        await File.WriteAllTextAsync(go, "");
        await visitor.Page.WaitForSelectorAsync(".log-line:has-text('two')");
        (await visitor.Page.Locator(".log-line span").AllInnerTextsAsync())
            .ShouldBe(["the first attempt says more", "and ends", "—— Attempt 2 ——", "two"]);
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "tried twice" });
    }

    [Fact]
    public async Task A_run_that_has_ended_shows_all_of_its_output()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "said much", cmd = "true", cron = CronClient.Never });
        var run = await host.RunNow("said much");
        await host.Ended(run);
        // More bytes than one answer has.
        await host.Ask<long>(
            """
            WITH pieces AS (
                INSERT INTO cron.output (log_id, nominal_at, attempt, from_byte, next_byte, text)
                SELECT log_id, nominal_at, 1, (n - 1) * 10211, n * 10211, 'line ' || lpad(CAST(n AS text), 4, '0') || ' ' || repeat('汉', 3400) || chr(10)
                FROM cron.cron_log, generate_series(1, 300) n WHERE log_id = @run RETURNING 1)
            SELECT count(*) FROM pieces
            """,
            new { run }
        );
        await using var visitor = await fixture.Visit();
        await visitor.Open($"/runs/{run}");
        await visitor.Page.WaitForSelectorAsync(".log-line:has-text('line 0300')");
        var lines = (await visitor.Page.EvaluateAsync<string>("document.querySelector('[data-run-log]').view.text()")).TrimEnd('\n').Split('\n');
        lines.Select(line => line[..9]).ShouldBe(Enumerable.Range(1, 300).Select(line => $"line {line:D4}"));
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "said much" });
    }

    [Fact]
    public async Task A_pause_is_undone_from_its_message()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "to pause", cmd = "true", cron = "0 0 3 * * *" });
        await using var visitor = await fixture.Visit("en", "light", 360);
        await visitor.Open("/jobs/to%20pause");
        await visitor.Page.ClickAsync(".title [data-key=p]");
        await visitor.Page.WaitForSelectorAsync(".title .badge:has-text('Paused')");
        await visitor.Page.ClickAsync(".message button:has-text('Undo')");
        await visitor.Page.WaitForSelectorAsync(".title .badge:has-text('Enabled')");
        var lowest = await visitor.Page.EvaluateAsync<double>(
            "Math.min(...[...document.querySelectorAll('main .title .button')].map(button => button.getBoundingClientRect().height))"
        );
        lowest.ShouldBeGreaterThanOrEqualTo(44);
        await host.Delete("/v1/cron/job/", new { job_id = "to pause" });
    }

    [Fact]
    public async Task Whoever_releases_a_held_job_is_shown_why_it_is_held_and_what_it_runs()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var rule = new { name = "surprises", kind = "words", pattern = "echo surprise", action = "approve", reason = "先看", reason_en = "look at it first" };
        (await host.Post("/v2/task/risk/", rule)).Code().ShouldBe(0);
        var job = new { job_id = "held back", cmd = "echo one\necho surprise", cron = "0 0 3 * * *" };
        (await host.Post("/v1/cron/job/", job, TestTokens.For(5, "bob"))).Code().ShouldBe(0);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/jobs/held%20back");
        (await visitor.Text(".banner.warn:has-text('surprises')")).ShouldContain("look at it first");
        await page.Keyboard.PressAsync("p");
        await page.WaitForSelectorAsync("dialog[open] .will li:has-text('echo surprise')");
        (await visitor.Text("dialog[open] .will")).ShouldContain("look at it first");
        await page.ClickAsync("dialog[open] .end button:not(.primary)");
        ((string)(await host.Get("/v1/cron/job/?job_id=held%20back"))["data"]![0]!["state"]!).ShouldBe("paused");

        await visitor.Open("/jobs?q=held%20back");
        (await visitor.Text("[data-row='job-held back']")).ShouldContain("look at it first");
        await page.Keyboard.PressAsync("j");
        await page.WaitForSelectorAsync("tr.cursor");
        await page.Keyboard.PressAsync("p");
        await page.WaitForSelectorAsync("dialog[open] .will li:has-text('echo surprise')");
        ((string)(await host.Get("/v1/cron/job/?job_id=held%20back"))["data"]![0]!["state"]!).ShouldBe("paused");
        await page.ClickAsync("dialog[open] button:has-text('Release and resume')");
        await page.WaitForSelectorAsync(".message:has-text('runs again')");
        (await page.Locator(".message button:has-text('Undo')").CountAsync()).ShouldBe(0, "a pause does not take a release back");
        ((string)(await host.Get("/v1/cron/job/?job_id=held%20back"))["data"]![0]!["state"]!).ShouldBe("running");
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "held back" });
    }

    [Fact]
    public async Task A_held_job_whose_command_a_list_cuts_off_is_released_on_its_page_alone()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var rule = new { name = "long ones", kind = "words", pattern = "echo overlong", action = "approve", reason = "先看", reason_en = "look at it first" };
        (await host.Post("/v2/task/risk/", rule)).Code().ShouldBe(0);
        var job = new { job_id = "long held", cmd = $"# {new string('x', 5000)}\necho overlong", cron = "0 0 3 * * *" };
        (await host.Post("/v1/cron/job/", job, TestTokens.For(5, "bob"))).Code().ShouldBe(0);
        await using var visitor = await fixture.Visit();
        await visitor.Open("/jobs?q=long%20held");
        const string Release = "button:has-text('Release and resume')";
        (await visitor.Page.GetAttributeAsync($"[data-row='job-long held'] {Release}", "data-reason")).ShouldNotBeNull().ShouldContain("on the job's page");
        (await visitor.Page.Locator("[data-row='job-long held'] [data-key=p]").CountAsync()).ShouldBe(0);
        await visitor.Open("/jobs/long%20held");
        (await visitor.Page.GetAttributeAsync($".title {Release}", "data-confirm")).ShouldNotBeNull().ShouldEndWith("echo overlong");
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "long held" });
    }

    [Fact]
    public async Task Who_saves_second_keeps_what_was_typed_and_sees_what_the_first_saved()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "for two", cmd = "echo 1", cron = "0 0 3 * * *", env = new { LANG = "C" } });
        await using var visitor = await fixture.Visit("en", "light", 360);
        var page = visitor.Page;
        await visitor.Open("/jobs/for%20two");
        await page.FillAsync("#edit [name=cmd]", "echo mine");
        await host.Put("/v1/cron/job/", new { job_id = "for two", cmd = "echo theirs", retries = 3, env = new { LANG = "de" } }, TestTokens.For(5, "bob"));
        await page.ClickAsync("#edit .form-bar button");
        await page.WaitForSelectorAsync("#edit .theirs:has-text('bob saved echo theirs')");
        (await page.InputValueAsync("#edit [name=cmd]")).ShouldBe("echo mine");
        (await page.InputValueAsync("#edit [name=retries]")).ShouldBe("3");
        (await page.InputValueAsync("#edit [name=env]")).ShouldBe("LANG=de");
        await page.ClickAsync("#edit .theirs button:has-text('Keep mine')");
        await page.ClickAsync("#edit .form-bar button");
        await page.WaitForSelectorAsync(".message button:has-text('Undo')");
        var job = (await host.Get("/v1/cron/job/?job_id=for%20two"))["data"]![0]!;
        ((string)job["cmd"]!, (int)job["retries"]!, (int)job["version"]!).ShouldBe(("echo mine", 3, 3));
        await page.ClickAsync(".message button:has-text('Undo')");
        await page.WaitForSelectorAsync("#versions [data-row=version-4]:has-text('Brought back from version 2')");
        await Eventually.True(async () => await page.InputValueAsync("#edit [name=cmd]") == "echo theirs", "the form has what was brought back");

        // A deletion is taken back from the message on the page that it leads to.
        await page.ClickAsync("#edit button:has-text('Delete the job')");
        await page.ClickAsync("dialog[open] .danger");
        await page.WaitForURLAsync("**/jobs");
        await page.ClickAsync(".message button:has-text('Undo')");
        await page.WaitForURLAsync("**/jobs/for%20two");
        await visitor.Sees("The job for two is back");
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "for two" });
    }

    [Fact]
    public async Task Two_who_save_a_template_lose_nothing()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("echo 1", name: "fetch"), OrderHost.Step("echo 2", level: 2, name: "check"));
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/templates/{template}");
        await page.ClickAsync("li:has-text('fetch') button:has-text('Edit')");
        await page.FillAsync("dialog[open] [name=command]", "echo mine");
        await page.ClickAsync("dialog[open] button[value=yes]");
        var steps = (await host.Get($"/v2/task_layout/details/?temp_id={template}"))["data"]!["temp_list"]!.DeepClone().AsArray();
        (steps[0]!["command"], steps[1]!["command"]) = ("echo theirs", "echo checked");
        (await host.Put("/v2/task_layout/details/", new JsonObject { ["temp_id"] = template, ["new_temp_data"] = steps }.ToJsonString())).Code().ShouldBe(0);
        await page.ClickAsync("[data-template] .form-bar .primary");
        await page.WaitForSelectorAsync(".theirs:has-text('echo theirs')");
        await page.WaitForSelectorAsync("[data-template] pre:has-text('echo checked')");
        await page.ClickAsync(".theirs button:has-text('Keep mine')");
        await page.ClickAsync("[data-template] .form-bar .primary");
        await page.WaitForSelectorAsync(".message button:has-text('Undo')");
        var saved = (await host.Get($"/v2/task_layout/details/?temp_id={template}"))["data"]!["temp_list"]!.AsArray();
        saved.Select(step => (string)step!["command"]!).ShouldBe(["echo mine", "echo checked"]);
        await page.ClickAsync(".message button:has-text('Undo')");
        await page.WaitForSelectorAsync("[data-template] pre:has-text('echo theirs')");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task The_grid_shows_failures_first_and_restarts_what_is_selected()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var mend = fixture.NewFile();
        var template = await OrderHost.Template(
            host,
            OrderHost.Step("echo fetched", name: "fetch", forceHost: "127.0.0.1"),
            OrderHost.Step($"echo looking; test -e {mend}", level: 2, name: "check", forceHost: "127.0.0.1")
        );
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("app-1,app-2,app-3"));
        foreach (var name in new[] { "app-1", "app-2", "app-3" }) await OrderHost.Stands(host, order, "34", $"&get_run_host={name}");
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync("[data-grid][data-ready]");
        await page.WaitForSelectorAsync(".chip:has-text('Failed 3')");
        // The log of the step that failed stands beside the grid.
        await page.WaitForSelectorAsync(".log-line:has-text('looking')");
        await page.WaitForSelectorAsync("[data-cell-usage]:not([hidden]):has-text('Processor')");
        await page.FocusAsync(".grid-scroll");
        await page.Keyboard.PressAsync("Home");
        await page.Keyboard.PressAsync("Space");
        await page.Keyboard.PressAsync("ArrowDown");
        await page.Keyboard.PressAsync("Space");
        await page.WaitForSelectorAsync("text=2 selected");
        await File.WriteAllTextAsync(mend, "");
        await page.ClickAsync(".grid-acts button:has-text('Restart (2)')");
        (await page.Locator("dialog[open] .will li").CountAsync()).ShouldBe(2);
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync(".message:has-text('done on 2 hosts')");
        await page.WaitForSelectorAsync(".chip:has-text('Done 2')");
        await page.WaitForSelectorAsync(".chip:has-text('Failed 1')");
        await page.FillAsync(".grid-bar input[type=search]", "app-[13]$");
        (await page.EvaluateAsync<int>("document.querySelector('[data-grid]').grid.rows.filter(row => row.lane).length")).ShouldBe(2);
        page.Url.ShouldContain("host=app-%5B13%5D%24");
        await page.ClickAsync(".grid-bar button:has-text('Table')");
        (await page.InnerTextAsync(".grid-table")).ShouldContain("app-1");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task An_order_is_pushed_back_and_approved_from_the_first_page_in_three_taps()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("echo approved", name: "say", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("tap-1,tap-2"), schedule: "new");
        await using var visitor = await fixture.Visit("en", "light", 360);
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}/approve");
        (await visitor.Text()).ShouldContain("echo approved");
        await page.ClickAsync("button[value=push_back]");
        await page.WaitForSelectorAsync(".error:has-text('needs a reason')");
        await page.FillAsync("[name=comment]", "which release?");
        await page.ClickAsync("button[value=push_back]");
        await page.WaitForSelectorAsync(".banner:has-text('which release?')");
        // The submitter finds it on the first page.
        await visitor.Open("/");
        await page.TapAsync($"a[href='/orders/{order}/approve']");
        await page.WaitForURLAsync("**/approve");
        await page.WaitForSelectorAsync("html[data-ready='1'] .decide");
        var lowest = await page.EvaluateAsync<double>(
            "Math.min(...[...document.querySelectorAll('.decide .button')].map(button => button.getBoundingClientRect().height))"
        );
        lowest.ShouldBeGreaterThanOrEqualTo(44);
        await page.TapAsync("button[value=approve]");
        await page.TapAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync(".banner:has-text('awaits no approval')");
        (await OrderHost.Ended(host, order)).ShouldBe("3");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task An_order_is_made_as_another_with_its_preview_beside_it()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/orders/new?failed_of={fixture.Failed}");
        (await page.InputValueAsync("[data-group]")).ShouldBe("web-1\nweb-2\nweb-3");
        await page.WaitForSelectorAsync("[data-sum]:has-text('3 hosts')");
        await page.FillAsync("[data-group]", "made-1, made-2");
        await page.WaitForSelectorAsync("[data-sum]:has-text('2 hosts')");
        await page.WaitForSelectorAsync("[data-preview-of] pre:has-text('echo fetched')");
        await page.FillAsync("[data-group]", "not a host!");
        await page.WaitForSelectorAsync("[data-preview-of] .error");
        await page.FillAsync("[data-group]", "made-1");
        await page.FillAsync("[name=task_name]", "made in the browser");
        await page.ClickAsync(".form-bar button[value=new]");
        await page.WaitForSelectorAsync("h1:has-text('made in the browser')");
        // What the answer said is told on the page that follows.
        await page.WaitForSelectorAsync(".message");
        page.Url.ShouldMatch("/orders/[0-9]+$");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task Steps_of_a_template_are_moved_by_keys_and_saved()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(
            host,
            OrderHost.Step("echo one", "LOOSE", name: "first", forceHost: "127.0.0.1"),
            OrderHost.Step("echo two", level: 2, name: "second", forceHost: "127.0.0.1")
        );
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/templates/{template}");
        await page.WaitForSelectorAsync(".hint:has-text('LOOSE')");
        await page.FocusAsync(".moves > li:first-child");
        await page.Keyboard.PressAsync("Alt+ArrowDown");
        await page.WaitForSelectorAsync(".moves > li:last-child:has-text('first')");
        await page.Keyboard.PressAsync("Enter");
        await page.FillAsync("dialog[open] [name=command]", "echo changed");
        await page.ClickAsync("dialog[open] .primary");
        await page.ClickAsync(".decide .primary");
        await page.WaitForSelectorAsync(".message:has-text('Saved')");
        var steps = (await host.Get($"/v2/task_layout/details/?temp_id={template}"))["data"]!["temp_list"]!.AsArray();
        steps.Select(step => ((string)step!["command_name"]!, (string)step["command"]!, (int)step["level"]!))
            .ShouldBe([("second", "echo two", 1), ("first", "echo changed", 2)]);
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_log_of_a_hundred_thousand_lines_takes_few_elements_and_gives_back_every_line()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("seq 1 100000 | sed 's/^/line /'", name: "print", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("big-1"));
        await OrderHost.Ended(host, order, 60);
        await using var visitor = await fixture.Visit("zh", "dark");
        var page = visitor.Page;
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM tasks.scheduler_task_log WHERE list_id = {order}") == 100_001,
            "all is written"
        );
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync(".log-line:has-text('line 100000')");
        await page.WaitForSelectorAsync("[data-cell-log][data-loaded]", new() { Timeout = 60_000 });
        (await page.EvaluateAsync<int>("document.querySelectorAll('[data-cell-log] *').length")).ShouldBeLessThanOrEqualTo(300);
        await page.FillAsync("[data-cell-log] input[type=search]", ":50001");
        await page.WaitForSelectorAsync(".log-line.mark:has-text('line 50000')");
        await page.FillAsync("[data-cell-log] input[type=search]", "line 77777$");
        await page.WaitForSelectorAsync(".log-line.now mark:has-text('line 77777')");
        await page.FocusAsync(".log-lines");
        await page.Keyboard.PressAsync("g");
        await page.WaitForSelectorAsync(".log-line.cmd");
        var text = await page.EvaluateAsync<string>("document.querySelector('[data-grid]').grid.view.text(1)");
        text.ShouldBe(string.Concat(Enumerable.Range(1, 100_000).Select(line => $"line {line}\n")));
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_page_of_a_log_that_does_not_come_is_asked_for_again_and_one_that_is_refused_is_told_of()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("seq 1 3000 | sed 's/^/line /'", name: "print", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("pages-1"));
        await OrderHost.Ended(host, order);
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM tasks.scheduler_task_log WHERE list_id = {order}") == 3001,
            "all is written"
        );
        const string Text = "document.querySelector('[data-grid]').grid.view.text(1)";
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        var (asked, refuses) = (0, false);
        await page.RouteAsync(
            url => url.Contains("/v2/task/log/?", StringComparison.Ordinal) && url.Contains("&after=", StringComparison.Ordinal),
            route =>
                Volatile.Read(ref refuses) ? route.FulfillAsync(new() { ContentType = "application/json", Body = """{"code": -1, "msg": "no"}""" })
                : Interlocked.Increment(ref asked) == 1 ? route.FulfillAsync(new() { Status = 503 })
                : route.ContinueAsync()
        );
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync("[data-cell-log][data-loaded]");
        (await page.EvaluateAsync<string>(Text)).ShouldBe(Lines(1, 3000));

        Volatile.Write(ref refuses, true);
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync("[data-cell-log][data-loaded]");
        (await page.EvaluateAsync<string>(Text)).ShouldBe($"{Lines(1, 999)}… 1501 lines are not in this file …\n{Lines(2501, 3000)}");
        await page.FillAsync("[data-cell-log] input[type=search]", "line 1500$");
        await page.WaitForSelectorAsync("[data-cell-log] [role=status]:has-text('1501 of lines 1001–2501 are not searched')");

        // What is looked at is read.
        Volatile.Write(ref refuses, false);
        await page.FillAsync("[data-cell-log] input[type=search]", ":1501");
        await page.WaitForSelectorAsync(".log-line.mark:has-text('line 1500')");
        visitor.Errors.ShouldBeEmpty();

        static string Lines(int first, int last) => string.Concat(Enumerable.Range(first, last - first + 1).Select(line => $"line {line}\n"));
    }

    [Fact]
    public async Task Keys_reach_every_page_and_work_an_inbox()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "by keys", cmd = "exit 4", cron = CronClient.Never });
        await host.RunNow("by keys");
        await Eventually.True(
            async () => await host.Count("SELECT count(*) FROM alerts.task_monitor WHERE state = 'open' AND subject = 'by keys'") == 1,
            "its incident is open"
        );
        await using var visitor = await fixture.Visit("en", "dark");
        var page = visitor.Page;
        await visitor.Open("/incidents");
        await page.Keyboard.PressAsync("j");
        await page.WaitForSelectorAsync("tr.cursor");
        await page.Keyboard.PressAsync("a");
        await page.WaitForSelectorAsync(".message:has-text('Acknowledged')");
        await page.Keyboard.PressAsync("?");
        await visitor.Sees("Go to a page, job, order");
        await page.Keyboard.PressAsync("Escape");
        await page.Keyboard.PressAsync("Control+k");
        await page.FillAsync("dialog.palette input", "explain");
        await page.WaitForSelectorAsync("dialog.palette li:has-text('Explain')");
        await page.FillAsync("dialog.palette input", "by ke");
        await page.WaitForSelectorAsync("dialog.palette li:has-text('by keys')");
        await page.Keyboard.PressAsync("Enter");
        await page.WaitForURLAsync("**/jobs/by%20keys");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_grant_is_given_explained_and_an_access_token_shown_once()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await Eventually.True(async () => await host.Ask<bool>("SELECT EXISTS (SELECT FROM accounts.person WHERE user_id = 7)"), "ann was here");
        await visitor.Open("/people/grants?user_id=7");
        await page.ClickAsync("details.add summary");
        await page.FillAsync("details.add [name=object]", "job:paused");
        await page.SelectOptionAsync("details.add [name=role]", "editor");
        await page.ClickAsync("details.add .form-bar button");
        await page.WaitForSelectorAsync("tr:has-text('job:paused')");
        await visitor.Open("/people/explain?person=7&kind=job&name=paused&verb=edit");
        (await page.InnerTextAsync(".banner.ok")).ShouldContain("ann may edit job:paused");
        (await page.InnerTextAsync("[data-row=verb-admin]")).ShouldContain("No");
        await visitor.Open("/account");
        await page.FillAsync("[data-api='POST /v2/accounts/token/'] [name=name]", "deploy");
        await page.CheckAsync("[name=scopes][value=run]");
        await page.ClickAsync("[data-api='POST /v2/accounts/token/'] .form-bar button");
        var token = await page.InnerTextAsync("dialog[open] code");
        (await host.Get("/v2/accounts/me/", token))["code"]!.GetValue<int>().ShouldBe(0);
        await page.ClickAsync("dialog[open] .primary");
        (await page.InnerTextAsync("tr:has-text('deploy')")).ShouldContain("see, run");
        (await page.ContentAsync()).ShouldNotContain(token);
        await MakeUseAndDeleteSpace(visitor);
        visitor.Errors.ShouldBeEmpty();
    }

    private async Task MakeUseAndDeleteSpace(Visitor visitor)
    {
        var page = visitor.Page;
        await visitor.Open("/people/spaces");
        await page.ClickAsync("details.add summary");
        await page.FillAsync("details.add [name=name]", "night work");
        await page.ClickAsync("details.add .form-bar button");
        await page.WaitForSelectorAsync("details.add .error");
        await page.FillAsync("details.add [name=name]", "night-work");
        await page.ClickAsync("details.add .form-bar button");
        await page.WaitForSelectorAsync("#space h2:has-text('night-work')");
        await page.FillAsync("#space [name=name]", "nights");
        await page.CheckAsync("#space [name=confirm]");
        await page.ClickAsync("#space .form-bar .primary");
        await page.WaitForSelectorAsync("tr.chosen:has-text('nights') .badge");
        await host.Make(new { job_id = "of the nights", cmd = "true", cron = CronClient.Never, space = "nights" });
        await page.ReloadAsync();
        (await page.InnerTextAsync("#space [data-row=holds]")).ShouldContain("1 job");
        (await page.GetAttributeAsync("#space .danger", "title")).ShouldBe("The space still holds 1 job");
        var space = page.Url.Split('=')[^1];
        (await host.Delete("/v2/accounts/space/", new { space_id = space }))["msg"]!.GetValue<string>().ShouldBe("空间中还有 1 个任务");
        await host.Delete("/v1/cron/job/", new { job_id = "of the nights" });
        await visitor.Open($"/people/spaces?space={space}");
        await page.ClickAsync("#space .danger");
        await page.ClickAsync("dialog[open] .danger");
        await page.WaitForSelectorAsync("[data-row='space-1']");
        await page.WaitForSelectorAsync($"[data-row='space-{space}']", new() { State = Microsoft.Playwright.WaitForSelectorState.Detached });
    }

    [Fact]
    public async Task Deleting_what_is_open_leads_back_to_the_list()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var team = (long)(await host.Post("/v2/accounts/team/", new { name = "soon gone", description = "" }))["team_id"]!;
        var rule = (long)(await host.Post("/v2/alerts/rule/", new { name = "soon gone", subject = "nothing" }))["rule_id"]!;
        var hook = new { name = "soon gone", kind = "webhook", enabled = false, settings = new { url = "http://127.0.0.1:1/" } };
        var channel = (long)(await host.Post("/v2/alerts/channel/", hook))["channel_id"]!;
        await host.Post("/v2/alerts/contact/", new { name = "soon-gone", email = "gone@example.test" });
        var grant = (long)(await host.Post("/v2/accounts/grant/", new { user_id = 7, role = "viewer", @object = "job:paused" }))["grant_id"]!;
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        foreach (
            var (path, place, list) in new[]
            {
                ($"/people/teams?team={team}", "#team", "/people/teams"),
                ($"/alerting?edit={rule}", $"[data-row='rule-{rule}']", "/alerting"),
                ($"/alerting/channels?edit={channel}", $"[data-row='channel-{channel}']", "/alerting/channels"),
                ("/alerting/contacts?edit=soon-gone", "[data-row='contact-soon-gone']", "/alerting/contacts"),
                ($"/people/grants?edit={grant}", $"[data-row='grant-{grant}']", "/people/grants"),
            }
        )
        {
            (await visitor.Open(path)).ShouldBe(200, path);
            await page.ClickAsync($"{place} .danger");
            await page.ClickAsync("dialog[open] .danger");
            await page.WaitForURLAsync($"**{list}");
            await page.WaitForSelectorAsync(".message");
            (await page.GetAttributeAsync("main", "data-status")).ShouldBe("200", path);
        }
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task Selected_jobs_are_paused_together_tagged_and_undone()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        foreach (var name in new[] { "many a", "many b", "many c" }) await host.Make(new { job_id = name, cmd = "true", cron = "0 0 3 * * *" });
        // Somebody else has paused and tagged it before.
        await host.Make(new { job_id = "many d", cmd = "true", cron = "0 0 3 * * *", tags = new[] { "spring" } });
        await host.Patch("/v1/cron/job/", new { job_id = "many d", paused = true });
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        (await visitor.Open("/jobs?q=many")).ShouldBe(200);
        await Eventually.Get(async () => (string?)await visitor.Text(), text => text.Contains("many a", StringComparison.Ordinal), "the jobs are listed");
        await page.CheckAsync("[data-pick='many a']");
        await page.CheckAsync("[data-pick='many c']");
        await page.CheckAsync("[data-pick='many d']");
        await visitor.Sees("3 selected");
        await page.ClickAsync("[data-bulk=pause]");
        (await page.Locator("dialog[open] .will li").CountAsync()).ShouldBe(3);
        await page.ClickAsync("dialog[open] .danger");
        await page.WaitForSelectorAsync("[data-row='job-many c'] .badge:has-text('Paused')");
        (await page.Locator(".badge:has-text('Paused')").CountAsync()).ShouldBe(3);
        // What is selected is still selected.
        await page.FillAsync("[data-bulk-tags]", "spring");
        await page.ClickAsync("[data-bulk=tag]");
        await page.ClickAsync("dialog[open] .primary");
        // The message of the pause is there before that of the tags.
        await page.WaitForSelectorAsync(".message:has-text('Done for 3 jobs') >> nth=1");
        await page.ClickAsync(".message button:has-text('Undo') >> nth=0");
        foreach (var name in new[] { "many a", "many c" })
            await page.WaitForSelectorAsync(
                $"[data-row='job-{name}'] .badge:has-text('Paused')",
                new() { State = Microsoft.Playwright.WaitForSelectorState.Detached }
            );
        ((string)(await host.Get("/v1/cron/job/?job_id=many%20d"))["data"]![0]!["state"]!).ShouldBe("paused");
        await Eventually.True(async () => (await host.Get("/v1/cron/job/?tag=spring"))["count"]!.GetValue<long>() == 3, "all have the tag");
        await page.ClickAsync(".message button:has-text('Undo') >> nth=0");
        await Eventually.True(async () => (await host.Get("/v1/cron/job/?tag=spring"))["count"]!.GetValue<long>() == 1, "the tags are taken back");
        ((string)(await host.Get("/v1/cron/job/?tag=spring"))["data"]![0]!["job_id"]!).ShouldBe("many d");
        visitor.Errors.ShouldBeEmpty();
        foreach (var name in new[] { "many a", "many b", "many c", "many d" }) await host.Delete("/v1/cron/job/", new { job_id = name });
    }

    [Fact]
    public async Task The_stream_goes_on_from_what_the_client_has()
    {
        var first = await Change("/v2/stream/?topics=jobs");
        var version = first["version"]!.GetValue<string>();
        var known = Uri.EscapeDataString($"{{\"jobs\":\"{version}\"}}");
        var next = Change($"/v2/stream/?topics=jobs&known={known}");
        await host.Make(new { job_id = "streamed", cmd = "true", cron = CronClient.Never });
        (await next)["version"]!.GetValue<string>().ShouldNotBe(version);
        // What changed while nobody followed comes first.
        (await Change($"/v2/stream/?topics=jobs&known={known}"))["topic"]!.GetValue<string>().ShouldBe("jobs");
        (await host.Get("/v2/stream/?topics=nothing"))["code"]!.GetValue<int>().ShouldBe(-1);
        (await host.Get("/v2/stream/"))["code"]!.GetValue<int>().ShouldBe(-1);
        (await Change($"/v2/stream/?topics=order:{fixture.Failed}", TestTokens.For(5, "bob")))["refused"].ShouldNotBeNull();
        await host.Delete("/v1/cron/job/", new { job_id = "streamed" });
    }

    private async Task<JsonObject> Change(string path, string? token = null)
    {
        using var request = TestHost.Request(HttpMethod.Get, path, null, token ?? TestTokens.Admin);
        using var response = await host.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        while (await reader.ReadLineAsync() is { } line)
            if (line.StartsWith("data: ", StringComparison.Ordinal))
                return JsonNode.Parse(line["data: ".Length..])!.AsObject();
        throw new InvalidOperationException("The stream ended.");
    }
}
