using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Codo.Tests.Support;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Host;

public sealed class StrangersHost(TestPostgres postgres) : HostFixture(postgres, ("Codo:PublicUrl", "https://codo.example.test"));

/// <summary>What somebody without a token can do to the host, and learn from it.</summary>
public sealed class StrangersTests(StrangersHost fixture) : IClassFixture<StrangersHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task The_description_is_served_from_memory_with_an_etag()
    {
        using var first = await host.Http.GetAsync("/openapi/v1.json");
        first.StatusCode.ShouldBe(HttpStatusCode.OK);
        first.Headers.ETag.ShouldNotBeNull();
        using var again = new HttpRequestMessage(HttpMethod.Get, "/openapi/v1.json");
        again.Headers.IfNoneMatch.Add(first.Headers.ETag!);
        using var unchanged = await host.Http.SendAsync(again);
        unchanged.StatusCode.ShouldBe(HttpStatusCode.NotModified);
        using var unknown = await host.Http.GetAsync("/openapi/v2.json");
        unknown.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Theory]
    [InlineData("/openapi/v1.json")]
    [InlineData("/healthz/ready")]
    [InlineData("/are_you_ok/")]
    [InlineData("/")]
    [InlineData("/other/anything/")]
    [InlineData("/nowhere/at/all/")]
    [InlineData("/v1/cron/job/")]
    [InlineData("/i/1")]
    public async Task A_flood_without_a_token_is_cut_off_and_callers_with_one_are_answered(string path)
    {
        await using var flooded = await fixture.Another(("Codo:StrangerRequestsPerSecond", "2"));
        var statuses = new List<HttpStatusCode>();
        for (var i = 0; i < 60; i++)
        {
            using var response = await flooded.Http.GetAsync(path);
            statuses.Add(response.StatusCode);
        }
        statuses.ShouldContain(HttpStatusCode.TooManyRequests);
        (await flooded.Get("/v1/cron/job/"))["code"]!.GetValue<int>().ShouldBe(0);
    }

    [Fact]
    public async Task Every_route_answers_with_the_headers_that_bind_a_browser()
    {
        var walked = 0;
        foreach (var endpoint in host.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>())
        {
            var pattern = "/" + endpoint.RoutePattern.RawText!.Trim('/');
            if (pattern.StartsWith("/ws/", StringComparison.Ordinal) || pattern.EndsWith("/stream", StringComparison.Ordinal)) continue;
            foreach (var method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods ?? ["GET"])
            {
                var path = pattern.Replace("{documentName?}", "", StringComparison.Ordinal).Replace("{documentName}", "v1", StringComparison.Ordinal);
                using var request = TestHost.Request(
                    new HttpMethod(method),
                    System.Text.RegularExpressions.Regex.Replace(path, @"\{[^}]*\}", "1"),
                    null,
                    TestTokens.Admin
                );
                using var response = await host.Http.SendAsync(request);
                Bound(response, $"{method} {pattern}");
                walked++;
            }
        }
        walked.ShouldBeGreaterThan(50);
        foreach (var path in new[] { "/hangfire", "/hangfire/recurring", "/docs/", "/nowhere/", "/" })
        {
            using var response = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, path, null, TestTokens.Admin));
            Bound(response, path);
        }
        using var api = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, TestTokens.Admin));
        api.Headers.CacheControl!.NoStore.ShouldBeTrue();
        api.Headers.Contains("Strict-Transport-Security").ShouldBeFalse();
    }

    [Fact]
    public async Task The_pages_still_work_under_their_policy()
    {
        using var docs = await host.Http.GetAsync("/docs/");
        var (page, policy) = (await docs.Content.ReadAsStringAsync(), docs.Headers.GetValues("Content-Security-Policy").Single());
        policy.ShouldNotContain("script-src 'self' 'unsafe-inline'");
        foreach (
            System.Text.RegularExpressions.Match script in System.Text.RegularExpressions.Regex.Matches(
                page,
                "<script(?![^>]*src=)[^>]*>(.*?)</script>",
                System.Text.RegularExpressions.RegexOptions.Singleline
            )
        )
            policy.ShouldContain(
                $"'sha256-{Convert.ToBase64String(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(script.Groups[1].Value)))}'"
            );
        using var dashboard = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/hangfire", null, TestTokens.Admin));
        System.Text.RegularExpressions.Regex.Count(await dashboard.Content.ReadAsStringAsync(), "<script(?![^>]*src=)[^>]*>").ShouldBe(0);
    }

    [Fact]
    public async Task Readiness_tells_a_stranger_its_state_and_no_more()
    {
        using var stranger = await host.Http.GetAsync("/healthz/ready");
        JsonNode.Parse(await stranger.Content.ReadAsStringAsync())!.AsObject().Select(pair => pair.Key).ShouldBe(["code", "msg"], ignoreOrder: true);
        (await host.Get("/healthz/ready", TestTokens.For(5, "somebody")))["checks"].ShouldNotBeNull();
    }

    [Theory]
    [InlineData("evil.example.test", 400)]
    [InlineData("codo.example.test.evil.example", 400)]
    [InlineData("codo.example.test", 200)]
    [InlineData("CODO.example.test:8443", 200)]
    [InlineData("127.0.0.1:9900", 200)]
    [InlineData("192.0.2.7", 200)]
    [InlineData("[::1]:9900", 200)]
    [InlineData("localhost:1", 200)]
    [InlineData("codo_upstream", 200)]
    public async Task Only_names_of_its_own_are_answered(string name, int status)
    {
        using var request = TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, TestTokens.Admin);
        request.Headers.Host = name;
        using var response = await host.Http.SendAsync(request);
        ((int)response.StatusCode).ShouldBe(status);
    }

    [Fact]
    public async Task Forwarded_headers_count_from_known_proxies_alone()
    {
        await using var behind = await fixture.Another(("Codo:KnownProxies:0", "127.0.0.0/8"));
        foreach (var (asked, known) in new[] { (host, false), (behind, true) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/v2/task/accept/");
            request.Headers.Add("Cookie", $"auth_key={TestTokens.Admin}");
            request.Headers.Add("X-Forwarded-For", "203.0.113.9");
            request.Headers.Add("X-Forwarded-Proto", "https");
            request.Headers.Host = "codo.example.test";
            using var response = await asked.Http.SendAsync(request);
            response.Headers.Contains("Strict-Transport-Security").ShouldBe(known);
            response.Headers.GetValues("Set-Cookie").Single().Contains("secure", StringComparison.OrdinalIgnoreCase).ShouldBe(known);

            var name = $"command-{known}";
            using var change = TestHost.Request(
                HttpMethod.Post,
                "/v2/task_layout/command/",
                $$"""{"command_name": "{{name}}", "command": "true"}""",
                TestTokens.Admin
            );
            change.Headers.Add("X-Forwarded-For", "203.0.113.9");
            (await asked.Http.SendAsync(change)).Dispose();
            (await asked.Ask<string>("SELECT address FROM platform.audit WHERE after->>'command_name' = @name", new { name })).ShouldBe(
                known ? "203.0.113.9" : "127.0.0.1"
            );
        }
    }

    private static void Bound(HttpResponseMessage response, string what)
    {
        Header(response.Headers, "X-Content-Type-Options").ShouldBe("nosniff", what);
        Header(response.Headers, "Referrer-Policy").ShouldNotBe("", what);
        Header(response.Headers, "Content-Security-Policy").ShouldContain("frame-ancestors", customMessage: what);
        Header(response.Headers, "Content-Security-Policy").ShouldContain("default-src", customMessage: what);
        if (response.Content.Headers.ContentType?.MediaType == "application/json" && !what.Contains("openapi", StringComparison.Ordinal))
            response.Headers.CacheControl?.NoStore.ShouldBeTrue(what);
    }

    private static string Header(HttpResponseHeaders headers, string name) => headers.TryGetValues(name, out var values) ? values.Single() : "";
}
