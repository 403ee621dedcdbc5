using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Microsoft.Playwright;

namespace Codo.Bench;

/// <summary>
/// The console in a real Chromium that shares the processors with the host: what a page weighs, how soon it is there, the grid, the log, and what is live.
/// The host is the benchmark's own; its data directory may be one with a history.
/// </summary>
internal sealed class ConsoleBench(string codo, IBrowser browser) : IDisposable
{
    private const string Chromium = "/usr/bin/chromium";

    // The host gives memory back when it has been at rest for some looks of 20 s.
    private static readonly TimeSpan UntilRest = TimeSpan.FromSeconds(70);

    private const int Hosts = 1000, Steps = 10, Lines = 100_000, Tabs = 50;

    // What a script cannot be asked afterwards: when the page became usable, when the grid and the log's first lines were painted, and each task that held the
    // browser's main thread for more than 50 ms. From when the browser began to open the page; what the driver takes to notice is not counted.
    private const string Watch = """
        window.longest = 0;
        new PerformanceObserver((list) => { for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration); })
          .observe({ entryTypes: ['longtask'] });
        const usable = () => { if (document.documentElement?.dataset.ready === '1') { window.usable ??= performance.now(); } };
        const painted = (name, selector) => {
          if (name in window || !document.querySelector(selector)) return;
          window[name] = 0;
          requestAnimationFrame(() => setTimeout(() => { window[name] = performance.now(); }));
        };
        new MutationObserver(() => { usable(); painted('gridPainted', '[data-grid][data-ready]'); painted('linesPainted', '.log-line'); })
          .observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-ready'] });
        """;

    private static readonly string[] Paths =
    [
        "/", "/jobs", "/jobs?status=faild", "/ledger", "/forecast", "/orders", "/templates", "/commands", "/arguments", "/execute-users", "/search",
        "/incidents", "/alerting", "/people", "/audit", "/nodes", "/settings",
    ];

    private readonly List<string> pages = [.. Paths];
    private readonly string watched = $"bench watched {Guid.NewGuid():N}";
    private BenchHost host = null!;
    private BenchClient client = null!;
    private string token = "";

    /// <param name="codo">The published file.</param>
    /// <param name="data">The host's data directory; null takes an empty one, which is removed.</param>
    public static async Task Run(string codo, string? data)
    {
        if (!File.Exists(Chromium)) throw new InvalidOperationException($"{Chromium} is not there: install the package chromium.");
        var folder = Directory.CreateTempSubdirectory("codo-console-");
        folder.UnixFileMode |= UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        using var playwright = await Playwright.CreateAsync();
        await using var browser = await playwright.Chromium.LaunchAsync(
            new BrowserTypeLaunchOptions
            {
                ExecutablePath = Chromium,
                Args = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--enable-precise-memory-info"],
            }
        );
        using var bench = new ConsoleBench(codo, browser);
        try
        {
            await bench.StartHost(data ?? folder.FullName, null);
            await bench.Fill();
            Table.Head("the console", "p50", "p95", "goal");
            await bench.Weight();
            await bench.Paint();
            await bench.EachPage();
            await bench.Grid();
            await bench.Log();
            await bench.Change();
            await bench.Restart();
            await bench.Memory();
        }
        finally
        {
            await bench.host.DisposeAsync();
            folder.Delete(recursive: true);
        }
    }

    private string JobPath => "/jobs/" + Uri.EscapeDataString(watched);

    public void Dispose() => client.Dispose();

    private async Task StartHost(string data, string? address)
    {
        host = await BenchHost.Start(codo, data, address, ("Codo__Tasks__MaxHostsPerGroup", "2000"));
        token = await host.Token(codo);
        client = new BenchClient(host.Address, token);
    }

