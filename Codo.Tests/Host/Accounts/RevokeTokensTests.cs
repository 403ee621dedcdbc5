using System.Net;
using System.Net.WebSockets;
using System.Text.Json.Nodes;
using Codo.Host.Accounts;
using Codo.Platform.Cluster;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Host.Accounts;

public sealed class RevocationsHost(TestPostgres postgres) : HostFixture(postgres);

/// <summary>A signed token is good until it expires, unless it is taken back.</summary>
public sealed class RevokeTokensTests(RevocationsHost fixture) : IClassFixture<RevocationsHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task One_token_is_refused_on_every_node_and_the_persons_others_are_good()
    {
        await using var other = await host.Again();
        var (stolen, mine) = (With(801, "one"), With(801, "another"));
        (await host.Post("/v2/accounts/revoke/", new { jti = "one", reason = "in a pastebin" })).Code().ShouldBe(0);

        (await Reason(host, stolen)).ShouldBe("revoked");
        await Eventually.True(async () => await Reason(other, stolen) == "revoked", "the other node knows");
        (await Reason(other, mine)).ShouldBeNull();
        (await Reason(host, mine)).ShouldBeNull();
        (
            await host.Ask<string>(
                "SELECT username || ' ' || kind || ' ' || (after ->> 'reason') FROM platform.audit WHERE action = 'revoke' AND object_id = 'one'"
            )
        ).ShouldBe("admin token in a pastebin");
        // A node that starts knows before it listens.
        await using var late = await host.Again();
        (await Reason(late, stolen)).ShouldBe("revoked");
    }

    [Fact]
    public async Task All_tokens_of_a_person_are_refused_and_one_that_is_issued_later_is_good()
    {
        var (old, silent) = (With(802, "old"), With(802, "silent", issued: null));
        (await Reason(host, old)).ShouldBeNull();
        (await Reason(host, silent)).ShouldBeNull();
        (await host.Post("/v2/accounts/revoke/", new { user_id = 802 })).Code().ShouldBe(0);

        (await Reason(host, old)).ShouldBe("revoked");
        // One that does not say when it was issued may be from before.
        (await Reason(host, silent)).ShouldBe("revoked");
        (await Reason(host, With(802, "new", issued: 2))).ShouldBeNull();
        (await Reason(host, With(803, "old"))).ShouldBeNull();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_it_holds_open_ends_on_every_node(bool byPerson)
    {
        await using var other = await host.Again();
        long id = byPerson ? 804 : 805;
        var token = With(id, $"open-{id}", superuser: true);
        using var response = await other.Http.SendAsync(
            TestHost.Request(HttpMethod.Get, "/v2/task/log/stream/?log_key=1_1_1_h", null, token),
            HttpCompletionOption.ResponseHeadersRead
        );
        StreamsEndTests.ShouldStream(response);
        await using var stream = await response.Content.ReadAsStreamAsync();
        using var socket = new ClientWebSocket();
        socket.Options.SetRequestHeader("auth-key", token);
        await socket.ConnectAsync(
            new Uri(host.Http.BaseAddress!.ToString().Replace("http", "ws", StringComparison.Ordinal) + "ws/v1/task/log/"),
            TestContext.Current.CancellationToken
        );

        var (events, messages) = (StreamsEndTests.Read(stream), StreamsEndTests.Ended(socket));
        (events.IsCompleted, messages.IsCompleted).ShouldBe((false, false), "both are open");
        (await host.Post("/v2/accounts/revoke/", byPerson ? new { user_id = id } : new { jti = $"open-{id}" })).Code().ShouldBe(0);

        await events.WaitAsync(TimeSpan.FromSeconds(60));
        await messages.WaitAsync(TimeSpan.FromSeconds(60));
    }

    [Fact]
    public async Task What_was_ended_stays_so_when_a_clock_was_some_hours_ahead_and_is_put_back()
    {
        // As that clock sees a token that is good by the right one.
        (
            await host.Ask<long>(
                """
                WITH added AS (INSERT INTO accounts.revocation (jti, until, by_id, reason) VALUES
                    ('ahead', clock_timestamp() - interval '20 hours', 807, 'signed out'), ('past', clock_timestamp() - interval '3 days', 807, 'signed out')
                    RETURNING 1)
                SELECT count(*) FROM added
                """
            )
        ).ShouldBe(2);
        await Eventually.True(() => host.Services.GetRequiredService<Node>().HoldsLease, "the host holds its lease");
        await host.Services.GetRequiredService<EndedRevocations>().Drop(TestContext.Current.CancellationToken);
        (await host.Ask<long>("SELECT count(*) FROM accounts.revocation WHERE jti = 'past'")).ShouldBe(0);
        await host.Services.GetRequiredService<Revocations>().Refresh(TestContext.Current.CancellationToken);
        (await Reason(host, With(807, "ahead"))).ShouldBe("revoked");
        (await Reason(host, With(807, "mine"))).ShouldBeNull();
    }

    [Fact]
    public async Task What_was_issued_while_a_clock_was_ahead_ends_too_and_is_not_good_again_later()
    {
        var (stolen, others, mine) = (With(808, "stolen", issued: 3600), With(809, "others", issued: 3600), With(809, "mine", issued: 3600));
        foreach (var token in new[] { stolen, others, mine }) (await Reason(host, token)).ShouldBeNull();
        await Eventually.True(
            async () => await host.Count("SELECT count(*) FROM accounts.session WHERE user_id IN (808, 809)") == 3,
            "they are recorded"
        );
        (await host.Post("/v2/accounts/revoke/", new { user_id = 808 })).Code().ShouldBe(0);
        (await Reason(host, stolen)).ShouldBe("revoked");
        (await Reason(host, With(808, "next", issued: 2))).ShouldBeNull();
        (await host.Delete("/v2/accounts/session/", new { others = true }, mine)).Code().ShouldBe(0);
        (await Reason(host, others)).ShouldBe("revoked");
        (await Reason(host, mine)).ShouldBeNull();
        // Kept for as long as the token, and a little longer.
        (
            await host.Count(
                "SELECT count(*) FROM accounts.revocation r JOIN accounts.session s USING (jti) "
                    + "WHERE s.user_id IN (808, 809) AND r.until = s.expires_at + interval '1 hour'"
            )
        ).ShouldBe(2);
    }

    [Fact]
    public async Task One_that_was_issued_ahead_and_ends_with_the_calendar_is_refused_for_good()
    {
        var payload = TestTokens.Payload(810, "u810");
        payload["jti"] = "eternal-ahead";
        payload["iat"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 3600;
        payload["exp"] = DateTimeOffset.MaxValue.ToUnixTimeSeconds();
        var token = TestTokens.Sign(payload);
        (await Reason(host, token)).ShouldBeNull();
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM accounts.session WHERE jti = 'eternal-ahead'") == 1, "it is recorded");
        (await host.Post("/v2/accounts/revoke/", new { user_id = 810 })).Code().ShouldBe(0);
        (await Reason(host, token)).ShouldBe("revoked");
        (await host.Count("SELECT count(*) FROM accounts.revocation WHERE jti = 'eternal-ahead' AND until IS NULL")).ShouldBe(1);
    }

    [Fact]
    public async Task An_access_token_that_ended_long_ago_is_dropped()
    {
        (
            await host.Ask<long>(
                """
                WITH owner AS (INSERT INTO accounts.person (user_id, username, kind) VALUES (813, 'u813', 'own') RETURNING user_id),
                added AS (INSERT INTO accounts.access_token (user_id, name, digest, hint, scopes, expires_at, revoked_at)
                    SELECT user_id, t.name, 'dropped ' || t.name, '', '{see}', clock_timestamp() + t.expires, clock_timestamp() + t.revoked
                    FROM owner, (VALUES
                        ('expired', interval '-401 days', NULL), ('revoked', interval '1 day', interval '-401 days'),
                        ('expired lately', interval '-399 days', NULL), ('revoked lately', interval '-300 days', interval '-399 days'),
                        ('good', interval '1 day', NULL)
                    ) AS t (name, expires, revoked)
                    RETURNING 1)
                SELECT count(*) FROM added
                """
            )
        ).ShouldBe(5);
        await Eventually.True(() => host.Services.GetRequiredService<Node>().HoldsLease, "the host holds its lease");
        await host.Services.GetRequiredService<EndedRevocations>().Drop(TestContext.Current.CancellationToken);
        (await host.Ask<string>("SELECT string_agg(name, ', ' ORDER BY name) FROM accounts.access_token WHERE user_id = 813"))
            .ShouldBe("expired lately, good, revoked lately");
    }

    [Fact]
    public async Task A_person_sees_the_own_sessions_and_ends_one_or_all_others()
    {
        var (here, there, third) = (With(811, "here"), With(811, "there"), With(811, "third"));
        await Use(there, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
        await Use(third, "curl/8.5.0");
        await Use(With(811, ""), "no jti: not to be told from others");
        await Eventually.True(async () => (await Sessions(here)).Count == 3, "they are recorded");
        var seen = await Sessions(here);
        seen.Count(one => (bool)one!["current"]!).ShouldBe(1);
        seen.Select(one => (string)one!["browser"]!).ShouldContain("Firefox, Linux");
        ((bool)seen[0]!["current"]!).ShouldBeTrue();
        long Id(string browser) => (long)seen.Single(one => (string)one!["browser"]! == browser)!["session_id"]!;

        (await host.Send(HttpMethod.Delete, "/v2/accounts/session/", $$"""{"session_id": {{Id("curl")}}}""", With(812, "eve"))).Code().ShouldBe(-1);
        (await host.Get("/v2/accounts/session/?user_id=811", With(812, "eve"))).Code().ShouldBe(-2);
        (await host.Send(HttpMethod.Delete, "/v2/accounts/session/", $$"""{"session_id": {{Id("curl")}}}""", here)).Code().ShouldBe(0);
        (await Reason(host, third)).ShouldBe("revoked");
        (await Reason(host, there)).ShouldBeNull();

        await using var other = await host.Again();
        (await host.Send(HttpMethod.Delete, "/v2/accounts/session/", """{"others": true}""", With(811, ""))).Code().ShouldBe(-1);
        (await host.Send(HttpMethod.Delete, "/v2/accounts/session/", """{"others": true}""", here)).Code().ShouldBe(0);
        // Those that were never seen end as well.
        foreach (var token in new[] { there, With(811, ""), With(811, "never seen") }) (await Reason(host, token)).ShouldBe("revoked");
        (await Reason(host, here)).ShouldBeNull();
        await Eventually.True(async () => await Reason(other, there) == "revoked", "the other node knows");
        (await Reason(other, here)).ShouldBeNull();
        (await Reason(host, With(811, "later", issued: 2))).ShouldBeNull();

        // An admin ends the last one.
        var last = (await host.Get("/v2/accounts/session/?user_id=811"))["data"]!.AsArray().First(one => !(bool)one!["current"]!)!["session_id"]!;
        (await host.Send(HttpMethod.Delete, "/v2/accounts/session/", $$"""{"session_id": {{last}}}""")).Code().ShouldBe(0);
        foreach (var wrong in new[] { "{}", """{"session_id": 1, "others": true}""", """{"others": false}""", """{"session_id": 99999999}""" })
            (await host.Send(HttpMethod.Delete, "/v2/accounts/session/", wrong)).Code().ShouldBe(-1, wrong);

        async Task<JsonArray> Sessions(string token) => (await host.Get("/v2/accounts/session/", token))["data"]!.AsArray();

        async Task Use(string token, string agent)
        {
            using var request = TestHost.Request(HttpMethod.Get, "/v2/accounts/me/", null, token);
            request.Headers.TryAddWithoutValidation("User-Agent", agent);
            using var response = await host.Http.SendAsync(request);
        }
    }

    [Fact]
    public async Task Only_a_superuser_revokes_and_only_one_thing_at_a_time()
    {
        (await host.Post("/v2/accounts/revoke/", new { user_id = 1 }, TestTokens.For(806, "eve"))).Code().ShouldBe(-2);
        foreach (
            var body in (string[])
                [
                    "{}",
                    """{"jti": ""}""",
                    """{"jti": "a", "user_id": 7}""",
                    """{"user_id": 0}""",
                    """{"user_id": -1}""",
                    $$"""{"jti": "{{new string('x', 201)}}"}""",
                    $$"""{"user_id": 7, "reason": "{{new string('x', 501)}}"}""",
                ]
        )
            (await host.Send(HttpMethod.Post, "/v2/accounts/revoke/", body)).Code().ShouldBe(-1, body);
        (await Reason(host, TestTokens.Admin)).ShouldBeNull();
    }

    private static string With(long id, string jti, int? issued = -10, bool superuser = false)
    {
        var payload = TestTokens.Payload(id, $"u{id}", superuser);
        payload["jti"] = jti;
        if (issued is { } seconds) payload["iat"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + seconds;
        else payload.Remove("iat");
        return TestTokens.Sign(payload);
    }

    private static async Task<string?> Reason(TestHost of, string token)
    {
        using var request = TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, token);
        request.Headers.TryAddWithoutValidation("Accept", "application/problem+json");
        using var response = await of.Http.SendAsync(request);
        return response.StatusCode == HttpStatusCode.OK ? null : JsonNode.Parse(await response.Content.ReadAsStringAsync())!["reason"]!.GetValue<string>();
    }
}
