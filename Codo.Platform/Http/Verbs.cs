using Codo.Platform.Localization;

namespace Codo.Platform.Http;

/// <summary>What a person may do with an object. A set, so that a role, a token's scope and a right are one thing.</summary>
[Flags]
public enum Verbs
{
    None = 0,

    /// <summary>Read it: a job with its ledger, a template, an order with its logs.</summary>
    See = 1,

    /// <summary>Run a job now, submit an order from a template, name an execute-user; end an order of one's own.</summary>
    Run = 2,

    /// <summary>Make, change and delete it.</summary>
    Edit = 4,

    /// <summary>Approve orders and intervene in them.</summary>
    Approve = 8,

    /// <summary>Grant roles on it.</summary>
    Admin = 16,

    All = See | Run | Edit | Approve | Admin,
}

/// <summary>The words for verbs and roles in requests, answers and tables.</summary>
public static class Roles
{
    /// <summary>Every role with its verbs, the weakest first.</summary>
    public static readonly IReadOnlyDictionary<string, Verbs> All = new Dictionary<string, Verbs>(StringComparer.Ordinal)
    {
        ["viewer"] = Verbs.See,
        ["operator"] = Verbs.See | Verbs.Run,
        ["editor"] = Verbs.See | Verbs.Run | Verbs.Edit,
        ["approver"] = Verbs.See | Verbs.Approve,
        ["admin"] = Verbs.All,
    };

    /// <summary>Each verb alone, as it is called.</summary>
    public static readonly IReadOnlyDictionary<string, Verbs> Words = new Dictionary<string, Verbs>(StringComparer.Ordinal)
    {
        ["see"] = Verbs.See,
        ["run"] = Verbs.Run,
        ["edit"] = Verbs.Edit,
        ["approve"] = Verbs.Approve,
        ["admin"] = Verbs.Admin,
    };

    private static readonly Dictionary<string, string> ChineseVerbs = new(StringComparer.Ordinal)
    {
        ["see"] = "查看",
        ["run"] = "执行",
        ["edit"] = "编辑",
        ["approve"] = "审批",
        ["admin"] = "管理",
    };

    private static readonly Dictionary<string, string> ChineseRoles = new(StringComparer.Ordinal)
    {
        ["viewer"] = "查看者",
        ["operator"] = "操作员",
        ["editor"] = "编辑者",
        ["approver"] = "审批者",
        ["admin"] = "管理员",
    };

    /// <summary>A role for a person: in Chinese its name with the word of requests beside it.</summary>
    public static Text NameOf(string role) => new(ChineseRoles.TryGetValue(role, out var name) ? $"{name} {role}" : role, role);

    /// <summary>Roles of which one is enough.</summary>
    public static Text AnyOf(IEnumerable<string> roles) => Joined(roles.Select(NameOf), " / ", " / ");

    /// <summary>A verb for a person: in Chinese its name with the word of requests beside it.</summary>
    public static Text NameOfVerb(string word) => new(ChineseVerbs.TryGetValue(word, out var name) ? $"{name} {word}" : word, word);

    /// <summary>Verbs for a person.</summary>
    public static Text NamesOfVerbs(IEnumerable<string> words) => Joined(words.Select(NameOfVerb), "、", ", ");

    /// <summary>The verbs of a set as words.</summary>
    public static IEnumerable<string> WordsOf(Verbs verbs) => Words.Where(word => verbs.HasFlag(word.Value)).Select(word => word.Key);

    /// <summary>The roles that have the verb, the weakest first.</summary>
    public static IEnumerable<string> With(Verbs verb) => All.Where(role => role.Value.HasFlag(verb)).Select(role => role.Key);

    private static Text Joined(IEnumerable<Text> names, string zh, string en)
    {
        var all = names.ToList();
        return new Text(string.Join(zh, all.Select(name => name.Zh)), string.Join(en, all.Select(name => name.En)));
    }
}
