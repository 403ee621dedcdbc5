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
        await page.PressAsync("dialog[open] [name=args]", "Enter");
        await page.WaitForSelectorAsync(".moves:has-text('TYPED')");
        await page.Keyboard.PressAsync("Enter");
        await page.FillAsync("dialog[open] [name=args]", "OTHER");
        await page.ClickAsync("dialog[open] .end button:not(.primary)");
        await page.WaitForSelectorAsync("dialog[open]", new() { State = Microsoft.Playwright.WaitForSelectorState.Detached });
        (await page.InnerTextAsync(".moves")).ShouldNotContain("OTHER");
        visitor.Errors.ShouldBeEmpty();
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
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "in a space" });
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
        await visitor.Page.WaitForFunctionAsync("document.querySelector('[data-matrix]')?.matrix?.rows.length === 1");
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
}
