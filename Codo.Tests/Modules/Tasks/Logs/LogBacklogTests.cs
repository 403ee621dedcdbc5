using System.Net.WebSockets;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Logs;
using Codo.Platform.Cluster;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Tasks.Logs;

/// <summary>What a reader is told of lines that another node has.</summary>
public sealed class LogBacklogTests(TestPostgres postgres)
{
    [Fact]
    public async Task Says_of_an_ended_step_that_its_log_is_whole()
    {
        await using var host = await TestHost.Start(postgres);
        var order = await host.Order(await host.Template(OrderHost.Step("echo one")));
        await using var connection = await host.Source.OpenConnectionAsync();
        await Eventually.True(
            () => connection.ExecuteScalarAsync<bool>("SELECT log_whole FROM tasks.attempt WHERE list_id = @order", new { order }),
            "it is said"
        );
    }

    [Fact]
    public async Task Tells_readers_and_followers_that_lines_are_missing_while_their_node_is_away()
    {
        await using var host = await TestHost.Start(postgres);
        var order = await host.Order(await host.Template(OrderHost.Step("echo one; echo two")));
        var key = $"{order}_1_1_127.0.0.1";
        await using var connection = await host.Source.OpenConnectionAsync();
        await Eventually.True(
            () => connection.ExecuteScalarAsync<bool>("SELECT log_whole FROM tasks.attempt WHERE list_id = @order", new { order }),
            "it has ended"
        );

        using var page = await ReadLogTests.Connect(host, "log_data", TestTokens.Admin);
        await ReadLogTests.Send(page, key);
        (await ReadLogTests.Receive(page)).ShouldBe("one----two");
        using var stream = new EventReader(host, key);
        await stream.Take(3);

        // As another node's, which has not said that all of it is here.
        await connection.ExecuteAsync(
            ("INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, heartbeat_at) VALUES ('gone', 1, 'm', 'b', 1, 'v', now() "
                + "- interval '1 hour')")
        );
        await connection.ExecuteAsync("UPDATE tasks.attempt SET node = 'gone', log_whole = false WHERE list_id = @order", new { order });
        await connection.ExecuteAsync("SELECT pg_notify('codo_log', '0:0:0:' || @key)", new { key });
        (await ReadLogTests.Receive(page)).ShouldBe(
            "one----two----[Codo]: 节点 gone 不在线：只有它才有的输出在它回来之前缺失 / The node gone is away: output that it alone has is missing until it is back"
        );
        (await stream.Missing()).ShouldContain("gone");
        await Reads("gone", catchingUp: false);
        await Reads("", catchingUp: false, "&attempt=2");

        // It is back, and then has written all.
        await connection.ExecuteAsync("UPDATE platform.node SET heartbeat_at = now() WHERE name = 'gone'");
        await Reads("", catchingUp: true);
        await using (var back = await TestHost.Start(postgres, host.Postgres, ("Codo:NodeName", "gone")))
        {
            back.Services.GetRequiredService<Node>().Name.ShouldBe("gone");
            (await ReadLogTests.Receive(page)).ShouldBe("one----two");
            (await stream.Missing()).ShouldBe("");
            await Reads("", catchingUp: false);
        }

        async Task Reads(string missing, bool catchingUp, string more = "")
        {
            var part = await host.Get($"/v2/task/log/?log_key={key}{more}");
            var said = part["missing"]!.GetValue<string>();
            (said.Contains("gone", StringComparison.Ordinal), said.Length == 0).ShouldBe((missing.Length > 0, missing.Length == 0), said);
            part["catching_up"]!.GetValue<bool>().ShouldBe(catchingUp);
        }
    }

