using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;

namespace Codo.Tests.Host.Pages;

// Jobs, their runs, and what the ledger and the forecast say of them.
public sealed partial class ConsoleWorkTests
{
    [Fact]
    public async Task Jobs_keep_their_place_while_one_works_on_the_list()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        // One more than a page shows, all due at the same time.
        var names = Enumerable.Range(1, 51).Select(number => $"placed {number:D2}").ToArray();
        foreach (var name in names) await host.Make(new { job_id = name, cmd = "true", cron = "0 0 3 * * *" });
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/jobs?q=placed");
        await page.CheckAsync("[data-pick='placed 01']");
        // As when it fires.
        await host.Ask<long>("UPDATE cron.job SET next_run_at = next_run_at + interval '1 day' WHERE job_id = 'placed 01' RETURNING id");
        await host.Patch("/v1/cron/job/", new { job_id = "placed 02", paused = true });
        await page.WaitForSelectorAsync("[data-row='job-placed 02'] .badge:has-text('Paused')");
        (await page.IsCheckedAsync("[data-pick='placed 01']")).ShouldBeTrue();
        (await page.EvaluateAsync<string[]>("[...document.querySelectorAll('[data-pick]')].map((box) => box.dataset.pick)")).ShouldBe(names[..50]);
        visitor.Errors.ShouldBeEmpty();
        foreach (var name in names) await host.Delete("/v1/cron/job/", new { job_id = name });
    }

    [Fact]
    public async Task A_first_page_that_is_open_hears_that_the_session_is_over()
    {
        (await Status(null, isPart: true)).ShouldBe(401);
        (await Status(null, isPart: false)).ShouldBe(200);
        (await Status(TestTokens.Admin, isPart: true)).ShouldBe(200);

        async Task<int> Status(string? token, bool isPart)
        {
            using var request = TestHost.Request(HttpMethod.Get, "/", null, token);
            request.Headers.Add("Accept", "text/html");
            if (isPart) request.Headers.Add("X-Codo-Part", "1");
            using var response = await host.Http.SendAsync(request);
            return (int)response.StatusCode;
        }
    }

    [Fact]
    public async Task The_last_line_of_a_long_output_is_that_of_its_end()
    {
        await host.Make(new { job_id = "long goodbye", cmd = "seq 1 30000; echo disk is full; exit 7", cron = CronClient.Never });
        var run = await host.RunNow("long goodbye");
        await host.Ended(run);
        var shown = await Html($"/runs/{run}");
        shown.Split("data-row=\"why\"")[1].Split("</pre>")[0].ShouldContain("<pre>disk is full");
        (await Html("/ledger?job_id=long%20goodbye")).ShouldContain("title=\"disk is full\"");
        await host.Delete("/v1/cron/job/", new { job_id = "long goodbye" });
    }

    [Fact]
    public async Task The_cell_that_is_chosen_stays_at_its_time()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/ledger/matrix");
        await page.WaitForFunctionAsync("() => document.querySelector('[data-matrix]')?.matrix?.rows.length > 0");
        await visitor.Freeze();
        const string Later = """
            (hours) => {
              const place = document.querySelector('[data-matrix]');
              place.dataset.from = new Date(Date.parse(place.dataset.from) + hours * 3600000).toISOString();
            }
            """;
        const string Follows = """
            (slot) => {
              const { matrix, dataset } = document.querySelector('[data-matrix]');
              return matrix.from === Date.parse(dataset.from) && matrix.slot === slot;
            }
            """;
        await page.EvaluateAsync("document.querySelector('[data-matrix]').matrix.slot = 100");
        await page.EvaluateAsync(Later, 1);
        await page.WaitForFunctionAsync(Follows, 40);
        // What is no longer shown is not chosen.
        await page.EvaluateAsync(Later, 1);
        await page.WaitForFunctionAsync(Follows, -1);
        visitor.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_cell_of_one_failure_among_many_that_succeeded_names_the_failure()
    {
        Assert.SkipUnless(ConsoleFixture.HasBrowser, NoBrowser);
        await host.Make(new { job_id = "mostly well", cmd = "true", cron = CronClient.Never });
        const string Hour = """
            WITH made AS (
                INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, ended_at, task_cmd)
                SELECT j.id, j.job_id, 'manual', 'manual', t.at, t.at, CASE n WHEN 0 THEN 'faild' ELSE 'success' END, t.at, t.at, j.cmd
                FROM cron.job j CROSS JOIN generate_series(0, 25) n
                CROSS JOIN LATERAL (SELECT date_trunc('hour', now()) - interval '2 hours' + n * interval '1 minute' AS at) t
                WHERE j.job_id = 'mostly well' RETURNING log_id, status)
            SELECT log_id FROM made WHERE status = 'faild'
            """;
        var failed = await host.Ask<long>(Hour);
        await using var visitor = await fixture.Visit();
        var page = visitor.Page;
        await visitor.Open("/ledger/matrix?hours=720&q=mostly%20well");
        await page.WaitForFunctionAsync("() => document.querySelector('[data-matrix]')?.matrix?.rows.length === 1");
        await page.EvaluateAsync(
            """
            (() => {
              const { matrix } = document.querySelector('[data-matrix]');
              Object.assign(matrix, { row: 0, slot: matrix.rows[0].cells.indexOf('f') });
              matrix.why();
            })()
            """
        );
        await page.WaitForSelectorAsync($"#cell a[href='/runs/{failed}']");
        (await page.Locator("#cell tr").CountAsync()).ShouldBe(1);
        visitor.Errors.ShouldBeEmpty();
        await host.Delete("/v1/cron/job/", new { job_id = "mostly well" });
    }

    [Fact]
    public async Task A_run_has_live_buttons_for_who_may_run_its_job_and_none_to_run_again_what_is_deleted()
    {
        var (bob, go) = (TestTokens.For(5, "bob"), fixture.NewFile());
        await using var closed = await fixture.Another(("Codo:Cron:Operators", "nobody-at-all"));
        foreach (var name in new[] { "his", "theirs" })
            await closed.Make(new { job_id = name, cmd = $"while ! test -e {go}; do sleep 0.05; done", cron = CronClient.Never });
        var (his, theirs) = (await closed.RunNow("his"), await closed.RunNow("theirs"));
        await closed.Running(his);
        await closed.Running(theirs);
        (await closed.Get("/v2/accounts/me/", bob)).Code().ShouldBe(0);
        var grant = await closed.Post("/v2/accounts/grant/", new { user_id = 5, role = "operator", @object = "job:his" });
        grant.Code().ShouldBe(0, grant.ToJsonString());

        (await Page(his, bob)).ShouldSatisfyAllConditions(
            html => Disabled(html).ShouldBe(0),
            html => html.ShouldContain("data-path=\"/v1/cron/job/kill/\""),
            html => html.ShouldContain("data-path=\"/v1/cron/job/run/\"")
        );
        Disabled(await Page(theirs, bob)).ShouldBe(2, "a role on another job is none on this one");

        // What runs goes on, and may still be ended.
        (await closed.Delete("/v1/cron/job/", new { job_id = "theirs" })).Code().ShouldBe(0);
        await closed.Make(new { job_id = "theirs", cmd = "echo another of that name", cron = CronClient.Never });
        (await Page(theirs, TestTokens.Admin)).ShouldSatisfyAllConditions(
            html => Disabled(html).ShouldBe(1),
            html => html.ShouldContain("data-path=\"/v1/cron/job/kill/\""),
            html => html.ShouldContain("title=\"The job is deleted\"")
        );
        await File.WriteAllTextAsync(go, "");

        static int Disabled(string html) => html.Split("aria-disabled=\"true\"").Length - 1;

        async Task<string> Page(long run, string token) => WebUtility.HtmlDecode((await closed.Page($"/runs/{run}", token, "en")).Html);
    }

    [Fact]
    public async Task A_list_that_a_filter_empties_does_not_say_that_every_due_time_ran()
    {
        var shown = await Html("/ledger?view=not-run&job_id=nosuch");
        shown.ShouldNotContain("Every due time ran");
        shown.ShouldContain("No row matches");
        shown.ShouldContain("placeholder=\"Whole job name\"");
        await using var empty = await fixture.Another();
        (await empty.Page("/ledger?view=not-run&job_id=", TestTokens.Admin, "en")).Html.ShouldContain("Every due time ran");
    }

    [Fact]
    public async Task The_command_of_a_page_asks_for_what_the_page_shows()
    {
        (string Path, string[] Asks)[] pages =
        [
            ($"/runs/{fixture.FailedRun}", ["key=log_id", $"value={fixture.FailedRun}", "start_date=2000-01-01"]),
            (
                "/jobs?q=a&status=0&tag=b&owner=c&space=default&page=2",
                ["q=a", "status=0", "tag=b", "owner=c", "space=default", "page=2", "limit=50", "sort=job_id"]
            ),
            (
                "/ledger?view=failed&job_id=x&q=a&start_date=2026-01-01&end_date=2026-12-31&tag=b&owner=c&page=2",
                ["failed=true", "job_id=x", "q=a", "start_date=2026-01-01", "end_date=2026-12-31", "tag=b", "owner=c", "page=2", "limit=100"]
            ),
            ("/ledger?view=not-run", ["status=skipped,missed"]),
            ("/ledger/matrix?hours=168&q=a&page=2", ["hours=168", "q=a", "page=2", "limit=500"]),
            ("/forecast?hours=168&space=default", ["hours=168", "space=default"]),
        ];
        // Without a browser there is no such run.
        foreach (var (path, asks) in pages.Where(one => one.Path != "/runs/0"))
        {
            var curl = (await Html(path)).Split("data-curl=\"")[1].Split("'\"")[0];
            asks.Except(curl.Split('?', 2)[1].Split('&')).ShouldBeEmpty(path);
        }
    }

    [Fact]
    public async Task The_week_of_the_forecast_has_a_row_a_day()
    {
        await host.Make(new { job_id = "by the hour", cmd = "true", cron = "0 0 * * * *" });
        const string Api = "/v1/cron/forecast/?hours=168";
        // An hour may begin between the two.
        JsonNode answer;
        string shown;
        do
        {
            answer = await host.Get(Api);
            shown = await Html("/forecast?hours=168");
        } while (First(await host.Get(Api)) != First(answer));
        var slots = answer["slots"]!.AsArray().Select(slot => (At: (string)slot!["at"]!, Fires: (long)slot["fires"]!)).ToList();
        var days = slots.GroupBy(slot => slot.At[..10]).Select(day => (day.Key, day.Sum(slot => slot.Fires))).ToList();
        Days().Matches(shown).Select(row => (row.Groups[1].Value, long.Parse(row.Groups[2].Value, CultureInfo.InvariantCulture))).ShouldBe(days);
        // The axis says at which hour a day of it begins.
        shown.ShouldContain($"<span>{slots[0].At[5..16]}</span>");
        shown.ShouldContain("data-topics=\"jobs=");
        await host.Delete("/v1/cron/job/", new { job_id = "by the hour" });

        static string First(JsonNode forecast) => (string)forecast["slots"]![0]!["at"]!;
    }

    [Fact]
    public async Task A_run_shows_the_environment_that_it_had_without_its_secrets()
    {
        var job = new { job_id = "with variables", cmd = "true", cron = CronClient.Never, env = new { A = "1", PASSWORD = "hidden-away" } };
        await host.Make(job);
        var run = await host.RunNow("with variables");
        await host.Ended(run);
        var shown = await Html($"/runs/{run}");
        shown.ShouldContain(">A=1<", Case.Sensitive);
        shown.ShouldContain(">PASSWORD=******<");
        shown.ShouldNotContain("hidden-away");

        // What is a secret by now was one then.
        (await host.Put("/v1/cron/job/", new { job_id = "with variables", secret_env = new[] { "A" } })).Code().ShouldBe(0);
        (await Html($"/runs/{run}")).ShouldContain(">A=******<", Case.Sensitive);

        await host.Ask<long>("UPDATE cron.cron_log SET env = decode('00', 'hex') WHERE log_id = @run RETURNING log_id", new { run });
        (await Html($"/runs/{run}")).ShouldContain("It cannot be read");

        // Nobody is shown a deleted job's.
        var again = await host.RunNow("with variables");
        await host.Ended(again);
        (await Html($"/runs/{again}")).ShouldContain("data-row=\"env\"");
        await host.Delete("/v1/cron/job/", new { job_id = "with variables" });
        (await Html($"/runs/{again}")).ShouldNotContain("data-row=\"env\"");
    }

    [Fact]
    public async Task A_run_that_is_older_than_the_last_hundred_is_ended_on_the_page_of_its_job()
    {
        var go = fixture.NewFile();
        await host.Make(new { job_id = "outlasted", cmd = $"while ! test -e {go}; do sleep 0.05; done", cron = CronClient.Never });
        var run = await host.RunNow("outlasted");
        await host.Running(run);
        const string Newer = """
            WITH older AS (UPDATE cron.cron_log SET exec_time = exec_time - interval '1 hour' WHERE log_id = @run), made AS (
                INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, ended_at, task_cmd)
                SELECT j.id, j.job_id, 'manual', 'manual', t.at, t.at, 'success', t.at, t.at, j.cmd FROM cron.job j CROSS JOIN generate_series(1, 100) n
                CROSS JOIN LATERAL (SELECT now() - n * interval '1 second' AS at) t WHERE j.job_id = 'outlasted' RETURNING 1)
            SELECT count(*) FROM made
            """;
        (await host.Ask<long>(Newer, new { run })).ShouldBe(100);
        var shown = await Html("/jobs/outlasted");
        shown.ShouldContain($"Kill run {run}</button>");
        shown.ShouldContain($"data-body=\"{{\"log_id\":{run}}}\"");
        shown.ShouldContain("aria-label=\"Last 20 runs: 20 succeeded");
        await File.WriteAllTextAsync(go, "");
        await host.Ended(run);
        (await Html("/jobs/outlasted")).ShouldNotContain("Kill run");
        await host.Delete("/v1/cron/job/", new { job_id = "outlasted" });
    }

    [Fact]
    public async Task A_list_of_one_space_stays_one_of_it()
    {
        (await Html("/jobs?space=default")).ShouldSatisfyAllConditions(
            html => html.ShouldContain("type=\"hidden\" name=\"space\" value=\"default\""),
            html => html.ShouldContain("Space default ✕")
        );
        (await Html("/forecast?space=default")).ShouldContain("href=\"/forecast?space=default&hours=168\"");
        (await Html("/forecast?hours=168&space=default")).ShouldContain("href=\"/forecast?space=default\"");
    }

    [Fact]
    public async Task Who_changed_a_paused_job_last_is_not_said_to_have_paused_it()
    {
        await host.Make(new { job_id = "paused by one", cmd = "true", cron = "0 0 3 * * *" });
        (await host.Patch("/v1/cron/job/", new { job_id = "paused by one", paused = true })).Code().ShouldBe(0);
        var bee = TestTokens.For(9, "bee", superuser: true);
        (await host.Put("/v1/cron/job/", new { job_id = "paused by one", tags = new[] { "changed" } }, bee)).Code().ShouldBe(0);
        var shown = await Html("/jobs?q=paused%20by%20one");
        shown.ShouldContain(">last change: bee, ");
        shown.ShouldNotContain(">bee, ");
        await host.Delete("/v1/cron/job/", new { job_id = "paused by one" });
    }

    private async Task<string> Html(string path)
    {
        var (status, html) = await host.Page(path, TestTokens.Admin, "en");
        status.ShouldBe(200, path);
        return WebUtility.HtmlDecode(html);
    }

    [GeneratedRegex(@"<td>(\d{4}-\d\d-\d\d)</td>\s*<td class=""number"">(\d+)</td>")]
    private static partial Regex Days();
}
