using System.Net;
using System.Security.Claims;
using Microsoft.AspNetCore;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OpenIddict.Abstractions;
using OpenIddict.Server;
using OpenIddict.Server.AspNetCore;
using static OpenIddict.Abstractions.OpenIddictConstants;

namespace Codo.Tests.Support;

/// <summary>A real OpenID provider in this process: OpenIddict, with a page on which a person is chosen.</summary>
internal sealed class TestOidc : IAsyncDisposable
{
    public const string ClientId = "codo", ClientSecret = "the-secret-of-the-client";

    private readonly WebApplication app;

    private TestOidc(WebApplication app) => this.app = app;

    /// <summary>By the name on the button.</summary>
    public Dictionary<string, Person> People { get; } = [];

    public string Address => app.Urls.First().TrimEnd('/') + "/";

    public static async Task<TestOidc> Start()
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Testing" });
        builder.Configuration.Sources.Clear();
        builder.Configuration.AddInMemoryCollection();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder
            .Services.AddOpenIddict()
            .AddServer(options =>
            {
                options.SetAuthorizationEndpointUris("connect/authorize").SetTokenEndpointUris("connect/token");
                options.AllowAuthorizationCodeFlow().RequireProofKeyForCodeExchange();
                options.RegisterScopes(Scopes.Profile, Scopes.Email);
                options.AddEphemeralEncryptionKey().AddEphemeralSigningKey();
                options.EnableDegradedMode();
                options.UseAspNetCore().EnableAuthorizationEndpointPassthrough().DisableTransportSecurityRequirement();
                options.AddEventHandler<OpenIddictServerEvents.ValidateAuthorizationRequestContext>(handler =>
                    handler.UseInlineHandler(context =>
                    {
                        if (context.ClientId != ClientId || context.RedirectUri?.EndsWith("/sign-in/oidc/callback", StringComparison.Ordinal) != true)
                            context.Reject(Errors.InvalidClient);
                        return default;
                    })
                );
                options.AddEventHandler<OpenIddictServerEvents.ValidateTokenRequestContext>(handler =>
                    handler.UseInlineHandler(context =>
                    {
                        if (context.ClientId != ClientId || context.ClientSecret != ClientSecret) context.Reject(Errors.InvalidClient);
                        return default;
                    })
                );
            });
        var app = builder.Build();
        var provider = new TestOidc(app);
        app.UseAuthentication();
        app.MapMethods("/connect/authorize", ["GET", "POST"], provider.Authorize);
        await app.StartAsync();
        // Its first answers take their time on a busy machine, and whoever asks has a limit.
        using var http = new HttpClient { BaseAddress = new Uri(provider.Address) };
        foreach (var path in new[] { ".well-known/openid-configuration", ".well-known/jwks" }) (await http.GetAsync(path)).EnsureSuccessStatusCode().Dispose();
        return provider;
    }

    public async ValueTask DisposeAsync()
    {
        await app.StopAsync();
        await app.DisposeAsync();
    }

    private IResult Authorize(HttpContext context)
    {
        var request = context.GetOpenIddictServerRequest()!;
        if (!context.Request.HasFormContentType || !People.TryGetValue(context.Request.Form["person"].ToString(), out var person))
        {
            var kept = string.Concat(
                context.Request.Query.Select(one => $"<input type=hidden name=\"{one.Key}\" value=\"{WebUtility.HtmlEncode(one.Value)}\">")
            );
            var buttons = string.Concat(People.Keys.Select(name => $"<button name=person value=\"{name}\">{name}</button>"));
            return Results.Content($"<!doctype html><title>Provider</title><form method=post>{kept}{buttons}</form>", "text/html");
        }

        var identity = new ClaimsIdentity("test", Claims.Name, Claims.Role);
        identity.AddClaim(Claims.Subject, person.Subject).AddClaim(Claims.PreferredUsername, person.Username).AddClaim(Claims.Name, person.Name);
        identity.AddClaim(Claims.Email, $"{person.Username}@example.test");
        foreach (var group in person.Groups) identity.AddClaim(new Claim("groups", group));
        foreach (var claim in identity.Claims) claim.SetDestinations(Destinations.IdentityToken);
        var principal = new ClaimsPrincipal(identity);
        principal.SetScopes(request.GetScopes());
        return Results.SignIn(principal, null, OpenIddictServerAspNetCoreDefaults.AuthenticationScheme);
    }

    public sealed record Person(string Subject, string Username, string Name, params string[] Groups);
}
