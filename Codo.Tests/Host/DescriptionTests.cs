using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Codo.Host.Api;
using Codo.Tests.Host.Accounts;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Modules.Cron.Jobs;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Host;

/// <summary>What <c>/docs</c> shows: every field in words, only what is required as required, and examples that are accepted.</summary>
public sealed class DescriptionTests(CronHost fixture) : IClassFixture<CronHost>
{
    private static readonly string[] Verbs = ["get", "put", "post", "patch", "delete"];
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Every_field_of_a_query_a_body_and_an_answer_is_described()
    {
        var document = await host.Get("/openapi/v1.json");
        FieldTexts.Undescribed.ShouldBeEmpty("these fields have no line in Codo.Host/Api/fields.txt");
        FieldTexts.Unused.ShouldBeEmpty("these lines of Codo.Host/Api/fields.txt describe no field");
        foreach (var (name, operation) in Operations(document))
        {
            foreach (var parameter in operation["parameters"]?.AsArray() ?? []) Text(parameter!["description"], $"{name} {parameter["name"]}");
            foreach (var (field, schema) in Body(operation)?["properties"]?.AsObject() ?? []) Text(schema!["description"], $"{name} {field}");
            Text(operation["summary"], name);
            Text(operation["description"], name);
        }
        foreach (var (name, schema) in document["components"]!["schemas"]!.AsObject())
        {
            schema!["properties"].ShouldNotBeNull($"{name} is an empty section");
            foreach (var (field, property) in schema["properties"]!.AsObject()) Text(property!["description"], $"{name}.{field}");
        }
        var tags = document["tags"]!.AsArray().Select(tag => (string)tag!["name"]!).ToList();
        Operations(document).SelectMany(one => one.Operation["tags"]!.AsArray()).Select(tag => (string)tag!).Distinct().ShouldBe(tags, ignoreOrder: true);
    }

    [Fact]
    public async Task What_may_be_sent_again_with_a_key_names_the_header()
    {
        var operations = Operations(await host.Get("/openapi/v1.json")).Where(one => Header(one.Operation) is not null).ToList();
        operations
            .Select(one => one.Name)
            .ShouldBe(["post /v1/cron/job/run", "post /v1/cron/job/bulk", "post /v2/task/accept", "post /other/v1/submission/post_task"], ignoreOrder: true);
        foreach (var (_, operation) in operations)
        {
            ((string)Header(operation)!["name"]!).ShouldBe("Idempotency-Key");
            ((int)Header(operation)!["schema"]!["maxLength"]!).ShouldBe(200);
        }

        static JsonNode? Header(JsonNode operation) =>
            operation["parameters"]?.AsArray()
                .SingleOrDefault(parameter => (string)parameter!["in"]! == "header" && (string)parameter["name"]! != "If-Match");
    }

    [Fact]
    public async Task What_a_route_reads_beside_its_record_is_described_as_well()
    {
        var operations = Operations(await host.Get("/openapi/v1.json")).ToDictionary(one => one.Name, one => one.Operation);
        Names("get /v2/task/log/stream", "query").ShouldBe(["log_key", "list_id", "sched_id", "attempt", "after"]);
        Names("get /v2/accounts/audit/export", "query").ShouldBe(["who", "kind", "object", "action", "result", "from", "to", "after"]);
        operations
            .Keys.Where(name => Names(name, "header").Contains("If-Match"))
            .ShouldBe(["put /v1/cron/job", "put /v2/task_layout/details"], ignoreOrder: true);

        IEnumerable<string> Names(string name, string place) =>
            (operations[name]["parameters"]?.AsArray() ?? [])
                .Where(parameter => (string)parameter!["in"]! == place)
                .Select(parameter => (string)parameter!["name"]!);
    }

