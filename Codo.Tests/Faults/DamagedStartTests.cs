using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Logs;
using Codo.Platform.Cluster;
using Codo.Tests.Modules.Tasks.Logs;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Codo.Tests.Faults;

/// <summary>
/// What a power loss, an upgrade of the machine's zone data or a wrong clock leaves behind does not keep a host from starting, and a wrong clock decides
/// nothing.
/// </summary>
public sealed class DamagedStartTests(TestPostgres postgres) : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-damaged-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task Spools_that_a_power_loss_has_damaged_are_set_aside_and_the_start_goes_on()
    {
        var data = Path.Combine(folder.FullName, "one");
        var (cron, logs) = (Path.Combine(data, "spool", "cron"), Path.Combine(data, "spool", "logs"));
        Directory.CreateDirectory(cron);
        Directory.CreateDirectory(logs);
        byte[][] damaged =
        [
            [],
            new byte[64],
            "{}"u8.ToArray(),
            "null"u8.ToArray(),
            "{\"Claimed\":{}"u8.ToArray(),
            [0xff, 0xfe, 0x00],
            [4, 0, 0, 0, (byte)'{', (byte)'}', 0, 0],
            new byte[4096],
        ];
        for (var i = 0; i < damaged.Length; i++)
        {
            await File.WriteAllBytesAsync(Path.Combine(cron, $"{i}-1.json"), damaged[i]);
            await File.WriteAllBytesAsync(Path.Combine(logs, $"{i}-1-abcdef01.log"), damaged[i]);
        }
        var database = await Database();
        await Execute(database, "INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version) VALUES ('one', 1, 'm', 'b', 1, '0')");
        await using var host = await HostProcess.Start(data, environment: Settings("one", database));
        Directory.GetFiles(cron).ShouldBeEmpty();
        Directory.GetFiles(logs).ShouldBeEmpty();
        Directory.GetFiles(Path.Combine(data, "spool", "bad")).Length.ShouldBe(2 * damaged.Length);
        host.Output.ShouldContain("set aside");
        (await Send(host, "/healthz/ready"))["checks"]!["loops"]!["status"]!.GetValue<string>().ShouldBe("healthy");
    }

    // What an earlier process has set aside it may not have said.
    [Theory]
    [InlineData("logs", false)]
    [InlineData("bad", false)]
    [InlineData("logs", true)]
    public async Task The_log_of_an_attempt_whose_spool_does_not_read_says_so_at_its_end(string at, bool reads)
    {
        var database = await Database();
        var (order, first, _) = await Ran(database);
        if (reads) LeaveDamaged(new OutputPlace(order, 1, 1, "127.0.0.1", first, 1));
        else await DamageLog(first, at);
        await using var host = await TestHost.Start(postgres, database, ("Codo:DataDirectory", folder.FullName), ("Codo:NodeName", "one"));
        await Eventually.True(() => host.Ask<bool>("SELECT log_whole FROM tasks.attempt WHERE sched_id = @first", new { first }), "its log is whole");
        var lines = (await host.Get($"/v2/task/log/?log_key={order}_1_1_127.0.0.1"))["data"]!.AsArray().Select(row => (string)row!["log_info"]!).ToList();
        lines.Count.ShouldBe(4);
        lines[1..3].ShouldBe(["one", "two"]);
        lines[3].ShouldContain("A spool file is damaged: output in it that had not been stored is lost");
        Directory.GetFiles(Path.Combine(folder.FullName, "spool", "logs")).ShouldBeEmpty();
    }

    [Fact]
    public async Task Damaged_spools_that_cannot_be_set_aside_stop_no_others_and_their_logs_are_not_called_whole()
    {
        var database = await Database();
        var (_, first, second) = await Ran(database);
        await DamageLog(0);
        await DamageLog(first);
        var cron = Directory.CreateDirectory(Path.Combine(folder.FullName, "spool", "cron")).FullName;
        await File.WriteAllBytesAsync(Path.Combine(cron, "1-1.json"), new byte[64]);
        await File.WriteAllTextAsync(Path.Combine(folder.FullName, "spool", "bad"), "no folder");
        var place = LogSteps.Place();
        LeaveSpool(place, 3);

        await using var host = await TestHost.Start(postgres, database, ("Codo:DataDirectory", folder.FullName), ("Codo:NodeName", "one"));
        (await host.Post("/v1/cron/job/", new { job_id = "tick", cmd = "true", cron = "* * * * * *" }))["code"]!.GetValue<int>().ShouldBe(0);
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM cron.cron_log WHERE status = 'success'") > 0, "the job fires");
        await Eventually.True(async () => (await host.Source.Stored(place)).Count == 3, "the lines of the good spool arrive");
        await Eventually.True(() => host.Ask<bool>("SELECT log_whole FROM tasks.attempt WHERE sched_id = @second", new { second }), "another log is whole");
        (await host.Ask<bool>("SELECT log_whole FROM tasks.attempt WHERE sched_id = @first", new { first })).ShouldBeFalse();
    }

    [Fact]
    public async Task The_zone_that_codo_stored_may_vanish_and_the_host_goes_on_at_its_last_offset()
    {
        var database = await Database();
        await Execute(
            database,
            ("INSERT INTO platform.setting VALUES ('time_zone', 'Mars/Olympus'), ('time_zone_offset', '08:00:00') ON CONFLICT (key) DO UPDATE SET value = "
                + "excluded.value")
        );
        await using var host = await HostProcess.Start(Path.Combine(folder.FullName, "one"), environment: Settings("one", database));
        var zone = (await Send(host, "/healthz/ready"))["checks"]!["time_zone"]!;
        zone["status"]!.GetValue<string>().ShouldBe("degraded");
        zone["detail"]!.GetValue<string>().ShouldSatisfyAllConditions(text => text.ShouldContain("Mars/Olympus"), text => text.ShouldContain("UTC+08:00"));
        await Send(host, "/v1/cron/job/", new { job_id = "tick", cmd = "true", cron = "* * * * * *" });
        var job = (await Send(host, "/v1/cron/job/?job_id=tick"))["data"]![0]!;
        job["next_run_time"]!.GetValue<string>().ShouldEndWith("+08:00");
        // What is shown can be saved as it is, made anew and asked about.
        var zoned = (string)job["time_zone"]!;
        zoned.ShouldBe("UTC+08:00");
        (await Send(host, "/v1/cron/job/", new { job_id = "tick", time_zone = zoned }, HttpMethod.Put))["code"]!.GetValue<int>().ShouldBe(0);
        (
            await Send(host, "/v1/cron/job/", new { job_id = "tock", cmd = "true", cron = "0 0 0 29 2 *", time_zone = zoned })
        )["code"]!.GetValue<int>().ShouldBe(0);
        var next = await Send(host, $"/v1/cron/job/next/?cron=0+0+3+*+*+*&time_zone={Uri.EscapeDataString(zoned)}");
        next["data"]![0]!["local"]!.GetValue<string>().ShouldEndWith("03:00:00+08:00");
        (await Send(host, "/v1/cron/forecast/"))["fires"]!.GetValue<long>().ShouldBeGreaterThan(0);
        await Eventually.True(async () => await Ask<long>(database, "SELECT count(*) FROM cron.cron_log WHERE status = 'success'") > 1, "it fires");
    }

    [Fact]
    public async Task No_second_engine_computes_times_across_a_change_of_the_clock()
    {
        // A zone whose winter time is the exception, as Europe/Dublin has it, and whose change lies some seconds ahead.
        var zones = Path.Combine(folder.FullName, "zoneinfo");
        var rules = Path.Combine(folder.FullName, "rules");
        var database = await Database();
        await Run("cp", "-a", "/usr/share/zoneinfo/.", zones);
        // The job has to fire before the change too: it comes after what a start takes on this machine.
        var clock = System.Diagnostics.Stopwatch.StartNew();
        await using (var first = await HostProcess.Start(Path.Combine(folder.FullName, "one"), environment: Settings("one", database)))
            (await first.Stop()).ShouldBe(0);
        var change = DateTimeOffset.UtcNow + (3 * clock.Elapsed) + TimeSpan.FromSeconds(15);
        await File.WriteAllTextAsync(rules, $"""
            Rule Except min 2020 - Jan 1 0:00u 0 STD
            Rule Except {change.Year} only - {change:MMM} {change.Day} {change:HH:mm:ss}u -1:00 EXC
            Zone Test/Exception 2:00 Except %s

            """.Replace("min 2020", "1990 only", StringComparison.Ordinal));
        await Run("/usr/sbin/zic", "-d", zones, rules);
        await using var host = await HostProcess.Start(Path.Combine(folder.FullName, "one"), environment: [.. Settings("one", database), ("TZDIR", zones)]);
        (
            await Send(
                host,
                "/v1/cron/job/",
                new
                {
                    job_id = "across",
                    cmd = "true",
                    cron = "* * * * * *",
                    time_zone = "Test/Exception",
                    overlap = "allow",
                }
            )
        )["code"]!.GetValue<int>().ShouldBe(0);
        await Eventually.True(
            async () =>
                await Ask<bool>(
                    database,
                    $"SELECT count(*) >= 10 FROM cron.cron_log WHERE status = 'success' AND nominal_at > '{change:yyyy-MM-dd HH:mm:ss}+00'"
                ),
            "it fires beyond the change",
            300
        );
        (await Ask<bool>(database, $"SELECT min(nominal_at) < '{change:yyyy-MM-dd HH:mm:ss}+00' FROM cron.cron_log")).ShouldBeTrue("it crossed the change");
        (
            await Ask<long>(
                database,
                ("SELECT count(*) FROM (SELECT nominal_at - lag(nominal_until) OVER (ORDER BY nominal_at) AS step FROM cron.cron_log) s WHERE step <> "
                    + "interval '1 second'")
            )
        ).ShouldBe(0);
        (
            await Ask<string>(database, "SELECT string_agg(value, ',') FROM hangfire.hash WHERE key LIKE 'recurring-job:%' AND field = 'TimeZoneId'")
        ).ShouldStartWith("UTC+0", customMessage: "Hangfire knows an offset and no rules");
        Resident(host.Pid).ShouldBeLessThan(1_000_000, "kB of memory");
    }

    [Fact]
    public async Task A_node_whose_clock_is_400_days_ahead_starts_nothing_and_drops_nothing()
    {
        var database = await Database();
        await using var right = await HostProcess.Start(Path.Combine(folder.FullName, "right"), environment: Settings("right", database));
        await Execute(database, """
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd) SELECT 1, 'history', 'schedule',
                'schedule', at, at, 'success', at, 'true' FROM generate_series(now() - interval '20 days', now(), interval '1 day') at
            """
        );
        await Execute(
            database,
            ("INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time) SELECT 'k', 1, 1, "
                + "1, 1, row_number() OVER (), false, 'x', at FROM generate_series(now() - interval '20 days', now(), interval '1 day') at")
        );
        await Send(
            right,
            "/v1/cron/job/",
            new
            {
                job_id = "tick",
                cmd = "true",
                cron = "* * * * * *",
                overlap = "allow",
            }
        );
        await using var wrong = await HostProcess.Start(
            Path.Combine(folder.FullName, "wrong"),
            environment: [.. Settings("wrong", database), ("LD_PRELOAD", FakeTime()), ("FAKETIME", "+400d")]
        );
        var clock = await Eventually.Get(
            async () => (JsonObject?)(await Send(wrong, "/healthz/ready"))["checks"]!["clock"]!.AsObject(),
            row => row["status"]!.GetValue<string>() == "degraded",
            "the node says that its clock is wrong",
            60
        );
        clock["detail"]!.GetValue<string>().ShouldContain("nothing new starts here");
        // Its first rounds of retention and of the clock's watch are over when these loops have succeeded.
        await Eventually.True(
            async () =>
                (await Send(wrong, "/healthz/ready"))["checks"]!["loops"]!["detail"]!.GetValue<string>() is var text
                && Regex.IsMatch(text, "cron partitions [0-9]")
                && Regex.IsMatch(text, "log partitions [0-9]"),
            "its loops ran"
        );
        var fires = await Ask<long>(database, "SELECT count(*) FROM cron.cron_log WHERE job_id = 'tick' AND status = 'success'");
        await Eventually.True(
            async () => await Ask<long>(database, "SELECT count(*) FROM cron.cron_log WHERE job_id = 'tick' AND status = 'success'") > fires + 3,
            "the other node goes on"
        );
        (await Ask<long>(database, "SELECT count(*) FROM cron.cron_log WHERE job_id = 'history'")).ShouldBe(21);
        (await Ask<long>(database, "SELECT count(*) FROM tasks.scheduler_task_log")).ShouldBe(21);
        (await Ask<long>(database, "SELECT count(*) FROM cron.attempt WHERE node = 'wrong'")).ShouldBe(0);
        (await Ask<long>(database, "SELECT count(*) FROM platform.node WHERE name = 'right' AND fenced = incarnation")).ShouldBe(0);
        (await Ask<long>(database, "SELECT count(*) FROM cron.cron_log WHERE nominal_at > now() + interval '1 minute'")).ShouldBe(0);
    }

    [Fact]
    public async Task A_private_PostgreSQL_that_does_not_start_now_ends_the_host_in_a_way_after_which_systemd_starts_it_again()
    {
        using var open = new TestFolder();
        // Where a file of its start has no place, as on a full disk.
        Directory.CreateDirectory(open.At("codo/postgres-hba.conf"));
        var ended = await HostProcess.Run([$"--Codo:DataDirectory={open.At("codo")}", "--urls=http://127.0.0.1:0"]);
        ended.ExitCode.ShouldBe(75, ended.Output + ended.Errors);
        ended.Errors.ShouldContain($"Its log is {open.At("codo")}/postgres.log.");
    }

    /// <summary>An order of two steps whose node has ended, and has not said that it wrote all of their output.</summary>
    private async Task<(long Order, long First, long Second)> Ran(string database)
    {
        long order;
        await using (var host = await TestHost.Start(postgres, database, ("Codo:NodeName", "one")))
        {
            order = await host.Order(await host.Template(OrderHost.Step("echo one; echo two"), OrderHost.Step("echo three", level: 2)));
            await Eventually.True(async () => await host.Count("SELECT count(*) FROM tasks.attempt WHERE log_whole") == 2, "both logs are whole");
        }
        await Execute(database, "UPDATE tasks.attempt SET log_whole = false");
        return (order, await StepOf(1), await StepOf(2));

        Task<long> StepOf(int level) => Ask<long>(database, $"SELECT sched_id FROM tasks.scheduler_task_info WHERE task_level = {level}");
    }

    private Task DamageLog(long schedId, string at = "logs") =>
        File.WriteAllBytesAsync(
            Path.Combine(Directory.CreateDirectory(Path.Combine(folder.FullName, "spool", at)).FullName, $"{schedId}-1-abcdef01.log"),
            new byte[4096]
        );

    private void LeaveSpool(OutputPlace place, int lines)
    {
        var node = new NodeSettings { DataDirectory = folder.FullName, MinFreeDisk = 0 };
        var spool = Spool.Create(new SpoolFolder(node, new LogSettings(), new Disk(node), TimeProvider.System, NullLogger<SpoolFolder>.Instance), place);
        for (var line = 1; line <= lines; line++) spool.Add(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), false, $"line {line}");
        spool.Flush();
        spool.Leave();
    }

    /// <summary>Leaves a spool whose head reads, and no line.</summary>
    private void LeaveDamaged(OutputPlace place)
    {
        LeaveSpool(place, 0);
        using var stream = new FileStream(Directory.GetFiles(Path.Combine(folder.FullName, "spool", "logs")).Single(), FileMode.Append);
        stream.Write(new byte[100]);
    }

    private static string FakeTime() =>
        Directory.GetDirectories("/usr/lib").Select(folder => Path.Combine(folder, "faketime", "libfaketime.so.1")).FirstOrDefault(File.Exists)
        ?? throw new FileNotFoundException("libfaketime.so.1: ./test.sh installs the package faketime.");

    private static long Resident(int pid) =>
        long.Parse(
            File.ReadLines($"/proc/{pid}/status")
                .First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal))
                .Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
            System.Globalization.CultureInfo.InvariantCulture
        );

    private static async Task Run(string program, params string[] arguments)
    {
        using var process = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        process.ExitCode.ShouldBe(0, errors);
    }

    private async Task<string> Database() => await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));

    private static (string, string)[] Settings(string node, string database) =>
        [
            ("ConnectionStrings__Postgres", database),
            ("Codo__Auth__TokenSecret", TestTokens.Secret),
            ("Codo__MasterKey", "a-master-key-for-tests-of-more-than-32-bytes"),
            ("Codo__NodeName", node),
            ("Codo__ShutdownGrace", "0"),
        ];

    private static async Task<JsonObject> Send(HostProcess host, string path, object? body = null, HttpMethod? method = null)
    {
        using var http = new HttpClient { BaseAddress = host.Address };
        using var request = TestHost.Request(
            method ?? (body is null ? HttpMethod.Get : HttpMethod.Post),
            path,
            body is null ? null : System.Text.Json.JsonSerializer.Serialize(body),
            TestTokens.Admin
        );
        using var response = await http.SendAsync(request);
        return JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject();
    }

    private static async Task<T> Ask<T>(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database);
        return await connection.QuerySingleAsync<T>(sql);
    }

    private static async Task Execute(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.ExecuteAsync(sql);
    }
}
