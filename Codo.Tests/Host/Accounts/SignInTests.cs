using System.Net;
using Codo.Host.Accounts;
using Codo.Host.Auth;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Codo.Tests.Host.Accounts;

/// <summary>Own accounts: a name and a password let in, and whoever guesses does not get far.</summary>
public sealed class SignInTests(AccountsHost fixture) : IClassFixture<AccountsHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_name_and_a_password_answer_a_token_that_every_node_takes()
    {
        await using var other = await host.Again();
        await host.Account("Ann", superuser: true);
        var (answer, response) = await host.SignIn("ann");
        using (response) answer.Code().ShouldBe(0, answer.ToJsonString());
        var token = (string)answer["auth_key"]!;
        ((string)answer["data"]!["username"]!, (bool)answer["data"]!["is_superuser"]!).ShouldBe(("Ann", true));
        ((long)answer["data"]!["user_id"]!).ShouldBeGreaterThanOrEqualTo(1_000_000_000);
        (await other.Reason(token)).ShouldBeNull();
        (await host.Ask<string>("SELECT address FROM platform.audit WHERE action = 'sign_in' AND username = 'Ann'")).ShouldStartWith("198.18.");
        (await host.Ask<string>("SELECT kind FROM accounts.person WHERE username = 'Ann'")).ShouldBe("own");
    }

    [Theory]
    [InlineData("http", "codo_auth=", false)]
    [InlineData("https", "__Host-codo_auth=", true)]
    public async Task The_cookie_is_for_this_host_alone_and_leaves_codo_admins_where_it_is(string scheme, string name, bool secure)
    {
        await host.Account($"cookie-{scheme}");
        var (_, response) = await host.SignIn($"cookie-{scheme}", headers: [("X-Forwarded-Proto", scheme), ("Cookie", "auth_key=codo-admins")]);
        using var answered = response;
        var cookie = response.Cookies().Single();
        cookie.ShouldStartWith(name);
        foreach (var word in new[] { "httponly", "samesite=lax", "path=/", "expires=" }) cookie.ShouldContain(word);
        cookie.Contains("secure", StringComparison.Ordinal).ShouldBe(secure);
        cookie.ShouldNotContain("domain");

        using var request = new HttpRequestMessage(HttpMethod.Get, "/v2/accounts/me/");
        request.Headers.Add("X-Forwarded-Proto", scheme);
        request.Headers.Add("X-Forwarded-For", AccountsClient.NewAddress());
        request.Headers.Add("Cookie", $"auth_key={TestTokens.Admin}; {cookie.Split(';')[0]}; _xsrf=x");
        using var mine = await host.Http.SendAsync(request);
        (await mine.Content.ReadAsStringAsync()).ShouldContain($"cookie-{scheme}");
    }

    [Fact]
    public async Task A_sign_in_is_good_for_the_hours_that_are_set_and_so_is_its_cookie()
    {
        await using var brief = await host.Again(("Codo:KnownProxies", "127.0.0.1"), ("Codo:Auth:SessionHours", "1"));
        await host.Account("brief");
        var before = DateTimeOffset.UtcNow;
        var (answer, response) = await brief.SignIn("brief");
        using var answered = response;
        var token = new Microsoft.IdentityModel.JsonWebTokens.JsonWebTokenHandler().ReadJsonWebToken((string)answer["auth_key"]!);
        (token.ValidTo - token.ValidFrom).ShouldBe(TimeSpan.FromHours(1));
        token.ValidFrom.ShouldBeInRange(before.UtcDateTime.AddSeconds(-1), DateTime.UtcNow);
        var cookie = Microsoft.Net.Http.Headers.SetCookieHeaderValue.Parse(response.Cookies().Single());
        cookie.Expires.ShouldBe(new DateTimeOffset(token.ValidTo, TimeSpan.Zero));
    }

    [Fact]
    public async Task Under_https_a_cookie_that_somebody_on_the_way_could_have_set_counts_for_nothing()
    {
        await host.Account("planted");
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v2/accounts/me/");
        request.Headers.Add("X-Forwarded-Proto", "https");
        request.Headers.Add("X-Forwarded-For", AccountsClient.NewAddress());
        request.Headers.Add("Cookie", $"codo_auth={await host.Token("planted")}");
        using var response = await host.Http.SendAsync(request);
        response.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
    }

    [Fact]
    public async Task A_wrong_password_and_an_unknown_name_are_told_and_cost_the_same()
    {
        await host.Account("known");
        var passwords = host.Services.GetRequiredService<Passwords>();
        var before = passwords.Checks;
        var (wrong, first) = await host.SignIn("known", "not the password");
        var (unknown, second) = await host.SignIn("hunter2-typed-in-the-wrong-field", "not the password");
        using (first)
        using (second)
        {
            first.Cookies().ShouldBeEmpty();
            wrong.ToJsonString().ShouldBe(unknown.ToJsonString());
            (wrong.Code(), first.StatusCode).ShouldBe((-1, HttpStatusCode.OK));
        }
        // The tests of this class run one after the other.
        (passwords.Checks - before).ShouldBe(2);
        await host.Services.GetRequiredService<RefusedAttempts>().StopAsync(TestContext.Current.CancellationToken);
        const string failed = "SELECT count(*) FROM platform.audit WHERE action = 'sign_in' AND result = 'failed' AND object_id = 'password'";
        await Eventually.True(async () => await host.Count($"{failed} AND username = 'known' AND after->>'why' = 'password'") == 1, "it is written");
        await Eventually.True(async () => await host.Count($"{failed} AND username = '' AND after->>'why' = 'unknown'") >= 1, "and the other");
        (await host.Count("SELECT count(*) FROM platform.audit a WHERE a::text LIKE '%hunter2%' OR a::text LIKE '%not the password%'")).ShouldBe(0);
    }

    [Fact]
    public async Task An_address_has_five_failures_a_minute_and_nobody_else_is_locked_out()
    {
        await host.Account("target");
        var attacker = AccountsClient.NewAddress();
        for (var i = 0; i < 5; i++) (await host.SignIn($"guess-{i}", "whatever it is", attacker)).Response.Dispose();
        var (refused, response) = await host.SignIn("target", address: attacker);
        using (response)
        {
            (refused.Code(), response.StatusCode).ShouldBe((429, HttpStatusCode.TooManyRequests));
            response.Headers.RetryAfter!.Delta!.Value.TotalSeconds.ShouldBeInRange(1, 60);
        }
        (await host.Token("target")).ShouldNotBeEmpty("the person itself, from elsewhere");

        // In the audit they are counted: the first and the rest, of each of the two minutes that this may have taken.
        await host.Services.GetRequiredService<RefusedAttempts>().StopAsync(TestContext.Current.CancellationToken);
        var written = $"FROM platform.audit WHERE action = 'sign_in' AND result = 'failed' AND address = '{attacker}'";
        await Eventually.True(async () => await host.Count($"SELECT coalesce(sum(times), 0) {written}") == 5, "all are counted");
        (await host.Count($"SELECT count(*) {written}")).ShouldBeLessThan(5);
    }

    [Fact]
    public async Task A_hundred_guesses_at_once_are_not_more_than_one_after_the_other()
    {
        await host.Account("rushed");
        var (attacker, before) = (AccountsClient.NewAddress(), host.Services.GetRequiredService<Passwords>().Checks);
        var answers = await Task.WhenAll(Enumerable.Range(0, 100).Select(i => host.SignIn("rushed", $"guess number {i}", attacker)));
        foreach (var (_, response) in answers) response.Dispose();
        (host.Services.GetRequiredService<Passwords>().Checks - before).ShouldBeLessThanOrEqualTo(5);
        answers.Count(one => one.Answer.Code() == 429).ShouldBeGreaterThanOrEqualTo(95);
    }

    [Fact]
    public void Who_misses_one_name_again_and_again_waits_longer_each_time_and_a_right_one_forgets_it()
    {
        var time = new FakeTimeProvider();
        var limit = new SignInLimit(time);
        var (mine, others) = (IPAddress.Parse("198.51.100.1"), IPAddress.Parse("198.51.100.2"));
        for (var i = 0; i < 3; i++) limit.Take("admin", mine).ShouldBe(TimeSpan.Zero);
        var waits = new List<double>();
        for (var i = 0; i < 10; i++)
        {
            var wait = limit.Take("ADMIN", mine);
            waits.Add(wait.TotalSeconds);
            limit.Take("admin", others).ShouldBe(TimeSpan.Zero);
            limit.Forgive("admin", others);
            // A minute at least, so that the limit of the address is not in the way.
            time.Advance(wait + TimeSpan.FromMinutes(1));
            limit.Take("admin", mine).ShouldBe(TimeSpan.Zero);
        }
        waits[0].ShouldBe(5);
        waits[^1].ShouldBe(900);
        waits.ShouldBe(waits.Order());
        limit.Forgive("admin", mine);
        time.Advance(TimeSpan.FromMinutes(2));
        limit.Take("admin", mine).ShouldBe(TimeSpan.Zero);
    }

    [Fact]
    public void The_counters_of_guessers_have_a_bound()
    {
        var limit = new SignInLimit(new FakeTimeProvider());
        for (var i = 0; i < 200_000; i++) limit.Take($"name {i}", new IPAddress(BitConverter.GetBytes(i)));
        limit.Kept.ShouldBeInRange(1, 20_002);
    }

    [Fact]
    public async Task Another_page_does_not_sign_its_reader_in()
    {
        await host.Account("lured");
        var (answer, response) = await host.SignIn("lured", headers: [("Origin", "https://evil.example.test"), ("Sec-Fetch-Site", "cross-site")]);
        using (response) ((int)response.StatusCode, response.Cookies().Length).ShouldBe((402, 0), answer.ToJsonString());
    }

    [Fact]
    public async Task Each_sign_in_is_a_new_token_and_a_signed_out_one_is_refused_on_every_node()
    {
        await using var other = await host.Again();
        await host.Account("leaver");
        var planted = await host.Token("leaver");
        var (answer, response) = await host.SignIn("leaver", headers: [("Cookie", $"codo_auth={planted}")]);
        response.Dispose();
        var mine = (string)answer["auth_key"]!;
        mine.ShouldNotBe(planted);
        (await host.Post("/v2/accounts/logout/", new { }, mine)).Code().ShouldBe(0);
        (await host.Reason(mine)).ShouldBe("revoked");
        await Eventually.True(async () => await other.Reason(mine) == "revoked", "the other node knows");
        (await host.Reason(planted)).ShouldBeNull("another sign-in of the same person");
    }

    [Fact]
    public async Task A_token_that_ends_with_the_calendar_is_signed_out_like_any_other()
    {
        var payload = TestTokens.Payload(3100, "eternal");
        payload["exp"] = DateTimeOffset.MaxValue.ToUnixTimeSeconds();
        payload["jti"] = "eternal";
        var token = TestTokens.Sign(payload);
        (await host.Post("/v2/accounts/logout/", new { }, token)).Code().ShouldBe(0);
        (await host.Reason(token)).ShouldBe("revoked");
    }

    [Fact]
    public async Task A_new_password_ends_what_was_signed_in_with_the_old_one()
    {
        await host.Account("changer");
        var (elsewhere, here) = (await host.Token("changer"), await host.Token("changer"));
        foreach (var (current, wanted) in new[]
        {
            ("wrong password", "a much better one"),
            (AccountsClient.Password, "short"),
            (AccountsClient.Password, "1q2w3e4r5t"),
            (AccountsClient.Password, "QWERTYUIOP"),
            (AccountsClient.Password, "aaaaaaaaaaaaaaaa"),
            (AccountsClient.Password, "iamchanger2026"),
            (AccountsClient.Password, ""),
        })
            (await host.Post("/v2/accounts/password/", new { password = current, new_password = wanted }, here)).Code().ShouldNotBe(0, wanted);
        var changed = await host.Post("/v2/accounts/password/", new { password = AccountsClient.Password, new_password = "a much better one" }, here);
        changed.Code().ShouldBe(0, changed.ToJsonString());
        (await host.Reason(here)).ShouldBe("revoked");
        (await host.Reason(elsewhere)).ShouldBe("revoked");
        (await host.Reason((string)changed["auth_key"]!)).ShouldBeNull();
        var (old, response) = await host.SignIn("changer");
        response.Dispose();
        old.Code().ShouldBe(-1);
        (await host.Reason(await Again("changer", "a much better one"))).ShouldBeNull();
        var admins = TestTokens.For(1001, "admins");
        (await host.Post("/v2/accounts/password/", new { password = "x", new_password = "a much better one" }, admins)).Code().ShouldBe(-1);
        (await host.Count("SELECT count(*) FROM platform.audit a WHERE action = 'password' AND a::text LIKE '%better%'")).ShouldBe(0);
    }

    [Fact]
    public async Task A_sign_in_that_is_being_checked_does_not_outlive_a_new_password()
    {
        await host.Account("overtaken");
        await using var connection = await host.Source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        var account = (await OwnAccount.Find(connection, "overtaken")).ShouldNotBeNull();
        var hash = host.Services.GetRequiredService<Passwords>().Hash("a much better one");
        await OwnAccount.SetPassword(connection, transaction, Caller.Codo, account.UserId, hash, before: null);
        // It finds the old password, which is right until the new one is committed.
        var signingIn = host.SignIn("overtaken");
        const string waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FOR SHARE%'";
        await Eventually.True(async () => signingIn.IsCompleted || await host.Count(waits) > 0, "the password is checked");
        await transaction.CommitAsync();
        var (answer, response) = await signingIn;
        using (response) (answer.Code(), response.Cookies().Length).ShouldBe((-1, 0), answer.ToJsonString());
        (await host.Reason(await Again("overtaken", "a much better one"))).ShouldBeNull();
    }

    [Fact]
    public async Task A_change_of_the_password_that_is_being_checked_does_not_undo_a_reset()
    {
        await host.Account("retaken");
        var session = await host.Token("retaken");
        await using var connection = await host.Source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        var account = (await OwnAccount.Find(connection, "retaken")).ShouldNotBeNull();
        var hash = host.Services.GetRequiredService<Passwords>().Hash("a much better one");
        await OwnAccount.SetPassword(connection, transaction, Caller.Codo, account.UserId, hash, before: null);
        // It finds the old password, which is right until the new one is committed.
        var changing = host.Post("/v2/accounts/password/", new { password = AccountsClient.Password, new_password = "of somebody else" }, session);
        const string waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%SET password_hash%'";
        await Eventually.True(async () => changing.IsCompleted || await host.Count(waits) > 0, "the password is checked");
        await transaction.CommitAsync();
        var answer = await changing;
        (answer.Code(), answer.ContainsKey("auth_key")).ShouldBe((-1, false), answer.ToJsonString());
        await host.Services.GetRequiredService<Revocations>().Refresh(TestContext.Current.CancellationToken);
        (await host.Reason(session)).ShouldBe("revoked");
        (await host.Reason(await Again("retaken", "a much better one"))).ShouldBeNull();
    }

    [Theory]
    [InlineData("reset")]
    [InlineData("revoke")]
    public async Task A_session_that_follows_a_revocation_by_its_time_and_was_never_used_ends_with_the_next_one(string how)
    {
        var name = $"follows-{how}";
        await host.Account(name);
        var id = Codo.Host.Commands.IssueToken.UserId(name);
        await using var connection = await host.Source.OpenConnectionAsync();
        // As one of the same second does, it makes the session later than the next revocation will be.
        await connection.ExecuteAsync(
            "INSERT INTO accounts.revocation (user_id, by_id, reason, revoked_at) VALUES (@Id, 0, 'test', clock_timestamp() + interval '1 hour')",
            new { Id = id }
        );
        var session = await host.Token(name);
        if (how == "revoke") (await host.Post("/v2/accounts/revoke/", new { user_id = id })).Code().ShouldBe(0);
        else
        {
            await using var transaction = await connection.BeginTransactionAsync();
            await OwnAccount.SetPassword(connection, transaction, Caller.Codo, id, "no hash", before: null);
            await transaction.CommitAsync();
            await host.Services.GetRequiredService<Revocations>().Refresh(TestContext.Current.CancellationToken);
        }

        (await host.Reason(session)).ShouldBe("revoked");
    }

    [Fact]
    public async Task A_reset_ends_the_session_of_a_change_before_it_and_one_that_a_clock_ahead_has_made()
    {
        await host.Account("hurried");
        var payload = TestTokens.Payload(Codo.Host.Commands.IssueToken.UserId("hurried"), "hurried");
        payload["iat"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 3600;
        payload["jti"] = "hurried-ahead";
        var ahead = TestTokens.Sign(payload);
        (await host.Reason(ahead)).ShouldBeNull();
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM accounts.session WHERE jti = 'hurried-ahead'") == 1, "it is recorded");
        var session = await host.Token("hurried");
        await using var connection = await host.Source.OpenConnectionAsync();
        var account = (await OwnAccount.Find(connection, "hurried")).ShouldNotBeNull();
        var hash = host.Services.GetRequiredService<Passwords>().Hash("a much better one");
        var changed = await host.Post("/v2/accounts/password/", new { password = AccountsClient.Password, new_password = "of somebody else" }, session);
        await using var transaction = await connection.BeginTransactionAsync();
        await OwnAccount.SetPassword(connection, transaction, Caller.Codo, account.UserId, hash, before: null);
        await transaction.CommitAsync();
        await host.Services.GetRequiredService<Revocations>().Refresh(TestContext.Current.CancellationToken);
        foreach (var token in new[] { (string)changed["auth_key"]!, ahead }) (await host.Reason(token)).ShouldBe("revoked");
        (await host.Reason(await Again("hurried", "a much better one"))).ShouldBeNull();
    }

    [Fact]
    public async Task A_disabled_account_is_told_so_only_with_the_right_password()
    {
        await host.Account("shut");
        await host.Patch("/v2/accounts/person/", new { user_id = Codo.Host.Commands.IssueToken.UserId("shut"), disabled = true });
        var (wrong, first) = await host.SignIn("shut", "not the password");
        var (right, second) = await host.SignIn("shut");
        using (first)
        using (second)
            (wrong.Code(), right.Code(), second.Cookies().Length).ShouldBe((-1, -2, 0));
    }

    [Fact]
    public async Task A_sign_in_here_is_nobody_to_codo_admin_which_has_the_secret_too()
    {
        await host.Account("local");
        var keys = new Microsoft.IdentityModel.Tokens.TokenValidationParameters
        {
            IssuerSigningKey = new Microsoft.IdentityModel.Tokens.SymmetricSecurityKey(System.Text.Encoding.UTF8.GetBytes(TestTokens.Secret)),
            ValidateIssuer = false,
            ValidateAudience = false,
        };
        var handler = new Microsoft.IdentityModel.JsonWebTokens.JsonWebTokenHandler();
        (await handler.ValidateTokenAsync(await host.Token("local"), keys)).IsValid.ShouldBeFalse();
        (await handler.ValidateTokenAsync(TestTokens.Admin, keys)).IsValid.ShouldBeTrue();
    }

    [Fact]
    public async Task Token_secrets_are_changed_without_an_outage()
    {
        const string next = "the-next-secret-of-more-than-32-bytes-too";
        await host.Account("rotates");
        var old = await host.Token("rotates");
        // First every node verifies with both, then the new one signs, then the old one goes.
        await using var both = await host.Again(("Codo:Auth:TokenSecrets:0", next));
        await using var turned = await host.Again(("Codo:Auth:TokenSecret", next), ("Codo:Auth:TokenSecrets:0", TestTokens.Secret));
        await using var done = await host.Again(("Codo:Auth:TokenSecret", next));
        var renewed = await turned.Token("rotates");
        foreach (var node in new[] { both, turned })
        {
            (await node.Reason(old)).ShouldBeNull();
            (await node.Reason(TestTokens.Admin)).ShouldBeNull();
            (await node.Reason(renewed)).ShouldBeNull();
        }
        (await done.Reason(renewed)).ShouldBeNull();
        (await done.Reason(old)).ShouldBe("signature");
        (await done.Reason(TestTokens.Admin)).ShouldBe("signature");
        await Should.ThrowAsync<Codo.Host.LocalServices.StartRefused>(() => host.Again(("Codo:Auth:TokenSecrets", "short")));
    }

    [Theory]
    [InlineData("/hangfire/executions", "/hangfire/executions")]
    [InlineData("/jobs?status=failed&page=2", "/jobs?status=failed&page=2")]
    [InlineData("/runs/5#L120-140", "/runs/5#L120-140")]
    [InlineData("/jobs/%E5%A4%87%E4%BB%BD%20(a)'$", "/jobs/%E5%A4%87%E4%BB%BD%20(a)'$")]
    [InlineData("//evil.example.test", "/")]
    [InlineData("/\\evil.example.test", "/")]
    [InlineData("/\t/evil.example.test", "/")]
    [InlineData("https://evil.example.test/", "/")]
    [InlineData("javascript:alert(1)", "/")]
    [InlineData("/a\r\nSet-Cookie: x=y", "/")]
    [InlineData("/a\n", "/")]
    [InlineData("", "/")]
    public async Task A_sign_in_leads_to_a_page_of_this_host_and_nowhere_else(string asked, string leads)
    {
        LocalPath.OrRoot(asked).ShouldBe(leads);
        using var form = new FormUrlEncodedContent([new("token", TestTokens.Admin), new("next", asked)]);
        using var response = await host.Http.PostAsync("/sign-in/", form);
        response.Headers.Location!.ToString().ShouldBe(leads);
    }

    [Fact]
    public async Task The_page_takes_a_password_says_what_is_wrong_and_leads_back()
    {
        await host.Account("browser");
        (await host.Http.GetStringAsync("/")).ShouldContain("name=\"password\"");
        using var wrong = await Post("browser", "not the password");
        wrong.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        var page = await wrong.Content.ReadAsStringAsync();
        page.ShouldContain("Wrong username or password");
        page.ShouldContain("value=\"browser\"");
        page.ShouldNotContain("not the password");
        using var hostile = await Post("\"><script>", "not the password");
        (await hostile.Content.ReadAsStringAsync()).ShouldNotContain("<script>");
        using var right = await Post("browser", AccountsClient.Password);
        (right.StatusCode, right.Headers.Location!.ToString()).ShouldBe((HttpStatusCode.SeeOther, "/hangfire"));
        var cookie = right.Cookies().Single().Split(';')[0];

        using var leave = new HttpRequestMessage(HttpMethod.Post, "/sign-out/");
        leave.Headers.Add("Cookie", cookie);
        leave.Headers.Add("Origin", host.Http.BaseAddress!.ToString().TrimEnd('/'));
        using var left = await host.Http.SendAsync(leave);
        left.StatusCode.ShouldBe(HttpStatusCode.SeeOther);
        (await host.Reason(cookie.Split('=')[1])).ShouldBe("revoked");

        async Task<HttpResponseMessage> Post(string username, string password)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/sign-in/")
            {
                Content = new FormUrlEncodedContent([new("username", username), new("password", password), new("next", "/hangfire")]),
            };
            request.Headers.Add("X-Forwarded-For", AccountsClient.NewAddress());
            return await host.Http.SendAsync(request);
        }
    }

    [Fact]
    public async Task A_token_that_is_not_good_is_in_the_audit_when_it_comes_by_the_form_too()
    {
        var forged = TestTokens.Sign(TestTokens.Payload(1, "forger"), "another-secret-that-is-long-enough-too");
        foreach (var (token, next) in new[] { (forged, "/"), (forged, "/i/1"), ("", "/") })
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/sign-in/")
            {
                Content = new FormUrlEncodedContent([new("token", token), new("next", next)]),
            };
            request.Headers.Add("X-Forwarded-For", AccountsClient.NewAddress());
            (await host.Http.SendAsync(request)).Dispose();
        }
        await host.Services.GetRequiredService<RefusedAttempts>().StopAsync(TestContext.Current.CancellationToken);
        const string failed = "FROM platform.audit WHERE action = 'sign_in' AND result = 'failed' AND object_id = 'token'";
        await Eventually.True(
            async () => await host.Count($"SELECT coalesce(sum(times), 0) {failed} AND username = 'forger' AND after->>'why' = 'signature'") == 2,
            "both are written"
        );
        (await host.Count($"SELECT count(*) {failed} AND after->>'why' = 'missing'")).ShouldBe(0);
    }

    [Fact]
    public async Task A_link_to_a_page_with_blanks_or_Chinese_in_its_address_is_where_the_sign_in_leads()
    {
        const string path = "/jobs/%E5%A4%87%E4%BB%BD%20a?q=%E4%B8%80";
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Add("Accept", "text/html");
        request.Headers.Add("X-Forwarded-For", AccountsClient.NewAddress());
        using var response = await host.Http.SendAsync(request);
        response.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        (await response.Content.ReadAsStringAsync()).ShouldContain($"name=\"next\" value=\"{path}\"");
        // The longest job_id.
        var longest = $"/jobs/{Uri.EscapeDataString(new string('备', 190))}/versions";
        LocalPath.OrRoot(longest).ShouldBe(longest);
    }

    [Fact]
    public async Task A_name_that_PostgreSQL_cannot_hold_is_nobodys()
    {
        using var form = new MultipartFormDataContent();
        form.Add(new StringContent("a\0b"), "username");
        form.Add(new StringContent("not the password"), "password");
        form.Add(new StringContent("\0"), "otp");
        using var request = new HttpRequestMessage(HttpMethod.Post, "/sign-in/") { Content = form };
        request.Headers.Add("X-Forwarded-For", AccountsClient.NewAddress());
        using var response = await host.Http.SendAsync(request);
        response.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
    }

    private Task<string> Again(string name, string password) => host.Token(name, password);
}
