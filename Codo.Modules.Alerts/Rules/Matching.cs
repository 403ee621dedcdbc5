using System.Text.Json;

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
        var parts = pattern.Split('*');
        return subjects.Any(subject => subject is not null && Means(parts, subject));
    }

    /// <summary>Whether the pattern means each of the subjects.</summary>
    public static bool MeansAll(string pattern, IReadOnlyCollection<string> subjects)
    {
        if (pattern is "*" or "") return true;
        var parts = pattern.Split('*');
        return subjects.Count > 0 && subjects.All(subject => subject is not null && Means(parts, subject));
    }

    // No regular expression: a pattern of any length must neither be refused by the engine nor cost more than it is long.
    private static bool Means(string[] parts, string subject)
    {
        if (parts.Length == 1)
            return subject == parts[0];
        if (
            !subject.StartsWith(parts[0], StringComparison.Ordinal)
            || !subject.EndsWith(parts[^1], StringComparison.Ordinal)
            || subject.Length < parts[0].Length + parts[^1].Length
        )
            return false;
        var (at, end) = (parts[0].Length, subject.Length - parts[^1].Length);
        foreach (var part in parts[1..^1])
        {
            var found = subject.AsSpan(at, end - at).IndexOf(part, StringComparison.Ordinal);
            if (found < 0) return false;
            at += found + part.Length;
        }
        return true;
    }
}

/// <summary>A rule as it decides.</summary>
internal sealed record Rule
{
    public const string Columns = """
        rule_id, source, kinds, subject, failures, waits_after, runs_after, involved, people, escalation::text AS escalation, escalate_after, repeat_after,
            channels, space_id
        """;

    /// <summary>The rules in the order in which they are asked.</summary>
    public const string InOrderSql = $"""
        SELECT {Columns}
        FROM alerts.rule WHERE enabled ORDER BY priority DESC, rule_id DESC
        """;

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
    public long SpaceId { get; init; } = 1;

    /// <summary>Who is told at each step after the first; none where the stored steps do not read.</summary>
    public string[][] Steps
    {
        get
        {
            try
            {
                return JsonSerializer
                        .Deserialize<string[][]>(Escalation)
                        ?.Where(step => step is not null)
                        .Select(step => step.Where(name => name is not null).ToArray())
                        .ToArray()
                    ?? [];
            }
            catch (JsonException)
            {
                return [];
            }
        }
    }

    /// <summary>
    /// The rule that decides about a trouble: of its own space's those that fit go before those of <c>default</c>, which are for all spaces. One that means a
    /// few jobs of a downtime decides about the whole of it only where none means all of them.
    /// </summary>
    /// <param name="rules">In the order in which they are asked.</param>
    public static Rule? For(AlertEvent trouble, IReadOnlyCollection<Rule> rules)
    {
        List<Rule> fitting = [.. rules.Where(rule => rule.SpaceId == trouble.Space && rule.Fits(trouble)), .. rules.Where(rule => rule.Fits(trouble))];
        return fitting.Find(rule => rule.MeansAll(trouble)) ?? (fitting.Count > 0 ? fitting[0] : null);
    }

    /// <summary>Whether each of the trouble's subjects is meant.</summary>
    public bool MeansAll(AlertEvent trouble) => Matching.MeansAll(Subject, trouble.Subjects);

    /// <summary>Whether this rule decides about the trouble.</summary>
    public bool Fits(AlertEvent trouble) =>
        (SpaceId == 1 || SpaceId == trouble.Space)
        && (Source.Length == 0 || Source == trouble.Source)
        && (Kinds.Length == 0 || Kinds.Contains(trouble.Kind))
        && (trouble.Kind != "waiting" || trouble.AsksNow || WaitsAfter is not null)
        && (trouble.Kind != "overlong" || RunsAfter is not null)
        && Matching.Means(Subject, trouble.Subjects);

    /// <summary>Whether the trouble is as bad as the rule asks: so many failures in a row, so long.</summary>
    public bool IsReached(AlertEvent trouble) => trouble.Kind switch
    {
        "failed" when trouble.Source == "job" => trouble.Streak >= Failures,
        "waiting" when trouble.AsksNow => true,
        "waiting" => trouble.Lasted.TotalSeconds >= WaitsAfter,
        "overlong" => trouble.Lasted.TotalSeconds >= RunsAfter,
        _ => true,
    };
}

/// <summary>A silence that is in force.</summary>
internal sealed record Silence(long SilenceId, string Source, string Kind, string Subject, DateTime EndsAt, long SpaceId)
{
    /// <summary>Those that are in force now.</summary>
    public const string InForceSql = """
        SELECT silence_id, source, kind, subject, ends_at, space_id FROM alerts.silence WHERE starts_at <= @Now AND ends_at > @Now ORDER BY ends_at DESC
        """;

    private static readonly TimeSpan Again = TimeSpan.FromSeconds(60), AfterEnd = TimeSpan.FromSeconds(5);

    /// <summary>
    /// The silence that holds a trouble; null while it may be told. A downtime is held while each of its jobs is silenced, by whichever silence, and so until
    /// the first of these ends.
    /// </summary>
    /// <param name="silences">Those in force, the one that ends last first.</param>
    public static Silence? For(string source, string kind, IReadOnlyCollection<string> subjects, long space, IEnumerable<Silence> silences)
    {
        var over = silences.Where(silence => silence.Fits(source, kind, space)).ToList();
        if (subjects.Count == 0) return over.Find(silence => Matching.Means(silence.Subject, subjects));
        Silence? first = null;
        foreach (var subject in subjects)
        {
            if (over.Find(silence => Matching.Means(silence.Subject, [subject])) is not { } found) return null;
            if (first is null || found.EndsAt < first.EndsAt) first = found;
        }
        return first;
    }

    /// <summary>When to look again at what it holds: at its end, and each minute before, since somebody may end it before its time.</summary>
    public DateTime NextLook(DateTime now) => EndsAt + AfterEnd < now + Again ? EndsAt + AfterEnd : now + Again;

    private bool Fits(string source, string kind, long space) =>
        (SpaceId == 1 || SpaceId == space) && (Source.Length == 0 || Source == source) && (Kind.Length == 0 || Kind == kind);
}
