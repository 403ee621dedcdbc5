using System.Globalization;
using System.Text.Json.Nodes;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;
using Npgsql;

namespace Codo.Tests.Modules.Tasks.Logs;

/// <summary>What output and long templates cost the host in memory: measured on the process, which nobody else's tests are in.</summary>
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

    [Fact]
    public async Task Forty_versions_of_4_MB_raise_it_by_less_than_250_MB_when_they_are_listed_at_once()
    {
        using var folder = new TestFolder();
        await using var host = await HostProcess.Start(folder.At("codo"));
        await host.Send(HttpMethod.Post, "/v2/task_layout/temp/", new { temp_name = "long" });
        long template;
        await using (var connection = new NpgsqlConnection($"Host={host.DataDirectory}/postgres-socket;Username=codo;Database=codo;Pooling=false"))
            template = await connection.QuerySingleAsync<long>(
                """
                WITH kept AS (
                    INSERT INTO tasks.template_version (temp_id, version, by_id, by_name, content)
                    SELECT t.temp_id, v, 1, 'a', jsonb_build_object('steps', s.steps, 'groups', jsonb_build_array(),
                        'temp_args', jsonb_build_array('V' || v), 'space_id', 1)
                    FROM tasks.scheduler_temp_list t, generate_series(2, 41) v, (
                        SELECT jsonb_agg(jsonb_build_object('id', n, 'group', 1, 'level', n, 'command_name', 's' || n, 'command', repeat('x', 4000),
                            'args', repeat('y', 4000))) AS steps
                        FROM generate_series(1, 520) n) s
                    WHERE t.temp_name = 'long' RETURNING temp_id)
                SELECT min(temp_id) FROM kept
                """
            );
        // What the first list costs for good is not counted.
        await List(2);
        var before = Megabytes(host, "VmRSS");
        (await Raise(host, before, () => List(200), most: 250)).ShouldBeLessThan(250);

        async Task List(int limit)
        {
            var list = await host.Send(HttpMethod.Get, $"/v2/task_layout/temp/versions/?temp_id={template}&limit={limit}");
            var rows = list["data"]!.AsArray();
            (rows.Count, (long)list["count"]!, (int)rows[0]!["version"]!).ShouldBe((Math.Min(limit, 41), 41, 41));
            // The oldest of the page is compared as well, with the one behind it.
            rows.Take(2).Select(row => (string)row!["changed"]!.AsArray().Single()!).ShouldBe(["temp_args", "temp_args"]);
            if (limit > 41) rows[^1]!["changed"]!.AsArray().ShouldBeEmpty();
        }
    }

    // When the collector collects varies from run to run; what grows with the output grows in each.
    private static async Task<long> Raise(HostProcess host, long before, Func<Task> run, long most = 50)
    {
        var least = long.MaxValue;
        for (var time = 0; time < 3 && least >= most; time++)
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
