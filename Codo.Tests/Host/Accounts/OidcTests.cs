using System.Net;
using System.Text.RegularExpressions;
using Codo.Platform.Security;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Microsoft.Playwright;

namespace Codo.Tests.Host.Accounts;

public sealed class OidcFixture(TestPostgres postgres) : IAsyncLifetime
{
    internal TestHost Host { get; private set; } = null!;

    internal TestOidc Provider { get; private set; } = null!;

    internal (string, string)[] Settings =>
        [
            ("Codo:Auth:Oidc:Authority", Provider.Address),
            ("Codo:Auth:Oidc:ClientId", TestOidc.ClientId),
            ("Codo:Auth:Oidc:ClientSecret", TestOidc.ClientSecret),
            ("Codo:Auth:Oidc:Name", "Company"),
            ("Codo:Auth:Oidc:SuperuserGroup", "codo-admins"),
            ("Codo:Auth:Oidc:Groups:sre", "SRE"),
        ];

    public async ValueTask InitializeAsync()
    {
        Provider = await TestOidc.Start();
        Host = await TestHost.Start(postgres, null, Settings);
    }

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        await Provider.DisposeAsync();
    }
}

/// <summary>Sign-in with an OpenID provider, against a real one.</summary>
public sealed partial class OidcTests(OidcFixture fixture) : IClassFixture<OidcFixture>
{
    private readonly TestHost host = fixture.Host;
    private readonly TestOidc provider = fixture.Provider;

