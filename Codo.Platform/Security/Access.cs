using System.Security.Claims;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.Authorization;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Platform.Security;

/// <summary>What the caller of this scope may do: what slices, streams and pages ask.</summary>
public sealed class Access(Caller caller, CurrentRules current, IAuthorizationService authorization, TimeProvider time)
{
    private static readonly Text NoRight = new("你没有权限执行此操作", "You have no right to do this");

    private readonly ClaimsPrincipal principal = CallerIdentity.Principal(caller);

    public Caller Caller => caller;

    /// <summary>The rules that this scope decides by.</summary>
    public AccessRules Rules => current.Rules;

    public async ValueTask<bool> May(Verbs verb, Resource resource) =>
        (await authorization.AuthorizeAsync(principal, resource, VerbRequirement.Of(verb))).Succeeded;

    /// <summary>Refuses what is not allowed: what the caller may not see is not there, and the rest says what is missing and who can grant it.</summary>
    /// <param name="absent">As for an object that does not exist.</param>
    /// <param name="refused">The message of the contract; null is the general one.</param>
    /// <exception cref="Refusal">It is not allowed.</exception>
    public async ValueTask Demand(Verbs verb, Resource resource, Refusal absent, Text? refused = null)
    {
        if (await May(verb, resource)) return;
        if (verb == Verbs.See) throw absent;
        if (!await May(Verbs.See, resource)) throw absent.AsHidden();
        throw Refuse(verb, resource, refused);
    }

    /// <summary>The refusal of what is not allowed.</summary>
    public Refusal Refuse(Verbs verb, Resource resource, Text? refused = null) =>
        new(-2, refused ?? NoRight, RefusalKind.Forbidden) { Hint = Explanation.Missing(Rules, caller, verb, resource, Now) };

    /// <summary>What a list of a kind shows to the caller.</summary>
    public Visibility Sees(string kind) => Rules.Sees(caller, kind, Now);

    /// <summary>The number of the space that a request names, where something of the kind may be made there.</summary>
    /// <param name="name">Null is <c>default</c>.</param>
    /// <exception cref="Refusal">There is no such space, or the caller may make none there.</exception>
    public async ValueTask<long> SpaceForNew(string kind, string? name)
    {
        var space = SpaceOf(name, changes: true);
        if (!await May(Verbs.Edit, Resource.New(kind, space))) throw Refuse(Verbs.Edit, Resource.New(kind, space));
        return space;
    }

    /// <summary>The number of the space that an object is to be moved to: who moves it may edit in both.</summary>
    /// <param name="name">Null, or the name of the space that it is in, leaves it where it is.</param>
    /// <exception cref="Refusal">There is no such space, or the caller may not edit there, or not where the object is.</exception>
    public async ValueTask<long> SpaceFor(Resource resource, string? name)
    {
        // Compared before it is resolved: whoever was granted this one object need not see its space, and sends the name back with the rest of the object.
        if (name is null || string.Equals(NameOf(resource.Space), name.Trim(), StringComparison.OrdinalIgnoreCase)) return resource.Space;
        var space = SpaceOf(name, changes: true);
        foreach (var one in new[] { resource.Space, space })
            if (!await May(Verbs.Edit, Resource.New(resource.Kind, one))) throw Refuse(Verbs.Edit, Resource.New(resource.Kind, one));
        return space;
    }

    /// <summary>The number of the space that a deleted object comes back to: its own, or the one that is named.</summary>
    /// <param name="isGone">Whether its own space was deleted meanwhile.</param>
    /// <exception cref="Refusal">
    /// Its own space is gone and none is named, there is no such space, or the caller may not edit there, or not where the object was.
    /// </exception>
    public async ValueTask<long> SpaceForReturn(Resource resource, string? name, bool isGone)
    {
        if (!isGone) return await SpaceFor(resource, name);
        return name is null
            ? throw Refusal.Conflict("它所在的空间已删除，请用 `space` 指定空间", "Its space is gone; give `space`")
            : await SpaceForNew(resource.Kind, name);
    }

    /// <summary>
    /// The number of a space by the name that a request gives. A page knows the number of each row's space and does not ask here: the caller may see an object
    /// without its space.
    /// </summary>
    /// <param name="changes">Whether something is to be changed or made there: an attempt on a space that the caller may not see is in the audit.</param>
    /// <exception cref="Refusal">There is none, or none that the caller may see.</exception>
    public long SpaceOf(string? name, bool changes = false)
    {
        if (name is null) return Resource.DefaultSpace;
        var found = Rules.Spaces.Values.FirstOrDefault(space => string.Equals(space.Name, name.Trim(), StringComparison.OrdinalIgnoreCase));
        if (found is not null && SeesSpace(found.SpaceId)) return found.SpaceId;
        var absent = Refusal.NotFound($"空间 {name} 不存在", $"There is no space {name}");
        throw found is not null && changes ? absent.AsHidden() : absent;
    }

    /// <summary>The name of a space; empty where it is gone.</summary>
    public string NameOf(long space) => Rules.Spaces.TryGetValue(space, out var found) ? found.Name : "";

    /// <summary>
    /// Whether the caller may know of the space: by a role on it, by the default role, or by a list of operators. A role on one object in it is not enough: the
    /// rules do not know where objects are.
    /// </summary>
    public bool SeesSpace(long space)
    {
        var id = space.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return Rules.Decide(caller, Verbs.See, new Resource(ResourceKind.Space, id, space), Now).IsAllowed
            || Rules.Operators.Any(list => space == Resource.DefaultSpace && list.Has(caller.Username));
    }

    private DateTime Now => time.GetUtcNow().UtcDateTime;
}

/// <summary>Registers what decides.</summary>
public static class AccessRegistration
{
    public static IServiceCollection AddAccess(this IServiceCollection services) =>
        services.AddAuthorization().AddSingleton<CurrentRules>().AddSingleton<IAuthorizationHandler, VerbHandler>().AddScoped<Access>();

    /// <summary>A setting that names operators of these kinds.</summary>
    public static IServiceCollection AddOperators(this IServiceCollection services, string setting, params string[] kinds) =>
        services.AddSingleton(provider => new OperatorList(
            setting,
            kinds,
            (SettingsBinding.List(provider.GetRequiredService<IConfiguration>(), setting) ?? []).ToHashSet(StringComparer.Ordinal)
        ));
}
