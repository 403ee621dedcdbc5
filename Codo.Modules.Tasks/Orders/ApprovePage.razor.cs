using System.Globalization;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What an order runs, and the decision about it: approve, push back, reject.</summary>
public sealed partial class ApprovePage
{
    private const int FewHosts = 6, MostRisks = 5;

    private long id;
    private CheckOrder.Page order = null!;
    private ShowPlan.Plan plan = null!;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["orders"];

    // Before there is an order, the page says that there is none.
    private string Name => order is null ? T($"订单 {id}", $"Order {id}") : order.TaskName;

    private OrderBadge Face => OrderBadge.Of(order.Schedule, order.Status);

    // Rejected, or ended before all was done: some of it never ran.
    private bool IsOverUndone => order is { Schedule: "OK", Status: not "3" };

    // Whoever has approved it since has answered it.
    private CheckOrder.Approval? PushedBack =>
        order.Approvals.LastOrDefault(one => one is { Verdict: "approve" } or { Verdict: "push_back", Counts: true }) is { Verdict: "push_back" } last
            ? last
            : null;

    private bool IsBeforeItsTime => order.StartTime > Time.GetUtcNow().UtcDateTime;

    // Only hold holds an order: without it the time is one for its timed steps.
    private bool IsLater => order.Hold && IsBeforeItsTime;

    private bool AreStepsLater =>
        !order.Hold && IsBeforeItsTime && plan.Groups.Any(group => group.Alike.Any(alike => alike.Steps.Any(step => step.Trigger == "timed")));

    private string Given =>
        T($"已审批 {order.ApprovalsGiven} / {order.ApprovalsNeeded}", $"{order.ApprovalsGiven} of {order.ApprovalsNeeded} given");

    private string StillNeeded =>
        order.WaitsFor.Length == 0 ? "" : T($"还可由：{order.WaitsFor}", $"Still needed, one of: {order.WaitsFor.Replace("，", ", ", StringComparison.Ordinal)}");

    private string CommentHint =>
        plan.Rule.ReasonRequired ? T("理由（必填）", "Reason (required)") : T("意见（退回时必填）", "Comment (required to push back)");

    // A host that is in several groups is one.
    private int HostsInAll => plan.Groups.SelectMany(group => group.Alike).SelectMany(alike => alike.Hosts).Distinct().Count();

    private string ApproveText
    {
        get
        {
            var missing = order.ApprovalsNeeded - order.ApprovalsGiven - 1;
            var after =
                missing > 0 ? T($"之后还需 {missing} 人审批", $"{missing} more approval{(missing == 1 ? "" : "s")} needed after it")
                : IsLater ? T($"开始时间 {Zone.Text(order.StartTime)}", $"Start time {Zone.Text(order.StartTime)}")
                : AreStepsLater
                    ? T(
                        $"立即开始；定时步骤在 {Zone.Text(order.StartTime)} 执行",
                        $"It starts at once; its timed steps at {Zone.Text(order.StartTime)}"
                    )
                : T("立即开始", "It starts at once");
            var groups = string.Join(
                '\n',
                plan.Groups.Select(group => T($"组 {group.TaskGroup}：", $"Group {group.TaskGroup}: ") + HostCount(group.HostCount))
            );
            // Of an order without a plan the hosts are not known here.
            var of = HostsInAll == 0 ? "" : T("：", " for ") + HostCount(HostsInAll);
            return T($"批准「{order.TaskName}」{of}\n{after}\n{groups}", $"Approve “{order.TaskName}”{of}\n{after}\n{groups}");
        }
    }

    private string RejectText =>
        T($"驳回「{order.TaskName}」\n订单结束，不再执行", $"Reject “{order.TaskName}”\nThe order ends and never runs");

    /// <inheritdoc/>
    protected override async Task Load()
    {
        id = NumberPart("list_id");
        order = (await Send(new CheckOrder.Query(id, null, null, null))).Data;
        plan = (await Send(new ShowPlan.Query(id))).Data;
    }

    private static string HostCount(int count) =>
        T($"{count.ToString(CultureInfo.InvariantCulture)} 台主机", $"{count.ToString(CultureInfo.InvariantCulture)} host{(count == 1 ? "" : "s")}");

    private static string Batches(ShowPlan.Group group) =>
        group.Batches < 2
            ? ""
            : T($" · 分 {group.Batches} 批", $" · {group.Batches} batches") + BatchWords.Of(group.BatchPause, group.MaxFailures, group.Next);

    private static string Few(IReadOnlyList<string> hosts) => string.Join(", ", hosts.Take(FewHosts)) + (hosts.Count > FewHosts ? " …" : "");

    private static IEnumerable<string> Notes(ShowPlan.Step step)
    {
        if (step.ForceHost.Length > 0) yield return T($"在 {step.ForceHost} 执行", $"on {step.ForceHost}");
        if (step.Node.Length > 0) yield return T($"仅限节点 {step.Node}", $"by nodes {step.Node} alone");
        if (step.Trigger == "hand") yield return T("等待人工放行", "waits for a person");
        if (step.Trigger == "timed") yield return T("等待开始时间", "waits for the start time");
        if (step.Retries > 0) yield return T($"失败重试 {step.Retries} 次", $"{step.Retries} retr{(step.Retries == 1 ? "y" : "ies")}");
        if (step.OnError == "continue") yield return T("失败后继续", "goes on after a failure");
        yield return step.Timeout % 60 == 0
            ? T($"最长 {step.Timeout / 60} 分钟", $"{step.Timeout / 60} min at most")
            : T($"最长 {step.Timeout} 秒", $"{step.Timeout} s at most");
    }

    // What two lines have in common at both ends, and what differs between.
    private static (string Head, string Before, string Now, string Tail) Apart(string before, string now)
    {
        var head = 0;
        while (head < before.Length && head < now.Length && before[head] == now[head]) head++;
        if (head > 0 && char.IsHighSurrogate(before[head - 1])) head--;
        var tail = 0;
        while (tail < before.Length - head && tail < now.Length - head && before[^(tail + 1)] == now[^(tail + 1)]) tail++;
        if (tail > 0 && char.IsLowSurrogate(before[^tail])) tail--;
        return (before[..head], before[head..^tail], now[head..^tail], before[^tail..]);
    }

    private static string RiskWord(string action) =>
        action switch
        {
            "block" => T("禁止执行", "Blocked"),
            "approve" => T("高危，需他人审批", "High risk, needs another person"),
            _ => T("高危提示", "High risk"),
        };

    private static string VerdictIcon(string verdict) => verdict switch { "approve" => "check", "reject" => "cross", "push_back" => "hand", _ => "warning" };

    private static string VerdictWord(CheckOrder.Approval one) =>
        one.Verdict switch
        {
            "approve" => one.Counts ? T("已批准", "approved") : T("曾批准，已失效", "approved, no longer counts"),
            "reject" => T("已驳回", "rejected"),
            "push_back" => one.Counts ? T("已退回", "pushed back") : T("曾退回", "pushed back earlier"),
            _ => T("紧急执行", "started it without approval"),
        };
}
