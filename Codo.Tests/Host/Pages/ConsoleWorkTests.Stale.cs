using System.Security.Cryptography;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Microsoft.Playwright;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Pages;

// What a person does on a page while somebody else changes what it shows, or while the host does not answer.
public sealed partial class ConsoleWorkTests
{
    [Fact]
    public async Task A_release_that_was_confirmed_opens_no_later_gate()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var order = await Gates("first gate", "second gate");
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync("[data-grid][data-ready]");
        await page.WaitForSelectorAsync(".chip:has-text('Waits for a person 1')");
        await page.FocusAsync(".grid-scroll");
        await page.Keyboard.PressAsync("Home");
        await page.Keyboard.PressAsync("Space");
        await page.ClickAsync(".grid-acts button:has-text('Release the hand step (1)')");
        await page.WaitForSelectorAsync("dialog[open] .will li:has-text('first gate')");
        var first = (long)(await OrderHost.Steps(host, order))[0]["sched_id"]!;
        (await OrderHost.Intervene(host, order, "execute", ip: "gate-1", more: new { scheduler_id = first })).Code().ShouldBe(0);
        await OrderHost.Stands(host, order, "335");
        await Eventually.True(
            async () => await page.EvaluateAsync<bool>("[...document.querySelector('[data-grid]').grid.lanes.values()][0].steps === '335'"),
            "the page shows that the host stands at the second gate"
        );
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync(".message.bad:has-text('no longer waits')");
        (await OrderHost.Statuses(host, order)).ShouldBe("335");
        visitor.Errors.ShouldBeEmpty();
        await host.Put("/v2/task/list/", new { list_id = order });
    }

    [Fact]
    public async Task The_button_of_an_order_opens_the_gate_that_hosts_stand_at_and_none_behind_it()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var order = await Gates("confirm", "confirm");
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}");
        (await page.Locator(".title button:has-text('Release “confirm”')").CountAsync()).ShouldBe(2);
        await page.ClickAsync(".title button:has-text('level 1')");
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync(".message:has-text('Released')");
        await OrderHost.Stands(host, order, "335");
        await page.ClickAsync(".title button:has-text('level 1')");
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync(".message.bad:has-text('No host that has begun waits')");
        (await OrderHost.Statuses(host, order)).ShouldBe("335");
        await host.Put("/v2/task/list/", new { list_id = order });
    }

    [Fact]
    public async Task Pause_pauses_however_often_it_is_pressed_and_whatever_the_job_is_by_now()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "pressed twice", cmd = "true", cron = "0 0 3 * * *" });
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/jobs/pressed%20twice");
        var answer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var sent = 0;
        await page.RouteAsync(
            "**/v1/cron/job/",
            async route =>
            {
                Interlocked.Increment(ref sent);
                await answer.Task;
                await route.ContinueAsync();
            }
        );
        await page.DblClickAsync(".title [data-key=p]");
        await page.Keyboard.PressAsync("p");
        answer.SetResult();
        await page.WaitForSelectorAsync(".title .badge:has-text('Paused')");
        Volatile.Read(ref sent).ShouldBe(1);

        // The page still offers to pause what somebody else has paused.
        await host.Patch("/v1/cron/job/", new { job_id = "pressed twice", paused = false });
        await page.WaitForSelectorAsync(".title .badge:has-text('Enabled')");
        await visitor.Freeze();
        await host.Patch("/v1/cron/job/", new { job_id = "pressed twice", paused = true });
        await page.ClickAsync(".title [data-key=p]:has-text('Pause')");
        await page.WaitForSelectorAsync(".message:has-text('is paused') >> nth=1");
        ((string)(await host.Get("/v1/cron/job/?job_id=pressed%20twice"))["data"]![0]!["state"]!).ShouldBe("paused");
        (await page.Locator(".message button:has-text('Undo')").CountAsync()).ShouldBe(1, "there is nothing to take back where nothing was done");
        await host.Delete("/v1/cron/job/", new { job_id = "pressed twice" });
    }

    [Fact]
    public async Task An_approval_is_for_the_plan_that_the_page_was_opened_with()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        using var key = RSA.Create(2048);
        var user = await host.Post(
            "/v2/task_layout/user/",
            new { alias_user = "stale-plan", exec_user = "deploy", ssh_port = 22, user_key = key.ExportRSAPrivateKeyPem(), remarks = "" }
        );
        user.Code().ShouldBe(0, user.ToJsonString());
        var template = await OrderHost.Template(host, OrderHost.Step("echo over ssh", name: "say", execUser: "stale-plan"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("192.0.2.7"), schedule: "new");
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}/approve");
        var seen = await page.InnerTextAsync(".hash");
        (await host.Put("/v2/task_layout/user/", new { id = (long)user["id"]!, ssh_port = 2222 })).Code().ShouldBe(0);
        // Another order makes the page read itself again.
        var other = await OrderHost.Order(host, template, ConsoleFixture.Hosts("192.0.2.8"), schedule: "new");
        await page.WaitForSelectorAsync(".banner:has-text('2222')");
        (await page.InnerTextAsync(".hash")).ShouldNotBe(seen);
        await page.ClickAsync("button[value=approve]");
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync(".message.bad:has-text('has changed, look again')");
        ((string)(await OrderHost.Check(host, order))["schedule"]!).ShouldBe("new");
        await page.EvaluateAsync("document.documentElement.dataset.old = '1'");
        await page.ClickAsync(".message button:has-text('Reload the page')");
        await page.WaitForSelectorAsync("html:not([data-old])[data-ready='1'] .decide");
        (await page.InputValueAsync("[name=plan_sha256]")).ShouldBe((await page.InnerTextAsync(".hash")).Trim());
        foreach (var id in new[] { order, other }) await host.Post("/v2/task/approval/", new { list_id = id, verdict = "reject" });
    }

    [Fact]
    public async Task Words_of_a_template_that_somebody_else_saved_are_taken_one_a_line()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("true", forceHost: "127.0.0.1"));
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/templates/{template}");
        (await host.Put("/v2/task_layout/details/", new { temp_id = template, temp_args = new[] { "FIRST", "SECOND" } })).Code().ShouldBe(0);
        await page.FillAsync("[name=temp_args]", "MINE\nOWN");
        await page.ClickAsync("form:has([name=temp_args]) .form-bar button");
        await page.ClickAsync(".theirs button:has-text('Take theirs')");
        (await page.InputValueAsync("[name=temp_args]")).ShouldBe("FIRST\nSECOND");
        await page.ClickAsync("form:has([name=temp_args]) .form-bar button");
        await page.WaitForSelectorAsync(".message:has-text('Saved')");
        (await host.Get($"/v2/task_layout/details/?temp_id={template}"))["temp_args"]!.AsArray().Select(word => (string)word!).ShouldBe(["FIRST", "SECOND"]);
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task Saving_a_contact_keeps_what_was_not_touched()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Post("/v2/alerts/contact/", new { name = "carl", email = "carl@example.test", tel = "+4915112345679" });
        await using var visitor = await fixture.Visit(token: TestTokens.For(61, "carl"));
        (await visitor.Open("/alerting/contacts")).ShouldBe(200);
        (await visitor.Page.InputValueAsync(".form [name=email]")).ShouldBe("carl@example.test");
        await visitor.Page.FillAsync(".form [name=feishu]", "ou_carl");
        await visitor.Page.ClickAsync(".form .form-bar .primary");
        await visitor.Page.WaitForSelectorAsync(".message:has-text('Saved')");
        (await Kept()).ShouldBe(("+4915112345679", "carl@example.test", "ou_carl"));

        // A superuser types the name of a contact that is there already.
        await using var admin = await fixture.Visit();
        await admin.Open("/alerting/contacts");
        await admin.Page.FillAsync(".form [name=name]", "carl");
        await admin.Page.FillAsync(".form [name=tel]", "+4915100000000");
        await admin.Page.ClickAsync(".form .form-bar .primary");
        await admin.Page.WaitForSelectorAsync(".message:has-text('Saved')");
        (await Kept()).ShouldBe(("+4915100000000", "carl@example.test", "ou_carl"));
        await host.Delete("/v2/alerts/contact/", new { name = "carl" });

        async Task<(string Tel, string Email, string Feishu)> Kept()
        {
            var contact = (await host.Get("/v2/alerts/contact/?name=carl"))["data"]![0]!;
            return ((string)contact["tel"]!, (string)contact["email"]!, (string)contact["feishu"]!);
        }
    }

    [Fact]
    public async Task A_page_whose_stream_is_refused_is_read_again_all_the_same()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        // Without a worker the stream is the page's own, and a test can refuse it.
        await page.AddInitScriptAsync("delete window.SharedWorker");
        await page.RouteAsync(url => url.Contains("/v2/stream/", StringComparison.Ordinal), route => route.FulfillAsync(new() { Status = 429 }));
        await visitor.Open("/jobs");
        await visitor.Sees("Live updates broke off");
        await host.Make(new { job_id = "made unheard", cmd = "true", cron = CronClient.Never });
        await visitor.Sees("made unheard");
        await host.Delete("/v1/cron/job/", new { job_id = "made unheard" });
    }

    [Fact]
    public async Task A_host_that_cannot_answer_is_asked_by_one_timer()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        // The pause between two tries is the test's: what waits for it is kept, and passes when the test says so.
        await page.AddInitScriptAsync(
            """
            delete window.SharedWorker;
            window.tries = new Map();
            ((later, often, cancel) => {
              let count = 0;
              window.setTimeout = (run, time, ...more) => {
                if (time !== 5000) return later(run, time, ...more);
                window.tries.set(--count, run);
                return count;
              };
              window.clearTimeout = (id) => { if (!window.tries.delete(id)) cancel(id); };
              window.setInterval = (run, time, ...more) => {
                if (time !== 5000) return often(run, time, ...more);
                window.poll = run;
                return --count;
              };
            })(window.setTimeout, window.setInterval, window.clearTimeout);
            """
        );
        await page.RouteAsync(url => url.Contains("/v2/stream/", StringComparison.Ordinal), route => route.FulfillAsync(new() { Status = 429 }));
        await page.RouteAsync(
            "**/*",
            route => route.Request.Headers.ContainsKey("x-codo-part") ? route.FulfillAsync(new() { Status = 503 }) : route.FallbackAsync()
        );
        await visitor.Open("/jobs");
        await visitor.Sees("Live updates broke off");
        await page.WaitForFunctionAsync("() => typeof window.poll === 'function'");
        const string Polls = "(async () => { for (let time = 0; time < 5; time++) await window.poll(); return window.tries.size; })()";
        (await page.EvaluateAsync<int>(Polls)).ShouldBe(0, "the poll is there already");
    }

    [Fact]
    public async Task A_secret_that_is_shown_this_once_outlives_the_session()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/account");
        await page.WaitForSelectorAsync("html[data-stream='live']");
        await page.FillAsync("[data-api='POST /v2/accounts/token/'] [name=name]", "shown once");
        await page.ClickAsync("[data-api='POST /v2/accounts/token/'] .form-bar button");
        var token = await page.InnerTextAsync("dialog[open] code");
        await page.Context.ClearCookiesAsync(new() { Name = "auth_key" });
        await host.RunNow("nightly backup");
        // Nothing outside of the dialog can be clicked.
        await page.ClickAsync("dialog[open] .message a:has-text('Sign in in another tab')", new() { Trial = true });
        (await page.InnerTextAsync("dialog[open] code")).ShouldBe(token);
    }

    [Fact]
    public async Task A_secret_that_is_shown_this_once_goes_by_its_button_alone()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/account");
        await page.FillAsync("[data-api='POST /v2/accounts/token/'] [name=name]", "escaped");
        await page.ClickAsync("[data-api='POST /v2/accounts/token/'] .form-bar button");
        var token = await page.InnerTextAsync("dialog[open] code");
        await page.Keyboard.PressAsync("Escape");
        await page.Keyboard.PressAsync("Escape");
        // Beside the dialog, where the key does not come through it.
        await page.Mouse.ClickAsync(5, 5);
        await page.Keyboard.PressAsync("Escape");
        await page.Keyboard.PressAsync("Escape");
        (await page.EvaluateAsync<bool>("document.querySelector('dialog[open]').dispatchEvent(new Event('cancel', { cancelable: true }))")).ShouldBeFalse();
        (await page.Locator("dialog[open] code").AllInnerTextsAsync()).ShouldBe([token]);
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync("dialog", new() { State = WaitForSelectorState.Detached });
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task The_nodes_are_read_again_although_nothing_else_changes()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Count(
            "INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, stopped_at) VALUES ('calm', 1, 'm', 'b', 1, 'v', now()) "
                + "RETURNING 1"
        );
        await using var visitor = await fixture.Visit();
        await visitor.Open("/nodes");
        await visitor.Page.EvaluateAsync("window.sameDocument = true");
        (await visitor.Page.Locator("[data-row=node-calm]:has-text('Drained')").CountAsync()).ShouldBe(0);
        await host.Count("UPDATE platform.node SET drained_at = now(), drained_by = 'ann' WHERE name = 'calm' RETURNING 1");
        await visitor.Page.WaitForSelectorAsync("[data-row=node-calm]:has-text('Drained')");
        (await visitor.Page.EvaluateAsync<bool>("window.sameDocument === true")).ShouldBeTrue();
        visitor.Errors.ShouldBeEmpty();
        await host.Count("DELETE FROM platform.node WHERE name = 'calm' RETURNING 1");
    }

    [Fact]
    public async Task The_timeline_of_an_order_goes_on_with_its_steps_and_the_comparison_says_of_when_it_is()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var (next, end) = (fixture.NewFile(), fixture.NewFile());
        var template = await OrderHost.Template(
            host,
            OrderHost.Step($"while ! test -e {next}; do sleep 0.05; done", name: "first", forceHost: "127.0.0.1", timeout: 600),
            OrderHost.Step($"while ! test -e {end}; do sleep 0.05; done; echo said", level: 2, name: "second", forceHost: "127.0.0.1", timeout: 600)
        );
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("drawn-1"));
        await OrderHost.Stands(host, order, "21");
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}/timeline");
        await page.EvaluateAsync("window.sameDocument = true");
        (await page.Locator("[data-row='1-1-1']").CountAsync()).ShouldBe(1);
        (await page.Locator("[data-row='1-1-2']").CountAsync()).ShouldBe(0);
        await File.WriteAllTextAsync(next, "");
        await page.WaitForSelectorAsync("[data-row='1-1-2']");
        (await page.EvaluateAsync<bool>("window.sameDocument === true")).ShouldBeTrue();

        await visitor.Open($"/orders/{order}/compare?step=2");
        (await visitor.Text()).ShouldContain("As of");
        await File.WriteAllTextAsync(end, "");
        await OrderHost.Ended(host, order);
        await Eventually.True(
            async () => (await host.Get($"/v2/task/compare/?list_id={order}&task_group=1&step=2"))["compared"]?.GetValue<int>() == 1,
            "its output has arrived"
        );
        await page.ClickAsync("main a:has-text('Compare again')");
        await page.WaitForSelectorAsync("main .summary:has-text('1 host')");
        (await visitor.Text()).ShouldContain("As of");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task The_timeline_of_an_order_is_read_again_until_nothing_of_it_runs()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("exec sleep 1000", name: "long", forceHost: "127.0.0.1", timeout: 600));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("drawn-2"));
        await OrderHost.Stands(host, order, "2");
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        // What is polled is kept, and asks when the test says so.
        await page.AddInitScriptAsync(
            """
            window.polls = new Map();
            ((often, cancel) => {
              let count = 0;
              window.setInterval = (run, time, ...more) => {
                if (time !== 5000) return often(run, time, ...more);
                window.polls.set(--count, run);
                return count;
              };
              window.clearInterval = (id) => { if (!window.polls.delete(id)) cancel(id); };
            })(window.setInterval, window.clearInterval);
            """
        );
        await visitor.Open($"/orders/{order}/timeline");
        await page.WaitForFunctionAsync("() => document.documentElement.dataset.stream === 'live' && window.polls.size === 1");
        (await page.Locator("[data-row='1-1-1']:has-text('1 running')").CountAsync()).ShouldBe(1);
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        await page.WaitForFunctionAsync("() => { for (const poll of [...window.polls.values()]) poll(); return window.polls.size === 0; }");
        (await page.Locator("[data-row='1-1-1']:has-text('1 running')").CountAsync()).ShouldBe(0);
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task Since_when_a_page_is_not_live_is_said_in_the_zone_of_its_clock()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        // Hours away from the host's.
        await using var visitor = await fixture.Visit(zone: "Pacific/Honolulu");
        var page = visitor.Page;
        await page.AddInitScriptAsync("delete window.SharedWorker");
        await page.RouteAsync(url => url.Contains("/v2/stream/", StringComparison.Ordinal), route => route.FulfillAsync(new() { Status = 429 }));
        await visitor.Open("/jobs");
        await visitor.Sees("Live updates broke off");
        // The clock may have stood still for a moment, and midnight may have passed.
        const string Later = """
            (() => {
              const at = (text) => { const [, h, m, s] = /(\d{2}):(\d{2}):(\d{2})/.exec(text); return h * 3600 + m * 60 + Number(s); };
              const [since, now] = ['#broken', '[data-clock]'].map((place) => at(document.querySelector(place).textContent));
              return (now - since + 86400 + 300) % 86400;
            })()
            """;
        (await page.EvaluateAsync<int>(Later)).ShouldBeLessThan(3600);
        (await visitor.Text("#broken")).ShouldMatch("broke off at [0-9]{2}:[0-9]{2}:[0-9]{2};");
    }

    [Fact]
    public async Task What_is_half_filled_in_stays_when_its_object_goes()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "goes meanwhile", cmd = "true", cron = "0 0 3 * * *" });
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/jobs/goes%20meanwhile");
        await page.WaitForSelectorAsync("html[data-stream='live']");
        await page.FillAsync("#edit [name=description]", "typed for a long time");
        (await host.Delete("/v1/cron/job/", new { job_id = "goes meanwhile" })).Code().ShouldBe(0);
        await page.WaitForSelectorAsync(".message.bad:has-text('no longer there')");
        (await page.InputValueAsync("#edit [name=description]")).ShouldBe("typed for a long time");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_box_that_nobody_touched_shows_what_somebody_else_saved()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var space = (long)(await host.Post("/v2/accounts/space/", new { name = "boxes" }))["space_id"]!;
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/people/spaces?space={space}");
        await page.WaitForSelectorAsync("html[data-stream='live']");
        (await page.IsCheckedAsync("#space [name=confirm]")).ShouldBeFalse();
        (await host.Put("/v2/accounts/space/", new { space_id = space, confirm = true })).Code().ShouldBe(0);
        // The header's figures make the page read itself again.
        await host.RunNow("nightly backup");
        await page.WaitForSelectorAsync("#space [name=confirm]:checked");
        visitor.Errors.ShouldBeEmpty();
        (await host.Delete("/v2/accounts/space/", new { space_id = space })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task A_half_filled_form_outlives_the_session()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "half filled", cmd = "true", cron = "0 0 3 * * *" });
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/jobs/half%20filled");
        await page.WaitForSelectorAsync("html[data-stream='live']");
        await page.FillAsync("#edit [name=description]", "typed for a long time");
        await page.Context.ClearCookiesAsync(new() { Name = "auth_key" });
        await host.Patch("/v1/cron/job/", new { job_id = "half filled", paused = true });
        await page.WaitForSelectorAsync(".message a:has-text('Sign in in another tab')");
        (await page.InputValueAsync("#edit [name=description]")).ShouldBe("typed for a long time");
        await page.Context.AddCookiesAsync([new Cookie { Name = "auth_key", Value = TestTokens.Admin, Url = host.Http.BaseAddress!.ToString() }]);
        await host.Patch("/v1/cron/job/", new { job_id = "half filled", paused = false });
        await page.WaitForSelectorAsync(".message a", new() { State = WaitForSelectorState.Detached });
        await page.ClickAsync("#edit .form-bar button");
        await page.WaitForSelectorAsync(".message:has-text('edit success')");
        ((string)(await host.Get("/v1/cron/job/?job_id=half%20filled"))["data"]![0]!["description"]!).ShouldBe("typed for a long time");
        await host.Delete("/v1/cron/job/", new { job_id = "half filled" });
    }

    [Fact]
    public async Task Variables_of_several_lines_survive_the_form_and_a_line_that_is_none_is_refused()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var env = new Dictionary<string, string>
        {
            ["TEXT"] = "one\ntwo=2\n\"three\"",
            ["QUOTED"] = "\"as it is\"",
            ["LOOKS_ALIKE"] = "\"a\\nb\"",
            ["LANG"] = "C",
        };
        await host.Make(new { job_id = "several lines", cmd = "true", cron = "0 0 3 * * *", env });
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/jobs/several%20lines");
        var shown = await page.InputValueAsync("#edit [name=env]");
        shown.Split('\n').Length.ShouldBe(4, shown);
        await page.FillAsync("#edit [name=env]", shown + "\nADDED=a=b");
        await page.ClickAsync("#edit .form-bar button");
        await page.WaitForSelectorAsync(".message:has-text('edit success')");
        env["ADDED"] = "a=b";
        (await Stored()).ShouldBe(env, ignoreOrder: true);
        await page.FillAsync("#edit [name=env]", "LANG=C\nand more");
        await page.ClickAsync("#edit .form-bar button");
        await page.WaitForSelectorAsync("#edit .field.invalid .error:has-text('and more')");
        (await Stored()).ShouldBe(env, ignoreOrder: true);
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "several lines" });

        async Task<Dictionary<string, string>> Stored() =>
            (await host.Get("/v1/cron/job/?job_id=several%20lines"))["data"]![0]!["env"]!
                .AsObject()
                .ToDictionary(pair => pair.Key, pair => (string)pair.Value!);
    }

    [Fact]
    public async Task What_got_no_answer_is_asked_for_again_and_done_once()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        foreach (var path in new[] { "**/v2/task/accept/", "**/v1/cron/job/run/" })
        {
            var tries = 0;
            await page.RouteAsync(
                path,
                async route =>
                {
                    if (tries++ > 0)
                    {
                        await route.ContinueAsync();
                        return;
                    }
                    // It arrives, and its answer does not.
                    await route.FetchAsync();
                    await route.AbortAsync();
                }
            );
        }
        const string Orders = "SELECT count(*) FROM tasks.scheduler_task_list WHERE task_name = 'sent twice'";
        await visitor.Open($"/orders/new?temp_id={fixture.Template}");
        await page.FillAsync("[data-group]", "twice-1");
        await page.FillAsync("[name=task_name]", "sent twice");
        await page.ClickAsync(".form-bar button[value=new]");
        await page.WaitForSelectorAsync("[data-error]:has-text('No answer')");
        (await host.Count(Orders)).ShouldBe(1);
        await page.ClickAsync(".form-bar button[value=new]");
        await page.WaitForSelectorAsync("h1:has-text('sent twice')");
        (await host.Count(Orders)).ShouldBe(1);
        await host.Post("/v2/task/approval/", new { list_id = page.Url.Split('/')[^1], verdict = "reject" });

        await host.Make(new { job_id = "run twice", cmd = "true", cron = CronClient.Never });
        await visitor.Open("/jobs/run%20twice");
        await page.ClickAsync(".title [data-key=r]");
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync(".message.bad:has-text('No answer')");
        await Eventually.True(async () => (await host.Logs("run twice")).Exists(row => row.Status() == "success"), "it has run");
        await page.ClickAsync(".title [data-key=r]");
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync(".message:has-text('has begun by the same request before')");
        (await host.Logs("run twice")).Count.ShouldBe(1);
        await host.Delete("/v1/cron/job/", new { job_id = "run twice" });
    }

    /// <summary>An order that waits at the first of two hand steps with work between them.</summary>
    private async Task<long> Gates(string first, string second)
    {
        var template = await OrderHost.Template(
            host,
            OrderHost.Step("true", trigger: "hand", name: first, forceHost: "127.0.0.1"),
            OrderHost.Step("true", level: 2, name: "work", forceHost: "127.0.0.1"),
            OrderHost.Step("true", level: 3, trigger: "hand", name: second, forceHost: "127.0.0.1")
        );
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("gate-1"));
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM tasks.lane WHERE list_id = {order} AND state = 'hand'") == 1,
            "the host waits at the first gate"
        );
        return order;
    }
}
