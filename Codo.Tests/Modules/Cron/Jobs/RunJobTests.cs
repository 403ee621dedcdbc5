using Codo.Tests.Support;

namespace Codo.Tests.Modules.Cron.Jobs;

public sealed class RunJobTests(TestPostgres postgres)
{
    [Fact]
    public async Task Runs_a_paused_job_and_keeps_its_output_and_its_exit_code()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "hello", cmd = "echo hello; echo world >&2; exit 3", cron = CronClient.Never });
        await host.Patch("/v1/cron/job/", new { job_id = "hello" });
        var log = await host.Ended(await host.RunNow("hello"));
        log.Status().ShouldBe("faild");
        log["exit_code"]!.GetValue<int>().ShouldBe(3);
        log["task_log"]!.GetValue<string>().ShouldBe("hello\nworld\n");
        log["trigger"]!.GetValue<string>().ShouldBe("manual");
        log["by"]!.GetValue<string>().ShouldBe("admin");
    }

    [Fact]
    public async Task A_job_of_every_second_fires_every_second_and_each_due_time_is_one_row()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "tick", cmd = "true", cron = "* * * * * *" });
        var logs = await Eventually.Get(async () => await host.Logs("tick"), rows => rows.Count(row => row.Status() == "success") >= 4, "four fires succeeded");
        logs.Select(row => row["nominal_time"]!.GetValue<string>()).ShouldBeUnique();
    }
}
