using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Security;
using Codo.Tests.Modules.Tasks.Hosts;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Codo.Tests.Modules.Tasks.Layout;

public sealed class ExecuteUsersTests(LibraryHost library) : IClassFixture<LibraryHost>
{
    private const string Path = LibraryHost.User;
    private readonly TestHost host = library.Host;

    [Theory]
    [InlineData("ed25519", "", "")]
    [InlineData("ed25519", "", "a passphrase")]
    [InlineData("ecdsa", "", "")]
    [InlineData("rsa", "PEM", "")]
    [InlineData("rsa", "PEM", "口令 with spaces")]
    [InlineData("rsa", "PKCS8", "")]
    [InlineData("ecdsa", "PKCS8", "secret")]
    public async Task Takes_each_kind_of_key_and_opens_it_again_for_the_engine(string kind, string form, string passphrase)
    {
        var (key, alias) = (await NewKey(kind, form, passphrase), LibraryHost.Name("u"));
        (
            await host.Post(
                Path,
                new
                {
                    id = "",
                    alias_user = alias,
                    exec_user = "deploy",
                    ssh_port = "2222",
                    user_key = key,
                    passphrase,
                    remarks = "备注",
                }
            )
        ).ShouldSay(0, "添加成功");
        await using var connection = await host.Source.OpenConnectionAsync();
        var opened = (await ExecuteUser.Find(connection, host.Services.GetRequiredService<SecretBox>(), alias))!;
        (opened.Login, opened.Port, opened.PrivateKey, opened.Passphrase ?? "").ShouldBe(("deploy", 2222, key, passphrase));
    }

    [Fact]
    public async Task Shows_the_fields_of_the_console_with_the_key_masked()
    {
        var alias = LibraryHost.Name("u");
        await Add(alias, await NewKey());
        var row = await Find(alias);
        row.Select(field => field.Key)
            .Order()
            .ShouldBe([
                "alias_user",
                "certificate",
                "encoding",
                "exec_user",
                "id",
                "password",
                "remarks",
                "space",
                "ssh_host",
                "ssh_port",
                "update_time",
                "user_key",
                "users",
                "via",
            ]);
        (row["user_key"]!.GetValue<string>(), row["password"]!.GetValue<string>(), row["ssh_port"]!.GetValue<int>()).ShouldBe(("******", "", 22));
    }

    [Fact]
    public async Task The_mask_sent_back_leaves_the_key_and_another_key_replaces_it()
    {
        var (alias, key) = (LibraryHost.Name("u"), await NewKey(passphrase: "one"));
        await Add(alias, key, "one");
        var row = await Find(alias);
        row["remarks"] = "edited";
        row["ssh_port"] = "2022";
        (await host.Send(HttpMethod.Put, Path, row.ToJsonString())).ShouldSay(0, "编辑成功");
        (await Find(alias))["remarks"]!.GetValue<string>().ShouldBe("edited");
        (await Opened(alias)).ShouldBe((key, "one"));
        (await host.Put(Path, new { id = row["id"]!.GetValue<long>(), passphrase = "******" })).Code().ShouldBe(0);
        (await Opened(alias)).ShouldBe((key, "one"));

        var another = await NewKey();
        (await host.Put(Path, new { id = row["id"]!.GetValue<long>(), user_key = another })).ShouldSay(0, "编辑成功");
        (await Opened(alias)).ShouldBe((another, null));
        var changed = (await library.Audited("execute_user", row["id"]!.GetValue<long>())).Select(line =>
            JsonNode.Parse(line.After)!["secrets_changed"]?.GetValue<bool>()
        );
        changed.ShouldBe([null, false, false, true]);
    }

    [Fact]
    public async Task A_row_that_comes_back_as_it_went_has_no_unknown_field_and_a_password_in_it_is_one()
    {
        var (alias, key) = (LibraryHost.Name("u"), await NewKey());
        await Add(alias, key);
        var row = await Find(alias);
        (await host.Send(HttpMethod.Put, Path, row.ToJsonString()))["warnings"]!.AsArray().ShouldBeEmpty();
        row["password"] = "nobody reads it";
        var warned = (await host.Send(HttpMethod.Put, Path, row.ToJsonString()))["warnings"]!.AsArray();
        warned.ShouldHaveSingleItem()!.GetValue<string>().ShouldStartWith("字段 password 不认识");
        row["password"] = "";
        row["alias_user"] = LibraryHost.Name("u");
        row["user_key"] = key;
        var added = await host.Send(HttpMethod.Post, Path, row.ToJsonString());
        (added.Code(), added["warnings"]!.AsArray().Count).ShouldBe((0, 0), added.ToJsonString());
    }

