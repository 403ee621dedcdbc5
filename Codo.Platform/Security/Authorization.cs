using System.Security.Claims;
using Codo.Platform.Http;
using Microsoft.AspNetCore.Authorization;

namespace Codo.Platform.Security;

/// <summary>The newest rules, which the host reads from the database and whoever decides asks.</summary>
public sealed class CurrentRules
{
    private volatile AccessRules rules = AccessRules.Closed;

    public AccessRules Rules => rules;

    /// <summary>Raised after other rules have come: what is open for longer than a request looks again.</summary>
    public event Action? Changed;

    public void Replace(AccessRules other)
    {
        rules = other;
        Changed?.Invoke();
    }
}

/// <summary>A caller as ASP.NET Core's authorization knows people.</summary>
public sealed class CallerIdentity(Caller caller) : ClaimsIdentity("codo")
{
    public Caller Caller { get; } = caller;

    public static ClaimsPrincipal Principal(Caller caller) => new(new CallerIdentity(caller));
}

/// <summary>A verb, asked of an object: the requirement of ASP.NET Core's authorization.</summary>
public sealed class VerbRequirement : IAuthorizationRequirement
{
    private static readonly Dictionary<Verbs, VerbRequirement[]> All = Roles.Words.Values.ToDictionary(
        verb => verb,
        verb => new[] { new VerbRequirement(verb) }
    );

    private VerbRequirement(Verbs verb) => Verb = verb;

    public Verbs Verb { get; }

    public static IEnumerable<IAuthorizationRequirement> Of(Verbs verb) => All[verb];
}

/// <summary>Decides by <see cref="AccessRules"/>, with the object as resource.</summary>
internal sealed class VerbHandler(CurrentRules current, TimeProvider time) : AuthorizationHandler<VerbRequirement, Resource>
{
    protected override Task HandleRequirementAsync(AuthorizationHandlerContext context, VerbRequirement requirement, Resource resource)
    {
        if (
            context.User.Identity is CallerIdentity { Caller: var caller }
            && current.Rules.Decide(caller, requirement.Verb, resource, time.GetUtcNow().UtcDateTime).IsAllowed
        )
            context.Succeed(requirement);
        return Task.CompletedTask;
    }
}
