using System.Net.WebSockets;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using ExecuteUsersTests = Codo.Tests.Modules.Tasks.Layout.ExecuteUsersTests;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;
using ReadLogTests = Codo.Tests.Modules.Tasks.Logs.ReadLogTests;

namespace Codo.Tests.Host.Accounts;

public sealed class NobodysHost(TestPostgres postgres) : HostFixture(postgres, ("Codo:Auth:DefaultRole", "none"));

/// <summary>The table of docs/security.md: every route, its verb, and which roles may; and each of them tried on an object of each sort.</summary>
public sealed class RouteRightsTests(NobodysHost fixture) : IClassFixture<NobodysHost>
{
    private const string Begin = "<!-- routes -->", End = "<!-- /routes -->";
    private readonly TestHost host = fixture.Host;

    [Fact]
    public void The_table_in_the_documents_is_that_of_the_routes()
    {
        var table = Routes()
            .GroupBy(route => (route.Path, Words(route.Right)))
            .Select(group =>
            {
                var (path, (verb, who)) = group.Key;
                return $"| `{string.Join(" ", group.Select(route => route.Method))} {path}` | {verb} | {who} |";
            })
            .ToList();
        foreach (var name in new[] { "security.md", "security.zh-CN.md" })
        {
            var text = File.ReadAllText(Path.Combine(Docs(), name));
            var (from, to) = (text.IndexOf(Begin, StringComparison.Ordinal), text.IndexOf(End, StringComparison.Ordinal));
            (from > 0 && to > from).ShouldBeTrue(name);
            var rows = text[from..to].Split('\n').Where(line => line.StartsWith("| `", StringComparison.Ordinal)).ToList();
            table.Except(rows).ShouldBeEmpty($"docs/{name} lacks these rows, in the order of the paths");
            rows.Except(table).ShouldBeEmpty($"docs/{name} has rows of no route");
            rows.ShouldBe(table);
        }
    }

    [Fact]
    public void Every_route_names_its_verb() =>
        host.Services.GetRequiredService<EndpointDataSource>()
            .Endpoints.OfType<RouteEndpoint>()
            .Where(endpoint => endpoint.Metadata.GetMetadata<Right>() is null)
            .Select(endpoint => endpoint.RoutePattern.RawText)
            .ShouldBeEmpty();

    [Fact]
    public async Task Each_route_is_open_to_the_roles_that_the_table_says_on_granted_own_and_foreign_objects()
    {
        var world = await World.Make(host);
        var routes = Routes().Where(route => route.Right.Kind.Length > 0).ToDictionary(route => $"{route.Method} {route.Path}", route => route.Right);
        routes.Keys.Except(Probes.Keys).ShouldBeEmpty("routes that nobody tries");
        Probes.Keys.Except(routes.Keys).ShouldBeEmpty("probes of no route");
        var wrong = new List<string>();
        foreach (var (name, right) in routes)
        {
            foreach (var role in Roles.All.Keys)
            {
                var token = world.Tokens[role];
                await Try(name, $"{role} on granted", token, world.Granted, May(right, role));
                await Try(name, $"{role} on foreign", token, world.Foreign, false);
            }
            await Try(name, "stranger on granted", world.Stranger, world.Granted, false);
            await Try(name, "superuser on foreign", TestTokens.Admin, world.Foreign, true);
            if (right is { Kind: "template", Makes: false }) await Try(name, "own", world.Owner, world.Owned, right.Verb != Verbs.Admin);
            if (right.Kind == "order") await Try(name, "own", world.Owner, world.Owned, right.Verb is Verbs.See or Verbs.Run);
        }
        wrong.ShouldBeEmpty();

        async Task Try(string name, string who, string token, Place place, bool expected)
        {
            if (await Probes[name](world, token, place) != expected) wrong.Add($"{name}: {who} {(expected ? "is refused" : "gets through")}");
        }
    }

    [Fact]
    public async Task What_only_superusers_do_is_refused_to_an_admin_of_every_space()
    {
        const long id = 777;
        foreach (var space in (await host.Get("/v2/accounts/space/"))["data"]!.AsArray())
            (await host.Post("/v2/accounts/grant/", new { user_id = id, role = "admin", space = (string)space!["name"]! })).Code().ShouldBe(0);
        var token = TestTokens.For(id, "chief");
        var routes = Routes().Where(route => route.Right == Right.Superuser && !route.Path.StartsWith("/hangfire", StringComparison.Ordinal));
        foreach (var (method, path, _) in routes)
            (await host.Send(new HttpMethod(method), path, method == "GET" ? null : "{}", token)).Code().ShouldBeOneOf(-2, 403);
    }