    [Fact]
    public async Task Refuses_keys_that_cannot_be_read_with_the_reason()
    {
        var locked = await NewKey(passphrase: "right");
        async Task<string> Refused(string key, string? passphrase)
        {
            var answer = await host.Post(Path, new { alias_user = LibraryHost.Name("u"), exec_user = "root", user_key = key, passphrase });
            answer.Code().ShouldBe(-1);
            return answer.Msg();
        }
        (await Refused(locked, null)).ShouldBe("私钥有口令保护，请填写 passphrase");
        (await Refused(locked, "wrong")).ShouldStartWith("私钥无法读取：passphrase 不对");
        (await Refused("******", null)).ShouldStartWith("私钥无法读取");
        (await Refused("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI me@here", null)).ShouldStartWith("私钥无法读取");
        (await Refused(locked[..200], null)).ShouldStartWith("私钥无法读取");
        (await Refused("-----BEGIN OPENSSH PRIVATE KEY-----\n!!!\n-----END OPENSSH PRIVATE KEY-----", null)).ShouldStartWith("私钥无法读取");

        var alias = LibraryHost.Name("u");
        await Add(alias, locked, "right");
        var id = (await Find(alias))["id"]!.GetValue<long>();
        (await host.Put(Path, new { id, user_key = "junk" })).Code().ShouldBe(-1);
        (await host.Put(Path, new { id, passphrase = "wrong" })).Code().ShouldBe(-1);
        (await host.Put(Path, new { id, passphrase = "" })).ShouldSay(-1, "私钥有口令保护，请填写 passphrase");
        (await Opened(alias)).ShouldBe((locked, "right"));
    }

    [Fact]
    public async Task Refuses_a_key_that_takes_too_much_to_open()
    {
        var key = ForeignKeys.PuttyThreeLocked.Replace("Argon2-Passes: 21", "Argon2-Passes: 101", StringComparison.Ordinal);
        var alias = LibraryHost.Name("u");
        (await host.Post(Path, new { alias_user = alias, exec_user = "root", user_key = key, passphrase = "pass phrase" })).ShouldRefuseNaming("user_key");
        await Add(alias, await NewKey());
        var id = (await Find(alias))["id"]!.GetValue<long>();
        (await host.Put(Path, new { id, user_key = key, passphrase = "pass phrase" })).ShouldRefuseNaming("user_key");
    }

    // Opening a key takes a while, and others need its row.
    [Fact]
    public async Task A_new_key_is_checked_before_anything_is_locked()
    {
        var alias = LibraryHost.Name("u");
        await Add(alias, await NewKey());
        var id = (await Find(alias))["id"]!.GetValue<long>();
        await using var connection = await host.Source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await connection.ExecuteAsync("SELECT 1 FROM tasks.scheduler_execute_user WHERE id = @id FOR UPDATE", new { id }, transaction);
        var answer = await host.Put(Path, new { id, user_key = "junk" }).WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        (answer.Code(), answer.Msg().StartsWith("私钥无法读取", StringComparison.Ordinal)).ShouldBe((-1, true));
    }

    [Fact]
    public async Task One_that_an_open_order_names_is_renamed_when_the_order_has_ended()
    {
        var alias = LibraryHost.Name("u");
        await Add(alias, await NewKey());
        var template = await OrderHost.Template(host, OrderHost.Step("true", execUser: alias));
        var order = await OrderHost.Order(host, template, new Dictionary<string, string> { ["1"] = "10.9.8.7" }, schedule: "new");
        var id = (await Find(alias))["id"]!.GetValue<long>();
        var refused = await host.Put(Path, new { id, alias_user = alias + "2", remarks = "x" });
        refused["code"]!.GetValue<int>().ShouldBe(-1);
        refused["msg"]!.GetValue<string>().ShouldContain($"订单 {order} 还在使用执行用户 {alias}");
        (await Find(alias))["remarks"]!.GetValue<string>().ShouldNotBe("x");
        (await host.Put(Path, new { id, remarks = "x" })).ShouldSay(0, "编辑成功");
        ((int)(await host.Put("/v2/task/list/", new { list_id = order }))["code"]!).ShouldBe(0);
        (await host.Put(Path, new { id, alias_user = alias + "2" })).ShouldSay(0, "编辑成功");
    }

