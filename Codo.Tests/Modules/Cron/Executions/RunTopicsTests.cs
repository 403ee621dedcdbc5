using Codo.Tests.Modules.Cron.Jobs;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Cron.Executions;

/// <summary>The versions by which the page of a run knows that something of it has changed.</summary>
public sealed class RunTopicsTests(CronHost fixture) : IClassFixture<CronHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_queued_run_has_changed_once_it_says_that_no_node_fits_and_its_usage_is_followed_before_there_is_any()
    {
        await host.Make(new { job_id = "unplaced", cmd = "true", cron = CronClient.Never, node = "dc=nowhere" });
        var run = await host.RunNow("unplaced");
        var queued = await Topics();
        queued.ShouldContain($"usage:{run}=0");
        // As after the half minute that a node has to come.
        const string Mark = """
            UPDATE cron.cron_log SET cause_zh = 'no node fits', cause_en = 'no node fits' WHERE log_id = @run AND status = 'queued' RETURNING log_id
            """;
        (await host.Ask<long>(Mark, new { run })).ShouldBe(run);
        var marked = await Topics();
        marked.ShouldContain($"usage:{run}=0");
        Run(marked).ShouldNotBe(Run(queued));
        (await host.Post("/v1/cron/job/kill/", new { log_id = run })).Code().ShouldBe(0);

        string Run(string[] topics) => topics.Single(topic => topic.StartsWith($"run:{run}=", StringComparison.Ordinal));

        async Task<string[]> Topics() =>
            (await host.Page($"/runs/{run}", TestTokens.Admin, "en")).Html.Split("data-topics=\"")[1].Split('"')[0].Split(' ');
    }

    [Fact]
    public async Task A_page_learns_of_a_run_although_rows_are_of_a_time_to_come()
    {
        await host.Make(new { job_id = "ahead", cmd = "true", cron = CronClient.Never });
        const string Ahead = """
            WITH made AS (
                INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, ended_at, task_cmd)
                SELECT j.id, j.job_id, 'manual', 'manual', now(), now(), 'success', now() + interval '1 hour', now(), j.cmd
                FROM cron.job j CROSS JOIN generate_series(1, 25) WHERE j.job_id = 'ahead' RETURNING 1)
            SELECT count(*) FROM made
            """;
        (await host.Ask<long>(Ahead)).ShouldBe(25);
        var before = await Runs();
        await host.Ended(await host.RunNow("ahead"));
        (await Runs()).ShouldNotBe(before);

        async Task<string> Runs() =>
            (await host.Page("/jobs", TestTokens.Admin, "en")).Html.Split("data-topics=\"")[1].Split('"')[0].Split(' ').Single(topic =>
                topic.StartsWith("runs=", StringComparison.Ordinal));
    }
}
