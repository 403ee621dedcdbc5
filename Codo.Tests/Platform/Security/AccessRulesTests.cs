using Codo.Platform.Http;
using Codo.Platform.Security;
using CsCheck;

namespace Codo.Tests.Platform.Security;

/// <summary>What decides, against a model that is written down once more from docs/security.md, as a list of what gives somebody something.</summary>
public sealed class AccessRulesTests
{
    private static readonly DateTime Now = new(2026, 3, 1, 4, 0, 0, DateTimeKind.Utc);
    private static readonly string[] RoleNames = ["viewer", "operator", "editor", "approver", "admin"];
    private static readonly string[] Names = ["ann", "bob", "carol"];
    private static readonly string[] Kinds = ["space", "job", "template", "execute_user", "library", "alert_rule", "alert_channel", "order"];

    private static readonly Dictionary<string, string[]> VerbsOf = new()
    {
        ["none"] = [],
        ["viewer"] = ["see"],
        ["operator"] = ["see", "run"],
        ["editor"] = ["see", "run", "edit"],
        ["approver"] = ["see", "approve"],
        ["admin"] = ["see", "run", "edit", "approve", "admin"],
    };

    private static readonly Gen<(int Who, int Role, int Where, int End)> Draws = Gen.Select(Gen.Int[0, 4], Gen.Int[0, 4], Gen.Int[0, 4], Gen.Int[0, 9]);

    private static readonly Gen<RoleGrant> Grants = Draws.Select((who, role, where, end) => new RoleGrant
    {
        GrantId = 7,
        UserId = who < 3 ? who + 1 : null,
        TeamId = who < 3 ? null : who,
        Role = RoleNames[role],
        SpaceId = where < 3 ? where + 1 : null,
        Kind = where < 3 ? null : new[] { "job", "template", "execute_user", "alert_rule" }[(end + role) % 4],
        ObjectId = where < 3 ? null : $"{where - 2}",
        Until = end switch
        {
            0 => Now,
            1 => Now.AddSeconds(-1),
            2 => Now.AddSeconds(1),
            _ => null,
        },
        ByName = "root",
    });

    private static readonly Gen<Resource> Resources = Gen.Select(
        Gen.Int[0, 7],
        Gen.Int[0, 2],
        Gen.Long[1, 3],
        Gen.Long[0, 3],
        Gen.Int[0, 31]
    ).Select((kind, id, space, creator, facts) =>
        Kinds[kind] == "space"
            ? new Resource("space", $"{space}", space)
            : new Resource(Kinds[kind], id == 0 && Kinds[kind] != "order" ? "" : $"{Math.Max(id, 1)}", space)
            {
                Creator = creator,
                People = Kinds[kind] is "template" or "execute_user" or "order" && facts % 2 == 0 ? [1 + (facts % 3)] : [],
                Watchers = Kinds[kind] == "order" && facts % 5 == 0 ? [2] : [],
                ApprovingTeam = Kinds[kind] == "order" && facts % 3 == 0 ? 3 : null,
                WatcherNames = Kinds[kind] == "order" && facts % 7 == 0 ? ["carol"] : [],
                Template = Kinds[kind] == "order" ? $"{1 + (facts % 2)}" : "",
            });

    [Fact]
    public void Ten_thousand_random_cases_are_decided_and_explained_as_the_model_says()
    {
        var (allowed, refused) = (0, 0);
        Gen.Select(
                Gen.Select(Grants.Array[0, 6], Gen.Bool.Array[3], Gen.OneOf("none", "viewer", "operator", "editor"), Gen.Int[0, 5]),
                Gen.Select(Gen.Int[0, 2], Gen.Int[0, 12], Gen.OneOf("see", "run", "edit", "approve", "admin")),
                Resources
            )
            .Sample(
                (world, asking, resource) =>
                {
                    var (grants, members, role, lists) = world;
                    var (person, kind, verb) = asking;
                    var teams = members.Select((isIn, at) => (isIn, at)).Where(one => one.isIn).Select(one => ((long)one.at + 1, (long)3)).ToArray();
                    var cron = lists is 1 or 2 ? new[] { Names[lists] } : [];
                    var tasks = lists is 3 ? new[] { "*" } : lists is 4 ? ["ann", "carol"] : [];
                    var rules = new AccessRules(
                        [new Space(1, "default", "", false), new Space(2, "a", "", false), new Space(3, "b", "", false)],
                        [new Team(3, "ops"), new Team(4, "nobody")],
                        teams,
                        grants,
                        role,
                        [
                            new OperatorList("Codo:Cron:Operators", ["job"], cron.ToHashSet()),
                            new OperatorList("Codo:Tasks:Operators", ["template", "execute_user", "library"], tasks.ToHashSet()),
                        ],
                        new Dictionary<long, string>()
                    );
                    // Now and then a superuser, or a token that is good for looking only.
                    var scope = kind == 1 ? Verbs.See : Verbs.All;
                    var caller = new Caller(person + 1, Names[person], Names[person], "", kind == 0, "", "") { Scope = scope };
                    var mine = teams.Where(team => team.Item1 == person + 1).Select(team => team.Item2).ToArray();
                    var model = new Model(grants, mine, role, cron, tasks, person + 1, Names[person]);
                    var expected = (scope == Verbs.All || verb == "see") && (caller.IsSuperuser || model.May(verb, resource));

                    var decision = rules.Decide(caller, Roles.Words[verb], resource, Now);
                    decision.IsAllowed.ShouldBe(expected, $"{caller.Username} {verb} {resource} {string.Join(' ', (object[])grants)}");
                    var words = decision.IsAllowed
                        ? Explanation.Allowed(rules, decision, resource)
                        : Explanation.Missing(rules, caller, Roles.Words[verb], resource, Now);
                    words.Zh.ShouldNotBeEmpty();
                    words.En.ShouldNotBeEmpty();
                    // A list shows an object of which nothing but its place is known exactly where the decision does.
                    if (resource.IsOne && resource.Kind is not ("order" or "space" or "library"))
                    {
                        var seen = rules.Sees(caller, resource.Kind, Now);
                        var listed = seen.All || seen.Spaces.Contains(resource.Space) || seen.Objects.Contains(resource.Id);
                        listed.ShouldBe(rules.Decide(caller, Verbs.See, resource with { People = [], Creator = null }, Now).IsAllowed);
                    }
                    if (expected) Interlocked.Increment(ref allowed);
                    else Interlocked.Increment(ref refused);
                },
                iter: 10_000,
                threads: 1
            );
        allowed.ShouldBeGreaterThan(1000);
        refused.ShouldBeGreaterThan(1000);
    }

