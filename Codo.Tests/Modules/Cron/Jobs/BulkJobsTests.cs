using Codo.Tests.Support;

namespace Codo.Tests.Modules.Cron.Jobs;

public sealed class BulkJobsTests(CronHost fixture) : IClassFixture<CronHost>
{
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
        // A second time changes nothing; a toggle would let them run again.
        ((int)(await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-a" }, action = "pause" }))["done"]!).ShouldBe(1);
        ((string)(await host.Get("/v1/cron/job/?job_id=bulk-a"))["data"]![0]!["state"]!).ShouldBe("paused");
        await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { "bulk-a", "bulk-b" }, action = "tag", tags = new[] { "x", "y" } });
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
}
