using System.Net;
using System.Text.Json.Nodes;
using Codo.Host.Accounts;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Host.Accounts;

/// <summary>Tokens that people make for programs: a part of what their owner may, for a time, from some places, and gone at once when revoked.</summary>
public sealed class AccessTokensTests(AccountsHost fixture) : IClassFixture<AccountsHost>
{
    private static readonly string[] All = ["see", "run", "edit", "approve", "admin"];

    private readonly TestHost host = fixture.Host;
    private int seconds;

    [Fact]
    public async Task Is_shown_once_and_taken_wherever_any_token_is()
    {
        await using var other = await host.Again();
        var owner = TestTokens.For(2001, "maker", superuser: true);
        var made = await Make(owner, All);
        var token = (string)made["token"]!;
        token.ShouldMatch("^codo_[a-z2-7]{32}$");
        // The other node has not been told yet, perhaps: it looks.
        (await other.Reason(token)).ShouldBeNull();
        foreach (var (name, value) in new[] { ("auth-key", token), ("Authorization", $"Bearer {token}"), ("Cookie", $"codo_auth={token}") })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/v2/accounts/me/");
            request.Headers.TryAddWithoutValidation(name, value);
            using var response = await host.Http.SendAsync(request);
            (await response.Content.ReadAsStringAsync()).ShouldContain("\"username\":\"maker\"");
        }
        var row = (await host.Get("/v2/accounts/token/", owner))["data"]!.AsArray().Single()!;
        ((string)row["name"]!, (string)row["hint"]!, (long)row["token_id"]!).ShouldBe(("ci", token[^4..], (long)made["token_id"]!));
        row.ToJsonString().ShouldNotContain(token);
        // Nowhere but with its owner.
        foreach (var table in new[] { "accounts.access_token", "platform.audit" })
            (await host.Count($"SELECT count(*) FROM {table} t WHERE t::text LIKE '%{token[5..]}%'")).ShouldBe(0, table);
        (await host.Ask<string>("SELECT after->>'name' FROM platform.audit WHERE kind = 'access_token' AND action = 'create' AND user_id = 2001"))
            .ShouldBe("ci");
    }

    [Fact]
    public async Task Does_no_more_than_its_scopes_and_no_more_than_its_owner()
    {
        var (chief, worker) = (TestTokens.For(2002, "chief", superuser: true), TestTokens.For(2003, "worker"));
        var (sees, does, all) = (await Token(chief, "see"), await Token(worker, All), await Token(chief, All));
        (await host.Get("/v1/cron/job/", sees)).Code().ShouldBe(0);
        (await host.Post("/v1/cron/job/", Job("scope-see"), sees)).Code().ShouldNotBe(0);
        (await host.Get("/v2/outbox/", sees)).Code().ShouldNotBe(0, "a superuser's without admin is no superuser's");
        (await host.Get("/v2/outbox/", does)).Code().ShouldNotBe(0, "nor is one whose owner is none");
        (await host.Post("/v1/cron/job/", Job("scope-all"), all)).Code().ShouldBe(0);
        (await host.Get("/v2/outbox/", all)).Code().ShouldBe(0);
        // It makes no other one, and changes no account.
        (await host.Post("/v2/accounts/token/", Wanted(All), all)).Code().ShouldBe(-2);
        (await host.Post("/v2/accounts/password/", new { password = "x", new_password = "a much better one" }, all)).Code().ShouldBe(-2);
        // Its owner is a superuser no more.
        var payload = TestTokens.Payload(2002, "chief");
        payload["iat"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        await host.Get("/v2/accounts/me/", TestTokens.Sign(payload));
        await Eventually.True(async () => (await host.Get("/v2/outbox/", all)).Code() != 0, "the token is no superuser's either");
        await host.Delete("/v1/cron/job/", new { job_id = "scope-all" });
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_token_that_is_no_superusers_makes_none_of_its_person_who_is_or_was_or_becomes_one(bool hasAccount)
    {
        var name = hasAccount ? "lesser" : "lesser-without";
        var id = Codo.Host.Commands.IssueToken.UserId(name);
        if (hasAccount) await host.Account(name, superuser: true);
        else await host.Get("/v2/accounts/me/", Signed(superuser: true));
        var (verifier, token) = (TerminalChallenge.NewVerifier(), Signed(superuser: false));
        var made = new List<string> { await Token(token, All) };
        var terminal = new { challenge = TerminalChallenge.Of(verifier), name = "codo", scopes = All, days = 1 };
        var grant = (string)(await host.Post("/v2/accounts/terminal/", terminal, token))["grant"]!;
        made.Add((string)(await host.Post("/v2/accounts/terminal/token/", new { grant, verifier }))["token"]!);
        var chiefs = await Token(hasAccount ? await host.Token(name) : Signed(superuser: true), All);
        (await host.Ask<bool>($"SELECT is_superuser FROM accounts.person WHERE user_id = {id}")).ShouldBeTrue("the person is one again");
        (await host.Get("/v2/outbox/", chiefs)).Code().ShouldBe(0, "a superuser's sign-in makes a superuser's");
        foreach (var one in made)
        {
            (await host.Get("/v1/cron/job/", one)).Code().ShouldBe(0);
            (await host.Get("/v2/outbox/", one)).Code().ShouldBe(-2);
        }

        // As `codo token --user NAME` signs it with and without --superuser, each a second later than the one before: the newest says what the person is.
        string Signed(bool superuser)
        {
            var payload = TestTokens.Payload(id, name, superuser: superuser);
            payload["iat"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 100 + seconds++;
            return TestTokens.Sign(payload);
        }
    }

    [Fact]
    public async Task Comes_from_its_networks_alone()
    {
        var token = (string)(await Make(TestTokens.For(2004, "netted"), ["see"], networks: ["10.1.0.0/16", "203.0.113.7", "2001:db8::/32"]))["token"]!;
        foreach (var (address, reason) in new[]
        {
            ("10.1.2.3", null),
            ("203.0.113.7", null),
            ("2001:db8::5", null),
            ("10.2.0.1", "network"),
            ("203.0.113.8", "network"),
            ("2001:db9::5", "network"),
        })
            (await host.Reason(token, address)).ShouldBe(reason, address);
    }

    [Fact]
    public async Task A_revoked_one_is_refused_on_every_node_and_what_it_holds_open_ends()
    {
        await using var other = await host.Again();
        var owner = TestTokens.For(2005, "revoker", superuser: true);
        var (made, kept) = (await Make(owner, All), await Token(owner, All));
        var token = (string)made["token"]!;
        (await other.Reason(token)).ShouldBeNull();
        using var open = await other.Http.SendAsync(
            TestHost.Request(HttpMethod.Get, "/v2/task/log/stream/?log_key=1_1_1_h", null, token),
            HttpCompletionOption.ResponseHeadersRead
        );
        open.StatusCode.ShouldBe(HttpStatusCode.OK);
        await using var stream = await open.Content.ReadAsStreamAsync();
        (await host.Delete("/v2/accounts/token/", new { token_id = (long)made["token_id"]! }, owner)).Code().ShouldBe(0);
        (await host.Reason(token)).ShouldBe("unknown");
        await StreamsEndTests.Read(stream).WaitAsync(TimeSpan.FromSeconds(60));
        await Eventually.True(async () => await other.Reason(token) == "unknown", "the other node knows");
        (await host.Reason(kept)).ShouldBeNull();
        (await host.Delete("/v2/accounts/token/", new { token_id = (long)made["token_id"]! }, owner)).Code().ShouldBe(-1, "it is over");
    }

    [Fact]
    public async Task What_a_superusers_token_holds_open_ends_on_every_node_when_its_owner_is_none_any_more()
    {
        await using var other = await host.Again();
        var (left, stays) = (
            await Token(TestTokens.For(2010, "demoted", superuser: true), All),
            await Token(TestTokens.For(2011, "remains", superuser: true), All)
        );
        (await other.Reason(left)).ShouldBeNull();
        (await other.Reason(stays)).ShouldBeNull();
        using var open = await Open(left);
        using var kept = await Open(stays);
        await using var stream = await open.Content.ReadAsStreamAsync();
        await using var keptStream = await kept.Content.ReadAsStreamAsync();
        var (ended, keptEnded) = (StreamsEndTests.Read(stream), StreamsEndTests.Read(keptStream));
        // A newer token of codo-admin says that the person is no superuser.
        var payload = TestTokens.Payload(2010, "demoted");
        payload["iat"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        await host.Get("/v2/accounts/me/", TestTokens.Sign(payload));
        await ended.WaitAsync(TimeSpan.FromSeconds(60));
        keptEnded.IsCompleted.ShouldBeFalse("its owner is a superuser still");
        (await host.Reason(left)).ShouldBeNull("the token is good for what its owner may do now");

        async Task<HttpResponseMessage> Open(string token)
        {
            using var request = TestHost.Request(HttpMethod.Get, "/v2/stream/?topics=jobs", null, token);
            var response = await other.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
            response.StatusCode.ShouldBe(HttpStatusCode.OK);
            return response;
        }
    }

    [Fact]
    public async Task Ends_with_its_owner_but_not_with_the_owners_password()
    {
        await host.Account("owner");
        var session = await host.Token("owner");
        var (token, ahead) = (await Token(session, "see"), await Make(session, ["see"]));
        // Made while the database's clock was ahead.
        await host.Ask<int>(
            "UPDATE accounts.access_token SET created_at = clock_timestamp() + interval '1 hour' WHERE token_id = @Id RETURNING 1",
            new { Id = (long)ahead["token_id"]! }
        );
        var id = Codo.Host.Commands.IssueToken.UserId("owner");
        (await host.Post("/v2/accounts/password/", new { password = AccountsClient.Password, new_password = "a much better one" }, session))
            .Code()
            .ShouldBe(0);
        (await host.Reason(token)).ShouldBeNull("programs go on when a person changes the password");
        (await host.Patch("/v2/accounts/person/", new { user_id = id, disabled = true })).Code().ShouldBe(0);
        (await host.Reason(token)).ShouldBeOneOf("disabled", "unknown");
        (await host.Patch("/v2/accounts/person/", new { user_id = id, disabled = false })).Code().ShouldBe(0);
        foreach (var one in new[] { token, (string)ahead["token"]! }) (await host.Reason(one)).ShouldBeNull();
        (await host.Post("/v2/accounts/revoke/", new { user_id = id })).Code().ShouldBe(0);
        foreach (var one in new[] { token, (string)ahead["token"]! }) (await host.Reason(one)).ShouldBe("unknown", "all that the person has had so far");
        var rows = (await host.Get($"/v2/accounts/token/?user_id={id}"))["data"]!.AsArray();
        rows.Count.ShouldBe(2);
        rows.ShouldAllBe(row => row!["revoked"] != null);
        (await host.Reason(await Token(await host.Token("owner", "a much better one"), "see"))).ShouldBeNull();
    }

    [Fact]
    public async Task An_expired_one_is_refused_and_none_is_for_ever()
    {
        var owner = TestTokens.For(2006, "brief");
        var made = await Make(owner, ["see"]);
        await host.Ask<int>(
            "UPDATE accounts.access_token SET expires_at = clock_timestamp() - interval '1 second' WHERE token_id = @Id RETURNING 1",
            new { Id = (long)made["token_id"]! }
        );
        // What is in memory still has the old end; whoever reads anew does not take it.
        await using var late = await host.Again();
        (await late.Reason((string)made["token"]!)).ShouldBe("unknown");
        foreach (var days in new[] { "0", "367", "null", "-1" })
            (await host.Post("/v2/accounts/token/", $$"""{"name": "x", "scopes": ["see"], "days": {{days}}}""", owner)).Code().ShouldBe(-1, days);
        foreach (var body in (string[])
        [
            """{"name": "x", "scopes": [], "days": 1}""",
            """{"name": "x", "scopes": ["root"], "days": 1}""",
            """{"name": "x", "scopes": [null], "days": 1}""",
            """{"name": "", "scopes": ["see"], "days": 1}""",
            """{"name": "x", "scopes": ["see"], "days": 1, "networks": ["everywhere"]}""",
            """{"name": "x", "scopes": ["see"], "days": 1, "networks": [null]}""",
        ])
            (await host.Send(HttpMethod.Post, "/v2/accounts/token/", body, owner)).Code().ShouldBe(-1, body);
    }

    [Fact]
    public async Task Others_see_and_end_none_of_mine_and_a_person_has_a_hundred()
    {
        var (mine, eve) = (TestTokens.For(2007, "mine"), TestTokens.For(2008, "eve"));
        var made = await Make(mine, ["see"]);
        (await host.Get("/v2/accounts/token/?user_id=2007", eve)).Code().ShouldBe(-2);
        (await host.Delete("/v2/accounts/token/", new { token_id = (long)made["token_id"]! }, eve)).Code().ShouldBe(-1);
        (await host.Get("/v2/accounts/token/?user_id=2007"))["data"]!.AsArray().Count.ShouldBe(1);
        await host.Ask<long>(
            """
            WITH made AS (
                INSERT INTO accounts.access_token (user_id, name, digest, hint, scopes, expires_at)
                SELECT 2007, 'many', 'd' || n, '', '{see}', clock_timestamp() + interval '1 day' FROM generate_series(1, 99) n RETURNING 1)
            SELECT count(*) FROM made
            """
        );
        (await host.Post("/v2/accounts/token/", Wanted(["see"]), mine)).Code().ShouldBe(-1);
        (await host.Delete("/v2/accounts/token/", new { token_id = (long)made["token_id"]! })).Code().ShouldBe(0, "a superuser ends anybody's");
        (await host.Post("/v2/accounts/token/", Wanted(["see"]), mine)).Code().ShouldBe(0);
    }

    [Fact]
    public async Task Tells_when_and_from_where_it_was_last_used()
    {
        var owner = TestTokens.For(2009, "user");
        var made = await Make(owner, ["see"]);
        (await host.Reason((string)made["token"]!, "198.51.100.77")).ShouldBeNull();
        // The host writes them once a minute.
        await host.Services.GetRequiredService<AccessTokens>().Record(TestContext.Current.CancellationToken);
        var row = (await host.Get("/v2/accounts/token/", owner))["data"]![0]!;
        ((string?)row["last_used_from"], row["last_used"] is not null).ShouldBe(("198.51.100.77", true));
    }

    [Theory]
    [InlineData("codo_")]
    [InlineData("codo_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    [InlineData("codo_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [InlineData("codo_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    [InlineData("codo_' OR true --aaaaaaaaaaaaaaaaaaa")]
    public async Task One_that_nobody_made_is_refused(string token) => (await host.Reason(token)).ShouldBeOneOf("unknown", "malformed");

    private static object Wanted(string[] scopes, string[]? networks = null) =>
        new
        {
            name = "ci",
            scopes,
            days = 30,
            networks,
        };

    private static object Job(string id) =>
        new
        {
            job_id = id,
            cmd = "true",
            cron = CronClient.Never,
        };

    private async Task<JsonObject> Make(string owner, string[] scopes, string[]? networks = null)
    {
        var made = await host.Post("/v2/accounts/token/", Wanted(scopes, networks), owner);
        made.Code().ShouldBe(0, made.ToJsonString());
        return made;
    }

    private async Task<string> Token(string owner, params string[] scopes) => (string)(await Make(owner, scopes))["token"]!;
}
