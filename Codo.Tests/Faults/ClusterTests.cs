using Codo.Platform.Cluster;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Faults;

/// <summary>Three hosts as processes on one PostgreSQL and one redis-server: one is killed and one is added under load.</summary>
public sealed class ClusterTests(TestPostgres postgres)
{
    private const int Jobs = 8, Orders = 6;

    [Fact]
    public async Task Nothing_is_lost_or_run_twice_when_a_node_is_killed_and_another_is_added()
    {
        using var folder = new TestFolder();
        await using var redis = await TestRedis.StartNew();
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        var ran = folder.At("ran");
        var hosts = await Task.WhenAll(Start("a"), Start("b"));
        var (killed, stays) = (hosts[0], hosts[1]);
        HostProcess? added = null;
        try
        {
            for (var i = 0; i < Jobs; i++)
            {
                var cmd = $"echo $CODO_JOB_ID-$CODO_NOMINAL_TIME-$CODO_ATTEMPT >> {ran}";
                await Sent(stays, "/v1/cron/job/", new { job_id = $"j{i}", cmd, cron = "* * * * * *" });
            }

            await Sent(stays, "/v2/task_layout/temp/", new { temp_name = "t" });
            object[] steps = [.. Enumerable.Range(1, 6).Select(level => OrderHost.Step($"sleep 0.3; echo o-$CODO_RUN_ID >> {ran}", level: level))];
            await Sent(stays, "/v2/task_layout/details/", new { temp_id = 1, new_temp_data = steps }, HttpMethod.Put);
            var machines = new Dictionary<string, string> { ["1"] = "127.0.0.1" };
            var order = new { task_name = "o", temp_id = 1, hosts = machines, args = new { }, schedule = "ready" };
            await using var connection = new NpgsqlConnection(database + ";Pooling=false");
            var token = TestContext.Current.CancellationToken;
            await connection.OpenAsync(token);
            await Eventually.True(() => Holds("SELECT count(DISTINCT node) = 2 FROM cron.attempt"), "both nodes run jobs");
            // Which node takes an order is chance: there are new ones until one runs on the node that is killed.
            await Eventually.True(
                async () =>
                {
                    if (await Holds("SELECT EXISTS (SELECT FROM tasks.attempt WHERE node = 'a' AND ended_at IS NULL)")) return true;
                    if (await Holds("SELECT NOT EXISTS (SELECT FROM tasks.lane WHERE state <> 'done')"))
                        for (var i = 0; i < Orders; i++)
                            await Sent(i % 2 == 0 ? killed : stays, "/v2/task/accept/", order);
                    return false;
                },
                "a runs a step"
            );
            await killed.Kill();
            added = await Start("c");
            await Eventually.True(() => Holds("SELECT settled > 0 FROM platform.node WHERE name = 'a'"), "what a left is recovered", seconds: 60);
            await Eventually.True(() => Holds("SELECT EXISTS (SELECT FROM cron.attempt WHERE node = 'c')"), "c runs jobs", seconds: 60);
            await Eventually.True(
                () => Holds("SELECT NOT EXISTS (SELECT FROM tasks.lane WHERE state NOT IN ('done', 'interrupted'))"),
                "each order has ended, or stands where a was cut off",
                seconds: 60
            );
            var upTo = await connection.QuerySingleAsync<DateTime>("SELECT date_trunc('second', clock_timestamp())");
            await Eventually.True(
                () => connection.QuerySingleAsync<bool>("SELECT min(accounted_to) > @upTo FROM cron.job", new { upTo }),
                "every due time up to here is in the ledger"
            );

            // Every second of every job is in exactly one row.
            (
                await connection.QuerySingleAsync<long>(
                    """
                    SELECT count(*) FROM cron.job j CROSS JOIN LATERAL
                        generate_series(date_trunc('second', j.create_time) + interval '1 second', @upTo, interval '1 second') s
                    WHERE (SELECT count(*) FROM cron.cron_log l WHERE l.job = j.id AND s BETWEEN l.nominal_at AND l.nominal_until) <> 1
                    """,
                    new { upTo }
                )
            ).ShouldBe(0);
            // Before the file is read: the jobs go on.
            var succeeded = await connection.QuerySingleAsync<long>("SELECT count(*) FROM cron.cron_log WHERE status = 'success'");
            var lines = await File.ReadAllLinesAsync(ran, token);
            lines.Length.ShouldBe(lines.Distinct().Count(), "nothing ran twice");
            // Another attempt has another run id, and its line is another: no step here may be retried, and nobody restarts one.
            (await connection.QuerySingleAsync<long>("SELECT count(*) FROM tasks.attempt WHERE attempt > 1")).ShouldBe(0);
            lines.Count(line => line[0] == 'j').ShouldBeGreaterThanOrEqualTo((int)succeeded, "what is a success has run");
            // A step is done, or it is the one that was cut off, or it comes after that one.
            (
                await connection.QuerySingleAsync<long>(
                    """
                    SELECT count(*) FROM tasks.lane l
                    WHERE (SELECT string_agg(CAST(task_status AS text), '' ORDER BY task_level) FROM tasks.scheduler_task_info s
                        WHERE s.lane_id = l.lane_id) !~ '^3*(61*)?$'
                    """
                )
            ).ShouldBe(0);
            var done = await connection.QuerySingleAsync<long>("SELECT count(*) FROM tasks.scheduler_task_info WHERE task_status = 3");
            var cut = await connection.QuerySingleAsync<long>("SELECT count(*) FROM tasks.scheduler_task_info WHERE task_status = 6");
            lines.Count(line => line[0] == 'o').ShouldBeInRange((int)done, (int)(done + cut), "what was cut off may have come to its end");

            async Task<bool> Holds(string sql) => await connection.QuerySingleOrDefaultAsync<bool?>(sql) == true;
        }
        finally
        {
            if (added is not null) await added.DisposeAsync();
            await stays.DisposeAsync();
            await killed.DisposeAsync();
        }

        Task<HostProcess> Start(string name) => HostProcess.StartMember(folder.At(name), name, database, redis);
    }

