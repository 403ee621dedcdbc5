using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Orders;

/// <summary>One host for a class of order tests, and a folder where their commands leave traces.</summary>
public sealed class OrderFixture(TestPostgres postgres) : IAsyncLifetime
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-orders-");

    internal TestHost Host { get; private set; } = null!;

    /// <summary>A path of its own in a folder that goes with the class.</summary>
    public string NewFile() => Path.Combine(folder.FullName, Guid.NewGuid().ToString("N"));

    /// <summary>A migrated database of its own, for a test that starts further hosts.</summary>
    internal async Task<string> NewDatabase() => await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));

    public async ValueTask InitializeAsync() => Host = await TestHost.Start(postgres);

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        folder.Delete(recursive: true);
    }
}
