using System.Text;
using System.Text.Json.Nodes;
using Codo.Tests.Support;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Modules.Tasks.Orders;

/// <summary>Accept, preview, the console's page, and the lists: each line of the contract.</summary>
public sealed class AcceptTests(OrderFixture fixture) : IClassFixture<OrderFixture>
{
    private const string Accept = "/v2/task/accept/";
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Gives_the_csrf_key()
    {
        var answer = await host.Get(Accept);
        (answer.Code(), (string)answer["msg"]!).ShouldBe((0, "获取csrf_key成功"));
        ((string)answer["csrf_key"]!).Length.ShouldBeGreaterThan(10);
    }

    [Fact]
    public async Task The_documented_client_script_works_to_the_letter()
    {
        var template = await host.Template(Step("true", group: 1), Step("true", group: 2));
        // No Content-Type, Python literals in text, a number as text.
        var body = $$"""
            {"task_name": "任务名称", "submitter": "提交人", "temp_id": "{{template}}", "schedule": "ready", "exec_time": "2018-11-27 14:09:50",
             "associated_user": "{'group-1': ['奥特曼']}", "args": "{'VERSION':'eeee', 'arg02': 'xxxx'}", "details": "这里是备注",
                 "hosts": "{1: '127.0.0.1', 2: '127.0.0.1'}"}
            """;
        using var request = new HttpRequestMessage(HttpMethod.Post, "/task" + Accept.TrimEnd('/'))
        {
            Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body)),
        };
        request.Headers.Add("Cookie", $"auth_key={TestTokens.Admin}");
        using var response = await host.Http.SendAsync(request);
        var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject();
        var id = (long)answer["list_id"]!;
        (answer.Code(), (string)answer["msg"]!).ShouldBe((0, $"Task creation success, ID：{id}"));
        (await host.Ended(id)).ShouldBe("3");
        var row = (await host.Get($"/v2/task/check_history/?search_val={id}"))["data"]![0]!;
        ((string)row["creator"]!, (string)row["temp_id"]!, (string)row["status"]!, (string)row["hosts"]!, (string)row["args"]!)
            .ShouldBe(("提交人", $"{template}", "3", """{"1":"127.0.0.1","2":"127.0.0.1"}""", """{"VERSION":"eeee","arg02":"xxxx"}"""));
        ((string)row["associated_user"]!).ShouldContain("奥特曼");
    }

    [Theory]
    [InlineData("""{"temp_id": TEMP, "hosts": {"1": "127.0.0.1"}}""", 6, "必要参数缺失")]
    [InlineData("""{"task_name": "x", "hosts": {"1": "127.0.0.1"}}""", 6, "必要参数缺失")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP}""", 6, "必要参数缺失")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP, "hosts": {}}""", -4, "The exec host cannot be empty")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP, "hosts": {"1": " , "}}""", -4, "The exec host cannot be empty")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP, "hosts": {"1": "127.0.0.1; touch x"}}""", 5, "ip格式有误")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP, "hosts": {"1": "10.0.0.999"}}""", 5, "ip格式有误")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP, "hosts": {"one": "127.0.0.1"}}""", -1, "hosts")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP, "hosts": "__import__('os')"}""", -1, "hosts")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP, "hosts": {"1": "127.0.0.1"}, "args": "[1"}""", -1, "args")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP, "hosts": {"1": "127.0.0.1"}, "schedule": "start"}""", -1, "schedule")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP, "hosts": {"1": "127.0.0.1"}, "exec_time": "tomorrow"}""", -1, "exec_time")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP, "hosts": {"1": "127.0.0.1"}, "start_delay": -1}""", -1, "start_delay")]
    [InlineData("""{"task_name": "x", "temp_id": 99999999, "hosts": {"1": "127.0.0.1"}}""", -3, "模板不存在")]
    [InlineData("""{"task_name": "x", "temp_id": EMPTY, "hosts": {"1": "127.0.0.1"}}""", -3, "模板没有任务")]
    [InlineData("""{"task_name": "x", "temp_id": TIMED, "hosts": {"1": "127.0.0.1"}, "schedule": "ready"}""", 6, "必要参数缺失")]
    [InlineData("""{"task_name": "x", "temp_id": TEMP, "hosts": {"1": "127.0.0.1"}, "schedule": "ready", "hold": true}""", 6, "必要参数缺失")]
    [InlineData("""{"task_name": "x", "temp_id": "5abc", "hosts": {"1": "127.0.0.1"}}""", -1, "temp_id")]
    public async Task Refuses_a_wrong_order_and_stores_nothing(string body, int code, string msg)
    {
        var before = await host.Ask<long>("SELECT count(*) FROM tasks.scheduler_task_list");
        var (plain, timed, empty) = (await host.Template(Step("true")), await host.Template(Step("true", trigger: "timed")), await host.Template());
        var answer = await host.Post(Accept, body.Replace("TEMP", $"{plain}").Replace("TIMED", $"{timed}").Replace("EMPTY", $"{empty}"));
        (answer.Code(), ((string)answer["msg"]!).Contains(msg)).ShouldBe((code, true), answer.ToJsonString());
        (await host.Ask<long>("SELECT count(*) FROM tasks.scheduler_task_list")).ShouldBe(before);
    }

    [Fact]
    public async Task A_name_has_200_characters_of_any_kind()
    {
        var template = await host.Template(Step("true"));
        object Named(string name) => new { task_name = name, temp_id = template, hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" } };
        (await host.Post(Accept, Named(string.Concat(Enumerable.Repeat("😀", 200))))).Code().ShouldBe(0);
        (await host.Post(Accept, Named(string.Concat(Enumerable.Repeat("😀", 201))))).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task Counts_a_repeated_host_once_and_refuses_too_many()
    {
        var template = await host.Template(Step("true", forceHost: "127.0.0.1"));
        var order = await host.Order(
            template,
            new Dictionary<string, string> { ["1"] = "10.0.0.1, 10.0.0.1,10.0.0.2,HOST.example,host.example" },
            schedule: "new"
        );
        (await host.Check(order))["this_host_list"]!.ToJsonString().ShouldBe("""["10.0.0.1","10.0.0.2","HOST.example"]""");
        var many = string.Join(',', Enumerable.Range(0, 101).Select(n => $"h{n}"));
        var answer = await host.Post(Accept, new { task_name = "x", temp_id = template, hosts = new Dictionary<string, string> { ["1"] = many } });
        (answer.Code(), (string)answer["msg"]!).ShouldBe((-4, "Too many hosts, please execute in groups"));
    }

    [Fact]
    public async Task Without_approval_only_for_those_with_the_right_or_named_in_the_settings()
    {
        await using var strict = await fixture.Another(("Codo:Tasks:ReadySubmitters", "hook"));
        var template = await strict.Template(null, ["31,,,member"], Step("true"));
        var body = new
        {
            task_name = "x",
            temp_id = template,
            hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
            schedule = "ready",
            submitter = "boss",
        };
        var refused = await strict.Post(Accept, body, TestTokens.For(33, "other"));
        (refused.Code(), ((string)refused["msg"]!).StartsWith("other 不是模板「t-", StringComparison.Ordinal)).ShouldBe((-2, true));
        foreach (var token in new[] { TestTokens.For(31, "member"), TestTokens.For(32, "hook") })
        {
            var answer = await strict.Post(Accept, body, token);
            answer.Code().ShouldBe(0);
            (await strict.Ended((long)answer["list_id"]!)).ShouldBe("3");
        }
        // The name that somebody else gave counts for nothing, and is kept.
        var row = (await strict.Get("/v2/task/check_history/"))["data"]![0]!;
        ((string)row["creator"]!, ((string)row["description"]!).Contains("boss")).ShouldBe(("hook", true));
    }

    [Fact]
    public async Task The_same_idempotency_key_gives_the_first_order()
    {
        var template = await host.Template(Step("true"));
        var body = $$"""{"task_name": "once", "temp_id": {{template}}, "hosts": {"1": "127.0.0.1"} }""";
        var key = Guid.NewGuid().ToString();
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Send(body, key)));
        answers.Select(answer => (long)answer["list_id"]!).Distinct().Count().ShouldBe(1);
        (await Send(body.Replace("once", "twice"), key)).Code().ShouldBe(-1);
        (await host.Ask<long>("SELECT count(*) FROM tasks.scheduler_task_list WHERE temp_id = @template", new { template })).ShouldBe(1);
        // Who reads the table cannot try bodies, and with them secrets, until the digest fits.
        (await host.Ask<string>("SELECT body FROM tasks.idempotency WHERE key = @key", new { key })).ShouldStartWith("1:");

        async Task<JsonObject> Send(string text, string idempotency)
        {
            using var request = TestHost.Request(HttpMethod.Post, Accept, text, TestTokens.Admin);
            request.Headers.Add("Idempotency-Key", idempotency);
            using var response = await host.Http.SendAsync(request);
            return JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject();
        }
    }

    [Fact]
    public async Task Warns_of_what_is_likely_a_mistake()
    {
        var template = await host.Template(Step("true", "VERSION TAG -x SITE\u3000ZONE", execUser: "nobody-knows"));
        var answer = await host.Post(
            Accept,
            new
            {
                task_name = "x",
                temp_id = template,
                hosts = new Dictionary<string, string> { ["1"] = "10.9.9.9", ["7"] = "10.9.9.9" },
                args = new { VERSION = "a b" },
                exec_time = "2099-01-01 00:00",
            }
        );
        var warnings = answer["warnings"]!.AsArray().Select(warning => (string)warning!).ToList();
        foreach (var about in new[] { "nobody-knows", "VERSION", "TAG", "exec_time", "7", "参数 SITE\u3000ZONE 含有全角空格" })
            warnings.ShouldContain(warning => warning.Contains(about));
        warnings.ShouldNotContain(warning => warning.Contains("-x"));
    }

    [Fact]
    public async Task Preview_shows_every_line_and_makes_nothing()
    {
        var before = await host.Ask<long>("SELECT count(*) FROM tasks.scheduler_task_list");
        var template = await host.Template(
            new JsonArray(
                new JsonObject
                {
                    ["group"] = 1,
                    ["batch"] = "1",
                    ["batch_pause"] = 2,
                    ["max_failures"] = 0,
                    ["next"] = "auto",
                }
            ),
            [],
            Step("deploy", "VERSION API_TOKEN FLOW_ID"),
            Step("check", group: 2, trigger: "hand")
        );
        var answer = await host.Post(
            "/v2/task/preview/",
            new
            {
                task_name = "x",
                temp_id = template,
                hosts = new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2", ["2"] = "127.0.0.1" },
                args = new { VERSION = "v 1", API_TOKEN = "geheim-geheim" },
            }
        );
        answer.Code().ShouldBe(0, answer.ToJsonString());
        var lane = answer["data"]!["groups"]![0]!["hosts"]![1]!;
        ((string)lane["host"]!, (int)lane["batch"]!, (string)lane["steps"]![0]!["command_line"]!).ShouldBe(("10.0.0.2", 2, "deploy 'v 1' ****** FLOW_ID"));
        answer.ToJsonString().ShouldNotContain("geheim");
        (await host.Ask<long>("SELECT count(*) FROM tasks.scheduler_task_list")).ShouldBe(before);
    }

    [Fact]
    public async Task The_consoles_json_page_and_pages_that_are_not_there()
    {
        var template = await host.Template(Step("true", trigger: "timed"));
        var data = $$"""{"task_name": "page", "temp_id": {{template}}, "hosts": "{1: '127.0.0.1'}", "schedule": "ready"}""";
        ((string)(await host.Post("/other/v1/submission/post_task/", new { }))["msg"]!).ShouldBe("必填项不能为空");
        (await host.Post("/other/v1/submission/post_task/", new { post_data = "{", start_time = "" })).Code().ShouldBe(-2);
        (await host.Post("/other/v1/submission/post_task/", new { post_data = "[]" })).Code().ShouldBe(-2);
        (await host.Post("/other/v1/submission/post_task/", new { post_data = data })).Code().ShouldBe(6);
        var answer = await host.Post("/other/v1/submission/post_task/", new { post_data = data, start_time = "2018-11-27T06:09:50.000Z" });
        answer.Code().ShouldBe(0, answer.ToJsonString());
        (await host.Ended((long)answer["list_id"]!)).ShouldBe("3");
        foreach (var method in new[] { HttpMethod.Get, HttpMethod.Post })
        {
            using var response = await host.Http.SendAsync(TestHost.Request(method, "/other/v1/git/projects/", null, TestTokens.Admin));
            ((int)response.StatusCode, (await response.Content.ReadAsStringAsync()).Contains("此页面属于 codo-task 的 other 服务")).ShouldBe((200, true));
        }
    }

    [Fact]
    public async Task Lists_hold_what_the_caller_may_see_and_count_it()
    {
        var (member, named, stranger) = (TestTokens.For(41, "member41"), TestTokens.For(42, "u42", nickname: "小明"), TestTokens.For(43, "u43"));
        var template = await host.Template(null, ["41,,,member41"], Step("true"));
        var made = await host.Post(
            Accept,
            new
            {
                task_name = "seen",
                temp_id = template,
                hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
                associated_user = new { g = new[] { "小明" } },
            }
        );
        var id = (long)made["list_id"]!;
        foreach (var token in new[] { member, named })
        {
            var list = await host.Get("/v2/task/list/", token);
            (list.Code(), (long)list["count"]!, (long)list["list_id"]!, (string)list["data"]![0]!["temp_id"]!).ShouldBe((0, 1, id, $"{template}"));
        }
        var nothing = await host.Get("/v2/task/list/", stranger);
        ((long)nothing["count"]!, (string)nothing["list_id"]!).ShouldBe((0, ""));
        (await host.Get("/v2/task/list/?limit=1&page=1000"))["data"]!.AsArray().Count.ShouldBe(0);
        (await host.Get("/v2/task/list/?limit=0")).Code().ShouldBe(-1);

        (await host.Put("/v2/task/list/", new { list_id = $"{id}" }, member)).Code().ShouldBe(0);
        var history = await host.Get("/v2/task/check_history/?search_val=seen", named);
        ((bool)history["history"]!, (long)history["count"]!, (string)history["data"]![0]!["status"]!).ShouldBe((true, 1, "4"));
        (await host.Get("/v2/task/check_history/?search_val=see_", named))["data"]!.AsArray().Count.ShouldBe(0);
        // An emoji lies where the index ends.
        var cut = await host.Get($"/v2/task/check_history/?search_val={Uri.EscapeDataString(new string('a', 199) + "😀b")}", named);
        (cut.Code(), cut["data"]!.AsArray().Count).ShouldBe((0, 0), cut.ToJsonString());
        var statement = await host.Get("/v2/task/statement/");
        ((long)statement["count"]!).ShouldBe(statement["data"]!.AsArray().Sum(row => (long)row!["task_len"]!));
        ((string)(await host.Get("/v2/task/check/"))["msg"]!).ShouldBe("订单ID不能为空");
        (await host.Get("/v2/task/check/?list_id=99999999")).Code().ShouldBe(-1);
        (await host.Get($"/v2/task/check/?list_id={id}&get_run_group=9")).Code().ShouldBe(-2);
    }

    [Fact]
    public async Task The_check_page_has_every_field_in_the_form_the_console_reads()
    {
        await host.Post("/v2/task_layout/args/", new { args_name = "版本", args_self = "VERSION_41" });
        var template = await host.Template(Step("true", "VERSION_41", group: 3), Step("true", group: 8));
        var id = await host.Order(
            template,
            new Dictionary<string, string> { ["3"] = "127.0.0.1", ["8"] = "127.0.0.1" },
            new { VERSION_41 = "v1" },
            schedule: "new"
        );
        var page = await host.Check(id);
        (Plain(page["new_args"]!), Plain(page["new_args_list"]!), Plain(page["args_keys"]!)).ShouldBe(
            ("""{"版本":"v1"}""", """[{"args_key":"版本","args_value":"v1"}]""", """["版本"]""")
        );
        (
            (string)page["run_group"]!,
            page["group_list"]!.ToJsonString(),
            (string)page["list_id"]!,
            (string)page["schedule"]!,
            (string)page["associated_user"]!
        ).ShouldBe(("3", "[3,8]", $"{id}", "new", "admin"));
        var step = page["scheduler_list"]![0]!.AsObject();
        foreach (
            var field in new[]
            {
                "sched_id",
                "list_id",
                "task_group",
                "task_level",
                "task_name",
                "task_cmd",
                "task_args",
                "trigger",
                "exec_user",
                "force_host",
                "exec_ip",
                "task_status",
                "outcome",
                "attempts",
            }
        )
            step.ContainsKey(field).ShouldBeTrue(field);
        ((string)step["list_id"]!, (string)step["task_status"]!).ShouldBe(($"{id}", "1"));
    }

    private static string Plain(JsonNode node) =>
        node.ToJsonString(new System.Text.Json.JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
