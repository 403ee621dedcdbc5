using Codo.Tests.Modules.Cron.Jobs;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Cron.Executions;

public sealed class MatrixTests(CronHost fixture) : IClassFixture<CronHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Each_job_is_a_row_of_slots_with_the_worst_that_became_of_each()
    {
        await host.Make(new { job_id = "matrix good", cmd = "true", cron = CronClient.Never });
        await host.Make(new { job_id = "matrix bad", cmd = "exit 1", cron = CronClient.Never });
        await host.Make(new { job_id = "matrix idle", cmd = "true", cron = CronClient.Never });
        await host.Ended(await host.RunNow("matrix good"));
        await host.Ended(await host.RunNow("matrix bad"));
        var answer = await host.Get("/v1/cron/log/matrix/?hours=720&q=matrix");
        var rows = answer["data"]!.AsArray().ToDictionary(row => (string)row!["job_id"]!, row => (string)row!["cells"]!);
        rows["matrix idle"].ShouldBe(".720");
        // The run was in the last slot, unless an hour has begun since.
        rows["matrix good"].ShouldBeOneOf(".719s", ".718s.");
        rows["matrix bad"].ShouldBeOneOf(".719f", ".718f.");
        ((long)answer["count"]!).ShouldBe(3);
        (await host.Get("/v1/cron/log/matrix/?hours=3")).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task A_stretch_that_is_one_row_is_shown_and_counted_in_all_of_its_time()
    {
        await host.Make(new { job_id = "away", cmd = "true", cron = CronClient.Never });
        const string Stretch = """
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, times, status, exec_time, task_cmd)
            SELECT id, job_id, 'schedule', 'schedule', date_trunc('minute', now()) - interval '179 minutes', date_trunc('minute', now()), 180, 'missed',
                date_trunc('minute', now()), cmd FROM cron.job WHERE job_id = 'away' RETURNING exec_time
            """;
        var end = await host.Ask<DateTime>(Stretch);
        // Minutes that have begun since are empty.
        (await Cells()).ShouldMatch(@"^\.\d+m180(\.\d*)?$");
        var hours = (await host.Get("/v2/stats/?by=hour&job_id=away"))["hours"]!.AsArray().Select(hour => (long)hour!["not_run"]!).ToList();
        (hours.Sum(), hours.Max()).ShouldBe((180, 60));

        // What is worse in one of its slots is there alone.
        const string Failed = """
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd)
            SELECT id, job_id, 'manual', 'manual', @end, @end, 'faild', @end, cmd FROM cron.job WHERE job_id = 'away' RETURNING 1
            """;
        await host.Ask<int>(Failed, new { end });
        (await Cells()).ShouldMatch(@"^\.\d+m179f(\.\d*)?$");

        // Two nights are not the days between them.
        await host.Make(new { job_id = "nights", cmd = "true", cron = CronClient.Never });
        await host.Ask<int>(
            """
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, times, status, exec_time, task_cmd)
            SELECT id, job_id, 'schedule', 'schedule', @end - interval '3 days', @end, 4, 'skipped', @end, cmd FROM cron.job WHERE job_id = 'nights' RETURNING 1
            """,
            new { end }
        );
        ((string)(await host.Get("/v1/cron/log/matrix/?hours=24&q=nights"))["data"]![0]!["cells"]!).ShouldMatch(@"^(k?)\.\d+k(\.\d*)?$");

        async Task<string> Cells() => (string)(await host.Get("/v1/cron/log/matrix/?hours=24&q=away"))["data"]![0]!["cells"]!;
    }

    [Fact]
    public async Task The_last_day_is_answered_by_the_hour()
    {
        await host.Make(new { job_id = "hourly sums", cmd = "exit 1", cron = CronClient.Never });
        await host.Ended(await host.RunNow("hourly sums"));
        var hours = (await host.Get("/v2/stats/?by=hour&job_id=hourly%20sums"))["hours"]!.AsArray();
        hours.Count.ShouldBe(24);
        hours.Sum(hour => (long)hour!["failed"]!).ShouldBe(1);
        hours.Sum(hour => (long)hour!["success"]!).ShouldBe(0);
        (await host.Get("/v2/stats/"))["hours"]!.AsArray().ShouldBeEmpty();
    }
}
