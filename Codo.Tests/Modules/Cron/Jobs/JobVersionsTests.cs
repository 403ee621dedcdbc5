using System.Text.Json.Nodes;
using Codo.Modules.Cron.Executions;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Cron.Jobs;

public sealed class JobVersionsTests(CronHost fixture) : IClassFixture<CronHost>
{
    private const string Path = "/v1/cron/job/", Version = Path + "version/", Versions = Path + "versions/", Deleted = Path + "deleted/";
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Each_change_of_the_content_is_a_version_with_who_and_what_and_secrets_stay_hidden()
    {
        var env = new { PATH_OF = "/srv", DB_PASSWORD = "pa55-one", ACCOUNT = "4711-one" };
        ((int)(await host.Post(Path, new { job_id = "kept", cmd = "echo 1", cron = CronClient.Never, env }))["version"]!).ShouldBe(1);
        await Save("kept", new { job_id = "kept", cmd = "echo 2", timeout = 60 }, 2);
        // Nothing that counts has changed: sent back whole, paused, or saved as it was.
        var whole = (JsonObject)(await Job("kept")).DeepClone();
        ((int)(await host.Put(Path, whole.ToJsonString()))["version"]!).ShouldBe(2);
        await host.Patch(Path, new { job_id = "kept" });
        var secret = new { PATH_OF = "/srv", DB_PASSWORD = "pa55-two", ACCOUNT = "4711-one" };
        await Save("kept", new { job_id = "kept", env = secret, secret_env = new[] { "ACCOUNT" } }, 3);

        var list = await host.Get($"{Versions}?job_id=kept");
        ((long)list["count"]!, (int)list["version"]!).ShouldBe((3, 3));
        list["data"]!.AsArray().Select(row => (int)row!["version"]!).ShouldBe([3, 2, 1]);
        ((string)list["data"]![0]!["by"]!, (int?)list["data"]![0]!["restored_from"]).ShouldBe(("admin", null));
        Words(list["data"]![0]!["changed"]).ShouldBe(["secret_env", "env.DB_PASSWORD"], ignoreOrder: true);
        Words(list["data"]![1]!["changed"]).ShouldBe(["cmd", "timeout"], ignoreOrder: true);
        (await host.Get($"{Versions}?job_id=kept&limit=1&page=2"))["data"]!.AsArray().Single()!["version"]!.GetValue<int>().ShouldBe(2);

        var second = await host.Get($"{Version}?job_id=kept&version=2");
        ((string)second["content"]!["cmd"]!, (int)second["content"]!["timeout"]!, (int)second["with"]!).ShouldBe(("echo 2", 60, 1));
        second["differences"]!.AsArray().Select(one => ((string)one!["field"]!, one["old"]?.ToString(), one["new"]?.ToString()))
            .ShouldBe([("cmd", "echo 1", "echo 2"), ("timeout", null, "60")], ignoreOrder: true);
        // A password is hidden everywhere, and a value that was marked later in the versions before, too.
        var first = await host.Get($"{Version}?job_id=kept&version=1");
        ((string)first["content"]!["env"]!["PATH_OF"]!).ShouldBe("/srv");
        ((string)first["content"]!["env"]!["ACCOUNT"]!).ShouldBe("******");
        var third = await host.Get($"{Version}?job_id=kept&version=3&with=1");
        var all = string.Concat(new[] { first, second, third, list }.Select(answer => answer.ToJsonString()));
        all.ShouldNotContain("pa55");
        all.ShouldNotContain("4711");
        foreach (var wrong in new[] { "?job_id=kept&version=9", "?job_id=kept&with=9", "?job_id=nobody", "?version=1" })
            (await host.Get(Version + wrong)).Code().ShouldBe(-1, wrong);

        // Nor does the value come out once the job has no such variable any more; it comes back as the secret that it was.
        await Save("kept", new { job_id = "kept", env = new { PATH_OF = "/srv", DB_PASSWORD = "pa55-two" } }, 4);
        foreach (var path in new[] { $"{Version}?job_id=kept&version=1", $"{Version}?job_id=kept&version=2", $"{Versions}?job_id=kept" })
            (await host.Get(path)).ToJsonString().ShouldNotContain("4711", Case.Sensitive, path);
        (await host.Put(Path, new { job_id = "kept", cmd = "echo 5", version = 2 })).ToJsonString().ShouldNotContain("4711");
        (await host.Post(Version, new { job_id = "kept", version = 1 })).Code().ShouldBe(0);
        Words((await Job("kept"))["secret_env"]).ShouldBe(["ACCOUNT"]);
    }

