namespace Codo.Modules.Tasks.Orders;

/// <summary>Orders by what they wait for, the most pressing first; those that have ended behind a switch.</summary>
public sealed partial class OrderListPage
{
    private const int Limit = 100;

    private IReadOnlyList<OrdersByBadge.Row> rows = [];
    private List<(OrderBadge Face, long Count)> faces = [];
    private long count, openCount;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["orders"];

    private string Show => Asked("show") == "ended" ? "ended" : "open";

    // No request answers only the orders that wait for one thing.
    private string? Api =>
        Show == "ended" ? Paged($"/v2/task/check_history/?search_val={Uri.EscapeDataString(Asked("q") ?? "")}", Limit)
        : Asked("wait") is null ? Paged("/v2/task/list/", Limit)
        : null;

    private string First =>
        $"curl -H \"auth-key: $CODO_TOKEN\" {Context.Request.Scheme}://{Context.Request.Host}/v2/task/accept/ \\\n"
        + "  -d '{\"task_name\": \"deploy\", \"temp_id\": 1, \"hosts\": {\"1\": \"10.0.0.1,10.0.0.2\"}, \"schedule\": \"new\"}'";

    /// <inheritdoc/>
    protected override async Task Load()
    {
        if (Show == "ended")
        {
            var ended = await Send(new ListHistory.Query(Asked("q"), PageNumber, Limit));
            rows = await ended.Data.Select(RowOf).ToListAsync(Context.RequestAborted);
            count = ended.Count;
            openCount = (await Send(new ListOrders.Query(1, 1))).Count;
            return;
        }
        var open = await Send(new OrdersByBadge.Query(Asked("wait"), PageNumber, Limit));
        rows = open.Data;
        openCount = open.Counts.Values.Sum();
        count = Asked("wait") is { } wait ? open.Counts.GetValueOrDefault(wait) : openCount;
        faces = [
            .. OrderBadge
                .Open.Select(face => (Face: face, Count: open.Counts.GetValueOrDefault(face.Key)))
                .Where(face => face.Count > 0 || face.Face.Key == Asked("wait")),
        ];
    }

    private static OrdersByBadge.Row RowOf(OrderRow row) =>
        new(
            row.ListId,
            row.TaskName,
            row.TaskType,
            row.Creator,
            row.Executor,
            OrderBadge.Of(row.Schedule, row.Status).Key,
            row.EndedAt ?? row.StartTime
        );
}
