using System.Diagnostics;
using System.Globalization;

namespace Codo.Bench;

/// <summary>How soon an order starts and ends after accept has answered, on the host's own machine and over SSH.</summary>
internal sealed class OrdersBench(BenchClient client)
{
    private const string Here = "127.0.0.1";

    public static async Task Run(BenchClient client)
    {
        var bench = new OrdersBench(client);
        await bench.Sample(await bench.Template(Step("true", 1, 1)), 1, 1, 10);
        Table.Head("order", "p50", "p95", "goal");
        await bench.Starts();
        await bench.Print("1 step: accepted → ended", 30, "≤ 0.12 s", 1, 1, Step("true", 1, 1));
        await bench.Print("5 steps", 15, "≤ 0.4 s", 1, 1, [.. Enumerable.Range(1, 5).Select(level => Step("true", 1, level))]);
        await bench.Print(
            "3 groups × 2 steps",
            15,
            "≤ 0.5 s",
            3,
            1,
            [.. Enumerable.Range(1, 3).SelectMany(group => new[] { Step("true", group, 1), Step("true", group, 2) })]
        );
        await bench.Print("10 hosts × 3 steps", 15, "≤ 0.6 s", 1, 10, [.. Enumerable.Range(1, 3).Select(level => Step("true", 1, level))]);
        await bench.Print("100 hosts × 5 steps", 3, "", 1, 100, [.. Enumerable.Range(1, 5).Select(level => Step("true", 1, level))]);
        await bench.AtOnce(20, "≤ 1.5 s");
        await bench.AcceptedPerSecond("≥ 250 a second");
        await OverSsh(client);
    }

    /// <summary>The part over SSH alone, beside OpenSSH's client.</summary>
    public static async Task OverSsh(BenchClient client)
    {
        var bench = new OrdersBench(client);
        await bench.OverSsh(100, 3, 3, "", "");
        await bench.OverSsh(100, 1, 3, $"for ((i = 0; i < {LoopsOf100Milliseconds()}; i++)); do :; done", ", a `.bashrc` that takes 100 ms of processor");
        await bench.OverSsh(1000, 1, 1, "", "");
    }

    // The command itself says when it began.
    private async Task Starts()
    {
        var file = Path.GetTempFileName();
        var template = await Template(Step($"date +%s%N >> {file}", 1, 1));
        var took = new List<double>();
        for (var run = 0; run < 30; run++)
        {
            var order = await Accept(template, 1, 1);
            var answered = DateTimeOffset.UtcNow;
            await Ended(order);
            took.Add(
                (long.Parse((await File.ReadAllLinesAsync(file))[^1], CultureInfo.InvariantCulture) / 1e6)
                    - (answered - DateTimeOffset.UnixEpoch).TotalMilliseconds
            );
        }
        File.Delete(file);
        Table.Row("1 step: accepted → command starts", Table.Percentile(took, 0.5), Table.Percentile(took, 0.95), "p50 ≤ 0.06 s");
    }

    private async Task Print(string name, int runs, string goal, int groups, int hosts, params object[] steps)
    {
        var took = await Sample(await Template(steps), groups, hosts, runs);
        Table.Row(name, Table.Percentile(took, 0.5), Table.Percentile(took, 0.95), goal);
    }

    private async Task<List<double>> Sample(long template, int groups, int hosts, int runs)
    {
        var took = new List<double>();
        for (var run = 0; run < runs; run++)
        {
            var order = await Accept(template, groups, hosts);
            var began = Stopwatch.GetTimestamp();
            await Ended(order);
            took.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }
        return took;
    }

    private async Task AtOnce(int orders, string goal)
    {
        var template = await Template(Step("true", 1, 1));
        var took = new List<double>();
        for (var run = 0; run < 5; run++)
        {
            var began = Stopwatch.GetTimestamp();
            foreach (var order in await Task.WhenAll(Enumerable.Range(0, orders).Select(_ => Accept(template, 1, 1)))) await Ended(order);
            took.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }
        Table.Row($"{orders} orders at once, all ended", Table.Percentile(took, 0.5), Table.Percentile(took, 0.95), goal);
    }

