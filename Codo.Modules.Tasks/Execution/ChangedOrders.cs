using System.Collections.Concurrent;
using System.Threading.Channels;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// Ids of orders that this node is to advance soon, each once. A hint: the row in <c>tasks.advance</c> is what a crash does not lose, and a poll finds it.
/// </summary>
internal sealed class ChangedOrders
{
    private readonly Channel<long> ids = Channel.CreateUnbounded<long>();
    private readonly ConcurrentDictionary<long, bool> waiting = new();

    /// <summary>Asks for an order to be advanced.</summary>
    public void Add(long listId)
    {
        if (waiting.TryAdd(listId, true)) ids.Writer.TryWrite(listId);
    }

    /// <summary>Each order as it is asked for. One that is asked for again from here on comes once more.</summary>
    public async IAsyncEnumerable<long> Read([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var listId in ids.Reader.ReadAllAsync(cancellation))
        {
            waiting.TryRemove(listId, out _);
            yield return listId;
        }
    }
}