    // An order is not the space's: of its roles only those that approve reach it.
    private static bool May(Right right, string role) =>
        right.Kind == "order" ? Roles.All[role].HasFlag(Verbs.Approve) : (Roles.All[role] & right.Verb) == right.Verb;

    private static (string Verb, string Who) Words(Right right)
    {
        if (right == Right.Anybody) return ("—", "anybody");
        if (right == Right.Token) return ("—", "any token");
        if (right == Right.Superuser) return ("admin", "superuser");
        var verb = Roles.WordsOf(right.Verb).First();
        if (right.Kind.Length == 0) return (verb, right.Verb == Verbs.Admin ? "admins of the space or the object" : "any token: one's own");
        var who = string.Join(", ", Roles.All.Keys.Where(role => May(right, role)));
        if (right is { Kind: "template", Makes: false }) who += "; its users" + (right.Verb == Verbs.Edit ? ", its creator" : "");
        if (right.Kind == "order")
            who += right.Verb switch
            {
                Verbs.See => "; submitter, approvers, associated users",
                Verbs.Run => "; submitter, approvers",
                _ => "; approvers",
            };
        return ($"{verb} {right.Kind}{(right.Makes ? " (new)" : "")}", who);
    }

    private List<(string Method, string Path, Right Right)> Routes() =>
        [
            .. from endpoint in host.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
            let right = endpoint.Metadata.GetMetadata<Right>()
            where right is not null
            let path = "/" + endpoint.RoutePattern.RawText!.TrimStart('/')
            from method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods ?? ["*"]
            orderby path, method
            select (method, path, right),
        ];

    private static string Docs([CallerFilePath] string file = "") => Path.Combine(Path.GetDirectoryName(file)!, "../../../docs");

    /// <summary>A space with one of everything in it.</summary>
    private sealed record Place(
        string Space,
        string Job,
        long Log,
        long Template,
        string TemplateName,
        string Alias,
        long User,
        long Waiting,
        long Ended,
        long Incident,
        long Rule,
        long Silence,
        long Channel,
        string Line
    );

    private sealed class World
    {
        public required Dictionary<string, string> Tokens { get; init; }

        /// <summary>By the token of who has a role in the granted place: that of who has the same role in the foreign one alone.</summary>
        public required Dictionary<string, string> Elsewhere { get; init; }
        public required string Stranger { get; init; }
        public required string Owner { get; init; }
        public required Place Granted { get; init; }
        public required Place Foreign { get; init; }
        public required Place Owned { get; init; }
        public required TestHost Host { get; init; }
        public required string Key { get; init; }

        public static async Task<World> Make(TestHost host)
        {
            var key = await ExecuteUsersTests.NewKey();
            const long owner = 650;
            var ownerToken = TestTokens.For(owner, "owner");
            var places = new List<Place>();
            // What is the owner's is in a space in which the owner has no role.
            foreach (var name in new[] { "default", "foreign", "owned" })
            {
                if (name != "default") (await host.Post("/v2/accounts/space/", new { name })).Code().ShouldBe(0);
                places.Add(await Fill(host, name, name == "owned" ? owner : 0, ownerToken, key));
            }
            var (tokens, elsewhere) = (new Dictionary<string, string>(), new Dictionary<string, string>());
            var id = 600L;
            foreach (var role in Roles.All.Keys)
            {
                tokens[role] = TestTokens.For(++id, role);
                (await host.Post("/v2/accounts/grant/", new { user_id = id, role, space = "default" })).Code().ShouldBe(0);
                elsewhere[tokens[role]] = TestTokens.For(++id, $"foreign {role}");
                (await host.Post("/v2/accounts/grant/", new { user_id = id, role, space = "foreign" })).Code().ShouldBe(0);
            }
            return new World
            {
                Tokens = tokens,
                Elsewhere = elsewhere,
                Stranger = TestTokens.For(660, "stranger"),
                Owner = ownerToken,
                Granted = places[0],
                Foreign = places[1],
                Owned = places[2],
                Host = host,
                Key = key,
            };
        }