    [Theory]
    [InlineData("run", "approver / admin")]
    [InlineData("see", "approver / admin")]
    [InlineData("edit", "admin")]
    [InlineData("approve", "approver / admin")]
    public void What_is_missing_on_an_order_names_each_role_that_is_enough(string verb, string roles)
    {
        var order = new Resource("order", "7", 1) { Template = "1" };
        var caller = new Caller(1, "ann", "ann", "", false, "", "");
        Explanation.Missing(With([]), caller, Roles.Words[verb], order, Now).En.ShouldContain($"(role {roles})");
        foreach (var role in RoleNames)
        {
            var grant = new RoleGrant { GrantId = 7, UserId = 1, Role = role, SpaceId = 1, ByName = "root" };
            With([grant]).Decide(caller, Roles.Words[verb], order, Now).IsAllowed.ShouldBe(roles.Split(" / ").Contains(role), role);
        }

        static AccessRules With(RoleGrant[] grants) => new([new Space(1, "default", "", false)], [], [], grants, "none", [], new Dictionary<long, string>());
    }

    /// <summary>Everything that gives somebody a verb, one after the other.</summary>
    private sealed record Model(RoleGrant[] Grants, long[] Teams, string Everyone, string[] Cron, string[] Tasks, long Id, string Name)
    {
        public bool May(string verb, Resource on) => Sources(on).Any(source => source.Contains(verb));

        private IEnumerable<string[]> Sources(Resource on)
        {
            var isClosed = on.Kind == "execute_user" && on.People.Count > 0 && !on.People.Contains(Id);
            foreach (var grant in Grants)
            {
                if (grant.UserId != Id && !Teams.Any(team => team == grant.TeamId)) continue;
                if (grant.Until <= Now) continue;
                var has = VerbsOf[grant.Role];
                var (kind, id) = on.Kind == "order" ? ("template", on.Template) : (on.Kind, on.Id);
                var onOne = grant.ObjectId is not null && grant.ObjectId == id && grant.Kind == kind;
                if (!onOne && grant.SpaceId != on.Space) continue;
                if (on.Kind == "order") yield return has.Contains("approve") ? [.. has, "run"] : [];
                else if (isClosed && !onOne && grant.Role != "admin") yield return [.. has.Except(["run", "edit"])];
                else yield return has;
            }

            foreach (var some in InDefault(on))
                yield return isClosed ? [.. some.Except(["run", "edit"])] : some;
            if (on is { Kind: "template", Id.Length: > 0 } && on.People.Contains(Id)) yield return ["see", "run", "edit", "approve"];
            var isMaker = on is { Kind: "template", Id.Length: > 0 } && on.Creator == Id;
            if (isMaker && May("edit", on with { Id = "", People = [], Creator = null })) yield return ["edit"];
            if (on.Kind != "order") yield break;
            if (on.Creator == Id) yield return ["see", "run"];
            if (on.People.Contains(Id)) yield return ["see", "run", "approve"];
            if (on.Watchers.Contains(Id) || on.WatcherNames.Contains(Name)) yield return ["see"];
            if (on.ApprovingTeam is { } team && Teams.Contains(team)) yield return ["see"];
        }

        private IEnumerable<string[]> InDefault(Resource on)
        {
            if (on.Space != 1) yield break;
            string[] reach = on is { Kind: "template", Id.Length: > 0 } ? ["see", "run"] : ["see", "run", "edit"];
            if (on.Kind == "space" && Everyone != "none") yield return ["see"];
            if (on.Kind is "job" or "template" or "execute_user" or "library") yield return [.. VerbsOf[Everyone].Intersect(reach)];
            if (on.Kind == "job" && Cron.Contains(Name)) yield return reach;
            if (on.Kind is "template" or "execute_user" or "library" && (Tasks.Contains("*") || Tasks.Contains(Name))) yield return reach;
        }
    }
}
