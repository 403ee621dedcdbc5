using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Pages;

// What a person types and points at: it reaches what was meant, and is not lost.
public sealed partial class ConsoleWorkTests
{
    [Fact]
    public async Task Enter_in_a_dialog_means_yes()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("echo one", name: "only", forceHost: "127.0.0.1"));
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/templates/{template}");
        await page.FocusAsync(".moves > li:first-child");
        await page.Keyboard.PressAsync("Enter");
        await page.FillAsync("dialog[open] [name=args]", "TYPED");
        await page.PressAsync("dialog[open] [name=command_name]", "Enter");
        await page.WaitForSelectorAsync(".moves:has-text('TYPED')");
        await page.Keyboard.PressAsync("Enter");
        await page.FillAsync("dialog[open] [name=args]", "OTHER");
        await page.ClickAsync("dialog[open] .end button:not(.primary)");
        await page.WaitForSelectorAsync("dialog[open]", new() { State = Microsoft.Playwright.WaitForSelectorState.Detached });
        (await page.InnerTextAsync(".moves")).ShouldNotContain("OTHER");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task Line_breaks_in_the_arguments_of_a_step_survive_its_dialog()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("echo", "one\ntwo", name: "lines", forceHost: "127.0.0.1"));
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/templates/{template}");
        await page.FocusAsync(".moves > li:first-child");
        await page.Keyboard.PressAsync("Enter");
        await page.FillAsync("dialog[open] [name=force_host]", "");
        await page.ClickAsync("dialog[open] .primary");
        await page.ClickAsync(".decide .primary");
        await page.WaitForSelectorAsync(".message:has-text('Saved')");
        var step = (await host.Get($"/v2/task_layout/details/?temp_id={template}"))["data"]!["temp_list"]![0]!;
        ((string)step["args"]!, (string)step["force_host"]!).ShouldBe(("one\ntwo", ""));
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task Line_breaks_in_an_argument_survive_in_an_order_that_is_made_as_another()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("echo", "WHAT", name: "say", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("lines-1"), new { WHAT = "\none\ntwo" }, schedule: "new");
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/orders/new?like={order}");
        (await page.InputValueAsync("[data-word=WHAT]")).ShouldBe("\none\ntwo");
        await page.WaitForSelectorAsync("[data-preview-of] pre:has-text('two')");
        await page.ClickAsync(".form-bar button[value=new]");
        await page.WaitForSelectorAsync("h1:has-text('an order')");
        var made = long.Parse(new Uri(page.Url).Segments[^1], System.Globalization.CultureInfo.InvariantCulture);
        made.ShouldNotBe(order);
        ((string)(await OrderHost.Check(host, made))["new_args_list"]![0]!["args_value"]!).ShouldBe("\none\ntwo");
        visitor.Errors.ShouldBeEmpty();
        foreach (var one in new[] { order, made }) await host.Post("/v2/task/approval/", new { list_id = one, verdict = "reject" });
    }

    [Fact]
    public async Task A_dialog_that_does_not_offer_all_of_a_large_library_says_so()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("true", forceHost: "127.0.0.1"));
        const string Many = """
            WITH made AS (
                INSERT INTO tasks.scheduler_cmd_list (command_name, command) SELECT 'many-' || n, 'true' FROM generate_series(1, 501) n RETURNING 1)
            SELECT count(*) FROM made
            """;
        (await host.Count(Many)).ShouldBe(501);
        await using var visitor = await fixture.Visit();
        await visitor.Open($"/templates/{template}");
        await visitor.Page.ClickAsync("[data-template] button:has-text('Add a step')");
        await visitor.Page.WaitForSelectorAsync("dialog[open] small:has-text('more in the library')");
        visitor.Errors.ShouldBeEmpty();
        await host.Count("WITH gone AS (DELETE FROM tasks.scheduler_cmd_list WHERE command_name LIKE 'many-%' RETURNING 1) SELECT count(*) FROM gone");
    }

    [Fact]
    public async Task A_half_filled_form_is_not_left_without_a_question()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/jobs/new");
        await page.FillAsync("[name=cmd]", "echo typed");
        var asked = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        page.Dialog += (_, dialog) =>
        {
            asked.TrySetResult(dialog.Type);
            _ = dialog.DismissAsync();
        };
        await page.ClickAsync("[data-language]");
        (await asked.Task.WaitAsync(TimeSpan.FromSeconds(90), TestContext.Current.CancellationToken)).ShouldBe("beforeunload");
        (await page.InputValueAsync("[name=cmd]")).ShouldBe("echo typed");
    }

    [Fact]
    public async Task A_job_is_made_in_the_space_that_the_form_names_and_keeps_its_marks()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        (await host.Post("/v2/accounts/space/", new { name = "forms" })).Code().ShouldBe(0);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/jobs/new");
        await page.FillAsync("[name=job_id]", "in a space");
        await page.FillAsync("[name=cmd]", "true");
        await page.FillAsync("[name=cron]", "0 0 3 * * *");
        await page.FillAsync("[name=space]", "forms");
        await page.FillAsync("[name=env]", "ACCOUNT=4711");
        await page.FillAsync("[name=secret_env]", "ACCOUNT");
        await page.ClickAsync(".form-bar button");
        await page.WaitForURLAsync("**/jobs/in%20a%20space");
        (await page.InputValueAsync("#edit [name=space]")).ShouldBe("forms");
        (await page.InputValueAsync("#edit [name=env]")).ShouldBe("ACCOUNT=******");
        var job = (await host.Get("/v1/cron/job/?job_id=in%20a%20space"))["data"]![0]!;
        ((string)job["space"]!, (string)job["secret_env"]![0]!).ShouldBe(("forms", "ACCOUNT"));
        // No old version brings a space back: nothing offers to.
        await page.FillAsync("#edit [name=space]", "default");
        await page.ClickAsync("#edit .form-bar button");
        await page.WaitForSelectorAsync(".message:has-text('edit success')");
        (await page.Locator(".message button:has-text('Undo')").CountAsync()).ShouldBe(0);
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "in a space" });
    }

    [Fact]
    public async Task A_field_that_is_cleared_is_saved_as_empty_or_asked_for_and_never_left_as_it_was()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var rule = (long)(await host.Post("/v2/alerts/rule/", new { name = "cleared", subject = "db-*", kinds = new[] { "broken" } }))["rule_id"]!;
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/alerting?edit={rule}");
        await page.FillAsync("#edit [name=subject]", "");
        await page.FillAsync("#edit [name=failures]", "");
        await page.ClickAsync("#edit .form-bar button");
        (await page.EvaluateAsync<bool>("document.querySelector('#edit [name=failures]').validity.valueMissing")).ShouldBeTrue();
        await page.FillAsync("#edit [name=failures]", "2");
        await page.ClickAsync("#edit .form-bar button");
        await page.WaitForURLAsync("**/alerting");
        (await visitor.Text($"[data-row='rule-{rule}'] .sub.mono")).ShouldBe("*");
        var saved = (await host.Get($"/v2/alerts/rule/?rule_id={rule}"))["data"]![0]!;
        ((string)saved["subject"]!, (int)saved["failures"]!).ShouldBe(("*", 2));
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v2/alerts/rule/", new { rule_id = rule });
    }

    [Fact]
    public async Task An_order_that_was_opened_before_its_approval_is_acted_on_without_a_reload()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("exit 3", name: "fails", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("early-1"), schedule: "new");
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync("[data-grid][data-ready]");
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" })).Code().ShouldBe(0);
        await page.WaitForSelectorAsync(".chip:has-text('Failed 1')");
        await page.FocusAsync(".grid-scroll");
        await page.Keyboard.PressAsync("Home");
        await page.Keyboard.PressAsync("Space");
        await page.WaitForSelectorAsync(".grid-acts button:not([aria-disabled]):has-text('Restart')");
        visitor.Errors.ShouldBeEmpty();
        await host.Put("/v2/task/list/", new { list_id = order });
    }

    [Fact]
    public async Task The_cursor_stays_at_its_row_when_another_enters_above_it()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await Fails("cursor one");
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/incidents");
        await page.Keyboard.PressAsync("j");
        await page.WaitForSelectorAsync("tr.cursor:has-text('cursor one')");
        await Fails("cursor two");
        await page.WaitForSelectorAsync("tr:has-text('cursor two')");
        await page.WaitForSelectorAsync("tr.cursor:has-text('cursor one')");
        (await page.Locator("tr.cursor").CountAsync()).ShouldBe(1);
        foreach (var job in new[] { "cursor one", "cursor two" }) await host.Delete("/v1/cron/job/", new { job_id = job });

        async Task Fails(string job)
        {
            await host.Make(new { job_id = job, cmd = "exit 4", cron = CronClient.Never });
            await host.RunNow(job);
            await Eventually.True(
                async () => await host.Ask<bool>("SELECT EXISTS (SELECT FROM alerts.task_monitor WHERE state = 'open' AND subject = @job)", new { job }),
                "its incident is open"
            );
        }
    }

    [Fact]
    public async Task Times_of_the_matrix_and_the_clock_go_by_the_zone_and_not_by_the_offset_that_it_has_now()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var berlin = await fixture.Another(("Codo:TimeZone", "Europe/Berlin"));
        await berlin.Make(new { job_id = "all year", cmd = "true", cron = "0 0 3 * * *" });
        await using var visitor = await fixture.Visit(host: berlin);
        var page = visitor.Page;
        await visitor.Open("/ledger/matrix");
        await page.WaitForFunctionAsync("() => document.querySelector('[data-matrix]')?.matrix?.rows.length === 1");
        const string Words = """
            (from) => {
              const { matrix } = document.querySelector('[data-matrix]');
              Object.assign(matrix, { row: 0, slot: 0, from: Date.parse(from) });
              return matrix.words();
            }
            """;
        (await page.EvaluateAsync<string>(Words, "2024-01-15T23:00:00Z")).ShouldContain("· 2024-01-16 00:00 ·");
        (await page.EvaluateAsync<string>(Words, "2024-07-15T22:00:00Z")).ShouldContain("· 2024-07-16 00:00 ·");

        // A page that stays open has the offset of when it was opened.
        await page.EvaluateAsync("document.querySelector('[data-clock]').dataset.offset = 'another'");
        var shown = await visitor.Text("[data-clock]");
        await page.WaitForFunctionAsync("(shown) => document.querySelector('[data-clock]').textContent !== shown", shown);
        (await visitor.Text("[data-clock]")).ShouldMatch("^[0-9]{2}:[0-9]{2}:[0-9]{2}$");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_time_that_is_copied_is_UTC()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/jobs/nightly%20backup");
        const string Copied = """
            ([what, from]) => {
              const time = document.querySelector('main time[data-time]'), data = new DataTransfer();
              if (what === 'part') getSelection().setBaseAndExtent(time.firstChild, 0, time.firstChild, 4);
              else getSelection().selectAllChildren(what === 'more' ? document.querySelector('main') : time);
              document.querySelector(from).dispatchEvent(new ClipboardEvent('copy', { clipboardData: data, bubbles: true, cancelable: true }));
              return data.getData('text/plain');
            }
            """;
        var copied = await page.EvaluateAsync<string>(Copied, new[] { "whole", "main time[data-time]" });
        copied.ShouldBe(await page.GetAttributeAsync("main time[data-time]", "datetime"));
        copied.ShouldMatch("^[0-9-]+T[0-9:]+Z$");
        (await Left("more", "main time[data-time]")).ShouldBe("", "the browser copies what is more than a time");
        (await Left("part", "main time[data-time]")).ShouldBe("", "and what is less");
        (await Left("whole", "#edit [name=cmd]")).ShouldBe("", "and what is selected in a field");
        visitor.Errors.ShouldBeEmpty();

        Task<string> Left(string what, string from) => page.EvaluateAsync<string>(Copied, new[] { what, from });
    }

    [Fact]
    public async Task Characters_that_turn_a_command_round_are_shown_in_lists_of_jobs()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "turned round", cmd = "echo a\u202eb", cron = CronClient.Never });
        await using var visitor = await fixture.Visit();
        await visitor.Open("/jobs?q=turned%20round");
        (await visitor.Text("[data-row='job-turned round'] .wide-name .sub")).ShouldBe("echo a⟨U+202E⟩b");
        await host.Delete("/v1/cron/job/", new { job_id = "turned round" });
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task Enter_opens_the_row_of_the_cursor_also_once_the_page_was_clicked()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/incidents");
        await page.ClickAsync("main h1");
        await page.Keyboard.PressAsync("j");
        await page.WaitForSelectorAsync("tr.cursor");
        await page.Keyboard.PressAsync("Enter");
        await page.WaitForURLAsync("**/i/*");
        await visitor.Open("/incidents");
        await page.FocusAsync("main .table.scroll");
        await page.Keyboard.PressAsync("j");
        await page.WaitForSelectorAsync("tr.cursor");
        await page.Keyboard.PressAsync("Enter");
        await page.WaitForURLAsync("**/i/*");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task What_concerns_more_than_fifty_hosts_is_confirmed_by_their_number()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var hosts = string.Join(',', Enumerable.Range(1, 51).Select(number => $"many-{number}"));
        var template = await OrderHost.Template(host, OrderHost.Step("true", trigger: "hand", name: "gate", forceHost: "127.0.0.1"));
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;

        await visitor.Open($"/orders/new?temp_id={template}");
        await page.FillAsync("[data-group]", hosts);
        await page.ClickAsync(".form-bar button[value=ready]");
        await page.WaitForSelectorAsync("dialog[open] .will li:has-text('51 hosts')");
        await IsTyped(".primary");
        await page.ClickAsync("dialog[open] .end button:not(.primary)");
        // Where they could not be counted nothing begins.
        await page.RouteAsync(
            "**/v2/task/preview/",
            route => route.FulfillAsync(new() { ContentType = "application/json", Body = """{"code": -1, "msg": "away"}""" })
        );
        await page.ClickAsync(".form-bar button[value=ready]");
        await page.WaitForSelectorAsync("[data-error]:has-text('away')");
        (await page.Locator("dialog[open]").CountAsync()).ShouldBe(0);
        await page.UnrouteAsync("**/v2/task/preview/");
        await page.FillAsync("[data-group]", "many-1");
        await page.ClickAsync(".form-bar button[value=ready]");
        await page.WaitForSelectorAsync("dialog[open] .will li:text-is('1 host')");
        (await page.Locator("dialog[open] [name=typed]").CountAsync()).ShouldBe(0);
        await page.ClickAsync("dialog[open] .end button:not(.primary)");
        // It is left as it is.
        await page.EvaluateAsync("delete document.querySelector('[data-new-order]').dataset.dirty");

        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts(hosts), schedule: "new");
        await visitor.Open($"/orders/{order}/approve");
        (await page.GetAttributeAsync("button[value=approve]", "data-confirm")).ShouldNotBeNull().ShouldContain("for 51 hosts");
        await page.ClickAsync("button[value=approve]");
        await IsTyped(".primary");
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync(".banner:has-text('awaits no approval')");
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM tasks.lane WHERE list_id = {order} AND state = 'hand'") == 51,
            "all hosts wait at the gate"
        );

        await visitor.Open($"/orders/{order}");
        const string Release = ".title button:has-text('Release “gate”')", End = ".title button:has-text('End the order')";
        (await page.GetAttributeAsync(Release, "data-confirm")).ShouldNotBeNull().ShouldContain("51 hosts: many-1,");
        (await page.GetAttributeAsync(Release, "data-typed")).ShouldBe("51");
        var asked = (await page.GetAttributeAsync(End, "data-confirm")).ShouldNotBeNull();
        asked.ShouldContain("0 commands now");
        asked.ShouldContain("in 1 group with 51 hosts: many-1,");
        // What it asks is as of now, whatever the page has read last.
        await page.EvalOnSelectorAsync(End, "(button) => { button.dataset.confirm = 'As it was'; }");
        await page.ClickAsync(End);
        await page.WaitForSelectorAsync("dialog[open] .will li:has-text('51 hosts: many-1,')");
        await IsTyped(".danger");
        await page.ClickAsync("dialog[open] .danger");
        await page.WaitForSelectorAsync(".message:has-text('The order is ended')");
        visitor.Errors.ShouldBeEmpty();

        async Task IsTyped(string button)
        {
            (await page.IsDisabledAsync($"dialog[open] {button}")).ShouldBeTrue();
            await page.FillAsync("dialog[open] [name=typed]", "50");
            (await page.IsDisabledAsync($"dialog[open] {button}")).ShouldBeTrue();
            await page.FillAsync("dialog[open] [name=typed]", "51");
            (await page.IsDisabledAsync($"dialog[open] {button}")).ShouldBeFalse();
        }
    }

    [Fact]
    public async Task A_key_that_an_input_method_takes_does_nothing_else()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/runs/{fixture.FailedRun}");
        await page.WaitForSelectorAsync(".log-line:has-text('expired')");
        await IsLeftAlone("[data-run-log] input[type=search]", "Enter");
        await IsLeftAlone("[data-run-log] input[type=search]", "Escape");
        await page.Keyboard.PressAsync("Control+k");
        await page.FillAsync("dialog.palette input", "explain");
        await page.WaitForSelectorAsync("dialog.palette li:has-text('Explain')");
        await IsLeftAlone("dialog.palette input", "Enter");
        visitor.Errors.ShouldBeEmpty();

        async Task IsLeftAlone(string field, string key)
        {
            const string Press = """
                ([selector, key]) => {
                  const field = document.querySelector(selector);
                  field.focus();
                  const isFree = field.dispatchEvent(new KeyboardEvent('keydown', { key, isComposing: true, bubbles: true, cancelable: true }));
                  return isFree && document.activeElement === field;
                }
                """;
            (await page.EvaluateAsync<bool>(Press, new[] { field, key })).ShouldBeTrue($"{key} in {field}");
        }
    }

    [Fact]
    public async Task Characters_that_turn_a_command_round_are_shown_while_it_is_made()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("echo a\u202eb", name: "say", forceHost: "127.0.0.1"));
        await using var visitor = await fixture.Visit();
        await visitor.Open($"/templates/{template}");
        await visitor.Page.WaitForSelectorAsync("[data-template] pre:has-text('a⟨U+202E⟩b')");
        await visitor.Open($"/orders/new?temp_id={template}");
        await visitor.Page.FillAsync("[data-group]", "turned-2");
        await visitor.Page.WaitForSelectorAsync("[data-preview-of] pre:has-text('a⟨U+202E⟩b')");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task Why_a_step_has_not_begun_is_said_no_longer_once_it_is_over()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var step = OrderHost.Step("true", name: "nowhere", forceHost: "127.0.0.1");
        step["node"] = "dc=nowhere";
        var order = await OrderHost.Order(host, await OrderHost.Template(host, step), ConsoleFixture.Hosts("cause-1"));
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM tasks.lane WHERE list_id = {order} AND state = 'ready'") == 1,
            "the host waits for a node"
        );
        // As after the half minute that a node has to come.
        await host.Count($"UPDATE tasks.scheduler_task_info SET cause = 'no node fits' WHERE list_id = {order} RETURNING 1");
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync("[data-cell-cause]:not([hidden])");
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        await page.WaitForSelectorAsync("[data-cell-cause]", new() { State = Microsoft.Playwright.WaitForSelectorState.Hidden });
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_cell_within_a_stretch_of_missed_times_says_why()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "stretched", cmd = "true", cron = CronClient.Never });
        const string Stretch = """
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, times, status, exec_time, task_cmd)
            SELECT id, job_id, 'schedule', 'schedule', date_trunc('minute', now()) - interval '179 minutes', date_trunc('minute', now()), 180, 'missed',
                date_trunc('minute', now()), cmd FROM cron.job WHERE job_id = 'stretched' RETURNING log_id
            """;
        var row = await host.Ask<long>(Stretch);
        await using var visitor = await fixture.Visit();
        await visitor.Open("/ledger/matrix?q=stretched");
        await visitor.Page.WaitForFunctionAsync("() => document.querySelector('[data-matrix]')?.matrix?.rows.length === 1");
        await visitor.Page.EvaluateAsync(
            """
            (() => {
              const { matrix } = document.querySelector('[data-matrix]');
              Object.assign(matrix, { row: 0, slot: matrix.rows[0].cells.indexOf('m') });
              matrix.why();
            })()
            """
        );
        await visitor.Page.WaitForSelectorAsync($"#cell a[href='/runs/{row}']");
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "stretched" });
    }

    [Fact]
    public async Task A_key_that_is_held_answers_no_question()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "held down", cmd = $"while ! test -e {fixture.NewFile()}; do sleep 0.05; done", cron = CronClient.Never });
        var run = await host.RunNow("held down");
        await host.Running(run);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/runs/{run}");
        await page.FocusAsync(".title button:has-text('Kill')");
        // From the second time on it is the repeat of a key that is held.
        await page.Keyboard.DownAsync("Enter");
        await page.WaitForSelectorAsync("dialog[open] .danger");
        for (var repeat = 0; repeat < 2; repeat++) await page.Keyboard.DownAsync("Enter");
        (await page.Locator("dialog[open]").CountAsync()).ShouldBe(1);
        await page.Keyboard.UpAsync("Enter");
        // Pressed anew it means yes.
        await page.Keyboard.PressAsync("Enter");
        (await host.Ended(run)).Status().ShouldBe("killed");
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "held down" });
    }

    [Fact]
    public async Task A_link_to_a_line_of_a_run_or_of_a_cell_opens_it_also_after_the_sign_in()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "linked", cmd = "seq 1 5", cron = CronClient.Never });
        var run = await host.RunNow("linked");
        await host.Ended(run);
        var template = await OrderHost.Template(host, OrderHost.Step("seq 1 5", name: "print", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("line-1"));
        await OrderHost.Ended(host, order);
        string cell;
        await using (var visitor = await fixture.Visit())
        {
            await visitor.Open($"/orders/{order}");
            await visitor.Page.ClickAsync(".log-line[data-index='2'] i");
            await visitor.Page.WaitForFunctionAsync("() => location.hash === '#L3' && location.search.includes('cell=')");
            cell = new Uri(visitor.Page.Url).PathAndQuery;
            // The line is none of another cell.
            await visitor.Page.FocusAsync(".grid-scroll");
            await visitor.Page.Keyboard.PressAsync("ArrowDown");
            await visitor.Page.WaitForFunctionAsync("() => location.hash === ''");
            visitor.Errors.ShouldBeEmpty();
        }
        // The first line of a step is its command.
        foreach (var (path, line) in new[] { ($"/runs/{run}", "3"), (cell, "2") })
        {
            await using var stranger = await fixture.Visit(isStranger: true);
            (await stranger.Open($"{path}#L3")).ShouldBe(401, path);
            await stranger.Page.FillAsync("#token", TestTokens.Admin);
            await stranger.Page.PressAsync("#token", "Enter");
            await stranger.Page.WaitForSelectorAsync("html[data-ready='1']");
            new Uri(stranger.Page.Url).PathAndQuery.ShouldBe(path);
            new Uri(stranger.Page.Url).Fragment.ShouldBe("#L3");
            await stranger.Page.WaitForSelectorAsync($".log-line.mark span:text-is('{line}')");
            stranger.Errors.ShouldBeEmpty();
        }
        await host.Delete("/v1/cron/job/", new { job_id = "linked" });
    }

    [Fact]
    public async Task Jobs_against_time_of_which_only_what_went_wrong_is_asked_for_say_that_nothing_did()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "always well", cmd = "true", cron = CronClient.Never });
        await host.Ended(await host.RunNow("always well"));
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/ledger/matrix?q=always%20well&only=bad");
        await page.WaitForSelectorAsync("[data-matrix] [role=status]:has-text('nothing went wrong')");
        await page.UncheckAsync("[name=only]");
        await page.WaitForSelectorAsync("[data-matrix] [role=status]:has-text('A click on a cell says why')");
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "always well" });
    }

    [Fact]
    public async Task The_numbers_of_the_header_have_names_on_a_phone_too()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit(width: 360);
        await visitor.Open("/jobs");
        var figures = visitor.Page.Locator("#figures");
        foreach (var name in new[] { "running", "wait", "open" })
            (await figures.GetByRole(Microsoft.Playwright.AriaRole.Link, new() { Name = name }).CountAsync()).ShouldBe(1, name);
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task The_list_of_keys_has_those_of_the_page_and_those_of_its_only_output_need_no_focus()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "many lines", cmd = "seq 1 3000", cron = CronClient.Never });
        var run = await host.RunNow("many lines");
        await host.Ended(run);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/runs/{run}");
        await page.WaitForSelectorAsync(".log-line:has-text('3000')");
        await page.Keyboard.PressAsync("g");
        await page.WaitForSelectorAsync(".log-line[data-index='0']");
        foreach (
            var (path, key) in new[]
            {
                ($"/orders/{fixture.Failed}", "Select all that match"),
                ($"/templates/{fixture.Template}", "Move the step"),
                ("/ledger/matrix", "Why the cell is so"),
            }
        )
        {
            await visitor.Open(path);
            await page.Keyboard.PressAsync("?");
            await page.WaitForSelectorAsync($"dialog[open] dd:has-text('{key}')");
        }
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "many lines" });
    }

    [Fact]
    public async Task The_palette_says_that_it_found_nothing_or_got_no_answer_and_finds_a_job_whose_name_is_a_number()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "4711", cmd = "true", cron = CronClient.Never });
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/jobs");
        await page.Keyboard.PressAsync("Control+k");
        await page.FillAsync("dialog.palette input", "zzz");
        await page.WaitForSelectorAsync("dialog.palette [role=status]:has-text('Nothing was found')");
        await page.FillAsync("dialog.palette input", "4711");
        await page.WaitForSelectorAsync("dialog.palette li:has-text('4711'):has(span:text-is('Job'))");
        (await page.InnerTextAsync("dialog.palette [role=status]")).ShouldBe("");
        await page.RouteAsync(
            url => url.Contains("/v1/cron/job/?", StringComparison.Ordinal),
            route => route.FulfillAsync(new() { ContentType = "application/json", Body = """{"code": -1, "msg": "away"}""" })
        );
        await page.FillAsync("dialog.palette input", "zzzz");
        await page.WaitForSelectorAsync("dialog.palette [role=status]:has-text('away')");
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "4711" });
    }
}
