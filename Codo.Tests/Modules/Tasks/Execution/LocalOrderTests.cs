using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Modules.Tasks.Execution;

/// <summary>Orders that run on Codo's own machine: groups, levels, triggers, retries, limits.</summary>
public sealed class LocalOrderTests(TestPostgres postgres) : IAsyncLifetime
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-orders-");
    private TestHost host = null!;

    public async ValueTask InitializeAsync() => host = await TestHost.Start(postgres);

    public async ValueTask DisposeAsync()
    {
        await host.DisposeAsync();
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task Runs_its_steps_by_level_and_ends_with_3()
    {
        var file = Path.Combine(folder.FullName, "log");
        var template = await host.Template(Step($"echo third >> {file}", level: 3), Step($"echo first >> {file}", level: 1), Step($"echo second >> {file}", level: 2));
        var order = await host.Order(template);

        (await host.Ended(order)).ShouldBe("3");
        (await File.ReadAllLinesAsync(file)).ShouldBe(["first", "second", "third"]);
        var steps = await host.Steps(order);
        steps.ShouldAllBe(step => (string)step["outcome"]! == "done");
        steps.ShouldAllBe(step => (int)step["attempts"]![0]!["exit_code"]! == 0);
    }
}
