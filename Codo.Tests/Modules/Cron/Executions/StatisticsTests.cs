using System.Globalization;
using System.Text.Json.Nodes;
using Codo.Modules.Cron.Executions;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Npgsql;

namespace Codo.Tests.Modules.Cron.Executions;

public sealed class StatisticsTests(TestPostgres postgres)
{
    [Fact]
    public void A_percentile_of_a_histogram_is_right_to_ten_percent()
    {
        var counts = new int[80];
        foreach (var milliseconds in Enumerable.Range(1, 10_000)) counts[(int)Math.Ceiling(4 * Math.Log2(milliseconds))]++;
        Histogram.Percentile(counts, 0.5)!.Value.ShouldBe(5, 0.5);
        Histogram.Percentile(counts, 0.95)!.Value.ShouldBe(9.5, 0.95);
        Histogram.Percentile(new int[10], 0.5).ShouldBeNull();
    }

    [Fact]
    public async Task What_ends_is_added_up_by_day_and_job_and_once()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(
            new
            {
                job_id = "counted",
                cmd = "test -e /nowhere",
                cron = CronClient.Never,
            }
        );
        await host.Make(new { job_id = "other", cmd = "true", cron = CronClient.Never });
        foreach (var job in new[] { "counted", "other", "counted" }) await host.Ended(await host.RunNow(job));
        await using var connection = await host.Source.OpenConnectionAsync();
        // A stretch that grows counts its due times as they come.
        await connection.ExecuteAsync("""
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, times, status, exec_time, task_cmd)
            SELECT id, job_id, 'schedule', 'schedule', now(), now(), 2, 'skipped', now(), 'x' FROM cron.job WHERE job_id = 'other';
            UPDATE cron.cron_log SET times = 5, nominal_until = now() WHERE status = 'skipped'
            """);
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM cron.summary_delta") == 0, "all is added up");
        var answer = await host.Get("/v2/stats/");
        answer.Code().ShouldBe(0, answer.ToJsonString());
        var days = answer["days"]!.AsArray();
        Sums(days, "runs", "failed", "success", "skipped").ShouldBe([3, 2, 1, 5]);
        var jobs = answer["jobs"]!.AsArray();
        jobs.Select(job => (string)job!["job_id"]!).ShouldBe(["counted", "other"]);
        ((double)jobs[0]!["duration_p50"]!).ShouldBeGreaterThan(0);
        Sums((await host.Get("/v2/stats/?job_id=other"))["days"]!.AsArray(), "runs", "skipped").ShouldBe([1, 5]);
        (await host.Get("/v2/stats/?from=2020-01-01&to=2020-02-01"))["days"]!.AsArray().ShouldBeEmpty();
        (await host.Get("/v2/stats/?from=yesterday")).Code().ShouldBe(-1);
        (await host.Get("/v2/stats/orders/")).Code().ShouldBe(0);
        // A job has a row a day; of all of them, and of orders, not any number of days is read.
        (await host.Get("/v2/stats/?from=2000-01-01&job_id=other")).Code().ShouldBe(0);
        var refused = await host.Send(HttpMethod.Get, "/v2/stats/?from=2000-01-01", language: "en");
        (refused.Code(), refused.Msg()).ShouldBe((-1, "Without job_id at most 400 days are answered"));
        // Both ends count.
        (await host.Get("/v2/stats/?from=2024-01-01&to=2025-02-03")).Code().ShouldBe(0);
        (await host.Get("/v2/stats/?from=2024-01-01&to=2025-02-04")).Code().ShouldBe(-1);
        refused = await host.Send(HttpMethod.Get, "/v2/stats/orders/?from=2000-01-01", language: "en");
        (refused.Code(), refused.Msg()).ShouldBe((-1, "At most 100 days are answered"));
        (await host.Get("/v2/stats/orders/?from=2024-01-01&to=2024-04-09")).Code().ShouldBe(0);
        (await host.Get("/v2/stats/orders/?from=2024-01-01&to=2024-04-10")).Code().ShouldBe(-1);
        // What lies ahead has no orders: it is not counted.
        var yesterday = DateTime.UtcNow.AddDays(-1).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
        (await host.Get($"/v2/stats/orders/?from={yesterday}&to=2999-12-31")).Code().ShouldBe(0);

