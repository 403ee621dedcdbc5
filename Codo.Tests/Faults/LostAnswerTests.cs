using Codo.Modules.Cron.Executions;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Faults;

/// <summary>What PostgreSQL has committed although its answer was lost, or has not stored although the command has run.</summary>
public sealed class LostAnswerTests : IAsyncLifetime
{
    private const int Orders = 6;
    private TestPostgres postgres = null!;
    private TestHost host = null!;

    public async ValueTask InitializeAsync()
    {
        // Of its own: a setting of the whole server is changed.
        postgres = await TestPostgres.StartNew();
        host = await TestHost.Start(postgres);
    }

    public async ValueTask DisposeAsync()
    {
        await host.DisposeAsync();
        await postgres.DisposeAsync();
    }

    // The claim waits for a standby that there is not; ended by then, its transaction is committed and nobody is told.
    [Fact]
    public async Task A_claim_that_is_committed_without_an_answer_starts_its_commands_once_and_the_jobs_go_on()
    {
        using var folder = new TestFolder();
        var ran = folder.At("ran");
        await using var superuser = await WaitForNobody("local");
        await LoseAfterInsert(superuser, "cron.attempt");
        string[] jobs = ["skip", "queue"];
        foreach (var overlap in jobs) await host.Make(new { job_id = overlap, cmd = $"echo $CODO_RUN_ID >> {ran}", cron = "* * * * * *", overlap });

        await Waits(superuser, "a claim waits");
        await superuser.ExecuteAsync("DELETE FROM public.losing");
        (await CutWhoWaits(superuser)).ShouldBeGreaterThan(0);

        foreach (var job in jobs)
            await Eventually.True(
                async () =>
                    await host.Ask<long>("SELECT count(*) FROM cron.cron_log WHERE job_id = @job AND status = 'success'", new { job }) > 2,
                "the job goes on"
            );
        (
            await host.Ask<string?>("SELECT string_agg(DISTINCT status, ' ') FROM cron.attempt WHERE ended_at IS NOT NULL")
        ).ShouldBe("success", "nothing is given up");
        var lines = await File.ReadAllLinesAsync(ran, TestContext.Current.CancellationToken);
        lines.Length.ShouldBe(lines.Distinct().Count(), "nothing ran twice");
    }

