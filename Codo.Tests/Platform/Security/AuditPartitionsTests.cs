using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Tests.Platform.Security;

public sealed class AuditPartitionsTests(TestPostgres postgres)
{
    [Fact]
    public async Task Months_are_made_ahead_and_those_past_their_retention_are_dropped_whole()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "audited", cmd = "true", cron = CronClient.Never });
        await using (var owner = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres)))
        {
            // What the migration found reached back to the beginning: an old month is made beside it.
            await owner.ExecuteAsync("""
                DO $$ DECLARE present text := (SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'platform.audit'::regclass
                    AND inhrelid <> 'platform.audit_default'::regclass ORDER BY 1 LIMIT 1);
                BEGIN
                    EXECUTE format('ALTER TABLE platform.audit DETACH PARTITION %s', present);
                    EXECUTE format('ALTER TABLE platform.audit ATTACH PARTITION %s FOR VALUES FROM (''2024-02-01 00:00:00+00'') TO (%L)', present,
                        (date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
                END $$;
                CREATE TABLE platform.audit_202401 PARTITION OF platform.audit FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2024-02-01 00:00:00+00');
                INSERT INTO platform.audit (at, user_id, username, nickname, address, request_id, action, kind, object_id) VALUES ('2024-01-15', 1, 'u', 'u',
                    '', '', 'create', 'job', 'old');
                """);
        }

        await Eventually.True(() => host.Services.GetRequiredService<Node>().HoldsLease, "the host holds its lease");
        var audit = host.Services.GetRequiredService<AuditPartitions>();
        await audit.Maintain(TestContext.Current.CancellationToken);
        await audit.Maintain(TestContext.Current.CancellationToken);

        (await host.Ask<long>("SELECT count(*) FROM platform.audit WHERE object_id = 'old'")).ShouldBe(0);
        (await host.Ask<long>("SELECT count(*) FROM platform.audit WHERE object_id = 'audited'")).ShouldBe(1);
        (
            await host.Ask<bool>(
                """
                SELECT to_regclass('platform.audit_202401') IS NULL AND bool_and(to_regclass('platform.audit_' || to_char(clock_timestamp() AT TIME ZONE
                    'UTC' + make_interval(months => m), 'YYYYMM')) IS NOT NULL) FROM generate_series(0, 2) m
                """
            )
        ).ShouldBeTrue();
    }

    [Fact]
    public async Task What_is_past_its_retention_goes_from_the_default_partition_too_and_while_no_month_can_be_made()
    {
        await using var host = await TestHost.Start(postgres);
        await host.FirstRounds("audit partitions", "audit seals");
        await using var owner = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        // Rows of 500 and of 200 days ago lie in no month. The month after the next is missing, and cannot be made as if somebody held the table.
        await owner.ExecuteAsync("""
            DO $$ DECLARE
                month timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
                past timestamp := month - interval '18 months';
                present text := (SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'platform.audit'::regclass
                    AND inhrelid <> 'platform.audit_default'::regclass ORDER BY 1 LIMIT 1);
            BEGIN
                EXECUTE format('ALTER TABLE platform.audit DETACH PARTITION %s', present);
                EXECUTE format('ALTER TABLE platform.audit ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', present,
                    (month - interval '3 months') AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
                EXECUTE format('CREATE TABLE platform.%I PARTITION OF platform.audit FOR VALUES FROM (%L) TO (%L)', 'audit_' || to_char(past, 'YYYYMM'),
                    past AT TIME ZONE 'UTC', (past + interval '1 month') AT TIME ZONE 'UTC');
                INSERT INTO platform.audit (at, user_id, username, nickname, address, request_id, action, kind, object_id)
                SELECT at, 1, 'u', 'u', '', '', 'create', 'job', name FROM (VALUES ((past + interval '1 day') AT TIME ZONE 'UTC', 'of a month'),
                    (clock_timestamp() - interval '500 days', 'of none'), (clock_timestamp() - interval '500 days', 'of none'),
                    (clock_timestamp() - interval '200 days', 'young')) r (at, name);
                EXECUTE format('DROP TABLE platform.%I', 'audit_' || to_char(month + interval '2 months', 'YYYYMM'));
            END $$;
            CREATE OR REPLACE FUNCTION platform.add_audit_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'held' USING ERRCODE = 'lock_not_available';
            END $$;
            """);
        (await host.Count("SELECT count(*) FROM platform.audit_default")).ShouldBe(3);
        var seals = host.Services.GetRequiredService<AuditSeals>();
        var now = await seals.Now();
        await seals.SealUntil(now);
        await Eventually.True(() => host.Services.GetRequiredService<Node>().HoldsLease, "the host holds its lease");

        var audit = host.Services.GetRequiredService<AuditPartitions>();
        const string LeftSql = "SELECT string_agg(object_id, ',') FROM platform.audit WHERE object_id IN ('of a month', 'of none', 'young')";
        // Whoever holds the audit for a moment leaves them to the next run.
        await Eventually.True(
            async () =>
            {
                await Should.ThrowAsync<TimeoutException>(() => audit.Maintain(TestContext.Current.CancellationToken));
                return await host.Ask<string>(LeftSql) == "young";
            },
            "what is past its retention goes"
        );
        var verdict = await seals.Verify(now);
        (verdict.Broken, verdict.Dropped).ShouldBe((null, 2), verdict.Why);
        // It is as closed as before.
        foreach (var sql in (string[])["DELETE FROM platform.audit_default", "SELECT platform.drop_old_audit_rows(clock_timestamp() - interval '80 days')"])
            (await Should.ThrowAsync<PostgresException>(() => owner.ExecuteAsync(sql))).SqlState.ShouldBe(PostgresErrorCodes.RaiseException);
        (await host.Count("SELECT count(*) FROM platform.audit_default")).ShouldBe(1);
    }

    [Fact]
    public async Task Rows_of_no_month_go_by_whole_days_and_the_audit_is_closed_for_no_more_of_them_than_for_one_day_or_20_000_rows()
    {
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using var owner = new NpgsqlConnection(TestPostgres.AsSuperuser(database));
        await owner.ExecuteAsync("""
            DO $$ DECLARE
                month timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
                noon timestamp := date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') + interval '12 hours';
                present text := (SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'platform.audit'::regclass
                    AND inhrelid <> 'platform.audit_default'::regclass ORDER BY 1 LIMIT 1);
            BEGIN
                EXECUTE format('ALTER TABLE platform.audit DETACH PARTITION %s', present);
                EXECUTE format('ALTER TABLE platform.audit ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', present,
                    (month - interval '3 months') AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
                INSERT INTO platform.audit (at, user_id, username, nickname, address, request_id, action, kind, object_id)
                SELECT (noon - d.ago * interval '1 day') AT TIME ZONE 'UTC', 1, 'u', 'u', '', '', 'create', 'job', 'old'
                FROM (VALUES (500, 20001), (499, 15000), (498, 6000)) d (ago, many) CROSS JOIN LATERAL generate_series(1, d.many);
            END $$
            """);
        const string DropSql = "SELECT platform.drop_old_audit_rows(clock_timestamp() - interval '400 days')";
        foreach (var dropped in (long[])[20_001, 15_000, 6000, 0]) (await owner.ExecuteScalarAsync<long>(DropSql)).ShouldBe(dropped);
        (await owner.ExecuteScalarAsync<long>("SELECT count(*) FROM platform.audit WHERE object_id = 'old'")).ShouldBe(0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_is_audited_before_the_first_upkeep_lies_in_its_month_after_months_off(bool isStart)
    {
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using (var owner = new NpgsqlConnection(TestPostgres.AsSuperuser(database)))
            // No month is there that holds today. The start has something to audit.
            await owner.ExecuteAsync(
                """
                DO $$ DECLARE month text;
                BEGIN
                    FOR month IN SELECT CAST(inhrelid::regclass AS text) FROM pg_inherits
                        WHERE inhparent = 'platform.audit'::regclass AND inhrelid <> 'platform.audit_default'::regclass
                    LOOP
                        EXECUTE 'DROP TABLE ' || month;
                    END LOOP;
                END $$;
                INSERT INTO platform.setting (key, value) VALUES ('stamp.run_as', 'due') ON CONFLICT (key) DO UPDATE SET value = excluded.value;
                """
            );
        if (isStart) await (await TestHost.Start(postgres, database)).DisposeAsync();
        else await AsUserCommand(database);

        await using var asked = new NpgsqlConnection(TestPostgres.AsSuperuser(database));
        (await asked.ExecuteScalarAsync<long>("SELECT count(*) FROM platform.audit")).ShouldBeGreaterThan(0);
        (await asked.ExecuteScalarAsync<long>("SELECT count(*) FROM platform.audit_default")).ShouldBe(0);

        static async Task AsUserCommand(string database)
        {
            await using var source = NpgsqlDataSource.Create(database + ";Pooling=false");
            await Codo.Host.Commands.UserCommands.Audited(
                source,
                async () =>
                {
                    await using var connection = await source.OpenConnectionAsync();
                    await using var transaction = await connection.BeginTransactionAsync();
                    await Audit.Write(connection, transaction, Caller.Codo, "create", "person", "1");
                    await transaction.CommitAsync();
                }
            );
        }
    }

    [Fact]
    public async Task A_row_is_neither_changed_nor_deleted_nor_truncated_whoever_asks()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "audited", cmd = "true", cron = CronClient.Never });
        await using var superuser = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        foreach (var sql in (string[])["UPDATE platform.audit SET username = 'x'", "DELETE FROM platform.audit", "TRUNCATE platform.audit"])
            (await Should.ThrowAsync<PostgresException>(() => superuser.ExecuteAsync(sql))).MessageText.ShouldBe("platform.audit is append-only");
    }
}
