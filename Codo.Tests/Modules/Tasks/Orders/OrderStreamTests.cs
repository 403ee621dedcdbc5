using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Logs;
using Codo.Tests.Modules.Tasks.Logs;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Modules.Tasks.Orders;

/// <summary>An order as a whole: its grid, its changes as they happen, and the output of all its hosts in one stream.</summary>
public sealed class OrderStreamTests(OrderFixture fixture) : IClassFixture<OrderFixture>
{
    private const string Two = "10.0.0.1,10.0.0.2";
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task The_grid_has_every_host_with_a_character_for_each_step()
    {
        var order = await host.Order(
            await host.Template(
                Step("true", level: 1, forceHost: "127.0.0.1"),
                Step("exit 1", level: 2, forceHost: "127.0.0.1", onError: "continue"),
                Step("exit 1", level: 3, forceHost: "127.0.0.1", name: "third"),
                Step("true", level: 1, group: 5)
            ),
            new Dictionary<string, string> { ["1"] = Two, ["5"] = "127.0.0.1" }
        );
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM tasks.lane WHERE list_id = @order AND state = 'failed'", new { order }) == 2,
            "both failed"
        );
        var grid = await host.Get($"/v2/task/grid/?list_id={order}");
        ((string)grid["order"]!["schedule"]!, grid["groups"]!.AsArray().Count).ShouldBe(("start", 2));
        var group = grid["groups"]![0]!.AsObject();
        (group["hosts"]!.ToJsonString(), group["steps"]!.ToJsonString(), group["outcomes"]!.ToJsonString(), group["states"]!.ToJsonString())
            .ShouldBe(("""["10.0.0.1","10.0.0.2"]""", """["334","334"]""", """["dif","dif"]""", """["failed","failed"]"""));
        ((string)group["names"]![2]!["task_name"]!, (int)group["names"]![2]!["task_level"]!).ShouldBe(("third", 3));
        (grid["groups"]![1]!["steps"]!.ToJsonString(), grid["groups"]![1]!["outcomes"]!.ToJsonString()).ShouldBe(("""["1"]""", """["-"]"""));
        (await host.Get("/v2/task/grid/?list_id=99999999")).Code().ShouldBe(-1);
        (await host.Get("/v2/task/grid/")).Code().ShouldBe(-1);
        foreach (var path in new[] { "grid", "stream", "log/stream" })
            (await host.Get($"/v2/task/{path}/?list_id={order}", TestTokens.For(77, "stranger"))).Code().ShouldBe(-1, path);
        (await host.Get("/v2/task/stream/?list_id=x")).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task A_thousand_hosts_with_ten_steps_are_less_than_a_hundred_kilobytes()
    {
        var order = await host.Order(await host.Template(Step("true")), schedule: "new");
        await using (var connection = await host.Source.OpenConnectionAsync())
        {
            await connection.ExecuteAsync(
                """
                INSERT INTO tasks.lane (list_id, task_group, host, batch) SELECT @order, 2, '10.101.' || n / 250 || '.' || n % 250, 1 FROM generate_series(1,
                    1000) n;
                INSERT INTO tasks.scheduler_task_info (list_id, lane_id, task_group, task_level, task_name, task_cmd, task_args, trigger, exec_user,
                    force_host, exec_ip, task_status, timeout, retries, on_error)
                SELECT @order, lane_id, 2, level, 'step ' || level, 'true', '', 'order', 'root', '', host, 1, 60, 0, 'stop' FROM tasks.lane,
                    generate_series(1, 10) level WHERE list_id = @order AND task_group = 2;
                """, new { order });
        }
        using var response = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, $"/v2/task/grid/?list_id={order}", null, TestTokens.Admin));
        var text = await response.Content.ReadAsStringAsync();
        text.Length.ShouldBeLessThan(100_000);
        var group = JsonNode.Parse(text)!["groups"]![1]!;
        (group["hosts"]!.AsArray().Count, (string)group["steps"]![999]!, (string)group["hosts"]![999]!).ShouldBe((1000, "1111111111", "10.101.4.0"));
    }

    [Fact]
    public async Task The_stream_begins_with_the_grid_and_tells_each_change_and_who_comes_back_gets_what_was_missed()
    {
        var (first, second) = (fixture.NewFile(), fixture.NewFile());
        var order = await host.Order(
            await host.Template(
                Step($"while ! test -e {first}; do sleep 0.05; done", level: 1, forceHost: "127.0.0.1"),
                Step($"while ! test -e {second}; do sleep 0.05; done", level: 2, forceHost: "127.0.0.1")
            ),
            new Dictionary<string, string> { ["1"] = Two }
        );
        string id;
        using (var events = await ServerEvents.Open(host, $"/v2/task/stream/?list_id={order}"))
        {
            var grid = await events.Next();
            (grid.Name, grid.Data["groups"]![0]!["hosts"]!.AsArray().Count).ShouldBe(("grid", 2));
            await File.WriteAllTextAsync(first, "");
            id = (await events.Until(each => each.Name == "lanes" && each.Data.AsArray().Any(lane => (string)lane!["steps"]! == "32"), "a step is done")).Id;
        }

        await File.WriteAllTextAsync(second, "");
        await host.Ended(order);
        using (var events = await ServerEvents.Open(host, $"/v2/task/stream/?list_id={order}", id))
        {
            var told = await events.Until(each => each.Name == "order" && (string)each.Data["schedule"]! == "OK", "it has ended");
            ((string)told.Data["status"]!, events.Names.Contains("grid")).ShouldBe(("3", false));
            events.Lanes.ShouldContain("10.0.0.1 done 33 dd");
            events.Lanes.ShouldContain("10.0.0.2 done 33 dd");
        }

        // From another life of the node: all of it.
        using (var events = await ServerEvents.Open(host, $"/v2/task/stream/?list_id={order}", "0123456789ab:7")) (await events.Next()).Name.ShouldBe("grid");
    }

    [Fact]
    public async Task An_empty_log_key_counts_as_absent()
    {
        var order = await host.Order(await host.Template(Step("echo said", forceHost: "127.0.0.1")));
        using var events = await ServerEvents.Open(host, $"/v2/task/log/stream/?log_key=&list_id={order}");
        await events.Until(each => (string?)each.Data["log_info"] == "said", "the order's output comes");
        ((string)(await host.Get("/v2/task/log/stream/?log_key=&list_id="))["msg"]!).ShouldBe("log_key 不能为空");
    }

    [Fact]
    public async Task One_stream_has_the_output_of_all_hosts_and_steps_and_loses_none_of_it_when_it_is_resumed()
    {
        var gate = fixture.NewFile();
        var order = await host.Order(
            await host.Template(
                Step("for i in $(seq 1 300); do echo one $i; done", level: 1, name: "count", forceHost: "127.0.0.1"),
                Step($"while ! test -e {gate}; do sleep 0.05; done; echo late", level: 2, name: "later", forceHost: "127.0.0.1")
            ),
            new Dictionary<string, string> { ["1"] = Two }
        );
        var seen = new HashSet<string>();
        string id;
        using (var events = await ServerEvents.Open(host, $"/v2/task/log/stream/?list_id={order}"))
        {
            // 300 lines and the [CMD] line of each host, and the [CMD] line of the next step.
            while (seen.Count < 604) Note(await events.Next());
            id = events.LastId;
        }

        seen.ShouldContain("10.0.0.2 count 1 301 one 300");
        await File.WriteAllTextAsync(gate, "");
        await host.Ended(order);
        using (var events = await ServerEvents.Open(host, $"/v2/task/log/stream/?list_id={order}", id))
            while (seen.Count < 606) Note(await events.Next());
        seen.ShouldContain("10.0.0.1 later 2 2 late");
        seen.ShouldContain("10.0.0.2 later 2 2 late");

        // Long after, only what was written since.
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync(
                "UPDATE tasks.log_line SET log_time = log_time - interval '10 minutes' WHERE list_id = @order",
                new { order }
            );
        var after = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        using (var events = await ServerEvents.Open(host, $"/v2/task/log/stream/?list_id={order}&after={after}"))
        {
            var place = await host.Ask<long>(
                "SELECT max(sched_id) FROM tasks.scheduler_task_info WHERE list_id = @order AND exec_ip = '10.0.0.2'",
                new { order }
            );
            await using var output = host.Open(new Codo.Modules.Tasks.Execution.OutputPlace(order, 1, 2, "10.0.0.2", place, 2));
            await output.Print("another attempt\n");
            await output.Complete();
            var next = await events.Next();
            ((string)next.Data["log_info"]!, (int)next.Data["attempt"]!).ShouldBe(("another attempt", 2));
        }

        // A node that was away brings the last line of attempts that ended an hour ago.
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync(
                """
                UPDATE tasks.log_line SET log_time = clock_timestamp() WHERE list_id = @order AND log_info = 'late';
                UPDATE tasks.attempt SET ended_at = ended_at - interval '1 hour', log_whole = false WHERE list_id = @order;
                """,
                new { order }
            );
        await Eventually.True(
            async () => await host.Ask<bool>("SELECT bool_and(log_whole) FROM tasks.attempt WHERE list_id = @order", new { order }),
            "the logs are whole"
        );
        using (var events = await ServerEvents.Open(host, $"/v2/task/log/stream/?list_id={order}&after={after}"))
            foreach (var _ in (string[])["10.0.0.1", "10.0.0.2"]) ((string)(await events.Next()).Data["log_info"]!).ShouldBe("late");
        (await host.Get($"/v2/task/log/stream/?list_id={order}&after=x")).Code().ShouldBe(-1);

        void Note(ServerEvents.Event line) =>
            seen.Add($"{line.Data["host"]} {line.Data["task_name"]} {line.Data["task_level"]} {line.Data["line"]} {line.Data["log_info"]}");
    }

    [Fact]
    public async Task Who_resumes_gets_a_line_that_was_missing_and_all_that_waited_for_it()
    {
        var order = await host.Order(await host.Template(Step("true", forceHost: "127.0.0.1")), schedule: "new");
        var step = await host.Ask<long>("SELECT sched_id FROM tasks.scheduler_task_info WHERE list_id = @order", new { order });
        var began = DateTime.UnixEpoch.AddMilliseconds(DateTimeOffset.UtcNow.AddMinutes(-10).ToUnixTimeMilliseconds());
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync(
                """
                INSERT INTO tasks.attempt (sched_id, attempt, list_id, lane_id, node, incarnation, run_id, host, exec_user, started_at, ended_at, exit_code,
                    outcome, log_whole)
                SELECT sched_id, 1, list_id, lane_id, 'away', 1, 'r', exec_ip, '', @began, @began + interval '1 second', 0, 'done', false
                FROM tasks.scheduler_task_info WHERE sched_id = @step;
                INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time, log_time)
                SELECT @order || '_1_1_127.0.0.1', @order, 1, @step, 1, n, false, 'line ' || n, @began + n * interval '1 millisecond', @began
                FROM generate_series(1, 10) n WHERE n <> 5
                """,
                new { order, step, began }
            );
        var after = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        using var events = await ServerEvents.Open(host, $"/v2/task/log/stream/?list_id={order}&after={after}");
        // Said once everything that is there was looked at.
        (await events.Next()).Name.ShouldBe("missing");
        var late = new LogLine(LogKey.Parse($"{order}_1_1_127.0.0.1"), step, 1, 5, false, "line 5", began.AddMilliseconds(5));
        await host.Services.GetRequiredService<LogTable>().Write([late], TestContext.Current.CancellationToken);
        for (var line = 5; line <= 10; line++) ((int)(await events.Next()).Data["line"]!).ShouldBe(line);
    }
}