    // Each commit waits: some sessions are cut there, the others let go.
    [Fact]
    public async Task When_any_commit_may_lose_its_answer_nothing_is_lost_runs_twice_or_stays_under_way()
    {
        using var folder = new TestFolder();
        var (ran, random) = (folder.At("ran"), new Random(1));
        string[] jobs = ["skip", "queue", "allow"];
        foreach (var overlap in jobs) await host.Make(new { job_id = overlap, cmd = $"echo $CODO_RUN_ID >> {ran}", cron = "* * * * * *", overlap });
        await host.Make(
            new
            {
                job_id = "retries",
                cmd = $"echo $CODO_RUN_ID >> {ran}; exit $((2 - CODO_ATTEMPT))",
                cron = "*/2 * * * * *",
                retries = 1,
                retry_delay = 1,
            }
        );
        var step = $"for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done; echo $CODO_RUN_ID >> {ran}";
        // The last one fails the first time, and its lane pauses before it tries again.
        var again = OrderHost.Step($"echo $CODO_RUN_ID >> {ran};", $"! mkdir {folder.Path}/FLOW_ID", level: 4, retries: 1, retryDelay: 1);
        var template = await OrderHost.Template(host, OrderHost.Step(step), OrderHost.Step(step, level: 2), OrderHost.Step(step, level: 3), again);
        await using var superuser = await WaitForNobody("on");
        using var over = new CancellationTokenSource();
        var lost = 0;
        var storm = Storm();

        var (orders, runs) = (new List<long>(), new List<long>());
        var hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" };
        for (var i = 0; i < Orders; i++)
        {
            var order = new { task_name = $"order {i}", temp_id = template, hosts, args = new { }, schedule = "ready" };
            orders.Add(await UntilAnswered("/v2/task/accept/", order, $"order {i}", "list_id"));
            runs.Add(await UntilAnswered("/v1/cron/job/run/", new { job_id = "allow" }, $"run {i}", "log_id"));
        }
        await Eventually.True(() => lost > 100, "a hundred answers are lost");
        await over.CancelAsync();
        await storm;

        foreach (var order in orders) (await OrderHost.Ended(host, order)).ShouldBe("3");
        orders.Distinct().Count().ShouldBe(Orders);
        (await host.Ask<long>("SELECT count(*) FROM tasks.scheduler_task_list")).ShouldBe(Orders, "an order that is asked for again is the same");
        (await host.Ask<long>("SELECT count(*) FROM tasks.attempt")).ShouldBe(Orders * 5, "each step is tried once, and the last one twice");
        runs.Distinct().Count().ShouldBe(Orders);
        (await host.Ask<long>("SELECT count(*) FROM cron.cron_log WHERE trigger = 'manual'")).ShouldBe(Orders, "and so is a run");
        var upTo = await host.Ask<DateTime>("SELECT date_trunc('second', clock_timestamp())");
        await Eventually.True(() => host.Ask<bool>("SELECT min(accounted_to) > @upTo FROM cron.job", new { upTo }), "every due time is accounted for");
        await Eventually.True(
            () => host.Ask<bool>("SELECT NOT EXISTS (SELECT FROM cron.cron_log WHERE status IN ('queued', 'running') AND nominal_at < @upTo)", new { upTo }),
            "what was due has ended"
        );
        (
            await host.Ask<long>(
                """
                SELECT count(*) FROM cron.job j CROSS JOIN LATERAL
                    generate_series(date_trunc('minute', j.create_time), @upTo, CASE WHEN j.job_id = 'retries' THEN interval '2 s' ELSE interval '1 s' END) s
                WHERE s > j.create_time AND (SELECT count(*) FROM cron.cron_log l WHERE l.job = j.id AND s BETWEEN l.nominal_at AND l.nominal_until) <> 1
                """,
                new { upTo }
            )
        ).ShouldBe(0, "every due time of every job is in exactly one row");
        // Of one moment: what has begun since is none of this.
        var known = (await Attempts()).Where(attempt => attempt.Begun < upTo).ToList();
        var lines = await File.ReadAllLinesAsync(ran, TestContext.Current.CancellationToken);
        lines.Length.ShouldBe(lines.Distinct().Count(), "nothing ran twice");
        known.Select(attempt => attempt.RunId).Except(lines).ShouldBeEmpty("what was claimed has run");
        lines.Except((await Attempts()).Select(attempt => attempt.RunId)).ShouldBeEmpty("what ran is in the ledger");
        (
            await host.Ask<string?>(
                "SELECT string_agg(DISTINCT status, ' ') FROM cron.attempt WHERE ended_at < @upTo AND status NOT IN ('success', 'faild')",
                new { upTo }
            )
        ).ShouldBeNull("nothing was cut off");
        (
            await host.Ask<long>("SELECT count(*) FROM tasks.scheduler_task_log WHERE log_info LIKE 'line %'")
        ).ShouldBe(Orders * 3 * 5, "every line is there once");

        async Task Storm()
        {
            while (!over.IsCancellationRequested)
            {
                foreach (var pid in await superuser.QueryAsync<int>("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))
                {
                    var isCut = random.Next(3) == 0;
                    if (isCut) lost++;
                    // Let go by a cancellation: PostgreSQL warns that the standby has not answered, and answers.
                    await superuser.ExecuteAsync(isCut ? "SELECT pg_terminate_backend(@pid)" : "SELECT pg_cancel_backend(@pid)", new { pid });
                }
                await Task.Delay(5, CancellationToken.None);
            }
            await superuser.ExecuteAsync("ALTER SYSTEM RESET synchronous_standby_names");
            await superuser.ExecuteAsync("SELECT pg_reload_conf()");
        }

        async Task<long> UntilAnswered(string path, object body, string key, string id)
        {
            while (true)
            {
                var answer = await host.PostOnce(path, body, key);
                if (CronClient.Code(answer) == 0) return (long)answer[id]!;
                CronClient.Code(answer).ShouldBe(503, answer.ToJsonString());
            }
        }

        async Task<List<(string RunId, DateTime Begun)>> Attempts()
        {
            await using var connection = await host.Source.OpenConnectionAsync();
            return (
                await connection.QueryAsync<(string, DateTime)>(
                    "SELECT run_id, started_at FROM cron.attempt UNION ALL SELECT run_id, started_at FROM tasks.attempt"
                )
            ).AsList();
        }
    }

    // The pause before a retry waits for a standby that there is not; ended by then, it is committed and the runner is not told. What it asks again is held up
    // until the node has taken the lane anew and another runner is at the next attempt.
    [Fact]
    public async Task A_runner_that_asks_again_leaves_a_lane_alone_that_its_node_has_taken_anew()
    {
        using var folder = new TestFolder();
        var (ran, gate) = (folder.At("ran"), folder.At("gate"));
        await using var superuser = await WaitForNobody("local");
        await superuser.ExecuteAsync(
            """
            CREATE TABLE public.fault (kind text);
            INSERT INTO public.fault VALUES ('lose');
            CREATE TABLE public.said (at timestamptz DEFAULT clock_timestamp());
            GRANT ALL ON public.fault, public.said TO PUBLIC;
            CREATE FUNCTION public.lose() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF EXISTS (SELECT FROM public.fault WHERE kind = 'lose') THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER lose AFTER UPDATE ON tasks.lane FOR EACH ROW WHEN (NEW.state = 'timed') EXECUTE FUNCTION public.lose();
            CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                -- Of the statements that change an attempt, only the one that says how it ended.
                IF current_query() NOT LIKE '%exit_code%' THEN RETURN NULL; END IF;
                IF EXISTS (SELECT FROM public.fault WHERE kind = 'hold') THEN RAISE EXCEPTION 'held up' USING ERRCODE = '40001'; END IF;
                INSERT INTO public.said DEFAULT VALUES;
                RETURN NULL;
            END $$;
            CREATE TRIGGER hold AFTER UPDATE ON tasks.attempt FOR EACH STATEMENT EXECUTE FUNCTION public.hold();
            """
        );
        var step = OrderHost.Step(
            $"echo $CODO_RUN_ID >> {ran}; test $(wc -l < {ran}) -gt 1 || exit 1; while ! test -e {gate}; do sleep 0.05; done",
            retries: 1,
            retryDelay: 1
        );
        var order = await OrderHost.Order(host, await OrderHost.Template(host, step));
        await Waits(superuser, "the pause waits");
        await superuser.ExecuteAsync("UPDATE public.fault SET kind = 'hold'");
        (await CutWhoWaits(superuser)).ShouldBe(1);
        await Eventually.True(() => File.ReadAllLines(ran).Length == 2, "the next attempt runs");
        await superuser.ExecuteAsync("DELETE FROM public.fault");
        await Eventually.True(() => superuser.ExecuteScalarAsync<bool>("SELECT count(*) = 2 FROM public.said"), "the first runner has asked again");

        (await host.Ask<string>("SELECT state FROM tasks.lane WHERE list_id = @order", new { order })).ShouldBe("running", "another runner has it");
        await File.WriteAllTextAsync(gate, "", TestContext.Current.CancellationToken);
        (await OrderHost.Ended(host, order)).ShouldBe("3");
        var lines = await File.ReadAllLinesAsync(ran, TestContext.Current.CancellationToken);
        lines.Length.ShouldBe(2, "each attempt runs once");
        lines.ShouldBe(await superuser.QueryAsync<string>("SELECT run_id FROM tasks.attempt ORDER BY attempt"));
    }

    // The first piece of the output waits for a standby that there is not; ended by then, it is committed and the runner is not told. What it sends next begins
    // with the same byte.
    [Fact]
    public async Task Output_whose_first_piece_is_committed_without_an_answer_is_stored_whole()
    {
        using var folder = new TestFolder();
        var gate = folder.At("gate");
        await using var superuser = await WaitForNobody("local");
        await LoseAfterInsert(superuser, "cron.output");
        await host.Make(new { job_id = "says", cmd = $"echo one; while ! test -e {gate}; do sleep 0.05; done; echo two", cron = CronClient.Never });
        var logId = await host.RunNow("says");
        var runner = host.Services.GetRequiredService<Runner>();
        var run = await Eventually.Get<Run>(() => Task.FromResult(runner.Find(logId)), _ => true, "it is claimed");
        await Waits(superuser, "the first piece waits");
        await File.WriteAllTextAsync(gate, "", TestContext.Current.CancellationToken);
        await Eventually.True(() => run.Output.Total == 8, "the second line has come");
        await superuser.ExecuteAsync("DELETE FROM public.losing");
        (await CutWhoWaits(superuser)).ShouldBe(1);

        (await host.Ended(logId)).Status().ShouldBe("success");
        ((string)(await host.Get($"/v1/cron/log/output/?log_id={logId}"))["data"]!).ShouldBe("one\ntwo\n");
    }

    [Fact]
    public async Task A_run_whose_end_is_not_taken_is_interrupted_with_the_reason_and_its_job_goes_on()
    {
        await host.Ask<int>(
            """
            CREATE FUNCTION cron.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.status = 'success' AND NEW.nominal_at <= (SELECT create_time + interval '3 seconds' FROM cron.job WHERE job_id = 'refused')
                    THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '22000'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse BEFORE UPDATE ON cron.attempt FOR EACH ROW EXECUTE FUNCTION cron.refuse();
            SELECT 1
            """
        );
        await host.Make(new { job_id = "refused", cmd = "true", cron = "* * * * * *" });
        await Eventually.True(() => host.Ask<bool>("SELECT EXISTS (SELECT FROM cron.cron_log WHERE status = 'success')"), "the job goes on");
        var first = await host.Ask<string>("SELECT status || ': ' || cause_en FROM cron.cron_log WHERE status <> 'skipped' ORDER BY nominal_at LIMIT 1");
        first.ShouldStartWith("interrupted: Node ");
        first.ShouldEndWith(" could not record how it ended; the command is gone or was ended");
    }

    // What a statement puts into the table is committed, and the commit waits for a standby that there is not, until public.losing is empty.
    private static Task LoseAfterInsert(NpgsqlConnection superuser, string table) =>
        superuser.ExecuteAsync(
            $"""
            CREATE TABLE public.losing (yes bool);
            INSERT INTO public.losing VALUES (true);
            CREATE FUNCTION public.lose() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF EXISTS (SELECT FROM public.losing) THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER lose AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION public.lose();
            GRANT SELECT ON public.losing TO PUBLIC;
            """
        );

    private static Task Waits(NpgsqlConnection superuser, string what) =>
        Eventually.True(
            () => superuser.ExecuteScalarAsync<bool>("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')"),
            what
        );

    // They hear nothing of what is committed.
    private static Task<long> CutWhoWaits(NpgsqlConnection superuser) =>
        superuser.ExecuteScalarAsync<long>("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");

    /// <summary>Makes the server wait for a standby that there is not, in transactions that ask for it.</summary>
    private async Task<NpgsqlConnection> WaitForNobody(string synchronousCommit)
    {
        var superuser = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        await superuser.OpenAsync(TestContext.Current.CancellationToken);
        await superuser.ExecuteAsync($"ALTER SYSTEM SET synchronous_commit = {synchronousCommit}");
        await superuser.ExecuteAsync("SET synchronous_commit = local");
        await superuser.ExecuteAsync("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        await superuser.ExecuteAsync("SELECT pg_reload_conf()");
        await Eventually.True(async () => await superuser.ExecuteScalarAsync<string>("SHOW synchronous_standby_names") == "nobody", "the server waits for it");
        return superuser;
    }
}
