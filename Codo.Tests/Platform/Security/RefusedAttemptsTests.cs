using Codo.Platform.Http;
using Codo.Platform.Security;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Npgsql;

namespace Codo.Tests.Platform.Security;

/// <summary>What is counted in memory reaches the audit, also where it cannot be written at first.</summary>
public sealed class RefusedAttemptsTests(TestPostgres postgres) : IAsyncLifetime
{
    private readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 3, 1, 4, 0, 0, TimeSpan.Zero));
    private string database = "";
    private NpgsqlDataSource source = null!;
    private RefusedAttempts refused = null!;

    public async ValueTask InitializeAsync()
    {
        database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        source = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(database) { Options = "-c lock_timeout=200ms" });
        refused = new RefusedAttempts(source, time, NullLogger<RefusedAttempts>.Instance);
    }

    public async ValueTask DisposeAsync() => await source.DisposeAsync();

    [Fact]
    public async Task What_could_not_be_written_is_written_by_the_next_run()
    {
        Try("mallory", 3);
        await Fails();
        // Within the minute that has begun: the first of it fails alone, the rest is only counted yet.
        Try("trent", 2);
        await Fails();
        await refused.Flush(CancellationToken.None);
        time.Advance(TimeSpan.FromMinutes(1));
        Try("mallory", 1);
        await Fails();
        await refused.Flush(CancellationToken.None);
        time.Advance(TimeSpan.FromMinutes(1));
        await refused.Flush(CancellationToken.None);
        (await Written()).ShouldBe(["mallory 4", "trent 2"]);
    }

    [Fact]
    public async Task A_flood_that_cannot_be_written_does_not_fill_the_memory_and_is_counted()
    {
        for (var minute = 0; minute < 3; minute++)
        {
            for (var i = 0; i < 1000; i++) Try($"name-{minute}-{i}", 1, $"10.0.{i / 250}.{i % 250}");
            await Fails();
            time.Advance(TimeSpan.FromMinutes(1));
        }
        await refused.Flush(CancellationToken.None);
        var written = await Written();
        written.Count.ShouldBeLessThanOrEqualTo(RefusedAttempts.MostKeys + 1);
        written.Sum(row => int.Parse(row.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture)).ShouldBe(3000);
    }

    [Fact]
    public async Task What_a_minute_has_counted_is_written_when_the_host_stops_in_the_middle_of_it()
    {
        Try("mallory", 1);
        await refused.Flush(CancellationToken.None);
        Try("mallory", 3);
        await refused.Flush(CancellationToken.None);
        await refused.StopAsync(CancellationToken.None);
        (await Written()).ShouldBe(["mallory 4"]);
    }

    [Fact]
    public async Task A_name_that_cannot_be_stored_costs_nobody_elses_attempts()
    {
        Try("a\0b", 1);
        Try("mallory", 1);
        await refused.Flush(CancellationToken.None);
        (await Written()).ShouldBe(["a␀b 1", "mallory 1"], ignoreOrder: true);
    }

    [Fact]
    public async Task What_strangers_claim_hides_nobody_who_is_signed_in()
    {
        for (var i = 0; i < 5000; i++) Try($"name-{i}", 1, $"10.0.{i / 250}.{i % 250}");
        refused.Refused(new Caller(7, "mallory", "Mallory", "", false, "10.9.9.9", ""), "GET /x", "no right");
        await refused.Flush(CancellationToken.None);
        await using var connection = await source.OpenConnectionAsync();
        const string sql = "SELECT count(*) FROM platform.audit WHERE user_id = 7 AND object_id = 'GET /x' AND result = 'refused'";
        (await connection.ExecuteScalarAsync<long>(sql)).ShouldBe(1);
    }

    [Fact]
    public async Task One_address_with_many_names_hides_no_other_guesser()
    {
        for (var i = 0; i < 1000; i++) Try($"name-{i}", 1);
        Try("ann", 2, "10.0.0.2");
        await refused.StopAsync(CancellationToken.None);
        var written = await Written();
        written.Count.ShouldBe(RefusedAttempts.MostNames + 2);
        written.ShouldContain("ann 2");
        // Those that are counted together keep their address.
        written.ShouldContain($" {1000 - RefusedAttempts.MostNames}");
        await using var connection = await source.OpenConnectionAsync();
        const string sql = "SELECT DISTINCT address FROM platform.audit WHERE action = 'sign_in' AND username = ''";
        (await connection.QueryAsync<string>(sql)).ShouldBe(["10.0.0.1"]);
    }

    private void Try(string name, int times, string address = "10.0.0.1")
    {
        for (var i = 0; i < times; i++) refused.SignInFailed(name, address, "password", "wrong");
    }

    // A run that waits for a lock in vain stands for one that finds no PostgreSQL.
    private async Task Fails()
    {
        await using var holder = new NpgsqlConnection(TestPostgres.AsSuperuser(database));
        await holder.OpenAsync();
        await using var transaction = await holder.BeginTransactionAsync();
        await holder.ExecuteAsync("LOCK TABLE platform.audit IN EXCLUSIVE MODE", transaction: transaction);
        (await Should.ThrowAsync<PostgresException>(() => refused.Flush(CancellationToken.None))).SqlState.ShouldBe(PostgresErrorCodes.LockNotAvailable);
    }

    private async Task<List<string>> Written()
    {
        await using var connection = await source.OpenConnectionAsync();
        return (
            await connection.QueryAsync<string>(
                "SELECT username || ' ' || sum(times) FROM platform.audit WHERE action = 'sign_in' GROUP BY username ORDER BY username"
            )
        ).AsList();
    }
}
