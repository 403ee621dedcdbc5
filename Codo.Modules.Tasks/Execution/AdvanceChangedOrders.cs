using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Advances the orders that lanes, recovery and polls ask for. One that waits for its row holds up no other.</summary>
internal sealed class AdvanceChangedOrders(ChangedOrders changed, Advancing advancing, LaneSlots slots, ILogger<AdvanceChangedOrders> log) : BackgroundService
{
    private const int MostAtOnce = 32;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await Parallel.ForEachAsync(
                changed.Read(stoppingToken),
                new ParallelOptions { MaxDegreeOfParallelism = MostAtOnce, CancellationToken = stoppingToken },
                async (listId, _) => await Advance(listId)
            );
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            log.LogDebug("What is not advanced yet is another node's, or the next start's");
        }
    }

    private async Task Advance(long listId)
    {
        try
        {
            await advancing.Now(listId);
            if (slots.Short) await advancing.TakeWaiting();
        }
        catch (Exception error)
        {
            // The row in tasks.advance is looked for every second, and so are lanes that nobody has taken.
            log.LogWarning(error, "Order {Order} could not be advanced yet", listId);
        }
    }
}
