namespace Codo.Modules.Tasks.Orders;

/// <summary>Orders that the caller can move on: to approve, failed, at a hand step, or before a batch that a person lets begin.</summary>
public sealed partial class OrdersThatWait
{
    private const int Most = 8;

    private OpenOrders.Result found = null!;

    /// <inheritdoc/>
    protected override async Task Load() => found = await Send(new OpenOrders.Query(true, Most));
}