    [Fact]
    public async Task A_change_of_an_older_version_is_refused_and_shows_both()
    {
        await host.Make(new { job_id = "met", cmd = "echo 1", cron = CronClient.Never, env = new { LANG = "C", TOKEN = "t0ken-one" } });
        var bobs = new { LANG = "de", TOKEN = "t0ken-two" };
        await Save("met", new { job_id = "met", cmd = "echo bob", tags = new[] { "night" }, env = bobs, version = 1 }, 2);
        var mine = """{"job_id": "met", "cmd": "echo ann", "retries": 3, "env": {"LANG": "C", "TOKEN": "t0ken-ann"}, "version": 1}""";
        var refused = await host.Send(HttpMethod.Put, Path, mine, language: "en");
        refused.Code().ShouldBe(-1);
        refused.Msg().ShouldStartWith("Not saved: this change was made to version 1, and admin saved version 2 at ");
        var data = refused["data"]!;
        ((int)data["made_to"]!, (int)data["version"]!, (string)data["by"]!).ShouldBe((1, 2, "admin"));
        var fields = data["fields"]!.AsArray().ToDictionary(one => (string)one!["field"]!, one => one!);
        fields.Keys.ShouldBe(["cmd", "tags", "env.LANG", "env.TOKEN"], ignoreOrder: true);
        ((string)fields["cmd"]["before"]!, (string)fields["cmd"]["now"]!, (string)fields["cmd"]["sent"]!).ShouldBe(("echo 1", "echo bob", "echo ann"));
        ((bool)fields["cmd"]["clash"]!, (bool)fields["tags"]["clash"]!, fields["tags"]["sent"]).ShouldBe((true, false, null));
        // Sent back as it was: no clash.
        ((string)fields["env.LANG"]["now"]!, (bool)fields["env.LANG"]["clash"]!).ShouldBe(("de", false));
        refused.ToJsonString().ShouldNotContain("t0ken");
        ((string)(await Job("met"))["cmd"]!).ShouldBe("echo bob");

        // The header says the same; a client of problem details gets the true status.
        using var request = TestHost.Request(HttpMethod.Put, Path, """{"job_id": "met", "cmd": "echo ann"}""", TestTokens.Admin);
        request.Headers.TryAddWithoutValidation("If-Match", "\"1\"");
        request.Headers.TryAddWithoutValidation("Accept", "application/problem+json");
        using var response = await host.Http.SendAsync(request);
        ((int)response.StatusCode).ShouldBe(409);
        using var wrong = TestHost.Request(HttpMethod.Put, Path, """{"job_id": "met", "cmd": "echo ann"}""", TestTokens.Admin);
        wrong.Headers.TryAddWithoutValidation("If-Match", "\"x\"");
        using var unread = await host.Http.SendAsync(wrong);
        (await unread.Content.ReadAsStringAsync()).ShouldContain("If-Match");
        (await host.Put(Path, new { job_id = "met", cmd = "echo ann", version = 7 })).Msg().ShouldBe("没有版本 7，当前是版本 2");
        // Without a version, and with the stored one, it is saved.
        await Save("met", new { job_id = "met", cmd = "echo ann" }, 3);
        await Save("met", new { job_id = "met", cmd = "echo both", version = 3 }, 4);
    }

    [Fact]
    public async Task Of_many_who_save_at_once_each_makes_a_version_of_its_own_and_one_alone_that_version()
    {
        await host.Make(new { job_id = "busy", cmd = "echo 0", cron = CronClient.Never });
        var free = await Task.WhenAll(Enumerable.Range(1, 8).Select(n => host.Put(Path, new { job_id = "busy", cmd = $"echo {n}" })));
        free.Select(answer => (int)answer["version"]!).Order().ShouldBe(Enumerable.Range(2, 8));
        var same = await Task.WhenAll(Enumerable.Range(1, 8).Select(n => host.Put(Path, new { job_id = "busy", cmd = $"true {n}", version = 9 })));
        same.Count(answer => answer.Code() == 0).ShouldBe(1);
        (await host.Get($"{Versions}?job_id=busy"))["data"]!.AsArray().Select(row => (int)row!["version"]!).ShouldBe(Enumerable.Range(1, 10).Reverse());
    }