    [Fact]
    public async Task Goes_on_to_the_next_attempt_when_the_one_before_is_whole_or_its_node_is_away()
    {
        await using var host = await TestHost.Start(postgres);
        var order = await host.Order(await host.Template(OrderHost.Step("echo one")));
        var key = $"{order}_1_1_127.0.0.1";
        await using var connection = await host.Source.OpenConnectionAsync();
        await Eventually.True(
            () => connection.ExecuteScalarAsync<bool>("SELECT log_whole FROM tasks.attempt WHERE list_id = @order", new { order }),
            "it has ended"
        );
        // As another node's, which is there and has not said that all of it is here.
        await connection.ExecuteAsync(
            ("INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, heartbeat_at) VALUES ('behind', 1, 'm', 'b', 1, 'v', now() "
                + "+ interval '1 hour')")
        );
        await connection.ExecuteAsync("UPDATE tasks.attempt SET node = 'behind', log_whole = false WHERE list_id = @order", new { order });
        var step = await connection.QuerySingleAsync<long>("SELECT sched_id FROM tasks.attempt WHERE list_id = @order", new { order });
        await ReadLogTests.Print(host, new OutputPlace(order, 1, 1, "127.0.0.1", step, 2), "again");
        using var stream = new EventReader(host, key);
        (await stream.Take(2))[1].ShouldBe(("1:2", "one"));
        await Ends("one", catchingUp: true);
        await Ends("one", catchingUp: true, "&tail=10");
        await Ends("again", catchingUp: false, "&attempt=2");

        // Nobody is told.
        await connection.ExecuteAsync(
            """
            INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time, log_time)
            SELECT log_key, list_id, task_level, sched_id, attempt, 3, continues, 'late', exec_time, log_time
            FROM tasks.log_line WHERE list_id = @order AND attempt = 1 AND line = 2
            """,
            new { order }
        );
        await connection.ExecuteAsync("UPDATE tasks.attempt SET log_whole = true WHERE list_id = @order", new { order });
        (await stream.Take(2)).Select(row => row.Text).ShouldBe(["late", "again"]);

        await connection.ExecuteAsync("UPDATE tasks.attempt SET log_whole = false WHERE list_id = @order", new { order });
        await Ends("late", catchingUp: true);
        await connection.ExecuteAsync("UPDATE platform.node SET heartbeat_at = now() - interval '1 hour' WHERE name = 'behind'");
        await Ends("again", catchingUp: false);

        async Task Ends(string text, bool catchingUp, string more = "")
        {
            var part = await host.Get($"/v2/task/log/?log_key={key}{more}");
            part["data"]!.AsArray()[^1]!["log_info"]!.GetValue<string>().ShouldBe(text);
            part["catching_up"]!.GetValue<bool>().ShouldBe(catchingUp);
        }
    }

    [Fact]
    public void Says_what_is_lost_and_who_is_away_in_one()
    {
        var (lost, away) = (new LostLines(1, 3, 3), new LaggingNode("gone", false));
        LostLines.Words([lost], away).En.ShouldBe(
            "Output is lost for good: line 3 of attempt 1; The node gone is away: output that it alone has is missing until it is back"
        );
        LostLines.Words([], away).ShouldBe(away.Missing);
        LostLines.Words([lost], away with { Alive = true }).ShouldBe(LostLines.Words([lost], null));
        LostLines.Line([], null).ShouldBeNull();
    }

    [Fact]
    public async Task Refuses_a_name_that_no_log_can_have()
    {
        await using var host = await TestHost.Start(postgres);
        foreach (var path in new[] { "/v2/task/log/", "/v2/task/log/stream/" })
            (await host.Get($"{path}?log_key=1_1_1_a%00b"))["code"]!.GetValue<int>().ShouldBe(-1, path);
        using var socket = await ReadLogTests.Connect(host, "log", TestTokens.Admin);
        await ReadLogTests.Send(socket, "1_1_1_a\0b");
        (await ReadLogTests.Receive(socket)).ShouldStartWith("closed: ");
        using var longer = await ReadLogTests.Connect(host, "log", TestTokens.Admin);
        await ReadLogTests.Send(longer, new string('x', 5000));
        (await ReadLogTests.Receive(longer)).ShouldStartWith("closed: ");
        longer.CloseStatus.ShouldBe(WebSocketCloseStatus.MessageTooBig);
    }
}
