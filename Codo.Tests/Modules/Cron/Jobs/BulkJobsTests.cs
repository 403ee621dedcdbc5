using System.Text.Json.Nodes;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Cron.Jobs;

public sealed class BulkJobsTests(CronHost fixture) : IClassFixture<CronHost>
{
    private static readonly string Bob = TestTokens.For(8, "bob");

    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Each_job_is_answered_for_itself_and_a_refusal_holds_up_none()
    {
        foreach (var name in new[] { "bulk-a", "bulk-b" }) await host.Make(new { job_id = name, cmd = "true", cron = CronClient.Never, tags = new[] { "x" } });
        var answer = await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-a", "nobody", "bulk-b" }, action = "pause" });
        answer.Code().ShouldBe(0);
        ((int)answer["done"]!, (int)answer["refused"]!).ShouldBe((2, 1));
        answer["data"]!.AsArray().Select(item => ((string)item!["job_id"]!, (bool)item["done"]!))
            .ShouldBe([("bulk-a", true), ("nobody", false), ("bulk-b", true)]);
        answer["data"]!.AsArray().Select(item => (bool)item!["changed"]!).ShouldBe([true, false, true]);
        // A second time changes nothing; a toggle would let them run again.
        var again = await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-a" }, action = "pause" });
        ((int)again["done"]!, (bool)again["data"]![0]!["changed"]!).ShouldBe((1, false));
        ((bool)(await host.Patch("/v1/cron/job/", new { job_id = "bulk-a", paused = true }))["changed"]!).ShouldBeFalse();
        ((string)(await host.Get("/v1/cron/job/?job_id=bulk-a"))["data"]![0]!["state"]!).ShouldBe("paused");
        var tagged = await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-a", "bulk-b" }, action = "tag", tags = new[] { "x", "y" } });
        tagged["data"]!.AsArray().Select(item => ((bool)item!["changed"]!, item["tags"]!.ToJsonString())).ShouldBe([(true, "[\"y\"]"), (true, "[\"y\"]")]);
        tagged = await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-a" }, action = "tag", tags = new[] { "x" } });
        ((bool)tagged["data"]![0]!["changed"]!, tagged["data"]![0]!["tags"]!.AsArray().Count).ShouldBe((false, 0));
        ((long)(await host.Get("/v1/cron/job/?tag=y"))["count"]!).ShouldBe(2);
        await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-a" }, action = "untag", tags = new[] { "y" } });
        ((long)(await host.Get("/v1/cron/job/?tag=y"))["count"]!).ShouldBe(1);
        var run = await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-b" }, action = "run" });
        ((long)run["data"]![0]!["log_id"]!).ShouldBeGreaterThan(0);
        (await host.Post("/v1/cron/job/bulk/", new { job_ids = Array.Empty<string>(), action = "run" })).Code().ShouldBe(-1);
        (await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-a" }, action = "tag" })).Code().ShouldBe(-1);
        (await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-a" }, action = "drop" })).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task Tags_that_many_add_at_once_are_all_there_and_one_that_is_there_changes_nothing()
    {
        await host.Make(new { job_id = "bulk-tags", cmd = "true", cron = CronClient.Never });
        string[] all = [.. Enumerable.Range(1, 8).Select(number => $"t{number}")];
        var answers = await Task.WhenAll(all.Select(tag => Tag(tag, null)));
        answers.Select(answer => (int)answer["done"]!).ShouldBe(Enumerable.Repeat(1, all.Length));
        var job = (await host.Get("/v1/cron/job/?job_id=bulk-tags"))["data"]![0]!;
        job["tags"]!.AsArray().Select(tag => (string)tag!).ShouldBe(all, ignoreOrder: true);
        var again = await Tag("t1", Bob);
        ((int)again["done"]!, (bool)again["data"]![0]!["changed"]!, again["data"]![0]!["tags"]!.AsArray().Count).ShouldBe((1, false, 0));
        var after = (await host.Get("/v1/cron/job/?job_id=bulk-tags"))["data"]![0]!;
        ((string)after["updater"]!, (int)after["version"]!).ShouldBe(("admin", 9));
        (await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "nobody" }, action = "tag", tags = new[] { "x" } }))["data"]![0]!["text"]!
            .GetValue<string>()
            .ShouldContain("Not Found");

        Task<JsonObject> Tag(string tag, string? token) =>
            host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-tags" }, action = "tag", tags = new[] { tag } }, token);
    }

