using Codo.Platform.Cluster;
using Hangfire;
using Hangfire.Common;
using Hangfire.Server;
using Hangfire.States;

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
    Node node,
    IHostApplicationLifetime lifetime
) : IHostedService, IDisposable
{
    private readonly SemaphoreSlim gate = new(1);
    private IBackgroundProcessingServer? server;
    private CancellationTokenRegistration stopping;

    // Set before the gate is taken: it may be held by a stop that takes its time.
    private volatile bool isStopped;

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

    public Task StartAsync(CancellationToken cancellationToken)
    {
        // The node is drained from the signal on, and this is stopped only after the requests that are under way.
        stopping = lifetime.ApplicationStopping.Register(() =>
        {
            isStopped = true;
            server?.SendStop();
        });
        return Follow(cancellationToken);
    }

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
        stopping.Dispose();
        server?.Dispose();
        gate.Dispose();
    }

    private void Begin()
    {
        (options.Activator, options.FilterProvider) = (activator, filters);
        server = node.Has(NodeRoles.Cron) ? new BackgroundJobServer(options, storage, processes) : WithoutSchedule();
        // The signal came meanwhile and has found none.
        if (isStopped) server.SendStop();
    }

    // A node that starts no jobs leaves the recurring ones alone: while no node that does is up, Hangfire's schedule would queue a wake-up for each of their
    // due times, which nobody takes. Hangfire's own IsLightweightServer leaves out too much, also what keeps a job in the hand of the worker that has it.
    private BackgroundProcessingServer WithoutSchedule()
    {
        var worker = new Worker(options.Queues, new BackgroundJobPerformer(filters, activator), new BackgroundJobStateChanger(filters));
        List<IBackgroundProcessDispatcherBuilder> run =
            [worker.UseBackgroundPool(options.WorkerCount), .. processes.Select(process => process.UseBackgroundPool(1))];
        return new BackgroundProcessingServer(
            storage,
            run,
            new Dictionary<string, object> { ["Queues"] = options.Queues, ["WorkerCount"] = options.WorkerCount },
            new BackgroundProcessingServerOptions
            {
                ServerName = options.ServerName,
                StopTimeout = options.StopTimeout,
                ShutdownTimeout = options.ShutdownTimeout,
                HeartbeatInterval = options.HeartbeatInterval,
                ServerCheckInterval = options.ServerCheckInterval,
                ServerTimeout = options.ServerTimeout,
                CancellationCheckInterval = options.CancellationCheckInterval,
            }
        );
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