    [Fact]
    public async Task Only_what_a_request_needs_is_required_and_closed_sets_of_words_are_enumerated()
    {
        var operations = Operations(await host.Get("/openapi/v1.json")).ToDictionary(one => one.Name, one => one.Operation);
        Required("post /v1/cron/job").ShouldBe(["job_id", "cmd", "cron"], ignoreOrder: true);
        Required("put /v1/cron/job").ShouldBe(["job_id"]);
        Required("post /v2/task/accept").ShouldBe(["task_name", "temp_id", "hosts"], ignoreOrder: true);
        var step = Body(operations["put /v2/task_layout/details"])!["properties"]!["new_temp_data"]!["items"]!;
        step["required"]!.AsArray().Select(field => (string)field!).ShouldBe(["command_name", "command"], ignoreOrder: true);
        ((string)step["properties"]!["timeout"]!["description"]!).ShouldContain("Seconds");
        Enum(step["properties"]!["trigger"]!).ShouldBe(["order", "timed", "hand"]);
        Enum(Body(operations["post /v1/cron/job"])!["properties"]!["overlap"]!).ShouldBe(["skip", "queue", "allow", "replace"]);
        Enum(Body(operations["patch /v2/task/check"])!["properties"]!["hand_type"]!).ShouldContain("restart_failed");
        Enum(operations["get /v2/alerts/incident"]["parameters"]!.AsArray().Single(one => (string)one!["name"]! == "state")!["schema"]!)
            .ShouldBe(["open", "acknowledged", "resolved"]);
        foreach (var (name, operation) in operations)
            foreach (var parameter in operation["parameters"]?.AsArray() ?? [])
                ((bool?)parameter!["required"] == true).ShouldBe(
                    (name, (string)parameter["name"]!)
                        is
                            ("get /v1/cron/job/next", "cron")
                            or ("get /v1/cron/log/why", "job_id" or "time")
                            or
                            ("get /v1/cron/log/output", "log_id")
                            or
                            ("get /v1/cron/job/version" or "get /v1/cron/job/versions", "job_id")
                            or
                            ("get /v2/accounts/explain", "verb" or "object")
                            or
                            ("get /v2/accounts/may", "object")
                            or
                            ("get /v2/task/log" or "get /v2/task/log/usage", "log_key")
                            or
                            ("get /v2/task/log/search" or "get /v1/cron/log/search", "q")
                            or
                            (
                                "get /v2/task/check"
                                    or "get /v2/task/grid"
                                    or "get /v2/task/plan"
                                    or "get /v2/task/compare"
                                    or "get /v2/task/timeline",
                                "list_id"
                            )
                            or
                            (
                                "get /v2/task_layout/details"
                                    or "get /v2/task_layout/temp/args"
                                    or "get /v2/task_layout/temp/orders"
                                    or "get /v2/task_layout/temp/version"
                                    or "get /v2/task_layout/temp/versions",
                                "temp_id"
                            ),
                    $"{name} {parameter["name"]}"
                );

        IEnumerable<string> Required(string name) => Body(operations[name])!["required"]!.AsArray().Select(field => (string)field!);
        static IEnumerable<string> Enum(JsonNode schema) => schema["enum"]!.AsArray().Select(word => (string)word!);
    }

    [Fact]
    public async Task A_change_is_promised_no_default_for_what_it_leaves_as_it_is()
    {
        var operations = Operations(await host.Get("/openapi/v1.json")).ToDictionary(one => one.Name, one => one.Operation);
        string[] changes =
        [
            "put /v1/cron/job",
            "put /v2/task_layout/command",
            "put /v2/task_layout/args",
            "put /v2/task_layout/user",
            "put /v2/task/risk",
            "put /v2/alerts/rule",
            "put /v2/alerts/channel",
            "put /v2/accounts/space",
            "put /v2/accounts/team",
            "put /v2/accounts/grant",
        ];
        foreach (var name in changes)
            foreach (var (field, schema) in Body(operations[name])!["properties"]!.AsObject())
            {
                var text = (string)schema!["description"]!;
                text.ShouldNotContain("; default", Case.Sensitive, $"{name} {field}");
                text.ShouldNotContain("absent: n", Case.Sensitive, $"{name} {field}");
            }
        Field("put", "timeout").ShouldBe("Seconds after which a run is ended with its whole process tree, 0 to 2,592,000; 0: no limit; absent leaves it");
        Field("put", "overlap").ShouldEndWith("while the run before is under way; absent leaves it");
        Field("post", "overlap").ShouldEndWith("while the run before is under way; default skip");

        string Field(string verb, string field) => (string)Body(operations[$"{verb} /v1/cron/job"])!["properties"]![field]!["description"]!;
    }

    [Fact]
    public async Task The_longest_page_that_is_described_is_accepted_and_a_longer_one_refused()
    {
        var walked = 0;
        foreach (var (name, operation) in Operations(await host.Get("/openapi/v1.json")))
        {
            var parameters = operation["parameters"]?.AsArray() ?? [];
            var limit = parameters.SingleOrDefault(one => (string)one!["name"]! == "limit");
            var range = Regex.Match((string?)limit?["description"] ?? "", "1 to ([0-9,]+)");
            // What else has to be given.
            var others = parameters.Where(one => (bool?)one!["required"] == true).Select(one => (string)one!["name"]!).ToList();
            if (!range.Success || others.Except(["log_key"]).Any()) continue;
            var most = int.Parse(range.Groups[1].Value, NumberStyles.AllowThousands, CultureInfo.InvariantCulture);
            var path = $"{name.Split(' ')[1]}/?{(others.Count > 0 ? "log_key=1_1_1_h&" : "")}limit=";
            var accepted = await host.Get(path + most.ToString(CultureInfo.InvariantCulture));
            accepted.Code().ShouldBe(0, $"{path}{most}: {accepted.ToJsonString()}");
            var refused = await host.Get(path + (most + 1).ToString(CultureInfo.InvariantCulture));
            (refused.Code(), refused.Msg()).ShouldBe((-1, $"limit 必须在 1 到 {most} 之间"), path);
            walked++;
        }
        walked.ShouldBeGreaterThan(15);
    }

