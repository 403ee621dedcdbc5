using Codo.Platform.Localization;

namespace Codo.Modules.Cron.Jobs;

/// <summary>What the fields of a job are called in forms and lists.</summary>
internal static class JobFieldNames
{
    private static readonly Dictionary<string, Text> Names = new(StringComparer.Ordinal)
    {
        ["cmd"] = new("命令", "Command"),
        ["cron"] = new("时间表", "Schedule"),
        ["time_zone"] = new("时区", "Time zone"),
        ["timeout"] = new("超时（秒）", "Timeout (seconds)"),
        ["overlap"] = new("重叠", "Overlap"),
        ["misfire"] = new("错过", "Misfire"),
        ["misfire_window"] = new("错过窗口（秒）", "Misfire window (seconds)"),
        ["retries"] = new("重试次数", "Retries"),
        ["retry_delay"] = new("重试间隔（秒）", "Retry delay (seconds)"),
        ["secret_env"] = new("秘密变量", "Secret variables"),
        ["working_directory"] = new("工作目录", "Working directory"),
        ["interpreter"] = new("解释器", "Interpreter"),
        ["encoding"] = new("编码", "Encoding"),
        ["run_as"] = new("执行用户", "Run as"),
        ["node"] = new("节点", "Nodes"),
        ["description"] = new("说明", "Description"),
        ["tags"] = new("标签", "Tags"),
        ["owners"] = new("负责人", "Owners"),
        ["space"] = new("空间", "Space"),
    };

    /// <summary>A variable is called by its own name.</summary>
    public static string Of(string field) =>
        Names.TryGetValue(field, out var name) ? name.ToString()
        : field.StartsWith("env.", StringComparison.Ordinal) ? field["env.".Length..]
        : field;

    /// <summary>What a version has changed, in a line.</summary>
    public static string Said(ListJobVersions.Row row)
    {
        var fields = string.Join(", ", row.Changed.Select(Of));
        if (row.RestoredFrom is { } from) return new Text($"恢复自版本 {from}：{fields}", $"Brought back from version {from}: {fields}").ToString();
        return fields.Length > 0 ? fields : row.Version == 1 ? new Text("创建", "Made").ToString() : "–";
    }
}