    [Fact]
    public async Task A_host_under_the_name_of_one_that_lives_does_not_start()
    {
        using var folder = new TestFolder();
        await using var lives = await TestHost.Start(postgres, null, ("Codo:NodeName", "a"));
        var incarnation = await lives.Count("SELECT incarnation FROM platform.node WHERE name = 'a'");
        var refused = await Should.ThrowAsync<InvalidOperationException>(
            () => HostProcess.Start(
                folder.At("second"),
                environment:
                [
                    ("ConnectionStrings__Postgres", lives.Postgres),
                    ("ConnectionStrings__Redis", "127.0.0.1:1,abortConnect=false"),
                    ("Codo__Auth__TokenSecret", TestTokens.Secret),
                    ("Codo__MasterKey", "a-master-key-for-tests-of-more-than-32-bytes"),
                    ("Codo__NodeName", "a"),
                ]
            )
        );
        refused.Message.ShouldContain("ended with 2");
        refused.Message.ShouldContain("Another host runs as node a");
        (await lives.Count("SELECT incarnation FROM platform.node WHERE name = 'a'")).ShouldBe(incarnation, "it was not disturbed");
    }

    [Fact]
    public async Task A_node_whose_name_another_host_has_taken_meanwhile_stops_and_leaves_the_name_to_it()
    {
        await using var paused = await TestHost.Start(postgres, null, ("Codo:NodeName", "a"));
        // As a replacement that starts while this one is paused: on another machine, or in a container that has the same names and numbers as this one's.
        var taken = await paused.Ask<long>(
            "UPDATE platform.node SET fenced = incarnation, incarnation = nextval('platform.incarnation') WHERE name = 'a' RETURNING incarnation"
        );
        var stopping = paused.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
        await Eventually.True(() => stopping.IsCancellationRequested, "it stops");
        paused.Services.GetRequiredService<Node>().StopReason.ShouldBeOfType<NodeNameIsTaken>();
        (await paused.Count("SELECT incarnation FROM platform.node WHERE name = 'a'")).ShouldBe(taken, "the name is the other's");
    }

