using System.Collections.Concurrent;
using System.Text;
using System.Text.Json.Nodes;
using Codo.Bench;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Npgsql;

namespace Codo.Tests.Platform.Data;

/// <summary>
/// Every list, filter by filter, is read along an index: PostgreSQL shows the plan of each statement that a request ran, and none of them reads a table of
/// history from end to end or sorts more than a page. What is quick at this size is so at ten million rows.
/// </summary>
public sealed class ListPlansTests(TestPostgres postgres)
{
    /// <summary>The longest page.</summary>
    private const int MostSorted = 1000;

    /// <summary>The frequent job has a thousand rows.</summary>
    private const int MostPassedOver = 900;

    /// <summary>A whole month has three thousand rows or more in its partition.</summary>
    private const int FewDays = 500;

    private static readonly string[] History =
    [
        "cron_log",
        "attempt",
        "output",
        "scheduler_task_list",
        "scheduler_task_info",
        "lane",
        "task_monitor",
        "delivery",
        "audit",
    ];

    // The console's own statements, among them those of the job that has a tenth of all rows.
    private static readonly string[] Pages =
    [
        "/",
        "/jobs",
        $"/jobs/{HistoryData.FrequentJob}",
        "/ledger",
        "/ledger/matrix",
        "/forecast",
        "/orders",
        "/orders?show=ended",
        "/incidents",
        "/audit",
    ];

    private static readonly string[] Explained =
    [
        "session_preload_libraries = auto_explain",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_format = json",
        "auto_explain.log_analyze = on",
    ];

