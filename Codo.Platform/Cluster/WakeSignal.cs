using System.Diagnostics.CodeAnalysis;

namespace Codo.Platform.Cluster;

/// <summary>Wakes one waiter. Set several times before the waiter looks, it wakes it once.</summary>
[SuppressMessage("Reliability", "CA1001", Justification = "A semaphore has nothing to dispose of as long as nobody asks for its handle.")]
public sealed class WakeSignal
{
    private readonly Lock setting = new();

    private readonly SemaphoreSlim set = new(0, 1);

    public void Set()
    {
        lock (setting)
        {
            if (set.CurrentCount == 0) set.Release();
        }
    }

    public Task Wait(CancellationToken cancellation) => set.WaitAsync(cancellation);

    /// <summary>False when the time was over first, which costs no exception: most waits of a host at rest end so.</summary>
    /// <param name="most">Up to 24 days.</param>
    public Task<bool> Wait(TimeSpan most, CancellationToken cancellation) => set.WaitAsync(most, cancellation);
}
