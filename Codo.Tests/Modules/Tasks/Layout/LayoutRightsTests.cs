using System.Net;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Tasks.Layout;

public sealed class LayoutRightsTests(TestPostgres postgres)
{
    private static readonly string Operator = TestTokens.For(11, "op"), User = TestTokens.For(12, "temp-user"), Nobody = TestTokens.For(13, "nobody");

    private static readonly (string Method, string Path)[] Guarded =
    [
        .. from path in new[] { LibraryHost.Command, LibraryHost.Args, LibraryHost.User } from method in new[] { "POST", "PUT", "DELETE" } select (method, path),
        ("POST", LibraryHost.Temp),
    ];

    private static readonly string[] Readable = [LibraryHost.Command, LibraryHost.Args, LibraryHost.Temp, LibraryHost.User, LibraryHost.Details, LibraryHost.TempArgs];

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
        foreach (var (method, path) in Guarded.Concat(Readable.Select(path => ("GET", path))).Concat([("DELETE", LibraryHost.Temp), ("PUT", LibraryHost.Details), ("PATCH", LibraryHost.Details), ("GET", "/v2/task/host_key/"), ("DELETE", "/v2/task/host_key/")]))
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
    public async Task An_imported_template_whose_makers_id_is_unknown_is_nobodys()
    {
        await using var host = await TestHost.Start(postgres);
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("INSERT INTO tasks.scheduler_temp_list (temp_id, temp_name, creator) VALUES (4711, 'imported', 'op')");
        (await host.Delete(LibraryHost.Temp, new { temp_id = 4711 }, TestTokens.For(0, "op"))).Code().ShouldNotBe(0);
        (await host.Delete(LibraryHost.Temp, new { temp_id = 4711 }, Operator)).Code().ShouldBe(-2);
        (await host.Delete(LibraryHost.Temp, new { temp_id = 4711 })).Code().ShouldBe(0);
    }
}
