using System.Collections.Concurrent;
using Codo.Platform.Ui;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Pages;

// What the console's scripts ask of the host, and what they make of what comes.
public sealed partial class ConsoleWorkTests
{
    // Streams that bring nothing, and tell what they were asked for.
    private const string Streams = """
        window.streams = [];
        window.EventSource = class extends EventTarget {
          constructor(url) {
            super();
            const asked = new URL(url, location.href).searchParams;
            this.topics = asked.get('topics').split(',');
            this.known = JSON.parse(asked.get('known'));
            window.streams.push(this);
          }
          close() { this.isClosed = true; }
        };
        """;

    [Fact]
    public async Task Tabs_ask_for_no_more_topics_than_the_host_takes_and_the_newest_come_first()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        await visitor.Page.AddInitScriptAsync(Streams);
        await visitor.Open("/jobs");
        var topics = await visitor.Page.EvaluateAsync<string[]>(
            """
            async (address) => {
              const hub = (await import(address)).createHub();
              for (let tab = 0; tab < 31; tab++) hub.join(() => {}).receive({ topics: { [`one:${tab}`]: '', [`two:${tab}`]: '' } });
              while (!window.streams.length) await new Promise((resolve) => setTimeout(resolve));
              return window.streams[0].topics;
            }
            """,
            Script("hub.js")
        );
        var newest = Enumerable.Range(1, 30).SelectMany(tab => new[] { $"one:{tab}", $"two:{tab}" });
        topics.ShouldBe(newest, ignoreOrder: true);
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_tab_that_was_opened_in_the_background_lets_go_of_its_topics()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await page.AddInitScriptAsync(Streams);
        await page.AddInitScriptAsync(
            """
            delete window.SharedWorker;
            Object.defineProperty(Document.prototype, 'hidden', { configurable: true, get: () => true });
            window.setTimeout = ((later) => (run, time, ...more) => {
              if (time === 20000) window.letGo = run;
              return later(run, time, ...more);
            })(window.setTimeout);
            """
        );
        await visitor.Open("/jobs");
        await page.WaitForFunctionAsync("() => window.streams.length > 0");
        await page.EvaluateAsync("window.letGo()");
        await page.WaitForFunctionAsync("() => window.streams.at(-1).isClosed");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_page_that_comes_back_out_of_the_cache_of_pages_is_live_and_its_form_sends()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await page.AddInitScriptAsync(Streams);
        await visitor.Open($"/orders/new?temp_id={fixture.Template}");
        await page.EvaluateAsync(
            """
            async (address) => {
              window.tab = (await import(address)).createHub().join(() => {});
              window.tab.receive({ topics: { jobs: '' } });
            }
            """,
            Script("hub.js")
        );
        await page.WaitForFunctionAsync("() => window.streams.length === 1");
        await page.EvaluateAsync("window.tab.receive({ leave: true })");
        await page.WaitForFunctionAsync("() => window.streams[0].isClosed");
        await page.EvaluateAsync("window.tab.receive({ topics: { jobs: '' } })");
        await page.WaitForFunctionAsync("() => window.streams.length === 2");

        var isSent = await page.EvaluateAsync<bool>(
            """
            () => {
              const form = document.querySelector('[data-new-order]');
              form.dataset.sent = '1';
              dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
              return 'sent' in form.dataset;
            }
            """
        );
        isSent.ShouldBeFalse();
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task An_order_that_is_sent_again_while_the_first_try_is_under_way_goes_under_the_same_key()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        var tries = new ConcurrentQueue<Microsoft.Playwright.IRoute>();
        await page.RouteAsync("**/v2/task/accept/", route =>
        {
            tries.Enqueue(route);
            return Task.CompletedTask;
        });
        await visitor.Open($"/orders/new?temp_id={fixture.Template}");
        await Send(1);
        await page.EvaluateAsync("() => { dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })); }");
        await Send(2);
        var sent = tries.ToList();
        var keys = sent.Select(route => route.Request.Headers["idempotency-key"]).ToList();
        keys[1].ShouldBe(keys[0]);
        const string Away = """{"code":-1,"msg":"away"}""";
        foreach (var route in sent) await route.FulfillAsync(new() { Status = 503, ContentType = "application/json", Body = Away });
        await page.WaitForSelectorAsync("[data-error]:has-text('away')");
        visitor.Errors.ShouldBeEmpty();

