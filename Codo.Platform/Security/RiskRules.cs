using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Security;

/// <summary>What a high-risk rule does with a command that it finds.</summary>
public enum RiskAction
{
    /// <summary>Names it in <c>warnings</c>.</summary>
    Warn,

    /// <summary>A second person has to agree.</summary>
    Approve,

    /// <summary>Refuses it.</summary>
    Block,
}

/// <summary>A rule that found a command.</summary>
/// <param name="Reason">What the command would do; may be empty.</param>
public sealed record RiskHit(long RuleId, string Name, RiskAction Action, Text Reason)
{
    /// <summary>The rule and its reason, for a sentence.</summary>
    public Text Rule =>
        Reason.En.Length == 0 ? new Text($"高危命令规则「{Name}」", $"the high-risk rule “{Name}”")
        : new Text($"高危命令规则「{Name}」：{Reason.Zh}", $"the high-risk rule “{Name}”: {Reason.En}");
}

/// <summary>
/// The high-risk rules as they are now. They are read again whenever one was changed; a rule that does not read finds nothing, and is named in the log.
/// </summary>
public sealed class RiskRules(ILogger<RiskRules> log)
{
    private const string VersionSql = """
        SELECT value FROM platform.setting WHERE key = 'risk.version'
        """;

    private const string BumpSql = """
        INSERT INTO platform.setting AS s (key, value) VALUES ('risk.version', gen_random_uuid()::text) ON CONFLICT (key) DO UPDATE SET value = excluded.value
        """;

    private const string RulesSql = """
        SELECT rule_id, name, kind, pattern, action, reason_zh, reason_en FROM platform.risk_rule WHERE enabled ORDER BY rule_id
        """;

    private volatile RiskRuleSet current = new("", []);

    /// <summary>The rules that are in force, by the caller's connection.</summary>
    public async Task<RiskRuleSet> Read(NpgsqlConnection connection, NpgsqlTransaction? transaction = null)
    {
        var version = await connection.QuerySingleOrDefaultAsync<string?>(VersionSql, transaction: transaction) ?? "";
        if (version.Length > 0 && version == current.Version) return current;
        var rules = new List<RiskRule>();
        foreach (var row in await connection.QueryAsync<Row>(RulesSql, transaction: transaction))
        {
            if (RiskRule.TryMake(row.RuleId, row.Name, row.Kind, row.Pattern, row.Action, new Text(row.ReasonZh, row.ReasonEn), out var rule, out var why))
                rules.Add(rule!);
            else
                log.LogError("High-risk rule {Rule} ({Name}) does not read and finds nothing: {Why}", row.RuleId, row.Name, why.En);
        }

        return current = new RiskRuleSet(version, rules);
    }

    /// <summary>Lets go of what the rules were made ready with, where no command was looked at since the call before the last.</summary>
    /// <returns>Whether there was something to let go of.</returns>
    public bool LetGoAtRest() => current.LetGoAtRest();

    /// <summary>In the transaction of a change of the rules: every node reads them again.</summary>
    public static Task Changed(NpgsqlConnection connection, NpgsqlTransaction transaction) => connection.ExecuteAsync(BumpSql, transaction: transaction);

    private sealed record Row
    {
        public long RuleId { get; init; }
        public string Name { get; init; } = "";
        public string Kind { get; init; } = "";
        public string Pattern { get; init; } = "";
        public string Action { get; init; } = "";
        public string ReasonZh { get; init; } = "";
        public string ReasonEn { get; init; } = "";
    }
}

/// <summary>The rules of one moment.</summary>
public sealed class RiskRuleSet(string version, IReadOnlyList<RiskRule> rules)
{
    // Commands repeat from fire to fire; a table that outgrew any real set, in lines or in characters, is begun anew.
    private const int MostKept = 20_000, MostCharacters = 4 << 20;

    // Calls at rest without a command looked at between them, before the expressions are let go of.
    private const int RestsBefore = 2;

    private readonly ConcurrentDictionary<string, IReadOnlyList<RiskHit>> kept = new(StringComparer.Ordinal);
    private long characters;
    private int looks, looksBefore, restsSince;

    /// <summary>Changes with every change of a rule.</summary>
    public string Version => version;

    /// <summary>The rules that find something in a command line, the most severe first.</summary>
    /// <param name="line">As the shell gets it, secrets included.</param>
    /// <param name="variables">Values that the environment is known to have.</param>
    public IReadOnlyList<RiskHit> Check(string line, IReadOnlyDictionary<string, string>? variables = null)
    {
        if (rules.Count == 0) return [];
        var isPlain = variables is not { Count: > 0 };
        if (isPlain && kept.TryGetValue(line, out var known)) return known;
        Interlocked.Increment(ref looks);
        var commands = SimpleCommands.Of(line, variables, out var isWhole);
        // What could not be looked at counts as found: a line that is too much to read must not be a way around a rule.
        var found = rules.Where(rule => !isWhole || rule.Finds(line, commands));
        IReadOnlyList<RiskHit> hits = [.. found.Select(rule => rule.Hit).OrderByDescending(hit => hit.Action)];
        // A long line is looked at seldom and would fill the memory.
        if (!isPlain || line.Length > 4096) return hits;
        if (kept.Count > MostKept || Interlocked.Read(ref characters) > MostCharacters)
        {
            kept.Clear();
            Interlocked.Exchange(ref characters, 0);
        }
        if (kept.TryAdd(line, hits)) Interlocked.Add(ref characters, line.Length);
        return hits;
    }

