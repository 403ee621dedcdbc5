using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Logs;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Tests.Modules.Tasks.Logs;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using StackExchange.Redis;

namespace Codo.Tests.Faults;

/// <summary>Output under real faults: whatever goes away while a step prints, every line that was read is in the table, once, in order.</summary>
public sealed class LogFaultsTests(TestPostgres postgres) : IDisposable
{
    private const int Lines = 10_000;

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-faults-");

    public void Dispose() => folder.Delete(recursive: true);

    [Theory]
    [InlineData(RedisKind.Server)]
    [InlineData(RedisKind.Embedded)]
    public async Task A_Redis_that_is_away_for_five_seconds_and_comes_back_empty_costs_no_line(string kind)
    {
        await using var redis = await RedisKind.Start(kind);
        await using var host = await TestHost.Start(postgres, null, ("ConnectionStrings:Redis", redis.Configuration));
        await Subscribed(host);
        var place = LogSteps.Place();
        await using var output = host.Open(place);
        await PrintFor(output, TimeSpan.FromSeconds(6), at: [(0.1, redis.Stop), (0.93, redis.StartEmpty)]);
        await output.Complete();
        (await host.Source.Stored(place)).ShouldBeLines(Lines);

        // And the subscription is there again, by itself.
        await using var publisher = await ConnectionMultiplexer.ConnectAsync(redis.Configuration);
        await Eventually.True(
            async () =>
            {
                await publisher
                    .GetSubscriber()
                    .PublishAsync(RedisChannel.Literal("task_log"), """{"log_key": "5_1_1_h", "exec_time": 1700000000000, "result": "foreign"}""");
                await using var connection = await host.Source.OpenConnectionAsync();
                return await connection.ExecuteScalarAsync<bool>("SELECT EXISTS (SELECT FROM tasks.scheduler_task_log WHERE log_key = '5_1_1_h')");
            },
            "the subscriber hears again"
        );
    }

    [Fact]
    public async Task A_failover_by_Sentinel_costs_no_line_and_the_new_primary_carries_the_next()
    {
        await using var primary = await TestRedis.StartNew();
        await using var replica = await TestRedis.StartNew(primary);
        await using var sentinel = new TestSentinel(primary);
        // The host is there before any sentinel.
        await using var host = await TestHost.Start(postgres, null, ("ConnectionStrings:Redis", sentinel.Configuration));
        (await RedisHealth(host)).ShouldBe("Degraded");
        await using var promoted = await ConnectionMultiplexer.ConnectAsync(replica.Configuration + ",allowAdmin=true");
        var server = promoted.GetServer("127.0.0.1", replica.Port);
        await Eventually.True(async () => (await server.InfoRawAsync("replication"))!.Contains("master_link_status:up"), "the replica follows", seconds: 60);
        await sentinel.Start();
        await Eventually.True(() => host.Services.GetRequiredService<Subscriber>().Subscribed, "the host listens to Redis", seconds: 60);
        (await RedisHealth(host)).ShouldBe("Healthy");

        var place = LogSteps.Place();
        await using var output = host.Open(place);
        await PrintFor(output, TimeSpan.FromSeconds(3), at: [(0.2, primary.Kill)]);
        await output.Complete();
        (await host.Source.Stored(place)).ShouldBeLines(Lines);

        // Both ways: what the host publishes goes over the new primary, and what is published there reaches the table.
        await Eventually.True(async () => !(await server.RoleAsync()).Value.Contains("slave"), "the replica is promoted", seconds: 60);
        var heard = await promoted.GetSubscriber().SubscribeAsync(RedisChannel.Literal("task_log"));
        await using var after = host.Open(LogSteps.Place());
        await Eventually.True(
            async () =>
            {
                await after.PrintLines(1, 1);
                return heard.TryRead(out _);
            },
            "a line comes over the new primary",
            seconds: 60
        );
        await Eventually.True(
            async () =>
            {
                await promoted
                    .GetSubscriber()
                    .PublishAsync(RedisChannel.Literal("task_log"), """{"log_key": "6_1_1_h", "exec_time": 1700000000000, "result": "foreign"}""");
                return await host.Count("SELECT count(*) FROM tasks.scheduler_task_log WHERE log_key = '6_1_1_h'") > 0;
            },
            "the subscriber hears the new primary",
            seconds: 60
        );
    }

