using System.Text.Json.Nodes;

namespace Codo.Modules.Tasks.Orders;

/// <summary>A time in which a step ran on the hosts of one batch without a pause longer than a second.</summary>
/// <param name="Step">Its place in the group, from 1.</param>
/// <param name="ToTime">Null while it goes on.</param>
/// <param name="FirstEnd">When the first host was through; null where none is yet.</param>
/// <param name="Repeated">Attempts that were not the first of their host.</param>
/// <param name="Done">Attempts that ended well.</param>
/// <param name="SlowestHost">Whose attempt took longest.</param>
internal sealed record TimelineStretch(
    int TaskGroup,
    int Batch,
    int Step,
    string TaskName,
    string Trigger,
    DateTime FromTime,
    DateTime? ToTime,
    DateTime? FirstEnd,
    int Hosts,
    int Attempts,
    int Repeated,
    int Done,
    int Running,
    string SlowestHost
);

/// <summary>A time in which the order, or a batch of it, waited.</summary>
/// <param name="Kind">
/// <c>approval</c>, <c>start</c>, <c>hand</c>, <c>timed</c>, <c>confirm</c>, <c>pause</c>, <c>retry</c>, <c>failure</c> or <c>idle</c>.
/// </param>
/// <param name="ToTime">Null while it waits.</param>
/// <param name="TaskGroup">Of what came after; null where it concerns the whole order.</param>
/// <param name="By">Who ended it; empty where nobody did.</param>
internal sealed record TimelineWait(
    string Kind,
    DateTime FromTime,
    DateTime? ToTime,
    int? TaskGroup,
    int? Batch,
    int? Step,
    string TaskName,
    string By
);

/// <summary>What somebody did to the order.</summary>
internal sealed record TimelineEvent(DateTime Time, string User, long UserId, string Action, JsonNode? Detail);

/// <summary>The order itself, as far as its timeline needs it.</summary>
internal sealed record TimelineOrder(DateTime CreateTime, DateTime BeginsAt, DateTime? EndedAt, string Schedule, DateTime Now);

/// <summary>Hosts that stand still: by group, batch and the state of their lanes, with the step that they stand at.</summary>
internal sealed record TimelineStanding(int TaskGroup, int Batch, string State, DateTime Since, int Step, string TaskName, bool Confirms);

/// <summary>Finds what an order waited for: for people by its audit, for the rest by the times in which nothing ran.</summary>
internal static class OrderTimeline
{
    // Between two steps lie the end of one, a transaction and the start of the next.
    private static readonly TimeSpan Least = TimeSpan.FromSeconds(2);

    public static IReadOnlyList<TimelineWait> Waits(
        TimelineOrder order,
        IReadOnlyList<TimelineStretch> stretches,
        IReadOnlyList<TimelineEvent> events,
        IReadOnlyList<TimelineStanding> standing
    )
    {
        var waits = new List<TimelineWait>();
        var ready = Approvals(order, events, waits);
        var first = stretches.Count > 0 ? stretches[0].FromTime : (DateTime?)null;
        if (ready is { } since && (first ?? order.EndedAt ?? order.Now) - since is var put && put >= Least)
        {
            var isPlanned = order.BeginsAt > since + Least;
            if (isPlanned || first is not null)
                waits.Add(new TimelineWait(isPlanned ? "start" : "idle", since, first ?? order.EndedAt, null, null, null, "", ""));
        }
        Hands(stretches, events, waits);
        Gaps(order, stretches, events, standing, waits);
        return [.. waits.OrderBy(wait => wait.FromTime)];
    }

