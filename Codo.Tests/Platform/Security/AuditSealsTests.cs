using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Security;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Tests.Platform.Security;

public sealed class AuditSealsTests(TestPostgres postgres)
{
    private static readonly DateTime Today = DateTime.UtcNow.Date;

    private const string AddSql = """
        INSERT INTO platform.audit (at, user_id, username, nickname, address, request_id, action, kind, object_id, after) VALUES (@At, 1, 'u', 'u', '', '',
            'create', 'job', @Object, '{"a": 1}')
        """;

    [Fact]
    public async Task A_day_is_sealed_25_hours_after_its_end_and_the_chain_holds()
    {
        await using var host = await Sealed();
        var seals = host.Services.GetRequiredService<AuditSeals>();
        (await seals.SealUntil(Today.AddDays(2).AddMinutes(59))).ShouldBe(0);
        var verdict = await seals.Verify(Today.AddHours(2));
        (verdict.Broken, verdict.Days, verdict.Rows).ShouldBe((null, 3, 9), verdict.Why);

        // What comes on the day that is still open is sealed with it, 25 hours after its end.
        (await seals.SealUntil(Today.AddDays(2).AddHours(1))).ShouldBe(1);
        (await seals.Verify(Today.AddDays(3).AddHours(2))).Broken.ShouldBeNull();
        (await seals.Verify(Today.AddDays(4))).Broken.ShouldBe(Today.AddDays(1), "no day is sealed from there on");
    }

