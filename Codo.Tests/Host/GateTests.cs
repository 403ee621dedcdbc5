using System.Buffers.Text;
using System.Net;
using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Tests.Support;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Host;

public sealed class GateHost(TestPostgres postgres)
    : HostFixture(
        postgres,
        ("Codo:Auth:AllowedOrigins:0", "https://console.example.test"),
        ("Codo:PublicUrl", "https://codo.example.test/"),
        ("Codo:AllowedHosts", "console.lan"),
        // Its tests ask as strangers, hundreds of times in a second.
        ("Codo:StrangerRequestsPerSecond", "10000")
    );

/// <summary>Who is let in, and what everybody else is told.</summary>
public sealed class GateTests(GateHost fixture) : IClassFixture<GateHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Every_route_without_a_token_is_401_unless_it_is_meant_for_anybody()
    {
        string[] open =
        [
            "/",
            "/sign-in",
            "/sign-out",
            "/are_you_ok",
            "/healthz/live",
            "/healthz/ready",
            "/v2/accounts/login",
            // What was granted to a terminal is fetched with the secret that only it has.
            "/v2/accounts/terminal/token",
            "/openapi/{documentName}.json",
            "/docs",
            "/other/{**rest}",
            // Scripts and styles, the same for everybody.
            "/assets/{version}/{name}",
        ];
        var walked = 0;
        foreach (var endpoint in host.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>())
        {
            var pattern = "/" + endpoint.RoutePattern.RawText!.Trim('/');
            // The page of an incident is a sign-in form to a stranger, also where they press its button; acting on it needs a token.
            var isOpen = open.Any(path => pattern == path || (path.Length > 1 && pattern.StartsWith(path + "/", StringComparison.Ordinal)))
                || pattern == "/i/{id:long}";
            (endpoint.Metadata.GetMetadata<Right>() == Right.Anybody).ShouldBe(isOpen, pattern);
            if (isOpen) continue;
            foreach (var method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods ?? ["GET"])
            {
                using var request = new HttpRequestMessage(new HttpMethod(method), System.Text.RegularExpressions.Regex.Replace(pattern, @"\{[^}]*\}", "1"));
                using var response = await host.Http.SendAsync(request);
                response.StatusCode.ShouldBe(HttpStatusCode.Unauthorized, $"{method} {pattern}");
                walked++;
            }
        }
        walked.ShouldBeGreaterThan(10);
    }

    public static TheoryData<string, string> BadTokens()
    {
        var none = TestTokens.Payload(5, "eve", superuser: true);
        none["data"]!.AsObject().Remove("user_id");
        var expired = TestTokens.Payload(5, "eve", superuser: true);
        expired["exp"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 1;
        var early = TestTokens.Payload(5, "eve", superuser: true);
        early["nbf"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 86_400;
        var endless = TestTokens.Payload(5, "eve", superuser: true);
        endless.Remove("exp");
        var nobody = TestTokens.Payload(0, "eve", superuser: true);
        var below = TestTokens.Payload(-5, "eve", superuser: true);
        var half = Signed(
            """{"alg":"HS256","typ":"JWT"}""",
            TestTokens.Payload(5, "eve", superuser: true).ToJsonString().Replace("\"eve\"", "\"\\ud800\"", StringComparison.Ordinal)
        );
        var critical = Signed("""{"alg":"HS256","typ":"JWT","crit":["b64"],"b64":false}""", TestTokens.Payload(5, "eve", superuser: true).ToJsonString());
        var text = new JsonObject { ["exp"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 86_400, ["data"] = "text" };
        var unsigned = Base64("""{"alg":"none","typ":"JWT"}""") + "." + Base64(TestTokens.Payload(5, "eve", superuser: true).ToJsonString()) + ".";
        return new TheoryData<string, string>
        {
            { "nonsense", "malformed" },
            { "a.b.c", "malformed" },
            { TestTokens.Sign(TestTokens.Payload(5, "eve", superuser: true), "another-secret-that-is-long-enough-too"), "signature" },
            { unsigned, "signature" },
            { TestTokens.Sign(expired), "expired" },
            { TestTokens.Sign(early), "not_yet_valid" },
            { TestTokens.Sign(endless), "malformed" },
            { TestTokens.Sign(none), "no_user_id" },
            { TestTokens.Sign(text), "no_user_id" },
            { TestTokens.Sign(nobody), "no_user_id" },
            { TestTokens.Sign(below), "no_user_id" },
            { half, "malformed" },
            { critical, "malformed" },
        };

        static string Base64(string json) => Base64Url.EncodeToString(System.Text.Encoding.UTF8.GetBytes(json));

        static string Signed(string header, string payload)
        {
            var signed = Base64(header) + "." + Base64(payload);
            return signed
                + "."
                + Base64Url.EncodeToString(
                    System.Security.Cryptography.HMACSHA256.HashData(
                        System.Text.Encoding.UTF8.GetBytes(TestTokens.Secret),
                        System.Text.Encoding.ASCII.GetBytes(signed)
                    )
                );
        }
    }

    [Theory]
    [MemberData(nameof(BadTokens))]
    public async Task A_bad_token_is_401_and_the_answer_says_why(string token, string reason)
    {
        using var response = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, token));
        response.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        ((int)answer["code"]!, (string)answer["msg"]!, (string)answer["reason"]!).ShouldBe((401, "你没有登录", reason));
    }

    [Fact]
    public async Task A_token_is_taken_from_the_cookie_both_headers_and_the_query()
    {
        using var missing = await host.Http.GetAsync("/v1/cron/job/");
        (await missing.Content.ReadAsStringAsync()).ShouldContain("\"reason\":\"missing\"");
        foreach (
            var (name, value, query) in new[]
            {
                ("Cookie", $"a=b; auth_key={TestTokens.Admin}", ""),
                ("auth-key", TestTokens.Admin, ""),
                ("Authorization", "Bearer " + TestTokens.Admin, ""),
                ("X-Nothing", "x", "?auth_key=" + TestTokens.Admin),
            }
        )
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/cron/job/" + query);
            request.Headers.TryAddWithoutValidation(name, value);
            using var response = await host.Http.SendAsync(request);
            response.StatusCode.ShouldBe(HttpStatusCode.OK, name);
        }
    }

    [Theory]
    [InlineData(200, "GET", "")]
    [InlineData(200, "PATCH", "")]
    [InlineData(402, "PATCH", "https://evil.example.test")]
    public async Task A_cookie_of_a_sign_in_that_is_over_does_not_hide_codo_admins(int status, string method, string origin)
    {
        var over = TestTokens.Sign(TestTokens.Payload(5, "eve", superuser: true), "another-secret-that-is-long-enough-too");
        foreach (var (theirs, expected) in new[] { (TestTokens.Admin, status), (over, 401) })
        {
            var body = method == "GET" ? null : """{"job_id":"nobody"}""";
            using var request = TestHost.Request(new HttpMethod(method), "/v1/cron/job/", body, null);
            request.Headers.TryAddWithoutValidation("Cookie", $"codo_auth={over}; auth_key={theirs}; _xsrf=k3y");
            if (origin.Length > 0) request.Headers.TryAddWithoutValidation("Origin", origin);
            using var response = await host.Http.SendAsync(request);
            ((int)response.StatusCode).ShouldBe(expected);
        }
    }

    [Theory]
    [InlineData(402, "Origin", "https://evil.example.test")]
    [InlineData(402, "Origin", "null")]
    [InlineData(402, "Sec-Fetch-Site", "cross-site")]
    [InlineData(402, "X-Xsrftoken", "wrong", "Origin", "https://evil.example.test")]
    [InlineData(200, "Origin", "https://console.example.test")]
    [InlineData(200, "Origin", "https://codo.example.test")]
    [InlineData(200, "Origin", "self")]
    [InlineData(200, "X-Xsrftoken", "k3y", "Origin", "https://evil.example.test")]
    [InlineData(200)]
    public async Task A_change_with_the_cookie_needs_a_page_that_may(int status, params string[] headers)
    {
        using var request = TestHost.Request(HttpMethod.Patch, "/v1/cron/job/", """{"job_id":"nobody"}""", null);
        request.Headers.TryAddWithoutValidation("Cookie", $"auth_key={TestTokens.Admin}; _xsrf=k3y");
        for (var i = 0; i < headers.Length; i += 2)
            request.Headers.TryAddWithoutValidation(headers[i], headers[i + 1] == "self" ? host.Http.BaseAddress!.ToString().TrimEnd('/') : headers[i + 1]);
        using var response = await host.Http.SendAsync(request);
        ((int)response.StatusCode).ShouldBe(status);
        if (status == 402) (await response.Content.ReadAsStringAsync()).ShouldContain("csrf error");
    }

    // What a gateway leaves of Host, and the page that the browser was on.
    [Theory]
    [InlineData(true, "console.lan", "http://console.lan:8080", "")]
    [InlineData(true, "console.lan", "http://console.lan", "")]
    [InlineData(false, "console.lan:9900", "http://console.lan:8080", "")]
    [InlineData(false, "console.lan", "http://evil.example.test:8080", "")]
    [InlineData(false, "10.0.0.5:9900", "http://console.lan", "")]
    [InlineData(true, "10.0.0.5:9900", "http://console.lan", "?_xsrf=k3y")]
    [InlineData(false, "10.0.0.5:9900", "http://console.lan", "?_xsrf=wrong")]
    [InlineData(false, "10.0.0.5:9900", "http://console.lan", "?_xsrf=")]
    [InlineData(true, "10.0.0.5:9900", "https://codo.example.test", "")]
    [InlineData(true, "10.0.0.5:9900", "https://console.example.test", "")]
    [InlineData(false, "10.0.0.5", "null", "")]
    public async Task A_handshake_is_let_in_from_a_page_that_may_whatever_the_gateway_makes_of_Host(
        bool isLetIn,
        string hostHeader,
        string origin,
        string query
    )
    {
        using var socket = new System.Net.WebSockets.ClientWebSocket();
        socket.Options.CollectHttpResponseDetails = true;
        socket.Options.SetRequestHeader("Cookie", $"auth_key={TestTokens.Admin}; _xsrf=k3y");
        socket.Options.SetRequestHeader("Origin", origin);
        socket.Options.SetRequestHeader("Host", hostHeader);
        var address = new Uri(host.Http.BaseAddress!.ToString().Replace("http", "ws", StringComparison.Ordinal) + "api/task/ws/v1/task/log/" + query);
        if (isLetIn)
        {
            await socket.ConnectAsync(address, TestContext.Current.CancellationToken);
            return;
        }
        await Should.ThrowAsync<System.Net.WebSockets.WebSocketException>(() => socket.ConnectAsync(address, TestContext.Current.CancellationToken));
        ((int)socket.HttpStatusCode).ShouldBe(402);
    }

    [Fact]
    public async Task A_change_is_not_let_in_by_what_lets_a_handshake_in()
    {
        using var request = TestHost.Request(HttpMethod.Patch, "/v1/cron/job/?_xsrf=k3y", """{"job_id":"nobody"}""", null);
        request.Headers.TryAddWithoutValidation("Cookie", $"auth_key={TestTokens.Admin}; _xsrf=k3y");
        request.Headers.TryAddWithoutValidation("Origin", "http://console.lan:8080");
        request.Headers.Host = "console.lan";
        using var response = await host.Http.SendAsync(request);
        ((int)response.StatusCode).ShouldBe(402);
    }

    [Fact]
    public async Task The_xsrf_cookie_is_set_only_when_it_is_absent()
    {
        foreach (var (cookie, isSet) in new[] { ($"auth_key={TestTokens.Admin}", true), ($"auth_key={TestTokens.Admin}; _xsrf=theirs", false) })
        {
            using var request = TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, null);
            request.Headers.TryAddWithoutValidation("Cookie", cookie);
            using var response = await host.Http.SendAsync(request);
            response.Headers.TryGetValues("Set-Cookie", out var set);
            (set?.Any(value => value.StartsWith("_xsrf=", StringComparison.Ordinal)) ?? false).ShouldBe(isSet);
        }
    }

    [Fact]
    public async Task The_dashboard_is_for_superusers_and_cannot_change_anything()
    {
        (await host.Get("/hangfire", TestTokens.For(5, "somebody"))).ToJsonString().ShouldContain("\"code\":403");
        using var dashboard = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/hangfire/recurring", null, TestTokens.Admin));
        dashboard.StatusCode.ShouldBe(HttpStatusCode.OK);
        (await dashboard.Content.ReadAsStringAsync()).ShouldNotContain("data-url=\"/hangfire/recurring/trigger\"");
        using var running = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/hangfire/running", null, TestTokens.Admin));
        (await running.Content.ReadAsStringAsync()).ShouldContain("Nothing is under way");
    }
}
