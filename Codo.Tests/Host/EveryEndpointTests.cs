using System.Net;
using System.Text.Json.Nodes;
using Codo.Host;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Host;

public sealed class SmallBodyHost(TestPostgres postgres) : HostFixture(postgres, ("Codo:MaxBody", "100000"));

/// <summary>The section "For every endpoint" of the contract.</summary>
public sealed class EveryEndpointTests(SmallBodyHost fixture) : IClassFixture<SmallBodyHost>
{
    private readonly TestHost host = fixture.Host;

    [Theory]
    [InlineData("/api/cron//v1/cron/job/", "/v1/cron/job/")]
    [InlineData("//v1///cron/job", "/v1/cron/job")]
    [InlineData("/cron/v1/cron/log/", "/v1/cron/log/")]
    [InlineData("/api/task/ws/v1/task/log/", "/ws/v1/task/log/")]
    [InlineData("/task/v2/task/list/", "/v2/task/list/")]
    [InlineData("/tasks/x", "/tasks/x")]
    [InlineData("/api/cron", "/")]
    [InlineData("", "/")]
    [InlineData("/", "/")]
    public void Paths_lose_their_gateway_prefix_and_their_repeated_slashes(string asked, string served) => LegacyPathPrefixes.Normalise(asked).ShouldBe(served);

    [Theory]
    [InlineData("GET", "/are_you_ok/", 200)]
    [InlineData("HEAD", "/are_you_ok", 200)]
    [InlineData("GET", "/api/cron/are_you_ok/", 200)]
    [InlineData("GET", "/nowhere/", 404)]
    [InlineData("DELETE", "/v1/cron/log/", 405)]
    [InlineData("POST", "/v1/cron/log/output/", 405)]
    [InlineData("HEAD", "/healthz/live", 200)]
    [InlineData("POST", "/healthz/ready", 405)]
    public async Task Unknown_paths_and_methods_answer_in_json(string method, string path, int status)
    {
        using var response = await host.Http.SendAsync(TestHost.Request(new HttpMethod(method), path, null, null));
        ((int)response.StatusCode).ShouldBe(status);
        if (status == 405) response.Content.Headers.Allow.ShouldBe(path.StartsWith("/healthz", StringComparison.Ordinal) ? ["GET", "HEAD"] : ["GET"]);
        if (status == 200) return;
        JsonNode.Parse(await response.Content.ReadAsStringAsync())!["code"]!.GetValue<int>().ShouldBe(status);
        response.Content.Headers.ContentType!.ToString().ShouldBe("application/json; charset=utf-8");
    }

