using System.Text.Json;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;

namespace Codo.Modules.Tasks.Risks;

/// <summary>A high-risk rule that found the command of a step, as it is kept with the order.</summary>
/// <param name="Command">The beginning of the command line, secrets masked.</param>
internal sealed record StepRisk(long RuleId, string Name, string Action, string ReasonZh, string ReasonEn, int TaskGroup, string TaskName, string Command)
{
    private const int MostCommand = 200;

    public bool Blocks => Action == "block";

    public bool NeedsSecond => Action == "approve";

    public static StepRisk Of(RiskHit hit, int group, string name, string shown) =>
        new(hit.RuleId, hit.Name, WordOf(hit.Action), hit.Reason.Zh, hit.Reason.En, group, name, OutsideText.Cut(shown, MostCommand));

    /// <summary>The step and the rule, in a sentence.</summary>
    public Text Sentence
    {
        get
        {
            var rule = new RiskHit(RuleId, Name, RiskAction.Warn, new Text(ReasonZh, ReasonEn)).Rule;
            return new Text($"任务 {TaskName} 命中{rule.Zh}", $"Step {TaskName} meets {rule.En}");
        }
    }

    public static string WordOf(RiskAction action) => action switch
    {
        RiskAction.Block => "block",
        RiskAction.Approve => "approve",
        _ => "warn",
    };

    public static string Store(IReadOnlyList<StepRisk> risks) => JsonSerializer.Serialize(risks, Json.Stored);

    /// <summary>What was stored; nothing where it does not read.</summary>
    public static IReadOnlyList<StepRisk> Read(string stored)
    {
        try
        {
            return JsonSerializer.Deserialize<List<StepRisk>>(stored, Json.Stored) ?? [];
        }
        catch (JsonException)
        {
            return [];
        }
    }
}

/// <summary>The same as answers show it.</summary>
/// <param name="Action"><c>warn</c>, <c>approve</c> or <c>block</c>.</param>
/// <param name="Command">The beginning of the command line, secrets masked.</param>
internal sealed record RiskView(long RuleId, string Name, string Action, Text Reason, int TaskGroup, string TaskName, string Command)
{
    public static RiskView Of(StepRisk risk) =>
        new(risk.RuleId, risk.Name, risk.Action, new Text(risk.ReasonZh, risk.ReasonEn), risk.TaskGroup, risk.TaskName, risk.Command);
}