        // The list knows the newest row at once, added up or not.
        var listed = (await host.Get("/v1/cron/job/?job_id=other"))["data"]![0]!;
        ((string)listed["last_status"]!).ShouldBe("skipped");
    }

    [Fact]
    public async Task Of_many_jobs_that_are_not_all_the_days_are_added_up_without_their_durations()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Auth:DefaultRole", "viewer"));
        (await host.Post("/v2/accounts/space/", new { name = "hidden" })).Code().ShouldBe(0);
        await host.Make(new { job_id = "hidden", cmd = "true", cron = CronClient.Never, space = "hidden" });
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("""
            INSERT INTO cron.job (job_id, cmd, cron, time_zone, creator_id, creator, updater_id, updater, accounted_to, next_run_at)
            SELECT 'seen-' || n, 'true', '0 0 0 29 2 *', 'UTC', 1, 'x', 1, 'x', clock_timestamp() + interval '1 year', clock_timestamp() + interval '1 year'
            FROM generate_series(1, 300) n;
            INSERT INTO cron.job_day (day, job, job_id, success, durations)
            SELECT CAST(clock_timestamp() AT TIME ZONE 'Asia/Shanghai' AS date) - n, j.id, j.job_id, 1, '{0,1}'
            FROM cron.job j, generate_series(1, 5) n
            """);
        var viewer = TestTokens.For(8, "rita");
        var days = (await host.Get("/v2/stats/?limit=2", viewer))["days"]!.AsArray();
        Sums(days, "runs").ShouldBe([5 * 300]);
        WithDurations(days).ShouldBe(0);
        // Of few they are; and each job's own are.
        await connection.ExecuteAsync("DELETE FROM cron.job WHERE job_id LIKE 'seen-1%'");
        var few = await host.Get("/v2/stats/?limit=2", viewer);
        WithDurations(few["days"]!.AsArray()).ShouldBe(5);
        WithDurations(few["jobs"]!.AsArray()).ShouldBe(2);

        static int WithDurations(JsonArray some) => some.Count(one => one!["duration_p50"] is not null);
    }

    [Fact]
    public async Task The_last_day_of_all_jobs_is_read_once_in_ten_seconds_and_that_of_one_each_time()
    {
        await using var host = await TestHost.Start(postgres);
        var time = new FakeTimeProvider();
        host.Services.GetRequiredService<LastDayCache>().Time = time;
        await host.Make(new { job_id = "by hour", cmd = "true", cron = CronClient.Never });
        (await Failed("")).ShouldBe(0);
        await host.Ask<int>("""
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd)
            SELECT id, job_id, 'manual', 'manual', now(), now(), 'faild', now(), cmd FROM cron.job WHERE job_id = 'by hour' RETURNING 1
            """);
        (await Failed("&job_id=by%20hour")).ShouldBe(1);
        (await Failed("")).ShouldBe(0);
        time.Advance(LastDayCache.Longest);
        (await Failed("")).ShouldBe(1);

        async Task<long> Failed(string filter) => Sums((await host.Get("/v2/stats/?by=hour" + filter))["hours"]!.AsArray(), "failed")[0];
    }

    [Fact]
    public async Task What_is_killed_while_it_waits_has_no_duration()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "busy", cmd = "exec sleep 1000", cron = CronClient.Never, overlap = "queue" });
        var running = await host.RunNow("busy");
        await host.Running(running);
        await Kill(await host.RunNow("busy"));
        (await host.Count("SELECT sum(killed) FROM cron.job_day WHERE job <> 0")).ShouldBe(1);
        (await Durations()).ShouldBe(0);
        var listed = (await host.Get("/v1/cron/job/?job_id=busy"))["data"]![0]!;
        ((string)listed["last_status"]!).ShouldBe("killed");
        listed["last_seconds"].ShouldBeNull();
        await Kill(running);
        (await host.Count("SELECT sum(killed) FROM cron.job_day WHERE job <> 0")).ShouldBe(2);
        (await Durations()).ShouldBe(1);

        async Task Kill(long logId)
        {
            (await host.Post("/v1/cron/job/kill/", new { log_id = logId })).Code().ShouldBe(0);
            (await host.Ended(logId)).Status().ShouldBe("killed");
            await Eventually.True(async () => await host.Count("SELECT count(*) FROM cron.summary_delta") == 0, "all is added up");
        }

        Task<long> Durations() => host.Count("SELECT coalesce(sum(n), 0) FROM cron.job_day, unnest(durations) n WHERE job <> 0");
    }

    [Fact]
    public async Task The_map_of_a_year_counts_the_days_on_which_a_job_ran()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "mapped", cmd = "true", cron = CronClient.Never });
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("""
            INSERT INTO cron.job_day (day, job, job_id, success, skipped)
            SELECT current_date - n, j.id, j.job_id, CASE n WHEN 3 THEN 1 ELSE 0 END, 2 FROM cron.job j, generate_series(3, 5) n
            """);
        using var request = TestHost.Request(HttpMethod.Get, "/jobs/mapped", null, TestTokens.Admin);
        request.Headers.AcceptLanguage.ParseAdd("en");
        using var response = await host.Http.SendAsync(request);
        (await response.Content.ReadAsStringAsync()).ShouldContain("it ran on 1 days, on 0 of them something went wrong");
    }

    [Fact]
    public async Task What_had_ended_before_an_upgrade_is_added_up_in_the_background()
    {
        await using var host = await TestHost.Start(postgres);
        await using var connection = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        await connection.OpenAsync();
        // Due together once, half a day ahead.
        var cron = $"0 0 {DateTime.UtcNow.AddHours(12).Hour} * * *";
        foreach (var number in new[] { 0, 1, 2 }) await host.Make(new { job_id = $"job {number}", cmd = "true", cron, time_zone = "UTC" });
        await connection.ExecuteAsync("""
            ALTER TABLE cron.cron_log DISABLE TRIGGER USER;
            INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, ended_at, task_cmd)
            SELECT j.id, j.job_id, 'schedule', 'schedule', t, t, CASE WHEN n % 10 = 0 THEN 'faild' ELSE 'success' END, t,
                t + interval '90 seconds', 'x'
            FROM (SELECT n, now() - interval '3 minutes' - n * interval '2 hours' AS t FROM generate_series(1, 60) n) r
            JOIN cron.job j ON j.job_id = 'job ' || n % 3;
            ALTER TABLE cron.cron_log ENABLE TRIGGER USER;
            INSERT INTO cron.summary_rebuild SELECT min(exec_time), max(exec_time) + interval '1 microsecond', clock_timestamp() FROM cron.cron_log;
            """);
        await Eventually.True(
            async () =>
            {
                await host.Services.GetRequiredService<Summaries>().Round(CancellationToken.None);
                return await host.Count("SELECT count(*) FROM cron.summary_rebuild") == 0;
            },
            "all days are added up"
        );
        (await host.Count("SELECT sum(success) FROM cron.job_day WHERE job = 0")).ShouldBe(54);
        (await host.Count("SELECT sum(faild) FROM cron.job_day WHERE job <> 0")).ShouldBe(6);
        (await host.Count("SELECT count(*) FROM cron.job_last")).ShouldBe(3);
        ((double)(await host.Get("/v2/stats/"))["days"]![0]!["duration_p50"]!).ShouldBe(90, 9);

        // The forecast knows from it that the runs go on for another minute.
        await Eventually.True(
            async () =>
            {
                await host.Services.GetRequiredService<Summaries>().Round(CancellationToken.None);
                return await host.Count("SELECT count(usual_p50) FROM cron.job_last") == 3;
            },
            "the usual durations are kept"
        );
        var slots = (await host.Get("/v1/cron/forecast/"))["slots"]!.AsArray();
        slots.Where(slot => (long)slot!["parallel_p50"]! > 0).Select(slot => ((long)slot!["fires"]!, (long)slot["parallel_p95"]!)).ShouldBe([(3, 3), (0, 3)]);
    }

    [Fact]
    public async Task A_job_list_is_answered_from_memory_until_anything_changes_on_any_node()
    {
        await using var host = await TestHost.Start(postgres);
        await using var other = await host.Again();
        await host.Make(new { job_id = "listed", cmd = "true", cron = CronClient.Never });
        await using var connection = await host.Source.OpenConnectionAsync();
        foreach (var round in Enumerable.Range(1, 20))
        {
            var name = $"round {round}";
            (await other.Put("/v1/cron/job/", new { job_id = "listed", description = name })).Code().ShouldBe(0);
            ((string)(await host.Get("/v1/cron/job/"))["data"]![0]!["description"]!).ShouldBe(name);
            ((string)(await other.Get("/v1/cron/job/"))["data"]![0]!["description"]!).ShouldBe(name);
        }
        // While a change is under way the list is not kept: its commit would not be noticed.
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            await connection.ExecuteAsync("UPDATE cron.job SET description = 'late'", transaction: transaction);
            ((string)(await host.Get("/v1/cron/job/"))["data"]![0]!["description"]!).ShouldBe("round 20");
            await transaction.CommitAsync();
        }
        ((string)(await host.Get("/v1/cron/job/"))["data"]![0]!["description"]!).ShouldBe("late");
        await host.Ended(await host.RunNow("listed"));
        ((string)(await host.Get("/v1/cron/job/"))["data"]![0]!["last_status"]!).ShouldBe("success");

        var tag = "";
        await Eventually.True(
            async () =>
            {
                using var first = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, TestTokens.Admin));
                tag = first.Headers.ETag?.ToString() ?? "";
                return tag.Length > 0;
            },
            "the list is kept"
        );
        using var again = TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, TestTokens.Admin);
        again.Headers.IfNoneMatch.ParseAdd(tag);
        using var answer = await host.Http.SendAsync(again);
        ((int)answer.StatusCode, await answer.Content.ReadAsStringAsync()).ShouldBe((304, ""));
    }

    private static List<long> Sums(JsonArray days, params string[] fields) => [.. fields.Select(field => days.Sum(day => (long)day![field]!))];
}
