using System.Net;
using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Logs;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Tasks.Logs;

public sealed class SearchLogsTests(TestPostgres postgres)
{
    [Fact]
    public async Task Finds_a_literal_text_in_any_case_newest_first_with_and_without_an_index()
    {
        await using var host = await TestHost.Start(postgres);
        await ReadLogTests.Order(host, 41, creator: 7);
        await using var connection = await host.Source.OpenConnectionAsync();
        var over = await host.MakeDay(2);
        await Day(host, daysAgo: 2, list: 41, host1: "10.0.0.1", "100% Done", "部署完成 OK", "other");
        await Day(host, daysAgo: 0, list: 42, host1: "10.0.0.2", "100x done", "still 100% DONE here", "部署中");
        await ShouldFind(host);
        await host.Sealed($"SELECT count(*) = 1 FROM pg_indexes WHERE indexname = 'sealed_log_{over:yyyyMMdd}_trgm'");
        await ShouldFind(host);

        await Around("100%25%20done&list_id=41", "", "部署完成 OK");
        await Around("other", "100% Done|部署完成 OK", "");
        var alike = (await host.Get("/v2/task/log/search/?q=done"))["groups"]!.AsArray();
        alike.Select(group => $"{group!["log_info"]} {group["count"]} {group["host_count"]}").ShouldContain("100x done 1 1");
        (await host.Get("/v2/task/log/search/?q=x&context=6"))["code"]!.GetValue<int>().ShouldBe(-1);

        async Task Around(string query, string before, string after)
        {
            var line = (await host.Get($"/v2/task/log/search/?context={(after.Length > 0 ? 1 : 5)}&q={query}"))["data"]!.AsArray().Last()!;
            string.Join('|', line["before"]!.AsArray().Select(text => (string)text!)).ShouldBe(before);
            string.Join('|', line["after"]!.AsArray().Select(text => (string)text!)).ShouldBe(after);
        }

        (await Texts(host, "q=done", TestTokens.For(7, "maker"))).ShouldBe(["100% Done"]);
        (await host.Get("/v2/task/log/search/"))["code"]!.GetValue<int>().ShouldBe(-1);
        (await host.Get("/v2/task/log/search/?q=x&from=yesterday"))["code"]!.GetValue<int>().ShouldBe(-1);
    }

