using System.Globalization;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Cluster;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Tests.Modules.Cron.Executions;

public sealed class LedgerTests(TestPostgres postgres)
{
    [Fact]
    public async Task Two_hosts_that_race_write_each_due_time_once_and_run_it_once()
    {
        var marks = Directory.CreateTempSubdirectory("codo-marks-");
        await using var first = await TestHost.Start(postgres);
        await using var second = await TestHost.Start(postgres, first.Postgres);
        for (var i = 0; i < 20; i++)
            await first.Make(
                new
                {
                    job_id = $"race {i}",
                    cmd = $"echo x >> {marks}/$CODO_LOG_ID",
                    cron = "* * * * * *",
                    overlap = "allow",
                }
            );
        await using var connection = await first.Source.OpenConnectionAsync();
        await Eventually.True(
            async () => await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM cron.cron_log WHERE status = 'success'") >= 100,
            "100 fires succeeded"
        );
        (
            await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM (SELECT job, nominal_at FROM cron.cron_log GROUP BY 1, 2 HAVING count(*) > 1) twice")
        ).ShouldBe(0);
        var gaps = await connection.ExecuteScalarAsync<int>(
            """
            SELECT count(*) FROM (SELECT nominal_at - lag(nominal_until) OVER (PARTITION BY job ORDER BY nominal_at) AS step FROM cron.cron_log) s
                WHERE step <> interval '1 second'
            """);
        gaps.ShouldBe(0);
        // No new fire, and nothing that still writes, before the marks are read and deleted.
        for (var i = 0; i < 20; i++)
            await first.Delete("/v1/cron/job/", new { job_id = $"race {i}" });
        await Eventually.True(
            async () => await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM cron.active_execution") == 0,
            "all commands have ended"
        );
        foreach (var file in marks.GetFiles())
            File.ReadAllLines(file.FullName).Length.ShouldBe(1, file.Name);
        marks.Delete(recursive: true);
    }

