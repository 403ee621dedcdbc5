using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Codo.Platform.Ui;

namespace Codo.Host.Accounts;

/// <summary>Who may do what.</summary>
internal static class RightsRoutes
{
    public static IServiceCollection AddRights(this IServiceCollection services) =>
        services
            .AddAccess()
            .AddSingleton<RulesReader>()
            .AddScoped<NamedObjects>()
            .AddSingleton(provider => new ControlWake(provider.GetRequiredService<RulesReader>().Announced))
            .AddSingleton(provider => new WatchedState(RulesReader.VersionSql, provider.GetRequiredService<RulesReader>().Announced.Set))
            .AddPoll<RulesReader>(
                "rights",
                TimeSpan.FromSeconds(1),
                TimeSpan.FromSeconds(30),
                (rules, stopping) => rules.Refresh(stopping),
                rules => rules.Announced
            );

    public static void MapRights(this IEndpointRouteBuilder routes)
    {
        Right see = Right.Own(Verbs.See),
            admin = Right.Own(Verbs.Admin);
        routes.Get<ListSpaces.Query, ListSpaces.Result>(
            "/v2/accounts/space/",
            "Spaces, and what the caller may do in each; with space_id what lies in one",
            see
        );
        routes.Post<CreateSpace.Command, CreateSpace.Result>("/v2/accounts/space/", "Make a space", Right.Superuser);
        routes.Put<EditSpace.Command, Answer>("/v2/accounts/space/", "Change a space", Right.To(Verbs.Admin, ResourceKind.Space));
        routes.Delete<DeleteSpace.Command, Answer>("/v2/accounts/space/", "Delete a space in which nothing is any more", Right.Superuser);
        routes.Get<ListTeams.Query, ListTeams.Result>("/v2/accounts/team/", "Teams; with team_id the people of one", see);
        routes.Post<CreateTeam.Command, CreateTeam.Result>("/v2/accounts/team/", "Make a team", Right.Superuser);
        routes.Put<EditTeam.Command, Answer>("/v2/accounts/team/", "Change a team", Right.Superuser);
        routes.Delete<DeleteTeam.Command, Answer>("/v2/accounts/team/", "Delete a team with its grants", Right.Superuser);
        routes.Post<ChangeMember.Add, Answer>("/v2/accounts/team/member/", "Put a person into a team", Right.Superuser);
        routes.Delete<ChangeMember.Remove, Answer>("/v2/accounts/team/member/", "Take a person out of a team", Right.Superuser);
        routes.Get<ListGrants.Query, ListGrants.Result>("/v2/accounts/grant/", "Grants: one's own, and those on what one is admin of", see);
        routes.Post<CreateGrant.Command, CreateGrant.Result>("/v2/accounts/grant/", "Give a person or a team a role", admin);
        routes.Put<EditGrant.Command, Answer>("/v2/accounts/grant/", "Change a grant's role, or when it ends", admin);
        routes.Delete<DeleteGrant.Command, Answer>("/v2/accounts/grant/", "Take a grant back", admin);
        routes.Get<Explain.Query, Explain.Result>("/v2/accounts/explain/", "Whether a person may, by what, or what is missing and who can grant it", see);
        routes.Get<ListVerbs.Query, ListVerbs.Result>("/v2/accounts/may/", "What the caller may do to an object", see);
        routes.MapPage<TeamsPage>("/people/teams/");
        routes.MapPage<SpacesPage>("/people/spaces/");
        routes.MapPage<GrantsPage>("/people/grants/");
        routes.MapPage<ExplainPage>("/people/explain/");
    }
}
