using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Layout;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Tasks.Layout;

public sealed class TemplateVersionsTests(LibraryHost library) : IClassFixture<LibraryHost>
{
    private const string Version = LibraryHost.Temp + "version/", Versions = LibraryHost.Temp + "versions/", Deleted = LibraryHost.Temp + "deleted/";
    private readonly TestHost host = library.Host;

    [Fact]
    public async Task Each_save_is_a_version_that_says_which_step_has_changed()
    {
        var id = await library.AddTemplate();
        await Save(id, new { temp_id = id, new_temp_data = new[] { Step("fetch"), Step("deploy") }, groups = new[] { new { group = 1, batch = "2" } } }, 2);
        var steps = (await library.Show(id))["data"]!["temp_list"]!.DeepClone().AsArray();
        // As it was: no version.
        await Save(id, new JsonObject { ["temp_id"] = id, ["new_temp_data"] = steps.DeepClone() }, 2);
        await host.Patch(LibraryHost.Details, new { temp_id = id, new_user_info = new[] { "5,,,五" } });
        var changed = steps.DeepClone().AsArray();
        changed[1]!["command"] = "echo deployed";
        changed.RemoveAt(0);
        changed.Add(JsonNode.Parse("""{"command_name": "check", "command": "true", "group": 1, "level": 9}"""));
        await Save(id, new JsonObject { ["temp_id"] = id, ["new_temp_data"] = changed, ["temp_args"] = new JsonArray("VERSION"), ["version"] = 2 }, 3);

        var list = await host.Get($"{Versions}?temp_id={id}");
        ((long)list["count"]!, (int)list["version"]!, (string)list["data"]![0]!["by"]!).ShouldBe((3, 3, "admin"));
        list["data"]![0]!["changed"]!.AsArray().Select(word => (string)word!).ShouldBe(["deploy.command", "check", "fetch", "temp_args"], ignoreOrder: true);
        var third = await host.Get($"{Version}?temp_id={id}&version=3&with=2");
        var deploy = third["differences"]!.AsArray().Single(one => ((string)one!["field"]!).EndsWith(".command", StringComparison.Ordinal))!;
        ((string)deploy["of"]!, (string)deploy["old"]!, (string)deploy["new"]!).ShouldBe(("deploy", "echo deploy", "echo deployed"));
        third["content"]!["steps"]!.AsArray().Count.ShouldBe(2);
        (await host.Get($"{Version}?temp_id={id}&version=4")).Code().ShouldBe(-1);

        // The first version of it that comes back has its steps and batches, and keeps those who may edit it.
        var back = await host.Post(Version, new { temp_id = id, version = 2, current = 3 });
        (back.Code(), (int)back["version"]!).ShouldBe((0, 4), back.ToJsonString());
        var now = await library.Show(id);
        now["data"]!["temp_list"]!.AsArray().Select(step => (string)step!["command"]!).ShouldBe(["echo fetch", "echo deploy"]);
        ((string)now["groups"]![0]!["batch"]!, now["temp_args"]!.AsArray().Count, (string)now["temp_user"]![0]!).ShouldBe(("2", 0, "5,,,五"));
        // Steps of one level run by their numbers: one that was gone comes back under its own.
        (await host.Get($"{Version}?temp_id={id}&version=4&with=2"))["differences"]!.AsArray().ShouldBeEmpty();
        ((int)(await host.Get($"{Versions}?temp_id={id}"))["data"]![0]!["restored_from"]!).ShouldBe(2);
        (await library.Audited("template", id))[^1].Action.ShouldBe("restore");
        (await host.Post(Version, new { temp_id = id, version = 1, current = 3 })).Code().ShouldBe(-1, "somebody was quicker");
    }

