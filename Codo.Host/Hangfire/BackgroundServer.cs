using Codo.Platform.Cluster;
using Hangfire;
using Hangfire.Common;
using Hangfire.Server;

namespace Codo.Host.Hangfire;

/// <summary>
/// Runs Hangfire's server while this node takes work. A drained node has none: a worker of it would take a wake-up from the queue that another node waits for,
/// and do nothing with it.
/// </summary>
internal sealed class BackgroundServer(
    JobStorage storage,
    BackgroundJobServerOptions options,
    JobActivator activator,
    IJobFilterProvider filters,
    IEnumerable<IBackgroundProcess> processes,
    Node node
) : IHostedService, IDisposable
{
    private readonly SemaphoreSlim gate = new(1);
    private BackgroundJobServer? server;
    private bool isStopped;

    /// <summary>Set when the node's state has changed.</summary>
    public WakeSignal DrainChanged => node.DrainChanged;

    /// <summary>Starts or stops the server as the node's state asks.</summary>
    public async Task Follow(CancellationToken cancellation)
    {
        await gate.WaitAsync(cancellation);
        try
        {
            if (isStopped || node.IsDrained == (server is null)) return;
            if (server is null) Begin();
            else await End(cancellation);
        }
        finally
        {
            gate.Release();
        }
    }

    public Task StartAsync(CancellationToken cancellationToken) => Follow(cancellationToken);

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await gate.WaitAsync(CancellationToken.None);
        try
        {
            isStopped = true;
            await End(cancellationToken);
        }
        finally
        {
            gate.Release();
        }
    }

    public void Dispose()
    {
        server?.Dispose();
        gate.Dispose();
    }

    private void Begin()
    {
        (options.Activator, options.FilterProvider) = (activator, filters);
        server = new BackgroundJobServer(options, storage, processes);
    }

    private async Task End(CancellationToken cancellation)
    {
        if (server is not { } running) return;
        running.SendStop();
        await running.WaitForShutdownAsync(cancellation);
        running.Dispose();
        server = null;
    }
}