    [Fact]
    public async Task A_database_that_restarts_costs_no_line()
    {
        await using var own = await TestPostgres.StartNew();
        await using var redis = await TestRedis.StartNew();
        await using var host = await TestHost.Start(own, null, ("ConnectionStrings:Redis", redis.Configuration));
        await Subscribed(host);
        var place = LogSteps.Place();
        await using var output = host.Open(place);
        await PrintFor(output, TimeSpan.FromSeconds(2), at: [(0.2, own.Stop), (0.8, own.Start)]);
        await output.Complete();
        (await host.Source.Stored(place)).ShouldBeLines(Lines);
    }

    [Fact]
    public async Task Lines_of_other_publishers_that_a_host_has_taken_are_written_before_it_ends()
    {
        const int taken = 500;
        var cancellation = TestContext.Current.CancellationToken;
        await using var redis = await TestRedis.StartNew();
        var host = await TestHost.Start(postgres, null, ("ConnectionStrings:Redis", redis.Configuration));
        await host.FirstRounds("log partitions");
        await Subscribed(host);
        var subscriber = host.Services.GetRequiredService<Subscriber>();
        // Over the host's own connection, after the host's own queue: what comes here it has taken.
        var client = await host.Services.GetRequiredService<RedisClient>().Get(TimeSpan.FromSeconds(60), cancellation);
        var heard = await client.GetSubscriber().SubscribeAsync(RedisChannel.Literal("task_log"));
        await using var source = NpgsqlDataSource.Create(host.Postgres);
        await using var holder = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await holder.BeginTransactionAsync(cancellation);
        await holder.ExecuteAsync("LOCK TABLE tasks.log_line IN EXCLUSIVE MODE", transaction: transaction);
        await using var publisher = await ConnectionMultiplexer.ConnectAsync(redis.Configuration);
        for (var line = 0; line < taken; line++)
            await publisher.GetSubscriber().PublishAsync(RedisChannel.Literal("task_log"), $$"""{"log_key": "8_1_1_h", "result": "line {{line}}"}""");
        for (var line = 0; line < taken; line++) await heard.ReadAsync(cancellation);

        var stopping = host.DisposeAsync().AsTask();
        await Eventually.True(() => !subscriber.Subscribed, "the host listens no more");
        await transaction.RollbackAsync(cancellation);
        await stopping;
        (await holder.ExecuteScalarAsync<long>("SELECT count(DISTINCT log_info) FROM tasks.log_line WHERE log_key = '8_1_1_h'")).ShouldBe(taken);
        (await holder.ExecuteScalarAsync<long>("SELECT count(*) FROM tasks.log_line WHERE log_key = '8_1_1_h'")).ShouldBe(taken);
    }

    [Fact]
    public async Task A_step_that_ends_while_the_database_is_away_is_caught_up_with_later()
    {
        await using var own = await TestPostgres.StartNew();
        await using var host = await TestHost.Start(own);
        var place = LogSteps.Place();
        await using var output = host.Open(place);
        await own.Stop();
        await output.PrintLines(1, Lines);
        await output.Complete();
        var steps = host.Services.GetRequiredService<StepLogs>();
        steps.IsCatchingUp(place.LogKey).ShouldBeTrue();
        await own.Start();
        await Eventually.True(() => !steps.IsCatchingUp(place.LogKey), "the log has caught up");
        (await host.Source.Stored(place)).ShouldBeLines(Lines);
        await Eventually.True(() => host.Services.GetRequiredService<SpoolFolder>().Left().Count == 0, "the spool is gone");
    }

    [Fact]
    public async Task A_host_that_is_killed_in_mid_stream_loses_no_line_and_its_turn_goes_to_another()
    {
        await using var redis = await TestRedis.StartNew();
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using var source = NpgsqlDataSource.Create(database);
        var killed = await StartProcess(database, redis);
        var schedId = await Endless(killed, source);
        await using (var other = await TestHost.Start(postgres, database, ("ConnectionStrings:Redis", redis.Configuration)))
        {
            other.Services.GetRequiredService<Subscriber>().Subscribed.ShouldBeFalse("the first host has the turn");
            var place = LogSteps.Place();
            await using var output = other.Open(place);
            await PrintFor(output, TimeSpan.FromSeconds(3), at: [(0.5, killed.Kill)]);
            await Eventually.True(() => other.Services.GetRequiredService<Subscriber>().Subscribed, "the other host takes over");
            await output.Complete();
            (await source.Stored(place)).ShouldBeLines(Lines);
        }

        var read = LinesInSpool();
        read.ShouldBeGreaterThan(100);
        await killed.DisposeAsync();
        await using var again = await StartProcess(database, redis);
        var ran = new OutputPlace(0, 0, 0, "", schedId, 1);
        var stored = await Eventually.Get(async () => await source.Stored(ran), lines => lines.Count >= read, "what was read is stored");
        stored[0].ShouldStartWith("[CMD]: ");
        stored.Skip(1).SequenceEqual(LogSteps.Lines(stored.Count - 1)).ShouldBeTrue("a line is missing, twice there or out of order");
    }