    [Fact]
    public async Task A_node_that_was_declared_dead_and_still_has_its_name_joins_anew()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:NodeName", "a"));
        var before = await host.Ask<long>("UPDATE platform.node SET fenced = incarnation, machine = 'as if it were another' RETURNING incarnation");
        await Eventually.True(async () => await host.Count("SELECT incarnation FROM platform.node WHERE fenced < incarnation") > before, "it has joined anew");
    }

    [Fact]
    public async Task A_command_that_was_claimed_before_its_node_was_declared_dead_does_not_start_after_it_has_joined_anew()
    {
        using var folder = new TestFolder();
        var (ran, token) = (folder.At("ran"), TestContext.Current.CancellationToken);
        await using var host = await TestHost.Start(postgres, null, ("Codo:NodeName", "a"));
        // The claim waits until the node is another incarnation.
        await host.Ask<int>(
            """
            CREATE FUNCTION cron.hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(20261); RETURN NULL; END $$;
            CREATE TRIGGER hold BEFORE INSERT ON cron.attempt FOR EACH STATEMENT EXECUTE FUNCTION cron.hold();
            SELECT 1
            """
        );
        await host.Make(new { job_id = "late", cmd = $"touch {ran}", cron = CronClient.Never });
        await using var holder = await host.Source.OpenConnectionAsync(token);
        await holder.ExecuteAsync("SELECT pg_advisory_lock(20261)");
        var asked = host.RunNow("late");
        await Eventually.True(
            () => host.Ask<bool>("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 20261 AND NOT granted)"),
            "the claim waits"
        );
        var node = host.Services.GetRequiredService<Node>();
        var before = await host.Ask<long>("UPDATE platform.node SET fenced = incarnation RETURNING incarnation");
        await Eventually.True(() => node.Incarnation > before && node.HoldsLease, "it has joined anew");
        await Eventually.True(() => host.Ask<bool>("SELECT settled >= @before FROM platform.node", new { before }), "what it left is recovered");
        await holder.ExecuteAsync("SELECT pg_advisory_unlock(20261)");

        var log = await host.Ended(await asked);
        log.Status().ShouldBe("interrupted");
        log["task_log"]!.GetValue<string>().ShouldContain("命令未启动");
        File.Exists(ran).ShouldBeFalse();
    }

    [Fact]
    public async Task A_dead_node_that_cannot_be_recovered_holds_up_no_other()
    {
        var token = TestContext.Current.CancellationToken;
        await using var host = await TestHost.Start(postgres, null, ("Codo:NodeName", "a"));
        await using var connection = await host.Source.OpenConnectionAsync(token);
        foreach (var (job, node) in new[] { ("of-the-first", "gone-1"), ("of-the-second", "gone-2") })
        {
            await host.Make(new { job_id = job, cmd = "true", cron = CronClient.Never });
            await connection.ExecuteAsync(
                """
                WITH l AS (INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd)
                    SELECT id, job_id, 'manual', 'manual', now(), now(), 'running', now(), 'true' FROM cron.job WHERE job_id = @job
                    RETURNING log_id, nominal_at, job, job_id
                ), a AS (INSERT INTO cron.attempt (log_id, nominal_at, attempt, trigger, run_id, node, incarnation, started_at)
                    SELECT log_id, nominal_at, 1, 'manual', @node, @node, 1, now() FROM l)
                INSERT INTO cron.active_execution (log_id, nominal_at, job, job_id, state, not_before, exclusive, node, incarnation)
                SELECT log_id, nominal_at, job, job_id, 'running', now(), true, @node, 1 FROM l
                """,
                new { job, node }
            );
        }
        await using var holder = await host.Source.OpenConnectionAsync(token);
        await using var holding = await holder.BeginTransactionAsync(token);
        var held = await holder.QueryAsync<long>("SELECT log_id FROM cron.active_execution WHERE node = 'gone-1' FOR UPDATE", transaction: holding);
        held.ShouldHaveSingleItem();

        await connection.ExecuteAsync(
            """
            INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, heartbeat_at, fenced)
            VALUES ('gone-1', 1, 'm', 'b', 1, 'v', '-infinity', 1), ('gone-2', 1, 'm', 'b', 1, 'v', '-infinity', 1)
            """
        );
        var second = Eventually.True(async () => await Status("of-the-second") == "interrupted", "what the second left is recovered");
        await host.CancelBehind(holder, second, "the second one is judged");
        await second;
        (await Status("of-the-first")).ShouldBe("running");
        (await host.Count("SELECT count(*) FROM platform.node WHERE name = 'gone-1' AND settled < fenced")).ShouldBe(1, "it is tried again");

        await holding.RollbackAsync(token);
        await Eventually.True(async () => await Status("of-the-first") == "interrupted", "what the first left is recovered too");
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM platform.node WHERE settled < fenced") == 0, "both are settled");

        Task<string> Status(string job) => host.Ask<string>("SELECT status FROM cron.cron_log WHERE job_id = @job", new { job });
    }

    [Fact]
    public async Task What_a_node_that_is_back_left_before_is_its_own_to_recover_until_it_dies_or_takes_long()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:NodeName", "b"));
        await host.Ask<int>(
            """
            INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, started_at, heartbeat_at, fenced) VALUES
                ('back', 900002, 'm', 'b', 1, 'v', clock_timestamp(), clock_timestamp(), 900001),
                ('dead', 900002, 'm', 'b', 1, 'v', clock_timestamp(), '-infinity', 900001),
                ('slow', 900002, 'm', 'b', 1, 'v', clock_timestamp() - interval '1 minute', clock_timestamp(), 900001);
            SELECT 1
            """
        );
        await Eventually.True(async () => await Recovered("clock_timestamp()") == "dead slow", "the others are recovered");

        await Eventually.True(
            async () => await Recovered("clock_timestamp() - interval '1 minute'") == "back dead slow",
            "so is what it has not recovered itself"
        );

        // With a heartbeat of those that live.
        Task<string> Recovered(string started) => host.Ask<string>(
            $"""
            WITH beat AS (
                UPDATE platform.node SET heartbeat_at = clock_timestamp(), started_at = CASE WHEN name = 'back' THEN {started} ELSE started_at END
                WHERE name IN ('back', 'slow')
            )
            SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') FROM platform.node WHERE settled >= 900001
            """
        );
    }

    private static async Task Sent(HostProcess host, string path, object body, HttpMethod? method = null)
    {
        var answer = await host.Send(method ?? HttpMethod.Post, path, body);
        ((int)answer["code"]!).ShouldBe(0, answer.ToJsonString());
    }
}