    [Fact]
    public async Task A_client_of_problem_details_gets_the_true_status()
    {
        foreach (var (method, body, status) in new[] { ("DELETE", "{\"job_id\":\"nobody\"}", 404), ("DELETE", "{}", 400), ("DELETE", "[]", 400) })
        {
            using var request = TestHost.Request(new HttpMethod(method), "/v1/cron/job/", body, TestTokens.Admin);
            request.Headers.TryAddWithoutValidation("Accept", "application/problem+json");
            using var response = await host.Http.SendAsync(request);
            ((int)response.StatusCode).ShouldBe(status);
            response.Content.Headers.ContentType!.MediaType.ShouldBe("application/problem+json");
            var problem = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
            problem["status"]!.GetValue<int>().ShouldBe(status);
            problem["code"]!.GetValue<int>().ShouldBe(-1);
        }
        using var nobody = TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, null);
        nobody.Headers.TryAddWithoutValidation("Accept", "application/problem+json");
        using var unknown = await host.Http.SendAsync(nobody);
        JsonNode.Parse(await unknown.Content.ReadAsStringAsync())!["reason"]!.GetValue<string>().ShouldBe("missing");
    }

    [Fact]
    public async Task A_body_past_the_limit_is_413()
    {
        using var response = await host.Http.SendAsync(TestHost.Request(HttpMethod.Post, "/v1/cron/job/", new string(' ', 200_000), TestTokens.Admin));
        response.StatusCode.ShouldBe(HttpStatusCode.RequestEntityTooLarge);
        (await response.Content.ReadAsStringAsync()).ShouldContain("\"code\":413");
    }

    [Theory]
    [InlineData("multipart/form-data", "username=ann")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nno end")]
    [InlineData("application/x-www-form-urlencoded", null)]
    public async Task A_form_that_cannot_be_read_is_refused(string kind, string? text)
    {
        // Null: more fields than anybody fills in.
        text ??= string.Join('&', Enumerable.Range(0, 2000).Select(number => $"field{number}=x"));
        foreach (var (path, token) in new[] { ("/sign-in/", null), ("/i/1", TestTokens.Admin) })
        {
            using var request = TestHost.Request(HttpMethod.Post, path, null, token);
            request.Content = new StringContent(text);
            request.Content.Headers.Remove("Content-Type");
            request.Content.Headers.TryAddWithoutValidation("Content-Type", kind);
            using var response = await host.Http.SendAsync(request, TestContext.Current.CancellationToken);
            var answer = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
            ((int)response.StatusCode).ShouldBeLessThan(500, answer);
            answer.ShouldMatch("\"code\":(-1|413)");
        }
    }

    [Theory]
    [InlineData("/jobs?q=%00")]
    [InlineData("/search?q=a%00b")]
    [InlineData("/orders?q=%00&list_id=%00")]
    [InlineData("/audit?who=%00&object=%00")]
    [InlineData("/incidents?subject=%00")]
    [InlineData("/ledger?job_id=%00")]
    public async Task A_page_shows_a_nul_in_its_address_as_what_it_is(string path)
    {
        using var request = TestHost.Request(HttpMethod.Get, path, null, TestTokens.Admin);
        request.Headers.TryAddWithoutValidation("Accept", "text/html");
        using var response = await host.Http.SendAsync(request, TestContext.Current.CancellationToken);
        ((int)response.StatusCode).ShouldBeLessThan(500, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Past_the_rate_limit_is_429()
    {
        await using var limited = await fixture.Another(("Codo:RequestsPerSecond", "5"));
        // All at once: one after another on a slow machine, they are no more than the limit allows.
        var answers = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => limited.Get("/v1/cron/job/")));
        var codes = answers.Select(answer => answer["code"]!.GetValue<int>()).ToList();
        codes.ShouldContain(0);
        codes.ShouldContain(429);
    }

    [Fact]
    public async Task A_request_id_comes_back_and_the_language_follows_the_caller()
    {
        using var request = TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, TestTokens.Admin);
        request.Headers.Add("X-Request-Id", "my-id.1");
        using var response = await host.Http.SendAsync(request);
        response.Headers.GetValues("X-Request-Id").ShouldBe(["my-id.1"]);
        using var forged = TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, TestTokens.Admin);
        forged.Headers.TryAddWithoutValidation("X-Request-Id", "a b<script>");
        using var own = await host.Http.SendAsync(forged);
        own.Headers.GetValues("X-Request-Id").Single().ShouldMatch("^[0-9a-f]{32}$");
        foreach (
            var (language, message) in new[]
            {
                (null, "获取成功"),
                ("zh-CN,zh;q=0.9,en;q=0.8", "获取成功"),
                ("en-US,en;q=0.9", "OK"),
                ("fr", "获取成功"),
                ("en;q=0.5,zh", "获取成功"),
            }
        )
            (await host.Send(HttpMethod.Get, "/v1/cron/job/", null, language: language))["msg"]!.GetValue<string>().ShouldBe(message, language);
    }

    [Fact]
    public async Task Readiness_names_each_thing_and_redis_away_is_degraded_and_not_dead()
    {
        using var response = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/healthz/ready", null, TestTokens.Admin));
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        answer["msg"]!.GetValue<string>().ShouldBe("degraded");
        answer["checks"]!
            .AsObject()
            .Select(pair => pair.Key)
            .ShouldBe(
                [
                    "postgresql",
                    "redis",
                    "hangfire",
                    "disk",
                    "clock",
                    "lease",
                    "alerts",
                    "loops",
                    "outbox",
                    "retention",
                    "storage",
                    "jobs",
                    "time_zone",
                    "order_words",
                    "quotas",
                    "database_rights",
                    "run_as",
                    "hold",
                    "roles",
                ],
                ignoreOrder: true
            );
        answer["checks"]!["postgresql"]!["status"]!.GetValue<string>().ShouldBe("healthy");
        answer["checks"]!["redis"]!["status"]!.GetValue<string>().ShouldBe("degraded");
        answer["checks"]!["disk"]!["detail"]!.GetValue<string>().ShouldNotStartWith("0 ");
    }

    [Fact]
    public async Task An_outbox_that_somebody_has_locked_is_degraded_and_takes_no_node_out_of_the_balancer()
    {
        await using var connection = await host.Source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await connection.ExecuteAsync("LOCK TABLE platform.outbox IN ACCESS EXCLUSIVE MODE", transaction: transaction);
        using var response = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/healthz/ready", null, TestTokens.Admin));
        var text = await response.Content.ReadAsStringAsync();
        response.StatusCode.ShouldBe(HttpStatusCode.OK, text);
        JsonNode.Parse(text)!["checks"]!["outbox"]!["status"]!.GetValue<string>().ShouldBe("degraded");
    }

    [Fact]
    public async Task Without_postgres_requests_are_503_with_a_code_and_the_host_is_not_ready()
    {
        await using var own = await TestPostgres.StartNew();
        await using var lonely = await TestHost.Start(own);
        await own.Stop();
        using var response = await lonely.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, TestTokens.Admin));
        response.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        (await response.Content.ReadAsStringAsync()).ShouldContain("\"code\":503");
        using var ready = await lonely.Http.GetAsync("/healthz/ready");
        ready.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        using var live = await lonely.Http.GetAsync("/healthz/live");
        live.StatusCode.ShouldBe(HttpStatusCode.OK);
        await own.Start();
        await Eventually.True(async () => (await lonely.Get("/v1/cron/job/"))["code"]!.GetValue<int>() == 0, "it answers again");
    }

    [Fact]
    public async Task The_description_has_every_route_with_its_body_or_query_and_its_answer()
    {
        var whole = await host.Get("/openapi/v1.json");
        var document = whole["paths"]!.AsObject();
        var post = document["/v1/cron/job"]!["post"]!;
        post["requestBody"]!.ToJsonString().ShouldContain("schema");
        post["responses"]!["200"]!["description"]!.GetValue<string>().ShouldContain("-1");
        document["/v1/cron/log"]!["get"]!["parameters"]!.AsArray().Select(parameter => parameter!["name"]!.GetValue<string>()).ShouldContain("start_date");
        foreach (var path in document.Where(path => path.Key.StartsWith("/v", StringComparison.Ordinal)))
            foreach (var operation in path.Value!.AsObject())
                operation.Value!["responses"]!["200"].ShouldNotBeNull($"{operation.Key} {path.Key}");
        foreach (
            var (path, field) in new[]
            {
                ("/v1/cron/job", "count"),
                ("/v1/cron/log", "status"),
                ("/v1/cron/job/next", "cron_text"),
                ("/v1/cron/log/output", "after"),
            }
        )
        {
            var schema = document[path]!["get"]!["responses"]!["200"]!["content"]!["application/json"]!["schema"]!["$ref"]!.GetValue<string>().Split('/')[^1];
            whole["components"]!["schemas"]![schema]!["properties"]![field].ShouldNotBeNull($"{path} answers {schema}");
        }
        foreach (var (path, status) in new[] { ("/healthz/live", "200"), ("/healthz/ready", "200"), ("/healthz/ready", "503") })
            document[path]!["get"]!["responses"]![status]!["content"]!["application/json"]!["schema"]!.ToJsonString().ShouldContain("Report");
        foreach (var raw in new[] { "/are_you_ok", "/v2/task/log/stream", "/ws/v1/task/log", "/ws/v1/task/log_data" }) document[raw].ShouldNotBeNull(raw);
        using var docs = await host.Http.GetAsync("/docs/");
        docs.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task The_front_page_turns_a_token_into_the_cookie_and_a_bad_one_into_a_reason()
    {
        (await host.Http.GetStringAsync("/")).ShouldContain("name=\"token\"");
        using var good = await host.Http.PostAsync("/sign-in/", new FormUrlEncodedContent([new("token", TestTokens.Admin)]));
        good.StatusCode.ShouldBe(HttpStatusCode.SeeOther);
        good.Headers.GetValues("Set-Cookie")
            .Single()
            .ShouldSatisfyAllConditions(
                cookie => cookie.ShouldStartWith("codo_auth="),
                cookie => cookie.ShouldContain("httponly"),
                cookie => cookie.ShouldContain("samesite=lax")
            );
        using var bad = await host.Http.PostAsync("/sign-in/", new FormUrlEncodedContent([new("token", "<script>")]));
        bad.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        (await bad.Content.ReadAsStringAsync()).ShouldContain("malformed");
        foreach (var path in new[] { "/sign-in/", "/sign-out/" })
        {
            using var foreign = new HttpRequestMessage(HttpMethod.Post, path) { Content = new FormUrlEncodedContent([new("token", TestTokens.Admin)]) };
            foreign.Headers.Add("Origin", "https://evil.example.test");
            using var refused = await host.Http.SendAsync(foreign);
            ((int)refused.StatusCode, refused.Headers.Contains("Set-Cookie")).ShouldBe((402, false));
        }
    }
}
