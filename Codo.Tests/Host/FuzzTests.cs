using System.Globalization;
using System.Net;
using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;
using FluentValidation;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Tests.Host;

/// <summary>A host in this process, which knows the routes and their validators, and one of its own, which is asked.</summary>
public sealed class FuzzHost(TestPostgres postgres) : HostFixture(postgres)
{
    private readonly TestFolder folder = new();

    internal HostProcess Process { get; private set; } = null!;

    internal HttpClient Http { get; private set; } = null!;

    internal string Database => $"Host={Process.DataDirectory}/postgres-socket;Username=codo;Database=codo";

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        Process = await HostProcess.Start(
            folder.At("codo"),
            environment: [("Codo__Auth__TokenSecret", TestTokens.Secret), ("Codo__RequestsPerSecond", "1000000"), ("Codo__StrangerRequestsPerSecond", "100000")]
        );
        Http = new HttpClient(new SocketsHttpHandler { UseCookies = false, AllowAutoRedirect = false })
        {
            BaseAddress = Process.Address,
            // Fifty of the largest answers take their turns; beside other tests that is minutes.
            Timeout = TimeSpan.FromMinutes(10),
        };
    }

    /// <summary>Begins to measure anew; answers what the process has now, in bytes.</summary>
    internal long Begin()
    {
        File.WriteAllText($"/proc/{Process.Pid}/clear_refs", "5");
        return Peak();
    }

    /// <summary>The most memory that the process has had since <see cref="Begin"/>, in bytes.</summary>
    internal long Peak() =>
        long.Parse(
            File.ReadLines($"/proc/{Process.Pid}/status")
                .First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal))
                .Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
            CultureInfo.InvariantCulture
        ) << 10;

    public override async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await Process.DisposeAsync();
        await base.DisposeAsync();
        NpgsqlConnection.ClearAllPools();
        folder.Dispose();
    }
}

/// <summary>
/// Ten thousand requests over every route, made from the records that the routes read. The seed is printed; set CODO_FUZZ_SEED to see a run again.
/// </summary>
public sealed class FuzzTests(FuzzHost fixture, ITestOutputHelper output) : IClassFixture<FuzzHost>
{
    private const int Valid = 8000,
        Wild = 2000,
        Group = 5;
    // What the tests before it left in the process is not counted: .NET gives it back late, and the order of the tests is chance.
    private const long MostGrowth = 440L << 20;

    // Issued tomorrow: a request that revokes its own person's tokens would end all that follow.
    private static readonly string Admin = IssuedTomorrow();

    private readonly TestHost host = fixture.Host;

    private const string Changes = "SELECT count(*) FROM platform.audit WHERE request_id = ANY(@refused) AND result = 'ok'";

