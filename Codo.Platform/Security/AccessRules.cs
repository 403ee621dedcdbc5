using System.Collections.Concurrent;
using Codo.Platform.Http;

namespace Codo.Platform.Security;

/// <summary>
/// Every space, team, grant and setting that rights depend on, as of one moment, and the one place that decides by them. It never changes: a change makes a
/// new one.
/// </summary>
public sealed class AccessRules
{
    /// <summary>The kinds that the default role is about.</summary>
    public static readonly string[] OfDefaultRole = [ResourceKind.Job, ResourceKind.Template, ResourceKind.ExecuteUser, ResourceKind.Library];

    private readonly Dictionary<long, RoleGrant[]> ofUsers, ofTeams;
    private readonly ConcurrentDictionary<long, Held> held = new();

    public AccessRules(
        IEnumerable<Space> spaces,
        IEnumerable<Team> teams,
        IEnumerable<(long UserId, long TeamId)> members,
        IReadOnlyCollection<RoleGrant> grants,
        string defaultRole,
        IReadOnlyList<OperatorList> operators,
        IReadOnlyDictionary<long, string> people,
        bool hasFormerSpaces = false
    )
    {
        Spaces = spaces.ToDictionary(space => space.SpaceId);
        Teams = teams.ToDictionary(team => team.TeamId);
        TeamsOf = members.Distinct().GroupBy(member => member.UserId).ToDictionary(all => all.Key, all => all.Select(one => one.TeamId).ToArray());
        Grants = grants;
        (DefaultRole, Operators, People, HasFormerSpaces) = (defaultRole, operators, people, hasFormerSpaces);
        ofUsers = grants.Where(grant => grant.UserId is not null).GroupBy(grant => grant.UserId!.Value).ToDictionary(all => all.Key, all => all.ToArray());
        ofTeams = grants.Where(grant => grant.TeamId is not null).GroupBy(grant => grant.TeamId!.Value).ToDictionary(all => all.Key, all => all.ToArray());
    }

    /// <summary>Before anything was read: nobody but a superuser may do anything.</summary>
    public static readonly AccessRules Closed = new([], [], [], [], "none", [], new Dictionary<long, string>());

    public IReadOnlyDictionary<long, Space> Spaces { get; }
    public IReadOnlyDictionary<long, Team> Teams { get; }

    /// <summary>The teams of each person.</summary>
    public IReadOnlyDictionary<long, long[]> TeamsOf { get; }
    public IReadOnlyCollection<RoleGrant> Grants { get; }

    /// <summary>What everyone signed in has in <c>default</c>: <c>none</c>, <c>viewer</c>, <c>operator</c> or <c>editor</c>.</summary>
    public string DefaultRole { get; }
    public IReadOnlyList<OperatorList> Operators { get; }

    /// <summary>Names of people, as far as they are known.</summary>
    public IReadOnlyDictionary<long, string> People { get; }

    /// <summary>Whether something is kept of a space that is deleted: whoever sees every space of today does not see that.</summary>
    public bool HasFormerSpaces { get; }

    /// <summary>Decides.</summary>
    /// <param name="verb">One verb.</param>
    /// <param name="now">UTC; grants end.</param>
    public AccessDecision Decide(Caller caller, Verbs verb, Resource resource, DateTime now)
    {
        if ((caller.Scope & verb) != verb) return new AccessDecision(AccessBasis.Scope);
        if (caller.IsSuperuser) return new AccessDecision(AccessBasis.Superuser);
        if (OfObject(caller, verb, resource, now) is { IsAllowed: true } own) return own;
        var mine = Of(caller.UserId);
        var (kind, id) = resource.Kind == ResourceKind.Order ? (ResourceKind.Template, resource.Template) : (resource.Kind, resource.Id);
        if (id.Length > 0 && mine.Objects.TryGetValue((kind, id), out var onObject))
            foreach (var grant in onObject)
                if (Reaches(grant.Role, verb, resource.Kind) && grant.Holds(now)) return new AccessDecision(AccessBasis.Grant, grant);
        // One that names its users is theirs: of what a space gives only admin reaches it.
        var isClosed =
            resource is { Kind: ResourceKind.ExecuteUser, People.Count: > 0 }
            && verb is Verbs.Run or Verbs.Edit
            && !resource.People.Contains(caller.UserId);
        if (mine.Spaces.TryGetValue(resource.Space, out var onSpace))
            foreach (var grant in onSpace)
                if (Reaches(grant.Role, verb, resource.Kind) && (!isClosed || grant.Role == "admin") && grant.Holds(now))
                    return new AccessDecision(AccessBasis.Grant, grant);
        return isClosed ? default : Everyones(caller, verb, resource);
    }

