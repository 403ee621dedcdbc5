using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Codo.Modules.Tasks.Logs;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using StackExchange.Redis;

namespace Codo.Tests.Modules.Tasks.Logs;

public sealed class PipelineTests(TestPostgres postgres)
{
    [Theory]
    [InlineData(RedisKind.Server)]
    [InlineData(RedisKind.Embedded)]
    public async Task Stores_what_a_step_prints_before_the_step_ends(string kind)
    {
        await using var redis = await RedisKind.Start(kind);
        await using var host = await TestHost.Start(postgres, null, ("ConnectionStrings:Redis", redis.Configuration));
        foreach (var count in new[] { 3, 1000, 20_000 })
        {
            var place = LogSteps.Place();
            await using var output = host.Open(place);
            await output.PrintLines(1, count);
            await output.Complete();
            (await host.Source.Stored(place)).ShouldBeLines(count);
        }
    }

    [Fact]
    public async Task Stores_what_a_step_prints_without_any_Redis()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        await using var output = host.Open(place);
        await output.PrintLines(1, 5000);
        await output.Complete();
        (await host.Source.Stored(place)).ShouldBeLines(5000);
    }

    [Fact]
    public async Task Publishes_every_line_in_the_originals_format()
    {
        await using var redis = await TestRedis.StartNew();
        await using var host = await TestHost.Start(postgres, null, ("ConnectionStrings:Redis", redis.Configuration));
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Configuration);
        var queue = await connection.GetSubscriber().SubscribeAsync(RedisChannel.Literal("task_log"));
        await Connected(redis);

        var place = LogSteps.Place();
        await using var output = host.Open(place);
        await output.Print("[CMD]: date\n中文 😀\n");
        await output.Complete();

        var first = JsonDocument.Parse((byte[])(await queue.ReadAsync(TestContext.Current.CancellationToken)).Message!).RootElement;
        first.GetProperty("log_key").GetString().ShouldBe(string.Create(CultureInfo.InvariantCulture, $"{place.ListId}_1_1_10.0.0.1"));
        first.GetProperty("result").GetString().ShouldBe("[CMD]: date");
        first
            .GetProperty("exec_time")
            .GetInt64()
            .ShouldBeInRange(DateTimeOffset.UtcNow.AddMinutes(-1).ToUnixTimeMilliseconds(), DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
        first.GetProperty("line").GetInt64().ShouldBe(1);
        var second = JsonDocument.Parse((byte[])(await queue.ReadAsync(TestContext.Current.CancellationToken)).Message!).RootElement;
        second.GetProperty("result").GetString().ShouldBe("中文 😀");
    }

    [Fact]
    public async Task Stores_the_messages_of_other_publishers()
    {
        await using var redis = await TestRedis.StartNew();
        // The times of its messages are years ago: the retention's first run would delete what it meets of them.
        (string, string)[] settings = [("ConnectionStrings:Redis", redis.Configuration), ("Codo:Tasks:LogRetentionDays", "36500")];
        await using var host = await TestHost.Start(postgres, null, settings);
        await Connected(redis);
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Configuration);
        string[] messages =
        [
            "no JSON at all",
            """{"log_key": "77_1_2_10.0.0.9", "exec_time": 1700000000123, "result": "from the original"}""",
            """{"log_key": "77_1_2_10.0.0.9", "exec_time": 1700000000456, "result": "half a pair \ud83d and nul \u0000 and \ud83d\ude00"}""",
            """{"log_key": "77_1_2_10.0.0.9", "exec_time": "1700000000789", "result": 5}""",
            """{"log_key": "no such form", "exec_time": 1e300, "result": "odd"}""",
        ];
        await using var database = await host.Source.OpenConnectionAsync();
        for (var expected = 0; expected < messages.Length; expected++) await Deliver(messages[expected], expected);
        var stored = await Stored();
        stored[0].ShouldBe(("77_1_2_10.0.0.9", 77L, 2, "from the original"));
        stored[1].Text.ShouldBe("half a pair \uFFFD and nul ␀ and 😀");
        stored[2].Text.ShouldBe("5");
        stored[3].ShouldBe(("no such form", 0L, 0, "odd"));

        // What nobody hears is lost: a host that a busy machine kept from its turn for some seconds, or whose connection Redis gave up, hears it once more.
        async Task Deliver(string message, int lines)
        {
            var sent = 0L;
            await Eventually.True(
                async () =>
                {
                    if (sent == 0 || Stopwatch.GetElapsedTime(sent) > TimeSpan.FromSeconds(15))
                    {
                        if (await connection.GetSubscriber().PublishAsync(RedisChannel.Literal("task_log"), message) == 0) return false;
                        sent = Stopwatch.GetTimestamp();
                    }
                    return (await Stored()).Count == lines;
                },
                $"{lines} lines, the last of {message}"
            );
        }

        async Task<List<(string Key, long List, int Level, string Text)>> Stored() =>
            (
                await database.QueryAsync<(string, long, int, string)>(
                    "SELECT log_key, list_id, task_level, log_info FROM tasks.scheduler_task_log ORDER BY line"
                )
            )
                .Distinct()
                .ToList();
    }

    [Theory]
    [InlineData("", 23, 23)]
    [InlineData("", 25, 0)]
    [InlineData("", -24 * 400, -24 * 400)]
    [InlineData(", \"sched_id\": 1, \"attempt\": 1, \"line\": 1", 25, 25)]
    public void A_time_that_another_publisher_cannot_have_is_that_of_arrival(string numbers, int hours, int taken)
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 3, 10, 12, 0, 0, TimeSpan.Zero));
        var sent = time.GetUtcNow().AddHours(hours).ToUnixTimeMilliseconds();
        var message = $"{{\"log_key\": \"5_1_1_h\", \"exec_time\": {sent}, \"result\": \"x\"{numbers}}}";
        TaskLogMessage.Parse(Encoding.UTF8.GetBytes(message), time)!.Time.ShouldBe(time.GetUtcNow().UtcDateTime.AddHours(taken));
    }

    [Fact]
    public async Task Takes_whatever_a_command_can_print()
    {
        await using var host = await TestHost.Start(postgres);
        var place = LogSteps.Place();
        await using var output = host.Open(place);
        await output.Print("nul \0, emoji 😀, CRLF\r\nprogress 1\rprogress 2\r\n\nafter an empty line\n");
        await output.Append(new byte[] { (byte)'b', 0xFF, 0xC3, (byte)'\n' });
        foreach (var part in "split 中\n"u8.ToArray()) await output.Append(new[] { part });
        await output.Print(new string('x', 3 << 19) + "\n");
        await output.Print("no newline at the end");
        await output.Complete();

        var stored = await host.Source.Stored(place);
        stored.Take(7).ShouldBe(["nul ␀, emoji 😀, CRLF", "progress 1", "progress 2", "", "after an empty line", "b\uFFFD\uFFFD", "split 中"]);
        stored[7].Length.ShouldBe(1 << 20);
        stored[8].Length.ShouldBe(1 << 19);
        stored[9].ShouldBe("no newline at the end");
        await using var connection = await host.Source.OpenConnectionAsync();
        (await connection.QueryAsync<long>("SELECT line FROM tasks.scheduler_task_log WHERE sched_id = @SchedId AND continues", place)).ShouldBe([8L]);
    }

    [Fact]
    public async Task Keeps_up_with_a_hundred_thousand_and_a_million_lines()
    {
        await using var redis = await TestRedis.StartNew();
        await using var host = await TestHost.Start(postgres, null, ("ConnectionStrings:Redis", redis.Configuration));
        await Connected(redis);
        foreach (var count in new[] { 100_000, 1_000_000 })
        {
            var place = LogSteps.Place();
            await using var output = host.Open(place);
            await output.PrintLines(1, count);
            await output.Complete();
            await using var connection = await host.Source.OpenConnectionAsync();
            (
                await connection.QuerySingleAsync<(long, long, long)>(
                    "SELECT count(*), max(line), count(*) FILTER (WHERE log_info <> 'line ' || line) FROM tasks.scheduler_task_log WHERE sched_id = @SchedId",
                    place
                )
            ).ShouldBe((count, count, 0L));
        }
    }

    [Fact]
    public async Task Keeps_the_lines_of_a_step_that_runs_over_midnight_in_their_order()
    {
        await using var host = await TestHost.Start(postgres);
        var midnight = new DateTimeOffset(DateTime.UtcNow.Date.AddDays(1), TimeSpan.Zero);
        var time = new FakeTimeProvider(midnight.AddMilliseconds(-1));
        using var logs = ActivatorUtilities.CreateInstance<StepLogs>(host.Services, time);
        var place = LogSteps.Place();
        await using var output = logs.Open(place, []);
        await output.PrintLines(1, 10);
        time.Advance(TimeSpan.FromMilliseconds(2));
        await output.PrintLines(11, 10);
        await output.Complete();

        await using var connection = await host.Source.OpenConnectionAsync();
        (
            await connection.QueryAsync<string>(
                "SELECT DISTINCT CAST(tableoid AS regclass)::text FROM tasks.log_line WHERE sched_id = @SchedId ORDER BY 1",
                place
            )
        ).ShouldBe([$"tasks.log_line_{midnight.AddDays(-1):yyyyMMdd}", $"tasks.log_line_{midnight:yyyyMMdd}"]);
        (await host.Get($"/v2/task/log/?log_key={place.LogKey}"))["data"]!
            .AsArray()
            .Select(row => row!["log_info"]!.GetValue<string>())
            .ShouldBe(LogSteps.Lines(20));
    }

    [Fact]
    public async Task Shows_no_secret_anywhere()
    {
        await using var redis = await TestRedis.StartNew();
        await using var host = await TestHost.Start(postgres, null, ("ConnectionStrings:Redis", redis.Configuration));
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Configuration);
        var queue = await connection.GetSubscriber().SubscribeAsync(RedisChannel.Literal("task_log"));
        var place = LogSteps.Place();
        await using var output = host.Open(place, "hunter2hunter2");
        await output.Print("[CMD]: login hunter2hunter2\nhunter2hun");
        await output.Print("ter2 http://x/?p=hunter2hunter2\n");
        await output.Complete();
        (await host.Source.Stored(place)).ShouldBe(["[CMD]: login ******", "****** http://x/?p=******"]);
        for (var line = 0; line < 2; line++) ((string)(await queue.ReadAsync(TestContext.Current.CancellationToken)).Message!).ShouldNotContain("hunter2");
    }

    // Publishing before the host has connected would prove nothing.
    private static async Task Connected(TestRedis redis)
    {
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Configuration + ",allowAdmin=true");
        await Eventually.True(
            async () =>
                (await connection.GetServer("127.0.0.1", redis.Port).ClientListAsync()).Any(client => client.Name == "codo" && client.SubscriptionCount > 0),
            "the host listens"
        );
    }
}
