using System.Text.Json.Nodes;
using Codo.Tests.Support;

namespace Codo.Tests.Host.LocalServices;

/// <summary>The published file alone, in a directory with nothing in it.</summary>
public sealed class OneFileTests(PublishedHost published)
{
    [Fact]
    public async Task Runs_a_job_from_an_empty_directory()
    {
        using var folder = new TestFolder();
        Directory.CreateDirectory(folder.At("empty"));
        await using var host = await HostProcess.Start(folder.At("codo"), null, await published.File, folder.At("empty"));

        (await RunJob(host, "echo hello from one file")).ShouldBe("hello from one file\n");

        using (var http = new HttpClient { BaseAddress = host.Address })
        {
            (await http.GetStringAsync("/are_you_ok/")).ShouldContain("I'm OK");
            (await http.GetStringAsync("/")).ShouldContain("</html>");
        }

        host.Output.ShouldContain("To be reached from other machines: ASPNETCORE_URLS=");
        // The files of a PostgreSQL that runs are no backup.
        host.Output.ShouldContain(" backup FILE --keys KEYS (");
        // A token is for a person who looks on; here there is none.
        host.Output.ShouldContain("TOKEN=$(");
        (await host.Stop()).ShouldBe(0, host.Output);
        Directory.EnumerateFileSystemEntries(folder.At("empty")).ShouldBeEmpty();
    }

    [Fact]
    public async Task Runs_for_an_ordinary_user_in_the_home_directory_and_speaks_Chinese()
    {
        await using var user = await TestUser.Make();
        var data = Path.Combine(user.Home, ".local/share/codo");
        // An empty variable counts as none: the data directory is the default one.
        await using var host = await HostProcess.Start(
            data,
            user.Identity,
            await published.File,
            user.Home,
            ("Codo__DataDirectory", ""),
            ("HOME", user.Home),
            ("LANG", "zh_CN.UTF-8"),
            ("Codo__ShowToken", "true")
        );

        (await RunJob(host, "id -un")).ShouldBe($"{user.Identity.Name}\n");

        host.Output.ShouldContain($"数据目录：{data}（PostgreSQL 和 Redis：自带）");
        host.Output.ShouldContain("TOKEN=ey");
        File.GetUnixFileMode(data).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    [Fact]
    public async Task Refuses_a_data_directory_of_another_user()
    {
        await using var user = await TestUser.Make();
        using var folder = new TestFolder();
        var refused = await HostProcess.Run([$"--Codo:DataDirectory={folder.At("codo")}"], user.Identity, await published.File, user.Home, ("HOME", user.Home));
        refused.ExitCode.ShouldBe(2);
        refused.Errors.ShouldStartWith($"The data directory {folder.At("codo")} cannot be used by user");
    }

    private static async Task<string> RunJob(HostProcess host, string command)
    {
        var made = await host.Send(HttpMethod.Post, "/v1/cron/job/", new { job_id = "hello", cmd = command, cron = "0 0 0 29 2 *" });
        made["code"]!.GetValue<int>().ShouldBe(0, made.ToJsonString());
        var run = await host.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "hello" });
        run["code"]!.GetValue<int>().ShouldBe(0, run.ToJsonString());
        var log = await Eventually.Get(
            async () => (await host.Send(HttpMethod.Get, $"/v1/cron/log/?key=log_id&value={run["log_id"]}"))["data"]!.AsArray().SingleOrDefault() as JsonObject,
            row => row["status"]!.GetValue<string>() is not ("queued" or "running"), "the job has ended");
        log["status"]!.GetValue<string>().ShouldBe("success", log.ToJsonString());
        return log["task_log"]!.GetValue<string>();
    }
}
