using Codo.Platform.Localization;
using Codo.Platform.Ui;
using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Alerts.Rules;

/// <summary>Every field of a rule with its help. It sends what the API takes.</summary>
public sealed partial class RuleForm
{
    [Parameter]
    public Page Page { get; set; } = null!;

    /// <summary>What the fields begin with, by the API's names; lists with commas.</summary>
    [Parameter]
    public IReadOnlyDictionary<string, string> Values { get; set; } = new Dictionary<string, string>();

    /// <summary>The channels that the editor sees, by id.</summary>
    [Parameter]
    public IReadOnlyList<(string Id, string Name)> Channels { get; set; } = [];

    private bool IsNew => !Values.ContainsKey("rule_id");

    // What the form did not have would be gone once another channel is ticked.
    private List<string> Unlisted =>
        [.. Of("channels").Split(',', StringSplitOptions.RemoveEmptyEntries).Where(id => Channels.All(channel => channel.Id != id))];

    /// <summary>What a rule is about, in words.</summary>
    internal static IEnumerable<(string Value, string Word)> Sources =>
        [
            ("", T("全部", "Everything")),
            ("job", T("任务", "Jobs")),
            ("order", T("订单", "Orders")),
            ("codo", T("Codo 自身", "Codo itself")),
        ];

    /// <summary>A kind of trouble in words.</summary>
    internal static string KindOf(string kind) =>
        kind switch
        {
            "failed" => T("失败", "failed"),
            "skipped" => T("跳过", "skipped"),
            "missed" => T("错过", "missed"),
            "waiting" => T("等待人工", "waits for a person"),
            "overlong" => T("运行过久", "runs too long"),
            "broken" => T("任务损坏", "broken job"),
            "system" => T("系统", "system"),
            _ => kind,
        };

    private static string T(string zh, string en) => new Text(zh, en).ToString();

    private string Of(string name) => Values.TryGetValue(name, out var value) ? value : "";

    private bool Chosen(string name, string value) => Of(name).Split(',').Contains(value);
}
