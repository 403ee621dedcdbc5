using System.Text.Json.Nodes;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Processes;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Cron.Executions;

public sealed class UsageHost(TestPostgres postgres) : HostFixture(postgres);

/// <summary>What runs use: counted by the kernel at the end, and looked at while they run.</summary>
public sealed class UsageTests(UsageHost fixture) : IClassFixture<UsageHost>, IDisposable
{
    private readonly TestHost host = fixture.Host;

    // Not under /tmp, which may lie in memory.
    private readonly DirectoryInfo folder = Directory.CreateDirectory(Path.Combine(AppContext.BaseDirectory, $"usage-{Guid.NewGuid():N}"));

    private static readonly string Python = File.Exists("/usr/bin/python3") ? "python3" : "perl";

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task A_run_that_has_ended_tells_what_its_whole_tree_used()
    {
        const string Count = @"i=0; while [ \$i -lt 300000 ]; do i=\$((i+1)); done";
        // Some tenths of a second of processor in a grandchild, 5 MB in a child, both waited for; the file is written through, so that a busy disk does not
        // matter. The work is counted: a time limit would give a busy machine less of it.
        var file = Path.Combine(folder.FullName, "five");
        await host.Make(
            new
            {
                job_id = "works",
                cmd = $"sh -c '(sh -c \"{Count}\"); true'; head -c 5000000 /dev/zero > {file}; true",
                cron = CronClient.Never,
            }
        );
        await host.Make(new { job_id = "short", cmd = "sleep 0.02", cron = CronClient.Never });
        await host.Make(new { job_id = "again", cmd = "exit 3", cron = CronClient.Never, retries = 1, retry_delay = 1 });
        long[] ids = [await host.RunNow("works"), await host.RunNow("short"), await host.RunNow("again")];

        var works = (await host.Ended(ids[0]))["usage"]!;
        Number(works, "cpu_seconds").ShouldBeInRange(0.05, 30);
        if (new DriveInfo(folder.FullName).DriveFormat is not ("tmpfs" or "overlay"))
            Number(works, "written_bytes").ShouldBeInRange(5_000_000, 7_000_000);
        ((string)works["source"]!).ShouldBeOneOf(RunUsage.FromExit, RunUsage.Both);

        var log = await host.Ended(ids[1]);
        var brief = log["usage"]!;
        Number(brief, "cpu_seconds").ShouldBeInRange(0, 0.5);
        Number(brief, "read_bytes").ShouldBeGreaterThanOrEqualTo(0);
        // The kernel says the host's own peak of it, and that is not shown.
        if (brief["peak_memory_bytes"] is { } peak) peak.GetValue<long>().ShouldBeLessThan(50 << 20);
        JsonNode.DeepEquals(log["attempts"]![0]!["usage"], brief).ShouldBeTrue();

        var twice = await host.Ended(ids[2]);
        twice["attempts"]!.AsArray().Count.ShouldBe(2);
        Number(twice["usage"]!, "cpu_seconds").ShouldBe(twice["attempts"]!.AsArray().Sum(attempt => Number(attempt!["usage"]!, "cpu_seconds")), 0.0001);

        var ended = await Usage(ids[1]);
        JsonNode.DeepEquals(ended["usage"], brief).ShouldBeTrue(ended["usage"]!.ToJsonString());
        ended["processes"]!.AsArray().ShouldBeEmpty();
        ended["outlook"].ShouldBeNull();
        (await host.Get("/v1/cron/log/usage/")).Code().ShouldBe(-1);
        (await host.Get("/v1/cron/log/usage/?log_id=999999")).Code().ShouldBe(-1);
        (await host.Get($"/v1/cron/log/usage/?log_id={ids[1]}&attempt=2")).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task A_run_under_way_shows_its_tree_with_secrets_masked_its_memory_and_how_long_it_is_likely_to_go_on()
    {
        var (secret, go) = ($"geheim-{Guid.NewGuid():N}", Path.Combine(folder.FullName, "go"));
        var waits = $"while ! test -e {go}; do sleep 0.05; done";
        // A child with 50 MB, a grandchild with the secret as an argument, and one in a session of its own.
        await host.Make(
            new
            {
                job_id = "tree",
                cmd = $"{Fifty} & held=$!; sh -c 'sh -c \"{waits}\" child $DB_PASSWORD; true' & setsid sh -c '{waits}' & {waits}; kill $held; wait",
                cron = CronClient.Never,
                env = new { DB_PASSWORD = secret },
            }
        );
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("""
            INSERT INTO cron.job_day (day, job, job_id, success, durations)
            SELECT CURRENT_DATE, id, job_id, 10, array_fill(0, ARRAY[60]) || ARRAY[10] FROM cron.job WHERE job_id = 'tree'
            """);
        var id = await host.RunNow("tree");
        var live = await Eventually.Get<JsonObject>(
            async () => await Usage(id),
            answer => Number(answer, "memory_bytes") > 50 << 20 && answer["processes"]!.AsArray().Count(one => Command(one).Contains("test -e")) >= 4,
            "the tree is there"
        );
        var processes = live["processes"]!.AsArray();
        live.ToJsonString().ShouldNotContain(secret);
        processes.ShouldContain(one => Command(one).Contains("child ******"));
        var root = processes.Single(one => processes.All(other => (int)other!["pid"]! != (int)one!["parent"]!))!;
        ((string)root["user"]!).ShouldNotBeEmpty();
        ((string)root["state"]!).ShouldBeOneOf("running", "sleeping");
        Number(live["usage"]!, "peak_memory_bytes").ShouldBeGreaterThan(50 << 20);
        ((string)live["usage"]!["source"]!).ShouldBe(RunUsage.Sampled);
        ((string)live["outlook"]!).ShouldBe("usual");
        Number(live, "expected_seconds").ShouldBe(30, 4);
        Number(live, "remaining_seconds").ShouldBeLessThan(Number(live, "expected_seconds"));
        var page = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, $"/runs/{id}", null, TestTokens.Admin));
        var html = await page.Content.ReadAsStringAsync();
        html.ShouldContain("child ******");
        html.ShouldNotContain(secret);

