using System.Net;
using System.Text.Json.Nodes;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;

namespace Codo.Tests.Host.Accounts;

public sealed class PeopleHost(TestPostgres postgres) : HostFixture(postgres);

/// <summary>Everyone who comes in is known, and can be shut out.</summary>
public sealed class PeopleTests(PeopleHost fixture) : IClassFixture<PeopleHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Whoever_comes_in_is_a_person_and_whoever_is_refused_is_not()
    {
        await host.Get("/v1/cron/job/", TestTokens.For(901, "lin", nickname: "林"));
        await host.Get("/v1/cron/job/", TestTokens.For(1_000_000_901, "own-lin"));
        await host.Get("/v1/cron/job/", TestTokens.Sign(TestTokens.Payload(902, "forged"), "another-secret-that-is-long-enough-too"));
        var lin = await Seen(901);
        ((string)lin["username"]!, (string)lin["nickname"]!, (string)lin["email"]!, (string)lin["kind"]!, (bool)lin["is_superuser"]!)
            .ShouldBe(("lin", "林", "lin@example.test", "codo-admin", false));
        ((string)(await Seen(1_000_000_901))["kind"]!).ShouldBe("own");
        (await host.Count("SELECT count(*) FROM accounts.person WHERE user_id = 902")).ShouldBe(0);
    }

    [Fact]
    public async Task Names_follow_the_newest_token_and_an_older_one_does_not_bring_the_old_ones_back()
    {
        string With(string name, bool superuser, int issued)
        {
            var payload = TestTokens.Payload(903, name, superuser);
            payload["iat"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + issued;
            return TestTokens.Sign(payload);
        }

        var (old, renewed) = (With("boss", true, -100), With("was-boss", false, -50));
        await host.Get("/v1/cron/job/", old);
        ((bool)(await Seen(903))["is_superuser"]!).ShouldBeTrue();
        await host.Get("/v1/cron/job/", renewed);
        await Eventually.True(async () => (string)(await Seen(903))["username"]! == "was-boss", "the new name is known");
        await host.Get("/v1/cron/job/", old);
        // Behind whatever the old token might have written.
        await host.Get("/v1/cron/job/", TestTokens.For(904, "later"));
        await Seen(904);
        ((bool)(await Seen(903))["is_superuser"]!).ShouldBeFalse();
    }

    [Fact]
    public async Task A_busy_person_is_written_once_a_minute()
    {
        var token = TestTokens.For(905, "busy");
        await host.Get("/v1/cron/job/", token);
        await Seen(905);
        var version = await host.Ask<string>("SELECT xmin::text FROM accounts.person WHERE user_id = 905");
        for (var i = 0; i < 50; i++) await host.Get("/v2/accounts/me/", token);
        await host.Get("/v1/cron/job/", TestTokens.For(906, "later"));
        await Seen(906);
        (await host.Ask<string>("SELECT xmin::text FROM accounts.person WHERE user_id = 905")).ShouldBe(version);
    }

    [Fact]
    public async Task Pickers_find_by_part_of_a_name_page_by_page_and_see_no_addresses()
    {
        for (var i = 0; i < 5; i++) await host.Get("/v1/cron/job/", TestTokens.For(910 + i, $"Page_{i}", nickname: $"翻页{i}"));
        for (var i = 0; i < 5; i++) await Seen(910 + i);
        var eve = TestTokens.For(950, "eve");
        var names = new List<string>();
        for (long? after = null; ;)
        {
            var page = await host.Get($"/v2/accounts/person/?q=pAGE_&limit=2{(after is null ? "" : $"&after={after}")}", eve);
            page.Code().ShouldBe(0);
            names.AddRange(page["data"]!.AsArray().Select(row => (string)row!["username"]!));
            page["data"]!.AsArray().ShouldAllBe(row => row!["email"] == null);
            if ((after = (long?)page["next"]) is null) break;
        }
        names.ShouldBe(["Page_0", "Page_1", "Page_2", "Page_3", "Page_4"]);
        (await Find("翻页3", eve)).ShouldBe(["Page_3"]);
        (await Find("912", eve)).ShouldBe(["Page_2"]);
        (await Find("page_1@example", eve)).ShouldBeEmpty();
        (await Find("page_1@example", TestTokens.Admin)).ShouldBe(["Page_1"]);
        (await Find("pageX", eve)).ShouldBeEmpty("_ is no wildcard");
        (await host.Get("/v2/accounts/person/?limit=0", eve)).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task Who_I_am_is_what_my_token_says()
    {
        var me = (await host.Get("/v2/accounts/me/", TestTokens.For(907, "me")))["data"]!;
        ((long)me["user_id"]!, (string)me["username"]!, (bool)me["is_superuser"]!).ShouldBe((907, "me", false));
        me["expires"].ShouldNotBeNull();
    }

    [Fact]
    public async Task A_disabled_person_is_refused_with_any_token_on_every_node_and_what_is_open_ends()
    {
        await using var other = await host.Again();
        var (token, another) = (TestTokens.For(920, "gone", superuser: true), TestTokens.For(920, "gone", nickname: "other"));
        using var open = await other.Http.SendAsync(
            TestHost.Request(HttpMethod.Get, "/v2/task/log/stream/?log_key=1_1_1_h", null, token),
            HttpCompletionOption.ResponseHeadersRead
        );
        StreamsEndTests.ShouldStream(open);
        await using var stream = await open.Content.ReadAsStreamAsync();
        var ended = StreamsEndTests.Read(stream);
        await Seen(920);
        ended.IsCompleted.ShouldBeFalse("it is open");
        (await host.Patch("/v2/accounts/person/", new { user_id = 920, disabled = true, reason = "left" })).Code().ShouldBe(0);
        await ended.WaitAsync(TimeSpan.FromSeconds(60));
        (await Reason(host, token)).ShouldBe("disabled");
        (await Reason(host, another)).ShouldBe("disabled");
        await Eventually.True(async () => await Reason(other, another) == "disabled", "the other node knows");
        (await host.Ask<string>("SELECT username || ' ' || (after ->> 'reason') FROM platform.audit WHERE action = 'disable' AND object_id = '920'"))
            .ShouldBe("admin left");
        (await host.Patch("/v2/accounts/person/", new { user_id = 920, disabled = false })).Code().ShouldBe(0);
        (await Reason(host, token)).ShouldBeNull();
        await Eventually.True(async () => await Reason(other, token) is null, "the other node lets in again");
    }

    [Fact]
    public async Task Only_a_superuser_disables_and_nobody_disables_themselves()
    {
        await host.Get("/v2/accounts/me/", TestTokens.Admin);
        (await host.Patch("/v2/accounts/person/", new { user_id = 1, disabled = true }, TestTokens.For(930, "eve"))).Code().ShouldBe(-2);
        (await host.Patch("/v2/accounts/person/", new { user_id = 1, disabled = true })).Code().ShouldBe(-1);
        (await host.Patch("/v2/accounts/person/", new { user_id = 123_456, disabled = true })).Code().ShouldBe(-1);
        (await host.Patch("/v2/accounts/person/", new { user_id = 1 })).Code().ShouldBe(-1);
    }

    private async Task<JsonObject> Seen(long id)
    {
        JsonNode? row = null;
        await Eventually.True(
            async () =>
                (row = (await host.Get($"/v2/accounts/person/?q={id}"))["data"]!.AsArray().FirstOrDefault(one => (long)one!["user_id"]! == id)) is not null,
            $"{id} is known"
        );
        return row!.AsObject();
    }

    private async Task<string[]> Find(string q, string token) =>
        [.. (await host.Get($"/v2/accounts/person/?q={Uri.EscapeDataString(q)}", token))["data"]!.AsArray().Select(row => (string)row!["username"]!)];

    private static async Task<string?> Reason(TestHost of, string token)
    {
        using var request = TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, token);
        request.Headers.TryAddWithoutValidation("Accept", "application/problem+json");
        using var response = await of.Http.SendAsync(request);
        return response.StatusCode == HttpStatusCode.OK ? null : (string)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["reason"]!;
    }
}
