using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What an order waits for, as its badge says it.</summary>
/// <param name="Rank">The most pressing first.</param>
internal sealed record OrderFace(string Key, string Tone, string Icon, Text Word, int Rank)
{
    private static readonly OrderFace[] All =
    [
        new("failed", "bad", "cross", new Text("有主机失败", "A host has failed"), 0),
        // The status, which is all that lists know, is the same for a host that a person stopped.
        new("interrupted", "bad", "warning", new Text("有主机中断或被终止", "A host was interrupted or stopped"), 1),
        new("hand", "warn", "hand", new Text("等待人工步骤", "A step waits for a person"), 2),
        new("approval", "warn", "hand", new Text("等待批准", "Awaits approval"), 3),
        new("running", "run", "play", new Text("执行中", "Running"), 4),
        new("timed", "idle", "clock", new Text("等待开始时间", "Awaits its time"), 5),
        new("succeeded", "ok", "check", new Text("全部完成", "All done"), 6),
        new("ended", "bad", "stop", new Text("已结束，未全部完成", "Ended, not all done"), 7),
    ];

    /// <summary>Nothing is under way, and a person lets the next batch begin.</summary>
    public static OrderFace AwaitsBatch { get; } = new("batch", "warn", "hand", new Text("等待放行下一批", "A batch waits for a person"), 2);

    /// <summary>A host was interrupted indeed.</summary>
    public static OrderFace Interrupted { get; } = All[1] with { Word = new Text("有主机中断", "A host was interrupted") };

    public static OrderFace AtHand => All[2];

    public static OrderFace Running => All[4];

    public static IReadOnlyList<OrderFace> Open => All[..6];

    /// <param name="status">As lists answer it.</param>
    public static OrderFace Of(string schedule, string status) =>
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
