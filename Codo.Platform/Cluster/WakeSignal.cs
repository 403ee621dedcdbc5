using System.Threading.Channels;

namespace Codo.Platform.Cluster;

/// <summary>Wakes one waiter. Set several times before the waiter looks, it wakes it once.</summary>
public sealed class WakeSignal
{
    private readonly Channel<bool> set = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public void Set() => set.Writer.TryWrite(true);

    public async Task Wait(CancellationToken cancellation) => await set.Reader.ReadAsync(cancellation);

    /// <summary>False when the time was over first.</summary>
    public async Task<bool> Wait(TimeSpan most, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(most);
        try
        {
            await set.Reader.ReadAsync(limit.Token);
            return true;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return false;
        }
    }
}