    [Fact]
    public async Task An_old_version_comes_back_as_a_new_one_under_the_rules_of_an_edit()
    {
        await host.Make(new { job_id = "back", cmd = "echo 1", cron = CronClient.Never, env = new { DB_PASSWORD = "pa55-one" }, timeout = 30 });
        await Save("back", new { job_id = "back", cmd = "echo 2", env = new { DB_PASSWORD = "pa55-two" }, timeout = 0, owners = new[] { "ann" } }, 2);
        (await host.Post(Version, new { job_id = "back", version = 1, current = 1 })).Msg().ShouldContain("版本 2");
        var back = await host.Post(Version, new { job_id = "back", version = 1, current = 2 });
        (back.Code(), back.Msg(), (int)back["version"]!).ShouldBe((0, "版本 1 的内容已恢复，成为版本 3", 3));
        var job = await Job("back");
        ((string)job["cmd"]!, (int)job["timeout"]!, job["owners"]!.AsArray().Count).ShouldBe(("echo 1", 30, 0));
        var newest = (await host.Get($"{Versions}?job_id=back"))["data"]![0]!;
        ((int)newest["restored_from"]!, (int)newest["version"]!).ShouldBe((1, 3));
        (await host.Get($"{Version}?job_id=back&version=3&with=1"))["differences"]!.AsArray().ShouldBeEmpty();
        (await host.Ask<string>("SELECT string_agg(action, ',' ORDER BY audit_id) FROM platform.audit WHERE kind = 'job' AND object_id = 'back'"))
            .ShouldBe("create,edit,restore");
        var log = await host.Ended(await host.RunNow("back"));
        log.Status().ShouldBe("success");
        (await host.Post(Version, new { job_id = "back" })).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task A_version_that_differs_in_its_space_alone_brings_nothing_back_and_history_does_not_say_that_it_did()
    {
        (await host.Post("/v2/accounts/space/", new { name = "moved-to" })).Code().ShouldBe(0);
        await host.Make(new { job_id = "moved", cmd = "true", cron = CronClient.Never });
        await Save("moved", new { job_id = "moved", space = "moved-to" }, 2);
        var back = await host.Post(Version, new { job_id = "moved", version = 1, current = 2 });
        (back.Code(), (int)back["version"]!, (bool)back["changed"]!).ShouldBe((0, 2, false));
        back.Msg().ShouldNotContain("已恢复");
        var newest = (await host.Get($"{Versions}?job_id=moved"))["data"]![0]!;
        ((int)newest["version"]!, (int?)newest["restored_from"]).ShouldBe((2, null));
        ((string)(await Job("moved"))["space"]!).ShouldBe("moved-to");
    }

    [Fact]
    public async Task A_deleted_job_comes_back_with_its_ledger_and_fires_nothing_that_it_missed()
    {
        await host.Make(new { job_id = "gone", cmd = "echo here", cron = "* * * * * *", overlap = "allow", env = new { DB_PASSWORD = "pa55" } });
        await Eventually.True(async () => (await host.Logs("gone")).Any(row => row.Status() == "success"), "it runs");
        var deleted = await host.Delete(Path, new { job_id = "gone" });
        var id = (long)deleted["deleted_id"]!;
        var row = (await host.Get(Deleted + "?limit=1000"))["data"]!.AsArray().Single(row => (long)row!["deleted_id"]! == id)!;
        ((string)row["job_id"]!, (string)row["cmd"]!, (string)row["by"]!, (bool)row["taken"]!).ShouldBe(("gone", "echo here", "admin", false));
        // Another of that name is in the way.
        await host.Make(new { job_id = "gone", cmd = "false", cron = CronClient.Never });
        (await host.Post(Deleted, new { deleted_id = id })).Msg().ShouldStartWith("job gone 已被另一个任务使用");
        await host.Delete(Path, new { job_id = "gone" });
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync("UPDATE cron.deleted_job SET deleted_at = deleted_at - interval '2 days' WHERE job = @id", new { id });
        var since = await host.Ask<DateTime>("SELECT clock_timestamp()");
        var back = await host.Post(Deleted, new { deleted_id = id });
        (back.Code(), (string)back["job_id"]!, (bool)back["paused"]!).ShouldBe((0, "gone", false));
        await Eventually.True(async () => await Runs("status = 'success' AND nominal_at > @since") > 0, "it fires again");
        (await Runs("nominal_at < @since")).ShouldBeGreaterThan(0, "its ledger is its own again");
        (await Runs("status IN ('missed', 'skipped')")).ShouldBe(0);
        (await host.Get($"{Versions}?job_id=gone"))["data"]!.AsArray().Count.ShouldBe(1);
        (await host.Post(Deleted, new { deleted_id = id })).Code().ShouldBe(-1, "it is back already");
        await host.Delete(Path, new { job_id = "gone" });

        Task<long> Runs(string where) => host.Ask<long>($"SELECT count(*) FROM cron.cron_log WHERE job = @id AND {where}", new { id, since });
    }

    [Fact]
    public async Task A_job_whose_space_is_gone_comes_back_to_another_one()
    {
        var space = (long)(await host.Post("/v2/accounts/space/", new { name = "left" }))["space_id"]!;
        await host.Make(new { job_id = "homeless", cmd = "true", cron = CronClient.Never, space = "left" });
        var id = (long)(await host.Delete(Path, new { job_id = "homeless" }))["deleted_id"]!;
        (await host.Delete("/v2/accounts/space/", new { space_id = space })).Code().ShouldBe(0);
        var refused = await host.Send(HttpMethod.Post, Deleted, $$"""{"deleted_id": {{id}}}""", language: "en");
        (refused.Code(), refused.Msg()).ShouldBe((-1, "Its space is gone; give `space`"));
        (await host.Page("/deleted/jobs", TestTokens.Admin, "en")).Html.ShouldContain("Its space is gone: bring it back by the API, with space");
        var back = await host.Post(Deleted, new { deleted_id = id, space = "default" });
        (back.Code(), (int)back["version"]!).ShouldBe((0, 2), back.ToJsonString());
        var job = await Job("homeless");
        ((string)job["space"]!, (int)job["version"]!).ShouldBe(("default", 2));
        Words((await host.Get($"{Versions}?job_id=homeless"))["data"]![0]!["changed"]).ShouldBe(["space"]);
    }

    [Fact]
    public async Task After_thirty_days_nothing_of_a_deleted_job_can_come_back_and_old_versions_give_way()
    {
        await host.Make(new { job_id = "old", cmd = "true", cron = CronClient.Never });
        await host.Make(new { job_id = "many", cmd = "true", cron = CronClient.Never });
        var id = (long)(await host.Delete(Path, new { job_id = "old" }))["deleted_id"]!;
        await using (var connection = await host.Source.OpenConnectionAsync())
        {
            await connection.ExecuteAsync("UPDATE cron.deleted_job SET deleted_at = clock_timestamp() - interval '31 days' WHERE job = @id", new { id });
            await connection.ExecuteAsync("UPDATE cron.job SET version = 250 WHERE job_id = 'many'");
            await connection.ExecuteAsync(
                """
                INSERT INTO cron.job_last (job, log_id, exec_time, status)
                SELECT job, 1, now(), 'success' FROM (SELECT id FROM cron.job WHERE job_id = 'many' UNION ALL SELECT @id) v(job)
                """,
                new { id }
            );
        }
        await Save("many", new { job_id = "many", cmd = "false" }, 251);
        (await host.Post(Deleted, new { deleted_id = id })).Code().ShouldBe(-1, "past its days before retention has come by");
        await host.Services.GetRequiredService<PartitionMaintenance>().DropOld(CancellationToken.None);
        (await host.Ask<long>("SELECT count(*) FROM cron.job_version WHERE job = @id", new { id })).ShouldBe(0);
        (await host.Ask<string?>("SELECT max(job_id) FROM cron.deleted_job WHERE job = @id", new { id })).ShouldBeNull();
        (await host.Ask<long>("SELECT count(*) FROM cron.job_last WHERE job = @id", new { id })).ShouldBe(0);
        (await host.Ask<long>("SELECT count(*) FROM cron.job_last l JOIN cron.job j ON j.id = l.job WHERE j.job_id = 'many'")).ShouldBe(1);
        (await host.Ask<long>("SELECT min(v.version) FROM cron.job_version v JOIN cron.job j ON j.id = v.job WHERE j.job_id = 'many'")).ShouldBe(251);
    }

    private async Task<JsonObject> Job(string id) => (await host.Get($"{Path}?job_id={id}"))["data"]![0]!.AsObject();

    private async Task Save(string id, object change, int version)
    {
        var saved = await host.Put(Path, change);
        (saved.Code(), (int)saved["version"]!).ShouldBe((0, version), saved.ToJsonString());
        ((int)(await Job(id))["version"]!).ShouldBe(version);
    }

    private static IEnumerable<string> Words(JsonNode? list) => list!.AsArray().Select(word => (string)word!);
}
