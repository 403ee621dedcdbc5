namespace Codo.Modules.Tasks.Orders;

/// <summary>Orders under way, each with how many of its hosts are done.</summary>
public sealed partial class OrdersThatRun
{
    private const int Most = 8;

    private OpenOrders.Result found = null!;

    /// <inheritdoc/>
    protected override async Task Load() => found = await Send(new OpenOrders.Query(false, Most));
}