    [Fact]
    public async Task A_host_that_is_killed_together_with_its_embedded_Redis_loses_no_line_that_was_read()
    {
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using var source = NpgsqlDataSource.Create(database);
        var killed = await StartProcess(database, null);
        var schedId = await Endless(killed, source);
        await killed.Kill();
        var read = LinesInSpool();
        read.ShouldBeGreaterThan(100);
        await killed.DisposeAsync();
        await using var again = await StartProcess(database, null);
        var ran = new OutputPlace(0, 0, 0, "", schedId, 1);
        var stored = await Eventually.Get(async () => await source.Stored(ran), lines => lines.Count >= read, "what was read is stored");
        stored.Skip(1).SequenceEqual(LogSteps.Lines(stored.Count - 1)).ShouldBeTrue("a line is missing, twice there or out of order");
    }

    [Fact]
    public async Task A_host_that_is_killed_while_it_seals_a_day_loses_and_doubles_no_line()
    {
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using var source = NpgsqlDataSource.Create(database);
        var day = DateTime.UtcNow.Date.AddDays(-2);
        await Partitions.Ensure(source, "tasks.log_line", PartitionSpan.Day, day, ahead: 0);
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            """
            INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time)
            SELECT s || '_1_1_h', s, 1, s, 1, n, n % 1000 = 0, 'line ' || n, CAST(@day AS timestamptz) + n * interval '1 millisecond'
            FROM generate_series(1, 12) s, generate_series(1, 10000) n
            """,
            new { day }
        );
        var whole = await Sum();
        // A line of the last batch is held: the host cannot be done before it is killed.
        await using var holder = await source.OpenConnectionAsync();
        await using var holding = await holder.BeginTransactionAsync();
        (
            await holder.QueryAsync<int>(
                $"SELECT 1 FROM tasks.log_line_{day:yyyyMMdd} WHERE sched_id = 12 AND line = 10000 FOR UPDATE",
                transaction: holding
            )
        ).ShouldHaveSingleItem();
        var killed = await StartProcess(database, null);
        await Eventually.True(async () => await Count("tasks.sealed_log") > 0, "it seals");
        await killed.Kill();
        (await Sum()).ShouldBe(whole);
        (await Count("tasks.log_line")).ShouldBeGreaterThan(0, "it was cut short");
        // A session of it that waits for the line would go on with it, and hold the lock of those that seal meanwhile.
        int[] own = [connection.ProcessID, holder.ProcessID];
        await Eventually.True(
            () => connection.ExecuteScalarAsync<bool>(
                """
                SELECT count(pg_terminate_backend(pid)) = 0 FROM pg_stat_activity
                WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> ALL (@own)
                """,
                new { own }
            ),
            "its sessions are over"
        );
        await holding.RollbackAsync();
        await killed.DisposeAsync();
        await using var again = await StartProcess(database, null);
        await Eventually.True(async () => await Count("tasks.log_line") == 0, "all of it is sealed", 60);
        (await Sum()).ShouldBe(whole);

        Task<long> Count(string table) => connection.ExecuteScalarAsync<long>($"SELECT count(*) FROM {table}");

