using Codo.Host;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Codo.Tests.Platform.Data;

/// <summary>Two versions beside each other while an upgrade goes from node to node. The newer one is this binary with one migration more.</summary>
public sealed class MigratorTests(TestPostgres postgres)
{
    private const string Script = "Codo.Platform.Data.Migrations.9999-newer.sql";

    private const string WaitsForNodesSql = """
        SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND relation = CAST('platform.node' AS regclass))
        """;

    private static Version Own => Composition.Schema.Binary;

    private static Version Next => new(Own.Major, Own.Minor + 1, 0);

    [Fact]
    public async Task A_binary_works_on_a_newer_schema_whose_migrations_name_it_and_stops_when_one_comes_that_does_not()
    {
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using (var source = NpgsqlDataSource.Create(database + ";Pooling=false"))
            await Migrate(source, Newer($"-- runs beside: {Own.ToString(3)}\nALTER TABLE cron.job ADD COLUMN newer text NOT NULL DEFAULT 'x'"));

        await using var older = await TestHost.Start(postgres, database);
        await older.Post("/v1/cron/job/", new { job_id = "beside", cmd = "echo beside", cron = CronClient.Never });
        (await older.Post("/v1/cron/job/run/", new { job_id = "beside" }))["code"]!.GetValue<int>().ShouldBe(0);
        await Eventually.True(async () => await older.Count("SELECT count(*) FROM cron.cron_log WHERE status = 'success'") == 1, "the older one runs it");
        (await older.Ask<string>("SELECT newer FROM cron.job")).ShouldBe("x");

        // A node that slept: the others took it for dead, and then a migration came that it does not go with.
        await Execute(older.Source, $"""
            INSERT INTO platform.schema_version (scriptname, applied) VALUES ('later.sql', now());
            INSERT INTO platform.migration (script, oldest) VALUES ('later.sql', '{Next}');
            UPDATE platform.node SET fenced = incarnation
            """);
        var stopping = older.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
        await Eventually.True(() => stopping.IsCancellationRequested, "it stops instead of joining anew");
        older.Services.GetRequiredService<Node>().StopReason!.Message.ShouldContain($"it has later.sql, beside which {Next} or newer runs");
        (await older.Count("SELECT count(*) FROM platform.node WHERE fenced < incarnation")).ShouldBe(0);
    }

    [Fact]
    public async Task A_binary_refuses_a_newer_schema_whose_migrations_do_not_name_it()
    {
        await using var source = await Migrated();
        await Migrate(source, Newer("SELECT 1"));

        var refused = await Should.ThrowAsync<SchemaIsNewer>(() => Migrate(source, Composition.Schema));

        refused.Message.ShouldContain($"it has {Script}, beside which {Next} or newer runs");
        // What a binary of before this rule left says nothing.
        await Execute(source, "DELETE FROM platform.migration");
        (await Should.ThrowAsync<SchemaIsNewer>(() => Migrate(source, Composition.Schema))).Message.ShouldContain($"(it has {Script});");
    }

    [Fact]
    public async Task A_migration_waits_for_older_nodes_that_run_and_names_them()
    {
        await using var source = await Migrated();
        await Execute(source, Node("web1", "0.1.0"));
        // The one that is replaced, and one that is new enough.
        await Execute(source, Node("own", "0.1.0"));
        await Execute(source, Node("web2", Own.ToString(3)));
        await Execute(source, "UPDATE platform.node SET heartbeat_at = heartbeat_at - interval '1 hour' WHERE name = 'web2'");
        var newer = Newer($"-- runs beside: {Own.ToString(3)}\nCREATE TABLE platform.newer ()");

        var refused = await Should.ThrowAsync<OlderNodesRun>(() => Migrate(source, newer, TimeSpan.Zero));

        refused.Message.ShouldStartWith($"Older nodes run: web1 (0.1.0). {Script} does not go with versions before {Own.ToString(3)}: stop these nodes first");
        (await Migrator.IsCurrent(source, newer)).ShouldBeFalse();
        // As a node that was killed: its lease runs out while the migration waits.
        var waiting = Migrate(source, newer);
        await Execute(source, "UPDATE platform.node SET heartbeat_at = clock_timestamp() - interval '11 seconds' WHERE name = 'web1'");
        await waiting;
        (await Migrator.IsCurrent(source, newer)).ShouldBeTrue();
        (await Fenced(source)).ShouldBe("web1", "it joins anew before it works on, and learns of the schema");
    }

