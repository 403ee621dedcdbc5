using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Orders;

/// <summary>One host for a class of order tests, and a folder where their commands leave traces.</summary>
public sealed class OrderFixture(TestPostgres postgres) : IAsyncLifetime
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-orders-");

    internal TestHost Host { get; private set; } = null!;

    /// <summary>A path of its own in a folder that goes with the class.</summary>
    public string NewFile() => Path.Combine(folder.FullName, Guid.NewGuid().ToString("N"));

    /// <summary>A further host with settings and a database of its own.</summary>
    internal Task<TestHost> Another(params (string Name, string Value)[] settings) => TestHost.Start(postgres, null, settings);

    public async ValueTask InitializeAsync() => Host = await TestHost.Start(postgres);

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        folder.Delete(recursive: true);
    }
}
