using Codo.Platform.Cluster;
using Codo.Platform.Http;

namespace Codo.Host.Accounts;

/// <summary>Who may come in, and who has been here.</summary>
internal static class AccountsRoutes
{
    public static IServiceCollection AddAccounts(this IServiceCollection services) =>
        services
            .AddSingleton<Revocations>()
            .AddSingleton<People>()
            .AddLoop<People>("people", TimeSpan.FromMinutes(1), (people, stopping) => people.Record(stopping), people => people.Wake)
            .AddSingleton(provider => new ControlWake(provider.GetRequiredService<Revocations>().Announced))
            .AddLoop<Revocations>(
                "revoked tokens",
                TimeSpan.FromSeconds(1),
                (revocations, stopping) => revocations.Refresh(stopping),
                revocations => revocations.Announced
            );

    public static void MapAccounts(this IEndpointRouteBuilder routes)
    {
        routes.Get<GetMe.Query, GetMe.Result>("/v2/accounts/me/", "Who the caller is");
        routes.Get<ListPeople.Query, ListPeople.Result>("/v2/accounts/person/", "The people that Codo knows, by name");
        routes.Patch<DisablePerson.Command, Answer>("/v2/accounts/person/", "Shut a person out, or let the person in again", Right.Superuser);
        routes.Post<RevokeTokens.Command, Answer>(
            "/v2/accounts/revoke/",
            "Take tokens back before they expire: one by its jti, or all that a person has had so far",
            Right.Superuser
        );
    }
}
