using System.Text.Json.Nodes;
using Codo.Platform.Data;
using Codo.Tests.Support;
using Dapper;
using Npgsql;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Faults;

/// <summary>Two hosts on a PostgreSQL with a synchronous standby, which is promoted when the primary is killed.</summary>
public sealed class FailoverTests
{
    private const int Jobs = 4, Orders = 4, Steps = 5, Lines = 30;

    // A third node, which has gone silent: the only heartbeat of it was sent before the primary ended.
    private const string SilentSql = """
        CREATE TABLE public.fencing (name text, at timestamptz);
        CREATE FUNCTION public.note_fencing() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.fencing VALUES (NEW.name, clock_timestamp());
            RETURN NEW;
        END $$;
        CREATE TRIGGER note_fencing AFTER UPDATE OF fenced ON platform.node FOR EACH ROW EXECUTE FUNCTION public.note_fencing();
        INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, heartbeat_at)
            VALUES ('silent', nextval('platform.incarnation'), 'm', 'b', 1, '0.2.0', clock_timestamp() - interval '4 seconds');
        """;

    [Fact]
    public async Task A_promoted_standby_is_found_and_nothing_is_lost_or_run_twice()
    {
        using var folder = new TestFolder();
        await using var pair = await PostgresPair.StartNew();
        await using var redis = await TestRedis.StartNew();
        var token = TestContext.Current.CancellationToken;
        var (ran, go) = (folder.At("ran"), folder.At("go"));
        DateTime promoted = default, upTo = default;
        await using var b = await TestHost.Start(
            null!,
            Postgres.ForPrimary(pair.ConnectionString),
            ("ConnectionStrings:Redis", redis.Configuration),
            ("Codo:NodeName", "b")
        );
        await using var a = await HostProcess.StartMember(folder.At("node-a"), "a", pair.ConnectionString, redis);
        await using var source = NpgsqlDataSource.Create(Postgres.ForPrimary(pair.ConnectionString));
        for (var i = 0; i < Jobs; i++)
            Done(await b.Post("/v1/cron/job/", new { job_id = $"j{i}", cmd = $"echo $CODO_RUN_ID >> {ran}", cron = "* * * * * *" }));
        Done(await b.Post("/v2/task_layout/temp/", new { temp_name = "t" }));
        // The last lines wait until the standby is the primary, however long that takes.
        var waits = $"[ $i -lt {Lines - 5} ] || while ! test -e {go}; do sleep 0.1; done";
        var talks = $"i=0; while [ $i -lt {Lines} ]; do i=$((i+1)); echo line $i; sleep 0.2; {waits}; done; echo $CODO_RUN_ID >> {ran}";
        var works = $"sleep 0.3; echo $CODO_RUN_ID >> {ran}";
        object[] steps = [.. Enumerable.Range(1, Steps).Select(level => OrderHost.Step(level == 1 ? talks : works, level: level))];
        Done(await b.Put("/v2/task_layout/details/", new { temp_id = 1, new_temp_data = steps }));
        var order = new { task_name = "o", temp_id = 1, hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" }, args = new { }, schedule = "ready" };
        // Which node takes a job is chance and may take a while; the orders begin after that, and the primary ends in their midst.
        await Eventually.True(() => Holds("SELECT count(DISTINCT node) = 2 FROM cron.attempt"), "both nodes run jobs", seconds: 60);
        for (var i = 0; i < Orders; i++) Done(i % 2 == 0 ? await b.Post("/v2/task/accept/", order) : await a.Send(HttpMethod.Post, "/v2/task/accept/", order));
        await Eventually.True(() => Holds("SELECT count(*) > 8 FROM tasks.scheduler_task_log"), "steps talk", seconds: 60);
        await using (var primary = await pair.OpenPrimary()) await primary.ExecuteAsync(SilentSql);
        var nodes = await Nodes();

        await pair.KillPrimary();
        DateTime before;
        await using (var standby = await pair.OpenStandby())
        {
            before = await standby.QuerySingleAsync<DateTime>("SELECT clock_timestamp()");
            await pair.Promote();
            promoted = await standby.QuerySingleAsync<DateTime>("SELECT clock_timestamp()");
            await File.WriteAllTextAsync(go, "", token);
        }

        foreach (var goesOn in (string[])[
            // Which of the two takes the jobs is chance: whoever is late finds them taken.
            "SELECT count(*) = 2 FROM platform.node WHERE name <> 'silent' AND heartbeat_at BETWEEN @promoted AND @promoted + interval '30 seconds'",
            "SELECT EXISTS (SELECT FROM cron.attempt WHERE started_at BETWEEN @promoted AND @promoted + interval '30 seconds')",
            "SELECT EXISTS (SELECT FROM tasks.attempt WHERE started_at BETWEEN @promoted AND @promoted + interval '30 seconds')",
            "SELECT EXISTS (SELECT FROM tasks.scheduler_task_log WHERE exec_time BETWEEN @promoted AND @promoted + interval '30 seconds')",
        ])
            await Eventually.True(() => Holds(goesOn), goesOn, seconds: 60);
        await Eventually.True(() => Holds("SELECT NOT EXISTS (SELECT FROM tasks.lane WHERE state <> 'done')"), "each order goes to its end", seconds: 60);

        // One that has gone silent is dead, and not before the others have had a lease's time to find the new server.
        var fenced = await Eventually.Get(
            () => One<DateTime?>("SELECT at FROM public.fencing WHERE name = 'silent'"), at => at is not null, "the silent node is dead", seconds: 60);
        (fenced - before)!.Value.TotalSeconds.ShouldBeGreaterThanOrEqualTo(10);
        (await One<long>("SELECT count(*) FROM public.fencing WHERE name <> 'silent'")).ShouldBe(0);
        (await Nodes()).ShouldBe(nodes, "no node had to join anew");

        upTo = await One<DateTime>("SELECT date_trunc('second', clock_timestamp())");
        await Eventually.True(() => Holds("SELECT min(accounted_to) > @upTo FROM cron.job"), "every due time up to here is in the ledger", seconds: 60);
        for (var i = 0; i < Jobs; i++) Done(await b.Patch("/v1/cron/job/", new { job_id = $"j{i}" }));
        await Eventually.True(
            () => Holds("SELECT NOT EXISTS (SELECT FROM cron.cron_log WHERE status IN ('queued', 'running'))"), "the last runs have ended", seconds: 60);
        (
            await One<long>(
                """
                SELECT count(*) FROM cron.job j CROSS JOIN LATERAL
                    generate_series(date_trunc('second', j.create_time) + interval '1 second', @upTo, interval '1 second') s
                WHERE (SELECT count(*) FROM cron.cron_log l WHERE l.job = j.id AND s BETWEEN l.nominal_at AND l.nominal_until) <> 1
                """
            )
        ).ShouldBe(0, "every second of every job is in exactly one row");
        var lines = await File.ReadAllLinesAsync(ran, token);
        lines.Length.ShouldBe(lines.Distinct().Count(), "nothing ran twice");
        await using var connection = await source.OpenConnectionAsync(token);
        var known = (await connection.QueryAsync<(string RunId, bool Succeeded)>(
            """
            SELECT run_id, status = 'success' FROM cron.attempt UNION ALL SELECT run_id, outcome = 'done' FROM tasks.attempt
            """
        )).ToDictionary(row => row.RunId, row => row.Succeeded);
        lines.Where(line => !known.ContainsKey(line)).ShouldBeEmpty("what ran is in the ledger");
        known.Where(row => row.Value).Select(row => row.Key).Except(lines).ShouldBeEmpty("what the ledger calls a success has run");
        known.Where(row => !row.Value).ShouldBeEmpty("nothing was cut off");
        (await One<long>("SELECT count(*) FROM tasks.scheduler_task_info WHERE task_status <> 3")).ShouldBe(0);
        (
            await One<long>("SELECT count(*) FROM tasks.scheduler_task_log WHERE log_info LIKE 'line %'")
        ).ShouldBe(Orders * Lines, "every line is there once");

        async Task<bool> Holds(string sql) => await One<bool?>(sql) == true;

        // The primary goes in the middle of a statement now and then.
        async Task<T?> One<T>(string sql)
        {
            try
            {
                await using var opened = await source.OpenConnectionAsync(token);
                return await opened.QuerySingleOrDefaultAsync<T>(sql, new { promoted, upTo });
            }
            catch (Exception error) when (DatabaseErrors.IsTransient(error))
            {
                return default;
            }
        }

        async Task<string?> Nodes() => await One<string>("SELECT string_agg(name || ' ' || incarnation, ', ' ORDER BY name) FROM platform.node");
    }

    private static void Done(JsonObject answer) => ((int)answer["code"]!).ShouldBe(0, answer.ToJsonString());
}
