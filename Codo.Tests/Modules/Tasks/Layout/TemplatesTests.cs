using System.Text.Json.Nodes;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Tasks.Layout;

public sealed class TemplatesTests(LibraryHost library) : IClassFixture<LibraryHost>
{
    private readonly TestHost host = library.Host;

    [Fact]
    public async Task Makes_a_template_finds_it_and_refuses_its_name_to_others()
    {
        var name = LibraryHost.Name("模板");
        var made = await host.Post(LibraryHost.Temp, new { temp_name = name });
        made.ShouldSay(0, "模板创建成功，可以对此模板进行编辑了");
        var id = made["temp_id"]!.GetValue<long>();
        (await host.Post(LibraryHost.Temp, new { temp_name = name })).ShouldSay(-2, "模板已存在");
        (await host.Post(LibraryHost.Temp, new { temp_name = name + " " })).ShouldSay(-2, "模板已存在");
        (await host.Send(HttpMethod.Post, LibraryHost.Temp, $$"""{"temp_name": "{{name}}"}""", language: "en-GB")).ShouldSay(-2, "The template exists already");
        foreach (var search in new[] { $"key=temp_name&value={Uri.EscapeDataString(name)}", $"key=temp_id&value={id}" })
        {
            var found = await host.Get($"{LibraryHost.Temp}?{search}");
            found.ShouldSay(0, "获取成功");
            var row = found.Data().Single()!.AsObject();
            row.Select(field => field.Key).ShouldBe(["temp_id", "temp_name", "creator", "space"]);
            (row["temp_id"]!.GetValue<long>(), row["temp_name"]!.GetValue<string>(), row["creator"]!.GetValue<string>()).ShouldBe((id, name, "admin"));
        }
        var all = (await host.Get(LibraryHost.Temp)).Data().Count;
        (await host.Get($"{LibraryHost.Temp}?key=temp_name&value=")).Data().Count.ShouldBe(all);
        (await host.Get($"{LibraryHost.Temp}?key=temp_id&value=abc")).Data().Count.ShouldBe(0);
        (await host.Get($"{LibraryHost.Temp}?key=creator_id&value=1")).ShouldRefuseNaming("key");
    }

    [Theory]
    [InlineData("""{"temp_name": ""}""")]
    [InlineData("""{"temp_name": "  "}""")]
    [InlineData("{}")]
    public async Task Refuses_a_template_without_a_name(string body) => (await host.Send(HttpMethod.Post, LibraryHost.Temp, body)).ShouldSay(-1, "编排模板名称不能为空");