    [Fact]
    public async Task No_request_makes_a_5xx_or_a_hang_and_a_refused_one_changes_nothing()
    {
        var seed = int.TryParse(Environment.GetEnvironmentVariable("CODO_FUZZ_SEED"), out var given) ? given : Random.Shared.Next();
        output.WriteLine($"CODO_FUZZ_SEED={seed}");
        var random = new Random(seed);
        var memory = fixture.Begin();
        await Made("/v2/task_layout/args/", new { args_name = "word", args_self = "WORD" });
        await Made("/v2/task_layout/temp/", new { temp_name = "template" });
        const long template = 1;
        await Made(
            "/v2/task_layout/details/",
            new JsonObject { ["temp_id"] = template, ["new_temp_data"] = new JsonArray(OrderHost.Step("true", "WORD")) },
            HttpMethod.Put
        );
        var slices = Slices();
        slices.Count.ShouldBeGreaterThan(30);
        var maker = new Maker(random, template);

        // Most pass the validator, so that they come to the handler and to PostgreSQL.
        var passed = new List<Asked>();
        using (var scope = host.Services.CreateScope())
        {
            for (var n = 0; n < Valid; n++)
                passed.Add(Passing(maker, slices[n % slices.Count], scope.ServiceProvider));
        }
        passed
            .Count(asked => asked.Passes)
            .ShouldBeGreaterThan(
                (int)(Valid * 0.98),
                string.Join(", ", passed.Where(asked => !asked.Passes).CountBy(asked => asked.Slice.Type.FullName!).Select(slice => slice.ToString()))
            );
        var answers = new List<(string Id, int Code)>();
        await Parallel.ForEachAsync(
            passed,
            new ParallelOptions { MaxDegreeOfParallelism = 8 },
            async (asked, _) =>
            {
                var answer = await Send(asked);
                lock (answers)
                    answers.Add(answer);
            }
        );
        answers.Count(answer => answer.Code == 0).ShouldBeGreaterThan(Valid / 20, "the handlers were reached");
        // What changes something writes that it did, in the same transaction: a refused request has no such line, but that of its refusal.
        var refused = answers.Where(answer => answer.Code != 0).Select(answer => answer.Id).ToArray();
        await using (var connection = new NpgsqlConnection(fixture.Database))
            (await connection.ExecuteScalarAsync<long>(Changes, new { refused })).ShouldBe(0);

        var (before, compared) = (await Everything(), 0);
        for (var n = 0; n < Wild; n += Group)
        {
            var (asked, isChanged) = (new List<string>(), false);
            for (var i = 0; i < Group; i++)
            {
                var slice = slices[random.Next(slices.Count)];
                asked.Add($"{slice.Method} {slice.Path}");
                var (_, code) = await Send(maker.Wild(slice));
                // Whatever is only read may be answered: it changes nothing either.
                isChanged |= code == 0 && slice.Method != "GET";
            }
            var after = await Everything();
            if (!isChanged)
            {
                after.ShouldBe(before, string.Join(", ", asked));
                compared++;
            }
            before = after;
        }
        compared.ShouldBeGreaterThan(50, "refused requests were looked at");

        (fixture.Peak() - memory).ShouldBeLessThan(MostGrowth);
        (await Get("/v1/cron/job/"))["code"]!.GetValue<int>().ShouldBe(0);
        fixture.Process.Output.ShouldNotContain("Unhandled failure");
    }

    [Fact]
    public async Task The_longest_texts_and_the_largest_pages_leave_memory_bounded()
    {
        var memory = fixture.Begin();
        await Made("/v2/task_layout/temp/", new { temp_name = "long" });
        var template = (long)(await Get("/v2/task_layout/temp/?key=temp_name&value=long"))["data"]![0]!["temp_id"]!;
        await Made(
            "/v2/task_layout/details/",
            new JsonObject { ["temp_id"] = template, ["new_temp_data"] = new JsonArray(OrderHost.Step("true")) },
            HttpMethod.Put
        );
        for (var n = 0; n < 150; n++)
        {
            await Made(
                "/v2/task/accept/",
                new
                {
                    task_name = "long",
                    temp_id = template,
                    hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
                    details = new string('d', 64 << 10),
                    args = new Dictionary<string, string> { ["A"] = new string('a', 250_000) },
                }
            );
            await Made(
                "/v1/cron/job/",
                new
                {
                    job_id = $"long-{n}",
                    cmd = "true " + new string('c', 99_000),
                    cron = "0 0 0 29 2 *",
                    env = new Dictionary<string, string> { ["A"] = new string('e', 60_000) },
                }
            );
        }
        foreach (var path in new[] { "/v2/task/list/?limit=1000", "/v1/cron/job/?limit=1000", "/openapi/v1.json" })
            await Parallel.ForEachAsync(
                Enumerable.Range(0, 60),
                new ParallelOptions { MaxDegreeOfParallelism = 50 },
                async (_, stop) =>
                {
                    // Fifty at once on a busy machine may wait for PostgreSQL longer than a request does: that is said, and asked again.
                    HttpStatusCode status;
                    var tries = 0;
                    do
                    {
                        using var response = await fixture.Http.SendAsync(TestHost.Request(HttpMethod.Get, path, null, Admin), stop);
                        status = response.StatusCode;
                        (await response.Content.ReadAsByteArrayAsync(stop)).Length.ShouldBeLessThan(8 << 20);
                    } while (status == HttpStatusCode.ServiceUnavailable && ++tries < 10);
                    status.ShouldBe(HttpStatusCode.OK);
                }
            );
        (fixture.Peak() - memory).ShouldBeLessThan(MostGrowth);
    }