    [Fact]
    public async Task No_list_reads_a_table_of_history_from_end_to_end_or_sorts_more_than_a_page()
    {
        await using var host = await TestHost.Start(postgres);
        await using var connection = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        await connection.OpenAsync();
        await HistoryData.Fill(connection, 0.001, _ => { });
        await Eventually.True(
            async () => await host.Count("SELECT count(*) FROM cron.summary_delta") == 0 && await host.Count("SELECT count(*) FROM cron.ledger_hour") > 0,
            "what has ended is added up"
        );
        var name = new NpgsqlConnectionStringBuilder(host.Postgres).Database;
        foreach (var setting in Explained)
        {
            await using var set = new NpgsqlCommand($"ALTER DATABASE {name} SET {setting}", connection);
            await set.ExecuteNonQueryAsync();
        }
        // A host of its own: its connections are made with these settings.
        await using var explained = await host.Again();
        var plans = new Plans();
        postgres.Logged += plans.Take;
        var wrong = new List<string>();
        var seen = 0;
        foreach (var (list, path, _) in HistoryLists.All)
        {
            if (path.Contains("/check/", StringComparison.Ordinal) || path.Contains("/grid/", StringComparison.Ordinal)) continue;
            // The statistics of months are no page: they read what they add up.
            if (path.Contains("{quarter}", StringComparison.Ordinal)) continue;
            plans.All.Clear();
            // Twice, since what other backends write at the same time may lie between the lines of a plan, which then does not read.
            foreach (var _ in Enumerable.Range(0, 2))
            {
                var answer = await explained.Get(HistoryLists.At(path, DateTimeOffset.UtcNow));
                answer.Code().ShouldBe(0, $"{list}: {answer.ToJsonString()}");
            }
            // Maintenance goes on meanwhile.
            foreach (var plan in plans.All.Select(Read).OfType<JsonNode>().Where(plan => IsRead((string)plan["Query Text"]!)))
            {
                seen++;
                foreach (var node in Nodes(plan["Plan"]!).Where(node => IsWrong(node) && !(IsSort(node) && IsOfHours(plan))))
                    wrong.Add($"{list}: {node["Node Type"]} on {node["Relation Name"]} ({Read(node)} rows) in {plan["Query Text"]}");
            }
        }
        foreach (var path in Pages)
        {
            plans.All.Clear();
            foreach (var _ in Enumerable.Range(0, 2))
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, path) { Headers = { { "auth-key", TestTokens.Admin } } };
                using var response = await explained.Http.SendAsync(request, TestContext.Current.CancellationToken);
                response.IsSuccessStatusCode.ShouldBeTrue(path);
            }
            foreach (var plan in plans.All.Select(Read).OfType<JsonNode>().Where(plan => IsRead((string)plan["Query Text"]!) && !IsCount(plan)))
                foreach (var node in Nodes(plan["Plan"]!).Where(node => IsWrong(node) || IsPassedOver(node)))
                    wrong.Add($"{path}: {node["Node Type"]} on {node["Relation Name"]} ({Read(node)} rows) in {plan["Query Text"]}");
        }
        // What runs must not slow down with what ran: an order and a run by hand, from the request to the end.
        plans.All.Clear();
        foreach (var _ in Enumerable.Range(0, 2))
        {
            var order = await explained.Order(await explained.Template(OrderHost.Step("echo done", forceHost: "127.0.0.1")));
            (await explained.Ended(order)).ShouldBe("3");
        }
        (await explained.Post("/v1/cron/job/", new { job_id = "now", cmd = "echo now", cron = "0 0 3 29 2 *" })).Code().ShouldBe(0);
        (await explained.Post("/v1/cron/job/run/", new { job_id = "now" })).Code().ShouldBe(0);
        const string RanSql = "SELECT count(*) FROM cron.cron_log WHERE job_id = 'now' AND status = 'success'";
        await Eventually.True(async () => await explained.Count(RanSql) == 1, "it ran");
        foreach (var plan in plans.All.Select(Read).OfType<JsonNode>())
            foreach (var node in Nodes(plan["Plan"]!).Where(IsWrong))
                wrong.Add($"work: {node["Node Type"]} on {node["Relation Name"]} ({Read(node)} rows) in {plan["Query Text"]}");
        postgres.Logged -= plans.Take;
        seen.ShouldBeGreaterThan(HistoryLists.All.Length, "PostgreSQL shows its plans");
        wrong.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(MostSorted, false)]
    [InlineData(MostSorted * 2, true)]
    public async Task A_sort_of_more_than_a_page_is_wrong_also_where_it_gives_ten_rows(int rows, bool isWrong)
    {
        await using var connection = new NpgsqlConnection(await postgres.CreateDatabase());
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        var sql = $"EXPLAIN (ANALYZE, FORMAT JSON) SELECT n FROM generate_series(1, {rows}) n ORDER BY md5(CAST(n AS text)) LIMIT 10";
        await using var command = new NpgsqlCommand(sql, connection);
        var plan = Read((string)(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!)!;
        Nodes(plan[0]!["Plan"]!).Any(IsWrong).ShouldBe(isWrong, plan.ToJsonString());
    }

    private static bool IsRead(string sql) => !sql.Contains("DELETE FROM", StringComparison.Ordinal) && !sql.Contains("INSERT INTO", StringComparison.Ordinal);

    // A count is exact up to this many, and reads them.
    private static bool IsCount(JsonNode plan) => ((string)plan["Query Text"]!).Contains("LIMIT 10001) counted", StringComparison.Ordinal);

    private static JsonNode? Read(string plan)
    {
        try
        {
            // Lines of two processes that were written at once may still look like one plan, in which a name stands twice.
            return JsonNode.Parse(plan, null, new System.Text.Json.JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (System.Text.Json.JsonException)
        {
            return null;
        }
    }

    private static bool IsSort(JsonNode node) => ((string)node["Node Type"]!).EndsWith("Sort", StringComparison.Ordinal);

    // A far page is found by the hours of the ledger, of which each day that is kept has 24.
    private static bool IsOfHours(JsonNode plan) => ((string)plan["Query Text"]!).Contains("FROM cron.ledger_hour h", StringComparison.Ordinal);

    private static bool IsWrong(JsonNode node)
    {
        // By what it was given: under LIMIT 10 it gives ten rows of a whole table.
        if (IsSort(node)) return Math.Max(Given(node), Inputs(node).Select(Given).Sum()) > MostSorted;
        var table = (string?)node["Relation Name"] ?? "";
        // The audit's seals are a row a day, and are read by the sealing that may come meanwhile.
        if (table == "audit_seal") return false;
        // Partitions with next to nothing in them are read as the planner likes: the history may begin or end with a few days of a month.
        var least = History.Contains(table) ? 0 : FewDays;
        return (string)node["Node Type"]! == "Seq Scan"
            && Read(node) > least
            && History.Any(name => table == name || table.StartsWith(name + "_", StringComparison.Ordinal));
    }

    // Rows of the ledger that were read to be sorted or left out. A page shows the newest of some jobs, or a day: fewer than a frequent job has.
    private static bool IsPassedOver(JsonNode node)
    {
        var loops = (double?)node["Actual Loops"] ?? 1;
        var isLedger = Nodes(node).Any(inner => ((string?)inner["Relation Name"] ?? "").StartsWith("cron_log", StringComparison.Ordinal));
        var gathered = (string)node["Node Type"]! == "Append" ? (double?)node["Actual Rows"] ?? 0 : 0;
        return isLedger && Math.Max(gathered, (double?)node["Rows Removed by Filter"] ?? 0) * loops > MostPassedOver;
    }

    private static double Given(JsonNode node) => ((double?)node["Actual Rows"] ?? 0) * ((double?)node["Actual Loops"] ?? 1);

    private static IEnumerable<JsonNode> Inputs(JsonNode node) =>
        (node["Plans"]?.AsArray() ?? []).OfType<JsonNode>().Where(inner => (string?)inner["Parent Relationship"] == "Outer");

    private static double Read(JsonNode node) => ((double?)node["Actual Rows"] ?? 0) + ((double?)node["Rows Removed by Filter"] ?? 0);

    private static IEnumerable<JsonNode> Nodes(JsonNode node) =>
        (node["Plans"]?.AsArray() ?? []).SelectMany(inner => Nodes(inner!)).Prepend(node);

    /// <summary>Plans as auto_explain writes them into the server's log: a line that ends in <c>plan:</c>, then the plan, indented.</summary>
    private sealed class Plans
    {
        private readonly StringBuilder open = new();

        public ConcurrentQueue<string> All { get; } = new();

        public void Take(string line)
        {
            lock (open)
            {
                if (line.StartsWith('\t') && open.Length > 0)
                {
                    open.AppendLine(line);
                    // The closing brace of the whole stands alone, one tab in.
                    if (line == "\t}") Close();
                    return;
                }
                open.Clear();
                if (line.EndsWith("plan:", StringComparison.Ordinal)) open.Append(' ');
            }
        }

        private void Close()
        {
            All.Enqueue(open.ToString());
            open.Clear();
        }
    }
}