    [Fact]
    public async Task What_waits_for_a_second_person_is_not_released_with_many_others_and_warnings_are_told()
    {
        var (second, risky) = ($"w{Guid.NewGuid():N}", $"w{Guid.NewGuid():N}");
        foreach (var (word, action) in new[] { (second, "approve"), (risky, "warn") })
        {
            var rule = new { name = word, kind = "words", pattern = $"echo {word}", action, reason = "不许", reason_en = "no" };
            (await host.Post("/v2/task/risk/", rule)).Code().ShouldBe(0);
        }
        var held = new { job_id = "bulk-held", cmd = $"echo {second}", cron = CronClient.Never };
        (await host.Post("/v1/cron/job/", held, TestTokens.For(7, "ann"))).Code().ShouldBe(0);
        await host.Make(new { job_id = "bulk-risky", cmd = $"echo {risky}", cron = CronClient.Never, paused = true });
        var answer = await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-held", "bulk-risky" }, action = "resume" }, Bob);
        var items = answer["data"]!.AsArray();
        items.Select(item => (bool)item!["done"]!).ShouldBe([false, true]);
        ((string)items[0]!["text"]!).ShouldContain("/jobs/bulk-held");
        var job = (await host.Get("/v1/cron/job/?job_id=bulk-held"))["data"]![0]!;
        ((string)job["state"]!, ((string)job["held"]!).Contains(second, StringComparison.Ordinal)).ShouldBe(("paused", true));
        (await host.Patch("/v1/cron/job/", new { job_id = "bulk-held", paused = false }, Bob)).Code().ShouldBe(0, "alone it is released");
        // A pause of what was released is taken back by many at once as well.
        foreach (var action in new[] { "pause", "resume" })
            ((int)(await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-held" }, action }, Bob))["done"]!).ShouldBe(1, action);
        answer = await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-risky" }, action = "run" }, Bob);
        answer["data"]![0]!["warnings"]!.AsArray().Select(text => (string)text!).ShouldContain(text => text.Contains(risky, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_database_that_does_not_answer_for_one_job_holds_up_none()
    {
        string[] names = ["bulk-1", "bulk-2", "bulk-3"];
        foreach (var name in names) await host.Make(new { job_id = name, cmd = "true", cron = CronClient.Never });
        await using var holder = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await using var transaction = await holder.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await holder.ExecuteAsync("SELECT FROM cron.job WHERE job_id = 'bulk-2' FOR UPDATE", transaction: transaction);
        var asked = host.Post("/v1/cron/job/bulk/", new { job_ids = names, action = "pause" });
        await host.CancelBehind(holder, asked, "the request is answered");
        var answer = await asked;
        (answer.Code(), (int)answer["done"]!, (int)answer["refused"]!).ShouldBe((0, 2, 1));
        var items = answer["data"]!.AsArray();
        items.Select(item => (bool)item!["done"]!).ShouldBe([true, false, true]);
        ((string)items[1]!["text"]!).ShouldContain("数据库未应答");
    }

    [Fact]
    public async Task The_forecast_counts_what_is_due_and_leaves_out_what_is_paused()
    {
        var before = await host.Get("/v1/cron/forecast/?hours=168");
        await host.Make(new { job_id = "forecast-a", cmd = "true", cron = "0 0 * * * *" });
        await host.Make(new { job_id = "forecast-b", cmd = "true", cron = "0 0 */2 * * *" });
        await host.Make(new { job_id = "forecast-c", cmd = "true", cron = "* * * * * *" });
        await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "forecast-c" }, action = "pause" });
        var after = await host.Get("/v1/cron/forecast/?hours=168");
        ((long)after["fires"]! - (long)before["fires"]!).ShouldBe(168 + 84);
        after["slots"]!.AsArray().Count.ShouldBe(168);
        (await host.Get("/v1/cron/forecast/"))["slots"]!.AsArray().Count.ShouldBe(1440);
        after["meetings"]!.AsArray().Select(meeting => string.Join(',', meeting!["job_ids"]!.AsArray().Select(id => (string)id!)))
            .ShouldContain(names => names.Contains("forecast-a") && names.Contains("forecast-b"));
        (await host.Get("/v1/cron/forecast/?hours=12")).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task The_forecast_names_jobs_of_every_few_seconds_that_the_next_clock_change_touches()
    {
        foreach (var seconds in new[] { 10, 20 })
            await host.Make(new { job_id = $"often-{seconds}", cmd = "true", cron = $"*/{seconds} * * * * *", time_zone = "Europe/Berlin" });
        var changes = (await host.Get("/v1/cron/forecast/"))["changes"]!.AsArray();
        var touched = changes.Single(change => (string)change!["time_zone"]! == "Europe/Berlin")!["jobs"]!.AsArray()
            .Select(job => (string)job!["job_id"]!)
            .ToList();
        foreach (var seconds in new[] { 10, 20 })
        {
            touched.ShouldContain($"often-{seconds}");
            await host.Delete("/v1/cron/job/", new { job_id = $"often-{seconds}" });
        }
    }

    [Fact]
    public async Task A_forecast_of_many_jobs_that_are_due_each_second_takes_no_longer_than_that_of_one()
    {
        await host.Make(new { job_id = "dense", cmd = "true", cron = "0 0 0 * * *" });
        // Each is due nearly every second, and no two alike, on each day and on some.
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            """
            INSERT INTO cron.job (job_id, cmd, cron, time_zone, creator_id, creator, updater_id, updater, accounted_to,
                next_run_at)
            SELECT 'dense-' || n, 'true', '0-58 ' || (SELECT string_agg(CAST(m AS text), ',') FROM generate_series(0, 59) m WHERE m <> n % 60) || ' * * * '
                || CASE WHEN n < 60 THEN '*' ELSE '0-5' END, 'UTC', 1, 'x', 1, 'x',
                clock_timestamp() + interval '1 year', clock_timestamp() + interval '1 year'
            FROM generate_series(0, 119) n
            """
        );
        try
        {
            var clock = System.Diagnostics.Stopwatch.StartNew();
            var answers = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => host.Get("/v1/cron/forecast/?hours=168")));
            clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(30));
            foreach (var answer in answers)
            {
                ((int)answer["left_out"]!).ShouldBe(119);
                ((long)answer["fires"]!).ShouldBeInRange(500_000, 1_000_000);
            }
        }
        finally
        {
            await connection.ExecuteAsync("DELETE FROM cron.job WHERE job_id LIKE 'dense%'");
        }
    }
}