    private async Task AcceptedPerSecond(string goal)
    {
        const int Orders = 1000;
        var template = await Template(Step("true", 1, 1));
        var began = Stopwatch.GetTimestamp();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, Orders),
            new ParallelOptions { MaxDegreeOfParallelism = BenchClient.Connections },
            async (_, _) => await client.Raw(HttpMethod.Post, "/v2/task/accept/", Body(template, 1, 1, "new"))
        );
        Table.Row(
            "POST /v2/task/accept/, one step",
            (Orders / Stopwatch.GetElapsedTime(began).TotalSeconds).ToString("0", CultureInfo.InvariantCulture) + " a second",
            "",
            goal
        );
    }

    /// <param name="startFile">What the login shell reads before each command.</param>
    private async Task OverSsh(int hosts, int steps, int runs, string startFile, string more)
    {
        if (await BenchSshd.Start(hosts, startFile) is not { } sshd)
        {
            Console.WriteLine("\nOver SSH: not measured, that needs root and /usr/sbin/sshd.");
            return;
        }
        await using var servers = sshd;
        var alias = $"bench {DateTime.UtcNow.Ticks}";
        await client.Send(
            HttpMethod.Post,
            "/v2/task_layout/user/",
            new
            {
                alias_user = alias,
                exec_user = Environment.UserName,
                ssh_port = sshd.Port,
                user_key = sshd.PrivateKey,
                remarks = "bench",
            }
        );
        var template = await Template([.. Enumerable.Range(1, steps).Select(level => Step("true", 1, level, alias, forced: false))]);
        var took = new List<double>();
        var others = new List<double>();
        for (var run = 0; run < runs; run++)
        {
            var answer = await client.Send(
                HttpMethod.Post,
                "/v2/task/accept/",
                new
                {
                    task_name = "bench",
                    temp_id = template,
                    hosts = new Dictionary<string, string> { ["1"] = string.Join(',', sshd.Hosts) },
                    schedule = "ready",
                }
            );
            var began = Stopwatch.GetTimestamp();
            await Ended(answer["list_id"]!.GetValue<long>());
            took.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
            began = Stopwatch.GetTimestamp();
            await sshd.SameByClient(steps);
            others.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }
        Console.WriteLine();
        Table.Head($"{hosts:N0} hosts × {steps} step{(steps == 1 ? "" : "s")} over SSH{more}", "p50", "worst");
        Table.Row("Codo", Table.Percentile(took, 0.5), Table.Percentile(took, 1));
        Table.Row("`ssh` in parallel (`xargs -P 100`)", Table.Percentile(others, 0.5), Table.Percentile(others, 1));
    }

    // How often bash goes round an empty loop in 100 ms on this machine.
    private static long LoopsOf100Milliseconds()
    {
        const int Tried = 200_000;
        var began = Stopwatch.GetTimestamp();
        using var bash = Process.Start("bash", ["--norc", "-c", $"for ((i = 0; i < {Tried}; i++)); do :; done"]);
        bash.WaitForExit();
        return (long)(Tried * 100 / Stopwatch.GetElapsedTime(began).TotalMilliseconds);
    }

    private static object Step(string command, int group, int level, string user = "root", bool forced = true) => new
    {
        group,
        level,
        command_name = "bench",
        command,
        args = "",
        trigger = "order",
        exec_user = user,
        force_host = forced ? Here : "",
    };

    private async Task<long> Template(params object[] steps)
    {
        var name = $"bench {Guid.NewGuid():N}";
        await client.Send(HttpMethod.Post, "/v2/task_layout/temp/", new { temp_name = name });
        var id = (await client.Send(HttpMethod.Get, $"/v2/task_layout/temp/?key=temp_name&value={Uri.EscapeDataString(name)}"))["data"]!.AsArray().Single()![
            "temp_id"
        ]!.GetValue<long>();
        await client.Send(HttpMethod.Put, "/v2/task_layout/details/", new { temp_id = id, new_temp_data = steps });
        return id;
    }

    private async Task<long> Accept(long template, int groups, int hosts) =>
        (await client.Send(HttpMethod.Post, "/v2/task/accept/", Body(template, groups, hosts, "ready")))["list_id"]!.GetValue<long>();

    private static object Body(long template, int groups, int hosts, string schedule) =>
        new
        {
            task_name = "bench",
            temp_id = template,
            hosts = Enumerable
                .Range(1, groups)
                .ToDictionary(group => $"{group}", _ => string.Join(',', Enumerable.Range(1, hosts).Select(last => $"10.0.0.{last}"))),
            schedule,
        };

    // Asked often, but never for more than a fraction of the time: each answer names every host, and the asking shares the processors with the order.
    private async Task Ended(long order)
    {
        var began = Stopwatch.GetTimestamp();
        TimeSpan Taken() => Stopwatch.GetElapsedTime(began);
        for (; Taken() < TimeSpan.FromMinutes(10); await Task.Delay(Taken() / 50 + TimeSpan.FromMilliseconds(4)))
        {
            var page = (await client.Send(HttpMethod.Get, $"/v2/task/check/?list_id={order}"))["data"]!.AsObject();
            if (page["schedule"]!.GetValue<string>() != "OK") continue;
            if (page["status"]!.GetValue<string>() != "3") throw new InvalidOperationException($"Order {order} ended with {page.ToJsonString()}");
            return;
        }
        throw new TimeoutException($"Order {order} has not ended.");
    }
}
