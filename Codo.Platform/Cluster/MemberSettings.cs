using System.ComponentModel.DataAnnotations;

namespace Codo.Platform.Cluster;

/// <summary>The section <c>Codo:Node</c>: what this node takes of the cluster's work.</summary>
public sealed class MemberSettings : IValidatableObject
{
    private const int MostTags = 50;

    /// <summary>Of <c>web</c>, <c>cron</c>, <c>orders</c>, <c>logs</c> and <c>alerts</c>, separated by commas; empty is all of them.</summary>
    public string Roles { get; set; } = "";

    /// <summary>What selectors of jobs and steps name, separated by commas: words and <c>key=value</c>, such as <c>dc=bj, canary</c>.</summary>
    public string Tags { get; set; } = "";

    internal string[] RoleList => Words(Roles) is { Length: > 0 } roles ? [.. NodeRoles.All.Intersect(roles, StringComparer.Ordinal)] : [.. NodeRoles.All];

    internal string[] TagList => [.. Words(Tags).Select(NodeSelector.Tag).OfType<string>().Distinct(StringComparer.Ordinal)];

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Words(Roles).Except(NodeRoles.All, StringComparer.Ordinal).FirstOrDefault() is { } role)
            yield return new ValidationResult($"There is no role {role}; the roles are {string.Join(", ", NodeRoles.All)}.", [nameof(Roles)]);
        if (Words(Tags).FirstOrDefault(tag => NodeSelector.Tag(tag) is null) is { } wrong)
            yield return new ValidationResult(
                $"{wrong} is no tag: a word, or key=value, of letters, digits and - _ . : / @ +, {NodeSelector.MostTerm} characters at most.",
                [nameof(Tags)]
            );
        if (Words(Tags).Length > MostTags) yield return new ValidationResult($"There are {MostTags} tags at most.", [nameof(Tags)]);
    }

    private static string[] Words(string text) => text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>What a node takes of the cluster's work.</summary>
public static class NodeRoles
{
    /// <summary>The API and the console.</summary>
    public const string Web = "web";

    /// <summary>Due times and executions of jobs.</summary>
    public const string Cron = "cron";

    /// <summary>Lanes of orders.</summary>
    public const string Orders = "orders";

    /// <summary>Writing lines of output that are published.</summary>
    public const string Logs = "logs";

    /// <summary>Deliveries and the watch for what nobody has acknowledged.</summary>
    public const string Alerts = "alerts";

    public static readonly IReadOnlyList<string> All = [Web, Cron, Orders, Logs, Alerts];
}
