using System.Globalization;
using System.Net.WebSockets;
using System.Text;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Logs;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Tasks.Logs;

public sealed class ReadLogTests(TestPostgres postgres)
{
    [Fact]
    public async Task Reads_attempt_after_attempt_and_never_passes_a_missing_line()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        await Print(host, place, "[CMD]: a", "one", "two");
        await Print(host, place with { Attempt = 2 }, "[CMD]: a", "again");
        var key = $"/v2/task/log/?log_key={place.LogKey}";

        var whole = await host.Get(key);
        whole["data"]!
            .AsArray()
            .Select(row => $"{row!["attempt"]}:{row["line"]} {row["log_info"]}")
            .ShouldBe(["1:1 [CMD]: a", "1:2 one", "1:3 two", "2:1 [CMD]: a", "2:2 again"]);
        whole["after"]!.GetValue<string>().ShouldBe("2:2");
        whole["more"]!.GetValue<bool>().ShouldBeFalse();
        (await host.Get(key + "&after=2:2"))["data"]!.AsArray().ShouldBeEmpty();

        var pieces = new List<string>();
        var after = "";
        for (var part = await host.Get(key + "&limit=2"); part["data"]!.AsArray().Count > 0; part = await host.Get($"{key}&limit=2&after={after}"))
        {
            pieces.AddRange(part["data"]!.AsArray().Select(row => row!["log_info"]!.GetValue<string>()));
            after = part["after"]!.GetValue<string>();
        }

