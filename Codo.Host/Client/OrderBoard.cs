using System.Globalization;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary>Where an order stands, in a word.</summary>
internal static class OrderWord
{
    public static string Of(JsonObject order) => order.Text("schedule") switch
    {
        "new" => "new",
        "OK" => order.Text("status") == "3" ? "done" : "failed",
        "ready" => "ready",
        _ => OfStep(order.Text("status")),
    };

    /// <summary>A <c>task_status</c> in a word.</summary>
    public static string OfStep(string status) => status switch
    {
        "0" => "new",
        "1" => "waiting",
        "2" => "running",
        "3" => "done",
        "4" => "failed",
        "5" => "hand",
        "6" => "interrupted",
        "7" => "timed",
        _ => status,
    };
}

/// <summary>One host of one group.</summary>
/// <param name="Steps">One character a step: its <c>task_status</c>.</param>
internal sealed record OrderLane(int Group, string Host, string State, string Steps, IReadOnlyList<(int Level, string Name)> Names)
{
    /// <summary>The place of the step that it stands at; the number of steps when all are done.</summary>
    public int At => Steps.TakeWhile(step => step == '3').Count();

    public int LevelAt => Names.Count == 0 ? 1 : Names[Math.Min(At, Names.Count - 1)].Level;

    public string StepAt => At < Names.Count ? Names[At].Name : "";
}

/// <summary>An order's hosts as <c>/v2/task/grid/</c> and its stream tell them.</summary>
internal sealed class OrderBoard
{
    private readonly Dictionary<(int Group, string Host), OrderLane> lanes = [];
    private readonly Dictionary<int, IReadOnlyList<(int Level, string Name)>> names = [];

    public static readonly Column<OrderLane>[] Columns =
    [
        new("GROUP", lane => lane.Group.ToString(CultureInfo.InvariantCulture)),
        new("HOST", lane => lane.Host, Shrinks: true),
        new("STATE", lane => lane.State, Color: Colors.OfStatus),
        new("DONE", lane => string.Create(CultureInfo.InvariantCulture, $"{lane.Steps.Count(step => step == '3')}/{lane.Steps.Length}")),
        new("STEP", lane => lane.StepAt, Shrinks: true),
    ];

    public OrderBoard(JsonObject grid)
    {
        Order = grid["order"]!.AsObject();
        foreach (var group in grid.Rows("groups"))
        {
            var number = (int)group.Number("task_group")!;
            names[number] = [.. group.Rows("names").Select(step => ((int)step.Number("task_level")!, step.Text("task_name")))];
            var (hosts, states, steps) = (group.Texts("hosts").ToList(), group.Texts("states").ToList(), group.Texts("steps").ToList());
            for (var place = 0; place < hosts.Count; place++) Set(number, hosts[place], states[place], steps[place]);
        }
    }

    /// <summary>The order's own row.</summary>
    public JsonObject Order { get; set; }

    public IReadOnlyList<OrderLane> Lanes => [.. lanes.Values];

    public bool HasEnded => Order.Text("schedule") == "OK";

    /// <summary>Whether every step of every host is done, or counts as done.</summary>
    public bool IsDone => lanes.Values.All(lane => lane.Steps.All(step => step == '3'));

    /// <summary>
    /// Whether a failure holds it up and nothing moves without a person: no other host runs or waits for its turn or time. It looks so during a pause between
    /// two batches as well.
    /// </summary>
    public bool IsStuck =>
        Order.Text("schedule") == "start"
        && lanes.Values.Any(lane => lane.State is "failed" or "interrupted")
        && !lanes.Values.Any(lane => lane.State is "ready" or "running" or "timed" or "hand");

    /// <summary>Takes the hosts that changed; answers them as they are now.</summary>
    public List<OrderLane> Take(JsonArray changed) =>
        [
            .. changed
                .OfType<JsonObject>()
                .Select(lane => Set((int)lane.Number("task_group")!, lane.Text("host"), lane.Text("state"), lane.Text("steps"))),
        ];

    /// <exception cref="ClientFailure">No group has the host, or several have it and none is named.</exception>
    public OrderLane Find(string host, int? group)
    {
        var found = lanes.Values.Where(lane => lane.Host == host && (group is null || lane.Group == group)).ToList();
        return found switch
        {
            [var one] => one,
            [] => throw new ClientFailure($"The order has no host {host}{(group is null ? "" : $" in group {group}")}."),
            _ => throw new ClientFailure(
                $"{host} is in the groups {string.Join(", ", found.Select(lane => lane.Group))}: name one with --group.",
                ExitCodes.Usage
            ),
        };
    }

    private OrderLane Set(int group, string host, string state, string steps) =>
        lanes[(group, host)] = new OrderLane(group, host, state, steps, names.GetValueOrDefault(group, []));
}
