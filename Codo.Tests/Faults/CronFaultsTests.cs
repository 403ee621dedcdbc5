using System.Globalization;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Codo.Host.LocalServices;
using Codo.Modules.Cron.Executions;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Tests.Faults;

/// <summary>The cron module under real faults: processes that are killed or stopped, a database that goes away.</summary>
public sealed class CronFaultsTests(TestPostgres postgres) : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-faults-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task After_kill_minus_nine_in_mid_run_the_next_start_ends_the_survivors_and_the_row_says_interrupted()
    {
        var pid = Path.Combine(folder.FullName, "pid");
        var database = await Database();
        long logId;
        await using (var first = await Start("one", database))
        {
            await Send(
                first,
                HttpMethod.Post,
                "/v1/cron/job/",
                new
                {
                    job_id = "survivor",
                    cmd = $"trap '' TERM HUP PIPE; head -c 70000 /dev/zero | tr '\\0' x; echo $$ > {pid}; while :; do sleep 1; done",
                    cron = CronClient.Never,
                }
            );
            logId = (await Send(first, HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "survivor" }))["log_id"]!.GetValue<long>();
            await Eventually.True(() => File.Exists(pid) && File.ReadAllText(pid).Length > 1, "the command runs");
            await Eventually.True(
                async () => (await Send(first, HttpMethod.Get, $"/v1/cron/log/output/?log_id={logId}"))["after"]!.GetValue<long>() >= 66_000,
                "more of its output is stored than lists show"
            );
            await first.Kill();
        }
        IsAlive(pid).ShouldBeTrue("the command outlives its host");

        await using var second = await Start("one", database);
        IsAlive(pid).ShouldBeFalse("survivors are ended before the host listens");
        var log = await Log(second, logId);
        log.Status().ShouldBe("interrupted");
        log["task_log"]!.GetValue<string>().ShouldContain("中断");
        log["task_log"]!.GetValue<string>().ShouldContain("xx\n" + ExecutionStore.RestAt(logId));
        // Nothing, or what was stored while it ran.
        ((string?)log["usage"]?["source"] ?? "sampled").ShouldBe("sampled");
        (await Send(second, HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "survivor" })).Code().ShouldBe(0);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task After_a_reboot_the_command_is_gone_and_on_another_machine_than_before_nobody_knows(bool isOnFreshMachine)
    {
        var database = await Database();
        var runs = new Dictionary<string, long>();
        await using (var first = await Start("one", database))
        {
            foreach (var job in (string[])["rebooted", "moved"])
            {
                var cmd = $"echo $$ > {Path.Combine(folder.FullName, job)}; exec sleep 1000";
                await Send(first, HttpMethod.Post, "/v1/cron/job/", new { job_id = job, cmd, cron = CronClient.Never });
                runs[job] = (long)(await Send(first, HttpMethod.Post, "/v1/cron/job/run/", new { job_id = job }))["log_id"]!;
                var pid = Path.Combine(folder.FullName, job);
                await Eventually.True(() => File.Exists(pid) && File.ReadAllText(pid).Length > 1, "the command runs");
            }
            await first.Kill();
        }
        // As it is after a boot: the commands are gone, and the boot that they ran in was another one. The machine that is here now was booted before them,
        // unless the attempt began long ago.
        foreach (var job in runs.Keys)
        {
            var pid = Path.Combine(folder.FullName, job);
            Posix.Signal(int.Parse(await File.ReadAllTextAsync(pid), CultureInfo.InvariantCulture), Posix.Kill);
            await Eventually.True(() => !IsAlive(pid), "it is gone");
        }
        await using var source = NpgsqlDataSource.Create(database);
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync("UPDATE cron.attempt SET boot_id = 'another'");
        await connection.ExecuteAsync("UPDATE cron.attempt SET started_at = '2001-01-01' WHERE log_id = @Id", new { Id = runs["rebooted"] });
        // One that was booted after the run began: by its boot alone it could be the machine of before.
        if (isOnFreshMachine) await connection.ExecuteAsync("UPDATE platform.node SET machine = 'as it was before'");

        await using var second = await Start("one", database);
        var rebooted = await Log(second, runs["rebooted"]);
        rebooted["task_log"]!.GetValue<string>().ShouldEndWith(isOnFreshMachine ? "是否仍在运行未知" : "命令已不在或已被终止");
        ((int?)rebooted["attempts"]![0]!["left_alive"]).ShouldBe(isOnFreshMachine ? (int?)null : 0);
        (await Log(second, runs["moved"]))["task_log"]!.GetValue<string>().ShouldEndWith("是否仍在运行未知");
    }

    [Fact]
    public async Task What_another_machine_has_settled_is_ended_by_its_own_node_when_that_is_back()
    {
        var pid = Path.Combine(folder.FullName, "pid");
        var database = await Database();
        await using var source = NpgsqlDataSource.Create(database);
        await using var connection = await source.OpenConnectionAsync();
        long logId;
        await using (var first = await Start("one", database))
        {
            var cmd = $"echo $$ > {pid}; exec sleep 1000";
            await Send(first, HttpMethod.Post, "/v1/cron/job/", new { job_id = "orphan", cmd, cron = CronClient.Never });
            logId = (long)(await Send(first, HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "orphan" }))["log_id"]!;
            await Eventually.True(() => File.Exists(pid) && File.ReadAllText(pid).Length > 1, "the command runs");
            // By it the node knows the command for its own, on whatever machine the row says that it was.
            await Eventually.True(
                async () => await connection.ExecuteScalarAsync<bool>("SELECT boot_id IS NOT NULL FROM cron.attempt"),
                "the boot that it runs in is recorded"
            );
            await first.Kill();
        }
        await connection.ExecuteAsync("UPDATE platform.node SET machine = 'elsewhere'");
        // A time that the host cannot read.
        await connection.ExecuteAsync("UPDATE cron.attempt SET started_at = started_at + interval '18000 years'");
        await using var other = await Start("two", database);
        // Found dead, without waiting for the lease.
        await connection.ExecuteAsync("UPDATE platform.node SET fenced = incarnation, heartbeat_at = '-infinity' WHERE name = 'one'");
        var settled = await Eventually.Get(
            async () => (JsonObject?)await Log(other, logId),
            row => row.Status() == "interrupted",
            "the other node settles the row",
            60
        );
        ((int?)settled["attempts"]![0]!["left_alive"]).ShouldBeNull();
        IsAlive(pid).ShouldBeTrue("from another machine nobody can end it");
        await Eventually.True(
            async () => await connection.ExecuteScalarAsync<bool>("SELECT settled = incarnation FROM platform.node WHERE name = 'one'"),
            "nothing of it is unrecovered"
        );

        await using var back = await Start("one", database);
        IsAlive(pid).ShouldBeFalse("it is ended before anything new begins");
        var known = await Log(back, logId);
        ((int?)known["attempts"]![0]!["left_alive"]).ShouldBe(0);
        known["task_log"]!.GetValue<string>().ShouldEndWith("命令已不在或已被终止");
    }

    [Fact]
    public async Task What_another_machine_settles_while_its_own_node_recovers_is_ended_all_the_same()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:NodeName", "one"));
        await host.Make(new { job_id = "left", cmd = "true", cron = CronClient.Never });
        var own = await host.RunNow("left");
        await host.Ended(own);
        var others = await host.RunNow("left");
        await host.Ended(others);
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        // As if an earlier start had left the one; the other is settled in the moment in which that one is.
        await connection.ExecuteAsync(
            $"""
            CREATE FUNCTION cron.settle_other() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO cron.left_unknown SELECT node, log_id, nominal_at, attempt FROM cron.attempt WHERE log_id = {others};
                RETURN OLD;
            END $$;
            CREATE TRIGGER settle_other BEFORE DELETE ON cron.active_execution FOR EACH ROW WHEN (OLD.log_id = {own}) EXECUTE FUNCTION cron.settle_other();
            INSERT INTO cron.active_execution (log_id, nominal_at, job, job_id, state, not_before, exclusive, node, incarnation)
            SELECT log_id, nominal_at, job, job_id, 'running', nominal_at, false, 'one', 0 FROM cron.cron_log WHERE log_id = {own}
            """
        );
        await host.Services.GetRequiredService<Recovery>().Recover("one", 0, TestContext.Current.CancellationToken);
        (await host.Count($"SELECT count(*) FROM cron.active_execution WHERE log_id = {own}")).ShouldBe(0);
        (
            await host.Ask<bool>(
                "SELECT left_alive IS NOT DISTINCT FROM 0 AND NOT EXISTS (SELECT FROM cron.left_unknown) FROM cron.attempt WHERE log_id = @others",
                new { others }
            )
        ).ShouldBeTrue();
    }

    [Fact]
    public async Task A_host_that_dies_with_hangfires_recurring_lock_in_its_hand_stops_no_schedule()
    {
        var database = await Database();
        await using var source = NpgsqlDataSource.Create(database);
        await using var connection = await source.OpenConnectionAsync();
        await using (var dying = await Start("one", database))
        {
            await Send(
                dying,
                HttpMethod.Post,
                "/v1/cron/job/",
                new
                {
                    job_id = "tick",
                    cmd = "true",
                    cron = "* * * * * *",
                    overlap = "allow",
                }
            );
            await Eventually.True(
                async () => await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM cron.cron_log WHERE status = 'success'") >= 2,
                "it fires"
            );
            await dying.Kill();
        }
        // Whether the kill met the lock or not, it is held now, as the dead host would have left it.
        await connection.ExecuteAsync("INSERT INTO hangfire.lock (resource, acquired) VALUES ('hangfire:recurring-jobs:lock', now()) ON CONFLICT DO NOTHING");
        var held = await connection.ExecuteScalarAsync<DateTime>("SELECT now()");
        await using var heir = await Start("two", database);
        await Eventually.True(
            async () =>
                await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM cron.cron_log WHERE status = 'success' AND nominal_at > @held", new { held })
                >= 3,
            "the heir fires while the lock is held"
        );
        await Eventually.True(
            async () => await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM hangfire.lock WHERE acquired <= @held", new { held }) == 0,
            "the lock was taken over",
            60
        );
        (
            await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM (SELECT 1 FROM cron.cron_log GROUP BY job, nominal_at HAVING count(*) > 1) twice")
        ).ShouldBe(0);
    }

    [Fact]
    public async Task A_database_that_is_away_past_the_lease_harms_no_running_command_and_every_due_time_is_accounted_for()
    {
        await using var own = await TestPostgres.StartNew();
        var ticks = Path.Combine(folder.FullName, "ticks");
        await using var host = await TestHost.Start(own);
        // The command itself is the clock of the outage: it counts 30 s while the database is away.
        await host.Make(
            new
            {
                job_id = "through",
                cmd = $"echo before; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do sleep 1; echo $i >> "
                    + $"{ticks}; done; echo after; sleep 5",
                cron = CronClient.Never,
            }
        );
        await host.Make(
            new
            {
                job_id = "tick",
                cmd = "true",
                cron = "* * * * * *",
                overlap = "allow",
                misfire = "once",
            }
        );
        var logId = await host.RunNow("through");
        await host.Running(logId);
        await own.Stop();
        await Eventually.True(async () => (await Ready(host)).Contains("lease is lost", StringComparison.Ordinal), "the lease is lost", 60);
        (await host.Http.GetStringAsync("/healthz/live")).ShouldNotBeEmpty();
        await Eventually.True(() => File.Exists(ticks) && File.ReadAllLines(ticks).Length >= 30, "30 s of the command have passed", 90);
        await own.Start();
        var log = await Eventually.Get(async () => await TryLog(host, logId), row => row.Status() == "success", "the command ended well and is recorded", 60);
        log["task_log"]!.GetValue<string>().ShouldBe("before\nafter\n");
        await using var connection = await host.Source.OpenConnectionAsync();
        await Eventually.True(
            async () => await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM cron.cron_log WHERE trigger = 'catch_up' AND status = 'success'") >= 1,
            "the outage was made up for once",
            60
        );
        // From the first fire to the last no second is missing, whether it ran or was missed.
        (
            await connection.ExecuteScalarAsync<int>(
                """
                SELECT count(*) FROM (SELECT nominal_at - lag(nominal_until) OVER (ORDER BY nominal_at) AS step FROM cron.cron_log
                    WHERE job_id = 'tick') s WHERE step <> interval '1 second'
                """
            )
        ).ShouldBe(0);
        (
            await connection.ExecuteScalarAsync<int>("SELECT coalesce(sum(times), 0) FROM cron.cron_log WHERE job_id = 'tick' AND status = 'missed'")
        ).ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task A_node_that_stood_still_past_its_lease_is_settled_by_another_and_ends_its_command_when_it_comes_back()
    {
        var pid = Path.Combine(folder.FullName, "pid");
        var database = await Database();
        await using var stopped = await Start("one", database);
        await Send(
            stopped,
            HttpMethod.Post,
            "/v1/cron/job/",
            new
            {
                job_id = "frozen",
                cmd = $"echo $$ > {pid}; exec setsid -w sleep 1000",
                cron = CronClient.Never,
            }
        );
        var logId = (await Send(stopped, HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "frozen" }))["log_id"]!.GetValue<long>();
        await Eventually.True(() => File.Exists(pid) && File.ReadAllText(pid).Length > 1, "the command runs");
        await using var other = await Start("two", database);
        Posix.Signal(stopped.Pid, 19);
        try
        {
            var log = await Eventually.Get(
                async () => (JsonObject?)await Log(other, logId),
                row => row.Status() == "interrupted",
                "the other node settles the row",
                60
            );
            log["task_log"]!.GetValue<string>().ShouldContain("中断");
            // Same machine, same boot: what was left was ended by the one that settled.
            IsAlive(pid).ShouldBeFalse();
        }
        finally
        {
            Posix.Signal(stopped.Pid, 18);
        }
        // It joins anew and may work again; the settled row stays as it is.
        var back = await Eventually.Get(
            async () => (JsonObject?)await Send(stopped, HttpMethod.Get, "/healthz/ready"),
            answer => answer["checks"]!["lease"]!["status"]!.GetValue<string>() == "healthy",
            "the node is back",
            60
        );
        back["checks"]!["lease"]!["detail"]!.GetValue<string>().ShouldContain("incarnation");
        (await Log(stopped, logId)).Status().ShouldBe("interrupted");
        await stopped.Stop();
    }

    [Fact]
    public async Task What_ended_while_the_database_was_away_is_kept_in_a_file_over_a_stop_and_recorded_at_the_next_start()
    {
        await using var own = await TestPostgres.StartNew();
        var database = await own.CreateDatabase();
        var (gate, done) = (Path.Combine(folder.FullName, "gate"), Path.Combine(folder.FullName, "done"));
        long logId;
        await using (var host = await Start("one", database, ("Codo__ShutdownGrace", "1")))
        {
            await Send(
                host,
                HttpMethod.Post,
                "/v1/cron/job/",
                new
                {
                    job_id = "kept",
                    cmd = $"while ! test -e {gate}; do sleep 0.1; done; echo result; touch {done}",
                    cron = CronClient.Never,
                }
            );
            logId = (await Send(host, HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "kept" }))["log_id"]!.GetValue<long>();
            await Eventually.Get(async () => (JsonObject?)await Log(host, logId), row => row.Status() == "running", "it runs");
            await own.Stop();
            await File.WriteAllTextAsync(gate, "");
            await Eventually.True(() => Directory.Exists(Spool("one")) && Directory.GetFiles(Spool("one"), "*.json").Length == 1, "the result is put aside");
            (await host.Stop()).ShouldBe(0);
        }
        await own.Start();
        await using var next = await Start("one", database);
        var log = await Log(next, logId);
        (log.Status(), log["task_log"]!.GetValue<string>()).ShouldBe(("success", "result\n"));
        var output = await Send(next, HttpMethod.Get, $"/v1/cron/log/output/?log_id={logId}");
        ((string)output["data"]!, (bool)output["ended"]!).ShouldBe(("result\n", true));
        Directory.GetFiles(Spool("one"), "*.json").ShouldBeEmpty();
    }

    [Fact]
    public async Task A_stop_gives_what_runs_its_grace_and_records_how_it_ended()
    {
        var database = await Database();
        var gate = Path.Combine(folder.FullName, "gate");
        var cmd = $"while ! test -e {gate}; do sleep 0.05; done; echo done";
        long quick, slow;
        await using (var host = await Start("one", database, ("Codo__ShutdownGrace", "10")))
        {
            await Send(host, HttpMethod.Post, "/v1/cron/job/", new { job_id = "quick", cmd, cron = CronClient.Never });
            await Send(host, HttpMethod.Post, "/v1/cron/job/", new { job_id = "slow", cmd = "exec sleep 1000", cron = CronClient.Never });
            quick = (await Send(host, HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "quick" }))["log_id"]!.GetValue<long>();
            slow = (await Send(host, HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "slow" }))["log_id"]!.GetValue<long>();
            // What has not begun by now stays queued.
            foreach (var run in (long[])[quick, slow])
                await Eventually.Get(async () => (JsonObject?)await Log(host, run), row => row.Status() == "running", "it runs");
            var ended = host.Stop();
            await Eventually.True(async () => !await Listens(host), "it has heard the signal");
            await File.WriteAllTextAsync(gate, "");
            (await ended).ShouldBe(0);
        }
        await using var source = NpgsqlDataSource.Create(database);
        await using var connection = await source.OpenConnectionAsync();
        var statuses = (await connection.QueryAsync<(long, string)>("SELECT log_id, status FROM cron.cron_log")).ToDictionary();
        statuses[quick].ShouldBe("success");
        statuses[slow].ShouldBe("interrupted");
    }

    [Fact]
    public async Task A_request_that_comes_slowly_keeps_a_stop_neither_from_its_drain_nor_from_signing_off()
    {
        var database = await Database();
        await using var source = NpgsqlDataSource.Create(database);
        await using var connection = await source.OpenConnectionAsync();
        await using var host = await Start("one", database, ("Codo__ShutdownGrace", "1"));
        await Send(host, HttpMethod.Post, "/v1/cron/job/", new { job_id = "tick", cmd = "true", cron = "* * * * * *", overlap = "allow" });
        await Eventually.True(async () => await connection.ExecuteScalarAsync<bool>("SELECT EXISTS (SELECT FROM cron.attempt)"), "it fires");
        using var slow = new TcpClient();
        await slow.ConnectAsync(host.Address.Host, host.Address.Port);
        var stream = slow.GetStream();
        await stream.WriteAsync(
            Encoding.ASCII.GetBytes(
                $"POST /v1/cron/job/ HTTP/1.1\r\nHost: {host.Address.Authority}\r\nauth-key: {TestTokens.Admin}\r\nContent-Type: application/json\r\n"
                    + "Content-Length: 900000\r\nExpect: 100-continue\r\n\r\n"
            )
        );
        // The host asks for the body when the request is under way.
        (await stream.ReadAsync(new byte[1])).ShouldBe(1);
        var sent = Trickle(stream);

        var ended = host.Stop();
        await Eventually.True(async () => !await Listens(host), "it has heard the signal");
        await Eventually.True(
            async () => await connection.ExecuteScalarAsync<bool>("SELECT min(next_run_at) < clock_timestamp() - interval '3 seconds' FROM cron.job"),
            "due times pass, and the host begins nothing"
        );
        var drained = await connection.ExecuteScalarAsync<DateTime>("SELECT clock_timestamp()");
        (await ended).ShouldBe(0, host.Output);
        await sent;
        (await connection.ExecuteScalarAsync<bool>("SELECT stopped_at IS NOT NULL FROM platform.node WHERE name = 'one'")).ShouldBeTrue("it has signed off");
        (await connection.ExecuteScalarAsync<long>("SELECT count(*) FROM cron.attempt WHERE started_at > @drained", new { drained })).ShouldBe(0);

        // Faster than what the host takes for a client that does not send at all, and some minutes long.
        static async Task Trickle(NetworkStream stream)
        {
            try
            {
                while (true)
                {
                    await stream.WriteAsync(new byte[200]);
                    await Task.Delay(TimeSpan.FromMilliseconds(100));
                }
            }
            catch (IOException)
            {
                // The host has ended the connection.
            }
        }
    }

    private static async Task<bool> Listens(HostProcess host)
    {
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync(host.Address.Host, host.Address.Port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    // A zombie has ended; who reaps it, and when, is its parent's matter.
    private static bool IsAlive(string pidFile)
    {
        var stat = $"/proc/{File.ReadAllText(pidFile).Trim()}/stat";
        return File.Exists(stat) && File.ReadAllText(stat) is var text && text[(text.LastIndexOf(')') + 2)..][0] is not ('Z' or 'X');
    }

    private string Spool(string node) => Path.Combine(folder.FullName, node, "spool", "cron");

    private async Task<string> Database() => await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));

    private Task<HostProcess> Start(string node, string database, params (string, string)[] more) =>
        HostProcess.Start(
            Path.Combine(folder.FullName, node),
            environment:
            [
                ("ConnectionStrings__Postgres", database),
                ("Codo__Auth__TokenSecret", TestTokens.Secret),
                ("Codo__MasterKey", "a-master-key-for-tests-of-more-than-32-bytes"),
                ("Codo__NodeName", node),
                ("Codo__TimeZone", "Asia/Shanghai"),
                .. more,
            ]
        );

    private static async Task<JsonObject> Send(HostProcess host, HttpMethod method, string path, object? body = null)
    {
        using var http = new HttpClient { BaseAddress = host.Address };
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : JsonContent.Create(body) };
        request.Headers.Add("auth-key", TestTokens.Admin);
        using var response = await http.SendAsync(request);
        return (await response.Content.ReadFromJsonAsync<JsonObject>())!;
    }

    private static async Task<JsonObject> Log(HostProcess host, long logId) =>
        (await Send(host, HttpMethod.Get, $"/v1/cron/log/?key=log_id&value={logId}"))["data"]!.AsArray().Single()!.AsObject();

    private static async Task<JsonObject?> TryLog(TestHost host, long logId) =>
        (await host.Get($"/v1/cron/log/?key=log_id&value={logId}"))["data"] is JsonArray { Count: 1 } rows ? rows[0]!.AsObject() : null;

    private static async Task<string> Ready(TestHost host)
    {
        using var response = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/healthz/ready", null, TestTokens.Admin));
        return await response.Content.ReadAsStringAsync();
    }
}
