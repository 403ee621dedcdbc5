using System.Net;
using System.Text.Json.Nodes;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Tasks.Layout;

public sealed class CommandsTests(LibraryHost library) : IClassFixture<LibraryHost>
{
    private const string Path = LibraryHost.Command;
    private readonly TestHost host = library.Host;

    [Fact]
    public async Task Adds_a_command_and_shows_it_as_the_console_reads_it()
    {
        var name = LibraryHost.Name();
        (
            await host.Send(
                HttpMethod.Post,
                Path,
                $$"""{"command_id": "", "command_name": "{{name}}", "command": "ls", "args": "-l $DIR", "force_host": " 127.0.0.1 "}"""
            )
        ).ShouldSay(0, "添加新命令成功");
        var row = await Find(name);
        row.Select(field => field.Key).ShouldBe(["command_id", "command_name", "command", "args", "force_host", "creator", "create_time", "update_time"]);
        row["command"]!.GetValue<string>().ShouldBe("ls");
        row["args"]!.GetValue<string>().ShouldBe("-l $DIR");
        row["force_host"]!.GetValue<string>().ShouldBe("127.0.0.1");
        row["creator"]!.GetValue<string>().ShouldBe("admin");
        row["create_time"]!.GetValue<string>().ShouldMatch(@"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$");
        (await library.Audited("command", row["command_id"]!.GetValue<long>())).Single().Action.ShouldBe("create");
    }

    [Theory]
    [InlineData("""{"command": "ls"}""")]
    [InlineData("""{"command_name": "x"}""")]
    [InlineData("""{"command_name": "", "command": "ls"}""")]
    [InlineData("""{"command_name": "x", "command": "  "}""")]
    [InlineData("""{"command_name": null, "command": null}""")]
    [InlineData("{}")]
    public async Task Refuses_a_command_without_name_or_line(string body) => (await host.Send(HttpMethod.Post, Path, body)).ShouldSay(-1, "参数不能为空");

    [Fact]
    public async Task Refuses_a_name_that_is_taken_in_any_case_and_says_so_in_both_languages()
    {
        var name = LibraryHost.Name("Übung");
        (await host.Post(Path, new { command_name = name, command = "ls" })).Code().ShouldBe(0);
        (await host.Post(Path, new { command_name = name.ToUpperInvariant(), command = "ls" })).ShouldSay(-2, "名称不能重复");
        (await host.Send(HttpMethod.Post, Path, $$"""{"command_name": "{{name}}", "command": "ls"}""", language: "en")).ShouldSay(-2, "The name is taken");
    }

    [Fact]
    public async Task Of_many_who_add_one_name_at_once_one_wins_and_the_others_are_told()
    {
        var name = LibraryHost.Name();
        var codes = await Task.WhenAll(Enumerable.Range(0, 16).Select(async _ => (await host.Post(Path, new { command_name = name, command = "ls" })).Code()));
        codes.Count(code => code == 0).ShouldBe(1);
        codes.Count(code => code == -2).ShouldBe(15);
    }

    [Theory]
    [InlineData("command_name", 101)]
    [InlineData("command", 4001)]
    [InlineData("args", 4001)]
    public async Task Refuses_text_that_is_too_long_and_names_the_field(string field, int length) =>
        (await host.Send(HttpMethod.Post, Path, Body((field, new string('长', length))))).ShouldRefuseNaming(field);

    [Fact]
    public async Task Takes_any_unicode_up_to_the_longest()
    {
        var name = LibraryHost.Name() + string.Concat(Enumerable.Repeat("🚀", 80));
        var (line, args) = (string.Concat(Enumerable.Repeat("汉🚀", 2000)), "'\" \\ \t\n;$()`|&<>" + new string('é', 3000));
        (await host.Send(HttpMethod.Post, Path, Body(("command_name", name), ("command", line), ("args", args)))).Code().ShouldBe(0);
        var row = await Find(name);
        (row["command"]!.GetValue<string>(), row["args"]!.GetValue<string>()).ShouldBe((line, args));
    }