        private static async Task<Place> Fill(TestHost host, string space, long owner, string ownerToken, string key)
        {
            var job = $"job-{space}";
            await host.Make(new { job_id = job, cmd = $"echo {job}", cron = CronClient.Never, space, overlap = "allow" });
            var log = await host.RunNow(job);
            await host.Ended(log);
            var template = await OrderHost.Template(host, null, owner > 0 ? [$"{owner},,,owner"] : [], OrderHost.Step("true"));
            (await host.Put("/v2/task_layout/details/", new { temp_id = template, space })).Code().ShouldBe(0);
            // The owner submits; the rights to approve are those that the template had then.
            if (owner > 0) await Users(host, template, []);
            var submits = new { user_id = owner, role = "operator", @object = $"template:{template}" };
            if (owner > 0) (await host.Post("/v2/accounts/grant/", submits)).Code().ShouldBe(0);
            var token = owner > 0 ? ownerToken : TestTokens.Admin;
            var waiting = await OrderHost.Order(host, template, schedule: "new", token: token);
            var ended = await OrderHost.Order(host, template, schedule: "new", token: token);
            (await host.Put("/v2/task/list/", new { list_id = ended })).Code().ShouldBe(0);
            if (owner > 0) await Users(host, template, [$"{owner},,,owner"]);
            var alias = $"user-{space}";
            var user = (long)(await host.Post("/v2/task_layout/user/", new { alias_user = alias, exec_user = "root", user_key = key, space }))["id"]!;
            var hook = new { name = space, kind = "webhook", settings = new { url = "http://127.0.0.1:1/" }, space };
            var channel = (long)(await host.Post("/v2/alerts/channel/", hook))["channel_id"]!;
            var rule = (long)(await host.Post("/v2/alerts/rule/", new { name = $"walk-{space}", subject = "nothing", space }))["rule_id"]!;
            var quiet = new { subject = "nothing", reason = space, ends_at = "2099-01-01 00:00", space };
            var silence = (long)(await host.Post("/v2/alerts/silence/", quiet))["silence_id"]!;
            var line = $"line-{Guid.NewGuid():N}";
            await using var connection = await host.Source.OpenConnectionAsync();
            var incident = await connection.QuerySingleAsync<long>(
                """
                WITH i AS (
                    INSERT INTO alerts.task_monitor (call_info, ctime, source, kind, subject, subjects, fingerprint, last_time, title_zh, title_en, space_id)
                    SELECT 'x', now(), 'job', 'failed', @job, ARRAY[@job], 'walk ' || @job, now(), 'x', 'x', space_id FROM accounts.space
                        WHERE name = @space RETURNING id),
                d AS (
                    INSERT INTO alerts.delivery (incident_id, channel_id, channel_name, reason, due_at, create_time)
                    SELECT id, 0, 'x', 'opened', 'infinity', now() FROM i)
                SELECT id FROM i
                """,
                new { job, space }
            );
            await connection.ExecuteAsync(
                """
                INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time)
                    VALUES (@waiting || '_1_1_127.0.0.1', @waiting, 1, @waiting + 800000, 1, 1, false, @line, now())
                """,
                new { waiting, line }
            );
            var name = await connection.QuerySingleAsync<string>("SELECT temp_name FROM tasks.scheduler_temp_list WHERE temp_id = @template", new { template });
            return new Place(space, job, log, template, name, alias, user, waiting, ended, incident, rule, silence, channel, line);
        }

        private static async Task Users(TestHost host, long template, string[] users) =>
            (await host.Patch("/v2/task_layout/details/", new { temp_id = template, new_user_info = users })).Code().ShouldBe(0);

        public Task<JsonObject> Send(string method, string path, object body, string token) =>
            Host.Send(new HttpMethod(method), path, JsonSerializer.Serialize(body), token);

        /// <summary>Whether the answer is success.</summary>
        public async Task<bool> Does(string method, string path, object body, string token) => (await Send(method, path, body, token)).Code() == 0;

        /// <summary>Whether the answer has the text.</summary>
        public async Task<bool> Shows(string path, string text, string token) =>
            (await Host.Get(path, token)).ToJsonString().Contains(text, StringComparison.Ordinal);

        /// <summary>Whether the answer is what whoever may gets of an order that has ended: the state forbids it, not the right.</summary>
        public async Task<bool> Reaches(string method, string path, object body, string token) => (await Send(method, path, body, token)).Code() == -1;

