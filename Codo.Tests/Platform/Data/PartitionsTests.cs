using Codo.Platform.Data;
using Codo.Tests.Support;
using Dapper;
using Npgsql;

namespace Codo.Tests.Platform.Data;

public sealed class PartitionsTests(TestPostgres postgres) : IAsyncLifetime
{
    private static readonly DateTimeOffset Limit = new(2024, 3, 10, 12, 0, 0, TimeSpan.Zero);

    private NpgsqlDataSource source = null!;

    public async ValueTask InitializeAsync()
    {
        source = NpgsqlDataSource.Create(await postgres.CreateDatabase());
        await Execute(
            """
            CREATE SCHEMA s;
            CREATE TABLE s.line (at timestamptz NOT NULL) PARTITION BY RANGE (at);
            CREATE TABLE s.line_20240301 PARTITION OF s.line FOR VALUES FROM ('2024-03-01 00:00+00') TO ('2024-03-02 00:00+00');
            CREATE TABLE s.line_20240310 PARTITION OF s.line FOR VALUES FROM ('2024-03-10 00:00+00') TO ('2024-03-11 00:00+00');
            INSERT INTO s.line VALUES ('2024-03-01 12:00+00'), ('2024-03-10 12:00+00');
            """
        );
    }

    public async ValueTask DisposeAsync() => await source.DisposeAsync();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Those_that_ended_before_the_limit_are_dropped(bool hasDefault)
    {
        if (hasDefault) await Execute("CREATE TABLE s.line_default PARTITION OF s.line DEFAULT");
        string[] left = hasDefault ? ["line_20240310", "line_default"] : ["line_20240310"];
        (await Drop()).ShouldBe(1);
        (await Tables()).ShouldBe(left);
        (await Drop()).ShouldBe(0);
    }

    [Fact]
    public async Task One_beside_a_default_partition_is_never_detached_without_being_dropped()
    {
        // What keeps it from being dropped stands for a host that dies between two statements.
        await Execute("CREATE TABLE s.line_default PARTITION OF s.line DEFAULT; CREATE VIEW s.reads AS SELECT at FROM s.line_20240301");
        (await Refused()).ShouldBe([PostgresErrorCodes.DependentObjectsStillExist]);
        (await Ask<long>("SELECT count(*) FROM s.line")).ShouldBe(2);
    }

    [Fact]
    public async Task One_that_cannot_be_dropped_keeps_no_other()
    {
        await Execute(
            "CREATE TABLE s.line_default PARTITION OF s.line DEFAULT",
            "CREATE TABLE s.line_20240302 PARTITION OF s.line FOR VALUES FROM ('2024-03-02 00:00+00') TO ('2024-03-03 00:00+00')",
            "CREATE TABLE s.line_20240229 (at timestamptz)",
            $"COMMENT ON TABLE s.line_20240229 IS '{Partitions.Doomed}'",
            "CREATE VIEW s.reads AS SELECT at FROM s.line_20240301"
        );
        (await Refused()).ShouldBe([PostgresErrorCodes.DependentObjectsStillExist]);
        (await Tables()).ShouldBe(["line_20240301", "line_20240310", "line_default"]);
        await Execute("DROP VIEW s.reads");
        (await Drop()).ShouldBe(1);
    }

    [Fact]
    public async Task What_an_earlier_run_detached_and_did_not_drop_goes_too_and_what_an_operator_has_detached_stays()
    {
        await Execute("ALTER TABLE s.line DETACH PARTITION s.line_20240301", "CREATE TABLE s.line_20240229 (at timestamptz)");
        (await Drop()).ShouldBe(0);
        foreach (var name in new[] { "line_20240229", "line_old", "line_20240231", "line_20240309_x" })
        {
            await Execute($"CREATE TABLE IF NOT EXISTS s.{name} (at timestamptz)", $"COMMENT ON TABLE s.{name} IS '{Partitions.Doomed}'");
        }

        (await Drop()).ShouldBe(1);
        (await Tables()).ShouldBe(["line_20240231", "line_20240301", "line_20240309_x", "line_20240310", "line_old"]);
    }

