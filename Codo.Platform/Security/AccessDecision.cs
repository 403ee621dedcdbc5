using Codo.Platform.Localization;

namespace Codo.Platform.Security;

/// <summary>What allows it, or keeps it from being allowed.</summary>
public enum AccessBasis
{
    /// <summary>Nothing allows it.</summary>
    Nothing,

    /// <summary>The token's scope does not have the verb, whatever its person may do.</summary>
    Scope,

    Superuser,

    /// <summary>A grant to the person or to a team of theirs.</summary>
    Grant,

    /// <summary><c>Codo:Auth:DefaultRole</c>.</summary>
    DefaultRole,

    /// <summary>A list of operators in the settings.</summary>
    Operators,

    /// <summary>The object names the person: a user of the template, one who may approve the order, a user of the execute-user.</summary>
    Named,

    /// <summary>The template's creator, as long as new ones may be made there.</summary>
    Creator,

    /// <summary>The order's submitter.</summary>
    Submitter,

    /// <summary>Named in the order's <c>associated_user</c>.</summary>
    Watcher,

    /// <summary>A member of the team that is to approve the order.</summary>
    ApprovingTeam,
}

/// <summary>A decision: whether, and by what.</summary>
/// <param name="Grant">The grant, where that is what allows it.</param>
/// <param name="Setting">The list of operators, where that is what allows it.</param>
/// <param name="Against">Why the object's own rule refuses it, where that is what does: no role helps then.</param>
public readonly record struct AccessDecision(AccessBasis Basis, RoleGrant? Grant = null, string Setting = "", Text? Against = null)
{
    public bool IsAllowed => Basis is not (AccessBasis.Nothing or AccessBasis.Scope);
}

/// <summary>A row of <c>accounts.role_grant</c>: a role of a person or a team on a space or on one object.</summary>
public sealed record RoleGrant
{
    public long GrantId { get; init; }
    public long? UserId { get; init; }
    public long? TeamId { get; init; }
    public string Role { get; init; } = "";
    public long? SpaceId { get; init; }
    public string? Kind { get; init; }
    public string? ObjectId { get; init; }

    /// <summary>UTC; null for good.</summary>
    public DateTime? Until { get; init; }
    public long ById { get; init; }
    public string ByName { get; init; } = "";

    /// <summary>Whether it holds at a time.</summary>
    public bool Holds(DateTime now) => Until is null || Until > now;
}

/// <summary>A setting that names operators: in the space <c>default</c> they are editors of these kinds, templates of others left out.</summary>
/// <param name="Setting">Such as <c>Codo:Cron:Operators</c>.</param>
/// <param name="Kinds">Of <see cref="ResourceKind"/>.</param>
/// <param name="Names">Usernames; <c>*</c> is everyone; empty when the setting is not there.</param>
public sealed record OperatorList(string Setting, IReadOnlyList<string> Kinds, IReadOnlySet<string> Names)
{
    public bool Has(string username) => Names.Contains("*") || (username.Length > 0 && Names.Contains(username));
}

/// <summary>What a list shows: the objects in these spaces, and these objects. As parameters of a statement, so that it counts what it shows.</summary>
/// <param name="All">Everything there is; the arrays are not looked at.</param>
public sealed record Visibility(bool All, long[] Spaces, string[] Objects)
{
    /// <summary>The same text for those who see the same.</summary>
    public string Key => All ? "all" : string.Join(',', Spaces) + " " + System.Text.Json.JsonSerializer.Serialize(Objects);

    /// <summary><see cref="Objects"/> as the numbers that they are.</summary>
    public long[] Numbers =>
        [.. Objects.Select(id => long.TryParse(id, System.Globalization.CultureInfo.InvariantCulture, out var number) ? number : 0).Where(id => id > 0)];
}
