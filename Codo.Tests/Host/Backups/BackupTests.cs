using System.Globalization;
using Codo.Host;
using Codo.Host.Backups;
using Codo.Host.LocalServices;
using Codo.Modules.Alerts.Channels;
using Codo.Modules.Cron.Jobs;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Data;
using Codo.Platform.Security;
using Codo.Tests.Host.Client;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Codo.Tests.Upgrades;
using Dapper;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Backups;

/// <summary>Backups: of a host that runs jobs and orders, restored into a private cluster while that host goes on; and of an older version.</summary>
public sealed class BackupTests(TestPostgres postgres)
{
    [Fact]
    public async Task A_drill_beside_production_runs_nothing_until_it_is_released_and_then_nothing_twice()
    {
        using var folder = new TestFolder();
        await using var host = await TestHost.Start(postgres);
        var (backup, keys, once) = (folder.At("codo.backup"), folder.At("codo.keys"), folder.At("once"));
        await host.Make(new { job_id = "tick", cmd = "true", cron = "* * * * * *" });
        await host.Make(new { job_id = "long", cmd = "sleep 300", cron = CronClient.Never, env = new { PASSWORD = "s3cret" } });
        var run = await host.RunNow("long");
        await host.Running(run);
        var underWay = await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step("sleep 300"), OrderHost.Step("true", level: 2)));
        await OrderHost.Stands(host, underWay, "21");
        var later = await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step($"echo x >> {once}")), schedule: "new");
        var over = await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step("true")));
        await Eventually.True(
            () => host.Ask<bool>("""
                SELECT EXISTS (SELECT FROM cron.cron_log WHERE dashboard_job <> '')
                    AND EXISTS (SELECT FROM tasks.dashboard_job WHERE list_id = @later AND background_job <> '')
                    AND EXISTS (SELECT FROM tasks.scheduler_task_list WHERE list_id = @over AND dashboard_job <> '')
                """, new { later, over }),
            "all are in the dashboard"
        );
        var shown = await host.Ask<long>("SELECT max(CAST(dashboard_job AS bigint)) FROM cron.cron_log WHERE dashboard_job <> ''");
        await using (var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken))
            await connection.ExecuteAsync(
                "CREATE EXTENSION IF NOT EXISTS pg_trgm; INSERT INTO platform.outbox (stream, kind, next_try_at) VALUES ('x:1', 'x', 'infinity')"
            );

        var made = await HostProcess.Run(
            ["backup", backup, "--keys", keys],
            environment: [("ConnectionStrings__Postgres", host.Postgres), ("Codo__MasterKey", MasterKey), ("Codo__Auth__TokenSecret", TestTokens.Secret)]
        );
        made.ExitCode.ShouldBe(0, made.Errors);
        foreach (var file in (string[])[backup, keys]) File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Directory.GetFiles(folder.Path).Length.ShouldBe(2, "nothing is left beside the files");

        var data = folder.At("restored");
        string[] here = [$"--Codo:DataDirectory={data}", "--Codo:MinFreeDisk=0"];
        // What cannot be restored is refused before anything is touched.
        await Refused(() => RestoreBackup.Run(here, backup, null, false, false), "sealed with a master key that is not here");
        await Damaged(backup, folder.At("cut"), bytes => bytes[..^100], here, "is cut off");
        await Damaged(backup, folder.At("short"), bytes => bytes[..10], here, "is no backup");
        await Damaged(backup, folder.At("flipped"), Flipped, here, "is damaged");
        await BackupFile.Write(folder.At("newer"), new BackupHeader { Migrations = ["Codo.9999-later.sql"] }, _ => Task.CompletedTask);
        await Refused(() => RestoreBackup.Run(here, folder.At("newer"), keys, false, false), "was made by a newer Codo");
        string[] production =
        [
            $"--ConnectionStrings:Postgres={host.Postgres}",
            $"--Codo:Auth:TokenSecret={TestTokens.Secret}",
            $"--Codo:MasterKey={MasterKey}",
            .. here,
        ];
        await Refused(() => RestoreBackup.Run(production, backup, null, true, false), "Hosts of Codo are connected");
        Directory.Exists(Path.Combine(data, "postgres")).ShouldBeFalse();

        await RestoreBackup.Run(here, backup, keys, false, false);
        await Refused(() => RestoreBackup.Run(here, backup, keys, false, false), "The database is not empty");

        await using var drill = await HostProcess.Start(data);
        await using var inside = new NpgsqlConnection(EmbeddedPostgres.OfRunningHost(data, PostgresCluster.Superuser) + ";Pooling=false");
        await inside.OpenAsync(TestContext.Current.CancellationToken);
        var hold = await drill.Send(HttpMethod.Get, "/v2/hold/");
        ((bool)hold["held"]!).ShouldBeTrue();
        (await drill.Text(HttpMethod.Get, "/healthz/ready")).ShouldContain("nothing fires, no order goes on");
        (await drill.Text(HttpMethod.Get, "/jobs/")).ShouldContain("id=\"held\"");
        // Every due time since the snapshot is one row that says why.
        var ticks = "SELECT count(*) FROM cron.cron_log l JOIN platform.hold h ON true WHERE l.job_id = 'tick' AND l.exec_time > h.backup_at AND ";
        await Eventually.True(
            async () => await Count(inside, ticks + "l.status = 'skipped' AND l.times > 2 AND l.cause_en LIKE '%held%'") == 1,
            "the hold is in the ledger"
        );
        (await Count(inside, ticks + "l.status <> 'skipped' AND l.ended_at > h.since + interval '1 second'")).ShouldBe(0);
        (await drill.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "long" })).ToJsonString().ShouldContain("codo release");
        (await Text(inside, $"SELECT status || ' ' || cause_en FROM cron.cron_log WHERE log_id = {run}"))
            .ShouldStartWith("interrupted Restored from the backup");
        (await Text(inside, $"SELECT string_agg(state, ',') FROM tasks.lane WHERE list_id = {underWay}")).ShouldBe("interrupted");
        // An approval is taken, and waits.
        (await drill.Send(HttpMethod.Patch, "/v2/task/list/", new { list_id = later, start_time = Now() })).Code().ShouldBe(0);
        // Of the outbox of before nothing is left; what the approval wrote is handed on.
        await Eventually.True(async () => await Count(inside, "SELECT count(*) FROM platform.outbox") == 0, "the outbox is empty");
        // What the restored rows name in the dashboard is not what has the same number there now.
        (await Count(inside, "SELECT min(id) FROM hangfire.job")).ShouldBeGreaterThan(shown);
        (await Text(inside, $"""
            SELECT invocationdata ->> 'Arguments' FROM hangfire.job WHERE CAST(id AS text) =
                (SELECT background_job FROM tasks.dashboard_job WHERE list_id = {later})
            """)).ShouldContain(later.ToString(CultureInfo.InvariantCulture));
        (await Text(inside, $"SELECT dashboard_job FROM tasks.scheduler_task_list WHERE list_id = {over}")).ShouldBe("");
        // Production's own commands are left alone.
        (await host.Log(run)).Status().ShouldBe("running");
        await OrderHost.Stands(host, underWay, "21");
        File.Exists(once).ShouldBeFalse();

        var token = Codo.Host.Commands.IssueToken.Sign(TestTokens.Secret, "drill", superuser: true, TimeSpan.FromHours(1), DateTimeOffset.UtcNow);
        var release = await ClientHost.RunIn("", [("CODO_URL", drill.Address.ToString()), ("CODO_TOKEN", token), ("LANG", "en_US.UTF-8")], "release", "--yes");
        release.Text.ShouldContain("Released");
        (await drill.Send(HttpMethod.Post, "/v2/hold/release/", new { })).Code().ShouldNotBe(0, "nothing is held any more");
        await Eventually.True(async () => await Count(inside, ticks + "l.status = 'success' AND l.nominal_at > h.released_at") > 1, "jobs fire again");
        (await Count(inside, ticks + "l.trigger = 'catch_up'")).ShouldBe(0, "nothing is made up for");
        (await Count(inside, ticks + "l.status <> 'skipped' AND l.nominal_at <= h.released_at AND l.nominal_at > h.since")).ShouldBe(0);
        await Eventually.True(
            async () => await Text(inside, $"SELECT schedule FROM tasks.scheduler_task_list WHERE list_id = {later}") == "OK",
            "the order goes on"
        );
        (await File.ReadAllLinesAsync(once, TestContext.Current.CancellationToken)).Length.ShouldBe(1);
        (await Text(inside, $"SELECT string_agg(CAST(task_status AS text), '' ORDER BY task_level) FROM tasks.scheduler_task_info WHERE list_id = {underWay}"))
            .ShouldBe("61", "what was under way waits for a person");

        // A private cluster is backed up while its host runs, and goes into an external PostgreSQL as well.
        var own = folder.At("own.backup");
        made = await HostProcess.Run(["backup", own], environment: ("Codo__DataDirectory", data));
        made.ExitCode.ShouldBe(0, made.Errors);
        var external = TestPostgres.AsSuperuser(await postgres.CreateDatabase());
        var restored = await HostProcess.Run(
            ["restore", own],
            environment:
            [
                ("ConnectionStrings__Postgres", external),
                ("Codo__Auth__TokenSecret", TestTokens.Secret),
                ("Codo__MasterKey", MasterKey),
                ("Codo__DataDirectory", folder.At("elsewhere")),
                ("Codo__MinFreeDisk", "0"),
            ]
        );
        restored.ExitCode.ShouldBe(0, restored.Errors);
        // What a person has to do before anybody else comes is said at the end.
        foreach (var told in (string[])["was disabled", "was revoked", "grant", "password", "Codo:Auth:TokenSecret", "codo release"])
            restored.Output.ShouldContain(told);
        await using var outside = new NpgsqlConnection(external + ";Pooling=false");
        (await Text(outside, "SELECT string_agg(job_id, ' ' ORDER BY job_id) FROM cron.job")).ShouldBe("long tick");
        (await Count(outside, "SELECT count(*) FROM platform.hold WHERE released_at IS NULL")).ShouldBe(1);
    }

    [Fact]
    public async Task A_backup_of_the_version_before_replaces_another_database_with_its_keys_and_without()
    {
        using var folder = new TestFolder();
        var backup = folder.At("codo.backup");
        var before = await postgres.CreateDatabase();
        await Execute(before, await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "Upgrades", "0.1.0.sql")));
        await TakeBackup.Run([$"--ConnectionStrings:Postgres={TestPostgres.AsSuperuser(before)}"], backup, null, false);
        var target = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await Execute(target, "INSERT INTO platform.setting (key, value) VALUES ('left.over', 'x'), ('master_key_check', 'of another')");
        string[] Settings(string key) =>
        [
            $"--ConnectionStrings:Postgres={TestPostgres.AsSuperuser(target)}",
            $"--Codo:Auth:TokenSecret={TestTokens.Secret}",
            $"--Codo:MasterKey={key}",
            $"--Codo:DataDirectory={folder.At("data")}",
            "--Codo:MinFreeDisk=0",
        ];
        await using var source = NpgsqlDataSource.Create(TestPostgres.AsSuperuser(target) + ";Pooling=false");
        await using var connection = await source.OpenConnectionAsync(TestContext.Current.CancellationToken);

        await Refused(() => RestoreBackup.Run(Settings(UpgradeTests.MasterKey), backup, null, false, false), "The database is not empty");
        await Refused(() => RestoreBackup.Run(Settings(MasterKey), backup, null, true, false), "sealed with a master key that is not here");
        (await Count(connection, "SELECT count(*) FROM platform.setting WHERE key = 'left.over'")).ShouldBe(1, "nothing was touched");
        await RestoreBackup.Run(Settings(UpgradeTests.MasterKey), backup, null, true, false);
        (await Text(connection, "SELECT string_agg(job_id, ', ' ORDER BY job_id) FROM cron.job")).ShouldBe("each second, fails, nightly, paused");
        (await Count(connection, "SELECT count(*) FROM platform.setting WHERE key = 'left.over'")).ShouldBe(0, "what was there is gone");
        (await Migrator.IsCurrent(source, Composition.Schema)).ShouldBeTrue("the schema is this version's");
        (await Count(connection, "SELECT count(*) FROM platform.hold WHERE released_at IS NULL")).ShouldBe(1);
        var ours = new SecretBox(new Dictionary<int, string> { [1] = MasterKey }, 1);
        await Should.ThrowAsync<MasterKeyIsAnother>(() => MasterKeyCheck.Verify(source, ours));

        // As after an upgrade: what named nobody goes on as the user of before. The package says who that was, where it has taken the installation over.
        await File.WriteAllTextAsync(folder.At("ran-as"), "deployer\n", TestContext.Current.CancellationToken);
        IStampRunAs[] modules = [new StampJobs(), new StampSteps(), new StampChannels()];
        await RunAsStamp.Run(source, folder.Path, modules, NullLogger.Instance);
        (await Text(connection, "SELECT string_agg(DISTINCT run_as, ',') FROM cron.job")).ShouldBe("deployer");
        (await Text(connection, "SELECT string_agg(DISTINCT run_as, ',') FROM tasks.scheduler_temp_details")).ShouldBe("deployer");
        await Execute(target, "UPDATE cron.job SET run_as = '' WHERE job_id = 'nightly'");
        await RunAsStamp.Run(source, folder.Path, modules, NullLogger.Instance);
        (await Count(connection, "SELECT count(*) FROM cron.job WHERE run_as = ''")).ShouldBe(1, "once, at the first start");

        // Without the keys: the rest is there, and a host with keys of its own starts on it.
        await RestoreBackup.Run(Settings(MasterKey), backup, null, true, true);
        (await Count(connection, "SELECT count(*) FROM cron.job WHERE env IS NOT NULL")).ShouldBe(1, "sealed as it was, for whoever finds the key");
        (await Text(connection, "SELECT after ->> 'without_keys' FROM platform.audit WHERE action = 'restore'")).ShouldBe("true");
        await MasterKeyCheck.Verify(source, ours);
    }

    [Fact]
    public async Task Keys_that_do_not_open_everything_are_not_written_as_the_keys()
    {
        using var folder = new TestFolder();
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using var source = NpgsqlDataSource.Create(TestPostgres.AsSuperuser(database) + ";Pooling=false");
        const string next = "the-next-master-key-of-more-than-32-bytes";
        await MasterKeyCheck.Verify(source, new SecretBox(new Dictionary<int, string> { [1] = MasterKey }, 1));
        await MasterKeyCheck.Verify(source, new SecretBox(new Dictionary<int, string> { [1] = MasterKey, [2] = next }, 2));
        // A node with another key of that number would seal what the others cannot open.
        await Should.ThrowAsync<MasterKeyIsAnother>(
            () => MasterKeyCheck.Verify(source, new SecretBox(new Dictionary<int, string> { [1] = MasterKey, [2] = next + "!" }, 2))
        );
        string[] common = [$"--ConnectionStrings:Postgres={TestPostgres.AsSuperuser(database)}", $"--Codo:Auth:TokenSecret={TestTokens.Secret}"];
        string[] old = [.. common, $"--Codo:MasterKey={MasterKey}"];
        string[] both = [.. common, $"--Codo:MasterKey={next}", "--Codo:MasterKeyNumber=2", $"--Codo:OldMasterKeys:1={MasterKey}"];
        var (backup, keys) = (folder.At("codo.backup"), folder.At("codo.keys"));
        await Refused(() => TakeBackup.Run(old, backup, keys, false), "Codo__OldMasterKeys__N");
        await Refused(() => TakeBackup.Run(old, backup, null, true), "Codo__OldMasterKeys__N");
        Directory.GetFiles(folder.Path).ShouldBeEmpty();
        await TakeBackup.Run(both, backup, keys, false);
        var target = await postgres.CreateDatabase();
        string[] there = [$"--ConnectionStrings:Postgres={TestPostgres.AsSuperuser(target)}", .. old[1..], $"--Codo:DataDirectory={folder.At("data")}"];
        await Refused(() => RestoreBackup.Run(there, backup, null, false, false), "sealed with a master key that is not here");
        (await BackupFile.Open(backup)).Header.IsOpenedBy(InstallationKeys.Box(await File.ReadAllBytesAsync(keys))).ShouldBeTrue();
    }

    [Fact]
    public async Task A_command_without_the_hosts_settings_makes_no_key_beside_a_database()
    {
        using var folder = new TestFolder();
        var data = folder.At("data");
        Directory.CreateDirectory(Path.Combine(data, "postgres"));
        await File.WriteAllTextAsync(Path.Combine(data, "postgres", "PG_VERSION"), "17\n", TestContext.Current.CancellationToken);
        string[] settings = [$"--Codo:DataDirectory={data}"];
        await Refused(() => TakeBackup.Run(settings, folder.At("codo.backup"), null, false), "Give this command the settings of the host");
        File.Exists(Path.Combine(data, "secrets", "master-key")).ShouldBeFalse();
    }

    [Fact]
    public async Task A_restore_that_is_refused_leaves_an_installation_its_own_keys()
    {
        using var folder = new TestFolder();
        var (made, backup, keys) = (folder.At("made.backup"), folder.At("codo.backup"), folder.At("codo.keys"));
        var other = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using (var source = NpgsqlDataSource.Create(TestPostgres.AsSuperuser(other) + ";Pooling=false"))
            await MasterKeyCheck.Verify(source, new SecretBox(new Dictionary<int, string> { [1] = MasterKey }, 1));
        string[] settings =
        [
            $"--ConnectionStrings:Postgres={TestPostgres.AsSuperuser(other)}",
            $"--Codo:Auth:TokenSecret={TestTokens.Secret}",
            $"--Codo:MasterKey={MasterKey}",
        ];
        await TakeBackup.Run(settings, made, keys, false);
        var file = await BackupFile.Open(made);
        await BackupFile.Write(backup, file.Header with { Server = "99.1" }, file.CopyDump);
        var data = folder.At("data");
        var secrets = Directory.CreateDirectory(Path.Combine(data, "secrets")).FullName;
        string[] names = ["master-key", "token-secret"];
        foreach (var name in names)
            await File.WriteAllTextAsync(Path.Combine(secrets, name), $"the {name} of this installation, and of no other\n");

        await Refused(
            () => RestoreBackup.Run([$"--Codo:DataDirectory={data}", "--Codo:MinFreeDisk=0"], backup, keys, true, false),
            "is of PostgreSQL 99"
        );

        foreach (var name in names)
            (await File.ReadAllTextAsync(Path.Combine(secrets, name))).ShouldBe($"the {name} of this installation, and of no other\n");
        Directory.GetFiles(secrets, "*.replaced-*").ShouldBeEmpty();
    }

    [Fact]
    public async Task Keys_of_a_backup_take_the_place_of_those_of_a_new_installation_only_where_that_is_asked_for()
    {
        using var folder = new TestFolder();
        var data = folder.At("data");
        var secrets = Directory.CreateDirectory(Path.Combine(data, "secrets")).FullName;
        (string Name, string Value)[] keys = [("master-key", MasterKey), ("token-secret", TestTokens.Secret)];
        foreach (var (name, _) in keys) await File.WriteAllTextAsync(Path.Combine(secrets, name), $"the {name} of this installation, and of no other\n");
        var given = new ConfigurationBuilder()
            .AddInMemoryCollection([new("Codo:MasterKey", MasterKey), new("Codo:Auth:TokenSecret", TestTokens.Secret)])
            .Build();
        var settings = new ConfigurationBuilder().Build();

        await Refused(() => InstallationKeys.Keep(given, settings, data, replace: false), "is another key");
        (await InstallationKeys.Keep(given, settings, data, replace: true)).Count.ShouldBe(2);

        foreach (var (name, value) in keys) (await File.ReadAllTextAsync(Path.Combine(secrets, name))).ShouldBe(value + "\n");
        Directory.GetFiles(secrets, "*.replaced-*").Length.ShouldBe(2, "those that were there are kept");
    }

    [Fact]
    public async Task Keys_that_cannot_be_read_are_refused_with_a_sentence()
    {
        using var folder = new TestFolder();
        var backup = folder.At("codo.backup");
        await BackupFile.Write(backup, new BackupHeader(), _ => Task.CompletedTask);
        foreach (var keys in (string[])[folder.Path, folder.At("missing"), ""])
        {
            var (code, output, errors) = await HostProcess.Run(["restore", backup, "--keys", keys], environment: ("Codo__DataDirectory", folder.At("data")));
            (code, output).ShouldBe((2, ""), errors);
            errors.TrimEnd().Split('\n').ShouldHaveSingleItem().ShouldStartWith($"{keys} cannot be read by user ");
        }
    }

    [Theory]
    [InlineData("99.1", true, "is of PostgreSQL 99")]
    [InlineData("", false, "pg_restore ended with")]
    public async Task What_cannot_be_loaded_is_refused_before_anything_goes(string server, bool isWhole, string sentence)
    {
        using var folder = new TestFolder();
        var (backup, made) = (folder.At("codo.backup"), folder.At("made.backup"));
        var target = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await Execute(target, "INSERT INTO platform.setting (key, value) VALUES ('left.over', 'x')");
        await using var source = NpgsqlDataSource.Create(TestPostgres.AsSuperuser(target) + ";Pooling=false");
        await MasterKeyCheck.Verify(source, new SecretBox(new Dictionary<int, string> { [1] = MasterKey }, 1));
        string[] settings =
        [
            $"--ConnectionStrings:Postgres={TestPostgres.AsSuperuser(target)}",
            $"--Codo:Auth:TokenSecret={TestTokens.Secret}",
            $"--Codo:MasterKey={MasterKey}",
            $"--Codo:DataDirectory={folder.At("data")}",
            "--Codo:MinFreeDisk=0",
        ];
        await TakeBackup.Run(settings, made, null, false);
        var file = await BackupFile.Open(made);
        var header = server.Length == 0 ? file.Header : file.Header with { Server = server };
        await BackupFile.Write(backup, header, to => isWhole ? file.CopyDump(to) : to.WriteAsync("of another tool"u8.ToArray()).AsTask());
        await Refused(() => RestoreBackup.Run(settings, backup, null, true, false), sentence);
        await using var connection = await source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        (await Count(connection, "SELECT count(*) FROM platform.setting WHERE key = 'left.over'")).ShouldBe(1, "nothing was touched");
        (await Count(connection, "SELECT count(*) FROM pg_namespace WHERE nspname = 'codo_restoring'")).ShouldBe(0);
    }

    [Fact]
    public async Task A_backup_of_an_earlier_month_is_restored_with_a_month_for_what_is_written_now()
    {
        using var folder = new TestFolder();
        var backup = folder.At("codo.backup");
        var target = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await Execute(
            target,
            """
            DO $$
            DECLARE
                month text;
            BEGIN
                FOR month IN SELECT CAST(inhrelid::regclass AS text) FROM pg_inherits
                    WHERE inhparent = 'platform.audit'::regclass AND inhrelid <> 'platform.audit_default'::regclass
                LOOP
                    EXECUTE 'DROP TABLE ' || month;
                END LOOP;
            END $$
            """
        );
        await using var source = NpgsqlDataSource.Create(TestPostgres.AsSuperuser(target) + ";Pooling=false");
        await MasterKeyCheck.Verify(source, new SecretBox(new Dictionary<int, string> { [1] = MasterKey }, 1));
        string[] settings =
        [
            $"--ConnectionStrings:Postgres={TestPostgres.AsSuperuser(target)}",
            $"--Codo:Auth:TokenSecret={TestTokens.Secret}",
            $"--Codo:MasterKey={MasterKey}",
            $"--Codo:DataDirectory={folder.At("data")}",
            "--Codo:MinFreeDisk=0",
        ];
        await TakeBackup.Run(settings, backup, null, false);
        await RestoreBackup.Run(settings, backup, null, true, false);
        await using var connection = await source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        (await Count(connection, "SELECT count(*) FROM platform.audit WHERE action = 'restore'")).ShouldBe(1);
        (await Count(connection, "SELECT count(*) FROM platform.audit_default")).ShouldBe(0);
    }

    private static async Task Execute(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(TestPostgres.AsSuperuser(database) + ";Pooling=false");
        await connection.ExecuteAsync(sql, commandTimeout: 60);
    }

    [Fact]
    public async Task A_database_whose_restore_was_cut_off_is_refused()
    {
        var database = await postgres.CreateDatabase();
        await using (var connection = new NpgsqlConnection(database + ";Pooling=false"))
            await connection.ExecuteAsync($"CREATE SCHEMA {Migrator.RestoringSchema}");
        (await Should.ThrowAsync<RestoreIsUnfinished>(() => TestHost.Migrate(database))).Message.ShouldContain("codo restore");
    }

    [Fact]
    public async Task A_backup_that_a_signal_ends_leaves_no_file()
    {
        using var folder = new TestFolder();
        var database = TestPostgres.AsSuperuser(await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate)));
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
        // pg_dump waits for it.
        await connection.ExecuteAsync("LOCK TABLE cron.job IN ACCESS EXCLUSIVE MODE", transaction: transaction);
        (string, string)[] settings = [("ConnectionStrings__Postgres", database), ("Codo__DataDirectory", folder.At("data"))];
        var command = HostProcess.Command(HostProcess.Binary, ["backup", folder.At("codo.backup")], null, folder.Path, settings);
        using var process = await Children.Start(command);
        await Eventually.True(() => process.HasExited || Directory.GetFiles(folder.Path, "*.partial").Length == 1, "it writes");
        process.HasExited.ShouldBeFalse();
        Posix.Signal(process.Id, 15);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        process.ExitCode.ShouldNotBe(0);
        Directory.GetFiles(folder.Path).ShouldBeEmpty();
    }

    private const string MasterKey = "a-master-key-for-tests-of-more-than-32-bytes";

    private static string Now() => DateTime.UtcNow.AddHours(8).AddSeconds(-5).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);

    private static async Task Damaged(string backup, string copy, Func<byte[], byte[]> damage, string[] settings, string sentence)
    {
        await File.WriteAllBytesAsync(copy, damage(await File.ReadAllBytesAsync(backup)));
        await Refused(() => RestoreBackup.Run(settings, copy, null, false, false), sentence);
    }

    private static byte[] Flipped(byte[] bytes)
    {
        bytes[bytes.Length / 2] ^= 1;
        return bytes;
    }

    private static async Task Refused(Func<Task> restore, string sentence) => (await Should.ThrowAsync<StartRefused>(restore)).Message.ShouldContain(sentence);

    private static Task<long> Count(NpgsqlConnection connection, string sql) => connection.QuerySingleAsync<long>(sql);

    private static Task<string> Text(NpgsqlConnection connection, string sql) => connection.QuerySingleAsync<string>(sql);
}
