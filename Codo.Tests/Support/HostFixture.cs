namespace Codo.Tests.Support;

/// <summary>One host with one database for all tests of a class; each test makes names of its own.</summary>
public abstract class HostFixture(TestPostgres postgres, params (string Name, string Value)[] settings) : IAsyncLifetime
{
    internal TestHost Host { get; private set; } = null!;

    /// <summary>A further host with settings and a database of its own.</summary>
    internal Task<TestHost> Another(params (string Name, string Value)[] settings) => TestHost.Start(postgres, null, settings);

    public virtual async ValueTask InitializeAsync() => Host = await TestHost.Start(postgres, null, settings);

    public virtual ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return Host.DisposeAsync();
    }
}
