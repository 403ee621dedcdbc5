using Codo.Host.Operations;
using Codo.Modules.Tasks.Orders;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Host.Operations;

/// <summary>What goes when it is old, what goes when it is too much, and what never goes.</summary>
public sealed class StorageUseTests(TestPostgres postgres)
{
    private const string OldSql = """
        INSERT INTO tasks.scheduler_task_list (list_id, task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before, ended_at)
        SELECT 900000 + n, 'old', 'old', '{}', '{}', 'v', 'OK', 1, now(), now(), now() - n * interval '1 day' FROM generate_series(1, 500) n;
        INSERT INTO tasks.lane (lane_id, list_id, task_group, host, batch, state) SELECT list_id, list_id, 1, 'h', 1, 'done' FROM tasks.scheduler_task_list
            WHERE list_id > 900000;
        INSERT INTO platform.outbox (stream, kind, dead_at) SELECT 'x', 'x', now() - n * interval '1 day' FROM generate_series(1, 100) n
        """;

    [Fact]
    public async Task Orders_and_dead_letters_past_their_retention_go_and_a_clock_that_jumps_takes_none()
    {
        await using var host = await TestHost.Start(postgres);
        await Eventually.True(() => host.Services.GetRequiredService<Node>().HoldsLease, "the host holds its lease");
        await host.FirstRounds("orders retention", "storage", "clock watch");
        await using var connection = await host.Source.OpenConnectionAsync();
        // PostgreSQL's clock has never been seen to be past the year before: it has jumped.
        await connection.ExecuteAsync("UPDATE platform.node SET clock_seen_at = clock_timestamp() - interval '400 days', clock_boot_id = NULL");
        await connection.ExecuteAsync(OldSql);
        await Drop(host);
        (await host.Count("SELECT count(*) FROM tasks.scheduler_task_list WHERE list_id > 900000")).ShouldBe(500);
        (await host.Count("SELECT count(*) FROM platform.outbox WHERE dead_at IS NOT NULL")).ShouldBe(100);
        (await host.Get("/healthz/ready"))["checks"]!["retention"]!["status"]!.GetValue<string>().ShouldBe("degraded");

        (await host.Post("/v2/nodes/clock/", new { })).Code().ShouldBe(0);
        await Drop(host);
        (await host.Count("SELECT count(*) FROM tasks.scheduler_task_list WHERE list_id > 900000")).ShouldBe(399);
        (await host.Count("SELECT count(*) FROM tasks.lane WHERE list_id > 900000")).ShouldBe(399);
        (await host.Count("SELECT count(*) FROM platform.outbox WHERE dead_at IS NOT NULL")).ShouldBe(89);
    }

