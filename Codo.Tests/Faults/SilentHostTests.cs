using System.Diagnostics;
using System.Diagnostics.Metrics;
using Codo.Tests.Modules.Tasks.Hosts;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Npgsql;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Faults;

/// <summary>A host that takes connections and says nothing, where a command may still run.</summary>
public sealed class SilentHostTests(TestPostgres postgres)
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task No_connection_to_the_database_waits_for_it_when_a_person_ends_the_order_or_stops_the_lane(bool ends)
    {
        const string Address = "127.0.0.2";
        await using var silent = new FakeSsh([], address: Address);
        await using var host = await TestHost.Start(postgres);
        var user = new { alias_user = "silent", exec_user = "root", ssh_port = silent.Port, user_key = ForeignKeys.PuttyThree, remarks = "" };
        (await host.Post("/v2/task_layout/user/", user)).Code().ShouldBe(0);
        var template = await host.Template(Step("true", trigger: "hand", execUser: "silent"));
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = Address });
        await host.Stands(order, "5", $"&get_run_host={Address}");
        await host.Ask<int>(
            """
            INSERT INTO tasks.attempt (sched_id, attempt, list_id, lane_id, node, incarnation, run_id, host, exec_user, ended_at, outcome, left_behind,
                log_whole)
            SELECT sched_id, 1, list_id, lane_id, 'gone', 1, @run, @address, exec_user, clock_timestamp(), 'lost', 'unreachable', true
            FROM tasks.scheduler_task_info WHERE list_id = @order RETURNING 1
            """,
            new { order, run = Guid.NewGuid().ToString("N"), address = Address }
        );
        var database = new NpgsqlConnectionStringBuilder(host.Postgres).Database!;
        var before = await LeastInUse(database);
        before.ShouldNotBeEmpty("the pools are measured");

        var asked = ends ? host.Put("/v2/task/list/", new { list_id = order }) : host.Intervene(order, "stop_one", ip: Address);
        await Eventually.True(() => silent.Accepted > 0, "the host is asked");
        var meanwhile = await LeastInUse(database);
        asked.IsCompleted.ShouldBeFalse("the host has not answered");
        foreach (var (pool, used) in meanwhile) used.ShouldBeLessThanOrEqualTo(before.GetValueOrDefault(pool), pool);
        (await asked).Code().ShouldBe(0);
    }

    // Of each pool of the database, the least connections in use at any moment of a second and a half: what is held for long, and not what comes and goes.
    // Not of the sessions that loops hold for good outside of the pools, which a loop may lose and open again at any moment.
    private static async Task<Dictionary<string, int>> LeastInUse(string database)
    {
        var least = new Dictionary<string, int>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, itself) =>
            {
                if (instrument is { Meter.Name: "Npgsql", Name: "db.client.connection.count" }) itself.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<int>((_, count, tags, _) =>
        {
            var (pool, isUsed) = ("", false);
            foreach (var tag in tags)
            {
                if (tag is { Key: "db.client.connection.pool.name", Value: string name }) pool = name;
                isUsed |= tag is { Key: "db.client.connection.state", Value: "used" };
            }
            var isPool = pool.Contains(database, StringComparison.Ordinal) && !pool.Contains("Pooling=False", StringComparison.Ordinal);
            if (isUsed && isPool) least[pool] = Math.Min(count, least.GetValueOrDefault(pool, int.MaxValue));
        });
        listener.Start();
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < TimeSpan.FromSeconds(1.5))
        {
            listener.RecordObservableInstruments();
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
        return least;
    }
}
