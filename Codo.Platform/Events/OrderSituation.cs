using Codo.Platform.Localization;
using MediatR;

namespace Codo.Platform.Events;

/// <summary>What people may want to hear of an order.</summary>
public enum OrderSituation
{
    /// <summary>It goes on by itself: it never was in trouble, was approved, released or repaired.</summary>
    GoesOn,

    /// <summary>It waits for somebody with the right to approve it.</summary>
    AwaitsApproval,

    /// <summary>It waits for a person at a hand step.</summary>
    AwaitsPerson,

    /// <summary>It is started and a step of it failed.</summary>
    Failed,

    /// <summary>It is started and a step of it was interrupted, lost or stopped.</summary>
    Interrupted,

    /// <summary>It has ended.</summary>
    Ended,
}

/// <summary>
/// An order's situation has changed. Published by the outbox, at least once for each change; two changes in a row may be told as the last of them.
/// </summary>
/// <param name="TaskType">The template's name, unless accept gave another.</param>
/// <param name="Since">UTC; when the situation was noted.</param>
/// <param name="Hosts">Of the lanes that failed or were interrupted; empty in other situations.</param>
/// <param name="Approvers">Those whose ids are known: with the right to approve it (superusers, who have it for every order, are not among them), named with
/// their id, and its submitter.</param>
/// <param name="Associated">Names in its <c>associated_user</c> that were given without an id.</param>
/// <param name="Asked">Those who can still approve it, while it awaits approval.</param>
/// <param name="Steps">Where each of those lanes stands.</param>
/// <param name="Output">The end of what the first of those steps printed, as far as it is stored; its secrets are masked.</param>
public sealed record OrderSituationChanged(
    long ListId,
    string TaskName,
    string TaskType,
    OrderSituation Situation,
    DateTime Since,
    IReadOnlyList<string> Hosts,
    IReadOnlyList<Approver> Approvers,
    IReadOnlyList<string> Associated,
    IReadOnlyList<Approver> Asked,
    IReadOnlyList<StepInTrouble> Steps,
    string Output,
    long Space = 1
) : INotification;

/// <summary>An order still awaits approval an hour after it began to. Published at least once.</summary>
public sealed record ApprovalReminder(OrderSituationChanged Order) : INotification;

/// <summary>Somebody started an order without the approvals that it needs. Published at least once.</summary>
/// <param name="By">The name of whoever did.</param>
public sealed record OrderBrokeGlass(OrderSituationChanged Order, string By, string Reason) : INotification;

/// <summary>Somebody who may approve an order pushed it back to its submitter. Published at least once.</summary>
/// <param name="By">The name of whoever did.</param>
/// <param name="SubmitterId">Null where only the name is known.</param>
public sealed record OrderPushedBack(
    long ListId,
    string TaskName,
    string TaskType,
    string By,
    string Reason,
    DateTime At,
    string Submitter,
    long? SubmitterId,
    long Space = 1
) : INotification;

/// <summary>Somebody of an order whose id is known.</summary>
/// <param name="Name">Empty when they are no longer among the template's users.</param>
public sealed record Approver(long Id, string Name);

/// <summary>The step at which a lane stands.</summary>
/// <param name="Outcome">In words, as the order's page has it: <c>failed</c>, <c>timeout</c>, <c>lost</c>.</param>
/// <param name="Cause">Why, in words; may be empty.</param>
public sealed record StepInTrouble(string Host, string Step, string Outcome, Text Cause, int? ExitCode);

/// <summary>Asks for what orders wait for, and which of their steps run, on all nodes.</summary>
public sealed record ListRunningOrders : IRequest<IReadOnlyList<RunningOrder>>;

/// <summary>An order that waits, or one of its steps that runs.</summary>
/// <param name="Situation"><see cref="OrderSituation.AwaitsApproval"/>; <see cref="OrderSituation.AwaitsPerson"/> at a hand step, and where a person lets the
/// next batch begin; or <see cref="OrderSituation.GoesOn"/> for a step that runs.</param>
/// <param name="Step">Empty while it awaits its approval, or a person who lets the next batch begin.</param>
/// <param name="Since">UTC.</param>
public sealed record RunningOrder(
    long ListId,
    string TaskName,
    string TaskType,
    OrderSituation Situation,
    string Step,
    string Host,
    DateTime Since,
    IReadOnlyList<Approver> Approvers,
    IReadOnlyList<string> Associated,
    long Space = 1
);

/// <summary>An order was ended because nobody approved it in time. Published at least once.</summary>
/// <param name="Days">How long it waited, at least.</param>
/// <param name="SubmitterId">Null where only the name is known.</param>
public sealed record OrderExpired(long ListId, string TaskName, string TaskType, int Days, string Submitter, long? SubmitterId, long Space = 1)
    : INotification;

/// <summary>An order has ended without a start: it was rejected, or a high-risk rule blocks it. Published at least once.</summary>
/// <param name="By">The name of whoever rejected it; null where a rule blocks it.</param>
/// <param name="Reason">What that person gave as the reason, which may be empty, or what the rule says.</param>
/// <param name="SubmitterId">Null where only the name is known.</param>
public sealed record OrderTurnedDown(
    long ListId,
    string TaskName,
    string TaskType,
    string? By,
    Text Reason,
    DateTime At,
    string Submitter,
    long? SubmitterId,
    long Space = 1
) : INotification;
