using Codo.Modules.Tasks.Execution;
using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What an order waits for, as its badge says it.</summary>
internal sealed record OrderBadge(string Key, string Tone, string Icon, Text Word)
{
    private static readonly OrderBadge[] All =
    [
        new("failed", "bad", "cross", new Text("有主机失败", "A host has failed")),
        // The status, which is all that most lists know, is the same for a host that a person stopped.
        new("interrupted", "bad", "warning", new Text("有主机中断或被终止", "A host was interrupted or stopped")),
        new("hand", "warn", "hand", new Text("等待人工步骤", "A step waits for a person")),
        new("approval", "warn", "hand", new Text("等待批准", "Awaits approval")),
        new("running", "run", "play", new Text("执行中", "Running")),
        new("timed", "idle", "clock", new Text("等待开始时间", "Awaits its time")),
        new("succeeded", "ok", "check", new Text("全部完成", "All done")),
        new("ended", "bad", "stop", new Text("已结束，未全部完成", "Ended, not all done")),
    ];

    /// <summary>
    /// In SQL, of an order <c>o</c>: the <see cref="Key"/> of its face by where its hosts stand. The status is 6 also where a person stopped a host, which
    /// hides what waits for a person beside it, and says nothing of a batch.
    /// </summary>
    public const string KeyOf = $"""
        CASE WHEN o.schedule = 'OK' THEN CASE o.status WHEN 3 THEN 'succeeded' ELSE 'ended' END
            WHEN o.schedule = 'new' THEN 'approval' WHEN o.schedule = 'ready' THEN 'timed' WHEN o.status = 4 THEN 'failed'
            WHEN o.status = 6 AND {Progress.HasInterrupted} THEN 'interrupted' WHEN o.status IN (5, 6) AND {Progress.AtHand} THEN 'hand'
            WHEN {Progress.AwaitsBatch} THEN 'batch' WHEN o.status = 7 THEN 'timed' ELSE 'running' END
        """;

    /// <summary>In SQL, of an order <c>o</c> with this <c>face</c>: since when it has it, as far as that is known.</summary>
    public const string Since = $"""
        COALESCE(CASE WHEN face = 'approval' THEN {StartCheck.WaitsSince}
            WHEN face IN ('failed', 'interrupted', 'hand') THEN (SELECT min(l.since) FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state = face)
            WHEN face = 'batch' THEN (SELECT min({Progress.BatchWaitsSince}) FROM tasks.order_group g
                WHERE g.list_id = o.list_id AND g.confirm AND {Progress.BatchWaits}) END, o.start_time)
        """;

    /// <summary>Nothing is under way, and a person lets the next batch begin.</summary>
    private static readonly OrderBadge AwaitsBatch = new("batch", "warn", "hand", new Text("等待放行下一批", "A batch waits for a person"));

    /// <summary>A host was interrupted indeed.</summary>
    private static readonly OrderBadge Interrupted = All[1] with { Word = new Text("有主机中断", "A host was interrupted") };

    /// <summary>Those that <see cref="KeyOf"/> names of orders that have not ended, the most pressing first.</summary>
    public static IReadOnlyList<OrderBadge> Open { get; } = [All[0], Interrupted, All[2], AwaitsBatch, .. All[3..6]];

    /// <param name="key">As <see cref="KeyOf"/> names it.</param>
    public static OrderBadge Named(string key) => Open.FirstOrDefault(face => face.Key == key) ?? All.First(face => face.Key == key);

    /// <summary>By what most lists answer, which is less than is known of an order.</summary>
    /// <param name="status">As lists answer it.</param>
    public static OrderBadge Of(string schedule, string status) =>
        (schedule, status) switch
        {
            ("OK", "3") => All[6],
            ("OK", _) => All[7],
            ("new", _) => All[3],
            ("ready", _) => All[5],
            (_, "4") => All[0],
            (_, "6") => All[1],
            (_, "5") => All[2],
            (_, "7") => All[5],
            _ => All[4],
        };
}