    /// <summary>What a list of a kind shows. For orders it is what roles show; each order's own people are the statement's business.</summary>
    public Visibility Sees(Caller caller, string kind, DateTime now)
    {
        if ((caller.Scope & Verbs.See) == 0) return new Visibility(false, [], []);
        if (caller.IsSuperuser) return new Visibility(true, [], []);
        var spaces = Spaces.Keys.Where(space => Decide(caller, Verbs.See, Resource.Any(kind, space), now).IsAllowed).ToArray();
        var asked = kind == ResourceKind.Order ? ResourceKind.Template : kind;
        var objects = Of(caller.UserId)
            .Objects.Where(pair => pair.Key.Kind == asked && pair.Value.Any(grant => Reaches(grant.Role, Verbs.See, kind) && grant.Holds(now)))
            .Select(pair => pair.Key.Id)
            .ToArray();
        return new Visibility(spaces.Length == Spaces.Count && spaces.Length > 0 && !HasFormerSpaces, spaces, objects);
    }

    /// <summary>Whether there is anything of the kind that the caller may do this to, or a space where one may be made.</summary>
    public bool Anywhere(Caller caller, Verbs verb, string kind, bool toMake, DateTime now) =>
        Spaces.Keys.Any(space =>
            // The library is in default alone: a role elsewhere is about none of it.
            (kind != ResourceKind.Library || space == Resource.DefaultSpace)
            && Decide(caller, verb, toMake ? Resource.New(kind, space) : Resource.Any(kind, space), now).IsAllowed
        )
        || (
            !toMake
            && (caller.Scope & verb) == verb
            && Of(caller.UserId).Objects.Any(pair => pair.Key.Kind == kind && pair.Value.Any(grant => Reaches(grant.Role, verb, kind) && grant.Holds(now)))
        );

    /// <summary>Grants of <c>admin</c> on the object or its space: besides superusers, those who have them can grant what is missing.</summary>
    public IEnumerable<RoleGrant> Granters(Resource resource, DateTime now) =>
        Grants.Where(grant =>
            grant.Role == "admin"
            && grant.Holds(now)
            && (
                grant.SpaceId == resource.Space
                || (grant.Kind == resource.Kind && grant.ObjectId == resource.Id)
                || (resource.Kind == ResourceKind.Order && grant.Kind == ResourceKind.Template && grant.ObjectId == resource.Template)
            )
        );

    /// <summary>The grants of a person, their teams' included, that hold or held.</summary>
    public IEnumerable<RoleGrant> GrantsOf(long userId) =>
        ofUsers.GetValueOrDefault(userId, []).Concat(TeamsOf.GetValueOrDefault(userId, []).SelectMany(team => ofTeams.GetValueOrDefault(team, [])));

