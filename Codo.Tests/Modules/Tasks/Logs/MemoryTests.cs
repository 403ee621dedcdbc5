using System.Globalization;
using System.Text.Json.Nodes;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Logs;

/// <summary>What output costs the host in memory: measured on the process, which nobody else's tests are in.</summary>
public sealed class MemoryTests
{
    private const string Line = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    [Fact]
    public async Task A_hundred_megabytes_and_a_million_lines_raise_it_by_less_than_50_MB()
    {
        using var folder = new TestFolder();
        await using var host = await HostProcess.Start(folder.At("codo"), environment: ("Codo__TimeZone", "Asia/Shanghai"));
        // What the first output of a host costs for good, its code and its buffers, is not counted.
        await Print(host, $"yes {Line} | head -c 20000000");
        var before = Megabytes(host, "VmRSS");
        foreach (var command in new[] { $"yes {Line} | head -c 100000000", "seq 1 1000000", "head -c 100000000 /dev/zero | tr '\\0' x" })
            (await Raise(host, before, () => Print(host, command))).ShouldBeLessThan(50, command);
    }

    [Fact]
    public async Task A_million_lines_of_a_cron_run_raise_it_by_less_than_50_MB_at_a_limit_of_100_MiB()
    {
        using var folder = new TestFolder();
        await using var host = await HostProcess.Start(
            folder.At("codo"),
            environment: [("Codo__TimeZone", "Asia/Shanghai"), ("Codo__Cron__OutputLimit", "104857600")]
        );
        await Run(host, $"yes {Line} | head -c 20000000");
        var before = Megabytes(host, "VmRSS");
        (await Raise(host, before, () => Run(host, $"yes {Line}{Line} | head -1000000"))).ShouldBeLessThan(50);
        Directory.GetFiles(folder.At("codo/spool/cron")).ShouldBeEmpty();
    }

    // When the collector collects varies from run to run; what grows with the output grows in each.
    private static async Task<long> Raise(HostProcess host, long before, Func<Task> run)
    {
        var least = long.MaxValue;
        for (var time = 0; time < 3 && least >= 50; time++)
        {
            // The peak is forgotten.
            await File.WriteAllTextAsync($"/proc/{host.Pid}/clear_refs", "5", TestContext.Current.CancellationToken);
            await run();
            least = Math.Min(least, Megabytes(host, "VmHWM") - before);
        }

        return least;
    }

    private static async Task Run(HostProcess host, string command)
    {
        var job = $"j-{Guid.NewGuid():N}";
        await host.Send(HttpMethod.Post, "/v1/cron/job/", new { job_id = job, cmd = command, cron = "0 0 0 1 1 *" });
        var log = (await host.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = job }))["log_id"]!;
        await Eventually.True(
            async () => (await host.Send(HttpMethod.Get, $"/v1/cron/log/?key=log_id&value={log}"))["data"]![0]!["status"]!.GetValue<string>() == "success",
            "the run has ended",
            300
        );
    }

    private static async Task Print(HostProcess host, string command)
    {
        var name = $"t-{Guid.NewGuid():N}";
        await host.Send(HttpMethod.Post, "/v2/task_layout/temp/", new { temp_name = name });
        var template = (await host.Send(HttpMethod.Get, $"/v2/task_layout/temp/?key=temp_name&value={name}"))["data"]![0]!["temp_id"]!.ToString();
        var step = OrderHost.Step(command, timeout: 600);
        await host.Send(HttpMethod.Put, "/v2/task_layout/details/", new JsonObject { ["temp_id"] = template, ["new_temp_data"] = new JsonArray(step) });
        var order = (
            await host.Send(
                HttpMethod.Post,
                "/v2/task/accept/",
                new
                {
                    task_name = "print",
                    temp_id = template,
                    hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
                    schedule = "ready",
                }
            )
        )["list_id"]!;
        await Eventually.True(
            async () => (await host.Send(HttpMethod.Get, $"/v2/task/check/?list_id={order}"))["data"]!["schedule"]!.GetValue<string>() == "OK",
            "the step has ended",
            300
        );
    }

    private static long Megabytes(HostProcess host, string what) =>
        long.Parse(
            File.ReadLines($"/proc/{host.Pid}/status")
                .First(line => line.StartsWith(what, StringComparison.Ordinal))
                .Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
            CultureInfo.InvariantCulture
        ) >> 10;
}