    [Fact]
    public async Task A_save_of_an_older_version_is_refused_and_shows_both()
    {
        var id = await library.AddTemplate();
        await Save(id, new { temp_id = id, new_temp_data = new[] { Step("fetch"), Step("deploy") } }, 2);
        var mine = (await library.Show(id))["data"]!["temp_list"]!.DeepClone().AsArray();
        var bobs = mine.DeepClone().AsArray();
        (bobs[0]!["command"], bobs[1]!["timeout"]) = ("echo bob", 60);
        await Save(id, new JsonObject { ["temp_id"] = id, ["new_temp_data"] = bobs, ["version"] = 2 }, 3);
        mine[0]!["command"] = "echo ann";
        var body = new JsonObject { ["temp_id"] = id, ["new_temp_data"] = mine, ["version"] = 2 }.ToJsonString();
        var refused = await host.Send(HttpMethod.Put, LibraryHost.Details, body, language: "en");
        refused.Code().ShouldBe(-1);
        refused.Msg().ShouldStartWith("Not saved: this change was made to version 2, and admin saved version 3 at ");
        var fields = refused["data"]!["fields"]!.AsArray();
        fields
            .Select(one => ((string)one!["of"]!, Last(one["field"]!), one["now"]!.ToString(), one["sent"]!.ToString(), (bool)one["clash"]!))
            .ShouldBe([("fetch", "command", "echo bob", "echo ann", true), ("deploy", "timeout", "60", "1800", false)]);
        ((string)(await library.Show(id))["data"]!["temp_list"]![0]!["command"]!).ShouldBe("echo bob");

        // Of many who save the same version at once one wins, and without a version all do, one after the other.
        var same = await Task.WhenAll(Enumerable.Range(1, 6).Select(n => Put(n, 3)));
        same.Count(answer => answer.Code() == 0).ShouldBe(1);
        var free = await Task.WhenAll(Enumerable.Range(11, 6).Select(n => Put(n, null)));
        free.Select(answer => (int)answer["version"]!).Order().ShouldBe(Enumerable.Range(5, 6));

        static string Last(JsonNode field) => ((string)field!).Split('.')[^1];
        Task<JsonObject> Put(int n, int? version) => host.Put(LibraryHost.Details, new { temp_id = id, new_temp_data = new[] { Step($"s{n}") }, version });
    }

    [Fact]
    public async Task A_deleted_template_comes_back_with_all_that_hung_on_it()
    {
        var id = await library.AddTemplate();
        var groups = new[] { new { group = 1, batch = "50%" } };
        await Save(id, new { temp_id = id, new_temp_data = new[] { Step("a"), Step("b") }, groups, temp_args = new[] { "V" } }, 2);
        await host.Patch(LibraryHost.Details, new { temp_id = id, new_user_info = new[] { "5,,,五" } });
        await host.Put("/v2/task/approval/rule/", new { temp_id = id, approvals = 2 });
        var before = await library.Show(id);
        var name = (string)(await host.Get($"{LibraryHost.Temp}?key=temp_id&value={id}")).Data()[0]!["temp_name"]!;
        (await host.Delete(LibraryHost.Temp, new { temp_id = id })).Code().ShouldBe(0);
        var row = (await host.Get(Deleted + "?limit=1000")).Data().Single(row => (long)row!["temp_id"]! == id)!;
        ((string)row["temp_name"]!, (int)row["steps"]!, (bool)row["taken"]!).ShouldBe((name, 2, false));
        // One of its users sees it and may bring it back, a stranger does not.
        (await host.Get(Deleted + "?limit=1000", TestTokens.For(5, "five"))).ToJsonString().ShouldContain(name);
        await host.Post(LibraryHost.Temp, new { temp_name = name });
        (await host.Post(Deleted, new { temp_id = id })).Code().ShouldBe(-2, "its name is taken");
        var back = await host.Post(Deleted, new { temp_id = id, temp_name = name + "-2" }, TestTokens.For(5, "five"));
        (back.Code(), (string)back["temp_name"]!, (int)back["version"]!).ShouldBe((0, name + "-2", 2), back.ToJsonString());
        JsonNode.DeepEquals(await library.Show(id), before).ShouldBeTrue();
        (await host.Ask<int>("SELECT approvals FROM tasks.approval_rule WHERE temp_id = @id", new { id })).ShouldBe(2);
        (await host.Get($"{Versions}?temp_id={id}")).Data().Count.ShouldBe(2);
        await Save(id, new { temp_id = id, new_temp_data = new[] { Step("c") }, version = 2 }, 3);
        (await host.Post(Deleted, new { temp_id = id })).Code().ShouldBe(-1, "it is back already");

        // A number that is given to another template is that one's, with a history of its own.
        await host.Delete(LibraryHost.Temp, new { temp_id = id });
        (await host.Post(LibraryHost.Temp, new { temp_id = id, temp_name = LibraryHost.Name() })).Code().ShouldBe(0);
        (await host.Get($"{Versions}?temp_id={id}")).Data().Count.ShouldBe(1);
        (await host.Post(Deleted, new { temp_id = id })).Code().ShouldBe(-1);

        // As it is left where the number was given away in the same instant.
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync(
                """
                INSERT INTO tasks.deleted_template (temp_id, temp_name, space_id, version, by_id, by_name, creator, creator_id, editor_id, create_time,
                    declared, steps, groups, users, rules)
                SELECT temp_id, 'before', space_id, 1, 1, 'a', 'a', 1, 1, now(), '{}', '[]', '[]', '[]', '[]'
                FROM tasks.scheduler_temp_list WHERE temp_id = @id
                """,
                new { id }
            );

        // Past its days nothing of it is left.
        (await host.Delete(LibraryHost.Temp, new { temp_id = id })).Code().ShouldBe(0);
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync("UPDATE tasks.deleted_template SET deleted_at = now() - interval '31 days' WHERE temp_id = @id", new { id });
        (await host.Post(Deleted, new { temp_id = id })).Code().ShouldBe(-1);
        await host.Services.GetRequiredService<TemplateRetention>().DropOld(CancellationToken.None);
        (await host.Ask<long>("SELECT count(*) FROM tasks.template_version WHERE temp_id = @id", new { id })).ShouldBe(0);
        (await host.Ask<long>("SELECT count(*) FROM tasks.deleted_template WHERE temp_id = @id", new { id })).ShouldBe(0);
    }