    [Fact]
    public async Task Every_body_has_an_example_that_is_accepted_as_it_is()
    {
        await using var host = await fixture.Another();
        var document = await host.Get("/openapi/v1.json");
        var bodies = Operations(document)
            .Where(one => one.Operation["requestBody"] is not null)
            .ToDictionary(one => one.Name, one => one.Operation["requestBody"]!["content"]!["application/json"]!["example"]);
        Examples.All.Keys.Select(name => name.ToLowerInvariant()).ShouldBe(bodies.Keys, ignoreOrder: true);
        foreach (var name in Examples.All.Keys)
        {
            string? token = null;
            if (name == "POST /v2/accounts/login") await host.Account("ann");
            // What is about an account of one's own is asked by its owner; a code depends on the clock.
            if (name is "POST /v2/accounts/otp" or "POST /v2/accounts/password" or "DELETE /v2/accounts/session") token = await host.Token("ann");
            if (name is "PUT /v2/accounts/otp" or "DELETE /v2/accounts/otp") continue;
            if (name == "PATCH /v2/accounts/person")
            {
                await host.Get("/v2/accounts/me/", TestTokens.For(7, "ann"));
                await Eventually.True(async () => await host.Ask<bool>("SELECT EXISTS (SELECT FROM accounts.person WHERE user_id = 7)"), "ann was here");
            }
            // What can be brought back was deleted before.
            if (name == "POST /v1/cron/job/deleted")
            {
                await host.Make(new { job_id = "gone", cmd = "true", cron = CronClient.Never });
                (await host.Delete("/v1/cron/job/", new { job_id = "gone" })).Code().ShouldBe(0);
            }
            if (name == "POST /v2/task_layout/temp/deleted")
            {
                await host.Post("/v2/task_layout/temp/", new { temp_name = "gone" });
                (await host.Delete("/v2/task_layout/temp/", new { temp_id = 2 })).Code().ShouldBe(0);
            }
            // The grant of the example, in place of the one that the approval before it was answered.
            if (name == "POST /v2/accounts/terminal/token")
                (
                    await host.Ask<int>(
                        "UPDATE accounts.terminal_login SET digest = @Digest RETURNING 1",
                        new { Digest = Codo.Host.Accounts.ApproveTerminal.Digest((string)bodies[name.ToLowerInvariant()]!["grant"]!) }
                    )
                ).ShouldBe(1);
            if (name == "POST /v2/outbox/resend")
            {
                await using var connection = await host.Source.OpenConnectionAsync();
                await connection.ExecuteAsync(
                    "DELETE FROM platform.outbox; INSERT INTO platform.outbox (message_id, stream, kind, dead_at) SELECT n, 'x', 'x', clock_timestamp() "
                        + "FROM generate_series(1, 2) n"
                );
            }
            if (name == "POST /v2/nodes/drain")
            {
                await using var connection = await host.Source.OpenConnectionAsync();
                await connection.ExecuteAsync(
                    "INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version) VALUES ('node-2', 1, 'm', 'b', 1, '1')"
                );
            }
            // What it had under way is recovered.
            if (name == "DELETE /v2/nodes") await host.Ask<int>("UPDATE platform.node SET fenced = 1, settled = 1 WHERE name = 'node-2' RETURNING 1");
            var example = bodies[name.ToLowerInvariant()].ShouldNotBeNull(name);
            var words = name.Split(' ');
            // What a command does, and an incident that follows from it, take a moment.
            JsonObject? answer = null;
            await Eventually.True(
                async () => (answer = await host.Send(new HttpMethod(words[0]), words[1] + "/", example.ToJsonString(), token)).Code() == 0 || !Waits(name),
                name
            );
            var last = answer.ShouldNotBeNull(name);
            last.Code().ShouldBe(0, $"{name}: {last.ToJsonString()}");
            (last["warnings"]?.AsArray().Any(text => ((string)text!).Contains("不认识")) ?? false).ShouldBeFalse($"{name}: {last.ToJsonString()}");
        }

        static bool Waits(string name) => name is "POST /v1/cron/job/kill" or "PUT /v2/task/check" or "PATCH /v2/task/check" or "PATCH /v2/alerts/incident";
    }

    private static IEnumerable<(string Name, JsonNode Operation)> Operations(JsonObject document) =>
        from path in document["paths"]!.AsObject()
        from operation in path.Value!.AsObject()
        where Verbs.Contains(operation.Key)
        select ($"{operation.Key} {path.Key}", operation.Value!);

    private static JsonNode? Body(JsonNode operation) => operation["requestBody"]?["content"]!["application/json"]!["schema"];

    private static void Text(JsonNode? text, string where) => (text is null ? "" : (string)text!).Length.ShouldBeGreaterThan(3, where);
}
