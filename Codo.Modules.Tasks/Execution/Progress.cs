namespace Codo.Modules.Tasks.Execution;

/// <summary>A group of an order and how many of its lanes stand where, batch by batch.</summary>
/// <param name="BatchPause">Seconds between two batches.</param>
/// <param name="Allowed">The batch that a person let begin, 0 for none.</param>
/// <param name="Pausing">The pause before the next batch is under way or over.</param>
/// <param name="PauseOver">It is over.</param>
internal sealed record GroupProgress(
    int Group, int Batches, int BatchPause, int MaxFailures, bool Confirm, int Allowed, bool Pausing, bool PauseOver, IReadOnlyList<BatchLanes> Lanes);

/// <summary>Lanes of one batch that stand in one state.</summary>
internal readonly record struct BatchLanes(int Batch, LaneState State, int Count);

/// <summary>What an order does next.</summary>
/// <param name="Group">Its first unfinished group; null when all are finished.</param>
/// <param name="Open">The batch of that group to open now; null for none.</param>
/// <param name="StartPause">The pause before the next batch begins now.</param>
internal readonly record struct NextMove(int? Group, int? Open = null, bool StartPause = false);

/// <summary>Which group and batch of an order may begin: pure, so that every case can be tested without running one.</summary>
internal static class Progress
{
    /// <summary>
    /// In SQL, of a group <c>g</c> of an order that is started: it is the group whose turn it is, nothing of it is under way, and its next batch has not begun.
    /// With <c>g.confirm</c> that batch waits for a person.
    /// </summary>
    public const string BatchWaits = $"{NextBatch} > GREATEST(1, g.allowed) AND {HasTurn}";

    /// <summary>In SQL, of an order <c>o</c> that is started: a person lets its next batch begin.</summary>
    public const string AwaitsBatch = $"EXISTS (SELECT FROM tasks.order_group g WHERE g.list_id = o.list_id AND g.confirm AND {BatchWaits})";

    /// <summary>In SQL, of an order <c>o</c>: a host of it was interrupted. The order's status is 6 also where a person stopped one.</summary>
    public const string HasInterrupted = "EXISTS (SELECT FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state = 'interrupted')";

    /// <summary>In SQL, of an order <c>o</c>: a host of it stands at a hand step. The order's status is 6 also then where a person stopped another.</summary>
    public const string AtHand = "EXISTS (SELECT FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state = 'hand')";

    /// <summary>In SQL, of a group <c>g</c> whose batch waits: since when.</summary>
    public const string BatchWaitsSince = """
        (SELECT max(l.since) FROM tasks.lane l WHERE l.list_id = g.list_id AND l.task_group = g.task_group AND l.state <> 'waiting')
        """;

    /// <summary>In SQL, of a group <c>g</c>: its first batch that has not begun.</summary>
    public const string NextBatch = """
        (SELECT min(l.batch) FROM tasks.lane l WHERE l.list_id = g.list_id AND l.task_group = g.task_group AND l.state = 'waiting')
        """;

    /// <summary>In SQL, of a group <c>g</c>: it is the group whose turn it is, and nothing of it is under way.</summary>
    public const string HasTurn = """
        NOT EXISTS (SELECT FROM tasks.lane l WHERE l.list_id = g.list_id AND (l.task_group = g.task_group
                AND l.state IN ('ready', 'running', 'hand', 'timed') OR l.task_group < g.task_group AND l.state NOT IN ('done', 'stopped', 'ended')))
        """;

    /// <summary>Groups go in ascending order; one begins when every lane of those before it is done or was stopped.</summary>
    public static NextMove Next(IEnumerable<GroupProgress> groups)
    {
        foreach (var group in groups.OrderBy(group => group.Group))
            if (!group.Lanes.All(lanes => lanes.State is LaneState.Done or LaneState.Stopped or LaneState.Ended))
                return In(group);
        return new NextMove(null);
    }

    private static NextMove In(GroupProgress group)
    {
        var waiting = group.Lanes.Where(lanes => lanes.State == LaneState.Waiting).Select(lanes => lanes.Batch).ToHashSet();
        var next = waiting.Count == 0 ? 0 : waiting.Min();
        // A batch is opened as a whole, so one that still waits was never begun, and those before it were. But a host that was stopped before it began anything
        // waits again when it is restarted, also where its batch, or a later one, has begun meanwhile: that one's turn has come.
        if (next == 0) return new NextMove(group.Group);
        if (next == 1 || group.Allowed >= next || group.Lanes.Any(lanes => lanes.Batch >= next && HasBegun(lanes.State)))
            return new NextMove(group.Group, next);
        var before = group.Lanes.Where(lanes => lanes.Batch < next);
        if (before.Any(lanes => lanes.State is LaneState.Ready or LaneState.Running or LaneState.Hand or LaneState.Timed))
            return new NextMove(group.Group);
        if (before.Where(lanes => lanes.State is LaneState.Failed or LaneState.Interrupted).Sum(lanes => lanes.Count) > group.MaxFailures)
            return new NextMove(group.Group);
        if (group.Confirm)
            return new NextMove(group.Group);
        if (group.BatchPause == 0 || group.PauseOver)
            return new NextMove(group.Group, next);
        return new NextMove(group.Group, StartPause: !group.Pausing);
    }

    private static bool HasBegun(LaneState state) => state is not (LaneState.Waiting or LaneState.Stopped or LaneState.Ended);
}
