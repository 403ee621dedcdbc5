using Codo.Platform.Cluster;
using Codo.Platform.Http;

namespace Codo.Host.Accounts;

/// <summary>Who may come in.</summary>
internal static class AccountsRoutes
{
    public static IServiceCollection AddAccounts(this IServiceCollection services) =>
        services
            .AddSingleton<Revocations>()
            .AddSingleton(provider => new ControlWake(provider.GetRequiredService<Revocations>().Announced))
            .AddLoop<Revocations>(
                "revoked tokens",
                TimeSpan.FromSeconds(1),
                (revocations, stopping) => revocations.Refresh(stopping),
                revocations => revocations.Announced
            );

    public static void MapAccounts(this IEndpointRouteBuilder routes) =>
        routes.Post<RevokeTokens.Command, Answer>(
            "/v2/accounts/revoke/",
            "Take tokens back before they expire: one by its jti, or all that a person has had so far",
            Right.Superuser
        );
}
