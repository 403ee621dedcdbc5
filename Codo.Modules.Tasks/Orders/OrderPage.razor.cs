using System.Globalization;
using Dapper;
using Microsoft.AspNetCore.Components;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>One order: its hosts and steps as they change, the output of the focused cell beside them; facts behind a switch.</summary>
public sealed partial class OrderPage
{
    private const int MostGates = 8;

    private const string StandingSql = """
        SELECT COALESCE(bool_or(l.state = 'interrupted'), false) AS has_interrupted, COALESCE(bool_or(l.state = 'hand'), false) AS is_at_hand,
            EXISTS (SELECT FROM tasks.lane d WHERE d.list_id = @ListId GROUP BY d.task_group HAVING bool_and(d.state = 'done')) AS has_done_group
        FROM tasks.lane l WHERE l.list_id = @ListId
        """;

    private long id;
    private CheckOrder.Page order = null!;
    private Standing standing = null!;

    [Inject]
    private NpgsqlDataSource Source { get; set; } = null!;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["orders"];

    private string Tab => Asked("tab") == "facts" ? "facts" : "grid";

    // Before there is an order, the page says that there is none.
    private string Name => order is null ? T($"订单 {id}", $"Order {id}") : order.TaskName;

    // The status is 6 also where a person stopped a host, which hides what waits for a person beside it.
    private OrderFace Face
    {
        get
        {
            var face = OrderFace.Of(order.Schedule, order.Status);
            if (order.Schedule != "start" || face.Key == "failed") return face;
            if (face.Key == "interrupted" && standing.HasInterrupted) return OrderFace.Interrupted;
            if (standing.IsAtHand) return OrderFace.AtHand;
            if (order.NextBatch is { AwaitsPerson: true }) return OrderFace.AwaitsBatch;
            return face.Key == "interrupted" ? OrderFace.Running : face;
        }
    }

    // An order needs hosts for every group: without the hosts of a group that is done no order can be made.
    private bool MakesOrderOfTheRest => Face.Key is "failed" or "interrupted" or "ended" && !standing.HasDoneGroup;

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

    private string Hosts =>
        string.Create(CultureInfo.InvariantCulture, $"{order.GroupList.Count} ")
        + T("个组，从", "groups, beginning with ")
        + string.Join(", ", order.ThisHostList.Take(5))
        + (order.ThisHostList.Count > 5 ? $" … (+{order.ThisHostList.Count - 5})" : "");

    private string EndText =>
        T(
            $"结束「{order.TaskName}」\n终止正在执行的命令\n未执行的步骤不再执行\n{Hosts}",
            $"End “{order.TaskName}”\nWhat runs is killed\nWhat has not run never will\n{Hosts}"
        );

    /// <inheritdoc/>
    protected override async Task Load()
    {
        id = NumberPart("list_id");
        order = (await Send(new CheckOrder.Query(id, null, null, null))).Data;
        await using var connection = await Source.OpenConnectionAsync(Context.RequestAborted);
        standing = await connection.QuerySingleAsync<Standing>(StandingSql, new { ListId = id });
    }

    private sealed record Standing(bool HasInterrupted, bool IsAtHand, bool HasDoneGroup);
}
