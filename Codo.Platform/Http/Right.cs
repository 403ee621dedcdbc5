using Codo.Platform.Data;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Platform.Http;

/// <summary>What a route asks of its caller beyond a valid token. What depends on the object is checked by the slice.</summary>
/// <param name="Name">How the right is called in the API's description.</param>
/// <param name="Holds">Whether the caller has it.</param>
public sealed record Right(string Name, Func<Caller, IServiceProvider, bool> Holds)
{
    /// <summary>Any valid token.</summary>
    public static readonly Right Token = new("token", (_, _) => true);

    /// <summary>No token at all. To be used for what a probe or a newcomer's browser asks.</summary>
    public static readonly Right Anybody = new("anybody", (_, _) => true);

    /// <summary>A token with <c>is_superuser</c>.</summary>
    public static readonly Right Superuser = new("superuser", (caller, _) => caller.IsSuperuser);

    /// <summary>A superuser, or a username that the list setting names; <c>*</c> in it is everyone with a token.</summary>
    public static Right OperatorOf(string setting) =>
        new($"superuser or {setting}", (caller, services) => IsOperator(caller, services.GetRequiredService<IConfiguration>(), setting));

    /// <summary>Whether the caller has the right of <see cref="OperatorOf"/>, for a slice of which only a part needs it.</summary>
    public static bool IsOperator(Caller caller, IConfiguration configuration, string setting) =>
        caller.IsSuperuser || Names(configuration, setting) is var names && (names.Contains("*") || names.Contains(caller.Username));

    /// <summary>The names that a list setting gives; <c>*</c> when it is not set.</summary>
    public static IReadOnlySet<string> Names(IConfiguration configuration, string setting) =>
        (SettingsBinding.List(configuration, setting) ?? ["*"]).ToHashSet(StringComparer.Ordinal);
}
