using Codo.Modules.Cron.Executions;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

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
    public async Task The_same_idempotency_key_gives_the_first_run_for_a_day()
    {
        const string Run = "/v1/cron/job/run/", Bulk = "/v1/cron/job/bulk/";
        await using var host = await TestHost.Start(postgres);
        foreach (var job in new[] { "one", "other" }) await host.Make(new { job_id = job, cmd = "true", cron = CronClient.Never, overlap = "allow" });
        var first = (await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Once("one", "key")))).Distinct().ShouldHaveSingleItem();
        await host.Ended(first);
        (await Once("one", "key")).ShouldBe(first, "also when it has ended");
        // The key is for what was asked for: another job, another key and no key are runs of their own.
        var runs = new[] { first, await Once("other", "key"), await Once("one", "another"), await host.RunNow("one") };
        runs.ShouldBeUnique();
        var bulk = await host.PostOnce(Bulk, new { job_ids = new[] { "one", "other" }, action = "run" }, "key");
        bulk["data"]!.AsArray().Select(item => (long)item!["log_id"]!).ShouldBe(runs[..2]);
        (await host.Ask<long>("SELECT count(*) FROM cron.cron_log")).ShouldBe(4);
        (await host.PostOnce(Run, new { job_id = "one" }, new string('k', 201))).Msg().ShouldContain("Idempotency-Key");

        await host.Ask<int>("UPDATE cron.run_key SET at = at - interval '25 hours' WHERE key = 'key' AND log_id = @first RETURNING 1", new { first });
        (await Once("one", "key")).ShouldNotBe(first, "after a day it is a new one");
        await host.Ask<int>("UPDATE cron.run_key SET at = at - interval '25 hours' WHERE key = 'another' RETURNING 1");
        await host.Services.GetRequiredService<PartitionMaintenance>().Maintain(TestContext.Current.CancellationToken);
        (await host.Ask<long>("SELECT count(*) FROM cron.run_key")).ShouldBe(2);

        async Task<long> Once(string job, string key)
        {
            var answer = await host.PostOnce(Run, new { job_id = job }, key);
            answer.Code().ShouldBe(0, answer.ToJsonString());
            return (long)answer["log_id"]!;
        }
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