    [Fact]
    public async Task Dead_letters_go_after_the_days_that_are_set_and_what_still_waits_stays_however_old_it_is()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:DeadLetterRetentionDays", "30"));
        await Eventually.True(() => host.Services.GetRequiredService<Node>().HoldsLease, "the host holds its lease");
        await host.FirstRounds("storage");
        await host.Ask<int>(
            """
            INSERT INTO platform.outbox (stream, kind, at, next_try_at, dead_at)
            SELECT kind, kind, now() - interval '200 days', CAST('infinity' AS timestamptz), now() - days * interval '1 day'
            FROM (VALUES ('long dead', 31), ('dead', 29), ('alive', NULL)) AS letters (kind, days);
            SELECT 1
            """
        );
        await host.Services.GetRequiredService<StorageUse>().Maintain(TestContext.Current.CancellationToken);
        (
            await host.Ask<string>("SELECT string_agg(kind, ', ' ORDER BY kind) FROM platform.outbox WHERE at < now() - interval '199 days'")
        ).ShouldBe("alive, dead");
    }

    [Fact]
    public async Task Orders_that_are_too_wide_to_go_together_go_a_few_at_a_time()
    {
        await using var host = await TestHost.Start(postgres);
        await Eventually.True(() => host.Services.GetRequiredService<Node>().HoldsLease, "the host holds its lease");
        await host.FirstRounds("orders retention");
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            """
            INSERT INTO tasks.scheduler_task_list (list_id, task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before, ended_at)
            SELECT 900000 + n, 'wide', 'old', '{}', '{}', 'v', 'OK', 1, now(), now(), now() - interval '500 days' FROM generate_series(1, 300) n;
            CREATE FUNCTION tasks.is_wide() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF (SELECT count(*) FROM gone) > 30 THEN
                    PERFORM pg_sleep(600);
                END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER is_wide AFTER DELETE ON tasks.scheduler_task_list REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION tasks.is_wide();
            """
        );
        var retention = host.Services.GetRequiredService<OrderRetention>();
        retention.Longest = 3;
        await retention.DropOld(TestContext.Current.CancellationToken);
        (await host.Count("SELECT count(*) FROM tasks.scheduler_task_list WHERE list_id > 900000")).ShouldBe(0);
    }

    [Fact]
    public async Task Above_its_budget_the_oldest_output_goes_and_nothing_else_and_a_person_is_told()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Retention:MaxSize", "1048576"));
        await Eventually.True(() => host.Services.GetRequiredService<Node>().HoldsLease, "the host holds its lease");
        await using var connection = await host.Source.OpenConnectionAsync();
        foreach (var days in new[] { 3, 20, 30 })
        {
            var day = DateTime.UtcNow.Date.AddDays(-days);
            foreach (var table in new[] { "log_line", "sealed_log" })
                await Partitions.Ensure(host.Source, "tasks." + table, PartitionSpan.Day, day, ahead: 0);
        }
        await connection.ExecuteAsync("""
            CREATE TABLE cron.output_202401 PARTITION OF cron.output FOR VALUES FROM ('2024-01-01 00:00+00') TO ('2024-02-01 00:00+00');
            CREATE TABLE cron.cron_log_202401 PARTITION OF cron.cron_log FOR VALUES FROM ('2024-01-01 00:00+00') TO ('2024-02-01 00:00+00')
            """);
        await host.Services.GetRequiredService<StorageUse>().Maintain(TestContext.Current.CancellationToken);
        // The host's own loop may be at one of them at the same time.
        List<string> kept = [];
        var old = $"_{DateTime.UtcNow.Date.AddDays(-20):yyyyMMdd}";
        await Eventually.True(
            async () =>
                (
                    kept = [
                        .. await connection.QueryAsync<string>(
                            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^(log_line|sealed_log|output|cron_log)_20' ORDER BY relname"
                        ),
                    ]
                ).All(name => name != "output_202401" && !name.EndsWith(old, StringComparison.Ordinal)),
            "what is old is dropped"
        );
        kept.ShouldContain("cron_log_202401");
        // Lines of that day that are not sealed yet may have been meanwhile; what is sealed stays.
        kept.ShouldContain($"sealed_log_{DateTime.UtcNow.Date.AddDays(-3):yyyyMMdd}");
        await Eventually.True(
            async () => await host.Count("SELECT count(*) FROM alerts.task_monitor WHERE source = 'codo' AND detail_en LIKE '%Codo:Retention:MaxSize%'") == 1,
            "an incident tells of it"
        );
        var nodes = await host.Get("/v2/nodes/");
        nodes.Code().ShouldBe(0, nodes.ToJsonString());
        nodes["data"]!.AsArray().Single()!["state"]!.GetValue<string>().ShouldBe("alive");
        nodes["storage"]!["kinds"]!.AsArray().Select(kind => (string)kind!["kind"]!).ShouldContain("ledger");
        (await host.Get("/healthz/ready"))["checks"]!["storage"]!["status"]!.GetValue<string>().ShouldBe("degraded");
    }

    [Fact]
    public async Task Above_its_budget_a_part_that_cannot_be_dropped_keeps_none_of_the_others()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Retention:MaxSize", "1048576"));
        await Eventually.True(() => host.Services.GetRequiredService<Node>().HoldsLease, "the host holds its lease");
        await host.FirstRounds("storage");
        await using var connection = await host.Source.OpenConnectionAsync();
        foreach (var days in new[] { 20, 30 })
            foreach (var table in new[] { "log_line", "sealed_log" })
                await Partitions.Ensure(host.Source, "tasks." + table, PartitionSpan.Day, DateTime.UtcNow.Date.AddDays(-days), ahead: 0);
        // Older than them all.
        await connection.ExecuteAsync("""
            CREATE TABLE cron.output_202401 PARTITION OF cron.output FOR VALUES FROM ('2024-01-01 00:00+00') TO ('2024-02-01 00:00+00');
            CREATE VIEW cron.kept AS SELECT * FROM cron.output_202401
            """);
        var storage = host.Services.GetRequiredService<StorageUse>();
        const string LeftSql = """
            SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent IN (CAST('tasks.log_line' AS regclass), CAST('tasks.sealed_log' AS regclass)) AND c.relname ~ '_20[0-9]{6}$'
                AND right(c.relname, 8) < to_char(clock_timestamp() AT TIME ZONE 'UTC' - interval '15 days', 'YYYYMMDD')
            """;
        // Whoever seals may hold one of them for a moment.
        await Eventually.True(
            async () =>
            {
                try
                {
                    await storage.Maintain(TestContext.Current.CancellationToken);
                    return false;
                }
                catch (AggregateException)
                {
                    return await host.Count(LeftSql) == 0;
                }
            },
            "the others are dropped"
        );
        (await host.Count("SELECT count(*) FROM cron.kept")).ShouldBe(0);
    }

    private static async Task Drop(TestHost host)
    {
        await host.Services.GetRequiredService<OrderRetention>().DropOld(TestContext.Current.CancellationToken);
        await host.Services.GetRequiredService<StorageUse>().Maintain(TestContext.Current.CancellationToken);
    }
}
