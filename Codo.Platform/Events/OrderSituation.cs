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

/// <summary>An order's situation has changed. Published by a background job in queue <c>alerts</c>, at least once for each change; two changes in a row may be told as the last of them.</summary>
/// <param name="TaskType">The template's name, unless accept gave another.</param>
/// <param name="Since">UTC; when the situation was noted.</param>
/// <param name="Hosts">Of the lanes that failed or were interrupted; empty in other situations.</param>
/// <param name="ApproverIds">User ids with the right to approve it.</param>
/// <param name="Associated">Names in its <c>associated_user</c>, as they were given.</param>
public sealed record OrderSituationChanged(
    long ListId, string TaskName, string TaskType, OrderSituation Situation, DateTime Since,
    IReadOnlyList<string> Hosts, IReadOnlyList<long> ApproverIds, IReadOnlyList<string> Associated) : INotification;
