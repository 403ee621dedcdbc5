using System.Diagnostics;
using System.Globalization;

namespace Codo.Bench;

/// <summary>
/// Requests a second over 16 connections, 5 s a line after 5 s that warm up the host: what it runs most is compiled anew in them. Client, host and database
/// share the machine.
/// </summary>
internal static class HttpBench
{
    private static readonly TimeSpan Stretch = TimeSpan.FromSeconds(5), WarmUp = TimeSpan.FromSeconds(5);

    public static async Task Run(BenchClient client)
    {
        var made = 0;
        var run = Guid.NewGuid().ToString("N")[..8];
        const string never = "0 0 0 29 2 *";
        for (var i = 0; i < 112; i++)
            await client.Send(
                HttpMethod.Post,
                "/v1/cron/job/",
                new
                {
                    job_id = $"bench {run} list {i}",
                    cmd = "true",
                    cron = never,
                }
            );
        for (var i = 0; i < 1000; i++)
            await client.Send(
                HttpMethod.Post,
                "/v2/task_layout/command/",
                new
                {
                    command_name = $"bench_{run}_{i}",
                    command = "/bin/true",
                    args = "",
                }
            );
        var temp = await Template(client, run);
        for (var i = 0; i < 200; i++) await Accept(client, temp, run);

        Table.Head("request", "requests/s", "p50", "p95", "goal");
        await Measure("GET /v1/cron/job/, 15 of 112 jobs", "≥ 3,000", () => client.Raw(HttpMethod.Get, "/v1/cron/job/"));
        await Measure("GET /v1/cron/job/?limit=112, 65 kB", "≥ 3,500", () => client.Raw(HttpMethod.Get, "/v1/cron/job/?limit=112"));
        await Measure(
            "POST /v1/cron/job/",
            "≥ 467",
            () =>
                client.Raw(
                    HttpMethod.Post,
                    "/v1/cron/job/",
                    new
                    {
                        job_id = $"bench {run} post {Interlocked.Increment(ref made)}",
                        cmd = "true",
                        cron = never,
                    }
                )
        );
        await Measure("GET /v2/task_layout/command/, 1,000 rows", "≥ 300", () => client.Raw(HttpMethod.Get, "/v2/task_layout/command/"));
        await Measure(
            "POST /v2/task_layout/command/",
            "≥ 1,500",
            () =>
                client.Raw(
                    HttpMethod.Post,
                    "/v2/task_layout/command/",
                    new
                    {
                        command_name = $"bench_{run}_post_{Interlocked.Increment(ref made)}",
                        command = "/bin/true",
                        args = "",
                    }
                )
        );
        await Measure("GET /v2/task/list/, 200 orders, limit 100", "≥ 1,500", () => client.Raw(HttpMethod.Get, "/v2/task/list/?limit=100"));
        await Measure("POST /v2/task/accept/, one step", "≥ 250", () => client.Raw(HttpMethod.Post, "/v2/task/accept/", Order(temp, run)));
    }

    private static async Task Measure(string name, string goal, Func<Task> request)
    {
        await During(WarmUp, request);
        var took = await During(Stretch, request);
        Table.Row(
            name,
            (took.Count / Stretch.TotalSeconds).ToString("#,0", CultureInfo.InvariantCulture),
            Table.Percentile(took, 0.5),
            Table.Percentile(took, 0.95),
            goal
        );
    }

    private static async Task<List<double>> During(TimeSpan time, Func<Task> request)
    {
        var end = Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency);
        var all = await Task.WhenAll(Enumerable.Range(0, BenchClient.Connections).Select(async _ =>
        {
            var took = new List<double>();
            while (Stopwatch.GetTimestamp() < end)
            {
                var began = Stopwatch.GetTimestamp();
                await request();
                took.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
            }
            return took;
        }));
        return all.SelectMany(list => list).ToList();
    }

    /// <summary>A template of one step that does nothing, whose orders await an approval for ever.</summary>
    private static async Task<long> Template(BenchClient client, string run)
    {
        await client.Send(HttpMethod.Post, "/v2/task_layout/temp/", new { temp_name = $"bench_{run}" });
        var list = await client.Send(HttpMethod.Get, $"/v2/task_layout/temp/?key=temp_name&value=bench_{run}");
        var id = long.Parse(list["data"]![0]!["temp_id"]!.ToString(), CultureInfo.InvariantCulture);
        await client.Send(
            HttpMethod.Put,
            "/v2/task_layout/details/",
            new
            {
                temp_id = id,
                new_temp_data = new[]
                {
                    new
                    {
                        group = 1,
                        level = 1,
                        command_name = "true",
                        command = "true",
                        args = "",
                        trigger = "order",
                        exec_user = "",
                        force_host = "",
                    },
                },
            }
        );
        return id;
    }

    private static Task Accept(BenchClient client, long temp, string run) => client.Send(HttpMethod.Post, "/v2/task/accept/", Order(temp, run));

    private static object Order(long temp, string run) =>
        new
        {
            task_name = $"bench {run}",
            temp_id = temp,
            hosts = "{\"1\": \"127.0.0.1\"}",
            args = "{}",
            schedule = "new",
        };
}
