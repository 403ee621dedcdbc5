using Codo.Host.Auth;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.OpenIdConnect;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;

namespace Codo.Host.Accounts;

/// <summary>
/// Sign-in with an OpenID provider: the code flow with PKCE, state and nonce, by ASP.NET Core's handler. It ends in a sign-in of Codo's own, and nothing of the
/// provider's is kept.
/// </summary>
internal static partial class OidcScheme
{
    private const string Name = "oidc", Start = "/sign-in/oidc/", Callback = "/sign-in/oidc/callback", Issuer = "codo.issuer";

    /// <summary>What the sign-in page says of a failure, by its word in the address.</summary>
    public const string Failed = "oidc", Away = "oidc_away", Disabled = "disabled";

    /// <summary>Where the button of the sign-in page leads.</summary>
    public static string AddressFor(string next) => $"{Start}?next={Uri.EscapeDataString(next)}";

    public static IServiceCollection AddOidc(this IServiceCollection services, IConfiguration configuration)
    {
        services.AddSettings<OidcSettings>(OidcSettings.Section).AddSingleton<OidcPeople>();
        // Pages need it as well, and nothing may write keys into the home of whoever started the host.
        services.AddDataProtection().SetApplicationName("codo");
        services
            .AddOptions<KeyManagementOptions>()
            .Configure<IServiceProvider>((options, provider) =>
            {
                options.XmlRepository = ActivatorUtilities.CreateInstance<ProtectionKeys>(provider);
                options.XmlEncryptor = ActivatorUtilities.CreateInstance<SealedXmlEncryptor>(provider);
            });
        var settings = SettingsBinding.Check<OidcSettings>(configuration, OidcSettings.Section);
        if (!settings.IsSet) return services;
        services.AddAuthentication().AddOpenIdConnect(Name, options => Configure(options, settings));
        return services;
    }

    public static void MapOidc(this IEndpointRouteBuilder routes)
    {
        if (!routes.ServiceProvider.GetRequiredService<OidcSettings>().IsSet) return;
        routes.MapGet(Start, Challenge).Needs(Right.Anybody).ExcludeFromDescription();
        routes.MapGet(Callback, Finish).Needs(Right.Anybody).ExcludeFromDescription();
    }

    private static void Configure(OpenIdConnectOptions options, OidcSettings settings)
    {
        options.Authority = settings.Authority;
        options.RequireHttpsMetadata = settings.Authority.StartsWith("https:", StringComparison.OrdinalIgnoreCase);
        options.ClientId = settings.ClientId;
        options.ClientSecret = settings.ClientSecret;
        options.ResponseType = OpenIdConnectResponseType.Code;
        // A redirect is a navigation, with which a browser sends cookies that are Lax; a form from another site is not.
        options.ResponseMode = OpenIdConnectResponseMode.Query;
        options.UsePkce = true;
        options.CallbackPath = Callback;
        // Nobody signs in to a scheme: the ticket becomes a session of ours.
        options.SignInScheme = "none";
        options.SaveTokens = false;
        options.MapInboundClaims = false;
        options.DisableTelemetry = true;
        options.GetClaimsFromUserInfoEndpoint = true;
        options.BackchannelTimeout = TimeSpan.FromSeconds(30);
        options.Scope.Clear();
        options.Scope.Add("openid");
        foreach (var scope in settings.Scopes.Split(' ', StringSplitOptions.RemoveEmptyEntries)) options.Scope.Add(scope);
        foreach (var claim in new[] { settings.UsernameClaim, settings.NicknameClaim, settings.EmailClaim, settings.GroupsClaim }.Distinct())
            options.ClaimActions.MapJsonKey(claim, claim);
        foreach (var cookie in new[] { options.CorrelationCookie, options.NonceCookie })
        {
            cookie.SameSite = SameSiteMode.Lax;
            cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
        }
        options.Events = new OpenIdConnectEvents
        {
            OnRedirectToIdentityProvider = SayWhereToComeBack,
            OnTokenValidated = context =>
            {
                context.Properties!.Items[Issuer] = context.SecurityToken.Issuer;
                return Task.CompletedTask;
            },
            OnTicketReceived = SignIn,
            OnRemoteFailure = context =>
            {
                context.HandleResponse();
                LogFailed(Log(context.HttpContext), context.Failure?.Message ?? "", context.HttpContext.Connection.RemoteIpAddress);
                // Any stranger can come here as often as they like.
                var address = context.HttpContext.Connection.RemoteIpAddress?.ToString() ?? "";
                context.HttpContext.RequestServices.GetRequiredService<RefusedAttempts>().SignInFailed("", address, "openid connect", "callback");
                Leave(context.HttpContext, Failed);
                return Task.CompletedTask;
            },
        };
    }

    private static async Task Challenge(HttpContext context)
    {
        var next = LocalPath.OrRoot(context.Request.Query["next"].ToString());
        try
        {
            await context.ChallengeAsync(Name, new AuthenticationProperties { RedirectUri = next });
        }
        // What the handler throws where the provider's description cannot be had.
        catch (Exception failure) when (failure is InvalidOperationException or HttpRequestException or IOException)
        {
            LogAway(Log(context), failure.Message);
            Leave(context, Away);
        }
    }

    private static async Task Finish(HttpContext context)
    {
        var handler = await context.RequestServices.GetRequiredService<IAuthenticationHandlerProvider>().GetHandlerAsync(context, Name);
        if (handler is not IAuthenticationRequestHandler callback || !await callback.HandleRequestAsync()) context.Response.StatusCode = 404;
    }

    // Behind a proxy that ends TLS and is no known one the request looks like http.
    private static Task SayWhereToComeBack(RedirectContext context)
    {
        var settings = context.HttpContext.RequestServices.GetRequiredService<NodeSettings>();
        if (
            Uri.TryCreate(settings.PublicUrl, UriKind.Absolute, out var url)
            && string.Equals(url.Host, context.Request.Host.Host, StringComparison.OrdinalIgnoreCase)
        )
            context.ProtocolMessage.RedirectUri = url.GetLeftPart(UriPartial.Authority) + Callback;
        return Task.CompletedTask;
    }

    private static async Task SignIn(TicketReceivedContext context)
    {
        context.HandleResponse();
        var people = context.HttpContext.RequestServices.GetRequiredService<OidcPeople>();
        var issuer = context.Properties!.Items[Issuer]!;
        if (await people.SignIn(context.HttpContext, context.Principal!, issuer))
            context.Response.Redirect(LocalPath.OrRoot(context.ReturnUri));
        else
            Leave(context.HttpContext, Disabled);
    }

    private static void Leave(HttpContext context, string why) => context.Response.Redirect($"/sign-in/?failed={why}");

    private static ILogger Log(HttpContext context) => context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("Codo.Auth");

    [LoggerMessage(LogLevel.Warning, "Sign-in by OpenID Connect refused: {Reason}, from {Address}")]
    private static partial void LogFailed(ILogger log, string reason, System.Net.IPAddress? address);

    [LoggerMessage(LogLevel.Warning, "The OpenID provider cannot be asked: {Reason}")]
    private static partial void LogAway(ILogger log, string reason);
}
