using System.Globalization;
using Codo.Modules.Tasks.Orders;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Codo.Platform.Ui;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>The output of orders on the search page.</summary>
internal sealed class OrderOutputSearch(NpgsqlDataSource source) : IOutputSearch
{
    private const int Limit = 100;

    // Several steps of a host may have one level: its place in the row tells a step from the others.
    private const string PlacesSql = """
        SELECT s.sched_id, (SELECT count(*) FROM tasks.scheduler_task_info b
            WHERE b.lane_id = s.lane_id AND (b.task_level, b.sched_id) < (s.task_level, s.sched_id)) AS place
        FROM tasks.scheduler_task_info s WHERE s.sched_id = ANY(@Scheds)
        """;

    public string Key => "orders";

    public int Rank => 2;

    public string Icon => "orders";

    public OutputSearchWords Words { get; } =
        new(
            new Text("订单的输出", "Output of orders"),
            new Text("主机", "Host"),
            new Text("主机", "Hosts"),
            new Text("订单", "Order"),
            new Text("步骤", "Step"),
            count => new Text($"{count} 台", $"{count} hosts")
        );

    public string Within => "host";

    public string? Only => "list_id";

    // A submitter sees an order of one's own without any grant.
    public bool IsSeen(Access access) => true;

    public string Api(OutputSought sought) =>
        string.Create(CultureInfo.InvariantCulture, $"/v2/task/log/search/?limit={Limit}&page={sought.Page}&context={sought.Context}")
            + $"&q={Uri.EscapeDataString(sought.Text)}"
            + Value("list_id", sought.Only) + Value("host", sought.Within) + Value("from", sought.From) + Value("to", sought.To);

    public async Task<OutputFound> Find(OutputSought sought, IMediator mediator, CancellationToken cancellation)
    {
        var found = await mediator.Send(
            new SearchLogs.Query(
                sought.Text,
                sought.Only is { } only ? IdOf(only) : null,
                sought.Within,
                sought.From,
                sought.To,
                sought.Page,
                Limit,
                sought.Context
            ),
            cancellation
        );
        var notes = new List<Text>();
        if (found.Partial) notes.Add(new Text("时间用完，更早的输出还没有查：请缩小时间范围", "Time was up before all was looked through: narrow the times for older lines"));
        if (found.ContextPartial) notes.Add(new Text("时间用完，部分行没有前后的行", "Time was up: some lines stand without the lines around them"));
        var places = await Places(found.Data, cancellation);
        return new OutputFound([.. found.Data.Select(row => LineOf(row, places, sought.Text))], found.More, notes);
    }

    public async Task<(string Name, string Path)> Named(string only, IMediator mediator, CancellationToken cancellation)
    {
        var order = (await mediator.Send(new CheckOrder.Query(IdOf(only), null, null, null), cancellation)).Data;
        return ($"#{order.ListId} {order.TaskName}", PathOf(IdOf(only)));
    }

    private static long IdOf(string text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw Refusal.Invalid("list_id 必须是数字", "list_id must be a number");

    private static string PathOf(long listId) => $"/orders/{listId.ToString(CultureInfo.InvariantCulture)}";

    private async Task<Dictionary<long, long>> Places(IReadOnlyList<SearchLogs.Row> rows, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var asked = new { Scheds = rows.Select(row => row.SchedId).Distinct().ToArray() };
        var places = await connection.QueryAsync<(long SchedId, long Place)>(new CommandDefinition(PlacesSql, asked, cancellationToken: cancellation));
        return places.ToDictionary(one => one.SchedId, one => one.Place);
    }

    // The page of the order goes to the text in the output of the step that wrote it. Of another publisher's line no step is known, but its level.
    private static OutputLine LineOf(SearchLogs.Row row, Dictionary<long, long> places, string text)
    {
        var order = PathOf(row.ListId);
        var step = places.TryGetValue(row.SchedId, out var place) ? $"{place}" : $"L{row.TaskLevel}";
        return new OutputLine(
            row.LogInfo,
            $"{order}?cell={Uri.EscapeDataString($"{GroupOf(row)}/{row.Host}/{step}")}&find={Uri.EscapeDataString(text)}",
            row.Before ?? [],
            row.After ?? [],
            row.Host,
            row.OrderName,
            order,
            row.StepName,
            row.ExecTime
        );
    }

    private static string GroupOf(SearchLogs.Row row) => row.LogKey.Split('_', 3) is [_, var group, _] ? group : "";

    private static string Value(string name, string? text) => text is null ? "" : $"&{name}={Uri.EscapeDataString(text)}";
}