    [Fact]
    public async Task A_template_that_comes_back_warns_of_the_team_that_was_to_approve_and_is_gone()
    {
        var id = await library.AddTemplate();
        var team = (long)(await host.Post("/v2/accounts/team/", new { name = LibraryHost.Name("team") }))["team_id"]!;
        (await host.Put("/v2/task/approval/rule/", new { temp_id = id, approvals = 1, team_id = team })).Code().ShouldBe(0);
        (await host.Delete(LibraryHost.Temp, new { temp_id = id })).Code().ShouldBe(0);
        var back = await host.Post(Deleted, new { temp_id = id });
        (back.Code(), back["warnings"]!.AsArray().Count).ShouldBe((0, 0), back.ToJsonString());
        (await host.Delete("/v2/accounts/team/", new { team_id = team })).Code().ShouldBe(-1, "its rule is there again");
        (await host.Delete(LibraryHost.Temp, new { temp_id = id })).Code().ShouldBe(0);
        (await host.Delete("/v2/accounts/team/", new { team_id = team })).Code().ShouldBe(0);
        back = await host.Send(HttpMethod.Post, Deleted, $$"""{"temp_id": {{id}}}""", language: "en");
        back.Code().ShouldBe(0, back.ToJsonString());
        back["warnings"]!.AsArray().ShouldHaveSingleItem()!.GetValue<string>().ShouldStartWith("The team that approves is gone; set /v2/task/approval/rule/");
    }

    [Fact]
    public async Task A_template_whose_space_is_gone_comes_back_to_another_one()
    {
        var (own, other) = (LibraryHost.Name("space"), LibraryHost.Name("space"));
        var space = (long)(await host.Post("/v2/accounts/space/", new { name = own }))["space_id"]!;
        (await host.Post("/v2/accounts/space/", new { name = other })).Code().ShouldBe(0);
        var id = await library.AddTemplate();
        await Save(id, new { temp_id = id, new_temp_data = new[] { Step("a") }, space = own }, 2);
        (await host.Delete(LibraryHost.Temp, new { temp_id = id })).Code().ShouldBe(0);
        (await host.Delete("/v2/accounts/space/", new { space_id = space })).Code().ShouldBe(0);
        (await host.Send(HttpMethod.Post, Deleted, $$"""{"temp_id": {{id}}}""", language: "en")).ShouldSay(-1, "Its space is gone; give `space`");
        (await host.Post(Deleted, new { temp_id = id, space = own })).Code().ShouldBe(-1, "there is no such space");
        var back = await host.Post(Deleted, new { temp_id = id, space = other });
        (back.Code(), (int)back["version"]!).ShouldBe((0, 3), back.ToJsonString());
        var now = await library.Show(id);
        ((string)now["space"]!, (int)now["version"]!, now["data"]!["temp_list"]!.AsArray().Count).ShouldBe((other, 3, 1));
        var change = (await host.Get($"{Version}?temp_id={id}&version=3"))["differences"]!.AsArray().ShouldHaveSingleItem()!;
        ((string)change["field"]!, (string)change["new"]!).ShouldBe(("space", other));
    }

    private static object Step(string name) => new { command_name = name, command = $"echo {name}", group = 1, level = 1 };

    private async Task Save(long id, object change, int version)
    {
        var saved = await host.Put(LibraryHost.Details, change is JsonNode node ? node.ToJsonString() : change);
        (saved.Code(), (int)saved["version"]!).ShouldBe((0, version), saved.ToJsonString());
        ((int)(await library.Show(id))["version"]!).ShouldBe(version);
    }
}
