using Codo.Modules.Cron.Executions;
using Codo.Tests.Support;
using Dapper;
using Hangfire;
using Hangfire.Common;
using Hangfire.Server;
using Hangfire.Storage;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Tests.Modules.Cron.Executions;

/// <summary>Hangfire's own schedule is the fallback of a job that nobody accounts for, and of no other.</summary>
public sealed class TriggerDueJobsTests(TestPostgres postgres)
{
    [Fact]
    public async Task Hangfire_s_schedule_is_kept_from_jobs_that_are_accounted_for_and_shows_when_they_are_due()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:SchedulePolling", "86400"));
        var sources = host.Services.GetRequiredService<WakeSources>();
        (sources.Trigger, sources.Poll) = (false, false);
        foreach (var name in new[] { "accounted", "overdue", "given up", "far" }) await host.Make(new { job_id = name, cmd = "true", cron = CronClient.Never });
        await Eventually.True(() => Recurring(host).Count == 4, "all are registered");
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        // Seen in here alone: these are not the jobs' due times, and the host would put them right.
        await using var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync("""
            UPDATE cron.job SET next_run_at = now() + interval '1 hour' WHERE job_id = 'accounted';
            UPDATE cron.job SET next_run_at = now() - interval '1 minute' WHERE job_id = 'overdue';
            UPDATE hangfire.set SET score = CASE value WHEN 'given up' THEN -1 WHEN 'far' THEN extract(epoch FROM now() + interval '1 day')
                ELSE extract(epoch FROM now()) END WHERE key = 'recurring-jobs'
            """);
        var before = await Scores(connection);
        host.Services.GetServices<IBackgroundProcess>().OfType<TriggerDueJobs>().Single().PutOff(connection);
        var after = await Scores(connection);
        foreach (var name in new[] { "overdue", "given up", "far" }) after[name].ShouldBe(before[name], name);
        (after["accounted"] - before["accounted"]).ShouldBeInRange(3605, 3615);
        var next = await connection.ExecuteScalarAsync<DateTime>("SELECT next_run_at FROM cron.job WHERE job_id = 'accounted'");
        // As Hangfire's storage reads it for the dashboard.
        var shown = JobHelper.DeserializeDateTime(
            (await connection.ExecuteScalarAsync<string>("SELECT value FROM hangfire.hash WHERE key = 'recurring-job:accounted' AND field = 'NextExecution'"))!
        );
        (shown - next).Duration().ShouldBeLessThan(TimeSpan.FromMilliseconds(2));
    }

    [Fact]
    public async Task Jobs_of_every_second_are_shown_by_the_trigger_and_not_by_hangfire_s_schedule()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:SchedulePolling", "1"));
        for (var i = 0; i < 10; i++) await host.Make(new { job_id = $"tick {i}", cmd = "true", cron = "* * * * * *" });
        // Until the trigger has put them off for the first time, and where it was held up for longer than that lasts, the schedule may come first.
        await Eventually.True(
            async () =>
                await host.Ask<bool>("""
                    SELECT count(*) = 60 AND bool_and(by_trigger) FROM (
                        SELECT EXISTS (SELECT FROM hangfire.state s WHERE s.jobid = j.id AND s.reason LIKE '%recurring job manager%') AS by_trigger
                        FROM hangfire.job j WHERE j.invocationdata::text LIKE '%FireDueJobs%' ORDER BY j.id DESC LIMIT 60) newest
                    """),
            "sixty background jobs in a row are the trigger's"
        );
        foreach (var job in Recurring(host)) job.LastJobId.ShouldNotBeNull();
    }

    [Fact]
    public async Task Of_two_nodes_one_shows_a_fire_and_both_start_what_is_due()
    {
        await using var first = await TestHost.Start(postgres, null, ("Codo:NodeName", "a"));
        await using var second = await first.Again(("Codo:NodeName", "b"));
        for (var i = 0; i < 3; i++) await first.Make(new { job_id = $"tick {i}", cmd = "true", cron = "* * * * * *", overlap = "allow" });
        // A node that is held up triggers a second time what it has triggered already.
        await Eventually.True(
            async () =>
                await first.Ask<bool>("""
                    SELECT count(*) = 12 AND bool_and(statename <> 'Deleted') FROM (
                        SELECT statename FROM hangfire.job WHERE invocationdata::text LIKE '%FireDueJobs%' ORDER BY id DESC LIMIT 12) newest
                    """),
            "twelve background jobs in a row stand for a run"
        );
        await Eventually.True(async () => await first.Count("SELECT count(DISTINCT node) FROM cron.attempt") == 2, "both start some");
    }

    private static List<RecurringJobDto> Recurring(TestHost host)
    {
        using var connection = host.Services.GetRequiredService<JobStorage>().GetConnection();
        return connection.GetRecurringJobs();
    }

    private static async Task<Dictionary<string, double>> Scores(NpgsqlConnection connection) =>
        (await connection.QueryAsync<(string Name, double Score)>("SELECT value, score FROM hangfire.set WHERE key = 'recurring-jobs'"))
            .ToDictionary(row => row.Name, row => row.Score);
}
