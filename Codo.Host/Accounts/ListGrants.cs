using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// Grants that the caller may know of: their own, and those on what they are admin of. What the settings and a template's users give stands there as well, to
/// be read only.
/// </summary>
internal static class ListGrants
{
    internal sealed record Query(long? UserId, long? TeamId, string? Space, string? Object, long? After, int? Limit) : IRequest<Result>;

    /// <param name="Next">What to give as <c>after</c> for the next page; null on the last one.</param>
    internal sealed record Result(IReadOnlyList<View> Data, long? Next) : Answer(Messages.Fetched);

    /// <param name="GrantId">Null for what is no grant and cannot be changed here.</param>
    /// <param name="Username">Of whom a setting names; <c>*</c> is everyone signed in.</param>
    /// <param name="Role">Empty where it is no role: a template's users have <paramref name="Verbs"/>.</param>
    /// <param name="Source">Where it comes from: <c>grant</c>, <c>upgrade</c>, <c>template</c>, or the setting.</param>
    internal sealed record View(
        long? GrantId,
        long? UserId,
        string Username,
        long? TeamId,
        string Team,
        string Role,
        IReadOnlyList<string> Verbs,
        string Space,
        string Object,
        IReadOnlyList<string> Kinds,
        DateTime? Until,
        string By,
        string Source,
        Text Words
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.Limit).Within(1, Paging.MostLimit, "limit");
    }

    internal sealed class Handler(NpgsqlDataSource source, NamedObjects objects, IEnumerable<IResourceReader> readers, Access access)
        : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 200;
        private readonly AccessRules rules = access.Rules;
        private readonly Dictionary<(string, string), bool> mine = [];

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var limit = request.Limit ?? DefaultLimit;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var space = request.Space is null ? (long?)null : access.SpaceOf(request.Space);
            var wanted = request.Object is null ? null : await objects.Find(connection, request.Object);
            var data = new List<View>();
            if (request.After is null) data.AddRange(await ReadOnly(request, space, wanted));
            var last = (long?)null;
            var count = 0;
            foreach (var grant in rules.Grants.Where(grant => grant.GrantId > (request.After ?? 0)).OrderBy(grant => grant.GrantId))
            {
                if (
                    (request.UserId is { } user && grant.UserId != user && !IsOfTeam(user, grant))
                    || (request.TeamId is { } team && grant.TeamId != team)
                    || (space is not null && grant.SpaceId != space)
                    || (wanted is not null && !IsOn(grant, wanted))
                    || !await MayKnow(connection, grant)
                )
                    continue;
                if (count++ == limit) return new Result(data, last);
                data.Add(View(grant));
                last = grant.GrantId;
            }
            return new Result(data, null);
        }

        private bool IsOfTeam(long user, RoleGrant grant) => grant.TeamId is { } team && rules.TeamsOf.GetValueOrDefault(user, []).Contains(team);

        // What is on a space is on the objects in it.
        private static bool IsOn(RoleGrant grant, Resource wanted) =>
            grant.SpaceId == wanted.Space || (grant.Kind == wanted.Kind && grant.ObjectId == wanted.Id);

        private async Task<bool> MayKnow(NpgsqlConnection connection, RoleGrant grant)
        {
            if (access.Caller.IsSuperuser || grant.UserId == access.Caller.UserId || IsOfTeam(access.Caller.UserId, grant)) return true;
            var key = grant.SpaceId is { } space ? (ResourceKind.Space, space.ToString(CultureInfo.InvariantCulture)) : (grant.Kind!, grant.ObjectId!);
            if (mine.TryGetValue(key, out var known)) return known;
            var on = grant.SpaceId is { } number
                ? NamedObjects.OfSpace(number)
                : readers.FirstOrDefault(reader => reader.Kind == grant.Kind) is { } reader ? await reader.Find(connection, grant.ObjectId!) : null;
            return mine[key] = on is not null && await access.May(Verbs.Admin, on);
        }

        // What everyone has, everyone may know; the names of operators, whoever grants in default, and each their own.
        private async Task<List<View>> ReadOnly(Query request, long? space, Resource? wanted)
        {
            var rows = new List<View>();
            var grants = await access.May(Verbs.Admin, NamedObjects.OfSpace(Resource.DefaultSpace));
            if (request.TeamId is null && (space ?? wanted?.Space ?? Resource.DefaultSpace) == Resource.DefaultSpace)
            {
                if (rules.DefaultRole != "none")
                    rows.Add(Setting("*", rules.DefaultRole, AccessRules.OfDefaultRole, DefaultRole.Setting));
                rows.AddRange(
                    from list in rules.Operators
                    from name in list.Names
                    where name == "*" || name == access.Caller.Username || grants
                    select Setting(name, "editor", list.Kinds, list.Setting)
                );
            }
            if (wanted is { Kind: ResourceKind.Template } template && (access.Caller.IsSuperuser || await access.May(Verbs.Edit, template)))
                rows.AddRange(template.People.Where(id => id > 0 && (request.UserId ?? id) == id).Select(id => OfTemplate(id, template)));
            return rows;
        }

        private View Setting(string name, string role, IReadOnlyList<string> kinds, string setting) =>
            new(
                null,
                null,
                name,
                null,
                "",
                role,
                [.. Roles.WordsOf(Roles.All[role])],
                access.NameOf(Resource.DefaultSpace),
                "",
                kinds,
                null,
                "",
                setting,
                new Text($"{setting}：{(name == "*" ? "所有登录用户" : name)}是 {role}", $"{setting}: {(name == "*" ? "everyone signed in" : name)} is {role}")
            );

        private View OfTemplate(long id, Resource template) =>
            new(
                null,
                id,
                rules.People.GetValueOrDefault(id, ""),
                null,
                "",
                "",
                ["see", "run", "edit", "approve"],
                access.NameOf(template.Space),
                $"{template.Kind}:{template.Id}",
                [template.Kind],
                null,
                "",
                "template",
                new Text("模板的用户", "a user of the template")
            );

        private View View(RoleGrant grant) =>
            new(
                grant.GrantId,
                grant.UserId,
                grant.UserId is { } user ? rules.People.GetValueOrDefault(user, "") : "",
                grant.TeamId,
                grant.TeamId is { } team && rules.Teams.TryGetValue(team, out var found) ? found.Name : "",
                grant.Role,
                [.. Roles.WordsOf(Roles.All[grant.Role])],
                grant.SpaceId is { } space ? access.NameOf(space) : "",
                grant.Kind is null ? "" : $"{grant.Kind}:{grant.ObjectId}",
                grant.Kind is null ? [] : [grant.Kind],
                grant.Until,
                grant.ByName,
                grant.ById == 0 ? "upgrade" : "grant",
                Explanation.Of(rules, grant)
            );
    }
}