    // What everyone has, and what the settings give to some. Neither reaches templates of others, alerts, or orders.
    private AccessDecision Everyones(Caller caller, Verbs verb, Resource resource)
    {
        if (resource.Space != Resource.DefaultSpace) return default;
        if (resource.Kind == ResourceKind.Space)
            return verb == Verbs.See && DefaultRole != "none" ? new AccessDecision(AccessBasis.DefaultRole) : default;
        var isOthers = resource is { Kind: ResourceKind.Template, IsNew: false } && verb == Verbs.Edit;
        if (OfDefaultRole.Contains(resource.Kind) && !isOthers && (Roles.All.GetValueOrDefault(DefaultRole) & verb & Roles.All["editor"]) != 0)
            return new AccessDecision(AccessBasis.DefaultRole);
        foreach (var list in Operators)
            if (!isOthers && (Roles.All["editor"] & verb) != 0 && list.Kinds.Contains(resource.Kind) && list.Has(caller.Username))
                return new AccessDecision(AccessBasis.Operators, Setting: list.Setting);
        return default;
    }

    // What the object itself says of the person.
    private AccessDecision OfObject(Caller caller, Verbs verb, Resource resource, DateTime now)
    {
        var id = caller.UserId;
        switch (resource.Kind)
        {
            case ResourceKind.Template when !resource.IsNew:
                if (id > 0 && verb != Verbs.Admin && resource.People.Contains(id)) return new AccessDecision(AccessBasis.Named);
                return
                    id > 0
                    && verb == Verbs.Edit
                    && resource.Creator == id
                    && Decide(caller, Verbs.Edit, Resource.New(resource.Kind, resource.Space), now).IsAllowed
                    ? new AccessDecision(AccessBasis.Creator)
                    : default;
            case ResourceKind.Order:
                if (verb is Verbs.See or Verbs.Run && id > 0 && resource.Creator == id) return new AccessDecision(AccessBasis.Submitter);
                if (verb is Verbs.See or Verbs.Run or Verbs.Approve && id > 0 && resource.People.Contains(id)) return new AccessDecision(AccessBasis.Named);
                if (verb == Verbs.See && resource.ApprovingTeam is { } team && TeamsOf.GetValueOrDefault(id, []).Contains(team))
                    return new AccessDecision(AccessBasis.ApprovingTeam);
                return
                    verb == Verbs.See
                    && (
                        resource.Watchers.Contains(id)
                        || resource.WatcherNames.Contains(caller.Username, StringComparer.Ordinal)
                        || resource.WatcherNames.Contains(caller.Nickname, StringComparer.Ordinal)
                    )
                    ? new AccessDecision(AccessBasis.Watcher)
                    : default;
            default:
                return default;
        }
    }

    /// <summary>Whether a role gives the verb on the kind. An order is not the space's: of its roles only those that approve reach it.</summary>
    internal static bool Reaches(string role, Verbs verb, string kind)
    {
        if (!Roles.All.TryGetValue(role, out var verbs)) return false;
        if (kind == ResourceKind.Order && (verbs & Verbs.Approve) == 0) return false;
        return (verbs & verb) == verb || (kind == ResourceKind.Order && verb == Verbs.Run && (verbs & Verbs.Approve) != 0);
    }

    private Held Of(long userId) => held.GetOrAdd(userId, static (id, rules) => new Held(rules.GrantsOf(id)), this);

    private sealed class Held
    {
        public Held(IEnumerable<RoleGrant> grants)
        {
            var all = grants.ToList();
            Spaces = all.Where(grant => grant.SpaceId is not null)
                .GroupBy(grant => grant.SpaceId!.Value)
                .ToDictionary(some => some.Key, some => some.ToArray());
            Objects = all.Where(grant => grant.Kind is not null)
                .GroupBy(grant => (grant.Kind!, grant.ObjectId!))
                .ToDictionary(some => some.Key, some => some.ToArray());
        }

        public Dictionary<long, RoleGrant[]> Spaces { get; }
        public Dictionary<(string Kind, string Id), RoleGrant[]> Objects { get; }
    }
}

/// <summary>A space.</summary>
/// <param name="Confirm">Whether the console asks for its name to be typed before a change.</param>
public sealed record Space(long SpaceId, string Name, string Description, bool Confirm);

/// <summary>A team.</summary>
public sealed record Team(long TeamId, string Name);
