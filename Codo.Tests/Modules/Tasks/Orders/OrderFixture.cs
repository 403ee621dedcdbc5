using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Orders;

/// <summary>A host for order tests, and a folder where their commands leave traces.</summary>
public sealed class OrderFixture(TestPostgres postgres) : HostFixture(postgres)
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-orders-");

    /// <summary>A path of its own in a folder that goes with the class.</summary>
    public string NewFile() => Path.Combine(folder.FullName, Guid.NewGuid().ToString("N"));

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        folder.Delete(recursive: true);
    }
}
