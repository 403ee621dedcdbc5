using System.Collections.Concurrent;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Microsoft.Playwright;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Pages;

/// <summary>One host with something of everything in it, and one browser, for all tests of the console.</summary>
public sealed class ConsoleFixture(TestPostgres postgres) : HostFixture(postgres)
{
    private static readonly string[] Arguments =
    [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ];

    private readonly TestFolder folder = new();
    private IPlaywright? playwright;
    private IBrowser? browser;

    /// <summary>Whether a browser is installed; tests are skipped without one.</summary>
    public static bool HasBrowser => File.Exists("/usr/bin/chromium");

    /// <summary>An order with failed hosts, one that waits for its approval, one at a hand step.</summary>
    public long Failed { get; private set; }

    public long New { get; private set; }

    /// <summary>The template of those orders.</summary>
    public long Template { get; private set; }

    public long AtHand { get; private set; }

    /// <summary>A run that failed.</summary>
    public long FailedRun { get; private set; }

    public string NewFile() => folder.At(Guid.NewGuid().ToString("N"));

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        if (!HasBrowser) return;
        await Fill();
        playwright = await Playwright.CreateAsync();
        browser = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions { ExecutablePath = "/usr/bin/chromium", Args = Arguments });
    }

    public override async ValueTask DisposeAsync()
    {
        if (browser is not null) await browser.DisposeAsync();
        playwright?.Dispose();
        await base.DisposeAsync();
        folder.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>A browser profile of its own, signed in.</summary>
    internal async Task<Visitor> Visit(
        string language = "en",
        string theme = "light",
        int width = 1440,
        string? token = null,
        TestHost? host = null,
        bool isStranger = false,
        string? zone = null
    )
    {
        var address = (host ?? Host).Http.BaseAddress!;
        var context = await browser!.NewContextAsync(
            new BrowserNewContextOptions
            {
                ViewportSize = new ViewportSize { Width = width, Height = width < 500 ? 760 : 900 },
                HasTouch = width < 500,
                TimezoneId = zone,
            }
        );
        var cookies = new List<Cookie> { Cookie("codo_lang", language), Cookie("codo_theme", theme) };
        if (!isStranger) cookies.Add(Cookie("auth_key", token ?? TestTokens.Admin));
        await context.AddCookiesAsync(cookies);
        return await Visitor.Begin(context, address);

        Cookie Cookie(string name, string value) => new() { Name = name, Value = value, Url = address.ToString() };
    }

    private async Task Fill()
    {
        await Host.Make(new { job_id = "nightly backup", cmd = "echo dumped 12 tables", cron = CronClient.Never, tags = new[] { "db" } });
        await Host.Make(new { job_id = "certificates", cmd = "echo checking; echo expired: shop.example.test >&2; exit 7", cron = CronClient.Never });
        await Host.Make(new { job_id = "paused", cmd = "true", cron = "0 0 3 * * *" });
        await Host.Make(new { job_id = "within the hour", cmd = "true", cron = "0 */30 * * * *" });
        await Host.Patch("/v1/cron/job/", new { job_id = "paused" });
        (await Host.Post("/v2/alerts/rule/", new { name = "failures", kinds = new[] { "failed" } }))["code"]!.GetValue<int>().ShouldBe(0);
        await Host.Get("/v2/accounts/me/", TestTokens.For(7, "ann"));
        (await Host.Post("/v2/accounts/team/", new { name = "night shift", description = "who looks at night" }))["team_id"]!.GetValue<long>().ShouldBe(1);
        await Host.Post("/v2/accounts/team/member/", new { team_id = 1, user_id = 7 });
        await Host.Post("/v2/accounts/grant/", new { team_id = 1, role = "operator", space = "default", until = "2099-01-01 00:00" });
        await Host.Post("/v2/alerts/silence/", new { subject = "nightly*", reason = "disks are changed", ends_at = "2099-01-01 00:00", kind = "overlong" });
        await Host.Post("/v2/alerts/contact/", new { name = "ann", email = "ann@example.test", tel = "+4915112345678" });
        await Host.Make(new { job_id = "hourly report", cmd = "true", cron = "0 0 * * * *", time_zone = "Europe/Berlin" });
        await Host.RunNow("nightly backup");
        await Host.Put("/v1/cron/job/", new { job_id = "nightly backup", cmd = "set -e\necho dumped 12 tables", retries = 2 });
        await Host.Make(new { job_id = "retired", cmd = "true", cron = CronClient.Never });
        await Host.Delete("/v1/cron/job/", new { job_id = "retired" });
        FailedRun = await Host.RunNow("certificates");
        var template = await OrderHost.Template(
            Host,
            OrderHost.Step("echo fetched", name: "fetch", forceHost: "127.0.0.1"),
            OrderHost.Step(
                $"test -e {NewFile()} || {{ echo connection refused; exit 1; }}",
                level: 2,
                name: "check",
                forceHost: "127.0.0.1"
            ),
            OrderHost.Step("echo on", level: 3, name: "enable", forceHost: "127.0.0.1")
        );
        Template = template;
        Failed = await OrderHost.Order(Host, template, Hosts("web-1,web-2,web-3"));
        New = await OrderHost.Order(Host, template, Hosts("db-1,db-2"), schedule: "new");
        var hand = await OrderHost.Template(Host, OrderHost.Step("echo go", trigger: "hand", name: "confirm", forceHost: "127.0.0.1"));
        AtHand = await OrderHost.Order(Host, hand, Hosts("cache-1"));
        await OrderHost.Stands(Host, Failed, "341", "&get_run_host=web-3");
        await OrderHost.Stands(Host, AtHand, "5");
        await Eventually.True(async () => await Host.Count("SELECT count(*) FROM alerts.task_monitor WHERE state = 'open'") > 0, "an incident is open");
    }

    internal static Dictionary<string, string> Hosts(string hosts) => new() { ["1"] = hosts };
}

