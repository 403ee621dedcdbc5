using System.Globalization;
using System.Text.Json.Nodes;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Alerts.Channels;

/// <summary>Alert rules in the order in which they are asked: of what, whom they tell, by which channels; with a form for each. It stands beside the
/// channels, which know of rules, and rules not of them.</summary>
public sealed partial class RulesPage
{
    private const int Limit = 50;

    private static readonly Dictionary<string, string> Defaults = new(StringComparer.Ordinal)
    {
        ["source"] = "",
        ["priority"] = "0",
        ["failures"] = "1",
        ["waits_after"] = "0",
        ["runs_after"] = "0",
        ["escalate_after"] = "900",
        ["repeat_after"] = "14400",
        ["involved"] = "true",
        ["enabled"] = "true",
    };

    private readonly Dictionary<long, string?> mayNotEdit = [];
    private ListRules.Result found = null!;
    private ListRules.View? edited;
    private List<(string Id, string Name)> channels = [];
    private string? mayNot;

    /// <inheritdoc/>
    protected override async Task Load()
    {
        found = await Send(new ListRules.Query(PageNumber, Limit, null));
        channels = (await Send(new ListChannels.Query(1, 100, null))).Data.ConvertAll(channel => (Number(channel.ChannelId), channel.Name));
        mayNot = MayNot(Right.ToMake(ResourceKind.Rule));
        foreach (var rule in found.Data)
            mayNotEdit[rule.RuleId] = await MayNot(Verbs.Edit, new Resource(ResourceKind.Rule, Number(rule.RuleId), rule.SpaceId));
        if (AskedNumber("edit") is { } id)
            edited = (await Send(new ListRules.Query(1, 1, id))).Data.SingleOrDefault() ?? throw RuleFields.NoSuchId;
    }

    private static Dictionary<string, string> ValuesOf(ListRules.View rule) =>
        new(StringComparer.Ordinal)
        {
            ["rule_id"] = Number(rule.RuleId),
            ["name"] = rule.Name,
            ["source"] = rule.Source,
            ["subject"] = rule.Subject,
            ["priority"] = Number(rule.Priority),
            ["kinds"] = string.Join(',', rule.Kinds),
            ["failures"] = Number(rule.Failures),
            ["waits_after"] = Number(rule.WaitsAfter ?? 0),
            ["runs_after"] = Number(rule.RunsAfter ?? 0),
            ["involved"] = rule.Involved ? "true" : "false",
            ["people"] = string.Join(", ", rule.People),
            ["escalation"] = string.Join('\n', StepsOf(rule).Select(step => string.Join(", ", step))),
            ["escalate_after"] = Number(rule.EscalateAfter),
            ["repeat_after"] = Number(rule.RepeatAfter),
            ["channels"] = string.Join(',', rule.Channels),
            ["space"] = rule.Space,
            ["enabled"] = rule.Enabled ? "true" : "false",
        };

    private static List<List<string>> StepsOf(ListRules.View rule) =>
        [.. rule.Escalation.AsArray().Select(step => step!.AsArray().Select(name => name!.GetValue<string>()).ToList())];

    private static string Troubles(ListRules.View rule)
    {
        var source = RuleForm.Sources.First(one => one.Value == rule.Source).Word;
        var kinds = rule.Kinds.Length == 0 ? T("任何问题", "any trouble") : string.Join(", ", rule.Kinds.Select(RuleForm.KindOf));
        var after = rule.Failures > 1 ? T($"，连续失败 {rule.Failures} 次", $", {rule.Failures} failures in a row") : "";
        return T($"{source}：{kinds}{after}", $"{source}: {kinds}{after}");
    }

    private static string People(ListRules.View rule)
    {
        var names = string.Join(", ", rule.People);
        return rule.Involved
            ? T("相关人", "those involved") + (names.Length > 0 ? T($"，否则 {names}", $", else {names}") : "")
            : names.Length > 0 ? names : T("没有人", "nobody");
    }

    private static string Steps(ListRules.View rule) =>
        rule.Escalation is JsonArray { Count: > 0 } steps
            ? T($"{rule.EscalateAfter} 秒无人确认后升级，{steps.Count} 级", $"escalates after {rule.EscalateAfter} s, {steps.Count} steps")
            : "";

    private string ChannelsOf(ListRules.View rule) =>
        rule.Channels.Length == 0
            ? T("全部", "all")
            : string.Join(", ", rule.Channels.Select(id => channels.Find(one => one.Id == Number(id)).Name ?? Number(id)));

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);
}