    [Fact]
    public async Task Somebody_in_a_browser_comes_back_signed_in_to_the_page_that_was_asked_for()
    {
        provider.People["Ann"] = new("subject-ann", "ann", "Ann Li", "codo-admins");
        using var playwright = await Playwright.CreateAsync();
        await using var browser = await playwright.Chromium.LaunchAsync(
            new BrowserTypeLaunchOptions
            {
                ExecutablePath = "/usr/bin/chromium",
                Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"],
            }
        );
        var page = await browser.NewPageAsync();
        var errors = new List<string>();
        page.Console += (_, message) =>
        {
            // The page that asks to sign in is a 401, and there is no icon: a browser mentions both.
            if (message.Type == "error" && !message.Text.StartsWith("Failed to load resource", StringComparison.Ordinal)) errors.Add(message.Text);
        };
        await page.GotoAsync(new Uri(host.Http.BaseAddress!, "/hangfire/executions#L3").ToString());
        if (Environment.GetEnvironmentVariable("CODO_TEST_SCREENSHOTS") is { } folder)
            await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(folder, "sign-in.png"), FullPage = true });
        await page.ClickAsync("text=Company");
        await page.ClickAsync("button:has-text('Ann')");
        await page.WaitForSelectorAsync("h1:has-text('Executions')");
        page.Url.ShouldEndWith("/hangfire/executions#L3");
        await page.GotoAsync(host.Http.BaseAddress!.ToString());
        (await page.InnerTextAsync("body")).ShouldContain("Ann Li");
        errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_subject_is_one_person_whose_names_and_mark_follow_the_claims()
    {
        provider.People["Bob"] = new("subject-bob", "bob", "Bob", "codo-admins");
        var first = await SignIn("Bob");
        var me = (await host.Get("/v2/accounts/me/", first))["data"]!;
        ((string)me["username"]!, (string)me["nickname"]!, (string)me["email"]!, (bool)me["is_superuser"]!).ShouldBe(("bob", "Bob", "bob@example.test", true));
        var id = (long)me["user_id"]!;
        id.ShouldBeGreaterThanOrEqualTo(1_000_000_000);
        (await host.Ask<string>("SELECT kind FROM accounts.person WHERE user_id = @id", new { id })).ShouldBe("oidc");

        provider.People["Bob"] = new("subject-bob", "robert", "Robert");
        var second = await SignIn("Bob");
        me = (await host.Get("/v2/accounts/me/", second))["data"]!;
        ((long)me["user_id"]!, (string)me["username"]!, (bool)me["is_superuser"]!).ShouldBe((id, "robert", false));
        (await host.Reason(first)).ShouldBe("revoked", "it says superuser, and Bob is none any more");
        (await host.Count($"SELECT count(*) FROM platform.audit WHERE action = 'sign_in' AND user_id = {id} AND after->>'how' = 'openid connect'")).ShouldBe(2);
    }

    [Fact]
    public async Task A_superuser_who_leaves_the_group_loses_the_streams_that_an_access_token_holds_open()
    {
        provider.People["Sue"] = new("subject-sue", "sue", "Sue", "codo-admins");
        var wanted = new { name = "ci", scopes = new[] { "see", "run", "edit", "approve", "admin" }, days = 1 };
        var made = await host.Post("/v2/accounts/token/", wanted, await SignIn("Sue"));
        made.Code().ShouldBe(0, made.ToJsonString());
        var token = (string)made["token"]!;
        using var request = TestHost.Request(HttpMethod.Get, "/v2/stream/?topics=jobs", null, token);
        using var open = await host.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        open.StatusCode.ShouldBe(HttpStatusCode.OK);
        await using var stream = await open.Content.ReadAsStreamAsync();

        provider.People["Sue"] = new("subject-sue", "sue", "Sue");
        await SignIn("Sue");
        await StreamsEndTests.Read(stream).WaitAsync(TimeSpan.FromSeconds(60));
        (await host.Reason(token)).ShouldBeNull("programs go on, with what their owner may do now");
    }

    [Fact]
    public async Task Groups_bring_into_teams_and_out_of_them_and_leave_what_was_done_by_hand()
    {
        const string teams = """
            SELECT coalesce(string_agg(t.name || ' ' || m.source, ', ' ORDER BY t.name), '') FROM accounts.team t JOIN accounts.team_member m USING (team_id)
            JOIN accounts.person p USING (user_id) WHERE p.username = 'tess'
            """;
        provider.People["Tess"] = new("subject-tess", "tess", "Tess", "sre", "unmapped");
        await SignIn("Tess");
        (await host.Ask<string>(teams)).ShouldBe("SRE oidc");
        await host.Ask<int>(
            """
            WITH made AS (INSERT INTO accounts.team (name) VALUES ('by hand') RETURNING team_id)
            INSERT INTO accounts.team_member (team_id, user_id) SELECT team_id, user_id FROM made, accounts.person WHERE username = 'tess' RETURNING 1
            """
        );
        var version = await host.Ask<string>("SELECT value FROM platform.setting WHERE key = 'accounts.rights'");
        await SignIn("Tess");
        (await host.Ask<string>("SELECT value FROM platform.setting WHERE key = 'accounts.rights'")).ShouldBe(version, "nothing changed");
        provider.People["Tess"] = new("subject-tess", "tess", "Tess");
        await SignIn("Tess");
        (await host.Ask<string>(teams)).ShouldBe("by hand manual");
    }

    [Fact]
    public async Task A_name_that_is_somebody_elses_is_not_taken_by_choosing_it_at_the_provider()
    {
        await host.Get("/v2/accounts/me/", TestTokens.For(3001, "operator"));
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM accounts.person WHERE user_id = 3001") == 1, "the operator was here");
        provider.People["Eve"] = new("subject-eve", "Operator", "Eve");
        ((string)(await host.Get("/v2/accounts/me/", await SignIn("Eve")))["data"]!["username"]!).ShouldBe("Operator@127.0.0.1");
        provider.People["Mick"] = new("subject-mick", "Operator", "Mick");
        var third = (string)(await host.Get("/v2/accounts/me/", await SignIn("Mick")))["data"]!["username"]!;
        third.ShouldStartWith("Operator@127.0.0.1#");
        ((string)(await host.Get("/v2/accounts/me/", await SignIn("Eve")))["data"]!["username"]!).ShouldBe("Operator@127.0.0.1", "she keeps it");
        ((string)(await host.Get("/v2/accounts/me/", await SignIn("Mick")))["data"]!["username"]!).ShouldBe(third);
    }

    [Fact]
    public async Task A_disabled_person_does_not_come_in()
    {
        provider.People["Gone"] = new("subject-gone", "gone", "Gone");
        var me = (await host.Get("/v2/accounts/me/", await SignIn("Gone")))["data"]!;
        (await host.Patch("/v2/accounts/person/", new { user_id = (long)me["user_id"]!, disabled = true })).Code().ShouldBe(0);
        using var browser = new Browser();
        using var end = await browser.Open(await Callback(browser, "Gone"));
        end.Headers.Location!.ToString().ShouldBe("/sign-in/?failed=disabled");
        end.Cookies().ShouldNotContain(cookie => cookie.StartsWith("codo_auth=", StringComparison.Ordinal));
        await host.Services.GetRequiredService<RefusedAttempts>().StopAsync(TestContext.Current.CancellationToken);
        await Eventually.True(
            async () => (await host.Get("/v2/accounts/audit/?who=gone&result=failed"))["data"]!.AsArray().Count == 1,
            "the audit has it as failed"
        );
    }

    [Fact]
    public async Task What_comes_back_to_another_browser_or_a_second_time_is_refused()
    {
        provider.People["Mallory"] = new("subject-mallory", "mallory", "Mallory");
        using var own = new Browser();
        using var victim = new Browser();
        // The victim's browser has begun a sign-in of its own, and is led to the answer of somebody else's.
        (await victim.Open(new Uri(host.Http.BaseAddress!, "/sign-in/oidc/"))).Dispose();
        var callback = await Callback(own, "Mallory");
        await Refused(victim, callback);
        (await own.Open(callback)).Dispose();
        await Refused(own, callback);
        string[] queries = ["", "?code=x&state=y", "?error=access_denied"];
        foreach (var query in queries.Concat(Enumerable.Repeat("", 50)))
            await Refused(own, new Uri(host.Http.BaseAddress!, "/sign-in/oidc/callback" + query));
        await host.Services.GetRequiredService<RefusedAttempts>().StopAsync(TestContext.Current.CancellationToken);
        const string failed = "FROM platform.audit WHERE action = 'sign_in' AND object_id = 'openid connect' AND result = 'failed'";
        (await host.Count($"SELECT sum(times) {failed}")).ShouldBeGreaterThanOrEqualTo(55);
        // The first of a minute, and the count of the minute; the test may begin in one and end in the next but one.
        (await host.Count($"SELECT count(*) {failed}")).ShouldBeLessThan(12);
        (await host.Http.GetStringAsync("/sign-in/?failed=oidc")).ShouldContain("did not work");

        static async Task Refused(Browser browser, Uri address)
        {
            using var response = await browser.Open(address);
            response.Headers.Location!.ToString().ShouldBe("/sign-in/?failed=oidc");
            response.Cookies().ShouldNotContain(cookie => cookie.StartsWith("codo_auth=", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task Another_node_finishes_what_one_has_begun_and_the_keys_for_that_are_sealed()
    {
        provider.People["Nora"] = new("subject-nora", "nora", "Nora");
        await using var other = await host.Again([.. fixture.Settings, ("Codo:NodeName", "other")]);
        using var browser = new Browser();
        var callback = await Callback(browser, "Nora");
        using var end = await browser.Open(new Uri(other.Http.BaseAddress!, callback.PathAndQuery));
        // The provider was told where to come back to: the code is for that address, and the cookie's keys are shared.
        end.Headers.Location!.ToString().ShouldBe("/");
        (await host.Ask<string>("SELECT string_agg(xml, '') FROM accounts.data_protection_key")).ShouldSatisfyAllConditions(
            xml => xml.ShouldContain("<sealed"),
            xml => xml.ShouldNotContain("<masterKey")
        );
    }

    [Fact]
    public async Task It_leads_back_to_a_page_of_this_host_and_nowhere_else()
    {
        provider.People["Lee"] = new("subject-lee", "lee", "Lee");
        foreach (var (next, leads) in new[] { ("/hangfire/running", "/hangfire/running"), ("//evil.example.test", "/"), ("https://evil.example.test", "/") })
        {
            using var browser = new Browser();
            using var end = await browser.Open(await Callback(browser, "Lee", next));
            end.Headers.Location!.ToString().ShouldBe(leads);
        }
    }

    [Fact]
    public async Task A_provider_that_is_away_and_one_that_is_not_safe_are_said()
    {
        await using var away = await host.Again(("Codo:Auth:Oidc:Authority", "http://127.0.0.1:1/"), ("Codo:Auth:Oidc:ClientId", "codo"));
        using var browser = new Browser();
        using var response = await browser.Open(new Uri(away.Http.BaseAddress!, "/sign-in/oidc/"));
        response.Headers.Location!.ToString().ShouldBe("/sign-in/?failed=oidc_away");
        var refused = await Should.ThrowAsync<OptionsValidationException>(() => host.Again(("Codo:Auth:Oidc:Authority", "http://login.example.test/")));
        refused.Failures.ShouldContain("Codo:Auth:Oidc:Authority: It must be an https address (http on loopback alone).");
        await using var none = await host.Again(("Codo:Auth:Oidc:Authority", ""));
        using var nowhere = await none.Http.GetAsync("/sign-in/oidc/");
        nowhere.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    private async Task<string> SignIn(string name)
    {
        using var browser = new Browser();
        using var end = await browser.Open(await Callback(browser, name));
        return end.Cookies().Single(cookie => cookie.StartsWith("codo_auth=", StringComparison.Ordinal)).Split('=', ';')[1];
    }

    /// <summary>Goes up to where the provider sends the browser back, and answers that address.</summary>
    private async Task<Uri> Callback(Browser browser, string name, string next = "/")
    {
        using var begun = await browser.Open(new Uri(host.Http.BaseAddress!, $"/sign-in/oidc/?next={Uri.EscapeDataString(next)}"));
        var query = begun.Headers.Location!.Query;
        foreach (var word in new[] { "code_challenge=", "code_challenge_method=S256", "state=", "nonce=", "response_type=code" }) query.ShouldContain(word);
        using var form = await browser.Open(begun.Headers.Location);
        var fields = Hidden().Matches(await form.Content.ReadAsStringAsync())
            .Select(match => KeyValuePair.Create(match.Groups[1].Value, WebUtility.HtmlDecode(match.Groups[2].Value)));
        using var chosen = await browser.Post(begun.Headers.Location, [.. fields, new("person", name)]);
        return chosen.Headers.Location ?? throw new InvalidOperationException(await chosen.Content.ReadAsStringAsync());
    }

    [GeneratedRegex("<input type=hidden name=\"([^\"]*)\" value=\"([^\"]*)\">")]
    private static partial Regex Hidden();

    private sealed class Browser : IDisposable
    {
        private readonly HttpClient http = new(new SocketsHttpHandler { AllowAutoRedirect = false, CookieContainer = new CookieContainer() });

        public Task<HttpResponseMessage> Open(Uri address) => http.GetAsync(address);

        public Task<HttpResponseMessage> Post(Uri address, IEnumerable<KeyValuePair<string, string>> fields) =>
            http.PostAsync(address, new FormUrlEncodedContent(fields));

        public void Dispose() => http.Dispose();
    }
}
