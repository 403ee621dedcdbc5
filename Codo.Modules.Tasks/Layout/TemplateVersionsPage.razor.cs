using Codo.Platform.Http;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.Components;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>The versions of a template: who changed what and when, two of them beside each other, and the button that brings one back.</summary>
public sealed partial class TemplateVersionsPage
{
    private const int Limit = 50;

    private static readonly Dictionary<string, Text> FieldNames = new(StringComparer.Ordinal)
    {
        ["group"] = new("组", "Group"),
        ["level"] = new("级别", "Level"),
        ["command_name"] = new("名称", "Name"),
        ["command"] = new("命令", "Command"),
        ["args"] = new("参数", "Arguments"),
        ["trigger"] = new("触发", "Trigger"),
        ["exec_user"] = new("执行用户", "Execute-user"),
        ["force_host"] = new("固定主机", "Forced host"),
        ["timeout"] = new("超时（秒）", "Timeout (seconds)"),
        ["retries"] = new("重试次数", "Retries"),
        ["retry_delay"] = new("重试间隔（秒）", "Retry delay (seconds)"),
        ["on_error"] = new("失败时", "On a failure"),
        ["interpreter"] = new("解释器", "Interpreter"),
        ["batch"] = new("每批主机", "Hosts of a batch"),
        ["batch_pause"] = new("批次间隔（秒）", "Pause between (seconds)"),
        ["max_failures"] = new("允许失败的主机", "Failed hosts before it stops"),
        ["next"] = new("下一批", "Next batch"),
    };

    private long id;
    private string name = "";
    private string? mayNot;
    private ListTemplateVersions.Result list = null!;
    private ShowTemplateVersion.Result shown = null!;

    [Inject]
    private NpgsqlDataSource Source { get; set; } = null!;

    private string Api => $"/v2/task_layout/temp/version/?temp_id={id}&version={shown?.Version}&with={shown?.With}";

    private string Heading =>
        shown.With is { } with
            ? T($"版本 {shown.Version} 与版本 {with} 的不同", $"Version {shown.Version} against version {with}")
            : T($"版本 {shown.Version}", $"Version {shown.Version}");

    /// <inheritdoc/>
    protected override async Task Load()
    {
        id = NumberPart("temp_id");
        name = T($"模板 {id}", $"Template {id}");
        list = await Send(new ListTemplateVersions.Query(id, PageNumber, Limit));
        shown = await Send(new ShowTemplateVersion.Query(id, (int?)AskedNumber("version"), (int?)AskedNumber("with")));
        await foreach (var row in (await Send(new ListTemplates.Query("temp_id", $"{id}", null))).Data) name = row.TempName;
        await using var connection = await Source.OpenConnectionAsync(Context.RequestAborted);
        if (await TemplateRight.Find(connection, null, id) is { } resource) mayNot = await MayNot(Verbs.Edit, resource);
    }

    private static string RestoreWords(int version) =>
        T(
            $"恢复到版本 {version}\n它的步骤、批次和词成为新的版本\n用户、空间和已有的订单不变",
            $"Restore version {version}\nIts steps, batches and words become a new version\nUsers, space and orders stay"
        );

    private static string Said(ListTemplateVersions.Row row)
    {
        var fields = string.Join(", ", row.Changed);
        if (row.RestoredFrom is { } from) return T($"恢复自版本 {from}：{fields}", $"Brought back from version {from}: {fields}");
        return fields.Length > 0 ? fields : row.Version == 1 ? T("创建", "Made") : "–";
    }

    // The step stands beside it by its name.
    private static string? NameOf(string field)
    {
        var path = field.Split('.');
        return path[0] switch
        {
            "steps" when path.Length == 2 => T("步骤", "Step"),
            "steps" => FieldNames.GetValueOrDefault(path[2], Text.Same(path[2])).ToString(),
            "groups" when path.Length > 2 => T($"组 {path[1]} ", $"Group {path[1]}: ") + FieldNames.GetValueOrDefault(path[2], Text.Same(path[2])),
            "temp_args" => T("可替换的词", "Words that orders replace"),
            "space" => T("空间", "Space"),
            _ => field,
        };
    }
}