/// <summary>A client of an event stream.</summary>
internal sealed class ServerEvents : IDisposable
{
    private readonly HttpResponseMessage response;
    private readonly StreamReader stream;

    private ServerEvents(HttpResponseMessage response, StreamReader stream) => (this.response, this.stream) = (response, stream);

    internal sealed record Event(string Name, string Id, JsonNode Data);

    /// <summary>The last id that came, as a browser would send it back.</summary>
    public string LastId { get; private set; } = "";

    /// <summary>The names of what came so far.</summary>
    public List<string> Names { get; } = [];

    /// <summary>Every lane that came so far, in words.</summary>
    public List<string> Lanes { get; } = [];

    public static async Task<ServerEvents> Open(TestHost host, string path, string? lastEventId = null)
    {
        using var request = TestHost.Request(HttpMethod.Get, path, null, TestTokens.Admin);
        if (lastEventId is not null) request.Headers.Add("Last-Event-ID", lastEventId);
        var response = await host.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        response.Content.Headers.ContentType!.MediaType.ShouldBe("text/event-stream");
        return new ServerEvents(response, new StreamReader(await response.Content.ReadAsStreamAsync()));
    }

    public async Task<Event> Next()
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(90));
        var (name, data) = ("message", "");
        while (true)
        {
            var line = await stream.ReadLineAsync(limit.Token) ?? throw new EndOfStreamException();
            if (line.StartsWith("event: ", StringComparison.Ordinal)) name = line[7..];
            if (line.StartsWith("id: ", StringComparison.Ordinal)) LastId = line[4..];
            if (line.StartsWith("data: ", StringComparison.Ordinal)) data = line[6..];
            if (line.Length > 0 || data.Length == 0) continue;
            Names.Add(name);
            var node = JsonNode.Parse(data)!;
            if (name == "lanes") Lanes.AddRange(node.AsArray().Select(lane => $"{lane!["host"]} {lane["state"]} {lane["steps"]} {lane["outcomes"]}"));
            return new Event(name, LastId, node);
        }
    }

    public async Task<Event> Until(Func<Event, bool> holds, string what)
    {
        for (var count = 0; count < 1000; count++)
            if (await Next() is var next && holds(next))
                return next;
        throw new TimeoutException(what);
    }

    public void Dispose()
    {
        stream.Dispose();
        response.Dispose();
    }
}