    [Fact]
    public async Task One_whose_detaching_was_interrupted_is_dropped()
    {
        await using (var reader = await source.OpenConnectionAsync(TestContext.Current.CancellationToken))
        await using (var transaction = await reader.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            await reader.ExecuteAsync("SELECT count(*) FROM s.line", transaction: transaction);
            // It waits for the reader, and is given up in the middle.
            await Should.ThrowAsync<PostgresException>(
                () => Execute("SET lock_timeout = '100ms'", "ALTER TABLE s.line DETACH PARTITION s.line_20240301 CONCURRENTLY")
            );
            (await Ask<bool>("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = CAST('s.line_20240301' AS regclass)")).ShouldBeTrue();
        }
        (await Drop()).ShouldBe(1);
        (await Tables()).ShouldBe(["line_20240310"]);
    }

    [Fact]
    public async Task One_that_somebody_reads_for_long_is_left_to_the_next_run_and_inserts_go_on()
    {
        await Execute("CREATE TABLE s.line_default PARTITION OF s.line DEFAULT");
        var inserted = 0;
        await using (var reader = await source.OpenConnectionAsync(TestContext.Current.CancellationToken))
        await using (var transaction = await reader.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            await reader.ExecuteAsync("SELECT count(*) FROM s.line", transaction: transaction);
            var dropping = Drop();
            do
            {
                await Execute("INSERT INTO s.line VALUES ('2024-03-10 13:00+00')");
                inserted++;
            }
            while (!dropping.IsCompleted);
            (await dropping).ShouldBe(0);
            // Whoever needs a partition is told.
            await Should.ThrowAsync<TimeoutException>(() => Partitions.Ensure(source, "s.line", PartitionSpan.Day, Limit, ahead: 1, tries: 1));
        }
        (await Ask<long>("SELECT count(*) FROM s.line_20240310")).ShouldBe(1 + inserted);
        (await Drop()).ShouldBe(1);
        (await Tables()).ShouldBe(["line_20240310", "line_default"]);
    }

    [Fact]
    public async Task What_lies_in_the_default_partition_moves_into_that_of_its_day_unless_it_is_too_much()
    {
        await Execute(
            "CREATE TABLE s.line_default PARTITION OF s.line DEFAULT",
            "CREATE INDEX line_at ON s.line (at)",
            "INSERT INTO s.line VALUES ('2024-03-12 00:00+00'), ('2024-03-12 23:59:59+00'), ('2024-03-20 12:00+00')",
            "INSERT INTO s.line SELECT '2024-03-13 12:00+00' FROM generate_series(1, 20001)"
        );
        var left = new List<string>();
        for (var again = 0; again < 2; again++) await Partitions.Ensure(source, "s.line", PartitionSpan.Day, Limit, ahead: 3, left: left.Add);
        // Each run says so, and once.
        const string why = "s.line_20240313 is not made: more than 20000 of its rows lie in the default partition, and stay there";
        left.ShouldBe([why, why]);
        (await Tables()).ShouldBe(["line_20240301", "line_20240310", "line_20240311", "line_20240312", "line_default"]);
        (await Ask<long>("SELECT count(*) FROM s.line_20240312")).ShouldBe(2);
        (await Ask<long>("SELECT count(*) FROM s.line_default")).ShouldBe(20_002);
        // As those that are made empty.
        (await Ask<long>("SELECT count(*) FROM pg_inherits WHERE inhparent = CAST('s.line_at' AS regclass)")).ShouldBe(5);
        (await Ask<string>("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = CAST('s.line_20240312' AS regclass)")).ShouldContain("2024-03-12");
        await Execute("INSERT INTO s.line VALUES ('2024-03-12 12:00+00')");
        (await Ask<long>("SELECT count(*) FROM s.line_20240312")).ShouldBe(3);
    }

    private Task<int> Drop() => Partitions.Drop(source, "s.line", PartitionSpan.Day, Limit);

    private async Task<List<string>> Refused() =>
        [.. (await Assert.ThrowsAsync<AggregateException>(Drop)).InnerExceptions.OfType<PostgresException>().Select(error => error.SqlState)];

    private async Task<List<string>> Tables()
    {
        await using var connection = await source.OpenConnectionAsync();
        return (
            await connection.QueryAsync<string>(
                "SELECT relname FROM pg_class WHERE relnamespace = CAST('s' AS regnamespace) AND relkind = 'r' ORDER BY relname"
            )
        ).AsList();
    }

    private async Task<T> Ask<T>(string sql)
    {
        await using var connection = await source.OpenConnectionAsync();
        return await connection.QuerySingleAsync<T>(sql);
    }

    private async Task Execute(params string[] statements)
    {
        await using var connection = await source.OpenConnectionAsync();
        foreach (var sql in statements) await connection.ExecuteAsync(sql);
    }
}
