using Codo.Platform.Http;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Components;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>The versions of a template: who changed what and when, two of them beside each other, and the button that brings one back.</summary>
public sealed partial class TemplateVersionsPage
{
    private const int Limit = 50;

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
            "steps" => path[2],
            "groups" when path.Length > 2 => T($"组 {path[1]} {path[2]}", $"Group {path[1]} {path[2]}"),
            "temp_args" => T("可替换的词", "Words that orders replace"),
            "space" => T("空间", "Space"),
            _ => field,
        };
    }
}