        pieces.ShouldBe(["[CMD]: a", "one", "two", "[CMD]: a", "again"]);
        (await host.Get(key + "&attempt=2"))["data"]!.AsArray().Count.ShouldBe(2);

        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("DELETE FROM tasks.log_line WHERE sched_id = @SchedId AND attempt = 1 AND line = 2", place);
        (await host.Get(key))["data"]!.AsArray().Count.ShouldBe(1);
        (await host.Get(key + "&after=5"))["code"]!.GetValue<int>().ShouldBe(-1);
    }

    [Fact]
    public async Task The_end_of_a_log_has_no_gap_however_many_bytes_its_letters_have()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        await Print(host, place, "one", "two", "three");
        await Print(host, place with { Attempt = 2 }, [.. Enumerable.Repeat(new string('汉', 333), 700)]);
        var end = await host.Get($"/v2/task/log/?log_key={place.LogKey}&tail=1000");
        var rows = end["data"]!.AsArray();
        // As many lines of 999 bytes as go into 512 KiB, and the one that goes beyond.
        ($"{rows[0]!["attempt"]}:{rows[0]!["line"]}", rows.Count, end["before"]!.GetValue<long>()).ShouldBe(("2:176", 525, 178L));
    }

    [Fact]
    public async Task The_end_of_one_attempt_or_of_one_step_has_no_line_of_another()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        var other = place with { SchedId = place.SchedId + 500_000 };
        await Print(host, place, "one", "two", "three");
        await Print(host, other, "other one", "other two");
        await Print(host, place with { Attempt = 2 }, "again");

        (await End("tail=10&attempt=1")).ShouldBe(("one, two, three, other one, other two", 0));
        (await End($"tail=2&attempt=1&sched_id={place.SchedId}")).ShouldBe(("two, three", 1));
        (await End($"tail=10&sched_id={place.SchedId}")).ShouldBe(("one, two, three, again", 0));
        (await End($"tail=10&sched_id={other.SchedId}&attempt=2")).ShouldBe(("", 0));
        (await End("tail=3")).ShouldBe(("other one, other two, again", 3));

        // A line that is missing in another attempt is none of this one's business.
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("DELETE FROM tasks.log_line WHERE sched_id = @SchedId AND attempt = 1 AND line = 2", place);
        (await End("tail=10&attempt=2")).ShouldBe(("again", 0));

        async Task<(string Lines, long Before)> End(string query)
        {
            var answer = await host.Get($"/v2/task/log/?log_key={place.LogKey}&{query}");
            return (string.Join(", ", answer["data"]!.AsArray().Select(row => row!["log_info"]!.GetValue<string>())), answer["before"]!.GetValue<long>());
        }
    }

    [Fact]
    public async Task A_key_that_is_too_long_is_not_cut_within_a_character()
    {
        var key = new string('a', 399);
        LogKey.Parse(key + "😀b").Text.ShouldBe(key);
        LogKey.Parse(key + "bc").Text.ShouldBe(key + "b");
        await using var host = await TestHost.Start(postgres);
        (await host.Get($"/v2/task/log/?log_key={Uri.EscapeDataString(key + "😀b")}"))["code"]!.GetValue<int>().ShouldBe(0);
    }

    [Fact]
    public async Task Says_of_a_log_that_retention_has_deleted_why_it_is_blank()
    {
        await using var host = await TestHost.Start(postgres);
        var order = await host.Order(await host.Template(OrderHost.Step("echo one")));
        var key = $"/v2/task/log/?log_key={order}_1_1_127.0.0.1";
        await using var connection = await host.Source.OpenConnectionAsync();
        await Eventually.True(
            () => connection.ExecuteScalarAsync<bool>("SELECT log_whole FROM tasks.attempt WHERE list_id = @order", new { order }),
            "it has ended"
        );
        (await Missing("")).ShouldBe("");
        await connection.ExecuteAsync("DELETE FROM tasks.log_line WHERE list_id = @order", new { order });
        (await Missing("")).ShouldBe("", "an attempt of today");
        // It has ended today: a log is found by its first line, which went with the day on which it began.
        await connection.ExecuteAsync("UPDATE tasks.attempt SET started_at = started_at - interval '200 days' WHERE list_id = @order", new { order });
        foreach (var whole in new[] { "", "&after=0:0", "&tail=10", "&attempt=1" }) (await Missing(whole)).ShouldContain("已过保留期", Case.Sensitive, whole);
        foreach (var other in new[] { "&after=1:2", "&attempt=2" }) (await Missing(other)).ShouldBe("", other);

        async Task<string> Missing(string more) => (await host.Get(key + more))["missing"]!.GetValue<string>();
    }

    [Fact]
    public async Task Reads_steps_that_share_a_log_in_the_order_that_they_ran()
    {
        await using var host = await TestHost.Start(postgres);
        var first = LogSteps.Place();
        var second = first with { SchedId = first.SchedId + 500_000 };
        await Print(host, first, "first");
        await Print(host, second, "second");
        await Print(host, first with { Attempt = 2 }, "first again");
        var part = await host.Get($"/v2/task/log/?log_key={first.LogKey}&limit=2");
        part["data"]!.AsArray().Select(row => row!["log_info"]!.GetValue<string>()).ShouldBe(["first", "second"]);
        var rest = await host.Get($"/v2/task/log/?log_key={first.LogKey}&after={part["after"]}");
        rest["data"]!.AsArray().Select(row => row!["log_info"]!.GetValue<string>()).ShouldBe(["first again"]);
    }

    [Fact]
    public async Task No_clock_puts_an_attempt_before_the_one_that_it_follows()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        await Print(host, place, "one", "two");
        await Print(host, place with { Attempt = 2 }, "again");
        await using var connection = await host.Source.OpenConnectionAsync();
        // As by the clock of another node.
        await connection.ExecuteAsync(
            "UPDATE tasks.log_line SET exec_time = exec_time - interval '20 seconds' WHERE sched_id = @SchedId AND attempt = 2",
            place
        );
        var key = $"/v2/task/log/?log_key={place.LogKey}";
        (await Lines("")).ShouldBe(["one", "two", "again"]);
        (await Lines("&after=1:2")).ShouldBe(["again"]);
        (await Lines("&tail=2")).ShouldBe(["two", "again"]);
        using var stream = new EventReader(host, place.LogKey, "1:2");
        (await stream.Take(1))[0].ShouldBe(("2:1", "again"));

        async Task<IEnumerable<string>> Lines(string more) => (await host.Get(key + more))["data"]!.AsArray().Select(row => (string)row!["log_info"]!);
    }

    [Fact]
    public async Task Goes_on_behind_lines_that_nobody_has_and_says_which()
    {
        await using var host = await TestHost.Start(postgres);
        var order = await host.Order(await host.Template(OrderHost.Step("echo two; echo three; echo four")));
        var key = $"{order}_1_1_127.0.0.1";
        await using var connection = await host.Source.OpenConnectionAsync();
        await Eventually.True(
            () => connection.ExecuteScalarAsync<bool>("SELECT log_whole FROM tasks.attempt WHERE list_id = @order", new { order }),
            "it has ended"
        );
        (await Read("")).ShouldBe(("1, 2, 3, 4", 0, ""));
        await connection.ExecuteAsync("DELETE FROM tasks.log_line WHERE list_id = @order AND line = 3", new { order });
        (await Read("")).ShouldBe(("1, 2, 4", 1, "输出有缺失，不会再补上：第 1 次执行的第 3 行"));
        (await Read("&limit=2")).ShouldBe(("1, 2", 0, ""));

        // However many there are of them.
        await connection.ExecuteAsync("UPDATE tasks.log_line SET line = 5000 WHERE list_id = @order AND line = 4", new { order });
        const string Lost = "输出有缺失，不会再补上：第 1 次执行的第 3–4999 行";
        foreach (var query in new[] { "", "&attempt=1", "&tail=10" }) (await Read(query)).ShouldBe(("1, 2, 5000", 4997, Lost), query);
        (await Read("&limit=1&after=1:2")).ShouldBe(("5000", 4997, Lost));
        (await Read("&after=1:5000")).ShouldBe(("", 0, ""));
        (await Read("&tail=2")).ShouldBe(("2, 5000", 4997, Lost));
        ((long)(await host.Get($"/v2/task/log/?log_key={key}&tail=2"))["before"]!).ShouldBe(1);

        using var stream = new EventReader(host, key);
        (await stream.Take(3)).Select(row => row.Id).ShouldBe(["1:1", "1:2", "1:5000"]);
        (await stream.Missing()).ShouldBe(Lost);
        (await Watch(host, "log_data", key, TestTokens.Admin)).ShouldStartWith($"two----four----[Codo]: {Lost}");
        using var whole = await ServerEvents.Open(host, $"/v2/task/log/stream/?list_id={order}");
        foreach (var line in new[] { 1, 2, 5000 }) ((int)(await whole.Next()).Data["line"]!).ShouldBe(line);
        ((string)(await whole.Next()).Data["missing"]!).ShouldBe("输出有缺失，不会再补上：127.0.0.1 第 1 次执行的第 3–4999 行");
        var other = (await host.Get($"/v2/task/compare/?list_id={order}"))["others"]!.AsArray().ShouldHaveSingleItem()!;
        ((string)other["why"]!).ShouldBe("missing");

        async Task<(string Lines, long Lost, string Missing)> Read(string query)
        {
            var answer = await host.Get($"/v2/task/log/?log_key={key}{query}");
            var lines = answer["data"]!.AsArray().Select(row => row!["line"]!.ToString());
            return (string.Join(", ", lines), (long)answer["lost_lines"]!, (string)answer["missing"]!);
        }
    }

    // Nobody is told that an attempt is whole which has only just ended.
    [Theory]
    [InlineData(4)]
    [InlineData(9000)]
    public async Task Who_follows_already_goes_on_behind_lines_that_turn_out_to_be_lost(long next)
    {
        await using var host = await TestHost.Start(postgres);
        var order = await host.Order(await host.Template(OrderHost.Step("echo two")));
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
        using var stream = new EventReader(host, key);
        (await stream.Take(2))[1].ShouldBe(("1:2", "two"));
        using var whole = await ServerEvents.Open(host, $"/v2/task/log/stream/?list_id={order}");
        foreach (var line in new[] { 1, 2 }) ((int)(await whole.Next()).Data["line"]!).ShouldBe(line);

        var reader = host.Services.GetRequiredService<LogReader>();
        var reads = reader.Reads;
        var step = await connection.QuerySingleAsync<long>("SELECT sched_id FROM tasks.attempt WHERE list_id = @order", new { order });
        var now = DateTime.UnixEpoch.AddMilliseconds(TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds());
        var late = new LogLine(LogKey.Parse(key), step, 1, next, false, "late", now);
        await host.Services.GetRequiredService<LogTable>().Write([late], TestContext.Current.CancellationToken);
        await Eventually.True(() => reader.Reads > reads, "the line was met");
        await connection.ExecuteAsync("UPDATE tasks.attempt SET log_whole = true, whole_at = clock_timestamp() WHERE list_id = @order", new { order });
        (await stream.Take(1))[0].ShouldBe(($"1:{next}", "late"));
        ((long)(await whole.Next()).Data["line"]!).ShouldBe(next);
    }

    [Fact]
    public async Task The_end_of_a_very_long_log_of_another_publisher_is_its_newest_lines()
    {
        await using var host = await TestHost.Start(postgres);
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            """
            INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time)
            SELECT 'a long one', 0, 0, 0, 0, n, false, 'line ' || n, now() FROM generate_series(1, 100010) n
            """
        );
        var end = await host.Get($"/v2/task/log/?log_key={Uri.EscapeDataString("a long one")}&tail=2");
        end["data"]!.AsArray().Select(row => (string)row!["log_info"]!).ShouldBe(["line 100009", "line 100010"]);
        ((long)end["before"]!, (string)end["after"]!).ShouldBe((100_008L, "0:100010"));
    }

    [Fact]
    public async Task Shows_a_log_to_those_who_see_its_order_and_to_nobody_else()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        await Order(host, place.ListId, creator: 7, approvers: [8], watchers: ["wang"]);
        await Print(host, place, "for few");
        foreach (var (user, name, sees) in new[] { (7L, "maker", true), (8L, "approver", true), (9L, "wang", true), (10L, "stranger", false) })
        {
            var token = TestTokens.For(user, name);
            (await host.Get($"/v2/task/log/?log_key={place.LogKey}", token))["code"]!.GetValue<int>().ShouldBe(sees ? 0 : -1, name);
            (await host.Get("/v2/task/log/search/?q=FEW", token))["data"]!.AsArray().Count.ShouldBe(sees ? 1 : 0, name);
            (await Watch(host, "log", place.LogKey, token)).Contains("for few", StringComparison.Ordinal).ShouldBe(sees, name);
        }

        using var refused = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, $"/v2/task/log/stream?log_key={place.LogKey}", null, null));
        ((int)refused.StatusCode).ShouldBe(401);
    }

    [Fact]
    public async Task Sends_the_whole_log_over_a_WebSocket_and_again_when_there_is_more()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        await using var output = host.Open(place);
        using var times = await Connect(host, "log", TestTokens.Admin);
        using var plain = await Connect(host, "log_data", TestTokens.Admin);
        await Send(times, place.LogKey);
        await Send(plain, place.LogKey);
        await output.Print("[CMD]: echo\none\n");
        await output.Complete();
        var text = await Receive(times);
        text.ShouldMatch("^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}： \\[CMD\\]: echo----[0-9: -]+： one$");
        (await Receive(plain)).ShouldBe("one");

        await Print(host, place with { Attempt = 2 }, [.. Enumerable.Range(1, 2000).Select(number => $"more {number}")]);
        var window = (await Eventually.Get(() => Receive(plain)!, received => received.EndsWith("more 2000", StringComparison.Ordinal), "the end")).Split(
            "----"
        );
        window.Length.ShouldBe(1001);
        window[0].ShouldContain("1002 earlier lines");

        // The same socket, another log.
        var other = LogSteps.Place();
        await Print(host, other, "of the other");
        await Send(plain, other.LogKey);
        (await Receive(plain)).ShouldBe("of the other");
    }

    [Theory]
    [InlineData("---", "---\u200b")]
    [InlineData("----", "---\u200b-\u200b")]
    [InlineData("a -------- b", "a ---\u200b---\u200b-- b")]
    [InlineData("one-two--three---four", "one-two--three---four")]
    [InlineData("ends with -", "ends with -\u200b")]
    [InlineData("", "")]
    public void Breaks_dashes_where_the_console_would_split(string line, string sent) => WatchLog.BreakDashes(line).ShouldBe(sent);

    [Fact]
    public async Task The_console_finds_each_line_whole_whatever_dashes_it_has()
    {
        await using var host = await TestHost.Start(postgres);
        string[] lines = ["--------------- build ---------------", "-", "----", "a--b", "--dry-run"];
        var place = LogSteps.Place();
        await Print(host, place, lines);
        // What the console's drawer does with what it gets.
        (await Watch(host, "log", place.LogKey, TestTokens.Admin))
            .Split("----")
            .Select(line => line[(line.IndexOf('：') + 2)..].Replace("\u200b", ""))
            .ShouldBe(lines);
        (await Watch(host, "log_data", place.LogKey, TestTokens.Admin)).ShouldBe(string.Join("----", lines));
        (await host.Get($"/v2/task/log/?log_key={place.LogKey}"))["data"]!.AsArray().Select(row => (string)row!["log_info"]!).ShouldBe(lines);
    }

    [Fact]
    public async Task The_socket_pings_so_that_no_gateway_takes_it_for_dead()
    {
        await using var host = await TestHost.Start(postgres);
        using var client = new System.Net.Sockets.TcpClient();
        await client.ConnectAsync(host.Http.BaseAddress!.Host, host.Http.BaseAddress.Port, TestContext.Current.CancellationToken);
        var stream = client.GetStream();
        await stream.WriteAsync(
            Encoding.ASCII.GetBytes(
                ($"GET /ws/v1/task/log/ HTTP/1.1\r\nHost: codo\r\nauth-key: {TestTokens.Admin}\r\nUpgrade: websocket\r\nConnection: "
                    + $"Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
            )
        );
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        var received = new List<byte>();
        var buffer = new byte[1024];
        while (true)
        {
            received.AddRange(buffer.AsSpan(0, await stream.ReadAsync(buffer, limit.Token)));
            var head = Encoding.ASCII.GetString([.. received]).IndexOf("\r\n\r\n", StringComparison.Ordinal);
            // 0x89: the final frame of a ping.
            if (head < 0 || received.Count <= head + 4) continue;
            received[head + 4].ShouldBe((byte)0x89);
            return;
        }
    }

    [Fact]
    public async Task Streams_events_that_can_be_resumed()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        await using var output = host.Open(place);
        await output.PrintLines(1, 2500);
        await output.Complete();
        using var whole = new EventReader(host, place.LogKey);
        (await whole.Take(2500)).Select(row => row.Text).ShouldBe(LogSteps.Lines(2500));
        using var resumed = new EventReader(host, place.LogKey, "1:2400");
        (await resumed.Take(100)).Select(row => row.Text).ShouldBe(LogSteps.Lines(2500).Skip(2400));
        await Print(host, place with { Attempt = 2 }, "next attempt");
        (await whole.Take(1))[0].ShouldBe(("2:1", "next attempt"));
        (await resumed.Take(1))[0].ShouldBe(("2:1", "next attempt"));
    }

    [Fact]
    public async Task Streams_one_attempt_though_another_lacks_a_line()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        await Print(host, place, "one", "two", "three");
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("DELETE FROM tasks.log_line WHERE sched_id = @SchedId AND line = 2", place);
        await Print(host, place with { Attempt = 2 }, "again");
        using var second = new EventReader(host, place.LogKey, more: "&attempt=2");
        (await second.Take(1))[0].ShouldBe(("2:1", "again"));
        var next = new LogLine(LogKey.Of(place), place.SchedId, 2, 2, false, "and more", DateTime.UtcNow);
        await host.Services.GetRequiredService<LogTable>().Write([next], TestContext.Current.CancellationToken);
        (await second.Take(1))[0].ShouldBe(("2:2", "and more"));
        using var whole = new EventReader(host, place.LogKey);
        (await whole.Take(1))[0].ShouldBe(("1:1", "one"));
    }

    [Fact]
    public async Task Serves_two_hundred_followers_with_one_read_a_change()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        await Print(host, place, "first");
        var readers = Enumerable.Range(0, 200).Select(_ => new EventReader(host, place.LogKey)).ToList();
        await Task.WhenAll(readers.Select(reader => reader.Take(1)));
        var log = host.Services.GetRequiredService<LogReader>();
        var before = log.Reads;
        for (var attempt = 2; attempt <= 6; attempt++)
        {
            await Print(host, place with { Attempt = attempt }, "more");
            await Task.WhenAll(readers.Select(reader => reader.Take(1)));
        }

        // Some for each change, which is announced with its lines, its end, and once it is whole. Each follower by itself would read a thousand times.
        (log.Reads - before).ShouldBeInRange(5, 50);
        foreach (var reader in readers) reader.Dispose();
    }

    [Fact]
    public async Task Drops_a_follower_that_does_not_read_and_serves_the_others()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        await Print(host, place, "first");
        using var idle = new EventReader(host, place.LogKey);
        await idle.Take(1);
        using var busy = new EventReader(host, place.LogKey);
        await busy.Take(1);
        await using var output = host.Open(place with { Attempt = 2 });
        var reading = busy.Take(2500);
        var line = new string('x', 10_000) + "\n";
        for (var number = 0; number < 2500; number++) await output.Print(line);
        await output.Complete();
        (await reading).Count.ShouldBe(2500);
        // What the system's buffers held comes, then the end.
        await Should.ThrowAsync<Exception>(() => idle.Take(2500));
    }

    [Fact]
    public async Task Drops_a_WebSocket_that_does_not_read()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        using var idle = await Connect(host, "log", TestTokens.Admin);
        await Send(idle, place.LogKey);
        await using var output = host.Open(place);
        var line = new string('x', 40_000) + "\n";
        var feeds = host.Services.GetRequiredService<LogFeeds>();
        // What the system's buffers hold is unknown: it prints until it is over, slowly enough to stay under MaxOutputPerStep.
        await Eventually.True(() => feeds.Count == 1, "it follows");
        await Eventually.True(async () =>
        {
            await output.Print(line);
            return feeds.Count == 0;
        }, "it is dropped", 60);
        await output.Complete();
    }

    internal static async Task Order(TestHost host, long listId, long creator, long[]? approvers = null, string[]? watchers = null)
    {
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            """
            INSERT INTO tasks.scheduler_task_list (list_id, task_name, task_type, hosts, args, creator, creator_id, approver_ids, watchers, schedule,
                temp_id, start_time, not_before)
            VALUES (@ListId, 'an order', 't', '{}', '{}', 'maker', @Creator, @Approvers, @Watchers, 'start', 1, now(), now())
            """, new { ListId = listId, Creator = creator, Approvers = approvers ?? [], Watchers = watchers ?? [] });
    }

    internal static async Task Print(TestHost host, OutputPlace place, params string[] lines)
    {
        await using var output = host.Open(place);
        await output.Print(string.Concat(lines.Select(line => line + "\n")));
        await output.Complete();
    }

    internal static async Task<ClientWebSocket> Connect(TestHost host, string path, string token)
    {
        var socket = new ClientWebSocket();
        socket.Options.SetRequestHeader("auth-key", token);
        await socket.ConnectAsync(
            new Uri(host.Http.BaseAddress!.ToString().Replace("http", "ws", StringComparison.Ordinal) + $"ws/v1/task/{path}/"),
            TestContext.Current.CancellationToken
        );
        return socket;
    }

    private static async Task<string> Watch(TestHost host, string path, string logKey, string token)
    {
        using var socket = await Connect(host, path, token);
        await Send(socket, logKey);
        return await Receive(socket);
    }

    internal static Task Send(ClientWebSocket socket, string text) =>
        socket.SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, true, TestContext.Current.CancellationToken);

    internal static async Task<string> Receive(ClientWebSocket socket)
    {
        var buffer = new byte[4 << 20];
        var length = 0;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(90));
        while (true)
        {
            var received = await socket.ReceiveAsync(buffer.AsMemory(length), limit.Token);
            if (received.MessageType == WebSocketMessageType.Close) return $"closed: {socket.CloseStatusDescription}";
            length += received.Count;
            if (received.EndOfMessage) return Encoding.UTF8.GetString(buffer, 0, length);
        }
    }
}