    [Fact]
    public async Task Direct_races_on_the_account_insert_one_row()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "raced", cmd = "true", cron = CronClient.Never, misfire = "all", misfire_window = 600, overlap = "allow" });
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            ("UPDATE cron.job SET cron = '0 * * * * *', create_time = '2000-01-01', accounted_to = now() - interval '5 minutes', next_run_at = now() - "
                + "interval '4 minutes'")
        );
        var ledger = host.Services.GetRequiredService<Ledger>();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => ledger.AccountDue(CancellationToken.None))));
        (await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM cron.cron_log WHERE trigger IN ('catch_up', 'schedule')")).ShouldBeInRange(4, 6);
        (await connection.ExecuteScalarAsync<int>("SELECT count(DISTINCT nominal_at) - count(*) FROM cron.cron_log")).ShouldBe(0);
    }

    [Fact]
    public async Task A_pause_is_one_row_while_it_lasts_and_after_it()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "paused", cmd = "true", cron = CronClient.Never });
        await host.Patch("/v1/cron/job/", new { job_id = "paused" });
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            ("UPDATE cron.job SET cron = '*/10 * * * * *', create_time = '2000-01-01', accounted_to = now() - interval '1 hour', next_run_at = now() - "
                + "interval '59 minutes'")
        );
        var ledger = host.Services.GetRequiredService<Ledger>();
        await ledger.AccountPaused(CancellationToken.None);
        var during = (await host.Logs("paused")).Single();
        during.Status().ShouldBe("skipped");
        during["task_log"]!.GetValue<string>().ShouldBe("任务已暂停");
        during["times"]!.GetValue<int>().ShouldBeInRange(359, 361);
        await connection.ExecuteAsync(
            "UPDATE cron.job SET create_time = '2000-01-01', accounted_to = accounted_to - interval '20 seconds', next_run_at = now() - interval '20 seconds'"
        );
        await host.Patch("/v1/cron/job/", new { job_id = "paused" });
        var after = (await host.Logs("paused")).Where(row => row.Status() == "skipped").ShouldHaveSingleItem();
        after["times"]!.GetValue<int>().ShouldBeGreaterThan(during["times"]!.GetValue<int>());
        (await host.Send(HttpMethod.Get, "/v1/cron/log/?key=status&value=skipped", language: "en"))["data"]![0]!["task_log"]!
            .GetValue<string>()
            .ShouldBe("The job is paused");
    }

    [Fact]
    public async Task A_job_whose_run_hangs_is_told_again_with_the_first_skip_of_a_later_hour()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(
            new
            {
                job_id = "hung",
                cmd = "exec sleep 1000",
                cron = CronClient.Never,
                overlap = "skip",
                misfire = "all",
                misfire_window = 86_400,
            }
        );
        await host.Running(await host.RunNow("hung"));
        await host.Ask<int>(
            "UPDATE cron.job SET cron = '0 */10 * * * *', create_time = '2000-01-01', accounted_to = now() - interval '1 hour', "
                + "next_run_at = now() - interval '50 minutes' RETURNING 1"
        );
        await Eventually.True(async () => await Told() >= 1, "the skips in a row are told");
        // Twice by now where a full hour has passed.
        var (told, times) = (await Told(), await Times());
        // As if they had been two hours earlier, and the run still hung.
        await host.Ask<int>(
            """
            UPDATE cron.job SET gap_nominal_at = gap_nominal_at - interval '2 hours', accounted_to = now() - interval '11 minutes',
                next_run_at = now() - interval '1 minute';
            UPDATE cron.cron_log SET nominal_at = nominal_at - interval '2 hours', nominal_until = nominal_until - interval '2 hours'
                WHERE status = 'skipped' RETURNING 1
            """
        );
        await Eventually.True(async () => await Told() > told, "it is told that it goes on");
        (await Times()).ShouldBeGreaterThan(times);

        Task<int> Told() => host.Ask<int>("SELECT coalesce(max(count), 0) FROM alerts.task_monitor WHERE fingerprint = 'job:hung:skipped'");
        Task<int> Times() =>
            host.Ask<int>("SELECT CAST(substring(title_en FROM '[0-9]+') AS int) FROM alerts.task_monitor WHERE fingerprint = 'job:hung:skipped'");
    }

    [Fact]
    public async Task A_pause_whose_row_has_passed_its_retention_goes_on_in_a_row_of_its_own()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "long paused", cmd = "true", cron = CronClient.Never });
        await host.Patch("/v1/cron/job/", new { job_id = "long paused" });
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            ("UPDATE cron.job SET cron = '*/10 * * * * *', create_time = '2000-01-01', accounted_to = now() - interval '1 hour', next_run_at = now() - "
                + "interval '59 minutes'")
        );
        var ledger = host.Services.GetRequiredService<Ledger>();
        await ledger.AccountPaused(CancellationToken.None);
        // As the retention leaves it when the month in which the pause began is dropped.
        await connection.ExecuteAsync("DELETE FROM cron.cron_log");
        await connection.ExecuteAsync(
            "UPDATE cron.job SET create_time = '2000-01-01', accounted_to = now() - interval '60 seconds', next_run_at = now() - interval '50 seconds'"
        );
        await ledger.AccountPaused(CancellationToken.None);
        (await host.Logs("long paused")).Single()["times"]!.GetValue<int>().ShouldBeInRange(5, 7);
    }

    [Fact]
    public async Task What_was_missed_is_shown_with_its_reason_and_what_is_in_the_window_is_made_up_for_once()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "missed", cmd = "echo made up", cron = CronClient.Never });
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            ("UPDATE cron.job SET cron = '*/10 * * * * *', misfire_window = 60, create_time = '2000-01-01', accounted_to = now() - interval '10 minutes', "
                + "next_run_at = now() - interval '590 seconds'")
        );
        // The wake-up of this job is not due for years: the sweep finds it.
        var logs = await Eventually.Get(
            async () => await host.Logs("missed"),
            rows => rows.Any(row => row["trigger"]!.GetValue<string>() == "catch_up" && row.Status() == "success"),
            "the sweep made up for it"
        );
        var missed = logs.First(row => row.Status() == "missed");
        missed["times"]!.GetValue<int>().ShouldBeInRange(57, 60);
        missed["task_log"]!.GetValue<string>().ShouldContain("misfire=once");
        logs.Count(row => row["trigger"]!.GetValue<string>() == "catch_up").ShouldBe(1);
    }

    [Fact]
    public async Task What_a_clock_that_was_set_forward_has_passed_over_was_not_held_up_by_codo()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "set", cmd = "true", cron = CronClient.Never, overlap = "allow", misfire = "skip", misfire_window = 600 });
        // Another than the host's, which polls as well.
        var ledger = ActivatorUtilities.CreateInstance<Ledger>(host.Services);
        await using var connection = await host.Source.OpenConnectionAsync();
        // Rolled back: nothing of it is run.
        await using var transaction = await connection.BeginTransactionAsync();
        var now = await connection.ExecuteScalarAsync<DateTime>("SELECT clock_timestamp()", transaction: transaction);
        ledger.Polled(now.AddHours(-1), BootTime.Now);
        ledger.Polled(now, BootTime.Now);
        (await MissedOf(ledger, connection, transaction, "set", 40)).ShouldBeGreaterThanOrEqualTo(34);
    }

    // How many due times a job of each second has missed that is accounted for up to so many seconds ago.
    private static async Task<long> MissedOf(Ledger ledger, NpgsqlConnection connection, NpgsqlTransaction transaction, string job, int seconds)
    {
        await connection.ExecuteAsync(
            "UPDATE cron.job SET cron = '* * * * * *', create_time = '2000-01-01', accounted_to = clock_timestamp() - make_interval(secs => @seconds), "
                + "next_run_at = clock_timestamp() - make_interval(secs => @seconds - 1)",
            new { seconds },
            transaction
        );
        await ledger.LockAndAccount(connection, transaction, job);
        return await connection.ExecuteScalarAsync<long>(
            "SELECT coalesce(sum(times), 0) FROM cron.cron_log WHERE job_id = @job AND status = 'missed'",
            new { job },
            transaction
        );
    }

    [Fact]
    public void A_node_whose_clock_is_off_leaves_what_is_due_alone()
    {
        var node = new Node("off");
        Leaves(Node.MostSkew).ShouldBeFalse();
        Leaves(-Node.MostSkew - TimeSpan.FromSeconds(1)).ShouldBeTrue();
        Leaves(Node.MostSkew + TimeSpan.FromSeconds(1)).ShouldBeTrue();
        Leaves(TimeSpan.Zero).ShouldBeFalse();

        bool Leaves(TimeSpan skew)
        {
            node.Renewed(BootTime.Now, skew, DateTime.UtcNow);
            return node.LeavesDueAlone(Runner.WorkName);
        }
    }

    [Fact]
    public async Task What_was_due_while_the_node_was_drained_was_not_held_up_by_codo()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "drained", cmd = "true", cron = CronClient.Never, overlap = "allow", misfire = "skip", misfire_window = 600 });
        // Others than the host's, which poll as well.
        var ledger = ActivatorUtilities.CreateInstance<Ledger>(host.Services);
        using var runner = ActivatorUtilities.CreateInstance<Runner>(host.Services, ledger);
        var node = host.Services.GetRequiredService<Node>();
        await using var connection = await host.Source.OpenConnectionAsync();
        // One look that has taken an hour says the same as all those of an hour.
        var now = await connection.ExecuteScalarAsync<DateTime>("SELECT clock_timestamp()");
        ledger.Polled(now.AddHours(-1), BootTime.Now - TimeSpan.FromHours(1));
        (await host.Post("/v2/nodes/drain/", new { name = node.Name })).Code().ShouldBe(0);
        await Eventually.True(() => node.IsDrained, "the node has heard of it");
        await runner.Poll(CancellationToken.None);
        // As the account of paused jobs looks, which goes on: it is no look for what is due.
        ledger.Polled(now.AddHours(-1), BootTime.Now - TimeSpan.FromHours(1));
        (await host.Post("/v2/nodes/undrain/", new { name = node.Name })).Code().ShouldBe(0);
        await Eventually.True(() => !node.IsDrained, "the node has heard of that too");
        await runner.Poll(CancellationToken.None);
        // Rolled back: nothing of it is run.
        await using var transaction = await connection.BeginTransactionAsync();
        (await MissedOf(ledger, connection, transaction, "drained", 400)).ShouldBeGreaterThan(200);
    }

    [Fact]
    public async Task All_that_is_made_up_for_runs_one_after_another_where_runs_may_not_overlap()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "all", cmd = "true", cron = CronClient.Never, misfire = "all", misfire_window = 3600 });
        await using var connection = await host.Source.OpenConnectionAsync();
        // Of nine minutes one is on time, or some more where the machine is slow.
        await connection.ExecuteAsync(
            ("UPDATE cron.job SET cron = '0 * * * * *', create_time = '2000-01-01', accounted_to = now() - interval '9 minutes', next_run_at = now() - "
                + "interval '8 minutes'")
        );
        await Eventually.True(
            async () => await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM cron.cron_log WHERE trigger = 'catch_up' AND status = 'success'") >= 4,
            "each has run"
        );
        (await connection.QueryAsync<DateTime>("SELECT nominal_at FROM cron.attempt ORDER BY started_at")).ShouldBeInOrder();
    }

    [Fact]
    public async Task A_due_time_that_is_in_the_ledger_already_ends_no_run_to_take_its_place()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "replaced", cmd = "exec sleep 1000", cron = CronClient.Never, overlap = "replace" });
        await host.Running(await host.RunNow("replaced"));
        await using var connection = await host.Source.OpenConnectionAsync();
        // Rolled back: the host sees none of it.
        await using var transaction = await connection.BeginTransactionAsync();
        // As a clock that was put back leaves it: what is due has run.
        await connection.ExecuteAsync(
            """
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd)
            SELECT j.id, j.job_id, 'schedule', 'schedule', at, at, 'success', at, j.cmd FROM cron.job j,
                generate_series(date_trunc('second', now()) - interval '10 seconds', now() + interval '10 minutes', interval '1 second') at
            """,
            transaction: transaction
        );
        await connection.ExecuteAsync(
            ("UPDATE cron.job SET cron = '* * * * * *', create_time = '2000-01-01', accounted_to = now() - interval '5 seconds', next_run_at = now() - "
                + "interval '4 seconds'"),
            transaction: transaction
        );
        await host.Services.GetRequiredService<Ledger>().LockAndAccount(connection, transaction, "replaced");
        (
            await connection.ExecuteScalarAsync<int>(
                "SELECT count(*) FROM cron.active_execution WHERE job_id = 'replaced' AND state = 'running' AND stop_zh IS NULL",
                transaction: transaction
            )
        ).ShouldBe(1);
    }

    [Fact]
    public async Task A_hundred_commands_that_never_end_do_not_delay_the_next_and_past_the_limit_a_fire_is_queued()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Cron:MaxParallel", "101"));
        for (var i = 0; i < 100; i++) await host.Make(new { job_id = $"hang {i}", cmd = "exec sleep 1000", cron = CronClient.Never });
        var hanging = new List<long>();
        for (var i = 0; i < 100; i++) hanging.Add(await host.RunNow($"hang {i}"));
        await host.Make(new { job_id = "quick", cmd = "echo quick", cron = CronClient.Never });
        (await host.Ended(await host.RunNow("quick"))).Status().ShouldBe("success");
        await host.Make(new { job_id = "last place", cmd = "exec sleep 1000", cron = CronClient.Never });
        await host.Running(await host.RunNow("last place"));
        var queued = await host.RunNow("quick");
        (await host.Log(queued)).Status().ShouldBe("queued");
        await host.Post("/v1/cron/job/kill/", new { log_id = hanging[0] });
        (await host.Ended(queued)).Status().ShouldBe("success");
    }

    [Fact]
    public async Task Months_past_the_retention_are_dropped_and_the_rest_stays()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Cron:LogRetentionDays", "30"));
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            "CREATE TABLE cron.cron_log_202001 PARTITION OF cron.cron_log FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-02-01 00:00:00+00')"
        );
        await connection.ExecuteAsync(
            """
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd)
            SELECT 1, 'old', 'schedule', 'schedule', at, at, 'success', at, 'true' FROM unnest(ARRAY['2020-01-05 00:00+00', '2021-01-05 00:00+00',
                now()::text]::timestamptz[]) at
            """);
        // Twice at once, as two nodes would.
        var maintenance = host.Services.GetRequiredService<PartitionMaintenance>();
        await Task.WhenAll(Task.Run(() => maintenance.DropOld(CancellationToken.None)), Task.Run(() => maintenance.DropOld(CancellationToken.None)));
        (await connection.QueryAsync<DateTime>("SELECT nominal_at FROM cron.cron_log")).ShouldHaveSingleItem().Year.ShouldBe(DateTime.UtcNow.Year);
        (await connection.ExecuteScalarAsync<string?>("SELECT to_regclass('cron.cron_log_202001')::text")).ShouldBeNull();
    }

    [Fact]
    public async Task A_month_that_cannot_be_dropped_keeps_nothing_else()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Cron:LogRetentionDays", "30"));
        await host.FirstRounds("cron partitions");
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            """
            CREATE TABLE cron.cron_log_202001 PARTITION OF cron.cron_log FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-02-01 00:00:00+00');
            CREATE TABLE cron.cron_log_202002 PARTITION OF cron.cron_log FOR VALUES FROM ('2020-02-01 00:00:00+00') TO ('2020-03-01 00:00:00+00');
            CREATE TABLE cron.attempt_202001 PARTITION OF cron.attempt FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-02-01 00:00:00+00');
            CREATE VIEW cron.reads AS SELECT log_id FROM cron.cron_log_202001;
            INSERT INTO cron.run_key (user_id, key, job, log_id, at) VALUES (1, 'asked', 1, 1, now() - interval '25 hours')
            """
        );
        await Eventually.True(() => host.Services.GetRequiredService<Node>().HoldsLease, "the host holds its lease");
        const string LeftSql = """
            SELECT string_agg(relname, ' ' ORDER BY relname) || ', ' || (SELECT count(*) FROM cron.run_key) FROM pg_class
            WHERE relname IN ('cron_log_202001', 'cron_log_202002', 'attempt_202001')
            """;
        // Whoever reads or writes one of them for a moment keeps it until the next time.
        await Eventually.True(
            async () =>
            {
                try
                {
                    await host.Services.GetRequiredService<PartitionMaintenance>().DropOld(CancellationToken.None);
                    return false;
                }
                catch (AggregateException)
                {
                    return await host.Ask<string>(LeftSql) == "cron_log_202001, 0";
                }
            },
            "all else is dropped"
        );
    }

    [Fact]
    public async Task A_run_that_outlives_the_retention_keeps_what_its_end_is_written_to()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Cron:LogRetentionDays", "30"));
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            """
            CREATE TABLE cron.cron_log_201912 PARTITION OF cron.cron_log FOR VALUES FROM ('2019-12-01 00:00:00+00') TO ('2020-01-01 00:00:00+00');
            CREATE TABLE cron.cron_log_202001 PARTITION OF cron.cron_log FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-02-01 00:00:00+00');
            WITH l AS (
                INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd)
                SELECT 1, 'long', 'manual', 'manual', at, at, 'running', at, 'true' FROM (VALUES (CAST('2020-01-05 00:00+00' AS timestamptz))) v(at)
                RETURNING log_id, nominal_at, job, job_id),
            a AS (
                INSERT INTO cron.attempt (log_id, nominal_at, attempt, trigger, run_id, node, incarnation, started_at)
                SELECT log_id, nominal_at, 1, 'manual', 'r', 'elsewhere', 1, nominal_at FROM l)
            INSERT INTO cron.active_execution (log_id, nominal_at, job, job_id, state, not_before, exclusive, node, incarnation)
            SELECT log_id, nominal_at, job, job_id, 'running', nominal_at, true, 'elsewhere', 1 FROM l
            """
        );
        var maintenance = host.Services.GetRequiredService<PartitionMaintenance>();
        await maintenance.DropOld(CancellationToken.None);
        (await Left()).ShouldBe("cron_log_202001, 1 row, 1 attempt");
        await connection.ExecuteAsync("DELETE FROM cron.active_execution WHERE job_id = 'long'");
        await maintenance.DropOld(CancellationToken.None);
        (await Left()).ShouldBe("nothing, 0 row, 0 attempt");

        Task<string> Left() =>
            host.Ask<string>(
                """
                SELECT coalesce((SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname IN ('cron_log_201912', 'cron_log_202001')),
                        'nothing') || ', ' || (SELECT count(*) FROM cron.cron_log WHERE job_id = 'long') || ' row, '
                    || (SELECT count(*) FROM cron.attempt WHERE node = 'elsewhere') || ' attempt'
                """
            );
    }

    [Fact]
    public async Task A_table_that_somebody_holds_does_not_keep_the_others_from_getting_their_months()
    {
        await using var host = await TestHost.Start(postgres);
        await host.FirstRounds("cron partitions");
        var month = DateTime.UtcNow.AddMonths(2).ToString("yyyyMM", CultureInfo.InvariantCulture);
        var maintenance = host.Services.GetRequiredService<PartitionMaintenance>();
        await using var reader = await host.Source.OpenConnectionAsync();
        await reader.ExecuteAsync($"DROP TABLE cron.cron_log_{month}, cron.output_{month}");
        await using (var transaction = await reader.BeginTransactionAsync())
        {
            await reader.ExecuteAsync("SELECT count(*) FROM cron.cron_log", transaction: transaction);
            await Should.ThrowAsync<TimeoutException>(() => maintenance.Maintain(CancellationToken.None));
            (await IsMade("cron_log"), await IsMade("output")).ShouldBe((false, true));
        }
        await maintenance.Maintain(CancellationToken.None);
        (await IsMade("cron_log")).ShouldBeTrue();

        Task<bool> IsMade(string table) => host.Ask<bool>("SELECT to_regclass(@name) IS NOT NULL", new { name = $"cron.{table}_{month}" });
    }

    [Fact]
    public async Task Where_a_running_command_has_said_more_than_is_shown_a_line_names_the_rest()
    {
        await using var host = await TestHost.Start(postgres);
        // 70 KiB, 10 KB in a third of the characters, and little.
        var (much, wide, little) = (await Said("x", 71), await Said("汉", 10), await Said("x", 1));
        (await Shown(much, 10)).ShouldBe(new string('x', 66_560) + Rest(much));
        (await Shown(much, 200)).ShouldBe(new string('x', 4096) + Rest(much));
        (await Shown(wide, 10)).ShouldBe(new string('汉', 3400));
        (await Shown(wide, 200)).ShouldBe(new string('汉', 1700) + Rest(wide));
        (await Shown(little, 10)).ShouldBe(new string('x', 1020));
        (await Shown(little, 200)).ShouldBe(new string('x', 1020));

        static string Rest(long run) => "\n" + ExecutionStore.RestAt(run);

        async Task<long> Said(string letter, int pieces)
        {
            var job = $"says {pieces}";
            await host.Make(new { job_id = job, cmd = "exec sleep 1000", cron = CronClient.Never });
            var run = await host.RunNow(job);
            await host.Running(run);
            await using var connection = await host.Source.OpenConnectionAsync();
            await connection.ExecuteAsync(
                """
                INSERT INTO cron.output (log_id, nominal_at, attempt, from_byte, next_byte, text)
                SELECT log_id, nominal_at, 1, (n - 1) * 1020, n * 1020, repeat(@letter, 1020 / octet_length(@letter))
                FROM cron.cron_log, generate_series(1, @pieces) n WHERE log_id = @run
                """,
                new { letter, pieces, run }
            );
            return run;
        }

        async Task<string> Shown(long run, int limit) =>
            (string)(await host.Get($"/v1/cron/log/?limit={limit}"))["data"]!.AsArray().Single(row => (long)row!["log_id"]! == run)!["task_log"]!;
    }

    [Fact]
    public async Task The_ledger_is_filtered_by_each_key_and_by_dates_whose_ends_are_inclusive()
    {
        // The rows have fixed dates, which the retention must not reach.
        await using var host = await TestHost.Start(postgres, null, ("Codo:Cron:LogRetentionDays", "36500"));
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("""
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd, task_log)
            SELECT 1, 'j' || n, 'schedule', 'schedule', at, at, CASE WHEN n = 1 THEN 'faild' ELSE 'success' END, at, 'cmd ' || n, 'out ' || n
            FROM (VALUES (1, '2026-10-01 00:00:00+08'::timestamptz), (2, '2026-10-01 23:59:59+08'), (3, '2026-10-02 00:00:00+08'), (4, now())) v(n, at)
            """);
        async Task<string> Ids(string query)
        {
            var answer = await host.Get("/v1/cron/log/?" + query);
            answer.Code().ShouldBe(0, answer.ToJsonString());
            answer["status"]!.GetValue<int>().ShouldBe(0);
            var ids = string.Join(',', answer["data"]!.AsArray().Select(row => row!["job_id"]!.GetValue<string>()));
            answer["count"]!.GetValue<int>().ShouldBe(ids.Length == 0 ? 0 : ids.Split(',').Length);
            return ids;
        }

        (await Ids("job_id=&start_date=&end_date=")).ShouldBe("j4");
        (await Ids("start_date=2026-10-1&end_date=2026-10-01")).ShouldBe("j2,j1");
        (await Ids("start_date=2026-10-01&end_date=2026-10-02 00:00")).ShouldBe("j3,j2,j1");
        (await Ids("start_date=2026-10-01 12:00&end_date=2026-10-01 23:59:59")).ShouldBe("j2");
        (await Ids("start_date=2026-10-01&key=status&value=faild")).ShouldBe("j1");
        (await Ids("start_date=2026-10-01&key=task_cmd&value=cmd 2")).ShouldBe("j2");
        (await Ids("start_date=2026-10-01&key=task_log&value=out 3")).ShouldBe("j3");
        (await Ids("start_date=2026-10-01&key=job_id&value=j1")).ShouldBe("j1");
        (await Ids("start_date=2026-10-01&key=exec_time&value=2026-10-01 23:59:59")).ShouldBe("j2");
        var id = await connection.ExecuteScalarAsync<long>("SELECT log_id FROM cron.cron_log WHERE job_id = 'j3'");
        (await Ids(string.Create(CultureInfo.InvariantCulture, $"start_date=2026-10-01&key=log_id&value={id}"))).ShouldBe("j3");
        foreach (
            var wrong in new[]
            {
                "key=secret&value=1",
                "start_date=yesterday",
                "end_date=1",
                "key=log_id&value=x",
                "key=exec_time&value=x",
                "page=0",
                "limit=0",
            }
        )
            (await host.Get("/v1/cron/log/?" + wrong)).Code().ShouldBe(-1, wrong);
    }
}
