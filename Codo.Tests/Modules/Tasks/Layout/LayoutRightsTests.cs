using System.Net;
using Codo.Tests.Support;
using Dapper;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Modules.Tasks.Layout;

public sealed class LayoutRightsTests(TestPostgres postgres)
{
    private static readonly string Operator = TestTokens.For(11, "op"), User = TestTokens.For(12, "temp-user"), Nobody = TestTokens.For(13, "nobody");

    private static readonly (string Method, string Path)[] Guarded =
    [
        .. from path in new[] { LibraryHost.Command, LibraryHost.Args, LibraryHost.User }
        from method in new[] { "POST", "PUT", "DELETE" }
        select (method, path),
        ("POST", LibraryHost.Temp),
    ];

    private static readonly string[] Readable =
    [
        LibraryHost.Command,
        LibraryHost.Args,
        LibraryHost.Temp,
        LibraryHost.User,
        LibraryHost.Details,
        LibraryHost.TempArgs,
    ];

    [Fact]
    public async Task The_library_is_changed_by_operators_and_superusers_and_read_by_everyone()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Tasks:Operators", "op,other"));
        foreach (var (method, path) in Guarded)
        {
            (await host.Send(new HttpMethod(method), path, "{}", Nobody)).ShouldSay(-2, "你没有权限执行此操作");
            (await host.Send(new HttpMethod(method), path, "{}", Operator)).Code().ShouldBe(-1);
            (await host.Send(new HttpMethod(method), path, "{}")).Code().ShouldBe(-1);
        }
        foreach (var path in Readable) (await host.Get(path, Nobody)).Msg().ShouldNotContain("权限");
    }

    [Fact]
    public async Task Without_a_list_of_operators_everyone_with_a_token_is_one()
    {
        await using var host = await TestHost.Start(postgres);
        foreach (var (method, path) in Guarded) (await host.Send(new HttpMethod(method), path, "{}", Nobody)).Code().ShouldBe(-1);
        (await host.Post(LibraryHost.Command, new { command_name = "a", command = "ls" }, Nobody)).Code().ShouldBe(0);
    }

    [Fact]
    public async Task Nothing_is_answered_without_a_token()
    {
        await using var host = await TestHost.Start(postgres);
        foreach (
            var (method, path) in Guarded
                .Concat(Readable.Select(path => ("GET", path)))
                .Concat([
                    ("DELETE", LibraryHost.Temp),
                    ("PUT", LibraryHost.Details),
                    ("PATCH", LibraryHost.Details),
                    ("GET", "/v2/task/host_key/"),
                    ("DELETE", "/v2/task/host_key/"),
                ])
        )
        {
            using var answer = await host.Http.SendAsync(TestHost.Request(new HttpMethod(method), path, "{}", null));
            answer.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        }
    }

    [Fact]
    public async Task A_template_is_changed_by_superusers_its_creator_and_its_users_and_ids_decide()
    {
        await using var host = await TestHost.Start(postgres);
        var id = (await host.Post(LibraryHost.Temp, new { temp_name = "t" }, Operator))["temp_id"]!.GetValue<long>();
        async Task<int[]> Try(string token) =>
        [
            (await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = Array.Empty<object>() }, token)).Code(),
            (await host.Patch(LibraryHost.Details, new { temp_id = id, new_user_info = new[] { "12,,,somebody" } }, token)).Code(),
        ];
        (await Try(Nobody)).ShouldBe([-2, -2]);
        (await Try(User)).ShouldBe([-2, -2]);
        (await Try(Operator)).ShouldBe([0, 0]);
        (await Try(User)).ShouldBe([0, 0]);
        (await Try(TestTokens.Admin)).ShouldBe([0, 0]);
        // Another who bears the creator's name, and one who bears the user's nickname.
        (await Try(TestTokens.For(14, "op", nickname: "somebody"))).ShouldBe([-2, -2]);
        (await host.Delete(LibraryHost.Temp, new { temp_id = id }, Nobody)).ShouldSay(-2, "你不是模板「t」的用户，不能修改它");
        (await host.Delete(LibraryHost.Temp, new { temp_id = id }, User)).Code().ShouldBe(0);
    }

    [Fact]
    public async Task Of_a_templates_orders_each_is_shown_the_own_ones_and_those_to_approve_newest_first()
    {
        await using var host = await TestHost.Start(postgres);
        var template = await OrderHost.Template(host, null, (string[])["12,,,somebody"], OrderHost.Step("true"));
        var first = await OrderHost.Order(host, template, schedule: "new", token: Operator);
        var second = await OrderHost.Order(host, template, schedule: "new");
        await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step("true")), schedule: "new", token: Operator);
        async Task<long[]> Seen(string token, string more = "")
        {
            var answer = await host.Get($"/v2/task_layout/temp/orders/?temp_id={template}{more}", token);
            answer.Code().ShouldBe(0, answer.ToJsonString());
            return [.. answer.Data().Select(row => (long)row!["list_id"]!)];
        }
        // Who may see the template and submit orders from it is not shown those of others.
        (await Seen(Nobody)).ShouldBeEmpty();
        (await Seen(Operator)).ShouldBe([first]);
        (await Seen(User)).ShouldBe([second, first]);
        (await Seen(TestTokens.Admin)).ShouldBe([second, first]);
        (await Seen(TestTokens.Admin, "&limit=1")).ShouldBe([second]);
    }

    [Fact]
    public async Task An_imported_template_whose_makers_id_is_unknown_is_nobodys()
    {
        await using var host = await TestHost.Start(postgres);
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("INSERT INTO tasks.scheduler_temp_list (temp_id, temp_name, creator) VALUES (4711, 'imported', 'op')");
        (await host.Delete(LibraryHost.Temp, new { temp_id = 4711 }, TestTokens.For(0, "op"))).Code().ShouldNotBe(0);
        (await host.Delete(LibraryHost.Temp, new { temp_id = 4711 }, Operator)).Code().ShouldBe(-2);
        (await host.Delete(LibraryHost.Temp, new { temp_id = 4711 })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task A_templates_users_bring_in_no_new_command_execute_user_or_local_step()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Tasks:Operators", "op"));
        (await host.Post(LibraryHost.Command, new { command_name = "known", command = "systemctl", args = "reload" }, Operator)).Code().ShouldBe(0);
        var id = (await host.Post(LibraryHost.Temp, new { temp_name = "t" }, Operator))["temp_id"]!.GetValue<long>();
        object Step(string command, string args = "", string user = "web", string forced = "", string interpreter = "", string? runAs = null, int level = 1) =>
            new
            {
                command_name = "s",
                command,
                args,
                exec_user = user,
                force_host = forced,
                interpreter,
                run_as = runAs,
                level,
            };
        async Task<int> Save(string token, params object[] steps) =>
            (await host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = steps }, token)).Code();
        object first = Step("deploy", "VERSION"),
            second = Step("report", user: "db");
        (await Save(Operator, first, second)).ShouldBe(0);
        (await host.Patch(LibraryHost.Details, new { temp_id = id, new_user_info = new[] { "12,,,somebody" } }, Operator)).Code().ShouldBe(0);

        // Arranged anew, with other levels, fewer or more of what is there, and with what the library has.
        (await Save(User, second, Step("deploy", "VERSION", level: 7), first)).ShouldBe(0);
        (await Save(User, first, second, Step("systemctl", "reload"))).ShouldBe(0);
        // Each of these was accepted by the version before.
        (await Save(User, first, second, Step("rm -rf /"))).ShouldBe(-2);
        (await Save(User, first, second, Step("deploy", "VERSION; rm -rf /"))).ShouldBe(-2);
        (await Save(User, first, second, Step("deploy", "VERSION", interpreter: "/bin/sh -x"))).ShouldBe(-2);
        (await Save(User, first, second, Step("report", user: "web"))).ShouldBe(-2);
        (await Save(User, first, second, Step("systemctl", "reload", user: "root"))).ShouldBe(-2);
        (await Save(User, first, second, Step("deploy", "VERSION", forced: "127.0.0.1"))).ShouldBe(-2);
        (await Save(User, first, second, Step("systemctl", "reload", forced: "127.0.0.1"))).ShouldBe(-2);
        (await Save(User, Step("deploy", "VERSION", runAs: "nobody"))).ShouldBe(-2);
        (await Save(Operator, first, second, Step("echo", forced: "127.0.0.1"))).ShouldBe(0);
        (await Save(User, second, Step("echo", forced: "127.0.0.1"))).ShouldBe(0);
    }

    [Fact]
    public async Task A_creator_who_lost_the_right_has_lost_it()
    {
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        long id;
        await using (var host = await TestHost.Start(postgres, database, ("Codo:Tasks:Operators", "op")))
            id = (await host.Post(LibraryHost.Temp, new { temp_name = "t" }, Operator))["temp_id"]!.GetValue<long>();
        await using var later = await TestHost.Start(postgres, database, ("Codo:Tasks:Operators", "another"));
        (await later.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = Array.Empty<object>() }, Operator)).Code().ShouldBe(-2);
        (await later.Patch(LibraryHost.Details, new { temp_id = id, new_user_info = new[] { "11,,,op" } }, Operator)).Code().ShouldBe(-2);
        (await later.Delete(LibraryHost.Temp, new { temp_id = id }, Operator)).Code().ShouldBe(-2);
    }

    [Fact]
    public async Task An_execute_user_that_names_its_users_is_theirs_and_the_superusers()
    {
        await using var host = await TestHost.Start(postgres);
        string ann = TestTokens.For(21, "ann"), bob = TestTokens.For(22, "bob");
        var key = await ExecuteUsersTests.NewKey();
        async Task<long> Add(string alias, string token, params string[] users)
        {
            var answer = await host.Post(
                LibraryHost.User,
                new
                {
                    alias_user = alias,
                    exec_user = "root",
                    ssh_port = 22,
                    user_key = key,
                    ssh_host = alias == "prod" ? "gate.example.test" : "",
                    users,
                },
                token
            );
            answer.Code().ShouldBe(0, answer.ToJsonString());
            return answer["id"]!.GetValue<long>();
        }
        var id = await Add("prod", ann, "21,,,ann", "23,,,carol");
        await Add("test", ann);
        (await host.Get(LibraryHost.User, bob))["data"]!.AsArray().Single(row => (string)row!["alias_user"]! == "prod")!["users"]!
            .AsArray()
            .Select(user => (string)user!)
            .ShouldBe(["21,,,ann", "23,,,carol"]);
        var template = (await host.Post(LibraryHost.Temp, new { temp_name = "t" }, bob))["temp_id"]!.GetValue<long>();
        async Task<int> Save(string token, string command, string user) =>
            (
                await host.Put(
                    LibraryHost.Details,
                    new
                    {
                        temp_id = template,
                        new_temp_data = new[]
                        {
                            new
                            {
                                command_name = "s",
                                command,
                                exec_user = user,
                            },
                        },
                    },
                    token
                )
            ).Code();
        (await host.Patch(LibraryHost.Details, new { temp_id = template, new_user_info = new[] { "21,,,ann", "22,,,bob" } }, bob)).Code().ShouldBe(0);

        (await Save(bob, "rm -rf /", "prod")).ShouldBe(-2);
        (await Save(bob, "ls", "test")).ShouldBe(0);
        (await Save(ann, "ls", "prod")).ShouldBe(0);
        (await Save(bob, "ls", "prod")).ShouldBe(0);
        (await Save(bob, "rm -rf /", "prod")).ShouldBe(-2);
        // Nor by a way around: adding oneself, another key's bastion, its end.
        (await host.Put(LibraryHost.User, new { id, users = new[] { "22,,,bob" } }, bob)).Code().ShouldBe(-2);
        (await host.Put(LibraryHost.User, new { id, remarks = "x" }, bob)).Code().ShouldBe(-2);
        (await host.Delete(LibraryHost.User, new { exec_user_id = id }, bob)).Code().ShouldBe(-2);
        (await host.Post(LibraryHost.User, new { alias_user = "inner", exec_user = "root", user_key = key, via = "prod" }, bob)).Code().ShouldBe(-2);
        (await host.Put(LibraryHost.User, new { id, users = new[] { "22,,,bob" } }, ann)).Code().ShouldBe(0);
        (await Save(bob, "rm -rf /", "prod")).ShouldBe(0);
        (await Save(ann, "whoami", "prod")).ShouldBe(-2);
        (await host.Put(LibraryHost.User, new { id, users = Array.Empty<string>() })).Code().ShouldBe(0);
        (await Save(ann, "whoami", "prod")).ShouldBe(0);
        (await host.Post(LibraryHost.User, new { alias_user = "bad", exec_user = "root", user_key = key, users = new[] { "ann" } }, ann)).Code().ShouldBe(-1);
    }
}