    [Theory]
    [InlineData("force_host", "\"127.0.0.1; touch x\"")]
    [InlineData("force_host", "\"10.0.0.256\"")]
    [InlineData("force_host", "5")]
    [InlineData("command", "[]")]
    [InlineData("command", "7")]
    [InlineData("args", "{}")]
    [InlineData("command_name", "true")]
    [InlineData("command_name", "\"a\\u0000b\"")]
    public async Task Refuses_what_is_no_such_value_and_names_the_field(string field, string json)
    {
        var body = new JsonObject { ["command_name"] = LibraryHost.Name(), ["command"] = "ls" };
        body[field] = JsonNode.Parse(json);
        (await host.Send(HttpMethod.Post, Path, body.ToJsonString())).ShouldRefuseNaming(field);
    }

    [Fact]
    public async Task A_change_touches_what_it_carries_and_nothing_else()
    {
        var name = LibraryHost.Name();
        var id = (await host.Post(Path, new { command_name = name, command = "ls", args = "-l", force_host = "web-1" }))["command_id"]!.GetValue<long>();
        (await host.Put(Path, new { command_id = $"{id}", command_name = "another", args = "-a" })).ShouldSay(0, "编辑成功,名称不能修改");
        var row = await Find(name);
        (row["command"]!.GetValue<string>(), row["args"]!.GetValue<string>(), row["force_host"]!.GetValue<string>()).ShouldBe(("ls", "-a", "web-1"));
        (await host.Put(Path, new { command_id = id, args = "", force_host = "" })).Code().ShouldBe(0);
        row = await Find(name);
        (row["args"]!.GetValue<string>(), row["force_host"]!.GetValue<string>()).ShouldBe(("", ""));
        var edit = (await library.Audited("command", id))[1];
        (edit.Action, JsonNode.Parse(edit.Before)!["args"]!.GetValue<string>(), JsonNode.Parse(edit.After)!["args"]!.GetValue<string>()).ShouldBe(
            ("edit", "-l", "-a")
        );
    }

    [Theory]
    [InlineData("""{"command": "ls"}""", "ID不能为空")]
    [InlineData("""{"command_id": null, "command": "ls"}""", "ID不能为空")]
    [InlineData("""{"command_id": 1, "command": ""}""", "参数不能为空")]
    [InlineData("""{"command_id": 999999999, "command": "ls"}""", "ID不存在")]
    [InlineData("""{"command_id": "5abc", "command": "ls"}""", "字段 command_id 的值或类型不正确")]
    [InlineData("""{"command_id": "", "command": "ls"}""", "字段 command_id 的值或类型不正确")]
    [InlineData("""{"command_id": 1, "force_host": "a b"}""", "force_host 不是 IP 地址或主机名")]
    public async Task Refuses_a_wrong_change(string body, string msg) => (await host.Send(HttpMethod.Put, Path, body)).ShouldSay(-1, msg);

    [Fact]
    public async Task Deletes_a_command_once()
    {
        var id = (await host.Post(Path, new { command_name = LibraryHost.Name(), command = "ls" }))["command_id"]!.GetValue<long>();
        (await host.Delete(Path, new { command_id = id })).ShouldSay(0, "删除成功");
        (await host.Delete(Path, new { command_id = id })).ShouldSay(-1, "ID不存在");
        (await host.Delete(Path, new { })).ShouldSay(-1, "ID不能为空");
        (await library.Audited("command", id)).Select(line => line.Action).ShouldBe(["create", "delete"]);
    }

    [Fact]
    public async Task The_form_of_a_command_keeps_the_line_breaks_of_its_arguments()
    {
        var name = LibraryHost.Name();
        var made = await host.Post(Path, new { command_name = name, command = "ls", args = "one\ntwo" });
        (await PageText($"/commands?q={name}&edit={made["command_id"]}")).ShouldContain(">one\ntwo</textarea>");
    }

    [Fact]
    public async Task The_editor_of_a_template_offers_the_newest_commands_and_says_how_many_more_there_are()
    {
        var template = await library.AddTemplate();
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            "INSERT INTO tasks.scheduler_cmd_list (command_name, command) SELECT 'many-' || n, 'true' FROM generate_series(1, 501) n ORDER BY n"
        );
        var page = await PageText($"/templates/{template}");
        page.ShouldContain("\"many-501\"");
        page.ShouldNotContain("\"many-1\"");
        page.ShouldContain($"data-further-commands=\"{await host.Count("SELECT count(*) - 500 FROM tasks.scheduler_cmd_list")}\"");