        Task<(long, decimal)> Sum() =>
            connection.QuerySingleAsync<(long, decimal)>("SELECT count(*), sum(hashtextextended(CAST(l AS text), 0)) FROM tasks.scheduler_task_log l");
    }

    [Fact]
    public async Task A_host_starts_while_somebody_reads_the_lines_for_long_and_makes_the_missing_day_afterwards()
    {
        await using var host = await TestHost.Start(postgres);
        await host.FirstRounds("log partitions");
        var day = $"tasks.log_line_{DateTime.UtcNow.AddDays(3):yyyyMMdd}";
        await using var reader = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await reader.ExecuteAsync($"DROP TABLE {day}");
        var transaction = await reader.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await reader.ExecuteAsync("SELECT count(*) FROM tasks.log_line", transaction: transaction);
        await using var again = await host.Again();
        (await IsMade()).ShouldBeFalse();
        await transaction.DisposeAsync();
        await Eventually.True(IsMade, "the day is made once nobody holds the table");

        Task<bool> IsMade() => host.Ask<bool>("SELECT to_regclass(@day) IS NOT NULL", new { day });
    }

    private static async Task<string> RedisHealth(TestHost host)
    {
        var report = await host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync(check => check.Name == "redis");
        return report.Status.ToString();
    }

    private static Task Subscribed(TestHost host) =>
        Eventually.True(() => host.Services.GetRequiredService<Subscriber>().Subscribed, "the host listens to Redis");

    /// <summary>Prints all lines evenly over a time, and does something to the world at the given parts of it.</summary>
    private static async Task PrintFor(StepOutput output, TimeSpan time, (double Part, Func<Task> Do)[] at)
    {
        const int Pieces = 100;
        var next = new Queue<(double Part, Func<Task> Do)>(at);
        var doing = Task.CompletedTask;
        using var timer = new PeriodicTimer(time / Pieces);
        for (var piece = 0; piece < Pieces; piece++)
        {
            // One after the other: a start that overtakes its stop is undone by it.
            if (next.TryPeek(out var due) && piece >= due.Part * Pieces) doing = Then(doing, next.Dequeue().Do);
            await output.PrintLines((piece * (Lines / Pieces)) + 1, Lines / Pieces);
            await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
        }

        await doing;

        static async Task Then(Task before, Func<Task> act)
        {
            await before;
            await act();
        }
    }

    /// <summary>Starts the host's binary on the database.</summary>
    /// <param name="redis">Null for the one inside the process.</param>
    private Task<HostProcess> StartProcess(string database, TestRedis? redis) => HostProcess.Start(
        Path.Combine(folder.FullName, "killed"),
        environment:
        [
            ("ConnectionStrings__Postgres", database), ("ConnectionStrings__Redis", redis?.Configuration ?? ""), ("Codo__Auth__TokenSecret", TestTokens.Secret),
            ("Codo__MasterKey", "a-master-key-for-tests-of-more-than-32-bytes"), ("Codo__NodeName", "killed"), ("Codo__TimeZone", "Asia/Shanghai"),
        ]);

    /// <summary>An order whose step prints without an end; answers the step once its lines come.</summary>
    private static async Task<long> Endless(HostProcess host, NpgsqlDataSource source)
    {
        await Send(host, HttpMethod.Post, "/v2/task_layout/temp/", new { temp_name = "endless" });
        await using var connection = await source.OpenConnectionAsync();
        var template = await connection.ExecuteScalarAsync<long>("SELECT max(temp_id) FROM tasks.scheduler_temp_list");
        var step = OrderHost.Step("i=0; while :; do i=$((i+1)); echo line $i; test $((i % 50)) = 0 && sleep 0.02; done");
        await Send(host, HttpMethod.Put, "/v2/task_layout/details/", new JsonObject { ["temp_id"] = template, ["new_temp_data"] = new JsonArray(step) });
        await Send(
            host,
            HttpMethod.Post,
            "/v2/task/accept/",
            new
            {
                task_name = "endless",
                temp_id = template,
                hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
                schedule = "ready",
            }
        );
        return await Eventually.Get<long>(
            async () => await connection.ExecuteScalarAsync<long>("SELECT COALESCE(max(sched_id), 0) FROM tasks.scheduler_task_log WHERE line = 100"),
            id => id > 0,
            "its lines come"
        );
    }

    private static async Task Send(HostProcess host, HttpMethod method, string path, object body)
    {
        using var http = new HttpClient { BaseAddress = host.Address };
        using var request = new HttpRequestMessage(method, path) { Content = JsonContent.Create(body) };
        request.Headers.Add("auth-key", TestTokens.Admin);
        using var response = await http.SendAsync(request);
        var answer = await response.Content.ReadFromJsonAsync<JsonObject>();
        ((int)answer!["code"]!).ShouldBe(0, answer.ToJsonString());
    }

    private long LinesInSpool()
    {
        var copy = Directory.CreateTempSubdirectory("codo-faults-");
        var target = Directory.CreateDirectory(Path.Combine(copy.FullName, "spool", "logs"));
        foreach (var file in Directory.EnumerateFiles(Path.Combine(folder.FullName, "killed", "spool", "logs")))
            File.Copy(file, Path.Combine(target.FullName, Path.GetFileName(file)));
        var node = new NodeSettings { DataDirectory = copy.FullName, MinFreeDisk = 0 };
        var spools = new SpoolFolder(node, new LogSettings(), new Disk(node), TimeProvider.System, NullLogger<SpoolFolder>.Instance);
        var lines = Spool.Reopen(spools, spools.Left().Single())!.Lines;
        copy.Delete(recursive: true);
        return lines;
    }
}