    [Fact]
    public async Task What_comes_after_a_clock_was_ahead_for_less_than_the_guard_notices_is_sealed_with_its_day()
    {
        await using var host = await Sealed();
        var seals = host.Services.GetRequiredService<AuditSeals>();
        // PostgreSQL's clock, a day and two hours after this day has begun; then it is put back.
        (await seals.SealUntil(Today.AddDays(1).AddHours(2))).ShouldBe(0);
        await using (var owner = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres)))
            await owner.ExecuteAsync(AddSql, new { At = Today, Object = "of today" });
        (await seals.Verify(Today.AddHours(2))).Broken.ShouldBeNull();
        (await seals.SealUntil(Today.AddDays(2).AddHours(1))).ShouldBe(1);
        (await seals.Verify(Today.AddDays(2).AddHours(2))).Broken.ShouldBeNull();
    }

    [Theory]
    [InlineData("UPDATE platform.audit SET username = 'x' WHERE object_id = 'd2-1'", 2, "a row was changed")]
    [InlineData("UPDATE platform.audit SET after = '{\"a\": 2}' WHERE object_id = 'd3-0'", 3, "a row was changed")]
    [InlineData("UPDATE platform.audit SET at = at + interval '1 microsecond' WHERE object_id = 'd2-1'", 2, "a row was changed")]
    [InlineData("DELETE FROM platform.audit WHERE object_id = 'd3-1'", 3, "3 rows were sealed, 2 are there")]
    [InlineData("DELETE FROM platform.audit WHERE object_id LIKE 'd3-%'", 3, "3 rows were sealed, 0 are there")]
    [InlineData("INSERT INTO platform.audit (at, user_id, username, nickname, address, "
        + "request_id, action, kind, object_id) SELECT at, 1, 'u', 'u', '', '', 'approve', 'order', '1' FROM platform.audit WHERE object_id = 'd2-1'", 2,
        "3 rows were sealed, 4 are there")]
    [InlineData("UPDATE platform.audit_seal SET rows = rows + 1 WHERE day = (SELECT min(day) + 1 FROM platform.audit_seal)", 2, "its seal was changed")]
    [InlineData("UPDATE platform.audit_seal SET seal = digest WHERE day = (SELECT min(day) FROM platform.audit_seal)", 1, "its seal was changed")]
    [InlineData("DELETE FROM platform.audit_seal WHERE day = (SELECT min(day) + 1 FROM platform.audit_seal)", 3, "the seal of a day before it is missing")]
    [InlineData("DELETE FROM platform.audit_seal WHERE day = (SELECT min(day) FROM platform.audit_seal)", 2, "the seal of a day before it is missing")]
    public async Task The_first_day_that_does_not_hold_is_named(string tampering, int day, string why)
    {
        await using var host = await Sealed();
        await using (var owner = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres)))
            await owner.ExecuteAsync($"SET session_replication_role = replica; {tampering}");
        var verdict = await host.Services.GetRequiredService<AuditSeals>().Verify(Today.AddHours(2));
        verdict.Broken.ShouldBe(Today.AddDays(day - 4));
        verdict.Why.ShouldContain(why);
        using var said = new StringWriter(CultureInfo.InvariantCulture);
        Codo.Host.Commands.AuditCommand.Say(verdict, said).ShouldBe(1);
        said.ToString().ShouldContain($"does NOT hold from {Today.AddDays(day - 4):yyyy-MM-dd} on");
    }

    [Fact]
    public async Task A_chain_that_was_made_anew_does_not_have_the_seal_that_was_kept_elsewhere()
    {
        await using var host = await Sealed();
        var seals = host.Services.GetRequiredService<AuditSeals>();
        using var said = new StringWriter(CultureInfo.InvariantCulture);
        Codo.Host.Commands.AuditCommand.Say(await seals.Verify(Today.AddHours(2)), said).ShouldBe(0);
        var noted = NotedSeal.Read(said.ToString().Trim().Split(' ')[^1]).ShouldNotBeNull();
        (noted.Day, noted.Value.Length).ShouldBe((Today.AddDays(-1), 64));
        noted.ShouldBe(await seals.Newest());
        (await seals.Verify(Today.AddHours(2), noted)).Broken.ShouldBeNull();

        // Of whoever can change the database, and has the host seal it.
        await using (var owner = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres)))
            await owner.ExecuteAsync(
                """
                SET session_replication_role = replica;
                UPDATE platform.audit SET username = 'x' WHERE object_id = 'd2-1';
                DELETE FROM platform.audit_seal WHERE day > (SELECT min(day) FROM platform.audit_seal)
                """
            );
        var gone = await seals.Verify(Today.AddHours(2), noted);
        gone.Broken.ShouldBe(noted.Day, gone.Why);
        gone.Last.ShouldBe(Today.AddDays(-3));
        (await seals.SealUntil(Today.AddHours(25))).ShouldBe(2);
        (await seals.Verify(Today.AddHours(2))).Broken.ShouldBeNull();
        var anew = await seals.Verify(Today.AddHours(2), noted);
        anew.Broken.ShouldBe(noted.Day);
        anew.Why.ShouldContain("sealed anew");
    }

    [Theory]
    [InlineData("2026-05-01=0a1b", true)]
    [InlineData(" 2026-05-01=0a1b\n", true)]
    [InlineData("2026-05-01=", false)]
    [InlineData("2026-05-01", false)]
    [InlineData("01.05.2026=0a1b", false)]
    public void A_seal_is_read_as_it_is_printed(string text, bool isOne) =>
        (NotedSeal.Read(text)?.ToString()).ShouldBe(isOne ? text.Trim() : null);

    [Fact]
    public async Task A_month_that_retention_drops_takes_its_rows_and_leaves_a_chain_that_holds()
    {
        await using var host = await TestHost.Start(postgres);
        await host.FirstRounds("audit seals");
        var month = new DateTime(Today.Year, Today.Month, 1, 0, 0, 0, DateTimeKind.Utc).AddMonths(-6);
        await using var owner = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        await owner.ExecuteAsync(
            $"""
            DO $$ DECLARE present text := (SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'platform.audit'::regclass
                AND pg_get_expr((SELECT relpartbound FROM pg_class WHERE oid = inhrelid), inhrelid) LIKE '%MINVALUE%');
            BEGIN
                EXECUTE format('ALTER TABLE platform.audit DETACH PARTITION %s', present);
                EXECUTE format('ALTER TABLE platform.audit ATTACH PARTITION %s FOR VALUES FROM (''{month.AddMonths(1):yyyy-MM-dd} 00:00:00+00'')'
                    || ' TO (%L)', present,
                    (date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
            END $$;
            CREATE TABLE platform.audit_{month:yyyyMM} PARTITION OF platform.audit
                FOR VALUES FROM ('{month:yyyy-MM-dd} 00:00:00+00') TO ('{month.AddMonths(1):yyyy-MM-dd} 00:00:00+00');
            """
        );
        for (var day = 0; day < 5; day++) await owner.ExecuteAsync(AddSql, new { At = month.AddDays(day).AddHours(3), Object = "old" });
        var seals = host.Services.GetRequiredService<AuditSeals>();
        await seals.SealUntil(Today.AddHours(1));
        await owner.ExecuteAsync($"SELECT platform.drop_audit_partition('audit_{month:yyyyMM}')");
        var verdict = await seals.Verify(Today.AddHours(2));
        (verdict.Broken, verdict.Dropped).ShouldBe((null, 5), verdict.Why);

        // Rows that go without their month are no retention.
        await owner.ExecuteAsync(AddSql, new { At = month.AddDays(2).AddHours(4), Object = "back" });
        (await seals.Verify(Today.AddHours(2))).Broken.ShouldBe(month.AddDays(2));
    }

    [Fact]
    public async Task Days_are_sealed_while_a_restored_installation_is_held()
    {
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using (var connection = new NpgsqlConnection(database))
            await connection.ExecuteAsync("INSERT INTO platform.hold (backup_at) VALUES (now())");
        await using var host = await TestHost.Start(postgres, database);
        await host.FirstRounds("audit seals");
        var node = host.Services.GetRequiredService<Node>();
        await Eventually.True(() => node.HoldsLease, "the host holds its lease");
        node.IsHeld.ShouldBeTrue();
        await using (var owner = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres)))
            for (var day = 4; day <= 5; day++) await owner.ExecuteAsync(AddSql, new { At = Today.AddDays(-day).AddHours(5), Object = "restored" });
        var seals = host.Services.GetRequiredService<AuditSeals>();
        // As the backup has it.
        (await seals.SealUntil(Today.AddDays(-3).AddHours(1))).ShouldBe(1);
        (await seals.Verify(await seals.Now())).Broken.ShouldBe(Today.AddDays(-4));

        await host.Services.GetRequiredService<AuditSealing>().SealDue(TestContext.Current.CancellationToken);

        var verdict = await seals.Verify(await seals.Now());
        verdict.Broken.ShouldBeNull(verdict.Why);
        (await host.Services.GetRequiredService<RetentionGuard>().Allows(TestContext.Current.CancellationToken)).ShouldBeNull("nothing may be dropped");
    }

    [Fact]
    public async Task Two_hosts_that_seal_at_once_seal_once()
    {
        await using var host = await TestHost.Start(postgres);
        await using var other = await host.Again();
        await other.FirstRounds("audit seals");
        await Fill(host);
        var all = await Task.WhenAll(
            Enumerable.Range(0, 6).Select(i => (i % 2 == 0 ? host : other).Services.GetRequiredService<AuditSeals>().SealUntil(Today.AddHours(25)))
        );
        all.Sum().ShouldBe(3);
        (await other.Services.GetRequiredService<AuditSeals>().Verify(Today.AddHours(2))).Broken.ShouldBeNull();
    }

    [Fact]
    public async Task Seals_are_neither_changed_nor_deleted_and_need_the_key_that_they_were_made_with()
    {
        await using var host = await Sealed();
        await using var superuser = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        foreach (var sql in (string[])["UPDATE platform.audit_seal SET rows = 1", "DELETE FROM platform.audit_seal", "TRUNCATE platform.audit_seal"])
            (await Should.ThrowAsync<PostgresException>(() => superuser.ExecuteAsync(sql))).MessageText.ShouldBe("platform.audit_seal is append-only");
        await superuser.ExecuteAsync("SET session_replication_role = replica; UPDATE platform.audit_seal SET master_key = 7");
        (await host.Services.GetRequiredService<AuditSeals>().Verify(Today.AddHours(2))).Why.ShouldContain("Codo:OldMasterKeys:7");
    }

    private static async Task Fill(TestHost host)
    {
        // A round that comes now would seal some of the days itself.
        await host.FirstRounds("audit seals");
        await using var owner = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        for (var day = 1; day <= 3; day++)
            for (var row = 0; row < 3; row++)
                await owner.ExecuteAsync(AddSql, new { At = Today.AddDays(day - 4).AddHours(5 + row), Object = $"d{day}-{row}" });
    }

    private async Task<TestHost> Sealed()
    {
        var host = await TestHost.Start(postgres);
        await Fill(host);
        (await host.Services.GetRequiredService<AuditSeals>().SealUntil(Today.AddHours(25))).ShouldBe(3);
        return host;
    }
}