        async Task Send(int count)
        {
            await page.EvalOnSelectorAsync("[data-new-order]", "(form) => form.requestSubmit(form.querySelector('button[value=new]'))");
            await Eventually.True(() => tries.Count == count, "the order is sent");
        }
    }

    [Fact]
    public async Task A_tab_that_asked_for_the_whole_gets_it_whatever_another_shows_meanwhile()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        await visitor.Page.AddInitScriptAsync(Streams);
        await visitor.Open("/jobs");
        var known = await visitor.Page.EvaluateAsync<string[]>(
            """
            async (address) => {
              const hub = (await import(address)).createHub();
              const opened = async (count) => { while (window.streams.length < count) await new Promise((resolve) => setTimeout(resolve)); };
              const shown = hub.join(() => {}), seen = hub.join(() => {});
              shown.receive({ topics: { 'order:1': '5' } });
              await opened(1);
              seen.receive({ topics: { 'order:1': '' } });
              shown.receive({ topics: { 'order:1': '5', 'log:1': '' } });
              await opened(2);
              shown.receive({ topics: { 'order:1': '5', 'log:2': '' } });
              await opened(3);
              const change = JSON.stringify({ topic: 'order:1', version: '5', data: {} });
              window.streams[2].dispatchEvent(new MessageEvent('change', { data: change }));
              shown.receive({ topics: { 'order:1': '5', 'log:3': '' } });
              await opened(4);
              return window.streams.map((stream) => stream.known['order:1'] ?? 'the whole');
            }
            """,
            Script("hub.js")
        );
        known.ShouldBe(["5", "the whole", "the whole", "5"]);
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_step_of_the_cursor_asks_for_what_comes_after_the_grid_that_is_shown()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        var template = await OrderHost.Template(host, OrderHost.Step("echo one", name: "only", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template, ConsoleFixture.Hosts("near-1,near-2"));
        await OrderHost.Ended(host, order);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await page.AddInitScriptAsync(
            """
            delete window.SharedWorker;
            window.whole = new Set();
            window.EventSource = class extends window.EventSource {
              constructor(url) {
                super(url);
                this.addEventListener('change', (event) => {
                  const { topic, data } = JSON.parse(event.data);
                  if (data) window.whole.add(topic);
                });
              }
            };
            """
        );
        var asked = new ConcurrentQueue<string>();
        page.Request += (_, request) =>
        {
            if (request.Url.Contains("/v2/stream/", StringComparison.Ordinal)) asked.Enqueue(Uri.UnescapeDataString(request.Url));
        };
        await visitor.Open($"/orders/{order}");
        await page.WaitForSelectorAsync("[data-grid][data-ready]");
        await page.WaitForFunctionAsync("(topic) => window.whole.has(topic)", $"order:{order}");
        await page.FocusAsync(".grid-scroll");
        await page.Keyboard.PressAsync("ArrowDown");
        var next = await Eventually.Get<string>(
            () => Task.FromResult(asked.FirstOrDefault(url => url.Contains($"log:{order}_1_1_near-2", StringComparison.Ordinal))),
            _ => true,
            "the output of the next host is followed"
        );
        next.ShouldContain($"\"order:{order}\":");
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_search_in_an_output_that_is_still_read_counts_each_match_once()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        await visitor.Open("/jobs");
        var matches = await visitor.Page.EvaluateAsync<int[]>(
            """
            async (address) => {
              const { LogView } = await import(address);
              const place = document.createElement('div');
              document.body.append(place);
              const lines = (first, count) => Array.from({ length: count }, (_, at) => ({ text: (first + at) % 1000 ? 'hay' : 'needle' }));
              let head = 0;
              const view = new LogView(place, {
                topic: 'jobs',
                name: 'long',
                tail: async () => ({ code: 0, lines: lines(30000, 500), before: 30000, after: 'end' }),
                next: async (after) => {
                  if (after === 'end') return { code: 0, lines: [], after };
                  head += 1000;
                  return { code: 0, lines: lines(head - 1000, 1000), after: String(head) };
                },
              });
              view.search.value = 'needle';
              view.find();
              while (!place.dataset.loaded || view.scanning) await new Promise((resolve) => setTimeout(resolve));
              return view.matches;
            }
            """,
            Script("log-view.js")
        );
        matches.ShouldBe(Enumerable.Range(0, 31).Select(line => line * 1000));
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_failure_and_an_undo_outlive_the_messages_that_follow()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        await visitor.Open("/jobs");
        var left = await visitor.Page.EvaluateAsync<string[]>(
            """
            async (address) => {
              const { say } = await import(address);
              say('refused', true);
              say('refused', true);
              say('paused', false, { word: 'Undo', run: () => {} });
              for (const text of ['one', 'two', 'three', 'four', 'five']) say(text);
              return [...document.querySelectorAll('#messages .message p')].map((line) => line.textContent);
            }
            """,
            Script("api.js")
        );
        left.ShouldBe(["refused", "paused", "two", "three", "four", "five"]);
        // However many stay, they take a part of the window, and the newest is seen.
        var isSeen = await visitor.Page.EvaluateAsync<bool>(
            """
            async (address) => {
              const { say } = await import(address);
              for (let count = 0; count < 40; count++) say(`refused ${count}`, true);
              const box = document.getElementById('messages'), last = box.lastElementChild.getBoundingClientRect();
              return box.offsetHeight <= innerHeight * 0.6 + 1 && last.top >= box.getBoundingClientRect().top && last.bottom <= innerHeight;
            }
            """,
            Script("api.js")
        );
        isSeen.ShouldBeTrue();
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_form_that_is_half_filled_in_stays_where_the_page_has_none_any_more()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        await visitor.Open("/jobs");
        var left = await visitor.Page.EvaluateAsync<string>(
            """
            async (address) => {
              const { morph } = await import(address);
              const section = (html) => Object.assign(document.createElement('section'), { innerHTML: html });
              const from = section('<h2>Edit</h2><form data-dirty="1"><input></form><p>Delete</p>');
              from.querySelector('input').value = 'typed';
              morph(from, section('<h2>Edit</h2><p>You may not</p>'));
              return [...from.children].map((part) => part.querySelector('input')?.value ?? part.textContent).join(', ');
            }
            """,
            Script("morph.js")
        );
        left.ShouldBe("Edit, You may not, typed");
        visitor.Errors.ShouldBeEmpty();
    }

    private string Script(string name) => new Uri(host.Http.BaseAddress!, host.Services.GetRequiredService<Assets>().Address(name)).ToString();
}
