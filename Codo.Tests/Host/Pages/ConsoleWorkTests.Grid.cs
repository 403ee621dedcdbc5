using System.Text.Json.Nodes;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Microsoft.Playwright;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Pages;

// The grid of an order: what is seen and met on it, while the order goes on and on any screen.
public sealed partial class ConsoleWorkTests
{
    [Fact]
    public async Task A_batch_that_waits_is_offered_once_the_one_before_it_has_ended_where_a_host_had_failed()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var (first, go) = (fixture.NewFile(), fixture.NewFile());
        // Of the first batch one host fails at once, and the other waits.
        var step = OrderHost.Step($"mkdir {first} && exit 1; while ! test -e {go}; do sleep 0.05; done", name: "work", forceHost: "127.0.0.1");
        JsonArray batches = [new JsonObject { ["group"] = 1, ["batch"] = "2", ["batch_pause"] = 0, ["max_failures"] = 0, ["next"] = "confirm" }];
        var template = await OrderHost.Template(host, batches, [], step);
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("turn-a,turn-b,turn-c"));
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync(".chip:has-text('Failed 1')");
        await page.WaitForSelectorAsync(".chip:has-text('Running 1')");
        await page.EvaluateAsync("window.sameDocument = true");
        const string Begin = ".title button:has-text('Let batch 2 begin')";
        (await page.Locator(Begin).CountAsync()).ShouldBe(0);
        await File.WriteAllTextAsync(go, "");
        await page.WaitForSelectorAsync(Begin);
        (await page.EvaluateAsync<bool>("window.sameDocument === true")).ShouldBeTrue();
        visitor.Errors.ShouldBeEmpty();
        await host.Put("/v2/task/list/", new { list_id = order });
    }

    [Fact]
    public async Task A_button_for_the_selected_hosts_keeps_the_focus_while_they_change()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var go = fixture.NewFile();
        var step = OrderHost.Step($"while ! test -e {go}; do sleep 0.05; done; exit 1", name: "waits", forceHost: "127.0.0.1");
        var order = await OrderHost.Order(host, await OrderHost.Template(host, step), ConsoleFixture.Hosts("focus-1,focus-2"));
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync(".chip:has-text('Running 2')");
        await page.FocusAsync(".grid-scroll");
        await page.Keyboard.PressAsync("a");
        await page.WaitForSelectorAsync(".grid-acts button:has-text('Stop (2)')");
        await page.FocusAsync(".grid-acts button:has-text('Stop (2)')");
        await page.EvaluateAsync("() => { window.focused = document.activeElement; }");
        await File.WriteAllTextAsync(go, "");
        await page.WaitForSelectorAsync(".grid-acts button:not([aria-disabled]):has-text('Restart (2)')");
        (await page.EvaluateAsync<bool>("document.activeElement === window.focused && window.focused.textContent === 'Stop (2)'")).ShouldBeTrue();

        await page.FocusAsync(".grid-scroll");
        await page.Keyboard.PressAsync("Escape");
        await page.Keyboard.PressAsync("Home");
        await page.Keyboard.PressAsync("Space");
        await page.ClickAsync(".grid-acts button:has-text('Restart (1)')");
        await page.WaitForSelectorAsync("dialog[open] h2:text-is('Restart: 1 host')");
        // What is chosen while it goes on stays chosen.
        await page.EvaluateAsync(
            """
            () => {
              const { grid } = document.querySelector('[data-grid]');
              grid.intervene = async () => { grid.chosen.add('1/focus-2'); return { code: 0 }; };
            }
            """
        );
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync(".message:has-text('Restart: done on 1 host')");
        (await page.EvaluateAsync<string>("[...document.querySelector('[data-grid]').grid.chosen].join()")).ShouldBe("1/focus-2");
        visitor.Errors.ShouldBeEmpty();
        await host.Put("/v2/task/list/", new { list_id = order });
    }

    [Fact]
    public async Task An_action_on_many_hosts_says_how_far_it_is_is_begun_once_and_counts_every_refusal()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("exit 3", name: "fails", forceHost: "127.0.0.1"));
        var hosts = string.Join(',', Enumerable.Range(1, 25).Select(number => $"busy-{number}"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts(hosts));
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM tasks.lane WHERE list_id = {order} AND state = 'failed'") == 25,
            "all hosts have failed"
        );
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        var answer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await page.RouteAsync(
            "**/v2/task/check/",
            async route =>
            {
                await answer.Task;
                await route.FulfillAsync(new() { ContentType = "application/json", Body = """{"code": -1, "msg": "no"}""" });
            }
        );
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync(".chip:has-text('Failed 25')");
        await page.FocusAsync(".grid-scroll");
        await page.Keyboard.PressAsync("a");
        await page.ClickAsync(".grid-acts button:has-text('Restart (25)')");
        await page.ClickAsync("dialog[open] .primary");
        await page.WaitForSelectorAsync(".grid-acts [data-kind=restart][data-reason='0 of 25 done']");
        const string Leaves = "dispatchEvent(new Event('beforeunload', { cancelable: true }))";
        (await page.EvaluateAsync<bool>(Leaves)).ShouldBeFalse("it is not left without a question");
        await page.ClickAsync(".grid-acts [data-kind=restart]", new() { Force = true });
        await page.WaitForSelectorAsync(".message.bad:has-text('0 of 25 done')");
        (await page.Locator("dialog[open]").CountAsync()).ShouldBe(0);
        answer.SetResult();
        await page.WaitForSelectorAsync(".message.bad:has-text('and 5 more')");
        await page.WaitForSelectorAsync(".grid-acts [data-kind=restart]:not([aria-disabled])");
        (await page.EvaluateAsync<bool>(Leaves)).ShouldBeTrue();
        visitor.Errors.ShouldBeEmpty();
        await host.Put("/v2/task/list/", new { list_id = order });
    }

    [Fact]
    public async Task Steps_that_do_not_fit_beside_the_names_are_scrolled_to()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var order = await FifteenSteps("wide-1");
        await using var visitor = await fixture.Visit(width: 360);
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync("[data-grid][data-ready]");
        // The step that has the focus, whether it is in view, and whether it is drawn there.
        const string Seen = """
            () => {
              const { grid } = document.querySelector('[data-grid]'), { scroller, column } = grid, { name, cell } = grid.geometry(grid.groups[0]);
              const pen = grid.canvas.getContext('2d'), drawn = [];
              pen.fillText = (text, x) => { drawn.push([text, x]); };
              grid.draw();
              delete pen.fillText;
              const left = name + column * cell - scroller.scrollLeft, at = drawn.find(([text]) => text.startsWith(`${column + 1} `))?.[1];
              const stays = Math.abs(grid.canvas.getBoundingClientRect().left - scroller.getBoundingClientRect().left) < 1;
              const isSeen = left > name - 1 && left + cell < scroller.clientWidth + 1 && at > left && at < left + cell && stays;
              return `${column} ${isSeen}`;
            }
            """;
        // All is done, so the last step has the focus.
        (await page.EvaluateAsync<string>(Seen)).ShouldBe("14 true");
        await page.FocusAsync(".grid-scroll");
        for (var press = 0; press < 14; press++) await page.Keyboard.PressAsync("ArrowLeft");
        (await page.EvaluateAsync<string>(Seen)).ShouldBe("0 true");
        var width = await page.EvaluateAsync<double>(
            """
            () => {
              const { scroller } = document.querySelector('[data-grid]').grid;
              scroller.scrollLeft = scroller.scrollWidth;
              return scroller.clientWidth;
            }
            """
        );
        await page.TapAsync(".grid-scroll", new() { Position = new() { X = (float)width - 20, Y = 50 } });
        await page.WaitForFunctionAsync("() => document.querySelector('[data-grid]').grid.column === 14");
        (await page.EvaluateAsync<string>(Seen)).ShouldBe("14 true");
        (await page.EvaluateAsync<string>("location.search")).ShouldContain("wide-1%2F14");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_long_output_scrolls_within_its_box_on_a_phone_as_elsewhere()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "tall", cmd = "seq 1 3000", cron = CronClient.Never });
        var run = await host.RunNow("tall");
        await host.Ended(run);
        var template = await OrderHost.Template(host, OrderHost.Step("seq 1 3000", name: "print", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("tall-1"));
        await OrderHost.Ended(host, order);
        foreach (var width in new[] { 1440, 1000, 360 })
        {
            await using var visitor = await fixture.Visit(width: width);
            foreach (var path in new[] { $"/runs/{run}", $"/orders/{order}", $"/orders/{order}/output" })
            {
                await visitor.Open(path);
                // It follows: the end is drawn at the end of a box that is no higher than the screen.
                await visitor.Page.WaitForSelectorAsync(".log-line:has-text('3000')");
                var box = await visitor.Page.EvaluateAsync<int>("document.querySelector('.log-lines').clientHeight");
                box.ShouldBeInRange(100, 800, $"{path} at {width}");
            }
            visitor.Errors.ShouldBeEmpty();
        }
    }

    [Fact]
    public async Task A_finger_meets_rows_boxes_and_steps_of_the_grid()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var order = await FifteenSteps("touch-1,touch-2");
        await using var visitor = await fixture.Visit(width: 360);
        var page = visitor.Page;
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync("[data-grid][data-ready]");
        var least = await page.EvaluateAsync<double>(
            """
            () => {
              const { grid } = document.querySelector('[data-grid]'), [one, two] = grid.rows.filter((row) => row.lane);
              return Math.min(two.y - one.y, grid.geometry(grid.groups[0]).cell);
            }
            """
        );
        least.ShouldBeGreaterThanOrEqualTo(44);
        // Below the head, at the far corner of the first host's box.
        await page.TapAsync(".grid-scroll", new() { Position = new() { X = 41, Y = 70 } });
        await page.WaitForSelectorAsync(".grid-acts:has-text('1 selected')");
        (await page.EvaluateAsync<string>("[...document.querySelector('[data-grid]').grid.chosen].join()")).ShouldBe("1/touch-1");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_failure_that_was_ignored_and_a_step_that_was_skipped_do_not_look_like_done()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(
            host,
            OrderHost.Step("exit 1", name: "may fail", forceHost: "127.0.0.1", onError: "continue"),
            OrderHost.Step("true", level: 2, name: "goes on", forceHost: "127.0.0.1"),
            OrderHost.Step("true", level: 3, name: "ends", forceHost: "127.0.0.1")
        );
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("face-1"));
        (await OrderHost.Ended(host, order)).ShouldBe("3");
        const string Warned = """
            () => {
              const { grid } = document.querySelector('[data-grid]'), pen = grid.canvas.getContext('2d'), drawn = [];
              pen.fillText = (text) => { drawn.push([text, pen.fillStyle]); };
              grid.draw();
              delete pen.fillText;
              pen.fillStyle = grid.c.warn;
              return drawn.filter(([, colour]) => colour === pen.fillStyle).map(([text]) => text).join();
            }
            """;
        // Steps with their words, and those that have room for a sign alone.
        foreach (var (width, sign) in new[] { (1440, "! Failed, ignored"), (360, "!") })
        {
            await using var visitor = await fixture.Visit(width: width);
            await visitor.Open($"/orders/{order}");
            await visitor.Page.WaitForSelectorAsync("[data-grid][data-ready]");
            (await visitor.Page.EvaluateAsync<string>(Warned)).ShouldBe(sign);
            const string Skipped = "async (address) => (await import(address)).faceOf('3', 'k').join(' ')";
            (await visitor.Page.EvaluateAsync<string>(Skipped, Script("order-grid.js"))).ShouldBe("idle ⤼");
            visitor.Errors.ShouldBeEmpty();
        }
    }

    [Fact]
    public async Task A_text_that_the_address_names_is_gone_to_in_the_output_of_its_cell()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        // The command line has not got the texts: one is no regular expression, and one looks like the number of a line.
        var step = OrderHost.Step("seq 1 1500; printf 'nee%s\\n:80%s\\n' 'dle+1' 80; seq 1501 3000", name: "print", forceHost: "127.0.0.1");
        var order = await OrderHost.Order(host, await OrderHost.Template(host, step), ConsoleFixture.Hosts("seek-1"));
        await OrderHost.Ended(host, order);
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM tasks.scheduler_task_log WHERE list_id = {order}") == 3003,
            "all is written"
        );
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        foreach (var sought in new[] { ":8080", "needle+1" })
        {
            await visitor.Open($"/orders/{order}?cell=1/seek-1/0&find={Uri.EscapeDataString(sought)}");
            await page.WaitForSelectorAsync($".log-line.now mark:has-text('{sought}')");
            await page.WaitForFunctionAsync(
                """
                () => {
                  const line = document.querySelector('.log-line.now')?.getBoundingClientRect();
                  const box = document.querySelector('.log-lines').getBoundingClientRect();
                  return line && line.top >= box.top && line.bottom <= box.bottom;
                }
                """
            );
        }
        // It is for that cell alone.
        await page.FocusAsync(".grid-scroll");
        await page.Keyboard.PressAsync("Home");
        (await page.EvaluateAsync<string>("location.search")).ShouldNotContain("find=");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task The_output_of_all_hosts_of_an_order_is_one_log_that_goes_on_as_it_comes()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        JsonObject[] steps =
        [
            OrderHost.Step("echo before", name: "early", forceHost: "127.0.0.1"),
            OrderHost.Step("echo behind", level: 2, trigger: "hand", name: "gate", forceHost: "127.0.0.1"),
        ];
        var order = await OrderHost.Order(host, await OrderHost.Template(host, steps), ConsoleFixture.Hosts("one-1,one-2"));
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await page.AddInitScriptAsync(
            """
            window.streams = [];
            window.EventSource = class extends window.EventSource {
              constructor(url) {
                super(url);
                if (!url.includes('/v2/task/log/stream/')) return;
                this.rows = [];
                this.addEventListener('message', ({ data }) => this.rows.push(JSON.parse(data)));
                window.streams.push(this);
              }
            };
            """
        );
        await visitor.Open($"/orders/{order}");
        await page.ClickAsync("nav.chips a:text-is('Output')");
        await page.WaitForURLAsync("**/output");
        foreach (var line in new[] { "one-1 | before", "one-2 | before" }) await page.WaitForSelectorAsync($".log-line:has-text('{line}')");
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM tasks.lane WHERE list_id = {order} AND state = 'hand'") == 2,
            "both hosts wait at the gate"
        );
        var released = await host.Put("/v2/task/check/", new { list_id = order, hand_task = "gate", task_group = 1, task_level = 2 });
        OrderHost.Code(released).ShouldBe(0);
        foreach (var line in new[] { "one-1 | behind", "one-2 | behind" }) await page.WaitForSelectorAsync($".log-line:has-text('{line}')");
        // A refusal is told of until the stream is there again; in a tab that nobody sees it is not tried for.
        await page.EvaluateAsync(
            """
            () => {
              Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
              const stream = window.streams.at(-1);
              Object.defineProperty(stream, 'readyState', { value: EventSource.CLOSED });
              stream.dispatchEvent(new Event('error'));
            }
            """
        );
        await page.WaitForSelectorAsync("[data-order-log] > .empty:has-text('cannot be read just now')");
        await page.EvaluateAsync(
            """
            () => {
              document.dispatchEvent(new Event('visibilitychange'));
              delete document.hidden;
              document.dispatchEvent(new Event('visibilitychange'));
            }
            """
        );
        await page.WaitForFunctionAsync("() => window.streams.at(-1).rows.some((row) => row.host === 'one-1' && row.log_info === 'behind')");
        await page.WaitForFunctionAsync("() => document.querySelector('[data-order-log] > .empty').hidden");
        // Each line stands once, though it came twice; the pieces of a long one are copied as one.
        var text = await page.EvaluateAsync<string>(
            """
            async () => {
              const { view } = document.querySelector('[data-order-log]');
              [true, false].forEach((continues, at) => {
                const text = ['half a ', 'line'][at];
                const piece = { host: 'one-1', sched_id: 0, attempt: 1, line: at + 1, continues, log_info: text, exec_time: '', task_name: '' };
                window.streams.at(-1).dispatchEvent(new MessageEvent('message', { data: JSON.stringify(piece) }));
              });
              await view.more();
              return view.text();
            }
            """
        );
        text.Split('\n').Count(line => line == "one-1 | behind").ShouldBe(1);
        text.ShouldContain("one-1 | half a line\n");
        await page.FillAsync("form[role=search] [name=q]", "behind");
        await page.PressAsync("form[role=search] [name=q]", "Enter");
        await page.WaitForURLAsync($"**/search?in=orders&list_id={order}&q=behind", new() { WaitUntil = WaitUntilState.Commit });
        await page.WaitForSelectorAsync("main section.found");
        visitor.Errors.ShouldBeEmpty();
    }

    /// <summary>An order of fifteen steps that has ended.</summary>
    private async Task<long> FifteenSteps(string hosts)
    {
        var levels = Enumerable.Range(1, 15);
        JsonObject[] steps = [.. levels.Select(level => OrderHost.Step("true", level: level, name: $"step {level}", forceHost: "127.0.0.1"))];
        var order = await OrderHost.Order(host, await OrderHost.Template(host, steps), ConsoleFixture.Hosts(hosts));
        await OrderHost.Ended(host, order);
        return order;
    }
}