/// <summary>A page in a browser profile, with what went wrong in it.</summary>
internal sealed class Visitor : IAsyncDisposable
{
    private readonly IBrowserContext context;
    private readonly Uri address;
    private readonly ConcurrentQueue<string> errors = new();

    private Visitor(IBrowserContext context, Uri address, IPage page) => (this.context, this.address, Page) = (context, address, page);

    public IPage Page { get; }

    /// <summary>Errors of scripts and of the console, a breach of the content policy among them.</summary>
    public IReadOnlyCollection<string> Errors => errors;

    public static async Task<Visitor> Begin(IBrowserContext context, Uri address)
    {
        var visitor = new Visitor(context, address, await context.NewPageAsync());
        visitor.Page.SetDefaultTimeout(90_000);
        visitor.Page.PageError += (_, error) => visitor.errors.Enqueue(error);
        visitor.Page.Console += (_, message) =>
        {
            // The browser itself reports the status of a page that is an error.
            if (message.Type == "error" && !message.Text.Contains("Failed to load resource", StringComparison.Ordinal)) visitor.errors.Enqueue(message.Text);
        };
        return visitor;
    }

    /// <summary>Opens an address and waits for its scripts; answers the status.</summary>
    public async Task<int> Open(string path)
    {
        var response = await Page.GotoAsync(new Uri(address, path).ToString());
        if (await Page.Locator("main[data-topics]").CountAsync() > 0) await Page.WaitForSelectorAsync("html[data-ready='1']");
        return response!.Status;
    }

    public Task<string> Text(string selector = "main") => Page.InnerTextAsync(selector);

    /// <summary>Waits until an element with this text is there.</summary>
    public Task Sees(string text) => Page.WaitForSelectorAsync($"text={text}");

    /// <summary>Keeps the page as it is by now: it is not read again, whatever changes.</summary>
    public Task Freeze() =>
        Page.RouteAsync("**/*", route => route.Request.Headers.ContainsKey("x-codo-part") ? route.AbortAsync() : route.FallbackAsync());

    public async ValueTask DisposeAsync() => await context.DisposeAsync();
}