    /// <summary>Whether an answer waited for approval at the time of an event: <c>create</c> with <c>schedule</c> <c>new</c>, or <c>return</c>.</summary>
    /// <returns>Since when nobody has to approve it; null where somebody still has.</returns>
    private static DateTime? Approvals(TimelineOrder order, IReadOnlyList<TimelineEvent> events, List<TimelineWait> waits)
    {
        DateTime? ready = order.Schedule == "new" ? null : order.CreateTime;
        DateTime? asked = order.Schedule == "new" ? order.CreateTime : null;
        foreach (var one in events)
        {
            if (one.Action == "return" || (one.Action == "create" && (string?)one.Detail?["schedule"] == "new")) (asked, ready) = (one.Time, null);
            if (asked is null || !Ends(one)) continue;
            waits.Add(new TimelineWait("approval", asked.Value, one.Time, null, null, null, "", one.User));
            (asked, ready) = (null, one.Action is "approve" or "break_glass" ? one.Time : null);
        }
        if (asked is { } still) waits.Add(new TimelineWait("approval", still, order.EndedAt, null, null, null, "", ""));
        return ready;

        static bool Ends(TimelineEvent one) =>
            one.Action is "break_glass" or "reject" or "end" || (one.Action == "approve" && ((int?)one.Detail?["missing"] ?? 0) == 0);
    }

    // From the first host that was through with the step before, whatever other hosts did meanwhile.
    private static void Hands(IReadOnlyList<TimelineStretch> stretches, IReadOnlyList<TimelineEvent> events, List<TimelineWait> waits)
    {
        foreach (var hand in stretches.Where(one => one is { Trigger: "hand", Step: > 1, Repeated: 0 }))
        {
            var before = stretches.LastOrDefault(one =>
                (one.TaskGroup, one.Batch, one.Step) == (hand.TaskGroup, hand.Batch, hand.Step - 1) && one.FirstEnd <= hand.FromTime
            );
            if (before?.FirstEnd is { } from && hand.FromTime - from >= Least)
                waits.Add(Wait("hand", from, hand.FromTime, hand, Last(events, from, hand.FromTime, "release", "execute")));
        }
    }

    private static void Gaps(
        TimelineOrder order,
        IReadOnlyList<TimelineStretch> stretches,
        IReadOnlyList<TimelineEvent> events,
        IReadOnlyList<TimelineStanding> standing,
        List<TimelineWait> waits
    )
    {
        DateTime? busyTo = null;
        var seen = new HashSet<(int, int)>();
        foreach (var next in stretches)
        {
            if (busyTo is { } from && next.FromTime - from >= Least && !waits.Exists(wait => wait.Kind == "hand" && wait.ToTime == next.FromTime))
            {
                var restart = Last(events, from, next.FromTime, "restart", "restart_failed", "skip");
                var release = Last(events, from, next.FromTime, "release", "execute");
                var batch = Last(events, from, next.FromTime, "next_batch");
                var kind =
                    restart.Length > 0 ? "failure"
                    : release.Length > 0 || next.Trigger == "hand" ? "hand"
                    : batch.Length > 0 ? "confirm"
                    : next.Trigger == "timed" ? "timed"
                    : next.Repeated > 0 ? "retry"
                    : next.Batch > 1 && !seen.Contains((next.TaskGroup, next.Batch)) ? "pause"
                    : "idle";
                waits.Add(Wait(kind, from, next.FromTime, next, kind switch { "failure" => restart, "hand" => release, "confirm" => batch, _ => "" }));
            }
            seen.Add((next.TaskGroup, next.Batch));
            var to = next.ToTime ?? DateTime.MaxValue;
            if (busyTo is null || to > busyTo) busyTo = to;
        }
        // What stands still now, however much else goes on.
        foreach (var one in standing)
        {
            var kind = one.State switch
            {
                "failed" or "interrupted" => "failure",
                "hand" => "hand",
                "timed" => "timed",
                _ => one.Confirms ? "confirm" : "pause",
            };
            waits.Add(new TimelineWait(kind, one.Since, order.EndedAt, one.TaskGroup, one.Batch, one.Step, one.TaskName, ""));
        }
    }

    private static TimelineWait Wait(string kind, DateTime from, DateTime to, TimelineStretch next, string by) =>
        new(kind, from, to, next.TaskGroup, next.Batch, next.Step, next.TaskName, by);

    private static string Last(IReadOnlyList<TimelineEvent> events, DateTime from, DateTime to, params string[] actions) =>
        events.LastOrDefault(one => one.Time >= from && one.Time <= to && actions.Contains(one.Action))?.User ?? "";
}
