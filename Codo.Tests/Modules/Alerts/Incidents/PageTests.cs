using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Localization;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;

namespace Codo.Tests.Modules.Alerts.Incidents;

/// <summary>The page of an incident in a real browser, as wide as a phone.</summary>
public sealed class PageTests(TestPostgres postgres)
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

    [Fact]
    public async Task On_a_phone_one_signs_in_reads_and_acknowledges_without_scrolling_sideways()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/chromium"), "chromium is not installed: apt-get install -y chromium");
        await using var host = await TestHost.Start(postgres);
        await host
            .Services.GetRequiredService<IncidentLog>()
            .Raise(
                new AlertEvent(
                    "job",
                    "failed",
                    "job:backup-db:failed",
                    "ID-17 任务-backup-db 类型-cron",
                    new Text("任务 backup-db 失败", "Job backup-db failed"),
                    new Text(
                        "退出码 1\n节点 node-a\n$ pg_dump --host=db.internal.example.com --format=custom --file=/var/backups/2026-03-01.dump shop",
                        "Exit code 1"
                    )
                )
                {
                    Space = 1,
                    Subjects = ["backup-db"],
                    People = [new Person("ann")],
                    Output =
                        ("pg_dump: error: connection to server at \"db.internal.example.com\" (10.20.30.40), port 5432 failed:\nFATAL:  remaining connection "
                            + "slots are reserved\n")
                        + new string('x', 300),
                }
            );
        using var playwright = await Playwright.CreateAsync();
        await using var browser = await playwright.Chromium.LaunchAsync(
            new BrowserTypeLaunchOptions { ExecutablePath = "/usr/bin/chromium", Args = Arguments }
        );
        var page = await browser.NewPageAsync(
            new BrowserNewPageOptions
            {
                ViewportSize = new ViewportSize { Width = 375, Height = 720 },
                DeviceScaleFactor = 2,
                Locale = "zh-CN",
            }
        );
        page.SetDefaultTimeout(60_000);
        await page.GotoAsync(new Uri(host.Http.BaseAddress!, "/i/1").ToString());
        await page.FillAsync("#token", TestTokens.For(7, "ann"));
        await page.ClickAsync("form button");
        await page.WaitForSelectorAsync("text=我来处理");
        (await page.TitleAsync()).ShouldBe("任务 backup-db 失败");
        (await page.EvaluateAsync<int>("document.documentElement.scrollWidth")).ShouldBeLessThanOrEqualTo(375);
        // For a person who wants to look at it.
        if (Environment.GetEnvironmentVariable("CODO_TEST_SCREENSHOTS") is { } folder)
            await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(folder, "incident.png"), FullPage = true });
        await page.ClickAsync("text=我来处理");
        await page.WaitForSelectorAsync("text=ann 已确认");
        (await page.Locator("text=我来处理").CountAsync()).ShouldBe(0);
        await page.ClickAsync("text=标记为已解决");
        await page.WaitForSelectorAsync("text=已解决（ann）");
        (await page.Locator("button").CountAsync()).ShouldBe(0);
    }
}
