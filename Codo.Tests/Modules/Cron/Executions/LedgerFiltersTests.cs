using System.Text.Json.Nodes;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Cron.Executions;

/// <summary>Its rows have fixed dates, which the retention must not reach.</summary>
public sealed class LedgerFiltersHost(TestPostgres postgres) : HostFixture(postgres, ("Codo:Cron:LogRetentionDays", "36500"));

/// <summary>What went wrong last night, in one request.</summary>
public sealed class LedgerFiltersTests(LedgerFiltersHost fixture) : IClassFixture<LedgerFiltersHost>, IAsyncLifetime
{
    private const string Statuses = "queued | running | success | faild | timeout | killed | interrupted | skipped | missed";
    private readonly TestHost host = fixture.Host;

    public async ValueTask InitializeAsync()
    {
        if (await host.Count("SELECT count(*) FROM cron.job WHERE job_id = 'f-db'") > 0)
            return;
        await host.Make(
            new
            {
                job_id = "f-db",
                cmd = "dump --all",
                cron = CronClient.Never,
                tags = new[] { "night", "db" },
                owners = new[] { "ann" },
                description = "Nightly dump",
            }
        );
        await host.Make(
            new
            {
                job_id = "f-web",
                cmd = "curl 100%_sure",
                cron = CronClient.Never,
                tags = new[] { "night" },
                owners = new[] { "ben" },
            }
        );
        await host.Make(
            new
            {
                job_id = "f-none",
                cmd = "true",
                cron = CronClient.Never,
            }
        );
        await host.Patch("/v1/cron/job/", new { job_id = "f-none" });
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("""
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, ended_at, task_cmd, task_log, cause_en)
            SELECT j.id, v.job_id, 'schedule', 'schedule', at, at, v.status, at, at + interval '1.5 seconds', 'x', v.log, v.cause
            FROM (VALUES ('f-db', 'success', '2026-10-01 01:00:00+08'::timestamptz, 'Disk fine', ''), ('f-db', 'faild', '2026-10-02 01:00:00+08',
                'No space left on 50%_disk', ''),
                         ('f-web', 'timeout', '2026-10-02 02:00:00+08', 'slow', ''), ('f-web', 'missed', '2026-10-02 03:00:00+08', '', 'Noticed too late'),
                         ('f-web', 'skipped', '2026-10-02 04:00:00+08', '', 'The job is paused'), ('f-gone', 'killed', '2026-10-02 05:00:00+08', 'gone', ''))
                AS v(job_id, status, at, log, cause)
            LEFT JOIN cron.job j ON j.job_id = v.job_id WHERE j.id IS NOT NULL OR v.job_id = 'f-gone'
            """.Replace("SELECT j.id,", "SELECT coalesce(j.id, 0),", StringComparison.Ordinal));
    }

    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    [Theory]
    [InlineData("job_id=f-db", "faild,success")]
    [InlineData("status=faild", "faild")]
    [InlineData("status=faild,timeout", "timeout,faild")]
    [InlineData("failed=true", "killed,missed,timeout,faild")]
    [InlineData("failed=false", "killed,skipped,missed,timeout,faild,success")]
    [InlineData("failed=true&status=missed,skipped", "missed")]
    [InlineData("tag=night", "skipped,missed,timeout,faild,success")]
    [InlineData("tag=db&failed=1", "faild")]
    [InlineData("owner=ben&status=timeout", "timeout")]
    [InlineData("owner=admin", "")]
    [InlineData("job_id=f-db&key=status&value=success", "success")]
    [InlineData("key=status&value=faild,timeout", "timeout,faild")]
    [InlineData("key=job_id&value=f-db&job_id=f-web", "")]
    [InlineData("q=no space", "faild")]
    [InlineData("q=50%_d", "faild")]
    [InlineData("q=5__disk", "")]
    [InlineData("q=too late&tag=night", "missed")]
    [InlineData("q=i", "skipped,missed,faild,success")]
    [InlineData("q=i&limit=1&page=2", "missed", 4)]
    [InlineData("q=i&limit=1&page=9", "", 4)]
    [InlineData("limit=2&page=2&failed=true", "timeout,faild", 4)]
    public async Task All_conditions_must_hold(string query, string statuses, int? count = null)
    {
        // On a busy machine a text may not be looked for to the end in its time.
        var answer = await Eventually.Get(
            async () => (JsonObject?)await host.Get("/v1/cron/log/?start_date=2026-10-01&end_date=2026-10-03&" + query),
            got => (bool?)got["partial"] != true,
            "it is searched to the end"
        );
        answer.Code().ShouldBe(0, answer.ToJsonString());
        string.Join(',', answer["data"]!.AsArray().Select(row => (string)row!["status"]!)).ShouldBe(statuses);
        ((int)answer["count"]!, (bool)answer["partial"]!).ShouldBe((count ?? statuses.Split(',', StringSplitOptions.RemoveEmptyEntries).Length, false));
    }