    [Fact]
    public async Task Of_many_who_make_one_template_at_once_one_wins()
    {
        var name = LibraryHost.Name();
        var codes = await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ => (await host.Post(LibraryHost.Temp, new { temp_name = name })).Code()));
        codes.Order().ShouldBe([-2, -2, -2, -2, -2, -2, -2, 0]);
        (await host.Post(LibraryHost.Temp, new { temp_name = new string('长', 101) })).ShouldRefuseNaming("temp_name");
    }

    [Fact]
    public async Task Deleting_a_template_takes_its_steps_groups_and_users_along()
    {
        var id = await library.AddTemplate();
        await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = new[] { Step("a") }, groups = new[] { new { group = 1, batch = 2 } } });
        await host.Patch(LibraryHost.Details, new { temp_id = id, new_user_info = new[] { "5,,,五" } });
        (await host.Send(HttpMethod.Delete, LibraryHost.Temp, $$"""{"temp_id": "{{id}}"}""")).ShouldSay(0, "删除成功");
        (await host.Delete(LibraryHost.Temp, new { temp_id = id })).ShouldSay(-1, "模板不存在");
        (await host.Delete(LibraryHost.Temp, new { })).ShouldSay(-1, "不能为空");
        (await library.Show(id)).ShouldSay(-1, "模板不存在");
        await using var connection = await host.Source.OpenConnectionAsync();
        (
            await connection.ExecuteScalarAsync<long>(
                """
                SELECT (SELECT count(*) FROM tasks.scheduler_temp_details WHERE temp_id = @id) + (SELECT count(*) FROM tasks.scheduler_temp_user
                    WHERE temp_id = @id)
                    + (SELECT count(*) FROM tasks.scheduler_temp_group WHERE temp_id = @id)
                """,
                new { id }
            )
        ).ShouldBe(0);
        var (action, before, _) = (await library.Audited("template", id))[^1];
        action.ShouldBe("delete");
        before.ShouldContain("5,,,五");
    }

    [Fact]
    public async Task Takes_steps_made_from_commands_as_the_console_sends_them_and_gives_them_back()
    {
        var id = await library.AddTemplate();
        (
            await host.Send(
                HttpMethod.Put,
                LibraryHost.Details,
                $$"""
                {"new_temp_data": [
                  {"command_id": 7, "command_name": "拉代码", "command": "git pull", "args": null, "force_host": null, "creator": "ss",
                      "create_time": "2019-01-01 00:00:00",
                   "update_time": "2019-01-01 00:00:00", "group": 88, "level": 88, "exec_user": "root", "trigger": "hand"},
                  {"command_id": 8, "command_name": "b", "command": "make", "args": "$TARGET", "force_host": "", "group": "1", "level": "2",
                      "exec_user": "deploy", "trigger": "order", "initRowIndex": 3}],
                 "temp_id": {{id}}}
                """
            )
        ).ShouldSay(0, "修改成功");
        var shown = await library.Show(id);
        shown.ShouldSay(0, "获取模板详情成功");
        var steps = shown["data"]!["temp_list"]!.AsArray();
        steps.Select(step => step!["command_name"]!.GetValue<string>()).ShouldBe(["b", "拉代码"]);
        var step = steps[1]!.AsObject();
        step.Select(field => field.Key)
            .ShouldBe([
                "id",
                "temp_id",
                "group",
                "level",
                "command_name",
                "command",
                "args",
                "trigger",
                "exec_user",
                "force_host",
                "timeout",
                "retries",
                "retry_delay",
                "on_error",
                "creator",
                "pty",
                "interpreter",
                "run_as",
                "node",
            ]);
        step.Remove("id");
        step.ToJsonString().ShouldBe(new JsonObject
        {
            ["temp_id"] = $"{id}",
            ["group"] = 88,
            ["level"] = 88,
            ["command_name"] = "拉代码",
            ["command"] = "git pull",
            ["args"] = "",
            ["trigger"] = "hand",
            ["exec_user"] = "root",
            ["force_host"] = "",
            ["timeout"] = 1800,
            ["retries"] = 0,
            ["retry_delay"] = 1,
            ["on_error"] = "stop",
            ["creator"] = "admin",
            ["pty"] = false,
            ["interpreter"] = "",
            ["run_as"] = Environment.UserName,
            ["node"] = "",
        }.ToJsonString());
    }

    [Fact]
    public async Task Steps_go_back_as_they_came_with_their_ids_and_their_makers()
    {
        var id = await library.AddTemplate();
        await host.Put(
            LibraryHost.Details,
            new
            {
                temp_id = id,
                new_temp_data = new object[]
                {
                    Step("a"),
                    new
                    {
                        command_name = "b",
                        command = "echo '%_\\ \"🚀\"",
                        group = 1,
                        level = 2,
                        trigger = "timed",
                        timeout = 60,
                        retries = 3,
                        on_error = "continue",
                        force_host = "fe80::1",
                    },
                },
            }
        );
        var shown = (await library.Show(id))["data"]!["temp_list"]!.DeepClone().AsArray();
        var editor = TestTokens.For(2, "editor", superuser: true);
        (
            await host.Send(
                HttpMethod.Put,
                LibraryHost.Details,
                new JsonObject { ["temp_id"] = $"{id}", ["new_temp_data"] = shown.DeepClone() }.ToJsonString(),
                editor
            )
        ).ShouldSay(0, "修改成功");
        (await library.Show(id))["data"]!["temp_list"]!.ToJsonString().ShouldBe(shown.ToJsonString());

        // One is taken out, one is copied with its id, one bears an id that is another template's.
        var other = await library.AddTemplate();
        await host.Put(LibraryHost.Details, new { temp_id = other, new_temp_data = new[] { Step("theirs") } });
        var theirs = (await library.Show(other))["data"]!["temp_list"]![0]!;
        var kept = shown[1]!;
        var sent = new JsonArray(kept.DeepClone(), kept.DeepClone(), theirs.DeepClone());
        (await host.Send(HttpMethod.Put, LibraryHost.Details, new JsonObject { ["temp_id"] = id, ["new_temp_data"] = sent }.ToJsonString(), editor)).ShouldSay(
            0,
            "修改成功"
        );
        var now = (await library.Show(id))["data"]!["temp_list"]!.AsArray();
        now.Count.ShouldBe(3);
        now.Count(step => step!["id"]!.GetValue<long>() == kept["id"]!.GetValue<long>()).ShouldBe(1);
        now.Single(step => step!["id"]!.GetValue<long>() == kept["id"]!.GetValue<long>())!["creator"]!.GetValue<string>().ShouldBe("admin");
        now.Single(step => step!["command_name"]!.GetValue<string>() == "theirs")!["creator"]!.GetValue<string>().ShouldBe("editor");
        (await library.Show(other))["data"]!["temp_list"]![0]!.ToJsonString().ShouldBe(theirs.ToJsonString());
    }

    [Fact]
    public async Task New_steps_of_one_level_keep_the_order_in_which_they_were_sent()
    {
        var id = await library.AddTemplate();
        var names = Enumerable.Range(0, 200).Select(number => $"s{number}").ToArray();
        await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = names.Select(name => Step(name)) });
        (await library.Show(id))["data"]!["temp_list"]!.AsArray().Select(step => step!["command_name"]!.GetValue<string>()).ShouldBe(names);
    }

    [Fact]
    public async Task An_empty_list_empties_the_template_and_says_so()
    {
        var id = await library.AddTemplate();
        await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = new[] { Step("a") } });
        (await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = Array.Empty<object>() })).ShouldSay(0, "模板内容清空");
        (await library.Show(id))["data"]!["temp_list"]!.AsArray().Count.ShouldBe(0);
    }

    [Fact]
    public async Task Groups_have_properties_that_stay_when_none_are_sent()
    {
        var id = await library.AddTemplate();
        await host.Send(HttpMethod.Put, LibraryHost.Details, $$"""
            {"temp_id": {{id}}, "new_temp_data": [{"command_name": "a", "command": "ls", "group": 1}, {"command_name": "b", "command": "ls", "group": 2}],
             "groups": [{"group": 2, "batch": 10, "batch_pause": "30", "max_failures": 1, "next": "confirm"}]}
            """
        );
        const string Stored =
            """[{"group":1,"batch":"","batch_pause":0,"max_failures":0,"next":"auto"},"""
                + """{"group":2,"batch":"10","batch_pause":30,"max_failures":1,"next":"confirm"}]""";
        (await library.Show(id))["groups"]!.ToJsonString().ShouldBe(Stored);
        await host.Send(
            HttpMethod.Put,
            LibraryHost.Details,
            $$"""{"temp_id": {{id}}, "new_temp_data": [{"command_name": "a", "command": "ls", "group": 1}]}"""
        );
        (await library.Show(id))["groups"]!.ToJsonString().ShouldBe(Stored);
        (await host.Send(HttpMethod.Put, LibraryHost.Details, $$"""{"temp_id": {{id}}, "groups": [{"group": "1", "batch": "20%"}]}""")).ShouldSay(0, "修改成功");
        var shown = await library.Show(id);
        shown["groups"]!.ToJsonString().ShouldBe("""[{"group":1,"batch":"20%","batch_pause":0,"max_failures":0,"next":"auto"}]""");
        shown["data"]!["temp_list"]!.AsArray().Count.ShouldBe(1);
    }

    [Theory]
    [InlineData("""{"new_temp_data": []}""", "模板ID不能为空")]
    [InlineData("""{"temp_id": 999999999, "new_temp_data": []}""", "模板不存在")]
    [InlineData("""{"temp_id": "x1", "new_temp_data": []}""", "字段 temp_id 的值或类型不正确")]
    [InlineData("""{"temp_id": 1}""", "参数不能为空")]
    [InlineData("""{"temp_id": 1, "new_temp_data": {}}""", "字段 new_temp_data 的值或类型不正确")]
    [InlineData("""{"temp_id": 1, "new_temp_data": [null]}""", "new_temp_data[0] 不能为空")]
    [InlineData("""{"temp_id": 1, "new_temp_data": [{"command": "ls"}]}""", "new_temp_data[0].command_name 不能为空")]
    [InlineData("""{"temp_id": 1, "new_temp_data": [{"command_name": "a"}]}""", "new_temp_data[0].command 不能为空")]
    [InlineData(
        """{"temp_id": 1, "new_temp_data": [{"command_name": "a", "command": "ls", "trigger": "never"}]}""",
        "new_temp_data[0].trigger 只能是 order | timed | hand"
    )]
    [InlineData(
        """{"temp_id": 1, "new_temp_data": [{"command_name": "a", "command": "ls", "on_error": ""}]}""",
        "new_temp_data[0].on_error 只能是 stop | continue"
    )]
    [InlineData(
        """{"temp_id": 1, "new_temp_data": [{"command_name": "a", "command": "ls", "group": -1}]}""",
        "new_temp_data[0].group 必须在 0 到 2147483647 之间"
    )]
    [InlineData(
        """{"temp_id": 1, "new_temp_data": [{"command_name": "a", "command": "ls", "level": -1}]}""",
        "new_temp_data[0].level 必须在 0 到 2147483647 之间"
    )]
    [InlineData("""{"temp_id": 1, "new_temp_data": [{"command_name": "a", "command": "ls", "level": "8x"}]}""", "字段 new_temp_data[0].level 的值或类型不正确")]
    [InlineData(
        """{"temp_id": 1, "new_temp_data": [{"command_name": "a", "command": "ls", "timeout": 0}]}""",
        "new_temp_data[0].timeout 必须在 1 到 2592000 之间"
    )]
    [InlineData(
        """{"temp_id": 1, "new_temp_data": [{"command_name": "a", "command": "ls", "retries": -1}]}""",
        "new_temp_data[0].retries 必须在 0 到 100 之间"
    )]
    [InlineData(
        """{"temp_id": 1, "new_temp_data": [{"command_name": "a", "command": "ls", "retry_delay": 86401}]}""",
        "new_temp_data[0].retry_delay 必须在 0 到 86400 之间"
    )]
    [InlineData(
        """{"temp_id": 1, "new_temp_data": [{"command_name": "a", "command": "ls", "force_host": "$(id)"}]}""",
        "new_temp_data[0].force_host 不是 IP 地址或主机名"
    )]
    [InlineData("""{"temp_id": 1, "groups": [null]}""", "groups[0].group 不能为空")]
    [InlineData("""{"temp_id": 1, "groups": [{"batch": 1}]}""", "groups[0].group 不能为空")]
    [InlineData("""{"temp_id": 1, "groups": [{"group": 1, "batch": "0"}]}""", "groups[0].batch 应为主机数量或 1% 到 100%")]
    [InlineData("""{"temp_id": 1, "groups": [{"group": 1, "batch": "101%"}]}""", "groups[0].batch 应为主机数量或 1% 到 100%")]
    [InlineData("""{"temp_id": 1, "groups": [{"group": 1, "batch": []}]}""", "字段 groups[0].batch 的值或类型不正确")]
    [InlineData("""{"temp_id": 1, "groups": [{"group": 1, "batch_pause": -1}]}""", "groups[0].batch_pause 必须在 0 到 86400 之间")]
    [InlineData("""{"temp_id": 1, "groups": [{"group": 1, "max_failures": -1}]}""", "groups[0].max_failures 必须在 0 到 2147483647 之间")]
    [InlineData("""{"temp_id": 1, "groups": [{"group": 1, "next": "go"}]}""", "groups[0].next 只能是 auto | confirm")]
    [InlineData("""{"temp_id": 1, "groups": [{"group": 1}, {"group": 1}]}""", "groups 中有重复的 group")]
    public async Task Refuses_wrong_steps_and_groups_and_names_the_place(string body, string msg) =>
        (await host.Send(HttpMethod.Put, LibraryHost.Details, body)).ShouldSay(-1, msg);

    [Fact]
    public async Task Refuses_long_text_and_too_many_steps_and_leaves_the_template_as_it_was()
    {
        var id = await library.AddTemplate();
        await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = new[] { Step("a") } });
        async Task Refused(string field, object step) =>
            (await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = new[] { Step("ok"), step } })).ShouldRefuseNaming(
                $"new_temp_data[1].{field}"
            );
        await Refused("command_name", new { command_name = new string('x', 101), command = "ls" });
        await Refused("command", new { command_name = "x", command = new string('x', 4001) });
        await Refused("args", new { command_name = "x", command = "ls", args = new string('x', 4001) });
        await Refused("exec_user", new { command_name = "x", command = "ls", exec_user = new string('x', 101) });
        (await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = Enumerable.Repeat(Step("a"), 1001) })).Code().ShouldBe(-1);
        (await library.Show(id))["data"]!["temp_list"]!.AsArray().Single()!["command_name"]!.GetValue<string>().ShouldBe("a");
    }

    [Fact]
    public async Task Steps_and_groups_past_the_limit_are_counted_before_anything_is_made_of_them()
    {
        const string steps = "一个模板最多 1000 个步骤", groups = "一个模板最多 1000 个组";
        static string Many(int count) => "[" + string.Join(',', Enumerable.Repeat("{}", count)) + "]";
        Task<JsonObject> Put(string fields) => host.Send(HttpMethod.Put, LibraryHost.Details, $$"""{"temp_id": 999999999, {{fields}}}""");
        (await Put($"\"new_temp_data\": {Many(1001)}")).ShouldSay(-1, steps);
        (await Put($"\"groups\": {Many(1001)}")).ShouldSay(-1, groups);
        (await Put($"\"new_temp_data\": {Many(2_700_000)}")).ShouldSay(-1, steps);
        (await Put($"\"groups\": {Many(2_700_000)}")).ShouldSay(-1, groups);
        // As many as are taken: what is wrong with one of them is said.
        (await Put($"\"new_temp_data\": {Many(1000)}")).ShouldSay(-1, "new_temp_data[0].command_name 不能为空");
        (await Put("\"new_temp_data\": [{}, {}, {\"level\": \"8x\"}]")).ShouldSay(-1, "字段 new_temp_data[2].level 的值或类型不正确");
    }

    [Fact]
    public async Task Two_who_save_at_once_save_one_after_the_other()
    {
        var id = await library.AddTemplate();
        await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = new[] { Step("a"), Step("b") } });
        var shown = (await library.Show(id))["data"]!["temp_list"]!.ToJsonString();
        var codes = await Task.WhenAll(
            Enumerable
                .Range(0, 12)
                .Select(async _ => (await host.Send(HttpMethod.Put, LibraryHost.Details, $$"""{"temp_id": {{id}}, "new_temp_data": {{shown}}}""")).Code())
        );
        codes.ShouldAllBe(code => code == 0);
        (await library.Show(id))["data"]!["temp_list"]!.ToJsonString().ShouldBe(shown);
    }

    [Fact]
    public async Task A_step_without_group_and_level_has_those_that_the_description_promises()
    {
        var id = await library.AddTemplate();
        (await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = new[] { new { command_name = "a", command = "ls" } } })).Code().ShouldBe(0);
        var stored = (await library.Show(id))["data"]!["temp_list"]![0]!;
        var details = (await host.Get("/openapi/v1.json"))["paths"]!["/v2/task_layout/details"]!["put"]!;
        var body = details["requestBody"]!["content"]!["application/json"]!["schema"]!["properties"]!;
        var described = body["new_temp_data"]!["items"]!["properties"]!;
        foreach (var field in new[] { "group", "level" }) ((string)described[field]!["description"]!).ShouldEndWith($"default {(int)stored[field]!}");
    }

    [Fact]
    public async Task Replaces_the_users_and_shows_them_in_both_places()
    {
        var id = await library.AddTemplate();
        (
            await host.Patch(LibraryHost.Details, new { temp_id = $"{id}", new_user_info = new[] { "12,,,杨铭威", "3,,,a,,,b", "12,,,twice", "4,,," } })
        ).ShouldSay(0, "修改成功");
        var shown = await library.Show(id);
        string[] users = ["12,,,杨铭威", "3,,,a,,,b", "4,,,"];
        shown["temp_user"]!.AsArray().Select(user => user!.GetValue<string>()).ShouldBe(users);
        shown["data"]!["temp_user"]!.AsArray().Select(user => user!.GetValue<string>()).ShouldBe(users);
        (await host.Patch(LibraryHost.Details, new { temp_id = id, new_user_info = Array.Empty<string>() })).ShouldSay(0, "修改成功");
        (await library.Show(id))["temp_user"]!.AsArray().Count.ShouldBe(0);
        (await library.Audited("template", id)).Count(line => line.Action == "edit users").ShouldBe(2);
    }

    [Theory]
    [InlineData("""{"new_user_info": []}""", "模板ID不能为空")]
    [InlineData("""{"temp_id": 1}""", "参数不能为空")]
    [InlineData("""{"temp_id": 999999999, "new_user_info": []}""", "模板不存在")]
    [InlineData("""{"temp_id": 1, "new_user_info": "5,,,a"}""", "字段 new_user_info 的值或类型不正确")]
    [InlineData("""{"temp_id": 1, "new_user_info": ["a,,,b"]}""", "new_user_info 的每一项应为 用户ID,,,昵称")]
    [InlineData("""{"temp_id": 1, "new_user_info": ["5,a"]}""", "new_user_info 的每一项应为 用户ID,,,昵称")]
    [InlineData("""{"temp_id": 1, "new_user_info": ["0,,,a"]}""", "new_user_info 的每一项应为 用户ID,,,昵称")]
    [InlineData("""{"temp_id": 1, "new_user_info": ["-5,,,a"]}""", "new_user_info 的每一项应为 用户ID,,,昵称")]
    [InlineData("""{"temp_id": 1, "new_user_info": [null]}""", "new_user_info 的每一项应为 用户ID,,,昵称")]
    public async Task Refuses_wrong_users(string body, string msg) => (await host.Send(HttpMethod.Patch, LibraryHost.Details, body)).ShouldSay(-1, msg);

    [Fact]
    public async Task Lists_the_words_of_all_steps_in_order_without_the_orders_id()
    {
        var (id, word) = (await library.AddTemplate(), LibraryHost.Name("W"));
        var name = LibraryHost.Name("版本");
        await host.Post(LibraryHost.Args, new { args_name = name, args_self = word });
        await host.Put(LibraryHost.Details, new
        {
            temp_id = id,
            new_temp_data = new[]
            {
                new { command_name = "late", command = "c", group = 2, level = 1, args = "LAST A" },
                new { command_name = "first", command = "c", group = 1, level = 1, args = $" {word}\tFLOW_ID  B " },
                new { command_name = "second", command = "c", group = 1, level = 2, args = "B x-FLOW_ID" },
                new { command_name = "none", command = "c", group = 1, level = 3, args = "" },
            },
        });
        var answer = await host.Get($"{LibraryHost.TempArgs}?temp_id={id}");
        answer.ShouldSay(0, "获取成功");
        answer.Data().Select(one => one!.GetValue<string>()).ShouldBe([word, "B", "x-FLOW_ID", "LAST", "A"]);
        answer["args_dict"]![word]!.GetValue<string>().ShouldBe(name);
        (await host.Get(LibraryHost.TempArgs)).ShouldSay(-1, "模板ID不能为空");
        (await host.Get($"{LibraryHost.TempArgs}?temp_id=999999999")).ShouldSay(-1, "模板不存在");
        (await host.Get(LibraryHost.Details)).ShouldSay(-1, "模板ID不能为空");
        (await host.Get($"{LibraryHost.Details}?temp_id=7z")).ShouldRefuseNaming("temp_id");
    }

    private static object Step(string name) => new { command_name = name, command = "ls", group = 1, level = 88, exec_user = "root", trigger = "order" };
}
