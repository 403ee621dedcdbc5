using Codo.Platform.Localization;
using Codo.Platform.Security;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Platform.Http;

/// <summary>
/// What a route asks of its caller: a verb on some kind of object. The gate refuses whoever has the verb on nothing of the kind; the slice decides about the
/// object itself. Every route names its own.
/// </summary>
/// <param name="Name">How the right is called in the API's description.</param>
/// <param name="Verb">The verb; <see cref="Verbs.None"/> where no role is asked for.</param>
/// <param name="Kind">One of <see cref="ResourceKind"/>; empty where it is about no object.</param>
/// <param name="Makes">Whether it is about what is to be made.</param>
public sealed record Right(string Name, Verbs Verb, string Kind, bool Makes = false)
{
    /// <summary>Any valid token: what is about the caller alone, or about nothing that belongs to anybody.</summary>
    public static readonly Right Token = new("token", Verbs.None, "");

    /// <summary>No token at all. To be used for what a probe or a newcomer's browser asks.</summary>
    public static readonly Right Anybody = new("anybody", Verbs.None, "");

    /// <summary>Any valid token whose scope has the verb: what is the caller's own, where the slice decides by the row alone.</summary>
    public static Right Own(Verbs verb) => new($"token with {Roles.WordsOf(verb).First()}", verb, "");

    /// <summary>A token with <c>is_superuser</c>, whose scope has <c>admin</c>.</summary>
    public static readonly Right Superuser = new("superuser", Verbs.Admin, "");

    /// <summary>The verb on an object of the kind.</summary>
    public static Right To(Verbs verb, string kind) => new($"{Roles.WordsOf(verb).First()} on {kind}", verb, kind);

    /// <summary>To make one of the kind in some space.</summary>
    public static Right ToMake(string kind) => new($"edit in a space, for a new {kind}", Verbs.Edit, kind, Makes: true);

    private Text Word => Roles.NameOfVerb(Roles.WordsOf(Verb).First());

    /// <summary>Whether the caller may go on to the slice.</summary>
    public bool Holds(Caller caller, IServiceProvider services)
    {
        if (this == Token || this == Anybody) return true;
        if ((caller.Scope & Verb) != Verb) return false;
        if (this == Superuser) return caller.IsSuperuser;
        // What the caller sees of them, lists decide. An object may itself name those who may: a template its users, an order its people.
        if (Verb == Verbs.See || Kind.Length == 0 || Kind == ResourceKind.Order || (Kind == ResourceKind.Template && !Makes)) return true;
        return services
            .GetRequiredService<CurrentRules>()
            .Rules.Anywhere(caller, Verb, Kind, Makes, services.GetRequiredService<TimeProvider>().GetUtcNow().UtcDateTime);
    }

    /// <summary>What is missing where <see cref="Holds"/> refuses, and who can grant it.</summary>
    public Text Missing(Caller caller, IServiceProvider services)
    {
        if ((caller.Scope & Verb) != Verb)
            return new Text($"令牌的权限范围不含 {Word.Zh}", $"The token's scope does not have {Word.En}");
        if (this == Superuser) return new Text("需要超级用户", "This needs a superuser");
        var (roles, kind) = (Roles.AnyOf(Roles.With(Verb)), ResourceKind.NameOf(Kind));
        if (!Makes && Kind != ResourceKind.Library)
            return new Text(
                $"需要某个{kind.Zh} 的权限“{Word.Zh}”（角色：{roles.Zh}）；可由其空间的管理员或超级用户授予",
                $"This needs {Word.En} on some {kind.En} (role {roles.En}); an admin of its space or a superuser can grant it"
            );
        return Explanation.Missing(
            services.GetRequiredService<CurrentRules>().Rules,
            caller,
            Verb,
            Resource.New(Kind),
            services.GetRequiredService<TimeProvider>().GetUtcNow().UtcDateTime
        );
    }
}