    [Theory]
    [InlineData("status=failed")]
    [InlineData("status=success,done")]
    [InlineData("key=status&value=failed")]
    public async Task A_word_that_is_no_status_is_refused_with_the_words_that_are(string query)
    {
        var answer = await host.Get("/v1/cron/log/?" + query);
        (answer.Code(), answer.Msg().Contains(Statuses, StringComparison.Ordinal)).ShouldBe((-1, true), answer.ToJsonString());
    }

    [Fact]
    public async Task A_text_is_found_in_output_that_is_longer_than_lists_show_and_while_a_command_runs()
    {
        await host.Make(new { job_id = "f-long", cmd = "seq 1 20000; echo needle-at-the-end; seq 1 20000", cron = CronClient.Never });
        await host.Make(new { job_id = "f-runs", cmd = "echo needle-in-the-run; sleep 600", cron = CronClient.Never });
        await host.Ended(await host.RunNow("f-long"));
        var running = await host.RunNow("f-runs");
        foreach (var (text, job) in new[] { ("needle-at-the-END", "f-long"), ("needle-in-the-run", "f-runs") })
            await Eventually.True(
                async () => (await host.Get($"/v1/cron/log/?q={text}"))["data"]!.AsArray().Select(row => (string)row!["job_id"]!).SequenceEqual([job]),
                text
            );
        (await host.Post("/v1/cron/job/kill/", new { log_id = running })).Code().ShouldBe(0);
    }

    [Theory]
    [InlineData("status=1", "f-none")]
    [InlineData("status=0", "f-db,f-web")]
    [InlineData("status=0,1", "f-db,f-web,f-none")]
    [InlineData("status=faild", "f-db")]
    [InlineData("status=skipped,faild", "f-db,f-web")]
    [InlineData("status=1,faild", "")]
    [InlineData("tag=night", "f-db,f-web")]
    [InlineData("tag=nigh", "")]
    [InlineData("owner=ann", "f-db")]
    [InlineData("owner=admin", "f-none")]
    [InlineData("q=NIGHTLY", "f-db")]
    [InlineData("q=100%_s", "f-web")]
    [InlineData("q=f-&tag=db", "f-db")]
    [InlineData("job_id=f-db&tag=none", "")]
    public async Task The_job_list_is_filtered_by_status_tag_owner_and_text(string query, string jobs)
    {
        var answer = await host.Get("/v1/cron/job/?limit=100&" + query);
        answer.Code().ShouldBe(0, answer.ToJsonString());
        var ids = answer["data"]!.AsArray().Select(job => (string)job!["job_id"]!).Where(id => id is "f-db" or "f-web" or "f-none").ToList();
        string.Join(',', ids).ShouldBe(jobs);
    }

    [Fact]
    public async Task The_job_list_tells_how_each_job_ran_last()
    {
        var jobs = (await host.Get("/v1/cron/job/?limit=100&q=f-"))["data"]!.AsArray().ToDictionary(job => (string)job!["job_id"]!, job => job!.AsObject());
        ((string)jobs["f-db"]["last_status"]!, (string)jobs["f-db"]["last_exec_time"]!, (double)jobs["f-db"]["last_seconds"]!).ShouldBe(
            ("faild", "2026-10-02 01:00:00", 1.5)
        );
        ((string)jobs["f-web"]["last_status"]!, jobs["f-web"]["last_seconds"]).ShouldBe(("skipped", null));
        (jobs["f-none"]["last_status"], jobs["f-none"]["last_exec_time"]).ShouldBe(((JsonNode?)null, (JsonNode?)null));
        var wrong = await host.Get("/v1/cron/job/?status=paused");
        (wrong.Code(), wrong.Msg().Contains("0 | 1 | broken | queued", StringComparison.Ordinal)).ShouldBe((-1, true));
    }
}
