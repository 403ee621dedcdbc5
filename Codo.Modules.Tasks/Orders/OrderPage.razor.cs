using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Dapper;
using Microsoft.AspNetCore.Components;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>One order: its hosts and steps as they change, the output of the focused cell beside them; facts behind a switch.</summary>
public sealed partial class OrderPage
{
    private const int MostGates = 8, FewHosts = 5;

    // The hosts that another order would take over are those that the form of a new order fills in.
    private const string StandingSql = $"""
        SELECT {OrderBadge.KeyOf} AS face,
            EXISTS (SELECT FROM tasks.lane d WHERE d.list_id = o.list_id GROUP BY d.task_group
                HAVING NOT bool_or(CASE WHEN o.schedule = 'OK' THEN d.state <> 'done' ELSE d.state IN ('failed', 'interrupted', 'stopped') END))
                AS has_empty_group
        FROM tasks.scheduler_task_list o WHERE o.list_id = @ListId
        """;

    // The hosts with the hand step that each stands at, if it stands at one.
    private const string LanesSql = """
        SELECT l.task_group, l.batch, l.host, l.state, i.task_level, i.task_name
        FROM tasks.lane l LEFT JOIN LATERAL (
            SELECT s.task_level, s.task_name FROM tasks.scheduler_task_info s WHERE l.state = 'hand' AND s.lane_id = l.lane_id AND s.task_status <> 3
            ORDER BY s.task_level, s.sched_id LIMIT 1) i ON true
        WHERE l.list_id = @ListId ORDER BY l.task_group, l.lane_id
        """;

    private static readonly string[] NotOverStates = LaneStates.From(LaneAction.End);

    private long id;
    private CheckOrder.Page order = null!;
    private Standing standing = null!;
    private List<LaneRow> lanes = [];

    [Inject]
    private NpgsqlDataSource Source { get; set; } = null!;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["orders"];

    private string Tab => Asked("tab") == "facts" ? "facts" : "grid";

    // Before there is an order, the page says that there is none.
    private string Name => order is null ? T($"订单 {id}", $"Order {id}") : order.TaskName;

    private OrderBadge Face => OrderBadge.Named(standing.Face);

    // An order needs hosts for every group: where one has none that would be taken over, no order can be made.
    private bool MakesOrderOfTheRest => Face.Key is "failed" or "interrupted" or "ended" && !standing.HasEmptyGroup;

    private string? NoRight =>
        order.ApprovalButton
            ? null
            : T("只有此模板的用户或超级用户可以审批和干预", "Only the template's users and superusers may approve and intervene");

    private string? MayNotEnd =>
        order.ApprovalButton || order.Creator == Caller.Nickname || order.Creator == Caller.Username
            ? null
            : T("只有提交人、此模板的用户或超级用户可以结束", "Only the submitter, the template's users and superusers may end it");

    private string? GridReason =>
        NoRight
        ?? order.Schedule switch
        {
            "new" => T("订单还没有批准", "The order is not approved yet"),
            "ready" => T("订单还没有开始", "The order has not begun"),
            "OK" => T("订单已结束", "The order has ended"),
            _ => null,
        };

    // Where there are more than the title has room for, those of the group whose turn it is.
    private IEnumerable<CheckOrder.HandStep> Gates =>
        order.HandSteps.Where(step =>
            order.HandSteps.Count <= MostGates || step.TaskGroup.ToString(CultureInfo.InvariantCulture) == order.RunGroup
        );

    // Several steps of one name are told apart by where they stand.
    private string NameOf(CheckOrder.HandStep step) =>
        order.HandSteps.Count(other => other.TaskName == step.TaskName) < 2
            ? T($"「{step.TaskName}」", $"“{step.TaskName}”")
            : T(
                $"「{step.TaskName}」（组 {step.TaskGroup}，级别 {step.TaskLevel}）",
                $"“{step.TaskName}” (group {step.TaskGroup}, level {step.TaskLevel})"
            );

    private List<string> NotOver => HostsOf(lane => NotOverStates.Contains(lane.State));

    private string EndText
    {
        get
        {
            var running = lanes.Count(lane => lane.State == "running");
            var groups = lanes.Where(lane => NotOverStates.Contains(lane.State)).Select(lane => lane.TaskGroup).Distinct().Count();
            return T(
                $"结束「{order.TaskName}」\n终止正在执行的命令：现在 {running} 条\n未执行的步骤不再执行，涉及 {groups} 个组的 {Named(NotOver)}",
                $"End “{order.TaskName}”\nWhat runs is killed: {running} command{(running == 1 ? "" : "s")} now\n"
                    + $"What has not run never will, in {groups} group{(groups == 1 ? "" : "s")} with {Named(NotOver)}"
            );
        }
    }

    /// <inheritdoc/>
    protected override async Task Load()
    {
        id = NumberPart("list_id");
        order = (await Send(new CheckOrder.Query(id, null, null, null))).Data;
        await using var connection = await Source.OpenConnectionAsync(Context.RequestAborted);
        standing = await connection.QuerySingleAsync<Standing>(StandingSql, new { ListId = id });
        // Of an order that has ended nothing asks for them.
        if (order.Schedule != "OK") lanes = (await connection.QueryAsync<LaneRow>(LanesSql, new { ListId = id })).AsList();
    }

    // A host that is in several groups is one.
    private List<string> HostsOf(Func<LaneRow, bool> isConcerned) => [.. lanes.Where(isConcerned).Select(lane => lane.Host).Distinct()];

    private List<string> AtGate(CheckOrder.HandStep step) =>
        HostsOf(lane => lane.TaskGroup == step.TaskGroup && lane.TaskLevel == step.TaskLevel && lane.TaskName == step.TaskName);

    private List<string> InBatch(CheckOrder.WaitingBatch batch) =>
        HostsOf(lane => lane.TaskGroup == batch.TaskGroup && lane.Batch == batch.Batch && lane.State == "waiting");

    private static string Named(List<string> hosts)
    {
        var names = string.Join(", ", hosts.Take(FewHosts)) + (hosts.Count > FewHosts ? $" … (+{hosts.Count - FewHosts})" : "");
        return T($"{hosts.Count} 台主机", $"{hosts.Count} host{(hosts.Count == 1 ? "" : "s")}") + (hosts.Count > 0 ? T("：", ": ") + names : "");
    }

    private sealed record Standing(string Face, bool HasEmptyGroup);

    private sealed record LaneRow(int TaskGroup, int Batch, string Host, string State, int? TaskLevel, string? TaskName);
}
