using System.Globalization;
using Codo.Platform.Localization;

namespace Codo.Modules.Cron.Executions;

/// <summary>A word of the ledger as its badge says it.</summary>
internal sealed record ExecutionBadge(string Tone, string Icon, Text Word)
{
    public static ExecutionBadge Of(string? status) =>
        status switch
        {
            "success" => new("ok", "check", new Text("成功", "Succeeded")),
            "faild" => new("bad", "cross", new Text("失败", "Failed")),
            "timeout" => new("bad", "clock", new Text("超时", "Timed out")),
            "killed" => new("bad", "stop", new Text("被终止", "Killed")),
            "interrupted" => new("bad", "warning", new Text("中断", "Interrupted")),
            "running" => new("run", "play", new Text("运行中", "Running")),
            "queued" => new("idle", "clock", new Text("排队", "Queued")),
            "skipped" => new("idle", "skip", new Text("跳过", "Skipped")),
            "missed" => new("warn", "warning", new Text("错过", "Missed")),
            _ => new("idle", "dash", new Text("未运行过", "Never ran")),
        };

    /// <summary>Seconds as a person says them.</summary>
    public static string Lasted(double? seconds) =>
        seconds switch
        {
            null => "–",
            < 10 => $"{seconds:0.##} s",
            < 60 => $"{seconds:0} s",
            < 3600 => new Text(
                $"{(int)(seconds.Value / 60)} 分 {(int)seconds.Value % 60} 秒",
                $"{(int)(seconds.Value / 60)} min {(int)seconds.Value % 60} s"
            ).ToString(),
            _ => new Text(
                $"{(int)(seconds.Value / 3600)} 小时 {(int)(seconds.Value / 60) % 60} 分",
                $"{(int)(seconds.Value / 3600)} h {(int)(seconds.Value / 60) % 60} min"
            ).ToString(),
        };

    /// <summary>Bytes in the unit that suits them.</summary>
    public static string Size(long? bytes)
    {
        if (bytes is not { } count) return "–";
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        var (value, unit) = ((double)count, 0);
        for (; value >= 1024 && unit < units.Length - 1; unit++) value /= 1024;
        return value.ToString(unit == 0 || value >= 100 ? "0" : "0.#", CultureInfo.InvariantCulture) + " " + units[unit];
    }
}
