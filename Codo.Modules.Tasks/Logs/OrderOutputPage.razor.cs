using Codo.Modules.Tasks.Orders;
using Microsoft.AspNetCore.Components;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>The output of all hosts and steps of an order in one log, as it comes; a text is searched in all of it.</summary>
public sealed partial class OrderOutputPage
{
    private long id;

    [Inject]
    private NpgsqlDataSource Source { get; set; } = null!;

    /// <inheritdoc/>
    protected override async Task Load()
    {
        id = NumberPart("list_id");
        await using var connection = await Source.OpenConnectionAsync(Context.RequestAborted);
        if (!await OrderAccess.Sees(connection, Access, id)) throw OrderAccess.NoSuchOrder;
    }
}