/// <summary>A client of the event stream.</summary>
/// <param name="more">Of the query.</param>
internal sealed class EventReader(TestHost host, string logKey, string? lastEventId = null, string more = "") : IDisposable
{
    private HttpResponseMessage? response;
    private StreamReader? stream;

    /// <summary>What is said to be missing, empty when nothing is any more.</summary>
    public async Task<string> Missing()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(40));
        while (true)
        {
            if (await stream!.ReadLineAsync(limit.Token) != "event: missing") continue;
            return System.Text.Json.Nodes.JsonNode.Parse((await stream.ReadLineAsync(limit.Token))![6..])!["missing"]!.GetValue<string>();
        }
    }

    public async Task<List<(string Id, string Text)>> Take(int count)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(40));
        if (stream is null)
        {
            using var request = TestHost.Request(
                HttpMethod.Get,
                string.Create(CultureInfo.InvariantCulture, $"/v2/task/log/stream/?log_key={logKey}{more}"),
                null,
                TestTokens.Admin
            );
            if (lastEventId is not null)
                request.Headers.Add("Last-Event-ID", lastEventId);
            response = await host.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            stream = new StreamReader(await response.Content.ReadAsStreamAsync(limit.Token));
        }

        var events = new List<(string, string)>();
        var id = "";
        while (events.Count < count)
        {
            var line = await stream.ReadLineAsync(limit.Token) ?? throw new EndOfStreamException();
            if (line.StartsWith("id: ", StringComparison.Ordinal))
                id = line[4..];
            if (line.StartsWith("data: ", StringComparison.Ordinal))
                events.Add((id, System.Text.Json.Nodes.JsonNode.Parse(line[6..])!["log_info"]!.GetValue<string>()));
        }

        return events;
    }

    public void Dispose()
    {
        stream?.Dispose();
        response?.Dispose();
    }
}