        /// <summary>The library is in default alone: on a foreign place it is asked for by who has the role there.</summary>
        public string InLibrary(Place place, string token) => place == Foreign ? Elsewhere.GetValueOrDefault(token, token) : token;

        public async Task<JsonObject> Library(string token)
        {
            await Send("POST", "/v2/task_layout/command/", new { command_name = Name(), command = "x" }, TestTokens.Admin);
            return await Host.Get("/v2/task_layout/command/", token);
        }

        public async Task<JsonObject> Arguments(string token)
        {
            await Send("POST", "/v2/task_layout/args/", new { args_name = Name(), args_self = "X" }, TestTokens.Admin);
            return await Host.Get("/v2/task_layout/args/", token);
        }

        /// <summary>Whether the gate lets the caller go on to what is wrong with an empty request.</summary>
        public async Task<bool> Passes(string method, string path, string token) => (await Send(method, path, new { }, token)).Code() == -1;

        /// <summary>Whether a stream begins.</summary>
        public async Task<bool> Streams(string path, string token)
        {
            using var cancel = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            using var request = TestHost.Request(HttpMethod.Get, path, null, token);
            using var response = await Host.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel.Token);
            return response.Content.Headers.ContentType?.MediaType == "text/event-stream";
        }

        /// <summary>Whether a WebSocket shows the log.</summary>
        public async Task<bool> Watches(string path, Place place, string token)
        {
            using var socket = await ReadLogTests.Connect(Host, path, token);
            await ReadLogTests.Send(socket, $"{place.Waiting}_1_1_127.0.0.1");
            using var cancel = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            var buffer = new byte[4096];
            var received = await socket.ReceiveAsync(buffer, cancel.Token);
            return received.MessageType == WebSocketMessageType.Text
                && Encoding.UTF8.GetString(buffer, 0, received.Count).Contains(place.Line, StringComparison.Ordinal);
        }

        /// <summary>A job of the space that was deleted.</summary>
        public async Task<(string Job, long Id)> DeletedJob(string space)
        {
            var job = Name();
            await Host.Make(new { job_id = job, cmd = "true", cron = CronClient.Never, space });
            return (job, (long)(await Host.Delete("/v1/cron/job/", new { job_id = job }))["deleted_id"]!);
        }

        /// <summary>A template of the space that was deleted; in the owner's place the owner is one of its users.</summary>
        public async Task<(string Name, long Id)> DeletedTemplate(string space)
        {
            var name = Name();
            var id = (long)(await Host.Post("/v2/task_layout/temp/", new { temp_name = name, space }))["temp_id"]!;
            if (space == "owned") await Users(Host, id, ["650,,,owner"]);
            (await Host.Delete("/v2/task_layout/temp/", new { temp_id = id })).Code().ShouldBe(0);
            return (name, id);
        }