    [Fact]
    public async Task A_body_full_of_fields_that_nobody_reads_is_answered_with_the_first_of_them()
    {
        var memory = fixture.Begin();
        var fields = string.Join(',', Enumerable.Repeat("\"x\":1", 1_000_000));
        var body = $$"""{"temp_id": 99999999, "new_temp_data": [], {{fields}}}""";
        using var response = await fixture.Http.SendAsync(TestHost.Request(HttpMethod.Put, "/v2/task_layout/details/", body, Admin));
        var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        ((string)answer["msg"]!, answer["warnings"]!.AsArray().Count).ShouldBe(("模板不存在", 21));
        ((string)answer["warnings"]![20]!).ShouldBe("还有 999980 个不认识的字段");
        (fixture.Peak() - memory).ShouldBeLessThan(MostGrowth);
    }

    [Fact]
    public async Task Patterns_whose_automata_are_large_leave_memory_bounded()
    {
        // Each takes some 80 MB while it is built.
        var pattern = string.Concat(Enumerable.Range(0, 330).Select(n => $"{(char)(0x3000 + n * 97)}.*"));
        // The code that a trial needs is loaded by a small one.
        await Made("/v2/task/risk/test/", new { cmd = "true", pattern = "a.*b" });
        var memory = fixture.Begin();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, 20),
            new ParallelOptions { MaxDegreeOfParallelism = 20 },
            async (_, _) => await Made("/v2/task/risk/test/", new { cmd = "true", pattern })
        );
        (fixture.Peak() - memory).ShouldBeLessThan(MostGrowth / 3 * 2);
    }

    [Fact]
    public async Task No_route_stores_a_text_without_an_end()
    {
        var maker = new Maker(new Random(5), 1);
        // Text that does not compress: what is stored of it shows in the database's size.
        var bytes = new byte[500_000];
        new Random(5).NextBytes(bytes);
        var text = Convert.ToBase64String(bytes);
        await using var connection = new NpgsqlConnection(fixture.Database);
        var before = await connection.ExecuteScalarAsync<long>("SELECT pg_database_size(current_database())");
        var tried = 0;
        foreach (var slice in Slices().Where(slice => slice.Method != "GET"))
            foreach (var field in slice.Type.GetConstructors()[0].GetParameters())
            {
                var name = JsonNamingPolicy.SnakeCaseLower.ConvertName(field.Name!);
                JsonNode? endless =
                    field.ParameterType == typeof(string) ? text
                    : field.ParameterType == typeof(JsonElement?) ? new JsonObject { ["1"] = text }
                    : field.ParameterType.IsArray || field.ParameterType.IsGenericType && Nullable.GetUnderlyingType(field.ParameterType) is null
                        ? new JsonArray(text)
                    : null;
                if (endless is null)
                    continue;
                for (var n = 0; n < 3; n++)
                {
                    var asked = maker.Tame(slice);
                    asked.Body[name] = endless.DeepClone();
                    await Send(asked with { Token = Admin });
                    tried++;
                }
            }
        tried.ShouldBeGreaterThan(100);
        (await connection.ExecuteScalarAsync<long>("SELECT pg_database_size(current_database())") - before).ShouldBeLessThan(20L << 20);
    }

    [Fact]
    public async Task Pages_and_streams_stand_it_as_well()
    {
        var maker = new Maker(new Random(7), 1);
        foreach (
            var path in new[]
            {
                "/",
                "/i/1",
                "/i/99999999999999999999",
                "/hangfire",
                "/hangfire/jobs/details/",
                "/docs/",
                "/openapi/",
                "/healthz/ready",
                "/are_you_ok/",
                "/other/x",
                "/v2/task/log/stream/",
                "/ws/v1/task/log/",
                "/sign-in/",
                "/sign-out/",
            }
        )
            foreach (
                var method in new[]
                {
                HttpMethod.Get,
                HttpMethod.Post,
                HttpMethod.Delete,
                HttpMethod.Put,
                HttpMethod.Patch,
                HttpMethod.Options,
                HttpMethod.Head,
                new HttpMethod("QUERY"),
                }
            )
                foreach (var token in new[] { Admin, null })
                    for (var n = 0; n < 3; n++)
                    {
                        var text = maker.Text(wild: true);
                        using var request = TestHost.Request(
                            method,
                            $"{path}?log_key={Uri.EscapeDataString(text.Length > 4000 ? text[..100] : text)}&after=%00&next=//evil",
                            method == HttpMethod.Get || method == HttpMethod.Head
                                ? null
                                : $"token={Uri.EscapeDataString(text.Length > 4000 ? text[..100] : text)}",
                            token
                        );
                        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
                        using var response = await fixture.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, patience.Token);
                        ((int)response.StatusCode).ShouldBeLessThan(500, $"{method} {path}");
                    }
    }

    private List<Slice> Slices() =>
        [
            .. host
                .Services.GetRequiredService<EndpointDataSource>()
                .Endpoints.OfType<RouteEndpoint>()
                .Where(endpoint => endpoint.Metadata.GetMetadata<SliceOf>() is not null)
                .Select(endpoint => new Slice(
                    endpoint.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods[0],
                    "/" + endpoint.RoutePattern.RawText!.Trim('/') + "/",
                    endpoint.Metadata.GetMetadata<SliceOf>()!.Type
                )),
        ];

    private async Task Made(string path, object body, HttpMethod? method = null)
    {
        using var response = await fixture.Http.SendAsync(
            TestHost.Request(method ?? HttpMethod.Post, path, body is JsonNode node ? node.ToJsonString() : JsonSerializer.Serialize(body), Admin)
        );
        var text = await response.Content.ReadAsStringAsync();
        ((int)JsonNode.Parse(text)!["code"]!).ShouldBe(0, text);
    }

    private async Task<JsonObject> Get(string path)
    {
        using var response = await fixture.Http.SendAsync(TestHost.Request(HttpMethod.Get, path, null, Admin));
        return JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject();
    }

    private async Task<(string Id, int Code)> Send(Asked asked)
    {
        var id = Guid.NewGuid().ToString("N");
        using var request =
            asked.Slice.Method == "GET"
                ? new HttpRequestMessage(HttpMethod.Get, asked.Slice.Path + "?" + Query(asked.Body))
                : new HttpRequestMessage(new HttpMethod(asked.Slice.Method), asked.Slice.Path)
                {
                    Content = new ByteArrayContent(asked.Raw ?? Encoding.UTF8.GetBytes(asked.Body.ToJsonString())),
                };
        request.Headers.Add("auth-key", asked.Token);
        request.Headers.Add("X-Request-Id", id);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        using var response = await Answer(request, patience.Token);
        if (response is null)
            return (id, 413);
        var text = await response.Content.ReadAsStringAsync(patience.Token);
        var said =
            $"{asked.Slice.Method} {asked.Slice.Path}: {(int)response.StatusCode} {text[..Math.Min(300, text.Length)]} for "
                + $"{asked.Body.ToJsonString()[..Math.Min(500, asked.Body.ToJsonString().Length)]}";
        ((int)response.StatusCode).ShouldBeLessThan(500, (int)response.StatusCode < 500 ? said : said + await Cause(id));
        text.Length.ShouldBeLessThan(32 << 20, said);
        return (id, response.StatusCode == HttpStatusCode.OK ? (int)JsonNode.Parse(text)!["code"]! : (int)response.StatusCode);
    }

    /// <summary>What the host logged of a request that failed.</summary>
    private async Task<string> Cause(string id)
    {
        await Eventually.True(() => fixture.Process.Output.Contains(id, StringComparison.Ordinal), "the host says why");
        return string.Concat(fixture.Process.Output.Split('\n').Where(line => line.Contains(id, StringComparison.Ordinal)).Select(line => "\n" + line));
    }

    private int reused;

    // A body past the limit is refused before all of it is read, which the client may notice while it still writes.
    private async Task<HttpResponseMessage?> Answer(HttpRequestMessage request, CancellationToken patience)
    {
        try
        {
            return await fixture.Http.SendAsync(request, patience);
        }
        catch (HttpRequestException) when (request.Content?.Headers.ContentLength > 1 << 20)
        {
            return null;
        }
        catch (HttpRequestException closed) when (closed.HttpRequestError == HttpRequestError.ResponseEnded && Interlocked.Increment(ref reused) < 20)
        {
            // A connection that the server closes behind such a refusal was taken for the next request. A host that ended would be found by all that follow.
            return null;
        }
    }

    private static string Query(JsonObject body)
    {
        var query = string.Join(
            '&',
            body.Where(pair => pair.Value is not null).Select(pair => $"{Uri.EscapeDataString(pair.Key)}={Uri.EscapeDataString(Plain(pair.Value!.ToString()))}")
        );
        return query.Length > 7000 ? query[..7000] : query;
    }

    // A lone surrogate cannot be in a URL at all.
    private static string Plain(string text) => new([.. text.Take(500).Select(letter => char.IsSurrogate(letter) ? '?' : letter)]);

    private static Asked Passing(Maker maker, Slice slice, IServiceProvider services)
    {
        var options = services.GetRequiredService<JsonSerializerOptions>();
        for (var tries = 0; ; tries++)
        {
            var asked = maker.Tame(slice);
            if (Passes(asked, slice, services, options))
                return asked with { Passes = true };
            if (tries == 60)
                return asked;
        }
    }

    private static bool Passes(Asked asked, Slice slice, IServiceProvider services, JsonSerializerOptions options)
    {
        try
        {
            var request = JsonSerializer.Deserialize(asked.Body.ToJsonString(), slice.Type, options)!;
            return services
                .GetServices(typeof(IValidator<>).MakeGenericType(slice.Type))
                .Cast<IValidator>()
                .All(validator => validator.Validate(new ValidationContext<object>(request)).IsValid);
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static readonly string[] Tables =
    [
        "cron.job",
        "tasks.scheduler_cmd_list",
        "tasks.scheduler_args_list",
        "tasks.scheduler_temp_list",
        "tasks.scheduler_temp_details",
        "tasks.scheduler_temp_group",
        "tasks.scheduler_temp_user",
        "tasks.scheduler_execute_user",
        "tasks.host_keys",
        "alerts.rule",
        "alerts.channel",
        "alerts.silence",
        "alerts.contact",
    ];

    // What people can change, and not what the host itself moves on.
    private static readonly string EverythingSql = string.Join(
        " UNION ALL ",
        Tables.Select(table =>
            $"SELECT '{table} ' || coalesce(md5(string_agg(content, '' ORDER BY content)), '') FROM (SELECT CAST(to_jsonb(t) - ARRAY['accounted_to', "
                + "'next_run_at', 'troubled', 'failures', 'gap_log_id', 'gap_nominal_at', 'gap_reason'] AS text) AS content "
                + $"FROM {table} t) AS r"
        )
    );

    // One statement, because it is asked after every few requests.
    private async Task<string> Everything()
    {
        await using var connection = new NpgsqlConnection(fixture.Database);
        return string.Join('\n', (await connection.QueryAsync<string>(EverythingSql)).Order(StringComparer.Ordinal));
    }

    private sealed record Slice(string Method, string Path, Type Type);

    private static string IssuedTomorrow()
    {
        var payload = TestTokens.Payload(1, "admin", superuser: true);
        payload["iat"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 86_400;
        return TestTokens.Sign(payload);
    }

    private sealed record Asked(Slice Slice, JsonObject Body, string Token, byte[]? Raw = null, bool Passes = false);

    private sealed class Maker(Random random, long template)
    {
        private static readonly string[] Tokens = [Admin, Admin, TestTokens.For(601, "u601"), TestTokens.For(602, "u602", nickname: "admin")];
        private static readonly JsonNamingPolicy Snake = JsonNamingPolicy.SnakeCaseLower;

        public Asked Tame(Slice slice) => new(slice, Object(slice.Type, wild: false), Tokens[random.Next(Tokens.Length)]);

        public Asked Wild(Slice slice)
        {
            var body = Object(slice.Type, wild: true);
            byte[]? raw = random.Next(6) switch
            {
                0 => Encoding.UTF8.GetBytes(body.ToJsonString())[..(random.Next(body.ToJsonString().Length) + 1)],
                1 => Encoding.UTF8.GetBytes(new string('[', random.Next(1, 3000))),
                2 => [0xEF, 0xBB, 0xBF, 0xFF, 0xFE, (byte)random.Next(256)],
                _ => null,
            };
            return new Asked(slice, body, Tokens[random.Next(Tokens.Length)], raw);
        }

        public string Text(bool wild)
        {
            string[] tame = ["a", "true", "name-" + random.Next(20), "127.0.0.1", "2030-01-01 00:00", "任务", "U" + random.Next(5)];
            string[] hostile =
            [
                "",
                " ",
                "\0",
                "a\0b",
                "'; DROP TABLE cron.job; --",
                "%",
                "_",
                "\\",
                "$(touch /tmp/x)",
                "`id`",
                "${IFS}",
                "{{7*7}}",
                "../../etc/passwd",
                "__import__('os').system('id')",
                "{1: '",
                "[[[[",
                "\u202e",
                "😀",
                "\ud83d",
                new string('x', 5000),
                new string('界', 30_000),
                new string('9', 400),
                "-1",
                "NaN",
                "1e999",
                "0x10",
                "<script>alert(1)</script>",
                "\r\nX: y",
                "2024-02-30 25:61",
                "* * * * * *",
                "@daily",
                "null",
            ];
            return wild ? hostile[random.Next(hostile.Length)] : tame[random.Next(tame.Length)];
        }

        private JsonObject Object(Type type, bool wild)
        {
            var made = new JsonObject();
            foreach (var property in type.GetConstructors()[0].GetParameters())
            {
                var name =
                    property.GetCustomAttribute<System.Text.Json.Serialization.JsonPropertyNameAttribute>()?.Name
                    ?? type.GetProperty(property.Name!)!.GetCustomAttribute<System.Text.Json.Serialization.JsonPropertyNameAttribute>()?.Name
                    ?? Snake.ConvertName(property.Name!);
                if (random.Next(wild ? 4 : 6) == 0 && !wild)
                    continue;
                made[name] =
                    wild && random.Next(3) == 0 ? Any(3) : Value(name, Nullable.GetUnderlyingType(property.ParameterType) ?? property.ParameterType, wild);
            }
            return made;
        }

        private JsonNode? Value(string name, Type type, bool wild)
        {
            if (type == typeof(string))
                return wild ? Text(true) : Word(name);
            if (type == typeof(int))
                return wild ? Number() : random.Next(1, 20);
            if (type == typeof(long))
                return wild ? Number()
                    : name == "temp_id"
                        ? random.Next(3) > 0 ? template
                            : random.Next(1, 9)
                    : random.Next(1, 9);
            if (type == typeof(bool))
                return random.Next(2) == 0;
            if (type == typeof(JsonElement))
                return wild ? Any(3) : Free(name);
            var item =
                type.IsArray ? type.GetElementType()!
                : type.IsGenericType ? type.GetGenericArguments()[0]
                : typeof(string);
            if (item == typeof(string) && name == "new_user_info" && !wild)
                return new JsonArray("601,,,u601");
            if (item.Namespace?.StartsWith("Codo", StringComparison.Ordinal) == true)
                return new JsonArray([.. Enumerable.Range(0, random.Next(3)).Select(_ => (JsonNode)Object(item, wild))]);
            return new JsonArray([.. Enumerable.Range(0, random.Next(wild ? 60 : 3)).Select(_ => Value(name, Nullable.GetUnderlyingType(item) ?? item, wild))]);
        }

        // What a field of this name is likely to take, so that most requests come to their handlers. Jobs never fire, and nothing is called but this machine.
        private string Word(string name) =>
            name switch
            {
                "cron" => "0 0 0 29 2 *",
                "time_zone" => "Asia/Shanghai",
                "overlap" => Pick("skip", "queue", "allow", "replace"),
                "misfire" => Pick("skip", "once", "all"),
                "schedule" => Pick("new", "new", "ready"),
                "trigger" => Pick("order", "hand", "timed"),
                "on_error" => Pick("stop", "continue"),
                "next" => Pick("auto", "confirm"),
                "batch" => Pick("1", "50%"),
                "hand_type" => Pick("execute", "restart", "stop_one", "skip", "restart_failed", "next_batch"),
                "kind" or "kinds" => Pick("failed", "skipped", "webhook", "command", "words"),
                "source" => Pick("job", "order"),
                "state" => Pick("open", "acknowledged", "resolved", "sent", "failed"),
                "reason" => Pick("opened", "repeated", "test", "maintenance"),
                "action" => Pick("acknowledge", "resolve", "warn"),
                "role" => Pick("viewer", "operator", "editor", "approver"),
                "verb" or "scopes" => Pick("see", "run", "edit", "approve"),
                "networks" => Pick("10.0.0.0/8", "127.0.0.1"),
                "verdict" => Pick("approve", "reject", "break_glass"),
                "sort" => Pick("failed", "runs"),
                "language" => Pick("zh", "en"),
                "key" => Pick("log_id", "job_id", "status", "temp_id", "temp_name"),
                "value" => Pick("1", "success", "name-1"),
                "start_date" or "end_date" or "from" or "to" => Pick("2020-01-01", "2030-01-01 00:00:00"),
                "start_time" or "exec_time" or "starts_at" or "ends_at" => Pick("2030-01-01 00:00:00", "2020-01-01 00:00"),
                "working_directory" => "/tmp",
                "cmd" or "command" or "line" => "true",
                "args" => Pick("WORD", "", "plain"),
                "force_host" or "host" or "exec_ip" or "get_run_host" => "127.0.0.1",
                "exec_user" or "alias_user" => "user" + random.Next(5),
                "tel" => "13800000000",
                "email" => "a@example.test",
                "feishu" => "ou_1",
                "user_key" => "no key",
                "log_key" => $"{random.Next(1, 9)}_1_1_127.0.0.1",
                "after" => "1:1",
                "escalation" => "ann",
                "post_data" => new JsonObject
                {
                    ["task_name"] = "page",
                    ["temp_id"] = template,
                    ["hosts"] = new JsonObject { ["1"] = "127.0.0.1" },
                }.ToJsonString(),
                "secret_env" => "PLAIN",
                _ => Text(false),
            };

        private JsonNode Free(string name) =>
            name switch
            {
                "hosts" => random.Next(2) == 0 ? new JsonObject { ["1"] = "127.0.0.1" } : "{1: '127.0.0.1'}",
                "env" => new JsonObject { ["PLAIN"] = "value", ["DB_PASSWORD"] = "geheim-geheim" },
                "settings" => random.Next(2) == 0 ? new JsonObject { ["url"] = "http://127.0.0.1:1/" } : new JsonObject { ["path"] = "/bin/true" },
                "args" => random.Next(2) == 0 ? new JsonObject { ["WORD"] = "value" } : "{'OTHER': 1}",
                _ => new JsonObject { ["g"] = new JsonArray("ann") },
            };

        private JsonNode? Any(int depth) =>
            random.Next(depth > 0 ? 7 : 4) switch
            {
                0 => null,
                1 => Text(true),
                2 => Number(),
                3 => random.Next(2) == 0,
                4 => new JsonArray([.. Enumerable.Range(0, random.Next(4)).Select(_ => Any(depth - 1))]),
                5 => new JsonArray([.. Enumerable.Range(0, random.Next(300)).Select(_ => (JsonNode?)1)]),
                _ => new JsonObject(Enumerable.Range(0, random.Next(4)).Select(n => KeyValuePair.Create("k" + n, Any(depth - 1)))),
            };

        private JsonNode Number() =>
            random.Next(8) switch
            {
                0 => 0,
                1 => -1,
                2 => int.MaxValue,
                3 => long.MaxValue,
                4 => long.MinValue,
                5 => 1.5,
                6 => 1e300,
                _ => random.Next(),
            };

        private string Pick(params string[] words) => words[random.Next(words.Length)];
    }
}
