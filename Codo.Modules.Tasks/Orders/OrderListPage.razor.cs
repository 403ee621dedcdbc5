namespace Codo.Modules.Tasks.Orders;

/// <summary>Orders by what they wait for, the most pressing first; those that have ended behind a switch.</summary>
public sealed partial class OrderListPage
{
    private const int Limit = 100;

    private List<(OrderRow Row, OrderFace Face)> rows = [];
    private List<(OrderFace Face, int Count)> faces = [];
    private long count, openCount;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["orders"];

    private string Show => Asked("show") == "ended" ? "ended" : "open";

    private string Api =>
        Show == "ended" ? $"/v2/task/check_history/?limit={Limit}&search_val={Uri.EscapeDataString(Asked("q") ?? "")}" : $"/v2/task/list/?limit={Limit}";

    private string First =>
        $"curl -H \"auth-key: $CODO_TOKEN\" {Context.Request.Scheme}://{Context.Request.Host}/v2/task/accept/ \\\n"
        + "  -d '{\"task_name\": \"deploy\", \"temp_id\": 1, \"hosts\": {\"1\": \"10.0.0.1,10.0.0.2\"}, \"schedule\": \"new\"}'";

    /// <inheritdoc/>
    protected override async Task Load()
    {
        if (Show == "ended")
        {
            var ended = await Send(new ListHistory.Query(Asked("q"), PageNumber, Limit));
            rows = await Faced(ended.Data);
            count = ended.Count;
            openCount = (await Send(new ListOrders.Query(1, 1))).Count;
            return;
        }
        var open = await Send(new ListOrders.Query(PageNumber, Limit));
        rows = [.. (await Faced(open.Data)).OrderBy(row => row.Item2.Rank)];
        openCount = count = open.Count;
        faces = [
            .. OrderFace
                .Open.Select(face => (Face: face, Count: rows.Count(row => row.Face == face)))
                .Where(face => face.Count > 0 || face.Face.Key == Asked("wait")),
        ];
        if (Asked("wait") is { } wait) rows = [.. rows.Where(row => row.Face.Key == wait)];
    }

    private static async Task<List<(OrderRow, OrderFace)>> Faced(IAsyncEnumerable<OrderRow> data)
    {
        var all = new List<(OrderRow, OrderFace)>();
        await foreach (var row in data) all.Add((row, OrderFace.Of(row.Schedule, row.Status)));
        return all;
    }
}