        public async Task<long> Number(string sql, string space)
        {
            await using var connection = await Host.Source.OpenConnectionAsync();
            return await connection.QuerySingleAsync<long>(sql, new { name = $"v-{Guid.NewGuid():N}", space });
        }
    }

    private static string Name() => $"n-{Guid.NewGuid():N}";

    private static object Order(Place place) =>
        new { task_name = "walk", temp_id = place.Template, hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" } };

    private static object Step(Place place, string type) =>
        new { list_id = place.Ended, task_group = 1, task_level = 1, exec_ip = "127.0.0.1", hand_type = type };

    private const string OfSpace = "(SELECT space_id FROM accounts.space WHERE name = @space)";

    private static readonly Dictionary<string, Func<World, string, Place, Task<bool>>> Probes = new()
    {
        ["GET /v1/cron/job/"] = (w, t, p) => w.Shows($"/v1/cron/job/?job_id={p.Job}", "\"data\"", t),
        ["POST /v1/cron/job/"] = (w, t, p) =>
            w.Does("POST", "/v1/cron/job/", new { job_id = Name(), cmd = "true", cron = CronClient.Never, space = p.Space }, t),
        ["PUT /v1/cron/job/"] = (w, t, p) => w.Does("PUT", "/v1/cron/job/", new { job_id = p.Job, description = "x" }, t),
        ["PATCH /v1/cron/job/"] = (w, t, p) => w.Does("PATCH", "/v1/cron/job/", new { job_id = p.Job }, t),
        ["DELETE /v1/cron/job/"] = async (w, t, p) =>
        {
            var job = Name();
            await w.Host.Make(new { job_id = job, cmd = "true", cron = CronClient.Never, space = p.Space });
            return await w.Does("DELETE", "/v1/cron/job/", new { job_id = job }, t);
        },
        ["GET /v1/cron/job/versions/"] = async (w, t, p) => (await w.Host.Get($"/v1/cron/job/versions/?job_id={p.Job}", t)).Code() == 0,
        ["GET /v1/cron/job/version/"] = async (w, t, p) => (await w.Host.Get($"/v1/cron/job/version/?job_id={p.Job}", t)).Code() == 0,
        ["POST /v1/cron/job/version/"] = (w, t, p) => w.Does("POST", "/v1/cron/job/version/", new { job_id = p.Job, version = 1 }, t),
        ["GET /v1/cron/job/deleted/"] = async (w, t, p) =>
        {
            var (job, _) = await w.DeletedJob(p.Space);
            return await w.Shows("/v1/cron/job/deleted/?limit=1000", job, t);
        },
        ["POST /v1/cron/job/deleted/"] = async (w, t, p) =>
            await w.Does("POST", "/v1/cron/job/deleted/", new { deleted_id = (await w.DeletedJob(p.Space)).Id }, t),
        ["POST /v1/cron/job/run/"] = (w, t, p) => w.Does("POST", "/v1/cron/job/run/", new { job_id = p.Job }, t),
        ["POST /v1/cron/job/bulk/"] = async (w, t, p) =>
        {
            var answer = await w.Send("POST", "/v1/cron/job/bulk/", new { job_ids = new[] { p.Job }, action = "run" }, t);
            return answer.Code() == 0 && (int)answer["done"]! == 1;
        },
        ["GET /v1/cron/log/matrix/"] = async (w, t, p) => (await w.Host.Get($"/v1/cron/log/matrix/?q={p.Job}", t))["data"] is JsonArray { Count: > 0 },
        ["GET /v1/cron/forecast/"] = async (w, t, p) =>
        {
            await w.Host.Make(new { job_id = Name(), cmd = "true", cron = CronClient.Never, space = p.Space });
            var answer = await w.Host.Get($"/v1/cron/forecast/?space={p.Space}", t);
            return answer.Code() == 0 && (int)answer["jobs"]! > 0;
        },
        ["POST /v1/cron/job/kill/"] = async (w, t, p) =>
            (await w.Send("POST", "/v1/cron/job/kill/", new { log_id = p.Log }, t)).Msg().Contains("已经结束", StringComparison.Ordinal),
        ["GET /v1/cron/log/"] = async (w, t, p) => (int)(await w.Host.Get($"/v1/cron/log/?job_id={p.Job}", t))["count"]! > 0,
        ["GET /v1/cron/log/output/"] = async (w, t, p) => (await w.Host.Get($"/v1/cron/log/output/?log_id={p.Log}", t)).Code() == 0,
        ["GET /v1/cron/log/search/"] = async (w, t, p) => (int)(await w.Host.Get($"/v1/cron/log/search/?q={p.Job}", t))["count"]! > 0,
        ["GET /v1/cron/log/usage/"] = async (w, t, p) => (await w.Host.Get($"/v1/cron/log/usage/?log_id={p.Log}", t)).Code() == 0,
        ["GET /v1/cron/log/why/"] = async (w, t, p) => (await w.Host.Get($"/v1/cron/log/why/?job_id={p.Job}&time=2026-01-01T03:00Z", t)).Code() == 0,

        ["GET /v2/task_layout/command/"] = async (w, t, p) => (int)(await w.Library(w.InLibrary(p, t)))["count"]! > 0,
        ["POST /v2/task_layout/command/"] = (w, t, p) => w.Passes("POST", "/v2/task_layout/command/", w.InLibrary(p, t)),
        ["PUT /v2/task_layout/command/"] = (w, t, p) => w.Passes("PUT", "/v2/task_layout/command/", w.InLibrary(p, t)),
        ["DELETE /v2/task_layout/command/"] = (w, t, p) => w.Passes("DELETE", "/v2/task_layout/command/", w.InLibrary(p, t)),
        ["GET /v2/task_layout/args/"] = async (w, t, p) => (int)(await w.Arguments(w.InLibrary(p, t)))["count"]! > 0,
        ["POST /v2/task_layout/args/"] = (w, t, p) => w.Passes("POST", "/v2/task_layout/args/", w.InLibrary(p, t)),
        ["PUT /v2/task_layout/args/"] = (w, t, p) => w.Passes("PUT", "/v2/task_layout/args/", w.InLibrary(p, t)),
        ["DELETE /v2/task_layout/args/"] = (w, t, p) => w.Passes("DELETE", "/v2/task_layout/args/", w.InLibrary(p, t)),

        ["GET /v2/task_layout/temp/"] = (w, t, p) => w.Shows("/v2/task_layout/temp/", p.TemplateName, t),
        ["POST /v2/task_layout/temp/"] = (w, t, p) => w.Does("POST", "/v2/task_layout/temp/", new { temp_name = Name(), space = p.Space }, t),
        ["DELETE /v2/task_layout/temp/"] = async (w, t, p) =>
        {
            var id = await w.Number($"INSERT INTO tasks.scheduler_temp_list (temp_name, space_id) SELECT @name, {OfSpace} RETURNING temp_id", p.Space);
            if (p.Space == "owned")
                await w.Number(
                    "INSERT INTO tasks.scheduler_temp_user (temp_id, user_id) SELECT max(temp_id), 650 FROM tasks.scheduler_temp_list RETURNING id",
                    p.Space
                );
            return await w.Does("DELETE", "/v2/task_layout/temp/", new { temp_id = id }, t);
        },
        ["GET /v2/task_layout/details/"] = async (w, t, p) => (await w.Host.Get($"/v2/task_layout/details/?temp_id={p.Template}", t)).Code() == 0,
        ["PUT /v2/task_layout/details/"] = (w, t, p) =>
            w.Does("PUT", "/v2/task_layout/details/", new { temp_id = p.Template, temp_args = Array.Empty<string>() }, t),
        ["PATCH /v2/task_layout/details/"] = (w, t, p) =>
            w.Does("PATCH", "/v2/task_layout/details/", new { temp_id = p.Template, new_user_info = p.Space == "owned" ? new[] { "650,,,owner" } : [] }, t),
        ["GET /v2/task_layout/temp/args/"] = async (w, t, p) => (await w.Host.Get($"/v2/task_layout/temp/args/?temp_id={p.Template}", t)).Code() == 0,

        ["GET /v2/task_layout/temp/versions/"] = async (w, t, p) =>
            (await w.Host.Get($"/v2/task_layout/temp/versions/?temp_id={p.Template}", t)).Code() == 0,
        ["GET /v2/task_layout/temp/version/"] = async (w, t, p) => (await w.Host.Get($"/v2/task_layout/temp/version/?temp_id={p.Template}", t)).Code() == 0,
        // Version 2 has its step, which every one of its users may keep.
        ["POST /v2/task_layout/temp/version/"] = (w, t, p) =>
            w.Does("POST", "/v2/task_layout/temp/version/", new { temp_id = p.Template, version = 2 }, t),
        ["GET /v2/task_layout/temp/deleted/"] = async (w, t, p) =>
            await w.Shows("/v2/task_layout/temp/deleted/?limit=1000", (await w.DeletedTemplate(p.Space)).Name, t),
        ["POST /v2/task_layout/temp/deleted/"] = async (w, t, p) =>
            await w.Does("POST", "/v2/task_layout/temp/deleted/", new { temp_id = (await w.DeletedTemplate(p.Space)).Id }, t),
        ["GET /v2/task_layout/temp/orders/"] = async (w, t, p) =>
            (await w.Host.Get($"/v2/task_layout/temp/orders/?temp_id={p.Template}", t)).Code() == 0,
        ["GET /v2/task_layout/user/"] = (w, t, p) => w.Shows("/v2/task_layout/user/", p.Alias, t),
        ["POST /v2/task_layout/user/"] = (w, t, p) =>
            w.Does("POST", "/v2/task_layout/user/", new { alias_user = Name(), exec_user = "x", user_key = w.Key, space = p.Space }, t),
        ["PUT /v2/task_layout/user/"] = (w, t, p) => w.Does("PUT", "/v2/task_layout/user/", new { id = p.User, remarks = "x" }, t),
        ["DELETE /v2/task_layout/user/"] = async (w, t, p) =>
        {
            var id = await w.Number(
                $"INSERT INTO tasks.scheduler_execute_user (alias_user, user_key, space_id) SELECT @name, '\\x00', {OfSpace} RETURNING id",
                p.Space
            );
            return await w.Does("DELETE", "/v2/task_layout/user/", new { exec_user_id = id }, t);
        },

        ["POST /v2/task/accept/"] = (w, t, p) => w.Does("POST", "/v2/task/accept/", Order(p), t),
        ["POST /v2/task/preview/"] = (w, t, p) => w.Does("POST", "/v2/task/preview/", Order(p), t),
        ["POST /other/v1/submission/post_task/"] = (w, t, p) =>
            w.Does("POST", "/other/v1/submission/post_task/", new { post_data = JsonSerializer.Serialize(Order(p)) }, t),
        ["GET /v2/task/statement/"] = (w, t, p) => w.Shows("/v2/task/statement/", p.TemplateName, t),

        ["GET /v2/task/list/"] = (w, t, p) => w.Shows("/v2/task/list/?limit=1000", $"\"list_id\":{p.Waiting},", t),
        ["PATCH /v2/task/list/"] = (w, t, p) => w.Reaches("PATCH", "/v2/task/list/", new { list_id = p.Ended, start_time = "2026-01-01 00:00" }, t),
        ["POST /v2/task/approval/"] = (w, t, p) => w.Reaches("POST", "/v2/task/approval/", new { list_id = p.Ended, verdict = "approve" }, t),
        ["PUT /v2/task/list/"] = (w, t, p) => w.Reaches("PUT", "/v2/task/list/", new { list_id = p.Ended }, t),
        ["GET /v2/task/check/"] = async (w, t, p) => (await w.Host.Get($"/v2/task/check/?list_id={p.Waiting}", t)).Code() == 0,
        ["PUT /v2/task/check/"] = (w, t, p) => w.Reaches("PUT", "/v2/task/check/", new { list_id = p.Ended, hand_task = "x" }, t),
        // What the submitter may: stop. The rest is for those who approve, which InterventionTests show.
        ["PATCH /v2/task/check/"] = (w, t, p) => w.Reaches("PATCH", "/v2/task/check/", Step(p, "stop_one"), t),
        ["GET /v2/task/grid/"] = async (w, t, p) => (await w.Host.Get($"/v2/task/grid/?list_id={p.Waiting}", t)).Code() == 0,
        ["GET /v2/task/compare/"] = async (w, t, p) => (await w.Host.Get($"/v2/task/compare/?list_id={p.Waiting}", t)).Code() == 0,
        ["GET /v2/task/timeline/"] = async (w, t, p) => (await w.Host.Get($"/v2/task/timeline/?list_id={p.Waiting}", t)).Code() == 0,
        ["GET /v2/task/plan/"] = async (w, t, p) => (await w.Host.Get($"/v2/task/plan/?list_id={p.Waiting}", t)).Code() == 0,
        ["GET /v2/task/stream/"] = (w, t, p) => w.Streams($"/v2/task/stream/?list_id={p.Waiting}", t),
        ["GET /v2/task/check_history/"] = (w, t, p) => w.Shows($"/v2/task/check_history/?search_val={p.Ended}", $"\"list_id\":{p.Ended},", t),
        ["GET /v2/stats/orders/"] = (w, t, p) => w.Shows("/v2/stats/orders/", p.TemplateName, t),
        ["GET /v2/stats/"] = async (w, t, p) =>
        {
            await Eventually.True(
                async () =>
                {
                    await w.Host.Services.GetRequiredService<Codo.Modules.Cron.Executions.Summaries>().Round(CancellationToken.None);
                    return await w.Host.Count("SELECT count(*) FROM cron.summary_delta") == 0;
                },
                "what has ended is added up"
            );
            return (await w.Host.Get($"/v2/stats/?job_id={p.Job}", t))["jobs"] is JsonArray { Count: > 0 };
        },
        ["GET /v2/task/log/"] = async (w, t, p) => (await w.Host.Get($"/v2/task/log/?log_key={p.Waiting}_1_1_127.0.0.1", t)).Code() == 0,
        ["GET /v2/task/log/search/"] = async (w, t, p) => (int)(await w.Host.Get($"/v2/task/log/search/?q={p.Line}", t))["count"]! > 0,
        ["GET /v2/task/log/stream/"] = async (w, t, p) =>
            await w.Streams($"/v2/task/log/stream/?log_key={p.Waiting}_1_1_127.0.0.1", t) && await w.Streams($"/v2/task/log/stream/?list_id={p.Waiting}", t),
        ["GET /v2/task/log/usage/"] = async (w, t, p) => (await w.Host.Get($"/v2/task/log/usage/?log_key={p.Waiting}_1_1_127.0.0.1", t)).Code() == 0,
        ["GET /ws/v1/task/log/"] = (w, t, p) => w.Watches("log", p, t),
        ["GET /ws/v1/task/log_data/"] = (w, t, p) => w.Watches("log_data", p, t),

        ["GET /v2/alerts/incident/"] = async (w, t, p) => (int)(await w.Host.Get($"/v2/alerts/incident/?id={p.Incident}", t))["count"]! > 0,
        ["GET /v2/alerts/delivery/"] = async (w, t, p) => (int)(await w.Host.Get($"/v2/alerts/delivery/?incident_id={p.Incident}", t))["count"]! > 0,
        ["GET /v2/alerts/rule/"] = async (w, t, p) => (int)(await w.Host.Get($"/v2/alerts/rule/?rule_id={p.Rule}", t))["count"]! > 0,
        ["POST /v2/alerts/rule/"] = (w, t, p) => w.Does("POST", "/v2/alerts/rule/", new { name = Name(), subject = "nothing", space = p.Space }, t),
        ["PUT /v2/alerts/rule/"] = (w, t, p) => w.Does("PUT", "/v2/alerts/rule/", new { rule_id = p.Rule, priority = 1 }, t),
        ["DELETE /v2/alerts/rule/"] = async (w, t, p) =>
        {
            var id = await w.Number(
                $"INSERT INTO alerts.rule (name, creator, subject, space_id) SELECT @name, 'x', 'nothing', {OfSpace} RETURNING rule_id",
                p.Space
            );
            return await w.Does("DELETE", "/v2/alerts/rule/", new { rule_id = id }, t);
        },
        ["GET /v2/alerts/silence/"] = (w, t, p) => w.Shows("/v2/alerts/silence/?limit=1000", $"\"reason\":\"{p.Space}\"", t),
        ["POST /v2/alerts/silence/"] = (w, t, p) =>
            w.Does("POST", "/v2/alerts/silence/", new { subject = "nothing", reason = "x", ends_at = "2099-01-01 00:00", space = p.Space }, t),
        ["DELETE /v2/alerts/silence/"] = async (w, t, p) =>
        {
            var id = await w.Number(
                "INSERT INTO alerts.silence (subject, starts_at, ends_at, reason, creator_id, creator, space_id) SELECT 'nothing', now(), "
                    + $"now() + interval '1 hour', @name, 1, 'x', {OfSpace} RETURNING silence_id",
                p.Space
            );
            return await w.Does("DELETE", "/v2/alerts/silence/", new { silence_id = id }, t);
        },
        ["GET /v2/alerts/channel/"] = async (w, t, p) => (int)(await w.Host.Get($"/v2/alerts/channel/?channel_id={p.Channel}", t))["count"]! > 0,
        ["POST /v2/alerts/channel/"] = (w, t, p) =>
            w.Does(
                "POST",
                "/v2/alerts/channel/",
                new
                {
                    name = Name(),
                    kind = "webhook",
                    enabled = false,
                    settings = new { url = "http://127.0.0.1:1/" },
                    space = p.Space,
                },
                t
            ),
        ["PUT /v2/alerts/channel/"] = (w, t, p) => w.Does("PUT", "/v2/alerts/channel/", new { channel_id = p.Channel, rate_limit = 5 }, t),
        ["DELETE /v2/alerts/channel/"] = async (w, t, p) =>
        {
            var id = await w.Number(
                $"INSERT INTO alerts.channel (name, kind, creator, enabled, space_id) SELECT @name, 'command', 'x', false, {OfSpace} RETURNING channel_id",
                p.Space
            );
            return await w.Does("DELETE", "/v2/alerts/channel/", new { channel_id = id }, t);
        },
        ["POST /v2/alerts/channel/test/"] = (w, t, p) => w.Does("POST", "/v2/alerts/channel/test/", new { channel_id = p.Channel }, t),

        ["PUT /v2/accounts/space/"] = async (w, t, p) =>
            await w.Does("PUT", "/v2/accounts/space/", new { space_id = await w.Number($"SELECT {OfSpace} WHERE @name <> ''", p.Space), description = "x" }, t),
    };
}