    [Fact]
    public async Task One_that_an_open_order_names_is_deleted_or_moved_from_its_space_when_the_order_has_ended()
    {
        var (alias, space) = (LibraryHost.Name("u"), LibraryHost.Name("space"));
        (await host.Post("/v2/accounts/space/", new { name = space })).Code().ShouldBe(0);
        await Add(alias, await NewKey());
        var template = await OrderHost.Template(host, OrderHost.Step("true", execUser: alias));
        var order = await OrderHost.Order(host, template, new Dictionary<string, string> { ["1"] = "10.9.8.7" }, schedule: "new");
        var id = (await Find(alias))["id"]!.GetValue<long>();
        (await host.Put(Path, new { id, space })).ShouldSay(-1, $"订单 {order} 还在使用执行用户 {alias}：结束之后再移动");
        (await host.Delete(Path, new { exec_user_id = id })).ShouldSay(-1, $"订单 {order} 还在使用执行用户 {alias}：结束之后再删除");
        (await Find(alias))["space"]!.GetValue<string>().ShouldBe("default");
        ((int)(await host.Put("/v2/task/list/", new { list_id = order }))["code"]!).ShouldBe(0);
        (await host.Put(Path, new { id, space })).ShouldSay(0, "编辑成功");

        // From everywhere it is found in default.
        (await host.Put(LibraryHost.Details, new { temp_id = template, space })).Code().ShouldBe(0);
        order = await OrderHost.Order(host, template, new Dictionary<string, string> { ["1"] = "10.9.8.7" }, schedule: "new");
        (await host.Put(Path, new { id, space = "default" })).ShouldSay(0, "编辑成功");
        (await host.Put(Path, new { id, space })).ShouldSay(0, "编辑成功");
        ((int)(await host.Put("/v2/task/list/", new { list_id = order }))["code"]!).ShouldBe(0);
        (await host.Delete(Path, new { exec_user_id = id })).ShouldSay(0, "删除成功");
    }

