using Codo.Host.LocalServices;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Npgsql;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Upgrades;

/// <summary>An installation of the version before goes on after an upgrade: its data, its tokens, its settings, its clients.</summary>
public sealed class UpgradeTests(TestPostgres postgres)
{
    // The keys of the installation that the dump was taken from; it was made for this test.
    internal const string MasterKey = "InqaQ3Q7wAaQXgNh_RM7l7T-ZoQez_n3dxVJtpkdmWY";

    private const string TokenSecret = "T8BJH9buRaWSaRMR4aXDlSBq24eaHkdTn2_sbHS-QDY";

    [Fact]
    public async Task A_database_of_version_0_1_0_is_migrated_and_goes_on()
    {
        var database = await postgres.CreateDatabase();
        await Execute(database, await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "Upgrades", "0.1.0.sql")));
        // What that version had written and not told when it was stopped.
        await Execute(database, """
            INSERT INTO cron.news (kind, job, job_id, log_id, nominal_at, nominal_until) SELECT 'ended', job, job_id, log_id, nominal_at, nominal_at
                FROM cron.cron_log WHERE job_id = 'fails';
            INSERT INTO tasks.news (list_id, situation) SELECT list_id, 1 FROM tasks.scheduler_task_list WHERE schedule = 'new';
            UPDATE tasks.scheduler_task_list SET told = 0 WHERE schedule = 'new';
            -- Its 29th of February may have come since the dump was taken: it would run once more, and fail once more.
            UPDATE cron.job SET accounted_to = now(), next_run_at = now() + interval '1 year' WHERE job_id = 'fails';
            """);
        await DatabaseRoles.Settle(TestPostgres.AsSuperuser(database));
        var failures = await Count(database, "SELECT count FROM alerts.task_monitor WHERE fingerprint = 'job:fails:failed'");
        await using var host = await TestHost.Start(
            postgres,
            database,
            ("Codo:Auth:TokenSecret", TokenSecret),
            ("Codo:MasterKey", MasterKey),
            ("Codo:TimeZone", ""),
            // The dump has the date of the day on which it was taken.
            ("Codo:Cron:LogRetentionDays", "36500"),
            ("Codo:RunAs", Environment.IsPrivilegedProcess ? "nobody" : Environment.UserName)
        );
        var token = global::Codo.Host.Commands.IssueToken.Sign(TokenSecret, "admin", superuser: true, TimeSpan.FromDays(1), DateTimeOffset.UtcNow);

        // Jobs: as they were, and each second one goes on; a paused one stays paused; secrets open under the same key.
        var jobs = (await host.Get("/v1/cron/job/?limit=100", token))["data"]!
            .AsArray()
            .ToDictionary(job => job!["job_id"]!.GetValue<string>(), job => job!.AsObject());
        jobs.Keys.Order().ShouldBe(["each second", "fails", "nightly", "paused"]);
        jobs["nightly"]["env"]!["GREETING"]!.GetValue<string>().ShouldBe("hello");
        jobs["nightly"]["env"]!["DB_PASSWORD"]!.GetValue<string>().ShouldBe("******");
        jobs["nightly"]["state"]!.GetValue<string>().ShouldBe("running");
        jobs["paused"]["status"]!.GetValue<string>().ShouldBe("1");
        var fires = await Count(database, "SELECT count(*) FROM cron.cron_log WHERE job_id = 'each second' AND status = 'success'");
        await Eventually.True(
            async () => await Count(database, "SELECT count(*) FROM cron.cron_log WHERE job_id = 'each second' AND status = 'success'") > fires + 2,
            "jobs fire"
        );
        await Eventually.True(
            async () =>
                await Count(database, "SELECT count(*) FROM hangfire.hash WHERE key LIKE 'recurring-job:%' AND field = 'Job' AND value LIKE '%FireDueJobs%'")
                == 3,
            "Hangfire has them under their new names"
        );
        (
            await Count(
                database,
                "SELECT count(*) FROM hangfire.job WHERE invocationdata::text LIKE '%Executions.Wake%' OR invocationdata::text LIKE '%Telling%'"
            )
        ).ShouldBe(0);
        await Eventually.True(
            async () =>
                (string)(await host.Get("/v1/cron/log/?job_id=nightly&status=success&start_date=2026-11-01", token))["data"]![0]!["task_log"]!
                == "hello\n",
            "its ledger is there"
        );

        // What had not been told is told by the outbox.
        await Eventually.True(async () => await Count(database, "SELECT count(*) FROM platform.outbox") == 0, "the outbox is empty");
        (await Count(database, "SELECT count FROM alerts.task_monitor WHERE fingerprint = 'job:fails:failed'")).ShouldBe(failures + 1);
        (await Count(database, "SELECT told FROM tasks.scheduler_task_list WHERE schedule = 'new'")).ShouldBe(1);

        // Orders were kept for ever: their retention counts from the upgrade.
        (await Count(database, "SELECT count(*) FROM platform.setting WHERE key = 'keep.tasks.orders_from'")).ShouldBe(1);

        // Orders: one that waits for a person goes on, one that failed is run again, a waiting one is approved; causes read in one language.
        (await host.Send(HttpMethod.Put, "/v2/task/check/", """{"list_id": 1, "hand_task": "wait"}""", token)).Code().ShouldBe(0);
        (await OrderHost.Ended(host, 1)).ShouldBe("3");
        var failed = (await host.Send(HttpMethod.Get, "/v2/task/check/?list_id=3", token: token, language: "en"))["data"]!["scheduler_list"]![0]!;
        failed["cause"]!.GetValue<string>().ShouldBe("Exit status 7");
        (await host.Send(HttpMethod.Patch, "/v2/task/list/", """{"list_id": 2, "start_time": "2026-01-01 00:00"}""", token)).Code().ShouldBe(0);
        (await host.Get("/v2/task_layout/user/", token))["data"]![0]!["user_key"]!.GetValue<string>().ShouldBe("******");
        (await host.Get("/v2/alerts/channel/", token))["data"]!.AsArray().Count.ShouldBe(1);
        (await host.Get("/healthz/ready", token))["checks"]!["jobs"]!["status"]!.GetValue<string>().ShouldBe("healthy");

        // What ran as the host's user goes on as that user, whatever the default for new ones is, and health says so until somebody has looked.
        jobs.Values.Select(job => job["run_as"]!.GetValue<string>()).Distinct().ShouldBe([Environment.UserName]);
        (await Count(database, "SELECT count(*) FROM tasks.scheduler_temp_details WHERE run_as = ''")).ShouldBe(0);
        (
            await Count(
                database,
                ($"SELECT count(*) FROM tasks.scheduler_task_info i JOIN tasks.scheduler_task_list o USING (list_id) WHERE i.run_as <> CASE WHEN o.schedule "
                    + $"= 'OK' AND o.list_id <> 1 THEN i.run_as ELSE '{Environment.UserName}' END")
            )
        ).ShouldBe(0);
        (await host.Get("/healthz/ready", token))["checks"]!["run_as"]!["status"]!.GetValue<string>().ShouldBe("degraded");
        // Until then operators change what they changed before the upgrade.
        var someone = global::Codo.Host.Commands.IssueToken.Sign(TokenSecret, "operator", superuser: false, TimeSpan.FromDays(1), DateTimeOffset.UtcNow);
        (await host.Send(HttpMethod.Put, "/v1/cron/job/", """{"job_id": "paused", "cmd": "echo changed"}""", someone)).Code().ShouldBe(0);
        (await host.Send(HttpMethod.Post, "/v2/nodes/run_as/", "{}", someone)).Code().ShouldBe(-2);
        (await host.Send(HttpMethod.Post, "/v2/nodes/run_as/", "{}", token)).Code().ShouldBe(0);
        (await host.Get("/healthz/ready", token))["checks"]!["run_as"]!["status"]!.GetValue<string>().ShouldBe("healthy");
        (await host.Send(HttpMethod.Put, "/v1/cron/job/", """{"job_id": "paused", "cmd": "echo changed again"}""", someone))
            .Code()
            .ShouldBe(Environment.IsPrivilegedProcess ? -2 : 0);
    }

    [Fact]
    public async Task What_was_there_is_stamped_once_by_the_first_host_that_starts()
    {
        var database = await postgres.CreateDatabase();
        await Execute(database, await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "Upgrades", "0.1.0.sql")));
        await DatabaseRoles.Settle(TestPostgres.AsSuperuser(database));
        await TestHost.Migrate(database);
        (string, string)[] settings = [("Codo:Auth:TokenSecret", TokenSecret), ("Codo:MasterKey", MasterKey), ("Codo:TimeZone", "")];
        var hosts = await Task.WhenAll(TestHost.Start(postgres, database, settings), TestHost.Start(postgres, database, settings));
        (await Count(database, "SELECT count(*) FROM platform.audit WHERE kind = 'run_as' AND action = 'stamp'")).ShouldBe(1);
        (await Count(database, $"SELECT count(*) FROM cron.job WHERE run_as = '{Environment.UserName}'")).ShouldBe(4);
        foreach (var host in hosts) await host.DisposeAsync();
        // An import that comes later is nobody's past: it runs as Codo:RunAs.
        await Execute(database, "UPDATE cron.job SET run_as = '' WHERE job_id = 'nightly'");
        await using var later = await TestHost.Start(postgres, database, settings);
        (await Count(database, "SELECT count(*) FROM cron.job WHERE run_as = ''")).ShouldBe(1);
    }

    // As that version did: its role was a superuser.
    private static async Task Execute(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(TestPostgres.AsSuperuser(database));
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 60 };
        await command.ExecuteNonQueryAsync();
    }

    private static async Task<long> Count(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return Convert.ToInt64(await command.ExecuteScalarAsync(), System.Globalization.CultureInfo.InvariantCulture);
    }
}