        // One that is not on the first page of the library can be changed as well.
        var id = await host.Ask<long>("SELECT command_id FROM tasks.scheduler_cmd_list WHERE command_name = 'many-101'");
        (await PageText("/commands?q=many-&page=2")).ShouldContain($"href=\"/commands?q=many-&edit={id}&page=2\"");
        (await PageText($"/commands?q=many-&edit={id}&page=2")).ShouldContain("data-api=\"PUT /v2/task_layout/command/\"");
        await connection.ExecuteAsync("DELETE FROM tasks.scheduler_cmd_list WHERE command_name LIKE 'many-%'");
    }

    [Fact]
    public async Task Searches_by_prefix_over_every_text_column_and_takes_wildcards_literally()
    {
        var mark = LibraryHost.Name()[..15];
        await host.Post(Path, new { command_name = $"{mark}%a_b", command = "c1" });
        await host.Post(Path, new { command_name = $"{mark}-2", command = $"{mark}\\x" });
        await host.Post(Path, new { command_name = $"{mark}-3", command = "c3", args = $"{mark}-args" });
        await host.Post(Path, new { command_name = $"{mark}-4", command = "c4", force_host = $"{mark}.example" }, TestTokens.For(7, $"{mark}who"));
        (await Found(mark)).ShouldBe(4);
        (await Found(mark.ToUpperInvariant())).ShouldBe(4);
        (await Found(mark + "%")).ShouldBe(1);
        (await Found(mark + "%a_")).ShouldBe(1);
        (await Found(mark + "%a%")).ShouldBe(0);
        (await Found(mark + "_")).ShouldBe(0);
        (await Found(mark + "\\")).ShouldBe(1);
        (await Found(mark + "-args")).ShouldBe(1);
        (await Found(mark + ".ex")).ShouldBe(1);
        (await Found(mark + "who")).ShouldBe(1);
        (await Found("%" + mark)).ShouldBe(0);
    }

    [Fact]
    public async Task Pages_up_to_200_rows_and_gives_all_of_them_above()
    {
        var mark = LibraryHost.Name()[..15];
        foreach (var number in Enumerable.Range(0, 5)) await host.Post(Path, new { command_name = $"{mark}-{number}", command = "ls" });
        async Task<(int Rows, long Count)> Page(string query)
        {
            var answer = await host.Get($"{Path}?search_value={mark}&{query}");
            answer.ShouldSay(0, "获取成功");
            return (answer.Data().Count, answer["count"]!.GetValue<long>());
        }
        (await Page("")).ShouldBe((5, 5));
        (await Page("page=1&limit=2")).ShouldBe((2, 5));
        (await Page("page=3&limit=2")).ShouldBe((1, 5));
        (await Page("page=4&limit=2")).ShouldBe((0, 5));
        (await Page("page=2147483647&limit=200")).ShouldBe((0, 5));
        (await Page("page=&limit=")).ShouldBe((5, 5));
        (await Page("limit=201")).ShouldBe((5, 5));
        (await Page("page=2&limit=2147483647")).ShouldBe((0, 5));
    }

    [Theory]
    [InlineData("page=0", "page")]
    [InlineData("page=-1", "page")]
    [InlineData("limit=0", "limit")]
    [InlineData("limit=x", "limit")]
    [InlineData("page=1.5", "page")]
    [InlineData("page=99999999999", "page")]
    public async Task Refuses_a_wrong_page(string query, string field) => (await host.Get($"{Path}?{query}")).ShouldRefuseNaming(field);

    /// <summary>A page of the console, without the escapes of HTML.</summary>
    private async Task<string> PageText(string path)
    {
        var (status, html) = await host.Page(path, TestTokens.Admin);
        status.ShouldBe(200);
        return WebUtility.HtmlDecode(html);
    }

    private static string Body(params (string Field, string Value)[] fields)
    {
        var body = new JsonObject { ["command_name"] = LibraryHost.Name(), ["command"] = "ls" };
        foreach (var (field, value) in fields) body[field] = value;
        return body.ToJsonString();
    }

    private async Task<JsonObject> Find(string name) =>
        (await host.Get(Path)).Data().Single(row => row!["command_name"]!.GetValue<string>() == name)!.AsObject();

    private async Task<long> Found(string search)
    {
        var answer = await host.Get($"{Path}?search_value={Uri.EscapeDataString(search)}&page=1&limit=100");
        answer.Data().Count.ShouldBe((int)answer["count"]!.GetValue<long>());
        return answer["count"]!.GetValue<long>();
    }
}
