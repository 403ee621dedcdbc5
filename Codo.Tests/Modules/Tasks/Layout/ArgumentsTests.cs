using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Layout;

public sealed class ArgumentsTests(LibraryHost library) : IClassFixture<LibraryHost>
{
    private const string Path = LibraryHost.Args;
    private readonly TestHost host = library.Host;

    [Fact]
    public async Task Adds_changes_and_deletes_an_argument()
    {
        var name = LibraryHost.Name("参数");
        var added = await host.Send(HttpMethod.Post, Path, $$"""{"args_id": "", "args_name": "{{name}}", "args_self": "$VERSION"}""");
        added.ShouldSay(0, "添加成功");
        var id = added["args_id"]!.GetValue<long>();
        var row = (await Search(name))[0]!;
        row.AsObject().Select(field => field.Key).ShouldBe(["args_id", "args_name", "args_self", "creator", "update_time"]);
        (row["args_self"]!.GetValue<string>(), row["creator"]!.GetValue<string>()).ShouldBe(("$VERSION", "admin"));
        (await host.Put(Path, new { args_id = $"{id}", args_self = "$TAG" })).ShouldSay(0, "编辑成功");
        (await host.Put(Path, new { args_id = id, args_name = name + "2" })).ShouldSay(0, "编辑成功");
        row = (await Search(name))[0]!;
        (row["args_name"]!.GetValue<string>(), row["args_self"]!.GetValue<string>()).ShouldBe((name + "2", "$TAG"));
        (await host.Delete(Path, new { args_id = id })).ShouldSay(0, "删除成功");
        (await host.Delete(Path, new { args_id = id })).ShouldSay(-1, "ID不存在");
        (await library.Audited("argument", id)).Select(line => line.Action).ShouldBe(["create", "edit", "edit", "delete"]);
    }

    [Fact]
    public async Task Refuses_a_name_that_is_taken_when_it_is_added_and_when_it_is_changed()
    {
        var (first, second) = (LibraryHost.Name("a"), LibraryHost.Name("b"));
        (await host.Post(Path, new { args_name = first, args_self = "A" })).Code().ShouldBe(0);
        var id = (await host.Post(Path, new { args_name = second, args_self = "A" }))["args_id"]!.GetValue<long>();
        (await host.Post(Path, new { args_name = first, args_self = "B" })).ShouldSay(-2, "名称不能重复");
        (
            await host.Put(
                Path,
                new
                {
                    args_id = id,
                    args_name = first,
                    args_self = "B",
                }
            )
        ).ShouldSay(-2, "名称不能重复");
        (
            await host.Put(
                Path,
                new
                {
                    args_id = id,
                    args_name = second,
                    args_self = "B",
                }
            )
        ).Code().ShouldBe(0);
        var codes = await Task.WhenAll(
            Enumerable.Range(0, 8).Select(async _ => (await host.Post(Path, new { args_name = first + "x", args_self = "A" })).Code())
        );
        codes.Order().ShouldBe([-2, -2, -2, -2, -2, -2, -2, 0]);
    }

    [Theory]
    [InlineData("POST", """{"args_name": "x"}""", "参数不能为空")]
    [InlineData("POST", """{"args_self": "x"}""", "参数不能为空")]
    [InlineData("POST", """{"args_name": " ", "args_self": "x"}""", "参数不能为空")]
    [InlineData("POST", """{"args_name": 1, "args_self": "x"}""", "字段 args_name 的值或类型不正确")]
    [InlineData("PUT", """{"args_name": "x", "args_self": "x"}""", "ID不能为空")]
    [InlineData("PUT", """{"args_id": 1, "args_self": ""}""", "参数不能为空")]
    [InlineData("PUT", """{"args_id": 1, "args_name": ""}""", "参数不能为空")]
    [InlineData("PUT", """{"args_id": 99999999, "args_self": "x"}""", "ID不存在")]
    [InlineData("PUT", """{"args_id": "1x", "args_self": "x"}""", "字段 args_id 的值或类型不正确")]
    [InlineData("DELETE", "{}", "ID不能为空")]
    [InlineData("DELETE", """{"args_id": []}""", "字段 args_id 的值或类型不正确")]
    public async Task Refuses_a_wrong_request(string method, string body, string msg) =>
        (await host.Send(new HttpMethod(method), Path, body)).ShouldSay(-1, msg);

    [Fact]
    public async Task Refuses_text_that_is_too_long()
    {
        (await host.Post(Path, new { args_name = new string('x', 101), args_self = "x" })).ShouldRefuseNaming("args_name");
        (await host.Post(Path, new { args_name = "x", args_self = new string('x', 4001) })).ShouldRefuseNaming("args_self");
        (await host.Get(Path + "?page=0")).ShouldRefuseNaming("page");
    }

    [Fact]
    public async Task Searches_by_prefix_with_its_wildcards_taken_literally()
    {
        var mark = LibraryHost.Name()[..15];
        await host.Post(Path, new { args_name = mark + "_1", args_self = "A" });
        await host.Post(Path, new { args_name = mark + "-2", args_self = mark + "-word" });
        (await Search(mark)).Count.ShouldBe(2);
        (await Search(mark + "_")).Count.ShouldBe(1);
        (await Search(mark + "-w")).Count.ShouldBe(1);
        (await Search(mark + "%")).Count.ShouldBe(0);
        var page = await host.Get($"{Path}?search_value={mark}&page=2&limit=1");
        (page.Data().Count, page["count"]!.GetValue<long>()).ShouldBe((1, 2));
    }

    [Fact]
    public async Task Words_end_at_ordinary_blanks_alone_as_they_do_when_a_step_runs()
    {
        var id = await library.AddTemplate();
        var step = new { command_name = "a", command = "true", args = "VERSION\u3000TAG A\u00A0B\tC" };
        (await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = new[] { step } })).Code().ShouldBe(0);
        var words = (await host.Get($"{LibraryHost.TempArgs}?temp_id={id}")).Data().Select(word => word!.GetValue<string>());
        words.ShouldBe(["VERSION\u3000TAG", "A\u00A0B", "C"]);
    }

    [Fact]
    public async Task A_word_is_stored_without_blanks_around_it_for_the_words_of_steps_have_none()
    {
        var name = LibraryHost.Name("w");
        var id = (await host.Post(Path, new { args_name = name, args_self = " VERSION\n" }))["args_id"]!.GetValue<long>();
        (await Search(name))[0]!["args_self"]!.GetValue<string>().ShouldBe("VERSION");
        (await host.Put(Path, new { args_id = id, args_self = "TAG " })).Code().ShouldBe(0);
        (await Search(name))[0]!["args_self"]!.GetValue<string>().ShouldBe("TAG");
    }

    private async Task<System.Text.Json.Nodes.JsonArray> Search(string text) => (await host.Get($"{Path}?search_value={Uri.EscapeDataString(text)}")).Data();
}