    [Fact]
    public async Task A_move_out_of_the_reach_of_templates_names_them_and_their_orders_are_warned_of()
    {
        var (alias, space) = (LibraryHost.Name("u"), LibraryHost.Name("space"));
        (await host.Post("/v2/accounts/space/", new { name = space })).Code().ShouldBe(0);
        await Add(alias, await NewKey());
        var template = await OrderHost.Template(host, OrderHost.Step("true", execUser: alias));
        var name = (string)(await host.Get($"{LibraryHost.Temp}?key=temp_id&value={template}")).Data()[0]!["temp_name"]!;
        // Codo's own machine is entered without it.
        await OrderHost.Template(host, OrderHost.Step("true", execUser: alias, forceHost: "127.0.0.1"));
        var id = (await Find(alias))["id"]!.GetValue<long>();
        (await host.Put(Path, new { id, space }))["warnings"]!.AsArray().Single()!.GetValue<string>().ShouldEndWith($"：{name}");

        var order = await host.Post("/v2/task/accept/", new
        {
            task_name = "out of reach",
            temp_id = template,
            hosts = new Dictionary<string, string> { ["1"] = "10.9.8.7" },
            schedule = "new",
        });
        order.Code().ShouldBe(0, order.ToJsonString());
        order["warnings"]!.AsArray().Select(warning => (string)warning!).ShouldContain($"执行用户 {alias} 不存在，或在另一个空间");
        (await host.Put(Path, new { id, space = "default" }))["warnings"]!.AsArray().ShouldBeEmpty();
        (await host.Put("/v2/task/list/", new { list_id = (long)order["list_id"]! })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task The_form_keeps_the_line_breaks_of_remarks()
    {
        var alias = LibraryHost.Name("u");
        await Add(alias, await NewKey());
        var id = (await Find(alias))["id"]!.GetValue<long>();
        (await host.Put(Path, new { id, remarks = "one\ntwo" })).Code().ShouldBe(0);
        System.Net.WebUtility.HtmlDecode((await host.Page($"/execute-users?edit={id}", TestTokens.Admin)).Html).ShouldContain(">one\ntwo</textarea>");
    }

    [Fact]
    public async Task The_page_says_that_without_users_everybody_who_may_run_may_name_it()
    {
        var alias = LibraryHost.Name("u");
        await Add(alias, await NewKey());
        var id = (await Find(alias))["id"]!.GetValue<long>();
        var english = System.Net.WebUtility.HtmlDecode((await host.Page($"/execute-users?edit={id}", TestTokens.Admin, "en")).Html);
        english.ShouldContain("empty: everybody who may run<");
        english.ShouldContain(">who may run<");
        english.ShouldNotContain("who may edit");
        var chinese = System.Net.WebUtility.HtmlDecode((await host.Page($"/execute-users?edit={id}", TestTokens.Admin, "zh")).Html);
        chinese.ShouldContain("空为所有有运行权限的人");
    }

    [Fact]
    public async Task Names_are_stored_without_blanks_around_them_so_that_they_are_found()
    {
        var (alias, key) = (LibraryHost.Name("u"), await NewKey());
        var named = alias + "2";
        (await host.Post(Path, new { alias_user = $" {alias} ", exec_user = "deploy ", user_key = key, ssh_host = "10.0.0.1" })).ShouldSay(0, "添加成功");
        var row = await Find(alias);
        row["exec_user"]!.GetValue<string>().ShouldBe("deploy");
        var id = row["id"]!.GetValue<long>();
        JsonNode.Parse((await library.Audited("execute_user", id))[0].After)!["alias_user"]!.GetValue<string>().ShouldBe(alias);
        (await host.Post(Path, new { alias_user = alias + "behind", exec_user = "root", user_key = key, via = alias + " " })).ShouldSay(0, "添加成功");
        (await host.Put(Path, new { id, alias_user = named + " ", exec_user = " root" })).ShouldSay(0, "编辑成功");
        (await Find(named))["exec_user"]!.GetValue<string>().ShouldBe("root");

        // A step finds it too.
        var template = await library.AddTemplate();
        var step = new { command_name = "a", command = "ls", exec_user = named + " " };
        (await host.Put(LibraryHost.Details, new { temp_id = template, new_temp_data = new[] { step } })).Code().ShouldBe(0);
        (await library.Show(template))["data"]!["temp_list"]![0]!["exec_user"]!.GetValue<string>().ShouldBe(named);

        // As one that is older may stand there: sent back it is no new name, and a step names it as it is.
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync("UPDATE tasks.scheduler_execute_user SET alias_user = alias_user || ' ' WHERE id = @id", new { id });
        (await host.Put(Path, new { id, alias_user = named + " ", remarks = "as it is" })).ShouldSay(0, "编辑成功");
        (await Find(named + " "))["remarks"]!.GetValue<string>().ShouldBe("as it is");
        (await host.Put(LibraryHost.Details, new { temp_id = template, new_temp_data = new[] { step } })).Code().ShouldBe(0);
        (await library.Show(template))["data"]!["temp_list"]![0]!["exec_user"]!.GetValue<string>().ShouldBe(named + " ");
    }

    [Theory]
    [InlineData("alias_user", null, -1, "参数不能为空")]
    [InlineData("exec_user", null, -1, "参数不能为空")]
    [InlineData("user_key", null, -1, "参数不能为空")]
    [InlineData("alias_user", "\" \"", -1, "参数不能为空")]
    [InlineData("alias_user", "\"部署\"", -1, "名称不能有汉字")]
    [InlineData("exec_user", "\"root用户\"", -1, "名称不能有汉字")]
    [InlineData("ssh_port", "0", -1, "ssh_port 必须在 1 到 65535 之间")]
    [InlineData("ssh_port", "65536", -1, "ssh_port 必须在 1 到 65535 之间")]
    [InlineData("ssh_port", "\"22a\"", -1, "字段 ssh_port 的值或类型不正确")]
    [InlineData("user_key", "[]", -1, "字段 user_key 的值或类型不正确")]
    [InlineData("remarks", "{}", -1, "字段 remarks 的值或类型不正确")]
    [InlineData("passphrase", "7", -1, "字段 passphrase 的值或类型不正确")]
    public async Task Refuses_a_wrong_execute_user(string field, string? json, int code, string msg)
    {
        var body = new JsonObject { ["alias_user"] = LibraryHost.Name("u"), ["exec_user"] = "root", ["ssh_port"] = 22, ["user_key"] = "k" };
        body[field] = json is null ? null : JsonNode.Parse(json);
        (await host.Send(HttpMethod.Post, Path, body.ToJsonString())).ShouldSay(code, msg);
    }

    [Theory]
    [InlineData("""{"exec_user": "root"}""", -1, "ID不能为空")]
    [InlineData("""{"id": 999999999, "exec_user": "root"}""", -1, "ID不存在")]
    [InlineData("""{"id": "", "exec_user": "root"}""", -1, "字段 id 的值或类型不正确")]
    [InlineData("""{"id": 1, "exec_user": ""}""", -1, "不能为空")]
    [InlineData("""{"id": 1, "user_key": ""}""", -1, "不能为空")]
    [InlineData("""{"id": 1, "alias_user": ""}""", -1, "不能为空")]
    [InlineData("""{"id": 1, "alias_user": "部署"}""", -2, "项目代号或者英文名称不能有汉字")]
    [InlineData("""{"id": 1, "exec_user": "部署"}""", -1, "系统用户名称不能有汉字")]
    [InlineData("""{"id": 1, "ssh_port": 70000}""", -1, "ssh_port 必须在 1 到 65535 之间")]
    public async Task Refuses_a_wrong_change(string body, int code, string msg) => (await host.Send(HttpMethod.Put, Path, body)).ShouldSay(code, msg);

    [Fact]
    public async Task Refuses_text_that_is_too_long()
    {
        foreach (var (field, length) in new[] { ("alias_user", 101), ("exec_user", 101), ("user_key", 65_537), ("passphrase", 1001), ("remarks", 1001) })
        {
            var body = new JsonObject { ["alias_user"] = "u", ["exec_user"] = "root", ["user_key"] = "k" };
            body[field] = new string('x', length);
            (await host.Send(HttpMethod.Post, Path, body.ToJsonString())).ShouldRefuseNaming(field);
            body["id"] = 1;
            (await host.Send(HttpMethod.Put, Path, body.ToJsonString())).ShouldRefuseNaming(field);
        }
    }

    [Fact]
    public async Task An_alias_is_one_users_and_a_new_one_goes_to_the_steps_that_name_it()
    {
        var (first, second, key) = (LibraryHost.Name("u"), LibraryHost.Name("u"), await NewKey());
        var codes = await Task.WhenAll(
            Enumerable
                .Range(0, 6)
                .Select(async _ =>
                    (
                        await host.Post(
                            Path,
                            new
                            {
                                alias_user = first,
                                exec_user = "root",
                                user_key = key,
                            }
                        )
                    ).Code()
                )
        );
        codes.Order().ShouldBe([-2, -2, -2, -2, -2, 0]);
        await Add(second, key);
        var id = (await Find(second))["id"]!.GetValue<long>();
        (await host.Put(Path, new { id, alias_user = first })).ShouldSay(-2, "名称不能重复");
        var template = await library.AddTemplate();
        await host.Put(
            LibraryHost.Details,
            new
            {
                temp_id = template,
                new_temp_data = new[]
                {
                    new
                    {
                        command_name = "a",
                        command = "ls",
                        exec_user = second,
                    },
                },
            }
        );
        (await host.Put(Path, new { id, alias_user = second + "2" })).ShouldSay(0, "编辑成功");
        (await library.Show(template))["data"]!["temp_list"]![0]!["exec_user"]!.GetValue<string>().ShouldBe(second + "2");
    }

    [Fact]
    public async Task A_changed_port_is_warned_of_and_stands_in_the_audit()
    {
        var alias = LibraryHost.Name("u");
        await Add(alias, await NewKey());
        var id = (await Find(alias))["id"]!.GetValue<long>();
        (await host.Put(Path, new { id, ssh_port = 22, remarks = "the same port" }))["warnings"]!.AsArray().ShouldBeEmpty();
        (await host.Put(Path, new { id, ssh_port = 2222 }))["warnings"]!.AsArray().Single()!.GetValue<string>().ShouldContain("ssh_port 由 22 改为 2222");
        var after = JsonNode.Parse((await library.Audited("execute_user", id))[^1].After)!;
        ((int)after["ssh_port"]!, (long)after["host_keys_of_new_port"]!).ShouldBe((2222, 0));

        // The port of a bastion is part of the way under which the keys of all hosts behind it are pinned.
        (await host.Put(Path, new { id, ssh_host = "10.0.0.1" }))["warnings"]!.AsArray().ShouldBeEmpty();
        (await host.Put(Path, new { id, ssh_port = 2223 }))["warnings"]!.AsArray().Select(warning => (string)warning!)
            .ShouldContain(warning => warning.Contains("路径变了", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Says_of_a_certificate_that_SSH_NET_cannot_read_that_it_is_the_keys_all_the_same()
    {
        // Made for this test and trusted nowhere. The public key begins with 0xFF and a byte of 0x80 or more.
        const string Key = """
            -----BEGIN OPENSSH PRIVATE KEY-----
            b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
            QyNTUxOQAAACD/jE++R6/kDI3jTeTgiml0BYjkMgwoTr8yCaaUvpju4gAAAJBCDJ4pQgye
            KQAAAAtzc2gtZWQyNTUxOQAAACD/jE++R6/kDI3jTeTgiml0BYjkMgwoTr8yCaaUvpju4g
            AAAEDdnp1URJ2ETCWW2lryYkQZ8y9S/N3SwCaAR8n0SCTF1v+MT75Hr+QMjeNN5OCKaXQF
            iOQyDChOvzIJppS+mO7iAAAAB3Jvb3RAdm0BAgMEBQY=
            -----END OPENSSH PRIVATE KEY-----
            """;
        const string Certificate =
            "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIFcpN5AhLSg8Z6qGXP/57dT5vTZsBgmVJkQbILsm5HZRAAAAIP+MT75"
                + "Hr+QMjeNN5OCKaXQFiOQyDChOvzIJppS+mO7iAAAAAAAAAAAAAAABAAAABHRlc3QAAAAKAAAABmRlcGxveQAAAAAAAAAA//////////8AAAAAAAAAggAAABVwZXJtaXQtWDExLWZvcnd"
                + "hcmRpbmcAAAAAAAAAF3Blcm1pdC1hZ2VudC1mb3J3YXJkaW5nAAAAAAAAABZwZXJtaXQtcG9ydC1mb3J3YXJkaW5nAAAAAAAAAApwZXJtaXQtcHR5AAAAAAAAAA5wZXJtaXQtdXNlci1"
                + "yYwAAAAAAAAAAAAAAMwAAAAtzc2gtZWQyNTUxOQAAACAFC4hx/OT0rN/Kix1grJ1dFgHOMnWILylNsvl/FepzbQAAAFMAAAALc3NoLWVkMjU1MTkAAABAY33EIuGSjgPzsbYeQgudG4W"
                + "6NhJ2qvkIrggDTo8W24VujaazIYAbjLu/lLarMDpFbIVQOgONpGeotc+gVlOcCA==";
        var user = new { alias_user = LibraryHost.Name("u"), exec_user = "deploy", user_key = Key, certificate = Certificate };
        (await host.Post(Path, user)).ShouldSay(
            -1,
            "证书属于这个私钥，但 SSH.NET 读不了这样的 Ed25519 证书（512 把密钥中约有一把）：请换一把密钥"
        );
    }

    [Fact]
    public async Task Keeps_a_certificate_that_belongs_to_the_key()
    {
        using var authority = new CertificateAuthority();
        var (key, certificate) = authority.Certify("-n deploy");
        var alias = LibraryHost.Name("u");
        (
            await host.Post(
                Path,
                new
                {
                    alias_user = alias,
                    exec_user = "deploy",
                    user_key = key,
                    certificate = certificate + "\n",
                }
            )
        )["warnings"]!.AsArray().ShouldBeEmpty();
        var row = await Find(alias);
        ((string)row["certificate"]!).ShouldBe(certificate);
        (await host.Put(Path, row)).Code().ShouldBe(0);
        ((string)(await Find(alias))["certificate"]!).ShouldBe(certificate);

        var id = row["id"]!.GetValue<long>();
        var other = await NewKey();
        (await host.Put(Path, new { id, user_key = other, certificate })).ShouldSay(-1, "证书不属于这个私钥");
        (await host.Put(Path, new { id, user_key = other })).Code().ShouldBe(0);
        ((string)(await Find(alias))["certificate"]!).ShouldBe("", "a certificate goes with its key");
        (await host.Post(Path, new { alias_user = alias + "x", exec_user = "deploy", user_key = other, certificate = "no" })).Msg().ShouldStartWith("证书无法读取");

        var (oldKey, old) = authority.Certify("-n deploy -V 20200101:20200102");
        (
            await host.Post(
                Path,
                new
                {
                    alias_user = alias + "o",
                    exec_user = "deploy",
                    user_key = oldKey,
                    certificate = old,
                }
            )
        )["warnings"]!.AsArray().Single()!.GetValue<string>().ShouldContain("过期");
    }

    [Fact]
    public async Task A_bastion_has_an_address_is_no_ring_and_stays_while_it_is_used()
    {
        var key = await NewKey();
        var names = Enumerable.Range(0, 6).Select(_ => LibraryHost.Name("b")).ToArray();
        async Task<JsonObject> Make(int number, string? via, string? address) =>
            await host.Post(Path, new { alias_user = names[number], exec_user = "root", user_key = key, via, ssh_host = address });
        async Task<long> Id(int number) => (await Find(names[number]))["id"]!.GetValue<long>();

        (await Make(0, "nobody-of-that-name", null)).ShouldSay(-1, "via：执行用户 nobody-of-that-name 不存在");
        (await Make(0, null, "not a host")).ShouldRefuseNaming("ssh_host");
        (await Make(0, null, null)).Code().ShouldBe(0);
        (await Make(1, names[0], null)).ShouldSay(-1, $"via：执行用户 {names[0]} 没有 ssh_host，不能作为跳板机");
        (await host.Put(Path, new { id = await Id(0), ssh_host = "10.0.0.1" })).Code().ShouldBe(0);
        (await Make(1, names[0], "10.0.0.2")).Code().ShouldBe(0);
        (await Make(2, names[1], "10.0.0.3")).Code().ShouldBe(0);
        (await Make(3, names[2], "10.0.0.4")).Code().ShouldBe(0);
        ((string)(await Find(names[3]))["via"]!).ShouldBe(names[2]);
        (await Make(4, names[3], null)).ShouldSay(-1, "via：最多经过 3 台跳板机");
        (await host.Put(Path, new { id = await Id(0), via = names[2] })).ShouldSay(-1, $"via：跳板机 {names[2]} 又经过它自己，形成环");
        (await host.Put(Path, new { id = await Id(0), via = names[0] })).Code().ShouldBe(-1);
        // A bastion in front of those that are there would make their way too long.
        (await Make(5, null, "10.0.0.5")).Code().ShouldBe(0);
        (await host.Put(Path, new { id = await Id(0), via = names[5] })).ShouldSay(-1, "via：最多经过 3 台跳板机");

        (await host.Delete(Path, new { exec_user_id = await Id(0) })).ShouldSay(-1, $"执行用户 {names[1]} 以它为跳板机（via）");
        (await host.Put(Path, new { id = await Id(0), ssh_host = "" })).Code().ShouldBe(-1);
        (await host.Put(Path, new { id = await Id(1), via = "" }))["warnings"]!.AsArray().Single()!.GetValue<string>().ShouldContain("路径变了");
        (await host.Delete(Path, new { exec_user_id = await Id(0) })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task Deletes_an_execute_user_once()
    {
        var alias = LibraryHost.Name("u");
        await Add(alias, await NewKey());
        var id = (await Find(alias))["id"]!.GetValue<long>();
        (await host.Delete(Path, new { exec_user_id = $"{id}" })).ShouldSay(0, "删除成功");
        (await host.Delete(Path, new { exec_user_id = id })).ShouldSay(-1, "ID不存在");
        (await host.Delete(Path, new { })).ShouldSay(-1, "ID不能为空");
    }

    [Fact]
    public async Task A_move_to_another_space_is_in_the_audit()
    {
        var (alias, space) = (LibraryHost.Name("u"), LibraryHost.Name("space"));
        (await host.Post("/v2/accounts/space/", new { name = space })).Code().ShouldBe(0);
        await Add(alias, await NewKey());
        var id = (await Find(alias))["id"]!.GetValue<long>();
        (await host.Put(Path, new { id, space })).Code().ShouldBe(0);
        var line = (await host.Get($"/v2/accounts/audit/?kind=execute_user&object={id}")).Data()[0]!;
        var change = line["changes"]!.AsArray().ShouldHaveSingleItem()!;
        ((string)change["field"]!, (string)change["before"]!, (string)change["after"]!).ShouldBe(("space", "default", space));
    }

    [Fact]
    public async Task No_secret_is_in_any_answer_audit_row_column_or_log()
    {
        using var logged = new Lines();
        host.Services.GetRequiredService<ILoggerFactory>().AddProvider(logged);
        var (alias, passphrase) = (LibraryHost.Name("u"), "Passphrase-that-leaks-nowhere");
        var (key, other) = (await NewKey(passphrase: passphrase), await NewKey("rsa", "PEM"));
        var answers = new List<JsonObject>
        {
            await host.Post(Path, new { alias_user = alias, exec_user = "root", user_key = key, passphrase }),
            await host.Post(Path, new { alias_user = alias, exec_user = "root", user_key = key, passphrase }),
            await host.Post(Path, new { alias_user = alias + "x", exec_user = "root", user_key = key + passphrase, passphrase = "no" }),
            await host.Send(HttpMethod.Post, Path, $$"""{"alias_user": {{JsonValue.Create(key)!.ToJsonString()}}, "user_key": ["{{passphrase}}"]}"""),
            await host.Send(HttpMethod.Post, Path, $$"""{"user_key": {{JsonValue.Create(key)!.ToJsonString()}}, "passphrase": "{{passphrase}}" oops}"""),
        };
        var id = (await Find(alias))["id"]!.GetValue<long>();
        answers.Add(await host.Put(Path, new { id, user_key = other, remarks = "r" }));
        answers.Add(await host.Put(Path, new { id, user_key = key, passphrase }));
        answers.Add(await host.Get(Path));
        answers.Add(await host.Delete(Path, new { exec_user_id = id }));

        await using var connection = await host.Source.OpenConnectionAsync();
        var audited = string.Join('\n', await connection.QueryAsync<string>("SELECT a::text FROM platform.audit a"));
        var stored = string.Join(
            '\n',
            await connection.QueryAsync<string>(
                "SELECT encode(user_key, 'escape') || encode(COALESCE(passphrase, ''), 'escape') FROM tasks.scheduler_execute_user"
            )
        );
        var seen = string.Join('\n', answers.Select(answer => answer.ToJsonString()).Append(audited).Append(stored).Concat(logged.All));
        audited.ShouldContain("execute_user");
        logged.All.ShouldContain(line => line.Contains(Path, StringComparison.Ordinal));
        foreach (
            var secret in key.Split('\n')
                .Concat(other.Split('\n'))
                .Where(line => line.Length > 20 && !line.StartsWith("-----", StringComparison.Ordinal))
                .Append(passphrase)
        )
            seen.ShouldNotContain(secret);
    }

    internal static async Task<string> NewKey(string kind = "ed25519", string form = "", string passphrase = "")
    {
        var folder = Directory.CreateTempSubdirectory("codo-key-");
        try
        {
            var file = System.IO.Path.Combine(folder.FullName, "key");
            string[] arguments =
            [
                "-q",
                "-t",
                kind,
                "-N",
                passphrase,
                "-f",
                file,
                .. kind == "rsa" ? new[] { "-b", "2048" } : [],
                .. form.Length > 0 ? new[] { "-m", form } : [],
            ];
            using var made = Process.Start("ssh-keygen", arguments);
            await made.WaitForExitAsync();
            made.ExitCode.ShouldBe(0);
            return await File.ReadAllTextAsync(file);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private async Task Add(string alias, string key, string? passphrase = null) =>
        (await host.Post(Path, new { alias_user = alias, exec_user = "root", user_key = key, passphrase })).ShouldSay(0, "添加成功");

    private async Task<JsonObject> Find(string alias) =>
        (await host.Get(Path)).Data().Single(row => row!["alias_user"]!.GetValue<string>() == alias)!.DeepClone().AsObject();

    private async Task<(string, string?)> Opened(string alias)
    {
        await using var connection = await host.Source.OpenConnectionAsync();
        var user = (await ExecuteUser.Find(connection, host.Services.GetRequiredService<SecretBox>(), alias))!;
        return (user.PrivateKey, user.Passphrase);
    }

    private sealed class Lines : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> All { get; } = new();

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            All.Enqueue(formatter(state, exception) + exception);

        public void Dispose()
        {
        }
    }
}
