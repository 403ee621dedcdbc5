using System.Text.Json.Nodes;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;

namespace Codo.Tests.Faults;

/// <summary>What a command has left in the background belongs to nobody: it lives on whatever becomes of the host.</summary>
public sealed class BackgroundFaultsTests
{
    [Fact]
    public async Task Writers_of_a_cron_run_and_of_a_local_step_outlive_kill_minus_nine_of_the_host()
    {
        using var folder = new TestFolder();
        string[] done = [folder.At("cron"), folder.At("step")];
        // For as long as it is there they write: until the host is gone, and no longer than the folder.
        var writing = folder.At("writing");
        await File.WriteAllTextAsync(writing, "", TestContext.Current.CancellationToken);
        await using (var host = await HostProcess.Start(folder.At("codo"), environment: ("Codo__TimeZone", "Asia/Shanghai")))
        {
            await host.Send(HttpMethod.Post, "/v1/cron/job/", new { job_id = "left", cmd = Writer(writing, done[0]), cron = "0 0 0 1 1 *" });
            var log = (await host.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "left" }))["log_id"]!;
            var order = await Order(host, OrderHost.Step(Writer(writing, done[1])));
            await Eventually.True(
                async () => (await host.Send(HttpMethod.Get, $"/v1/cron/log/?key=log_id&value={log}"))["data"]![0]!["status"]!.GetValue<string>() == "success",
                "the run has ended"
            );
            await Eventually.True(
                async () => (await host.Send(HttpMethod.Get, $"/v2/task/check/?list_id={order}"))["data"]!["schedule"]!.GetValue<string>() == "OK",
                "the step has ended"
            );
            done.ShouldAllBe(file => !File.Exists(file));

            var row = (await host.Send(HttpMethod.Get, $"/v1/cron/log/?key=log_id&value={log}"))["data"]![0]!["task_log"]!.GetValue<string>();
            row.ShouldContain("个后台进程占用输出");
            var step = (await host.Send(HttpMethod.Get, $"/v2/task/check/?list_id={order}"))["data"]!["scheduler_list"]![0]!;
            step["cause"]!.GetValue<string>().ShouldContain("个后台进程占用输出");
            await host.Kill();
        }

        File.Delete(writing);
        foreach (var file in done) await Eventually.True(() => File.Exists(file), "the background process has come to its end");
    }

    private static string Writer(string writing, string done) => $"(while test -e {writing}; do echo x; seq 2000; sleep 0.1; done; touch {done}) & exit 0";

    private static async Task<JsonNode> Order(HostProcess host, JsonObject step)
    {
        await host.Send(HttpMethod.Post, "/v2/task_layout/temp/", new { temp_name = "left" });
        var template = (await host.Send(HttpMethod.Get, "/v2/task_layout/temp/?key=temp_name&value=left"))["data"]![0]!["temp_id"]!.ToString();
        await host.Send(HttpMethod.Put, "/v2/task_layout/details/", new JsonObject { ["temp_id"] = template, ["new_temp_data"] = new JsonArray(step) });
        return (
            await host.Send(
                HttpMethod.Post,
                "/v2/task/accept/",
                new
                {
                    task_name = "left",
                    temp_id = template,
                    hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
                    schedule = "ready",
                }
            )
        )["list_id"]!;
    }
}
