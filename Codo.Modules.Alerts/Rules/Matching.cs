using System.Text.Json;
using System.Text.RegularExpressions;
using Codo.Modules.Alerts.Incidents;

namespace Codo.Modules.Alerts.Rules;

/// <summary>What rules and silences have in common: which troubles they mean.</summary>
internal static class Matching
{
    /// <summary>Every kind that a rule or a silence can name.</summary>
    public static readonly string[] Kinds = ["failed", "skipped", "missed", "waiting", "overlong", "broken", "system"];

    /// <summary>Whether the pattern means one of the subjects; <c>*</c> in it stands for anything.</summary>
    public static bool Means(string pattern, IEnumerable<string> subjects)
    {
        if (pattern is "*" or "") return true;
        var text = "^" + Regex.Escape(pattern).Replace("\\*", ".*", StringComparison.Ordinal) + "$";
        return subjects.Any(subject => Regex.IsMatch(subject, text, RegexOptions.CultureInvariant | RegexOptions.Singleline | RegexOptions.NonBacktracking));
    }
}

/// <summary>A rule as it decides.</summary>
internal sealed record Rule
{
    public long RuleId { get; init; }
    public string Source { get; init; } = "";
    public string[] Kinds { get; init; } = [];
    public string Subject { get; init; } = "*";
    public int Failures { get; init; } = 1;
    public int? WaitsAfter { get; init; }
    public int? RunsAfter { get; init; }
    public bool Involved { get; init; }
    public string[] People { get; init; } = [];
    public string Escalation { get; init; } = "[]";
    public int EscalateAfter { get; init; }
    public int RepeatAfter { get; init; }
    public long[] Channels { get; init; } = [];

    /// <summary>Who is told at each step after the first.</summary>
    /// <summary>None where the stored steps do not read.</summary>
    public string[][] Steps
    {
        get
        {
            try
            {
                return JsonSerializer.Deserialize<string[][]>(Escalation)?.Where(step => step is not null).Select(step => step.Where(name => name is not null).ToArray()).ToArray() ?? [];
            }
            catch (JsonException)
            {
                return [];
            }
        }
    }

    /// <summary>Whether this rule decides about the trouble.</summary>
    public bool Fits(Trouble trouble) =>
        (Source.Length == 0 || Source == trouble.Source)
        && (Kinds.Length == 0 || Kinds.Contains(trouble.Kind))
        && (trouble.Kind != "waiting" || WaitsAfter is not null)
        && (trouble.Kind != "overlong" || RunsAfter is not null)
        && Matching.Means(Subject, trouble.Subjects);

    /// <summary>Whether the trouble is as bad as the rule asks: so many failures in a row, so long.</summary>
    public bool IsReached(Trouble trouble) => trouble.Kind switch
    {
        "failed" when trouble.Source == "job" => trouble.Streak >= Failures,
        "waiting" => trouble.Lasted.TotalSeconds >= WaitsAfter,
        "overlong" => trouble.Lasted.TotalSeconds >= RunsAfter,
        _ => true,
    };
}

/// <summary>A silence that is in force.</summary>
internal sealed record Silence(long SilenceId, string Source, string Kind, string Subject, DateTime EndsAt)
{
    public bool Means(string source, string kind, IReadOnlyList<string> subjects) =>
        (Source.Length == 0 || Source == source) && (Kind.Length == 0 || Kind == kind) && Matching.Means(Subject, subjects);
}