    [Fact]
    public async Task A_migration_does_not_take_older_nodes_for_dead_that_PostgreSQL_could_not_hear()
    {
        await using var source = await Migrated();
        await Execute(source, Node("web1", "0.1.0"));
        // As after an outage of PostgreSQL: the last heartbeat is older than a lease, and the node lives.
        await Execute(source, "UPDATE platform.node SET heartbeat_at = clock_timestamp() - interval '11 seconds'");
        var newer = Newer($"-- runs beside: {Own.ToString(3)}\nCREATE TABLE platform.newer ()");

        (await Should.ThrowAsync<OlderNodesRun>(() => Migrate(source, newer, TimeSpan.Zero))).Message.ShouldStartWith("Older nodes run: web1 (0.1.0).");

        // It is heard again while the migration watches.
        var waiting = Migrate(source, newer, TimeSpan.FromSeconds(11));
        await Execute(source, "UPDATE platform.node SET heartbeat_at = 'infinity'");
        await Should.ThrowAsync<OlderNodesRun>(() => waiting);
        (await Migrator.IsCurrent(source, newer)).ShouldBeFalse();
        (await Fenced(source)).ShouldBe("");
        // What a migration does not exclude has not to wait for anybody.
        await Execute(source, "UPDATE platform.node SET heartbeat_at = clock_timestamp() - interval '11 seconds'");
        await Migrate(source, Newer("-- runs beside: 0.1.0\nCREATE TABLE platform.newer ()"), TimeSpan.Zero);
        (await Fenced(source)).ShouldBe("");
    }

    [Fact]
    public async Task A_node_that_was_cut_off_during_a_restore_does_not_join_what_was_restored()
    {
        await using var host = await TestHost.Start(postgres);
        var heartbeat = host.Services.GetRequiredService<LoopStates>().All.Single(loop => loop.Name == "heartbeat");
        var stopping = host.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;

        // The backup is loaded, and the restore is not over.
        await Execute(host.Source, $"CREATE SCHEMA {Migrator.RestoringSchema}; UPDATE platform.node SET fenced = incarnation");
        await Eventually.True(() => heartbeat.Failure is RestoreIsUnfinished, "it does not join");
        (await host.Count("SELECT count(*) FROM platform.node WHERE fenced < incarnation")).ShouldBe(0);
        stopping.IsCancellationRequested.ShouldBeFalse("it tries again");

        await Execute(
            host.Source,
            $"DELETE FROM platform.node; INSERT INTO platform.hold (backup_at) VALUES (now()); DROP SCHEMA {Migrator.RestoringSchema}"
        );
        await Eventually.True(() => stopping.IsCancellationRequested, "it stops instead of joining");
        host.Services.GetRequiredService<Node>().StopReason.ShouldBeOfType<InstallationWasRestored>();
        (await host.Count("SELECT count(*) FROM platform.node")).ShouldBe(0);
    }

    [Fact]
    public async Task A_node_that_has_read_the_hold_joins_anew_as_ever()
    {
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using (var source = NpgsqlDataSource.Create(database + ";Pooling=false"))
            await Execute(source, "INSERT INTO platform.hold (backup_at) VALUES (now())");
        await using var host = await TestHost.Start(postgres, database);
        // Released meanwhile: it is the same restore.
        await Execute(host.Source, "UPDATE platform.hold SET released_at = now(), released_by = 'x'; UPDATE platform.node SET fenced = incarnation");
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM platform.node WHERE fenced < incarnation") == 1, "it has joined anew");
        host.Services.GetRequiredService<Node>().StopReason.ShouldBeNull();
    }