    private async Task Fill()
    {
        await client.Send(HttpMethod.Post, "/v1/cron/job/", new { job_id = watched, cmd = "echo fine", cron = "0 0 3 1 1 *" });
        var run = (await client.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = watched }))["log_id"]!.GetValue<long>();
        var template = await Template(new { group = 1, level = 1, command_name = "print", command = "echo on", args = "", trigger = "order" });
        var order = await Accept(template, "bench-1");
        pages.AddRange(
            [JobPath, $"/runs/{run}", $"/orders/{order}", $"/orders/{order}/timeline", $"/templates/{template}", "/orders/new"]);
    }

    private async Task Weight()
    {
        var (sizes, before) = (new Dictionary<string, int>(StringComparer.Ordinal), 0);
        await using var context = await Context();
        var page = await context.NewPageAsync();
        var asking = new List<Task>();
        page.RequestFinished += (_, request) =>
        {
            if (request.ResourceType is "script" or "stylesheet") asking.Add(Add(request));
        };
        foreach (var path in pages)
        {
            await Open(page, path);
            await Task.WhenAll(asking.ToArray());
            if (path == "/jobs") before = sizes.Values.Sum();
        }
        Table.Row("JS and CSS of the first pages / of all pages, as they are sent", Kilobytes(before), Kilobytes(sizes.Values.Sum()), "≤ 60 kB, ≤ 200 kB");

        async Task Add(IRequest request)
        {
            var size = await request.SizesAsync();
            lock (sizes) sizes[new Uri(request.Url).AbsolutePath] = Math.Max(size.ResponseBodySize, sizes.GetValueOrDefault(new Uri(request.Url).AbsolutePath));
        }
    }

    private async Task Paint()
    {
        var (painted, usable) = (new List<double>(), new List<double>());
        for (var run = 0; run < 15; run++)
        {
            await using var context = await Context();
            var page = await context.NewPageAsync();
            await Open(page, "/jobs");
            // A page may be usable before it is painted.
            await page.WaitForFunctionAsync("() => performance.getEntriesByName('first-contentful-paint').length > 0");
            painted.Add(await Number(page, "performance.getEntriesByName('first-contentful-paint')[0].startTime"));
            usable.Add(await Number(page, "window.usable"));
        }
        Row("/jobs, empty cache: first paint", painted, "≤ 400 ms");
        Row("the same, usable", usable, "≤ 800 ms");
    }

    private async Task EachPage()
    {
        await using var context = await Context();
        var page = await context.NewPageAsync();
        var (all, served, worst) = (new List<double>(), new List<double>(), ("", 0.0));
        foreach (var path in pages)
        {
            await Open(page, path);
            var one = new List<double>();
            for (var run = 0; run < 8; run++)
            {
                await Open(page, path);
                one.Add(await Number(page, "window.usable"));
                served.Add(
                    await Number(page, "(() => { const one = performance.getEntriesByType('navigation')[0]; return one.responseEnd - one.requestStart; })()"));
            }
            all.AddRange(one);
            one.Sort();
            if (one[^1] > worst.Item2) worst = (path, one[^1]);
        }
        Row($"each of {pages.Count} pages, usable (slowest: `{worst.Item1}`, {Table.Ms(worst.Item2)})", all, "p95 ≤ 150 ms");
        Row("the same, from request to the answer's last byte", served, "≤ 50 ms");
    }

    private async Task Grid()
    {
        var template = await Template([.. Enumerable.Range(1, Steps).Select(level => (object)new
        {
            group = 1, level, command_name = $"step {level}", command = "true", args = "", trigger = "order", exec_user = "root", force_host = "127.0.0.1",
        })]);
        var order = await Accept(template, [.. Enumerable.Range(1, Hosts).Select(number => $"bench-{number}")]);
        await using var context = await Context();
        var page = await context.NewPageAsync();
        Row($"{Hosts:N0} × {Steps} grid opens while its order runs as fast as both processors let it", await Opened(5), "");
        var (from, since) = (await Done(order), Stopwatch.GetTimestamp());
        await page.EvaluateAsync("window.longest = 0");
        await Task.Delay(TimeSpan.FromSeconds(10));
        var rate = (await Done(order) - from) / Stopwatch.GetElapsedTime(since).TotalSeconds;
        var (longest, heap) = (await Number(page, "window.longest"), await Number(page, "performance.memory.usedJSHeapSize / 1048576"));
        Table.Row(
            $"the same, 10 s at {rate:0} steps a second: longest task, heap",
            longest == 0 ? "none > 50 ms" : Table.Ms(longest),
            $"{heap:0} MB",
            "no task > 50 ms, ≤ 80 MB"
        );
        await client.Send(HttpMethod.Put, "/v2/task/list/", new { list_id = order });
        await Ended(order);
        Row("the same, once it has ended", await Opened(10), "≤ 500 ms");

        async Task<List<double>> Opened(int times)
        {
            var opened = new List<double>();
            for (var run = 0; run < times; run++)
            {
                await page.GotoAsync($"{host.Address}/orders/{order}");
                opened.Add(await Painted(page, "gridPainted"));
            }

            return opened;
        }
    }

    private async Task<long> Done(long order)
    {
        // One character a step, 3 for one that is done.
        var grid = await client.Send(HttpMethod.Get, $"/v2/task/grid/?list_id={order}");
        return grid["groups"]!.AsArray().Sum(group => group!["steps"]!.AsArray().Sum(states => states!.GetValue<string>().Count(state => state == '3')));
    }

    private async Task Log()
    {
        var order = await Accept(await Template(Local($"seq 1 {Lines} | sed 's/^/line /'")), "bench-1");
        await Ended(order);
        await using var context = await Context();
        var page = await context.NewPageAsync();
        var (first, jump) = (new List<double>(), new List<double>());
        for (var run = 0; run < 15; run++)
        {
            await page.GotoAsync($"{host.Address}/orders/{order}");
            first.Add(await Painted(page, "linesPainted"));
        }
        await page.WaitForSelectorAsync("[data-cell-log][data-loaded]", new() { Timeout = 60_000 });
        for (var run = 1; run <= 5; run++)
        {
            await Jump(() => Find($":{run * 19_000}"), $".log-line.mark:has-text('line {(run * 19_000) - 1}')");
            await Jump(() => Find($"line {run * 7_777}$"), $".log-line.now mark:has-text('line {run * 7_777}')");
            await page.FocusAsync(".log-lines");
            await Jump(() => page.Keyboard.PressAsync("Shift+G"), $".log-line:has-text('line {Lines}')");
        }
        Row($"log of {Lines:N0} lines: page and first lines", first, "≤ 300 ms");
        Row("jump to a line, a match, the end", jump, "≤ 200 ms");
        Table.Row("elements of the log", $"{await Number(page, "document.querySelectorAll('[data-cell-log] *').length"):0}", "", "≤ 300");
        await Follows();

        Task Find(string text) => page.FillAsync("[data-cell-log] input[type=search]", text);

        async Task Jump(Func<Task> act, string seen)
        {
            var began = Stopwatch.GetTimestamp();
            await act();
            await page.WaitForSelectorAsync(seen);
            jump.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }
    }

    // Each line is the time at which it was written; how old the newest is that the page shows.
    private async Task Follows()
    {
        const string Write = "end=$(($(date +%s) + 12)); while [ $(date +%s) -lt $end ]; do now=$(date +%s%3N); i=0; "
            + "while [ $i -lt 500 ]; do echo \"at $now\"; i=$((i+1)); done; sleep 0.095; done";
        var order = await Accept(await Template(Local(Write)), "bench-1");
        await using var context = await Context();
        var page = await context.NewPageAsync();
        await page.GotoAsync($"{host.Address}/orders/{order}");
        await page.WaitForSelectorAsync(".log-line:has-text('at 1')");
        var (behind, until) = (new List<double>(), Stopwatch.GetTimestamp() + (8 * Stopwatch.Frequency));
        while (Stopwatch.GetTimestamp() < until)
        {
            behind.Add(
                await Number(
                    page,
                    "Date.now() - Math.max(...[...document.querySelectorAll('.log-line')].map((line) => Number(/at (\\d+)/.exec(line.textContent)?.[1] ?? 0)))"
                )
            );
            await Task.Delay(50);
        }
        Row("a log that grows by some 5,000 lines a second: age of the newest line that is seen", behind, "follows");
        await Ended(order);
    }

    private async Task Change()
    {
        await using var context = await Context();
        var page = await context.NewPageAsync();
        await Open(page, JobPath);
        var took = new List<double>();
        for (var run = 0; run < 30; run++) took.Add(await Seen(page));
        Row("a job is paused or resumed → its page shows it", took, "p95 ≤ 300 ms");
    }

    // From before the request until the page's text is another one and was painted.
    private async Task<double> Seen(IPage page)
    {
        var seen = page.EvaluateAsync<double>(
            """
            () => new Promise((resolve) => {
              const main = document.querySelector('main'), text = main.innerText;
              const look = () => main.innerText !== text ? requestAnimationFrame(() => setTimeout(() => resolve(Date.now()))) : requestAnimationFrame(look);
              look();
            })
            """
        );
        var began = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        await client.Send(HttpMethod.Patch, "/v1/cron/job/", new { job_id = watched });
        return await seen - began;
    }

    private async Task Restart()
    {
        await using var context = await Context();
        var page = await context.NewPageAsync();
        await Open(page, JobPath);
        var took = new List<double>();
        for (var run = 0; run < 3; run++)
        {
            var (data, address) = (host.Data, host.Address);
            await host.DisposeAsync();
            client.Dispose();
            await StartHost(data, address);
            var began = Stopwatch.GetTimestamp();
            await Seen(page);
            took.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }
        Row("the host is restarted → the open page shows a change, from the host's first answer", took, "≤ 5 s");
    }

    private async Task Memory()
    {
        await using var context = await Context();
        // What it costs to write so many pages is not what their tabs hold: as often before as for them, and a host that has come to rest both times.
        var page = await context.NewPageAsync();
        for (var time = 0; time < Tabs; time++) await Open(page, "/jobs");
        await Task.Delay(UntilRest);
        var before = host.Memory();
        for (var tab = 0; tab < Tabs; tab++) await Open(await context.NewPageAsync(), "/jobs");
        var after = host.Memory();
        await Task.Delay(UntilRest);
        Table.Row($"{Tabs} open tabs: more memory of the host, a minute later", $"{host.Memory() - before:0} MB", "", "≤ 20 MB");
        Table.Row("the same just after they were opened, with what writing the pages left", $"{after - before:0} MB", "", "");
    }

    private async Task<IBrowserContext> Context()
    {
        var context = await browser.NewContextAsync(new BrowserNewContextOptions { ViewportSize = new ViewportSize { Width = 1440, Height = 900 } });
        await context.AddCookiesAsync([new Cookie { Name = "auth_key", Value = token, Url = host.Address }]);
        await context.AddInitScriptAsync(Watch);
        return context;
    }

    private async Task Open(IPage page, string path)
    {
        var response = await page.GotoAsync(host.Address + path);
        if (response is not { Ok: true }) throw new InvalidOperationException($"{path} answered {response?.Status}.");
        await page.WaitForFunctionAsync("window.usable");
    }

    private static async Task<double> Painted(IPage page, string what)
    {
        await page.WaitForFunctionAsync($"() => window.{what} > 0");
        return await Number(page, $"window.{what}");
    }

    private static async Task<double> Number(IPage page, string expression) => (await page.EvaluateAsync<JsonElement>(expression)).GetDouble();

    private static void Row(string what, List<double> milliseconds, string goal) =>
        Table.Row(what, Table.Percentile(milliseconds, 0.5), Table.Percentile(milliseconds, 0.95), goal);

    private static string Kilobytes(int bytes) => (bytes / 1000.0).ToString("0.0", CultureInfo.InvariantCulture) + " kB";

    private static object Local(string command) =>
        new { group = 1, level = 1, command_name = "print", command, args = "", trigger = "order", exec_user = "root", force_host = "127.0.0.1" };

    private async Task<long> Template(params object[] steps)
    {
        var name = $"bench {Guid.NewGuid():N}";
        await client.Send(HttpMethod.Post, "/v2/task_layout/temp/", new { temp_name = name });
        var found = await client.Send(HttpMethod.Get, $"/v2/task_layout/temp/?key=temp_name&value={Uri.EscapeDataString(name)}");
        var id = found["data"]!.AsArray().Single()!["temp_id"]!.GetValue<long>();
        await client.Send(HttpMethod.Put, "/v2/task_layout/details/", new { temp_id = id, new_temp_data = steps });
        return id;
    }

    private async Task<long> Accept(long template, params string[] hosts) =>
        (await client.Send(HttpMethod.Post, "/v2/task/accept/", new
        {
            task_name = "bench console",
            temp_id = template,
            hosts = new Dictionary<string, string> { ["1"] = string.Join(',', hosts) },
            schedule = "ready",
        }))["list_id"]!.GetValue<long>();

    private async Task Ended(long order)
    {
        for (var began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < TimeSpan.FromMinutes(3); await Task.Delay(50))
        {
            var answer = await client.Send(HttpMethod.Get, $"/v2/task/check/?list_id={order}");
            if (answer["data"]!["schedule"]!.GetValue<string>() == "OK") return;
        }
        throw new TimeoutException($"Order {order} has not ended.");
    }
}
