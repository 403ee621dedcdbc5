using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Codo.Platform.Ui;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Who may come in, and who has been here.</summary>
internal static class AccountsRoutes
{
    public static IServiceCollection AddAccounts(this IServiceCollection services) =>
        services
            .AddSettings<AuthSettings>("Codo:Auth")
            .AddSingleton<Passwords>()
            .AddSingleton<SignInLimit>()
            .AddSingleton<OneTimeCodes>()
            .AddSingleton<SecondFactorDemand>()
            .AddSingleton<Sessions>()
            .AddSingleton<AccessTokens>()
            .AddLoop<AccessTokens>("use of access tokens", TimeSpan.FromMinutes(1), (tokens, stopping) => tokens.Record(stopping))
            .AddSingleton(provider => new AuditReader(
                provider.GetRequiredService<NpgsqlDataSource>(),
                new SecretNames(SecretNames.Default),
                provider.GetRequiredService<Zone>()
            ))
            .AddSingleton<Revocations>()
            .AddSingleton<People>()
            .AddLoop<People>("people", TimeSpan.FromMinutes(1), (people, stopping) => people.Record(stopping), people => people.Wake)
            .AddSingleton<SeenSessions>()
            .AddLoop<SeenSessions>("sessions", TimeSpan.FromMinutes(1), (sessions, stopping) => sessions.Record(stopping), sessions => sessions.Wake)
            .AddSingleton<EndedRevocations>()
            .AddLoop<EndedRevocations>("ended revocations", TimeSpan.FromHours(1), (ended, stopping) => ended.Drop(stopping))
            .AddSingleton(provider => new ControlWake(provider.GetRequiredService<Revocations>().Announced))
            .AddSingleton(provider => new WatchedState(Revocations.VersionSql, provider.GetRequiredService<Revocations>().Announced.Set))
            .AddPoll<Revocations>(
                "revoked tokens",
                TimeSpan.FromSeconds(1),
                TimeSpan.FromSeconds(30),
                (revocations, stopping) => revocations.Refresh(stopping),
                revocations => revocations.Announced
            );

    public static void MapAccounts(this IEndpointRouteBuilder routes)
    {
        routes
            .Post<SignIn.Command, SignIn.Result>("/v2/accounts/login/", "Sign in with a password", Right.Anybody)
            .WithMetadata(new FromOwnPages());
        routes.Post<SignOut.Command, Answer>("/v2/accounts/logout/", "End the sign-in of this request", Right.Token);
        routes.Post<ChangePassword.Command, ChangePassword.Result>("/v2/accounts/password/", "Change the password of one's own account", Right.Token);
        routes.Post<SetUpOtp.Command, SetUpOtp.Result>("/v2/accounts/otp/", "Begin a second factor: answers the key for an authenticator", Right.Token);
        routes.Put<ConfirmOtp.Command, Answer>("/v2/accounts/otp/", "Confirm the second factor with a first code", Right.Token);
        routes.Delete<DropOtp.Command, Answer>("/v2/accounts/otp/", "Take the second factor away", Right.Token);
        routes.Post<CreateAccessToken.Command, CreateAccessToken.Result>("/v2/accounts/token/", "Make an access token for a program", Right.Token);
        routes.Get<ListAccessTokens.Query, ListAccessTokens.Result>("/v2/accounts/token/", "One's own access tokens", Right.Own(Verbs.See));
        routes.Delete<RevokeAccessToken.Command, Answer>("/v2/accounts/token/", "End an access token", Right.Token);
        routes.Post<ApproveTerminal.Command, ApproveTerminal.Result>("/v2/accounts/terminal/", "Let a terminal on this machine sign in", Right.Token);
        routes.Post<FinishTerminal.Command, FinishTerminal.Result>(
            "/v2/accounts/terminal/token/",
            "Finish a sign-in of a terminal: the grant and the verifier for a token",
            Right.Anybody
        );
        routes.Get<ListSessions.Query, ListSessions.Result>("/v2/accounts/session/", "One's own sign-ins that are good", Right.Own(Verbs.See));
        routes.Delete<EndSessions.Command, Answer>("/v2/accounts/session/", "End a sign-in, or all of one's own but this one", Right.Token);
        routes.MapOidc();
        routes.Get<GetMe.Query, GetMe.Result>("/v2/accounts/me/", "Who the caller is", Right.Token);
        routes.Get<ListPeople.Query, ListPeople.Result>("/v2/accounts/person/", "The people that Codo knows, by name", Right.Own(Verbs.See));
        routes.Patch<DisablePerson.Command, Answer>("/v2/accounts/person/", "Shut a person out, or let the person in again", Right.Superuser);
        routes.Get<ListAudit.Query, ListAudit.Result>("/v2/accounts/audit/", "Who did what, newest first", Right.Superuser);
        routes
            .MapGet("/v2/accounts/audit/export/", (Delegate)ExportAudit.Handle)
            .WithSummary("The audit as JSON lines, newest first")
            .WithDescription("The filters of the list. One object a line, as the list answers it; the answer is streamed.")
            .Needs(Right.Superuser)
            .WithMetadata(new TakesQuery("who", "kind", "object", "action", "result", "from", "to", "after") { Where = "export" });
        routes.Post<RevokeTokens.Command, Answer>(
            "/v2/accounts/revoke/",
            "Take tokens back before they expire: one by its jti, or all that a person has had so far",
            Right.Superuser
        );
        routes.MapPage<PeoplePage>("/people/");
        routes.MapPage<SessionsPage>("/people/{user_id}/sessions/", Right.Superuser);
        routes.MapPage<AccountPage>("/account/", Right.Token);
        routes.MapPage<TerminalPage>("/account/terminal/", Right.Token);
        routes.MapPage<AuditPage>("/audit/", Right.Superuser);
    }
}
