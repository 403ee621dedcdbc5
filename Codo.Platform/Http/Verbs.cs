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

    /// <summary>The verbs of a set as words.</summary>
    public static IEnumerable<string> WordsOf(Verbs verbs) => Words.Where(word => verbs.HasFlag(word.Value)).Select(word => word.Key);

    /// <summary>The roles that have the verb, the weakest first.</summary>
    public static IEnumerable<string> With(Verbs verb) => All.Where(role => role.Value.HasFlag(verb)).Select(role => role.Key);
}
