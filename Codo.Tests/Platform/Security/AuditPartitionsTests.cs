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
