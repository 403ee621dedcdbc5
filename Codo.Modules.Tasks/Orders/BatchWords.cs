using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Orders;

/// <summary>How the batches of a group follow each other, as it is said behind their number or size.</summary>
internal static class BatchWords
{
    /// <param name="pause">Seconds between two batches.</param>
    /// <param name="maxFailures">With more failed hosts than this no further batch starts.</param>
    /// <param name="next"><c>auto</c> or <c>confirm</c>.</param>
    public static string Of(int pause, int maxFailures, string next)
    {
        var stops =
            maxFailures == 0
                ? new Text("，有主机失败时停止", ", stops after any failure")
                : new Text($"，失败超过 {maxFailures} 台时停止", $", stops after more than {maxFailures} failure{(maxFailures == 1 ? "" : "s")}");
        return (pause > 0 ? new Text($"，间隔 {pause} 秒", $", {pause} s between").ToString() : "")
            + stops
            + (next == "confirm" ? new Text("，每批后确认", ", confirmed one by one").ToString() : "");
    }
}
