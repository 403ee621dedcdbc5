using Codo.Platform.Cluster;
using Codo.Tests.Support;
using Dapper;
using Npgsql;

namespace Codo.Tests.Platform.Cluster;

public sealed class FencingTests(TestPostgres postgres)
{
    private const string NodesSql = """
        INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, heartbeat_at) VALUES
            ('alive', 1, 'm', 'b', 1, 'v', clock_timestamp()), ('dead', 2, 'm', 'b', 2, 'v', clock_timestamp() - interval '11 seconds')
        """;

    [Theory]
    [InlineData(-20)]
    [InlineData(20)]
    public async Task Nobody_is_declared_dead_by_a_clock_that_was_set_since_the_last_heartbeat(int seconds)
    {
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using var source = NpgsqlDataSource.Create(database);
        await using var connection = await source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(NodesSql);
        var server = await connection.QuerySingleAsync<DateTime>("SELECT pg_postmaster_start_time()");
        // As the last heartbeat found it; PostgreSQL's clock has been set since.
        var clock = new DatabaseClock();
        var boot = BootTime.Now;
        clock.Measured(DateTime.UtcNow.AddSeconds(seconds), boot, boot);
        clock.IsSteadyFor(Node.Lease).ShouldBeTrue("no heartbeat has seen the new time yet");
        (await Membership.Fence(connection, clock, server)).ShouldBeEmpty();

        await clock.Measure(source, TestContext.Current.CancellationToken);
        (await Membership.Fence(connection, clock, server)).ShouldBe(["dead"]);
    }
}
