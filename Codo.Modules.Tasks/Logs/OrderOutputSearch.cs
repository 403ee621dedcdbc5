using System.Globalization;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Codo.Platform.Ui;
using MediatR;

namespace Codo.Modules.Tasks.Logs;

/// <summary>The output of orders on the search page.</summary>
internal sealed class OrderOutputSearch : IOutputSearch
{
    private const int Limit = 100;

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

    // A submitter sees an order of one's own without any grant.
    public bool IsSeen(Access access) => true;

    public string Api(OutputSought sought) =>
        string.Create(CultureInfo.InvariantCulture, $"/v2/task/log/search/?limit={Limit}&page={sought.Page}&context={sought.Context}")
            + $"&q={Uri.EscapeDataString(sought.Text)}"
            + Value("host", sought.Within) + Value("from", sought.From) + Value("to", sought.To);

    public async Task<OutputFound> Find(OutputSought sought, IMediator mediator, CancellationToken cancellation)
    {
        var found = await mediator.Send(
            new SearchLogs.Query(sought.Text, null, sought.Within, sought.From, sought.To, sought.Page, Limit, sought.Context),
            cancellation
        );
        var notes = new List<Text>();
        if (found.Partial) notes.Add(new Text("时间用完，更早的输出还没有查：请缩小时间范围", "Time was up before all was looked through: narrow the times for older lines"));
        if (found.ContextPartial) notes.Add(new Text("时间用完，部分行没有前后的行", "Time was up: some lines stand without the lines around them"));
        return new OutputFound([.. found.Data.Select(LineOf)], found.More, notes);
    }

    private static OutputLine LineOf(SearchLogs.Row row)
    {
        var order = $"/orders/{row.ListId.ToString(CultureInfo.InvariantCulture)}";
        return new OutputLine(
            row.LogInfo,
            order + "?cell=" + Uri.EscapeDataString(string.Create(CultureInfo.InvariantCulture, $"{GroupOf(row)}/{row.Host}/L{row.TaskLevel}")),
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