    /// <inheritdoc cref="RiskRules.LetGoAtRest"/>
    internal bool LetGoAtRest()
    {
        var now = Volatile.Read(ref looks);
        if (now != looksBefore) (looksBefore, restsSince) = (now, 0);
        if (++restsSince <= RestsBefore) return false;
        var hadAny = false;
        foreach (var rule in rules) hadAny |= rule.LetGo();
        return hadAny;
    }
}

/// <summary>One rule, ready to be asked.</summary>
public sealed class RiskRule
{
    /// <summary>Characters of a pattern.</summary>
    public const int MostPattern = 1000;

    // The engine takes time in proportion to the text; the limit is for what nobody foresaw.
    private static readonly TimeSpan MostTime = TimeSpan.FromMilliseconds(500);

    private static readonly char[] Separators = [' ', '\t', '\r', '\n', ';', '"', '\'', '(', ')', ','];

    // Null for words. An expression of this engine takes one or two megabytes, and some milliseconds to be made.
    private readonly string? pattern;
    private readonly string[] words;
    private volatile Regex? expression;

    // Such a pattern says how a command begins. In the line as a whole it would read on into the next command.
    private readonly bool isAnchored;

    private RiskRule(RiskHit hit, string? pattern, Regex? expression, string[] words)
    {
        (Hit, this.pattern, this.expression, this.words) = (hit, pattern, expression, words);
        isAnchored = pattern is not null && (pattern.StartsWith('^') || pattern.StartsWith("(?i)^", StringComparison.Ordinal));
    }

    public RiskHit Hit { get; }

    /// <summary>Reads a rule.</summary>
    /// <param name="kind"><c>regex</c> or <c>words</c>.</param>
    /// <param name="action"><c>warn</c>, <c>approve</c> or <c>block</c>.</param>
    /// <param name="why">What does not read.</param>
    public static bool TryMake(long id, string name, string kind, string pattern, string action, Text reason, out RiskRule? rule, out Text why)
    {
        (rule, why) = (null, default);
        if (!Enum.TryParse<RiskAction>(action, ignoreCase: true, out var does) || !Enum.IsDefined(does))
            why = new Text($"action {action} 不存在", $"there is no action {action}");
        else if (string.IsNullOrWhiteSpace(pattern) || pattern.Length > MostPattern)
            why = new Text($"pattern 必须是 1 到 {MostPattern} 个字符", $"pattern has 1 to {MostPattern} characters");
        else if (kind == "words")
            rule = new RiskRule(new RiskHit(id, name, does, reason), null, null, Split(pattern));
        else if (kind != "regex")
            why = new Text($"kind {kind} 不存在", $"there is no kind {kind}");
        else
        {
            try
            {
                rule = new RiskRule(new RiskHit(id, name, does, reason), pattern, Read(pattern), []);
            }
            catch (NotSupportedException)
            {
                why = new Text(
                    "pattern：不支持环视、反向引用和原子组（匹配时间必须与文本长度成正比），重复次数也不能太大",
                    "pattern: no lookarounds, backreferences and atomic groups (the time must be in proportion to the text), and no huge counts of repetition"
                );
            }
            catch (ArgumentException wrong)
            {
                why = new Text($"pattern 不是正则表达式：{wrong.Message}", $"pattern is no regular expression: {wrong.Message}");
            }
        }

        return rule is not null;
    }

    /// <summary>Whether the rule finds something.</summary>
    /// <param name="line">The whole line as it is.</param>
    /// <param name="commands">Its simple commands.</param>
    public bool Finds(string line, IReadOnlyList<string> commands)
    {
        try
        {
            if (pattern is null) return commands.Any(HasWords);
            var sought = expression ??= Read(pattern);
            return (!isAnchored && sought.IsMatch(line)) || commands.Any(sought.IsMatch);
        }
        catch (RegexMatchTimeoutException)
        {
            // What could not be looked at counts as found: a long line must not be a way around a rule.
            return true;
        }
    }

    /// <summary>Lets go of the expression; the next look makes it anew.</summary>
    /// <returns>Whether there was one.</returns>
    internal bool LetGo()
    {
        if (expression is null) return false;
        expression = null;
        return true;
    }

    private static Regex Read(string pattern) => new(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant, MostTime);

    // The words stand in one command in this order; other words may stand between them.
    private bool HasWords(string command)
    {
        var next = 0;
        foreach (var word in Split(command))
            if (word.Equals(words[next], StringComparison.OrdinalIgnoreCase) && ++next == words.Length)
                return true;
        return false;
    }

    private static string[] Split(string text) =>
        text.Split(Separators, StringSplitOptions.RemoveEmptyEntries) is { Length: > 0 } words ? words : [text];
}