    [Fact]
    public async Task Whoever_joins_while_a_migration_runs_waits_no_longer_than_it_may()
    {
        await using var source = await Migrated();
        var begun = new TaskCompletionSource();
        using var goOn = new ManualResetEventSlim();
        var migrating = Task.Run(
            () =>
                Migrator.Run(
                    source,
                    Composition.Schema,
                    "own",
                    NullLogger.Instance,
                    _ =>
                    {
                        begun.SetResult();
                        goOn.Wait();
                    }
                )
        );
        try
        {
            await begun.Task;
            await using var connection = await source.OpenConnectionAsync();
            await using var transaction = await connection.BeginTransactionAsync();
            await Should.ThrowAsync<NpgsqlException>(
                () => Migrator.Verify(connection, transaction, Composition.Schema, NullLogger.Instance, TimeSpan.FromSeconds(1))
            );
        }
        finally
        {
            goOn.Set();
            await migrating;
        }
    }

    [Fact]
    public async Task A_migration_that_waits_for_a_table_that_is_held_holds_up_nobody_else()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var source = await Migrated();
        await Execute(source, Node("own", Own.ToString(3)));
        var newer = Newer($"-- runs beside: {Own.ToString(3)}\nALTER TABLE platform.node ADD COLUMN newer text NOT NULL DEFAULT 'x'");
        // As a backup does, for as long as it takes.
        await using var reader = await source.OpenConnectionAsync(cancellation);
        await using var reading = await reader.BeginTransactionAsync(cancellation);
        await reader.ExecuteAsync("SELECT count(*) FROM platform.node", transaction: reading);

        var migrating = Task.Run(
            () => Migrator.Run(source, newer, "own", NullLogger.Instance, _ => { }, restWhileHeld: TimeSpan.FromMilliseconds(100)),
            cancellation
        );
        await using var beating = await source.OpenConnectionAsync(cancellation);
        // The second time is after a try that was given up.
        for (var beat = 0; beat < 2; beat++)
        {
            await Eventually.True(() => beating.ExecuteScalarAsync<bool>(WaitsForNodesSql), "the migration waits for the table");
            (await beating.ExecuteAsync("UPDATE platform.node SET heartbeat_at = clock_timestamp()", commandTimeout: 20)).ShouldBe(1);
        }
        migrating.IsCompleted.ShouldBeFalse();

        await reading.CommitAsync(cancellation);
        await migrating;
        (await Migrator.IsCurrent(source, newer)).ShouldBeTrue();
        (await beating.QuerySingleAsync<string>("SELECT newer FROM platform.node")).ShouldBe("x");
    }

    private async Task<NpgsqlDataSource> Migrated() =>
        NpgsqlDataSource.Create(await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate)) + ";Pooling=false");

    private static Schema Newer(string sql) => new(Next, [.. Composition.Schema.Migrations, new Migration(Script, sql, int.MaxValue)]);

    private static Task Migrate(NpgsqlDataSource source, Schema schema, TimeSpan? patience = null) =>
        Migrator.Run(source, schema, "own", NullLogger.Instance, _ => { }, patience);

    private static string Node(string name, string version) =>
        "INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, heartbeat_at) VALUES "
            + $"('{name}', nextval('platform.incarnation'), 'm', 'b', 1, '{version}', clock_timestamp())";

    private static async Task<string> Fenced(NpgsqlDataSource source)
    {
        await using var connection = await source.OpenConnectionAsync();
        return await connection.QuerySingleAsync<string>(
            "SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') FROM platform.node WHERE fenced = incarnation"
        );
    }

    private static async Task Execute(NpgsqlDataSource source, string sql)
    {
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync(sql);
    }
}
