using System.Net;
using System.Text.Json.Nodes;
using Codo.Modules.Cron.Executions;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Platform.Data;

/// <summary>Each list at its edges: empty, one page, past the end, and while rows arrive between two pages.</summary>
public sealed class ListEdgesTests(TestPostgres postgres)
{
    private const string Ledger = """
        INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, ended_at, task_cmd)
        SELECT 1, 'edge', 'manual', 'manual', t, t, 'success', t, t, 'true' FROM (SELECT clock_timestamp() - (@Count - n) * interval '1 microsecond' AS t
            FROM generate_series(1, @Count) n) r
        """;

    private const string Open = """
        INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before)
        SELECT 'edge', 'edge', '{}', '{}', 'v', 'new', 1, t, t FROM (SELECT clock_timestamp() - (@Count - n) * interval '1 microsecond' AS t
            FROM generate_series(1, @Count) n) r
        """;

    private const string Ended = """
        INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before, ended_at)
        SELECT 'edge', 'edge', '{}', '{}', 'v', 'OK', 1, now(), now(), now() FROM generate_series(1, @Count) n
        """;

    private const string Incidents = """
        INSERT INTO alerts.task_monitor (call_info, ctime, source, kind, subject, fingerprint, state, last_time, title_zh, title_en, ending, resolved_at)
        SELECT 'v', now(), 'job', 'failed', 'edge', gen_random_uuid(), 'resolved', now(), 'v', 'v', 'recovered', now() FROM generate_series(1, @Count) n
        """;

    private const string Deliveries = """
        INSERT INTO alerts.delivery (channel_id, channel_name, reason, state, due_at, create_time, ended_at)
        SELECT 1, 'v', 'digest', 'sent', now(), now(), now() FROM generate_series(1, @Count) n
        """;

    private const string Silences = """
        INSERT INTO alerts.silence (starts_at, ends_at, reason, creator_id, creator)
        SELECT now(), now() + n * interval '1 second', 'v', 1, 'v' FROM generate_series(1, @Count) n
        """;

    private const string Letters = """
        INSERT INTO platform.outbox (stream, kind, attempts, dead_at, cause) SELECT 'edge:' || n, 'edge', 20, now(), 'v' FROM generate_series(1, @Count) n
        """;

    public static TheoryData<string, string, string> Lists => new()
    {
        { "/v1/cron/log/?", "log_id", Ledger },
        { "/v1/cron/log/?job_id=edge&", "log_id", Ledger },
        { "/v1/cron/log/?status=success,faild&", "log_id", Ledger },
        { "/v2/task/list/?", "list_id", Open },
        { "/v2/task/check_history/?", "list_id", Ended },
        { "/v2/task/check_history/?search_val=edg&", "list_id", Ended },
        { "/v2/alerts/incident/?", "id", Incidents },
        { "/v2/alerts/incident/?kind=failed&", "id", Incidents },
        { "/v2/alerts/delivery/?", "delivery_id", Deliveries },
        { "/v2/alerts/delivery/?state=sent&", "delivery_id", Deliveries },
    };

    [Fact]
    public async Task Rows_that_arrive_between_two_pages_are_neither_lost_nor_shown_twice()
    {
        await using var host = await TestHost.Start(postgres);
        await using var connection = await host.Source.OpenConnectionAsync();
        foreach (var (path, id, insert) in Lists.Select(row => row.Data))
        {
            await connection.ExecuteAsync("TRUNCATE cron.cron_log, alerts.delivery, alerts.task_monitor; DELETE FROM tasks.scheduler_task_list");
            Task<JsonObject> Page(int page) => host.Get($"{path}limit=4&page={page}");
            var (empty, far) = (await Page(1), await Page(3));
            (empty["data"]!.AsArray().Count, (long)empty["count"]!, far["data"]!.AsArray().Count, (long)far["count"]!).ShouldBe((0, 0L, 0, 0L), path);

            await connection.ExecuteAsync(insert, new { Count = 3 });
            var one = await Page(1);
            (one["data"]!.AsArray().Count, (long)one["count"]!, (await Page(2))["data"]!.AsArray().Count).ShouldBe((3, 3L, 0), path);

            await connection.ExecuteAsync(insert, new { Count = 7 });
            var before = await Ids(connection, path);
            var shown = Rows(await Page(1));
            await connection.ExecuteAsync(insert, new { Count = 2 });
            var second = await Page(2);
            ((long)second["count"]!, (bool)second["count_is_estimate"]!).ShouldBe((12L, false), path);
            shown.AddRange(Rows(second));
            await connection.ExecuteAsync(insert, new { Count = 1 });
            shown.AddRange(Rows(await Page(3)));
            shown.ShouldBe(before, path);
            // From the newest on again, those that came are there.
            Rows(await Page(1)).Intersect(before).Count().ShouldBe(1, path);
        }

        List<long> Rows(JsonObject answer) =>
            answer["data"]!
                .AsArray()
                .Select(row => (long)(row!["log_id"] ?? row["list_id"] ?? row["delivery_id"] ?? row["id"])!)
                .ToList();
        static async Task<List<long>> Ids(System.Data.Common.DbConnection connection, string path) =>
            (
                await connection.QueryAsync<long>(
                    path.Contains("cron", StringComparison.Ordinal) ? "SELECT log_id FROM cron.cron_log ORDER BY exec_time DESC, log_id DESC"
                    : path.Contains("delivery", StringComparison.Ordinal) ? "SELECT delivery_id FROM alerts.delivery ORDER BY 1 DESC"
                    : path.Contains("incident", StringComparison.Ordinal) ? "SELECT id FROM alerts.task_monitor ORDER BY 1 DESC"
                    : path.Contains("history", StringComparison.Ordinal) ? "SELECT list_id FROM tasks.scheduler_task_list ORDER BY 1 DESC"
                    : "SELECT list_id FROM tasks.scheduler_task_list ORDER BY start_time DESC, list_id DESC"
                )
            ).AsList();
    }

