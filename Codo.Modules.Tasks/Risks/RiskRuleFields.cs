using Codo.Platform.Http;
using Codo.Platform.Security;
using FluentValidation;

namespace Codo.Modules.Tasks.Risks;

/// <summary>The optional fields that making and changing a high-risk rule share.</summary>
internal interface IRiskRuleFields
{
    string? Name { get; }
    string? Kind { get; }
    string? Pattern { get; }
    string? Action { get; }
    string? Reason { get; }
    string? ReasonEn { get; }
}

/// <summary>What every field of a high-risk rule may be.</summary>
internal static class RiskRuleFields
{
    public const int MostName = 100, MostReason = 500;

    public static readonly Refusal NoSuchRule = Refusal.NotFound("没有这条规则", "No such rule");
    public static readonly Refusal NameIsTaken = Refusal.Conflict("名称不能重复", "The name is taken", -2);

    public static void Fields<T>(this AbstractValidator<T> validator) where T : IRiskRuleFields
    {
        validator.RuleFor(rule => rule.Name).AtMost(MostName, "name");
        validator.RuleFor(rule => rule.Name).Must(name => name is null || !string.IsNullOrWhiteSpace(name)).Refuse("名称不能为空", "The name is empty");
        validator.RuleFor(rule => rule.Kind).OneOf("kind", "regex", "words");
        validator.RuleFor(rule => rule.Action).OneOf("action", "warn", "approve", "block");
        validator.RuleFor(rule => rule.Pattern).AtMost(RiskRule.MostPattern, "pattern");
        validator.RuleFor(rule => rule.Reason).AtMost(MostReason, "reason");
        validator.RuleFor(rule => rule.ReasonEn).AtMost(MostReason, "reason_en");
    }

    /// <exception cref="Refusal">The pattern does not read.</exception>
    public static void Demand(string kind, string pattern, string action)
    {
        if (!RiskRule.TryMake(0, "-", kind, pattern, action, default, out _, out var why)) throw new Refusal(-1, why);
    }
}

/// <summary>A rule's row, as answers and the audit show it.</summary>
internal sealed record RiskRuleRow
{
    public const string Columns = "rule_id, name, enabled, kind, pattern, action, reason_zh AS reason, reason_en, creator, create_time, update_time";

    public long RuleId { get; init; }
    public string Name { get; init; } = "";
    public bool Enabled { get; init; }
    public string Kind { get; init; } = "";
    public string Pattern { get; init; } = "";
    public string Action { get; init; } = "";
    public string Reason { get; init; } = "";
    public string ReasonEn { get; init; } = "";
    public string Creator { get; init; } = "";
    public DateTime CreateTime { get; init; }
    public DateTime UpdateTime { get; init; }
}
