using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Components;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// An order from a template: a form of its words and the hosts of each group, with what would run beside it while one types; filled in as another order was
/// (<c>like</c>), or with the hosts of that one that are not done, of one that still runs those that have failed (<c>failed_of</c>).
/// </summary>
public sealed partial class NewOrderPage
{
    // While an order runs its other hosts run too, or their turn comes: in another order their commands would run twice.
    private static readonly string[] StuckStates = ["failed", "interrupted", "stopped"];

    private readonly List<(long Number, string Name)> templates = [];
    private readonly Dictionary<int, List<string>> hosts = [];
    private readonly List<string> masked = [];
    private IReadOnlyList<string> words = [];
    private IReadOnlyDictionary<string, string> names = new Dictionary<string, string>();
    private List<(int Number, string Steps)> groups = [];
    private CheckOrder.Page? before;
    private long? tempId;
    private bool isOnlyFailed;
    private string? mayNotStart;

    [Inject]
    private NpgsqlDataSource Source { get; set; } = null!;

    [Inject]
    private OrderWords Words { get; set; } = null!;

    private string Template => templates.Find(template => template.Number == tempId).Name ?? "";

    private bool IsOver => before?.Schedule == "OK";

    private string Before =>
        !isOnlyFailed ? T("按此订单填写：", "Filled in as order")
        : IsOver ? T("未完成的主机，来自订单", "The hosts that are not done of order")
        : T("失败、中断或已停止的主机，来自订单", "The hosts that have failed, are interrupted or stopped of order");

    private string NoneOfGroup =>
        IsOver
            ? T("此组的主机都已完成，而订单的每个组都要有主机", "All hosts of this group are done; an order needs hosts for every group")
            : T(
                "此组没有失败、中断或已停止的主机，而订单的每个组都要有主机。订单运行时，请改在该订单中重新执行",
                "None of this group has failed, is interrupted or stopped; an order needs hosts for every group. While the order runs, restart there instead"
            );

    /// <inheritdoc/>
    protected override async Task Load()
    {
        await foreach (var template in (await Send(new ListTemplates.Query(null, null, null))).Data) templates.Add((template.TempId, template.TempName));
        isOnlyFailed = Number("failed_of") is not null;
        if ((Number("failed_of") ?? Number("like")) is { } like) await TakeOver(like);
        tempId ??= Number("temp_id");
        if (tempId is not { } chosen) return;
        await using (var connection = await Source.OpenConnectionAsync(Context.RequestAborted))
        {
            var resource = await TemplateRight.Find(connection, null, chosen) ?? throw TemplateRight.NoSuchTemplate;
            var refused = new Text("你没有提交此模板的订单的权限", "You have no right to submit orders from this template");
            await Access.Demand(Verbs.Run, resource, TemplateRight.NoSuchTemplate, refused);
            mayNotStart = await MayNot(Verbs.Approve, resource);
        }
        var content = await Send(new ShowTemplate.Query(chosen));
        groups =
        [
            .. content.Data.TempList.GroupBy(step => step.Group)
                .Select(group => (group.Key, string.Join(T("、", ", "), group.Select(step => step.CommandName)))),
        ];
        var arguments = await Send(new ListTemplateArguments.Query(chosen));
        names = arguments.ArgsDict;
        var isAny = await Words.AnyWord();
        words = [.. arguments.Data.Where(word => isAny || names.ContainsKey(word) || content.TempArgs.Contains(word))];
        if (before is not null) masked.AddRange(words.Where(word => Given(word) == OrderArguments.Mask));
    }

    private async Task TakeOver(long like)
    {
        before = (await Send(new CheckOrder.Query(like, null, null, null))).Data;
        var template = (await Send(new ShowPlan.Query(like))).Data.TempId;
        tempId = templates.Exists(one => one.Number == template)
            ? template
            : throw Refusal.NotFound("此订单的模板已不存在，或你不能查看", "The template of this order is gone, or you may not see it");
        foreach (var group in (await Send(new ShowGrid.Query(like))).Groups)
            hosts[group.TaskGroup] = [.. group.Hosts.Where((_, at) => !isOnlyFailed || IsTaken(group.States[at]))];
    }

    private bool IsTaken(string state) => IsOver ? state != "done" : StuckStates.Contains(state);

    private long? Number(string name) =>
        Asked(name) is not { } text ? null
        : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number
        : throw Refusal.Invalid($"{name} 必须是数字", $"{name} must be a number");

    private string HostsOf(int group) => hosts.TryGetValue(group, out var some) ? string.Join('\n', some) : "";

    // Of a group that the template has got since then the order knows nothing.
    private bool HasNone(int group) => isOnlyFailed && hosts.TryGetValue(group, out var some) && some.Count == 0;

    // Orders answer the library's name for a word where there is one.
    private string Given(string word) =>
        before
            ?.NewArgsList.FirstOrDefault(argument => argument.ArgsKey == word || argument.ArgsKey == names.GetValueOrDefault(word))
            ?.ArgsValue?.ToString()
        ?? "";

    // A text area drops the line break that it begins with.
    // The lines of the value that is filled in, some of them at most: the field scrolls.
    private int RowsOf(string word) => Math.Min(ArgumentOf(word).Count(character => character == '\n') + 1, 6);

    private string ArgumentOf(string word) => Given(word) is var value && value != OrderArguments.Mask ? (value is ['\n' or '\r', ..] ? "\n" : "") + value : "";
}
