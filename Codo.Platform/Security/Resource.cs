using Codo.Platform.Http;
using Codo.Platform.Localization;

namespace Codo.Platform.Security;

/// <summary>The kinds of objects that rights are about; the words are those of grants and of the audit.</summary>
public static class ResourceKind
{
    public const string Space = "space",
        Job = "job",
        Template = "template",
        ExecuteUser = "execute_user",
        Library = "library",
        Rule = "alert_rule",
        Channel = "alert_channel",
        Order = "order";

    /// <summary>Kinds of which one object can be granted.</summary>
    public static readonly string[] Granted = [Job, Template, ExecuteUser, Rule, Channel];

    /// <summary>A kind for a person: in Chinese its name with the word of requests beside it.</summary>
    public static Text NameOf(string kind) =>
        kind switch
        {
            Space => new Text("空间 space", kind),
            Job => new Text("任务 job", kind),
            Template => new Text("模板 template", kind),
            ExecuteUser => new Text("执行用户 execute_user", kind),
            Library => new Text("参数库 library", kind),
            Rule => new Text("告警规则 alert_rule", kind),
            Channel => new Text("告警渠道 alert_channel", kind),
            Order => new Text("订单 order", kind),
            _ => Text.Same(kind),
        };
}

/// <summary>An object with the facts that rights depend on: what a decision is about.</summary>
/// <param name="Kind">One of <see cref="ResourceKind"/>.</param>
/// <param name="Id">A job's <c>job_id</c>, else the number; empty for what is to be made.</param>
/// <param name="Space">The number of the space that it is in; an order has that of its template.</param>
public sealed record Resource(string Kind, string Id, long Space)
{
    /// <summary>The space that holds everything that no other does.</summary>
    public const long DefaultSpace = 1;

    /// <summary>One of a kind that is to be made in a space.</summary>
    public static Resource New(string kind, long space = DefaultSpace) => new(kind, "", space);

    // No text of PostgreSQL has it, so that no grant is on such an object.
    private const string NoId = "\0";

    /// <summary>Any object of a kind that is in a space already, of which nothing else is known: what the space's roles alone decide.</summary>
    public static Resource Any(string kind, long space) => new(kind, NoId, space);

    /// <summary>Whether it is one object, which can be named.</summary>
    public bool IsOne => Id.Length > 0 && Id != NoId;

    /// <summary>Those whom the object names: a template's users, those who may approve an order, an execute-user's <c>users</c>.</summary>
    public IReadOnlyCollection<long> People { get; init; } = [];

    /// <summary>Who made the template, or submitted the order; null and 0 are nobody.</summary>
    public long? Creator { get; init; }

    /// <summary>Those who may see the order beside its people.</summary>
    public IReadOnlyCollection<long> Watchers { get; init; } = [];

    /// <summary>Usernames and nicknames of people whose id is not known, who may see the order.</summary>
    public IReadOnlyCollection<string> WatcherNames { get; init; } = [];

    /// <summary>The team whose members are to approve the order, and therefore see it; null is none.</summary>
    public long? ApprovingTeam { get; init; }

    /// <summary>The template of an order: a role on it counts for its orders.</summary>
    public string Template { get; init; } = "";

    /// <summary>Whether it is to be made.</summary>
    public bool IsNew => Id.Length == 0;
}

/// <summary>Finds the objects of one kind for decisions that are asked about by name. Each module has its own.</summary>
public interface IResourceReader
{
    /// <summary>One of <see cref="ResourceKind"/>.</summary>
    string Kind { get; }

    /// <summary>The object with its facts; null when there is none.</summary>
    Task<Resource?> Find(Npgsql.NpgsqlConnection connection, string id);

    /// <summary>Those of the objects that are there.</summary>
    async Task<IReadOnlyList<Resource>> FindAll(Npgsql.NpgsqlConnection connection, string[] ids)
    {
        var found = new List<Resource>();
        foreach (var id in ids)
            if (await Find(connection, id) is { } one) found.Add(one);
        return found;
    }

    /// <summary>Applies the object's own rule (an order's approval rule) to a decision by roles. Without such a rule the decision stays.</summary>
    Task<AccessDecision> ApplyOwnRule(Npgsql.NpgsqlConnection connection, Caller caller, Verbs verb, Resource resource, AccessDecision decision) =>
        Task.FromResult(decision);
}
