using System.Text.Json.Nodes;
using Codo.Modules.Cron.Executions;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
using Codo.Platform.Events;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Faults;

public sealed class OneBadRowFixture(TestPostgres postgres) : HostFixture(postgres);

/// <summary>One row that does not read stops nothing but itself, is told, and goes on once it reads again.</summary>
public sealed class OneBadRowTests(OneBadRowFixture fixture) : IClassFixture<OneBadRowFixture>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_job_whose_zone_is_gone_is_broken_alone_and_all_others_go_on()
    {
        await host.Make(new { job_id = "mars", cmd = "true", cron = CronClient.Never, owners = new[] { "ann" } });
        await host.Make(new { job_id = "mars's neighbour", cmd = "true", cron = "* * * * * *", overlap = "allow" });
        await host.Ask<int>("UPDATE cron.job SET time_zone = 'Mars/Olympus', accounted_to = now(), next_run_at = now() WHERE job_id = 'mars' RETURNING 1");
        var broken = await Eventually.Get(() => Job("mars"), job => job["state"]!.GetValue<string>() == "broken", "the job is broken");
        broken["broken"]!.GetValue<string>().ShouldContain("Mars/Olympus");
        broken["next_run_time"]!.GetValue<string>().ShouldBe("None");
        var before = await Fires("mars's neighbour");
        await Eventually.True(async () => await Fires("mars's neighbour") > before + 1, "others go on");
        (await host.Logs("mars")).ShouldHaveSingleItem().Status().ShouldBe("missed");
        var ready = await host.Get("/healthz/ready");
        ready["checks"]!["jobs"]!["status"]!.GetValue<string>().ShouldBe("degraded");
        // Their names are for those who may see the jobs.
        ((string)ready["checks"]!["jobs"]!["detail"]!).ShouldContain("broken jobs");
        ((string)ready["checks"]!["jobs"]!["detail"]!).ShouldNotContain("mars");
        await Eventually.True(async () => await Incidents("job:mars:broken", "open") == 1, "one incident tells of it");

        // What an operator does meanwhile works: stopping an order, running the job by hand, a wrong and a right edit.
        var order = await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step("exec sleep 1000")));
        await OrderHost.Stands(host, order, "2");
        (await OrderHost.Intervene(host, order, "stop_one")).Code().ShouldBe(0);
        await OrderHost.Stands(host, order, "6");
        (await host.Ended(await host.RunNow("mars"))).Status().ShouldBe("success");
        var refused = await host.Put("/v1/cron/job/", new { job_id = "mars", cmd = "false" });
        (refused.Code(), refused.Msg().Contains("time_zone", StringComparison.Ordinal)).ShouldBe((-1, true));
        (await host.Put("/v1/cron/job/", new { job_id = "mars", time_zone = "Asia/Shanghai" })).Code().ShouldBe(0);
        (await Job("mars"))!["state"]!.GetValue<string>().ShouldBe("running");
        await Eventually.True(
            async () => await Incidents("job:mars:broken", "resolved") == 1 && await Incidents("job:mars:broken", "open") == 0,
            "the incident is over"
        );
    }

    [Fact]
    public async Task A_broken_job_mends_by_itself_when_it_reads_again_and_can_be_paused_and_deleted_before()
    {
        foreach (var job in new[] { "back", "paused", "gone" })
        {
            await host.Make(
                new
                {
                    job_id = job,
                    cmd = "true",
                    cron = "0 0 * * * *",
                }
            );
            await host.Ask<int>(
                "UPDATE cron.job SET cron = 'every full moon', next_run_at = now() - interval '1 second' WHERE job_id = @job RETURNING 1",
                new { job }
            );
            // The list says it at once; the row says it once the ledger has set the job apart.
            await Eventually.True(() => host.Ask<bool>("SELECT broken_at IS NOT NULL FROM cron.job WHERE job_id = @job", new { job }), $"{job} is broken");
            (await Job(job))!["state"]!.GetValue<string>().ShouldBe("broken");
        }
        (await host.Patch("/v1/cron/job/", new { job_id = "paused" })).Code().ShouldBe(0);
        (await host.Delete("/v1/cron/job/", new { job_id = "gone" })).Code().ShouldBe(0);
        // The account goes back two hours: what was due meanwhile is told in the ledger, by the reason.
        await host.Ask<int>(
            ("UPDATE cron.job SET cron = '0 0 * * * *', accounted_to = date_trunc('hour', now()) - interval '2 hours', create_time = now() - interval '1 "
                + "day' WHERE job_id = 'back' RETURNING 1")
        );
        await host.Services.GetRequiredService<ScheduleCheck>().Check(CancellationToken.None);
        // The host's own check may be at the row just now, and then this one has left it to that one.
        await Eventually.True(() => host.Ask<bool>("SELECT broken_at IS NULL FROM cron.job WHERE job_id = 'back'"), "it is mended");
        (await Job("back"))!["state"]!.GetValue<string>().ShouldBe("running");
        (await host.Ask<string>("SELECT string_agg(status || ' ' || times, ',' ORDER BY nominal_at) FROM cron.cron_log WHERE job_id = 'back'")).ShouldBe(
            "missed 3"
        );
        await Eventually.True(
            () => host.Ask<bool>("SELECT NOT EXISTS (SELECT FROM platform.outbox WHERE kind = 'cron.missed' AND dead_at IS NULL)"),
            "what was missed is told, if it is"
        );
        (await host.Count("SELECT count(*) FROM alerts.task_monitor WHERE kind = 'missed' AND 'back' = ANY(subjects)")).ShouldBe(0, "Codo was not down");
        (await Job("paused"))!["state"]!.GetValue<string>().ShouldBe("broken");
        (await host.Get("/v1/cron/job/?job_id=gone")).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task A_wrong_schedule_is_found_behind_many_right_ones()
    {
        // One page of them, and one more.
        await host.Ask<long>(
            """
            WITH made AS (
                INSERT INTO cron.job (job_id, cmd, cron, time_zone, creator_id, creator, updater_id, updater, accounted_to, next_run_at)
                SELECT 'many-' || n, 'true', '0 0 0 1 1 *', 'UTC', 1, 'x', 1, 'x', now(), CASE WHEN n < 1001 THEN date_trunc('year', now() AT TIME ZONE 'UTC')
                    AT TIME ZONE 'UTC' + interval '1 year' ELSE now() + interval '10 years' END FROM generate_series(1, 1001) n ORDER BY n RETURNING 1)
            SELECT count(*) FROM made
            """
        );
        try
        {
            // The first check of the host is over: each further one looks at one page.
            for (var time = 0; time < 3; time++) await host.Services.GetRequiredService<ScheduleCheck>().Check(CancellationToken.None);
            await Eventually.True(
                () => host.Ask<bool>("SELECT next_run_at < now() + interval '2 years' FROM cron.job WHERE job_id = 'many-1001'"),
                "it is put right"
            );
        }
        finally
        {
            await host.Ask<long>("WITH gone AS (DELETE FROM cron.job WHERE job_id LIKE 'many-%' RETURNING 1) SELECT count(*) FROM gone");
        }
    }

    [Fact]
    public async Task Broken_jobs_that_read_again_are_found_at_once_among_however_many()
    {
        // On the first page and on the second.
        await host.Ask<long>(
            """
            WITH made AS (
                INSERT INTO cron.job (job_id, cmd, cron, time_zone, creator_id, creator, updater_id, updater, accounted_to, next_run_at, broken_at,
                    broken_zh, broken_en)
                SELECT 'mass-' || n, 'true', '0 0 0 1 1 *', 'UTC', 1, 'x', 1, 'x', now(), date_trunc('year', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
                    + interval '1 year', CASE WHEN n IN (1, 1002) THEN now() END, CASE WHEN n IN (1, 1002) THEN '坏' ELSE '' END,
                    CASE WHEN n IN (1, 1002) THEN 'broken' ELSE '' END FROM generate_series(1, 1002) n ORDER BY n RETURNING 1)
            SELECT count(*) FROM made
            """
        );
        try
        {
            await host.Services.GetRequiredService<ScheduleCheck>().Check(CancellationToken.None);
            // The host's own check may be at a row just now.
            await Eventually.True(
                () => host.Ask<bool>("SELECT NOT EXISTS (SELECT FROM cron.job WHERE job_id LIKE 'mass-%' AND broken_at IS NOT NULL)"),
                "both are mended",
                // Sooner than the host's next check.
                15
            );
        }
        finally
        {
            await host.Ask<long>("WITH gone AS (DELETE FROM cron.job WHERE job_id LIKE 'mass-%' RETURNING 1) SELECT count(*) FROM gone");
        }
    }

    [Fact]
    public async Task The_due_time_at_which_a_job_was_found_broken_is_missed_once()
    {
        await host.Make(new { job_id = "first due", cmd = "true", cron = CronClient.Never, overlap = "allow" });
        await host.Ask<int>(
            ("UPDATE cron.job SET cron = '* * * * * *', time_zone = 'Mars/Olympus', create_time = now() - interval '1 day', accounted_to = "
                + "date_trunc('second', now()) - interval '1 second', next_run_at = date_trunc('second', now()) WHERE job_id = 'first due' RETURNING 1")
        );
        await Eventually.True(() => host.Ask<bool>("SELECT broken_at IS NOT NULL FROM cron.job WHERE job_id = 'first due'"), "it is broken");
        await host.Ask<int>("UPDATE cron.job SET time_zone = 'UTC' WHERE job_id = 'first due' RETURNING 1");
        await host.Services.GetRequiredService<ScheduleCheck>().Check(CancellationToken.None);
        await Eventually.True(() => host.Ask<bool>("SELECT broken_at IS NULL FROM cron.job WHERE job_id = 'first due'"), "it is mended");
        (
            await host.Ask<bool>(
                ("SELECT times = extract(epoch FROM nominal_until - nominal_at) + 1 FROM cron.cron_log WHERE job_id = 'first due' AND status = 'missed' "
                    + "AND cause_en LIKE '%Mars/Olympus%'")
            )
        ).ShouldBeTrue();
        (await host.Delete("/v1/cron/job/", new { job_id = "first due" })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task An_account_that_is_ahead_of_the_clock_is_put_right_and_stands_in_the_ledger()
    {
        await host.Make(new { job_id = "ahead", cmd = "true", cron = "* * * * * *", overlap = "allow" });
        await Eventually.True(async () => await Fires("ahead") > 1, "it fires");
        // Where the host's own check comes before the next due time, nothing was missed, and there is nothing to say: then it is put ahead once more.
        for (var attempt = 0; attempt < 3 && await Told() == 0; attempt++)
        {
            await host.Ask<int>(
                "UPDATE cron.job SET accounted_to = now() + interval '1 hour', next_run_at = now() + interval '1 hour' WHERE job_id = 'ahead' RETURNING 1"
            );
            var silent = await Fires("ahead");
            await Eventually.True(async () => await Fires("ahead") > silent + 2, "it fires again", seconds: 60);
        }

        (await Told()).ShouldBe(1);
        // No due time is in two rows, and none is in no row.
        (
            await host.Ask<long>(
                ("SELECT count(*) FROM (SELECT nominal_at - lag(nominal_until) OVER (ORDER BY nominal_at) AS step FROM cron.cron_log WHERE job_id = 'ahead') "
                    + "s WHERE step <> interval '1 second'")
            )
        ).ShouldBe(0);

        Task<long> Told() =>
            host.Ask<long>("SELECT count(*) FROM cron.cron_log WHERE job_id = 'ahead' AND status = 'missed' AND cause_en LIKE '%ahead of PostgreSQL%'");
    }

    [Theory]
    [InlineData("check")]
    [InlineData("edit")]
    public async Task What_a_clock_that_was_ahead_recorded_as_missed_is_still_to_run_and_nothing_of_before_the_last_change_is_told_as_missed(string way)
    {
        var job = $"early {way}";
        // Half a day off: nothing falls due meanwhile.
        var hour = (await host.Ask<DateTime>("SELECT clock_timestamp()")).AddHours(12).Hour;
        await host.Make(new { job_id = job, cmd = "true", cron = $"0 0 {hour} * * *", time_zone = "UTC" });
        await host.Ask<int>(
            """
            WITH made AS (
                INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, times, status, exec_time, task_cmd)
                SELECT j.id, j.job_id, 'schedule', 'schedule', now() + v.begins, now() + v.ends, v.times, v.status, now() + v.ends, j.cmd FROM cron.job j,
                    (VALUES (interval '-3 days', interval '-3 days', 1, 'success'), (interval '-1 hour', interval '20 minutes', 81, 'missed'),
                        (interval '30 minutes', interval '30 minutes', 1, 'success'),
                        (interval '1 hour', interval '2 hours', 2, 'missed')) v(begins, ends, times, status)
                WHERE j.job_id = @job RETURNING 1)
            SELECT CAST(count(*) AS int) FROM made
            """,
            new { job }
        );
        await host.Ask<int>(
            "UPDATE cron.job SET create_time = now() - interval '10 days', accounted_to = now() + interval '2 hours' WHERE job_id = @job RETURNING 1",
            new { job }
        );
        if (way == "edit") (await host.Put("/v1/cron/job/", new { job_id = job, description = "edited" })).Code().ShouldBe(0);
        else await host.Services.GetRequiredService<ScheduleCheck>().Check(CancellationToken.None);
        // The host's own check may be at the row just now.
        await Eventually.True(
            () => host.Ask<bool>("SELECT accounted_to <= clock_timestamp() FROM cron.job WHERE job_id = @job", new { job }),
            "it is put right"
        );
        (
            await host.Ask<string>(
                ("SELECT string_agg(status || CASE WHEN nominal_at > now() THEN ' ahead' ELSE '' END, ',' ORDER BY nominal_at) FROM cron.cron_log "
                    + "WHERE job_id = @job"),
                new { job }
            )
        ).ShouldBe("success,missed,success ahead");
        await Eventually.True(
            () => host.Ask<bool>("SELECT NOT EXISTS (SELECT FROM cron.summary_delta WHERE job_id = @job)", new { job }),
            "all is added up"
        );
        (await host.Ask<long>("SELECT CAST(sum(missed) AS bigint) FROM cron.job_day WHERE job_id = @job", new { job })).ShouldBe(61);
        // Of the stretch that had begun, what was to come is forgotten.
        const string Begun = "SELECT times || ' ' || (exec_time <= clock_timestamp()) FROM cron.cron_log WHERE job_id = @job AND status = 'missed'";
        (await host.Ask<string>(Begun, new { job })).ShouldBe("61 true");
    }

    [Fact]
    public async Task What_waits_for_a_time_from_before_the_clock_was_put_back_waits_no_longer_than_its_delay()
    {
        await host.Make(new { job_id = "waits", cmd = "true", cron = CronClient.Never, overlap = "allow" });
        long[] ahead = [await Waiting(attempt: 1, delay: 1, "1 hour"), await Waiting(attempt: 2, delay: 1, "1 hour")];
        var rightly = await Waiting(attempt: 2, delay: 3600, "30 minutes");
        await host.Services.GetRequiredService<ScheduleCheck>().Check(CancellationToken.None);
        foreach (var logId in ahead) (await host.Ended(logId)).Status().ShouldBe("success");
        (await host.Log(rightly)).Status().ShouldBe("queued");
        (await host.Delete("/v1/cron/job/", new { job_id = "waits" })).Code().ShouldBe(0);

        Task<long> Waiting(int attempt, int delay, string time) =>
            host.Ask<long>(
                """
                WITH l AS (INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd, spec)
                    SELECT id, job_id, 'manual', 'manual', now(), now(), 'queued', now(), cmd, jsonb_build_object('timeout', timeout, 'retries', 3,
                        'retry_delay', CAST(@delay AS int), 'working_directory', working_directory, 'interpreter', interpreter, 'encoding', encoding,
                        'run_as', run_as, 'overlap', overlap)
                    FROM cron.job WHERE job_id = 'waits' RETURNING log_id, nominal_at, job, job_id)
                INSERT INTO cron.active_execution (log_id, nominal_at, job, job_id, attempt, not_before, exclusive)
                SELECT log_id, nominal_at, job, job_id, @attempt, now() + CAST(@time AS interval), false FROM l RETURNING log_id
                """,
                new
                {
                    attempt,
                    delay,
                    time,
                }
            );
    }

    [Theory]
    [InlineData("next_run_at = NULL")]
    [InlineData("next_run_at = 'infinity'")]
    [InlineData("next_run_at = now() + interval '7 days'")]
    [InlineData("accounted_to = 'infinity', next_run_at = NULL")]
    [InlineData("accounted_to = '-infinity', next_run_at = NULL")]
    public async Task A_next_due_time_that_is_not_what_the_expression_says_is_put_right(string damage)
    {
        var job = $"damaged {damage}";
        await host.Make(new { job_id = job, cmd = "true", cron = "* * * * * *", overlap = "allow" });
        await host.Ask<int>($"UPDATE cron.job SET {damage} WHERE job_id = @job RETURNING 1", new { job });
        await host.Services.GetRequiredService<ScheduleCheck>().Check(CancellationToken.None);
        var before = await Fires(job);
        await Eventually.True(async () => await Fires(job) > before + 1, "it fires");
        (await host.Delete("/v1/cron/job/", new { job_id = job })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task A_failed_attempt_counts_whatever_becomes_of_its_retry()
    {
        await host.Make(
            new
            {
                job_id = "replaced",
                cmd = "exit 1",
                cron = "*/2 * * * * *",
                overlap = "replace",
                retries = 1,
                retry_delay = 600,
            }
        );
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM cron.cron_log WHERE job_id = 'replaced' AND status = 'faild'") >= 2,
            "the fires that gave way are failures"
        );
        (await host.Ask<long>("SELECT count(*) FROM cron.cron_log WHERE job_id = 'replaced' AND status = 'killed'")).ShouldBe(0);
        await Eventually.True(
            async () => await host.Ask<long>("SELECT coalesce(max(count), 0) FROM alerts.task_monitor WHERE fingerprint = 'job:replaced:failed'") >= 2,
            "they are told"
        );
        (await host.Delete("/v1/cron/job/", new { job_id = "replaced" })).Code().ShouldBe(0);

        await host.Make(new { job_id = "given up", cmd = "exit 3", cron = CronClient.Never, retries = 1, retry_delay = 600 });
        var logId = await host.RunNow("given up");
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM cron.active_execution WHERE log_id = @logId AND attempt = 2", new { logId }) == 1,
            "it waits for its retry"
        );
        (await host.Post("/v1/cron/job/kill/", new { log_id = logId })).Code().ShouldBe(0);
        var log = await host.Log(logId);
        (log.Status(), log["exit_code"]!.GetValue<int>()).ShouldBe(("faild", 3));
        await Eventually.True(async () => await Incidents("job:given up:failed", "open") == 1, "it is told");
    }

    [Fact]
    public async Task Being_held_up_by_codo_itself_is_no_misfire()
    {
        await host.Make(new { job_id = "held", cmd = "true", cron = "* * * * * *", overlap = "allow", misfire = "skip" });
        await Eventually.True(async () => await Fires("held") > 0, "it fires");
        await using (var connection = await host.Source.OpenConnectionAsync())
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            await connection.ExecuteAsync("SELECT 1 FROM cron.job WHERE job_id = 'held' FOR UPDATE", transaction: transaction);
            await Eventually.True(
                async () => await connection.ExecuteScalarAsync<bool>("SELECT clock_timestamp() > now() + interval '7 seconds'", transaction: transaction),
                "the row is locked for longer than a due time may be late"
            );
        }
        var fires = await Fires("held");
        await Eventually.True(async () => await Fires("held") >= fires + 7, "what was due meanwhile runs");
        (await host.Ask<long>("SELECT count(*) FROM cron.cron_log WHERE job_id = 'held' AND status = 'missed'")).ShouldBe(0);
        (await host.Delete("/v1/cron/job/", new { job_id = "held" })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task News_of_jobs_whose_rows_somebody_holds_keep_nobody_elses_waiting()
    {
        // Each would take as long as a statement may.
        string[] held = [.. Enumerable.Range(1, 8).Select(number => $"unheard {number}")];
        foreach (var job in held)
        {
            await host.Make(new { job_id = job, cmd = "true", cron = CronClient.Never });
            (await host.Ended(await host.RunNow(job))).Status().ShouldBe("success");
        }
        await host.Make(new { job_id = "heard", cmd = "exit 1", cron = CronClient.Never });
        await using (var connection = await host.Source.OpenConnectionAsync())
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            await connection.ExecuteAsync("SELECT 1 FROM cron.job WHERE job_id = ANY(@held) FOR UPDATE", new { held }, transaction);
            // As their ends write them.
            await host.Ask<long>(
                """
                WITH told AS (INSERT INTO platform.outbox (stream, kind, payload)
                    SELECT 'job:' || job, 'cron.ended', jsonb_build_object('job', job, 'job_id', job_id, 'log_id', log_id, 'nominal_at', nominal_at)
                    FROM cron.cron_log WHERE job_id = ANY(@held) RETURNING 1)
                SELECT count(*) FROM told
                """,
                new { held }
            );
            await host.RunNow("heard");
            await Eventually.True(async () => await Incidents("job:heard:failed", "open") == 1, "the failure is told");
        }
        await Eventually.True(
            () => host.Ask<bool>("SELECT NOT EXISTS (SELECT FROM platform.outbox WHERE payload ->> 'job_id' = ANY(@held))", new { held }),
            "theirs are read once nobody holds the rows"
        );
    }

    [Fact]
    public async Task The_end_of_a_run_whose_job_somebody_holds_keeps_no_other_from_being_recorded()
    {
        using var folder = new TestFolder();
        await Started("kept-1", "exit 1");
        await Started("kept-2", "exit 1");
        var run = await Started("not-kept", "true");
        await using var connection = await host.Source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await connection.ExecuteAsync("SELECT 1 FROM cron.job WHERE job_id LIKE 'kept-_' FOR UPDATE", transaction: transaction);
        await Go("kept-1");
        await Eventually.True(
            () =>
                host.Ask<bool>(
                    """
                    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                        AND query LIKE '%FOR KEY SHARE%')
                    """
                ),
            "its end waits for the job's row"
        );
        // They come in one batch.
        await Go("kept-2");
        await Go("not-kept");
        (await host.Ended(run)).Status().ShouldBe("success");

        Task Go(string job) => File.WriteAllTextAsync(folder.At(job), "");

        async Task<long> Started(string job, string end)
        {
            await host.Make(
                new
                {
                    job_id = job,
                    cmd = $"while ! test -e {folder.At(job)}; do sleep 0.05; done; {end}",
                    cron = CronClient.Never,
                    retries = 1,
                    retry_delay = 600,
                }
            );
            var started = await host.RunNow(job);
            await host.Running(started);
            return started;
        }
    }

    [Fact]
    public async Task An_execution_whose_row_does_not_read_fails_with_that_and_holds_up_no_other()
    {
        await host.Make(new { job_id = "spec", cmd = "true", cron = CronClient.Never });
        await host.Make(new { job_id = "env", cmd = "true", cron = CronClient.Never, env = new { A = "b" } });
        await host.Ask<int>("UPDATE cron.job SET env = '\\x0102' WHERE job_id = 'env' RETURNING 1");
        (await Job("env"))!["state"]!.GetValue<string>().ShouldBe("broken");
        var env = await host.Ended(await host.RunNow("env"));
        (env.Status(), env["task_log"]!.GetValue<string>().Contains("无法执行", StringComparison.Ordinal)).ShouldBe(("faild", true));
        await host.Ask<int>("""
            WITH l AS (INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd, spec)
                SELECT id, job_id, 'manual', 'manual', now(), now(), 'queued', now(), cmd, '{"timeout": "soon"}' FROM cron.job
                    WHERE job_id = 'spec' RETURNING log_id, nominal_at, job, job_id),
            g AS (INSERT INTO cron.active_execution (log_id, nominal_at, job, job_id, not_before, exclusive) SELECT log_id, nominal_at, job, job_id,
                nominal_at, true FROM l RETURNING 1)
            SELECT count(*)::int FROM g
            """);
        await Eventually.True(async () => (await host.Logs("spec")).Any(log => log.Status() == "faild"), "it fails");
        (await host.Ended(await host.RunNow("spec"))).Status().ShouldBe("success");
    }

    [Fact]
    public async Task A_run_whose_end_nothing_can_record_is_taken_out_and_told()
    {
        await host.Ask<int>(
            """
            CREATE FUNCTION cron.refuse_end() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.ended_at IS NOT NULL AND EXISTS (SELECT FROM cron.cron_log l WHERE l.log_id = NEW.log_id AND l.job_id = 'unrecorded')
                    THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '22000'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse_end BEFORE UPDATE ON cron.attempt FOR EACH ROW EXECUTE FUNCTION cron.refuse_end();
            SELECT 1
            """
        );
        await host.Make(new { job_id = "unrecorded", cmd = "true", cron = CronClient.Never });
        (await host.Ended(await host.RunNow("unrecorded"))).Status().ShouldBe("interrupted");
        await Eventually.True(async () => await Incidents("job:unrecorded:failed", "open") == 1, "it is told");
    }

    [Fact]
    public async Task An_order_that_does_not_read_is_set_apart_and_told_and_others_go_on()
    {
        var template = await OrderHost.Template(host, OrderHost.Step("true", trigger: "hand"));
        var order = await OrderHost.Order(host, template);
        // The step says hand from the beginning; the lane does once its node has come to it.
        await Eventually.True(
            () => host.Ask<bool>("SELECT state = 'hand' FROM tasks.lane WHERE list_id = @order", new { order }),
            "the lane waits for a person"
        );
        await host.Ask<int>(
            "ALTER TABLE tasks.lane DROP CONSTRAINT IF EXISTS lane_state_check; UPDATE tasks.lane SET state = 'nowhere' WHERE list_id = @order RETURNING 1",
            new { order }
        );
        await host.Ask<int>("INSERT INTO tasks.advance (list_id, at) VALUES (@order, now() - interval '1 minute') RETURNING 1", new { order });
        await Eventually.True(
            async () => await host.Ask<string>("SELECT broken_en FROM tasks.scheduler_task_list WHERE list_id = @order", new { order }) != "",
            "it is set apart"
        );
        (await OrderHost.Ended(host, await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step("true"))))).ShouldBe("3");
        await Eventually.True(async () => await Incidents($"codo:order:{order}", "open") == 1, "one incident tells of it");
        await host.Ask<int>("UPDATE tasks.lane SET state = 'hand' WHERE list_id = @order RETURNING 1", new { order });
        await host.Services.GetRequiredService<Advancing>().Now(order);
        await Eventually.True(async () => await Incidents($"codo:order:{order}", "resolved") == 1, "it is over");
    }

    [Fact]
    public async Task What_postgresql_does_not_take_ends_the_step_with_that_as_its_cause()
    {
        var error = await Should.ThrowAsync<Npgsql.PostgresException>(() => host.Ask<string>("SELECT @text", new { text = "a\0b" }));
        Codo.Platform.Data.DatabaseErrors.IsPermanent(error).ShouldBeTrue();
        Codo.Platform.Data.DatabaseErrors.IsTransient(error).ShouldBeFalse();
        // A constraint that refuses how the step ends, as damaged data would.
        await host.Ask<int>("ALTER TABLE tasks.attempt ADD CONSTRAINT refuses CHECK (exit_code IS DISTINCT FROM 77) NOT VALID; SELECT 1");
        var order = await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step("exit 77")));
        await OrderHost.Stands(host, order, "6");
        (await OrderHost.Steps(host, order))[0]["cause"]!.GetValue<string>().ShouldContain("refuses");
        (await OrderHost.Ended(host, await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step("true"))))).ShouldBe("3");
    }

    [Fact]
    public async Task A_dead_letter_is_shown_told_and_can_be_sent_again_or_deleted()
    {
        var ids = new List<long>();
        foreach (var stream in new[] { "order:999001", "order:999002" })
            ids.Add(
                await host.Ask<long>(
                    "INSERT INTO platform.outbox (stream, kind, payload, attempts) VALUES (@stream, 'orders.situation', '{\"list_id\": \"x\"}', @attempts) "
                        + "RETURNING message_id",
                    new { stream, attempts = OutboxRelay.MostAttempts - 1 }
                )
            );
        await Eventually.True(async () => await host.Ask<long>("SELECT count(*) FROM platform.outbox WHERE dead_at IS NOT NULL") == 2, "both are given up");
        (await host.Get("/healthz/ready"))["checks"]!["outbox"]!["status"]!.GetValue<string>().ShouldBe("degraded");
        await Eventually.True(async () => await Incidents("codo:outbox", "open") == 1, "one incident tells of both");
        var listed = await host.Get("/v2/outbox/");
        listed["count"]!.GetValue<long>().ShouldBe(2);
        listed["data"]!.AsArray().Select(row => row!["message_id"]!.GetValue<long>()).ShouldBe(ids);
        listed["data"]![0]!["cause"]!.GetValue<string>().ShouldNotBeEmpty();
        (await host.Get("/v2/outbox/", TestTokens.For(7, "ann"))).Code().ShouldBe(-2);
        await host.Ask<int>(
            "UPDATE platform.outbox SET payload = '{\"list_id\": 999001, \"situation\": 4}' WHERE message_id = @id RETURNING 1",
            new { id = ids[0] }
        );
        (await host.Post("/v2/outbox/resend/", new { message_id = ids[0] })).Code().ShouldBe(0);
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM platform.outbox WHERE message_id = @id", new { id = ids[0] }) == 0,
            "it is delivered"
        );
        (await host.Delete("/v2/outbox/", new { message_id = ids[1] })).Code().ShouldBe(0);
        (await host.Delete("/v2/outbox/", new { message_id = ids[1] })).Code().ShouldBe(-1);
        (await host.Post("/v2/outbox/resend/", new { })).Code().ShouldBe(-1);
        (await Incidents("codo:outbox", "resolved")).ShouldBe(1);
        (await host.Get("/healthz/ready"))["checks"]!["outbox"]!["status"]!.GetValue<string>().ShouldBe("healthy");
    }

    [Fact]
    public async Task A_clock_that_jumps_stops_every_drop_until_a_person_confirms_it()
    {
        var guard = host.Services.GetRequiredService<RetentionGuard>();
        await Eventually.True(async () => await guard.Allows(CancellationToken.None) is not null, "nothing is wrong with the clock");
        await host.FirstRounds("cron partitions", "clock watch");
        // PostgreSQL's clock is 400 days further than it was: what it showed before is put back by as much.
        await host.Ask<int>("UPDATE platform.node SET clock_seen_at = clock_seen_at - interval '400 days' RETURNING 1");
        (await guard.Allows(CancellationToken.None)).ShouldBeNull();
        (await host.Get("/healthz/ready"))["checks"]!["retention"]!["status"]!.GetValue<string>().ShouldBe("degraded");
        (await Incidents("codo:clock", "open")).ShouldBe(1);
        await host.Ask<int>("""
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd) VALUES (1, 'history', 'schedule',
                'schedule', '2019-01-01', '2019-01-01', 'success', '2019-01-01', 'true') RETURNING 1
            """);
        await host.Ask<int>("INSERT INTO cron.run_key (user_id, key, job, log_id, at) VALUES (1, 'asked', 1, 1, now() - interval '25 hours') RETURNING 1");
        await host.Services.GetRequiredService<PartitionMaintenance>().Maintain(CancellationToken.None);
        (await host.Ask<long>("SELECT count(*) FROM cron.cron_log WHERE job_id = 'history'")).ShouldBe(1);
        (await host.Ask<long>("SELECT count(*) FROM cron.run_key WHERE key = 'asked'")).ShouldBe(1);
        (await host.Post("/v2/nodes/clock/", new { }, TestTokens.For(7, "ann"))).Code().ShouldBe(-2);
        (await host.Post("/v2/nodes/clock/", new { })).Code().ShouldBe(0);
        (await Incidents("codo:clock", "resolved")).ShouldBe(1);
        await host.Services.GetRequiredService<PartitionMaintenance>().DropOld(CancellationToken.None);
        (await host.Ask<long>("SELECT count(*) FROM cron.cron_log WHERE job_id = 'history'")).ShouldBe(0);
        (await host.Ask<long>("SELECT count(*) FROM cron.run_key WHERE key = 'asked'")).ShouldBe(0);
    }

    private async Task<JsonObject?> Job(string id) =>
        (await host.Get($"/v1/cron/job/?job_id={Uri.EscapeDataString(id)}"))["data"]!.AsArray().Single()!.AsObject();

    private Task<long> Fires(string job) => host.Ask<long>("SELECT count(*) FROM cron.cron_log WHERE job_id = @job AND status = 'success'", new { job });

    private Task<long> Incidents(string fingerprint, string state) =>
        host.Ask<long>("SELECT count(*) FROM alerts.task_monitor WHERE fingerprint = @fingerprint AND state = @state", new { fingerprint, state });
}
