using System.Text.Json;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Http;
using Microsoft.AspNetCore.Components;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>One template: its steps by group and level, which an editor moves and changes, its words, its users, and its newest orders.</summary>
public sealed partial class TemplatePage
{
    private const int MostOrders = 10, MostCommands = 500, ShownVersions = 5;

    private long id;
    private string name = "";
    private string? mayNot;
    private ShowTemplate.Result? content;
    private IReadOnlyList<TemplateVersion> versions = [];
    private long countOfVersions, furtherCommands;
    private IReadOnlyList<GroupRow> groups = [];
    private IReadOnlyList<ListTemplateOrders.Row> orders = [];

    [Inject]
    private NpgsqlDataSource Source { get; set; } = null!;

    // A page that shows a problem has nothing to edit.
    private IReadOnlyList<string> Editor => content is not null && mayNot is null ? ["template-edit.js"] : [];

    // What the editor checks and offers: aliases, words and commands that the caller may see.
    private string Aliases { get; set; } = "[]";

    private string Words { get; set; } = "[]";

    private string Commands { get; set; } = "[]";

    /// <inheritdoc/>
    protected override async Task Load()
    {
        id = NumberPart("temp_id");
        name = T($"模板 {id}", $"Template {id}");
        content = await Send(new ShowTemplate.Query(id));
        groups = content.Groups;
        await foreach (var row in (await Send(new ListTemplates.Query("temp_id", $"{id}", null))).Data) name = row.TempName;
        await using (var connection = await Source.OpenConnectionAsync(Context.RequestAborted))
        {
            if (await TemplateRight.Find(connection, null, id) is { } resource) mayNot = await MayNot(Verbs.Edit, resource);
            versions = await TemplateVersions.Newest(connection, id, ShownVersions);
            countOfVersions = await TemplateVersions.Count(connection, id);
        }
        orders = (await Send(new ListTemplateOrders.Query(id, MostOrders))).Data;
        if (mayNot is not null) return;
        var users = await (await Send(new ListExecuteUsers.Query())).Data.Select(user => user.AliasUser).ToListAsync(Context.RequestAborted);
        Aliases = Json(users);
        Words = Json((await Send(new ListTemplateArguments.Query(id))).ArgsDict.Keys.Concat(content.TempArgs).Distinct());
        await using var library = await Source.OpenConnectionAsync(Context.RequestAborted);
        var (commands, all) = await ListCommands.Newest(library, Access, MostCommands);
        Commands = Json(commands.Select(command => new { command.CommandName, command.Command, command.Args, command.ForceHost }));
        furtherCommands = all - commands.Count;
    }

    private string DeleteWords =>
        T($"删除模板「{name}」\n已有的订单不变\n30 天内可恢复", $"Delete the template “{name}”\nOrders that were made from it stay\nIt can be brought back for 30 days");

    private static string Json(object value) => JsonSerializer.Serialize(value, Platform.Http.Json.Stored);

    private static string How(GroupRow group) =>
        group.Batch.Length == 0
            ? T("所有主机同时", "all hosts at once")
            : T($"每批 {group.Batch}", $"batches of {group.Batch}") + BatchWords.Of(group.BatchPause, group.MaxFailures, group.Next);

    private static string Notes(StepRow step) =>
        (step.ForceHost.Length > 0 ? T($" · 在 {step.ForceHost}", $" · on {step.ForceHost}") : "")
        + step.Trigger switch
        {
            "hand" => T(" · 人工放行", " · waits for a person"),
            "timed" => T(" · 等待时间", " · waits for the time"),
            _ => "",
        };
}