    [Fact]
    public async Task Says_that_it_has_not_seen_all_when_the_time_is_over()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Tasks:SearchTime", "10"), ("Codo:Auth:DefaultRole", "none"));
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("""
            INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time)
            SELECT '43_1_1_h', 43, 1, 43, 1, n, false, CASE n WHEN 1 THEN 'the needle' ELSE 'hay' END,
                clock_timestamp() - (200001 - n) * interval '1 microsecond' FROM generate_series(1, 200000) n
            """);
        var answer = await host.Get("/v2/task/log/search/?q=needle");
        answer["partial"]!.GetValue<bool>().ShouldBeTrue();
        answer["data"]!.AsArray().ShouldBeEmpty();
        // In the newest lines a frequent text is found all the same.
        (await host.Get("/v2/task/log/search/?q=hay&limit=5"))["data"]!.AsArray().Count.ShouldBe(5);
        await ShouldShowRunsWhateverBecomesOfOrders(host);
    }

    private static async Task ShouldShowRunsWhateverBecomesOfOrders(TestHost host)
    {
        await host.Make(new { job_id = "sewing", cmd = "for n in 1 2 3; do echo above; echo 'a Needle <b>'; done; exit 3", cron = CronClient.Never });
        await host.RunNow("sewing");
        var run = (
            await Eventually.Get(
                async () => (JsonObject?)await host.Get("/v1/cron/log/search/?q=needle&context=1"),
                got => got["data"]!.AsArray() is [{ } row] && (string)row["status"]! == "faild",
                "the run is found"
            )
        )["data"]![0]!;
        run["line_count"]!.GetValue<int>().ShouldBe(3);
        var line = run["lines"]![1]!;
        ((int)line["line"]!, (string)line["log_info"]!).ShouldBe((4, "a Needle <b>"));
        ((string)line["before"]![0]!, (string)line["after"]![0]!).ShouldBe(("above", "above"));

        // The orders' part ran out of time, and then fails altogether: the runs are there, equal lines together.
        var page = await Page("/search?q=needle&context=1", TestTokens.Admin);
        page.ShouldContain("Time was up before all was looked through");
        page.ShouldContain("a <mark>Needle</mark> &lt;b&gt;");
        page.ShouldContain("3 lines");
        page.ShouldContain("/search?q=needle&amp;in=orders&amp;context=1");
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("ALTER TABLE tasks.log_line RENAME TO out_of_reach");
        page = await Page("/search?q=needle", TestTokens.Admin);
        page.ShouldContain("The search failed here");
        page.ShouldContain("<mark>Needle</mark>");
        (await Page("/search?q=needle&in=runs", TestTokens.Admin)).ShouldNotContain("The search failed here");
        await connection.ExecuteAsync("ALTER TABLE tasks.out_of_reach RENAME TO log_line");

        await ShouldFindAcrossPieces(host);

        // Without any right to jobs there are one's own orders alone.
        page = await Page("/search?q=needle", TestTokens.For(5, "bob"));
        page.ShouldContain("id=\"orders\"");
        page.ShouldNotContain("id=\"runs\"");
        page.ShouldNotContain("<mark>");

        async Task<string> Page(string path, string token)
        {
            while (true)
            {
                using var request = TestHost.Request(HttpMethod.Get, path, null, token);
                request.Headers.Add("Accept", "text/html");
                request.Headers.Add("Accept-Language", "en");
                using var response = await host.Http.SendAsync(request);
                // The connection on which a statement failed may be lost for it, once.
                if (response.StatusCode == HttpStatusCode.ServiceUnavailable) continue;
                ((int)response.StatusCode).ShouldBe(200);
                return await response.Content.ReadAsStringAsync();
            }
        }
    }

    // Output is stored as it comes, in pieces that end anywhere.
    private static async Task ShouldFindAcrossPieces(TestHost host)
    {
        await host.Make(new { job_id = "birds", cmd = "true", cron = CronClient.Never, retries = 1 });
        var logId = await host.RunNow("birds");
        await host.Ended(logId);
        await host.Ask<int>("""
            WITH made AS (INSERT INTO cron.output (log_id, nominal_at, attempt, from_byte, next_byte, text)
                SELECT l.log_id, l.nominal_at, 1, p.from_byte, p.next_byte, p.text FROM cron.cron_log l,
                    (VALUES (0, 18, E'first hay\nthe magp'), (18, 40, E'ie sings\nmagpie again\n')) p (from_byte, next_byte, text)
                WHERE l.log_id = @logId RETURNING 1)
            SELECT CAST(count(*) AS int) FROM made
            """, new { logId });
        foreach (var (sought, count) in new[] { ("the%20magpie", 1), ("magpie", 2) })
        {
            var run = (
                await Eventually.Get(
                    async () => (JsonObject?)await host.Get($"/v1/cron/log/search/?q={sought}"),
                    got => got["data"]!.AsArray().Count == 1,
                    $"{sought} is found"
                )
            )["data"]![0]!;
            ((int)run["line_count"]!, (int)run["attempt"]!, (bool)run["lines_partial"]!).ShouldBe((count, 1, false));
            ((int)run["lines"]![0]!["line"]!, (string)run["lines"]![0]!["log_info"]!).ShouldBe((2, "the magpie sings"));
        }
    }

    [Fact]
    public async Task Drops_days_past_their_retention_while_lines_go_on_being_written()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Tasks:LogRetentionDays", "5"));
        await using var connection = await host.Source.OpenConnectionAsync();
        foreach (var days in new[] { 4, 9 }) await host.MakeDay(days);
        await Day(host, daysAgo: 4, list: 41, host1: "h", "kept");
        await Day(host, daysAgo: 9, list: 41, host1: "h", "dropped");
        await host.Sealed("SELECT count(*) = 0 FROM tasks.log_line WHERE list_id = 41");
        await Day(host, daysAgo: 400, list: 41, host1: "h", "of a foreign clock");
        var place = LogSteps.Place();
        await using var output = host.Open(place);
        var upkeep = host.Services.GetRequiredService<LogPartitionMaintenance>().DropOld(CancellationToken.None);
        await output.PrintLines(1, 3000);
        await output.Complete();
        await upkeep;
        (await host.Source.Stored(place)).ShouldBeLines(3000);
        (await connection.QueryAsync<string>("SELECT log_info FROM tasks.scheduler_task_log WHERE list_id = 41")).ShouldBe(["kept"]);
    }

    private static async Task ShouldFind(TestHost host)
    {
        (await Texts(host, "q=100%25%20done")).ShouldBe(["still 100% DONE here", "100% Done"]);
        (await Texts(host, "q=DONE")).ShouldBe(["still 100% DONE here", "100x done", "100% Done"]);
        (await Texts(host, "q=部署")).ShouldBe(["部署中", "部署完成 OK"]);
        (await Texts(host, "q=部署完成")).ShouldBe(["部署完成 OK"]);
        (await Texts(host, "q=done&list_id=41")).ShouldBe(["100% Done"]);
        (await Texts(host, "q=done&host=10.0.0.1")).ShouldBe(["100% Done"]);
        (await Texts(host, "q=done&limit=2&page=2")).ShouldBe(["100% Done"]);
        (await Texts(host, $"q=done&to={DateTime.UtcNow.AddHours(8).Date.AddDays(-1):yyyy-MM-dd}&from=2020-01-01")).ShouldBe(["100% Done"]);
        var first = (await host.Get("/v2/task/log/search/?q=done&list_id=41"))["data"]![0]!;
        (first["order_name"]!.GetValue<string>(), first["host"]!.GetValue<string>(), first["list_id"]!.GetValue<long>()).ShouldBe(
            ("an order", "10.0.0.1", 41L)
        );
    }

    private static async Task<List<string>> Texts(TestHost host, string query, string? token = null)
    {
        // On a busy machine it may not come to the end in its time.
        var answer = await Eventually.Get(
            async () => (JsonObject?)await host.Get("/v2/task/log/search/?" + query, token),
            got => (bool?)got["partial"] != true,
            $"{query} is searched to the end"
        );
        answer["code"]!.GetValue<int>().ShouldBe(0, answer.ToJsonString());
        return [.. answer["data"]!.AsArray().Select(row => row!["log_info"]!.GetValue<string>())];
    }

    /// <summary>Lines around noon of a day; today's are from now.</summary>
    private static async Task Day(TestHost host, int daysAgo, long list, string host1, params string[] lines)
    {
        await using var connection = await host.Source.OpenConnectionAsync();
        var time = daysAgo == 0 ? DateTime.UtcNow : DateTime.UtcNow.Date.AddDays(-daysAgo).AddHours(4);
        await connection.ExecuteAsync("""
            INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time)
            SELECT @List || '_1_1_' || @Host, @List, 1, @List, @Days + 1, n, false, text, @Time + n * interval '1 millisecond'
                FROM unnest(@Lines) WITH ORDINALITY l (text, n)
            """, new { List = list, Host = host1, Days = daysAgo, Time = time, Lines = lines });
    }
}
