using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Localization;

namespace Codo.Platform.Security;

/// <summary>Decisions in words: what allows something, or what is missing and who can grant it.</summary>
public static class Explanation
{
    private const int MostNames = 10;

    /// <summary>What allows it.</summary>
    public static Text Allowed(AccessRules rules, AccessDecision decision, Resource resource) =>
        decision.Basis switch
        {
            AccessBasis.Superuser => new Text("超级用户", "a superuser"),
            AccessBasis.Grant when decision.Grant is { } grant => Of(rules, grant),
            AccessBasis.DefaultRole => new Text(
                $"所有登录用户在空间 default 中是 {Roles.NameOf(rules.DefaultRole).Zh}（Codo:Auth:DefaultRole）",
                $"everyone signed in is {rules.DefaultRole} in the space default (Codo:Auth:DefaultRole)"
            ),
            AccessBasis.Operators => new Text(
                $"{decision.Setting} 中的用户在空间 default 中是 {Roles.NameOf("editor").Zh}",
                $"{decision.Setting} names the person: editor in the space default"
            ),
            AccessBasis.Named => resource.Kind == ResourceKind.Order
                ? new Text("提交订单时模板的用户", "a user of the template when the order was accepted")
                : new Text("模板的用户", "a user of the template"),
            AccessBasis.Creator => new Text("模板的创建者，并且可以在此空间新建模板", "made the template, and may make new ones in its space"),
            AccessBasis.Submitter => new Text("订单的提交人", "the order's submitter"),
            AccessBasis.Watcher => new Text("订单的关联用户（associated_user）", "named in the order's associated_user"),
            AccessBasis.ApprovingTeam => new Text("需要审批此订单的团队的成员", "a member of the team that is to approve the order"),
            _ => new Text("", ""),
        };

    /// <summary>What is missing, and who can grant it.</summary>
    public static Text Missing(AccessRules rules, Caller caller, Verbs verb, Resource resource, DateTime now)
    {
        var word = Roles.NameOfVerb(Roles.WordsOf(verb).First());
        if (rules.Decide(caller, verb, resource, now).Basis == AccessBasis.Scope)
            return new Text($"令牌的权限范围不含 {word.Zh}", $"The token's scope does not have {word.En}");
        var roles = Roles.AnyOf(Roles.All.Keys.Where(role => AccessRules.Reaches(role, verb, resource.Kind)));
        var granters = Granters(rules, resource, now);
        var object_ = Name(rules, resource);
        return new Text(
            $"需要{object_.Zh}的权限“{word.Zh}”（角色：{roles.Zh}）；可由{granters.Zh}授予",
            $"This needs {word.En} on {object_.En} (role {roles.En}); {granters.En} can grant it"
        );
    }

    /// <summary>A grant, as a sentence.</summary>
    public static Text Of(AccessRules rules, RoleGrant grant)
    {
        var who = grant.TeamId is { } team
            ? new Text($"团队 {NameOfTeam(rules, team)}", $"the team {NameOfTeam(rules, team)}")
            : new Text($"用户 {NameOf(rules, grant.UserId!.Value)}", NameOf(rules, grant.UserId!.Value));
        var where = grant.SpaceId is { } space
            ? new Text($"空间 {NameOfSpace(rules, space)}", $"the space {NameOfSpace(rules, space)}")
            : Text.Same($"{grant.Kind}:{grant.ObjectId}");
        var (zh, en) = grant.Until is { } until
            ? ($"，到 {until:yyyy-MM-dd HH:mm} UTC 为止", $", until {until:yyyy-MM-dd HH:mm} UTC")
            : ("", "");
        return new Text(
            $"授权 {grant.GrantId}：{who.Zh}在{where.Zh}是 {Roles.NameOf(grant.Role).Zh}{zh}（由 {grant.ByName} 授予）",
            $"grant {grant.GrantId}: {who.En} is {grant.Role} on {where.En}{en} (granted by {grant.ByName})"
        );
    }

    /// <summary>The object as a person would name it.</summary>
    public static Text Name(AccessRules rules, Resource resource)
    {
        var space = NameOfSpace(rules, resource.Space);
        if (!resource.IsOne || resource.Kind is ResourceKind.Space or ResourceKind.Library)
            return new Text($"空间 {space} ", $"the space {space}");
        return new Text($" {resource.Kind}:{resource.Id}（空间 {space}）", $"{resource.Kind}:{resource.Id} (space {space})");
    }

    private static Text Granters(AccessRules rules, Resource resource, DateTime now)
    {
        var names = rules.Granters(resource, now)
            .Select(grant =>
                grant.TeamId is { } team
                    ? new Text($"团队 {NameOfTeam(rules, team)}", $"the team {NameOfTeam(rules, team)}")
                    : Text.Same(NameOf(rules, grant.UserId!.Value))
            )
            .Distinct()
            .Take(MostNames)
            .ToList();
        return names.Count == 0
            ? new Text("超级用户", "a superuser")
            : new Text(string.Join("、", names.Select(name => name.Zh)) + "或超级用户", string.Join(", ", names.Select(name => name.En)) + " or a superuser");
    }

    private static string NameOf(AccessRules rules, long user) =>
        rules.People.TryGetValue(user, out var name) && name.Length > 0 ? $"{name} ({user.ToString(CultureInfo.InvariantCulture)})" : $"#{user}";

    private static string NameOfTeam(AccessRules rules, long team) => rules.Teams.TryGetValue(team, out var found) ? found.Name : $"#{team}";

    private static string NameOfSpace(AccessRules rules, long space) => rules.Spaces.TryGetValue(space, out var found) ? found.Name : $"#{space}";
}
