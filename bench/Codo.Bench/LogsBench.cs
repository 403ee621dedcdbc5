using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Codo.Bench;

/// <summary>Output of steps on the host's own machine: from the command to the table, to a follower's screen, and back by a search.</summary>
internal sealed class LogsBench(BenchClient client, string pid)
{
    private const string Here = "127.0.0.1";

    public static async Task Run(BenchClient client, string pid)
    {
        var bench = new LogsBench(client, pid);
        Table.Head("output", "from accept until the step has ended, all rows stored", "rows/s", "goal");
        await bench.Print("warm-up: 1,000 lines", 1, 1_000, "");
        await bench.Print("a step that prints 10,000 lines", 1, 10_000, "≤ 1 s");
        await bench.Print("a step that prints 100,000 lines", 1, 100_000, "≤ 4 s");
        await bench.Print("a step that prints 1,000,000 lines", 1, 1_000_000, "");
        await bench.Print("10 steps at once, 20,000 lines each", 10, 20_000, "");
        await bench.Print("100 steps at once, 2,000 lines each", 100, 2_000, "");
        Console.WriteLine();
        Table.Head("latency and memory", "p50", "p95", "goal");
        await bench.Follow();
        if (pid.Length > 0) await bench.Stream();
        Console.WriteLine();
        Table.Head("search, first page of 50", "took", "found", "partial", "goal");
        // What a table that was filled for this holds: a text in two lines, in one of a thousand, in every line, in none; and two Chinese characters, which
        // have no trigram.
        foreach (var text in new[] { "NullReferenceException", "部署失败", "slow", "handled request", "no such text", "失败" }) await bench.Search(text);
    }

    private async Task Print(string name, int lanes, int lines, string goal)
    {
        var temp = await Template($"seq 1 {lines}");
        var began = Stopwatch.GetTimestamp();
        var order = await Accept(temp, lanes);
        await Ended(order);
        var took = Stopwatch.GetElapsedTime(began);
        for (var lane = 1; lane <= lanes; lane++) await HasAll(order, lane, lines);
        Table.Row(name, Table.Ms(took.TotalMilliseconds), (lanes * (long)lines / took.TotalSeconds).ToString("#,0", CultureInfo.InvariantCulture), goal);
    }

    /// <summary>A command prints the time; a follower of the event stream takes the difference.</summary>
    private async Task Follow()
    {
        var temp = await Template("for i in $(seq 1 100); do date +%s%N; sleep 0.05; done");
        var order = await Accept(temp, 1);
        using var stream = new StreamReader(await client.Stream($"/v2/task/log/stream/?log_key={Key(order, 1)}"));
        var took = new List<double>();
        while (took.Count < 95 && await stream.ReadLineAsync() is { } line)
        {
            if (!line.StartsWith("data: ", StringComparison.Ordinal)) continue;
            var now = DateTimeOffset.UtcNow;
            if (!long.TryParse(JsonNode.Parse(line[6..])!["log_info"]!.GetValue<string>(), CultureInfo.InvariantCulture, out var printed)) continue;
            took.Add((now - DateTimeOffset.UnixEpoch).TotalMilliseconds - (printed / 1e6));
        }

        // The first ones were printed before the follower came.
        took = [.. took.Skip(10)];
        Table.Row("from the command's write to the follower's screen", Table.Percentile(took, 0.5), Table.Percentile(took, 0.95), "≤ 300 ms");
    }

    private async Task Stream()
    {
        var temp = await Template("yes 0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ | head -c 100000000");
        var before = Resident();
        var most = before;
        var order = await Accept(temp, 1);
        while (!await HasEnded(order))
        {
            most = Math.Max(most, Resident());
            await Task.Delay(50);
        }

        most = Math.Max(most, Resident());
        Table.Row($"memory while 100 MB stream: resident {before / 1024:0} MB before", $"{(most - before) / 1024:+0;-0;0} MB at most", "", "< 50 MB");
    }

    private async Task Search(string text)
    {
        var took = new List<double>();
        JsonObject answer = [];
        for (var turn = 0; turn < 5; turn++)
        {
            var began = Stopwatch.GetTimestamp();
            answer = await client.Send(HttpMethod.Get, $"/v2/task/log/search/?limit=50&q={Uri.EscapeDataString(text)}");
            took.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }

        Table.Row(
            text,
            $"first {Table.Ms(took[0])}, then {Table.Percentile([.. took.Skip(1)], 0.5)}",
            answer["data"]!.AsArray().Count.ToString(CultureInfo.InvariantCulture),
            answer["partial"]!.ToString(),
            "< 500 ms"
        );
    }

    // Lanes on made-up hosts, forced to this one.
    private async Task<long> Template(string command)
    {
        var name = $"bench_{Guid.NewGuid().ToString("N")[..8]}";
        await client.Send(HttpMethod.Post, "/v2/task_layout/temp/", new { temp_name = name });
        var list = await client.Send(HttpMethod.Get, $"/v2/task_layout/temp/?key=temp_name&value={name}");
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
                        command_name = "print",
                        command,
                        args = "",
                        trigger = "order",
                        exec_user = "root",
                        force_host = Here,
                    },
                },
            }
        );
        return id;
    }

    private async Task<long> Accept(long temp, int lanes)
    {
        var hosts = string.Join(',', Enumerable.Range(1, lanes).Select(lane => $"10.0.0.{lane}"));
        var answer = await client.Send(
            HttpMethod.Post,
            "/v2/task/accept/",
            new
            {
                task_name = "bench",
                temp_id = temp,
                hosts = new Dictionary<string, string> { ["1"] = hosts },
                schedule = "ready",
                args = new { },
            }
        );
        return answer["list_id"]!.GetValue<long>();
    }

    private async Task Ended(long order)
    {
        while (!await HasEnded(order)) await Task.Delay(5);
    }

    private async Task<bool> HasEnded(long order) =>
        (await client.Send(HttpMethod.Get, $"/v2/task/check/?list_id={order}"))["data"]!["schedule"]!.GetValue<string>() == "OK";

    // The first line is the command's.
    private async Task HasAll(long order, int lane, int lines)
    {
        var part = await client.Send(HttpMethod.Get, $"/v2/task/log/?log_key={Key(order, lane)}&after=1:{lines}");
        if (part["data"]!.AsArray() is not [{ } last] || last["log_info"]!.GetValue<string>() != lines.ToString(CultureInfo.InvariantCulture))
            throw new InvalidOperationException($"The last of {lines} lines is not stored although the step has ended: {part.ToJsonString()}");
    }

    private double Resident() =>
        double.Parse(
            File.ReadLines($"/proc/{pid}/status")
                .First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal))
                .Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
            CultureInfo.InvariantCulture
        );

    private static string Key(long order, int lane) => $"{order}_1_1_10.0.0.{lane}";
}
