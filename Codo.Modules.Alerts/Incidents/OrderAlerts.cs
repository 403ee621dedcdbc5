using Codo.Modules.Alerts.Rules;
using Codo.Platform.Events;
using Codo.Platform.Localization;
using MediatR;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>What the tasks module tells becomes incidents: all failed hosts of an order are one, which ends when the order goes on or has ended.</summary>
internal sealed class OrderAlerts(IncidentLog incidents, Zone zone)
    : INotificationHandler<OrderSituationChanged>,
        INotificationHandler<OrderExpired>,
        INotificationHandler<OrderTurnedDown>,
        INotificationHandler<ApprovalReminder>,
        INotificationHandler<OrderBrokeGlass>,
        INotificationHandler<OrderPushedBack>
{
    /// <summary>Hosts that a message names; the rest is a number.</summary>
    private const int MostLines = 20;

    private const string ApprovalEnd = ":approval", PushedBackEnd = ":push_back";

    public async Task Handle(OrderSituationChanged notification, CancellationToken cancellationToken)
    {
        var ending = notification.Situation == OrderSituation.Ended ? "ended" : "recovered";
        if (notification.Situation == OrderSituation.AwaitsApproval) await incidents.Raise(Asks(notification, isAgain: false));
        else
        {
            await incidents.Recover(Approval(notification.ListId), ending);
            await incidents.Recover(PushedBack(notification.ListId), ending);
        }
        if (notification.Situation is OrderSituation.Failed or OrderSituation.Interrupted) await incidents.Raise(Failure(notification));
        else await incidents.Recover(Fingerprint(notification.ListId), ending);
    }

    /// <summary>Once more, an hour after it began to wait.</summary>
    public Task Handle(ApprovalReminder notification, CancellationToken cancellationToken) => incidents.Raise(Asks(notification.Order, isAgain: true));

    /// <summary>It stays open until a person has looked at it.</summary>
    public Task Handle(OrderBrokeGlass notification, CancellationToken cancellationToken) =>
        incidents.Raise(
            About(
                notification.Order.ListId,
                notification.Order.TaskName,
                notification.Order.TaskType,
                notification.Order.Space,
                "system",
                $"order:{notification.Order.ListId}:break_glass",
                new Text($"由 {notification.By} 未经审批紧急执行", $"was started by {notification.By} without its approvals"),
                new Text(
                    $"{zone.Text(notification.Order.Since)}\n理由：{notification.Reason}",
                    $"{zone.Text(notification.Order.Since)}\nReason: {notification.Reason}"
                ),
                notification.Order.Approvers,
                notification.Order.Associated
            ) with
            {
                Orphaned = true,
            }
        );

    /// <summary>The submitter is asked to act, each time anew; it is over once the order is approved or has ended.</summary>
    public Task Handle(OrderPushedBack notification, CancellationToken cancellationToken) =>
        incidents.Raise(
            About(
                notification.ListId,
                notification.TaskName,
                notification.TaskType,
                notification.Space,
                "waiting",
                PushedBack(notification.ListId),
                new Text($"被 {notification.By} 退回", $"was pushed back by {notification.By}"),
                new Text(
                    $"{zone.Text(notification.At)}\n理由：{notification.Reason}",
                    $"{zone.Text(notification.At)}\nReason: {notification.Reason}"
                ),
                notification.SubmitterId is { } id ? [new Approver(id, notification.Submitter)] : [],
                notification.SubmitterId is null ? [notification.Submitter] : []
            ) with
            {
                AsksNow = true,
                Again = true,
            }
        );

    /// <summary>The submitter hears of it as of a failure: what was asked for did not happen.</summary>
    public Task Handle(OrderExpired notification, CancellationToken cancellationToken) =>
        incidents.Raise(
            About(
                notification.ListId,
                notification.TaskName,
                notification.TaskType,
                notification.Space,
                "failed",
                $"order:{notification.ListId}:expired",
                new Text("无人审批，已结束", "was ended: nobody approved it"),
                new Text($"{notification.Days} 天内无人审批", $"Nobody approved it in {notification.Days} days"),
                notification.SubmitterId is { } id ? [new Approver(id, notification.Submitter)] : [],
                notification.SubmitterId is null ? [notification.Submitter] : []
            )
        );

    /// <summary>The same, with the reason.</summary>
    public Task Handle(OrderTurnedDown notification, CancellationToken cancellationToken)
    {
        var at = zone.Text(notification.At);
        var (word, what) = notification.By is { } by
            ? ("rejected", new Text($"被 {by} 驳回", $"was rejected by {by}"))
            : ("blocked", new Text("被高危命令规则禁止，没有开始", "did not start: a high-risk rule blocks it"));
        return incidents.Raise(
            About(
                notification.ListId,
                notification.TaskName,
                notification.TaskType,
                notification.Space,
                "failed",
                $"order:{notification.ListId}:{word}",
                what,
                new Text($"{at}\n{notification.Reason.Zh}".TrimEnd(), $"{at}\n{notification.Reason.En}".TrimEnd()),
                notification.SubmitterId is { } id ? [new Approver(id, notification.Submitter)] : [],
                notification.SubmitterId is null ? [notification.Submitter] : []
            )
        );
    }

    /// <summary>Something of an order, as every kind of trouble with it reads.</summary>
    public static AlertEvent About(
        long listId,
        string name,
        string type,
        long space,
        string kind,
        string fingerprint,
        Text what,
        Text detail,
        IEnumerable<Approver> approvers,
        IEnumerable<string> associated
    ) =>
        new(
            "order",
            kind,
            fingerprint,
            $"ID-{listId} 任务-{name} 类型-{type}",
            new Text($"订单 {listId} {name} {what.Zh}", $"Order {listId} {name} {what.En}"),
            detail
        )
        {
            ListId = listId,
            Space = space,
            Subjects = [type],
            People = [.. associated.Select(person => new Person(person)), .. approvers.Select(approver => new Person(approver.Name, approver.Id))],
        };

    private AlertEvent Failure(OrderSituationChanged order)
    {
        var what = order.Situation == OrderSituation.Failed ? new Text("失败", "failed") : new Text("被中断", "was interrupted");
        var lines = order.Steps.Take(MostLines).Select(Line).ToList();
        if (order.Steps.Count > MostLines) lines.Add(Text.Same($"… +{order.Steps.Count - MostLines}"));
        lines.Insert(0, Text.Same(zone.Text(order.Since)));
        var detail = new Text(string.Join('\n', lines.Select(line => line.Zh)), string.Join('\n', lines.Select(line => line.En)));
        return About(order.ListId, order.TaskName, order.TaskType, order.Space, "failed", Fingerprint(order.ListId), what, detail,
            order.Approvers, order.Associated) with
        {
            Output = Excerpt.Tail(order.Output),
        };
    }

    private static Text Line(StepInTrouble step)
    {
        var line = $"{step.Host}: {step.Step} {step.Outcome}{(step.ExitCode is { } code ? $" ({code})" : "")}";
        return new Text($"{line} {step.Cause.Zh}".TrimEnd(), $"{line} {step.Cause.En}".TrimEnd());
    }

    private AlertEvent Asks(OrderSituationChanged order, bool isAgain)
    {
        var what = isAgain ? new Text("仍在等待审批", "still awaits approval") : new Text("等待审批", "awaits approval");
        var since = zone.Text(order.Since);
        return About(
            order.ListId,
            order.TaskName,
            order.TaskType,
            order.Space,
            "waiting",
            Approval(order.ListId),
            what,
            new Text($"自 {since} 起", $"Since {since}"),
            order.Asked,
            []
        ) with
        {
            AsksNow = true,
            Again = isAgain,
            Continues = isAgain,
        };
    }

    /// <summary>Whether a fingerprint is of something that asks somebody to act, for which no rule's time counts.</summary>
    public static bool AsksNow(string fingerprint) =>
        fingerprint.StartsWith("order:", StringComparison.Ordinal)
        && (fingerprint.EndsWith(ApprovalEnd, StringComparison.Ordinal) || fingerprint.EndsWith(PushedBackEnd, StringComparison.Ordinal));

    private static string Approval(long listId) => $"order:{listId}{ApprovalEnd}";

    private static string PushedBack(long listId) => $"order:{listId}{PushedBackEnd}";

    private static string Fingerprint(long listId) => $"order:{listId}:failed";
}