        await File.WriteAllTextAsync(go, "");
        var log = await host.Ended(id);
        Number(log["usage"]!, "peak_memory_bytes").ShouldBeGreaterThan(50 << 20);
        ((string)log["usage"]!["source"]!).ShouldBe(RunUsage.Both);
        (await host.Ask<long>("SELECT count(*) FROM cron.live_usage WHERE log_id = @id", new { id })).ShouldBe(0);
    }

    [Fact]
    public async Task A_run_of_another_node_shows_what_that_node_stored_and_a_row_without_figures_shows_none()
    {
        await host.Make(new { job_id = "afar", cmd = "true", cron = CronClient.Never });
        await using var connection = await host.Source.OpenConnectionAsync();
        var id = await connection.ExecuteScalarAsync<long>("""
            WITH l AS (INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd)
                SELECT id, job_id, 'manual', 'manual', now(), now(), 'running', now(), 'true' FROM cron.job WHERE job_id = 'afar' RETURNING log_id, nominal_at)
            INSERT INTO cron.attempt (log_id, nominal_at, attempt, trigger, run_id, node, incarnation, started_at)
            SELECT log_id, nominal_at, 1, 'manual', 'r', 'node-b', 1, now() FROM l RETURNING log_id
            """);
        var before = await Usage(id);
        before["usage"].ShouldBeNull();
        ((string)before["note"]!).ShouldContain("node-b");
        ((string)before["outlook"]!).ShouldBe("unknown");
        await connection.ExecuteAsync(
            """
            INSERT INTO cron.live_usage (log_id, attempt, node, incarnation, at, cpu_ms, peak_memory_bytes, sample) VALUES (@id, 1, 'node-b', 1, now(), 1500, 7,
                '{"cores": 0.5, "memory_bytes": 6, "count": 1, "history": [{"seconds": 2, "cores": 1, "memory_bytes": 7}], "processes": [{"pid": 5, "parent": 4,
                "command": "far away", "user": "u", "state": "running", "cpu_seconds": 1, "memory_bytes": 6, "since": "2026-01-01T00:00:00Z"}]}')
            """,
            new { id }
        );
        var stored = await Usage(id);
        Number(stored["usage"]!, "cpu_seconds").ShouldBe(1.5);
        stored["usage"]!["read_bytes"].ShouldBeNull();
        Command(stored["processes"]![0]).ShouldBe("far away");
        stored["history"]!.AsArray().Count.ShouldBe(1);
        await connection.ExecuteAsync("UPDATE cron.live_usage SET sample = '[]' WHERE log_id = @id", new { id });
        (await Usage(id))["processes"]!.AsArray().ShouldBeEmpty();
        (await host.Log(id))["usage"].ShouldBeNull();

        // The node dies: what it had stored is kept, and no more than that.
        await connection.ExecuteAsync(
            """
            INSERT INTO cron.active_execution (log_id, nominal_at, job, job_id, state, not_before, exclusive, node, incarnation)
            SELECT log_id, nominal_at, job, job_id, 'running', now(), true, 'node-b', 1 FROM cron.cron_log WHERE log_id = @id
            """,
            new { id }
        );
        await host.Services.GetRequiredService<Recovery>().Recover("node-b", 1, TestContext.Current.CancellationToken);
        var lost = await host.Log(id);
        lost.Status().ShouldBe("interrupted");
        Number(lost["usage"]!, "cpu_seconds").ShouldBe(1.5);
        lost["usage"]!["written_bytes"].ShouldBeNull();
        ((string)lost["usage"]!["source"]!).ShouldBe(RunUsage.Sampled);
        (await host.Count("SELECT count(*) FROM cron.live_usage")).ShouldBe(0);
    }

    // 50 MB that are touched, held for a minute at most.
    private static string Fifty =>
        Python == "python3"
            ? "python3 -c 'import time; held = bytearray(b\"x\") * (50 << 20); time.sleep(60)'"
            : "perl -e '$held = \"x\" x (50 << 20); sleep 60'";

    private Task<JsonObject> Usage(long id) => host.Get($"/v1/cron/log/usage/?log_id={id}");

    private static double Number(JsonNode from, string name) => from[name] is { } number ? number.GetValue<double>() : -1;

    private static string Command(JsonNode? process) => (string)process!["command"]!;
}