    [Theory]
    [InlineData("/v2/alerts/silence/", Silences, "alerts.silence")]
    [InlineData("/v2/alerts/delivery/", Deliveries, "alerts.delivery")]
    [InlineData("/v2/outbox/", Letters, "platform.outbox")]
    public async Task A_list_without_a_bound_counts_ten_thousand_rows_at_most(string path, string insert, string table)
    {
        await using var host = await TestHost.Start(postgres);
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(insert, new { Count = 10_000 });
        var exact = await host.Get(path + "?limit=1");
        ((long)exact["count"]!, (bool)exact["count_is_estimate"]!).ShouldBe((10_000L, false));
        await connection.ExecuteAsync(insert, new { Count = 10_000 });
        await connection.ExecuteAsync("ANALYZE " + table);
        var estimate = await host.Get(path + "?limit=1");
        ((bool)estimate["count_is_estimate"]!).ShouldBeTrue();
        ((long)estimate["count"]!).ShouldBeInRange(18_000, 22_000);
    }

    [Fact]
    public async Task A_count_is_exact_up_to_ten_thousand_and_an_estimate_beyond()
    {
        await using var host = await TestHost.Start(postgres);
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(Ledger, new { Count = 10_000 });
        var exact = await host.Get("/v1/cron/log/?limit=1");
        ((long)exact["count"]!, (bool)exact["count_is_estimate"]!).ShouldBe((10_000L, false));
        await connection.ExecuteAsync(Ledger, new { Count = 10_000 });
        await connection.ExecuteAsync("ANALYZE cron.cron_log");
        foreach (var filter in new[] { "", "&status=success", "&job_id=edge" })
        {
            var estimate = await host.Get($"/v1/cron/log/?limit=1{filter}");
            ((bool)estimate["count_is_estimate"]!).ShouldBeTrue(filter);
            ((long)estimate["count"]!).ShouldBeInRange(18_000, 22_000, filter);
        }
        await connection.ExecuteAsync(Incidents, new { Count = 10_001 });
        WebUtility.HtmlDecode((await host.Page("/incidents?state=all", TestTokens.Admin, "en")).Html).ShouldMatch("≈ [0-9]{5,} incidents");
        // A page far away, found by the rows of each hour.
        await connection.ExecuteAsync("UPDATE cron.cron_log SET exec_time = exec_time - interval '3 days' WHERE log_id <= 10000");
        await Eventually.True(
            async () =>
            {
                await connection.ExecuteAsync("DELETE FROM cron.ledger_hour");
                await host.Services.GetRequiredService<Summaries>().Round(CancellationToken.None);
                return await host.Count("SELECT coalesce(sum(rows), 0) FROM cron.ledger_hour") >= 10_000;
            },
            "hours are counted"
        );
        var far = await host.Get("/v1/cron/log/?limit=10&page=1501");
        var expected = await connection.QueryAsync<long>("SELECT log_id FROM cron.cron_log ORDER BY exec_time DESC, log_id DESC OFFSET 15000 LIMIT 10");
        far["data"]!.AsArray().Select(row => (long)row!["log_id"]!).ShouldBe(expected);
        (await host.Get("/v1/cron/log/?limit=10&page=3000"))["data"]!.AsArray().ShouldBeEmpty();
    }
}
