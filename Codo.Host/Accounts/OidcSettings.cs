using System.ComponentModel.DataAnnotations;

namespace Codo.Host.Accounts;

/// <summary>The section <c>Codo:Auth:Oidc</c>: sign-in with an OpenID provider, where <see cref="Authority"/> names one.</summary>
internal sealed class OidcSettings : IValidatableObject
{
    public const string Section = "Codo:Auth:Oidc";

    /// <summary>The provider's address, under which <c>/.well-known/openid-configuration</c> is.</summary>
    public string Authority { get; set; } = "";

    public string ClientId { get; set; } = "";

    public string ClientSecret { get; set; } = "";

    /// <summary>What the button says.</summary>
    public string Name { get; set; } = "OpenID Connect";

    /// <summary>What is asked for beside <c>openid</c>, with blanks between.</summary>
    public string Scopes { get; set; } = "profile email";

    public string UsernameClaim { get; set; } = "preferred_username";

    public string NicknameClaim { get; set; } = "name";

    public string EmailClaim { get; set; } = "email";

    public string GroupsClaim { get; set; } = "groups";

    /// <summary>The team of each group. Members come and go with each sign-in.</summary>
    public Dictionary<string, string> Groups { get; set; } = [];

    /// <summary>The group whose members are superusers; empty: nobody who comes this way is.</summary>
    public string SuperuserGroup { get; set; } = "";

    public bool IsSet => Authority.Length > 0;

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (!IsSet) yield break;
        if (!Uri.TryCreate(Authority, UriKind.Absolute, out var address) || !(address.Scheme == "https" || (address.Scheme == "http" && address.IsLoopback)))
            yield return new ValidationResult("It must be an https address (http on loopback alone).", [nameof(Authority)]);
        if (ClientId.Length == 0) yield return new ValidationResult("It must be set where Authority is.", [nameof(ClientId)]);
    }
}
