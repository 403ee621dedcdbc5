using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Logs;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Tasks.Logs;

public sealed class CompareOutputTests(OrderFixture fixture) : IClassFixture<OrderFixture>
{
    // As many as a group takes.
    private const int Hosts = 100;

    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Hosts_with_equal_output_stand_together_and_the_others_say_what_differs_before_and_after_sealing()
    {
        await host.MakeDay(2);
        var order = await New("web-1,web-2,web-3,web-4,web-5,web-6,web-7,web-8,web-9");
        await Ran(order, "web-1", 1, 0, "up since 2026-01-02 03:04:05", "release 7", "on web-1");
        await Ran(order, "web-2", 1, 0, "up since 2026-01-02 03:04:05", "release 7", "on web-1");
        // Restarted: what counts is the last attempt.
        await Ran(order, "web-3", 1, 1, "connection refused");
        await Ran(order, "web-3", 2, 3, "up since 2026-01-02 03:04:05", "release 7", "on web-1");
        await Ran(order, "web-4", 1, 0, "up since 2026-01-02 03:04:05", "release 6", "on web-1");
        await Ran(order, "web-5", 1, 0);
        await Ran(order, "web-6", 1, 0, "up since 2027-12-31 23:59:59", "release 7", "on web-6");
        // Two short lines are not one long.
        await Ran(order, "web-7", 1, null, whole: false, "half of it");
        await Ran(order, "web-8", 1, 0, isGone: true);
        await Check();
        await host.Sealed($"SELECT count(*) > 5 FROM tasks.sealed_log WHERE list_id = {order}");
        await Check();

        var normal = await Compare(order, "&normalise=host,time");
        // Only a host's own name and the time count as equal.
        Groups(normal).ShouldBe(["2: 0 x2 x1 x1"]);
        normal["data"]![0]!["hosts"]!.AsArray().Select(one => (string)one!["host"]!).ShouldBe(["web-1", "web-6"]);
        (await Compare(order, "&lines=1"))["partial"]!.GetValue<bool>().ShouldBeTrue();

        async Task Check()
        {
            var answer = await Compare(order);
            (answer["hosts"]!.GetValue<int>(), answer["compared"]!.GetValue<int>(), answer["partial"]!.GetValue<bool>()).ShouldBe((9, 6, false));
            var data = answer["data"]!.AsArray();
            data.Select(group => string.Join(',', group!["hosts"]!.AsArray().Select(one => (string)one!["host"]!)))
                .ShouldBe(["web-1,web-2,web-3", "web-4", "web-5", "web-6"]);
            data[0]!["exit_codes"]!.ToJsonString().ShouldBe("""[{"exit_code":0,"count":2},{"exit_code":3,"count":1}]""");
            ((int)data[0]!["hosts"]![2]!["attempt"]!).ShouldBe(2);
            data[0]!["difference"].ShouldBeNull();
            Difference(data[1]!).ShouldBe([" 1 1 up since 2026-01-02 03:04:05", "- 2 . release 7", "+ . 2 release 6", " 3 3 on web-1"]);
            ((int)data[2]!["lines"]!).ShouldBe(0);
            Difference(data[2]!).Count.ShouldBe(3);
            answer["others"]!.AsArray().Select(one => $"{one!["host"]} {one["why"]}")
                .ShouldBe(["web-7 away", "web-9 not_run", "web-8 missing"], ignoreOrder: true);
            var one = (await Compare(order, "&host=web-6"))["data"]!.AsArray();
            one.Count(group => group!["difference"] is not null).ShouldBe(1);
        }
    }

    [Fact]
    public async Task Of_a_host_whose_node_is_away_nothing_is_said_to_arrive()
    {
        await host.MakeDay(2);
        var order = await New("web-1,web-2,web-3");
        await Ran(order, "web-1", 1, 0, "one");
        await Ran(order, "web-2", 1, 0, whole: false, "one");
        await Ran(order, "web-3", 1, 0, whole: false, "one");
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync(
                """
                INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, heartbeat_at)
                VALUES ('late', 1, 'm', 'b', 1, 'v', now() + interval '1 hour');
                UPDATE tasks.attempt SET node = 'late' WHERE list_id = @order AND host = 'web-2'
                """,
                new { order }
            );
        var answer = await Compare(order);
        answer["others"]!.AsArray().Select(one => $"{one!["host"]} {one["why"]}").ShouldBe(["web-2 arriving", "web-3 away"]);
        ((int)answer["compared"]!).ShouldBe(1);
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync("UPDATE platform.node SET heartbeat_at = now() - interval '1 hour' WHERE name = 'late'");
        (await Compare(order))["others"]!.AsArray().Select(one => $"{one!["host"]} {one["why"]}").ShouldBe(["web-2 away", "web-3 away"]);
    }

    [Fact]
    public async Task Many_hosts_are_compared_and_secrets_stay_masked()
    {
        var order = await New(string.Join(',', Enumerable.Range(1, Hosts).Select(number => $"h{number}")));
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync(
                """
                INSERT INTO tasks.attempt (sched_id, attempt, list_id, lane_id, node, incarnation, run_id, host, exec_user, started_at, ended_at, exit_code,
                    outcome, log_whole)
                SELECT sched_id, 1, list_id, lane_id, 'n', 1, 'r' || sched_id, exec_ip, '', now(), now(), 0, 'done', true
                FROM tasks.scheduler_task_info WHERE list_id = @order;
                INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time)
                SELECT i.list_id || '_1_1_' || i.exec_ip, i.list_id, 1, i.sched_id, 1, n, false,
                    CASE WHEN n = 1 THEN '[CMD]: report' WHEN n = 40 AND i.exec_ip IN ('h7', 'h8', 'h9') THEN 'token ******' ELSE 'line ' || n END, now()
                FROM tasks.scheduler_task_info i, generate_series(1, 100) n WHERE i.list_id = @order
                """,
                new { order }
            );
        var answer = await Compare(order);
        answer["data"]!.AsArray().Select(group => (int)group!["count"]!).ShouldBe([Hosts - 3, 3]);
        Difference(answer["data"]![1]!).ShouldContain("+ . 39 token ******");
        Difference(answer["data"]![1]!).ShouldBe(["… 36", " 37 37 line 38", " 38 38 line 39", "- 39 . line 40", "+ . 39 token ******", " 40 40 line 41",
            " 41 41 line 42", "… 58"]);
    }

    [Fact]
    public async Task Only_who_sees_the_order_compares_it_and_wrong_fields_are_named()
    {
        var order = await New("a");
        var empty = await Compare(order);
        (empty["data"]!.AsArray().Count, empty["others"]!.AsArray().Count, (int)empty["compared"]!).ShouldBe((0, 1, 0));
        (await host.Get($"/v2/task/compare/?list_id={order}", TestTokens.For(99, "stranger"))).Code().ShouldBe(-1);
        foreach (var wrong in new[] { "", "?list_id=999999", $"?list_id={order}&step=2", $"?list_id={order}&task_group=9", $"?list_id={order}&normalise=x" })
            (await host.Get("/v2/task/compare/" + wrong)).Code().ShouldBe(-1, wrong);
    }

    [Theory]
    [InlineData("", "", "")]
    [InlineData("a", "a", "")]
    [InlineData("a b c", "a b c d", "+d")]
    [InlineData("a b c d", "b c d", "-a")]
    [InlineData("a b c a b b a", "c b a b a c", "-a -b +b -b +c")]
    [InlineData("", "x y", "+x +y")]
    public void A_difference_is_the_shortest_way_from_one_text_to_the_other(string before, string after, string changes)
    {
        var lines = LineDifference.Between(Words(before), Words(after)).Lines;
        var edits = lines.Where(line => line.Kind is "added" or "removed").ToList();
        edits.Count.ShouldBe(Words(changes).Length);
        if (edits.Count < 3) string.Join(' ', edits.Select(line => (line.Kind == "added" ? "+" : "-") + line.Text)).ShouldBe(changes);
        lines.Where(line => line.Before is not null).All(line => Words(before)[line.Before!.Value - 1] == line.Text).ShouldBeTrue();
        lines.Where(line => line.After is not null).All(line => Words(after)[line.After!.Value - 1] == line.Text).ShouldBeTrue();

        static string[] Words(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }

    [Fact]
    public void Two_texts_without_a_line_in_common_are_told_within_the_bound()
    {
        var (lines, partial) = LineDifference.Between(
            [.. Enumerable.Range(0, 5000).Select(number => $"a{number}")],
            [.. Enumerable.Range(0, 5000).Select(number => $"b{number}")]
        );
        (lines.Count, partial).ShouldBe((LineDifference.MostLines, true));
    }

    private static List<string> Groups(JsonObject answer) =>
        [.. answer["data"]!.AsArray().Take(1).Select(group => $"{group!["count"]}: "
            + string.Join(' ', group["exit_codes"]!.AsArray().Select(code => (string?)code!["exit_code"]?.ToString()))
            + string.Concat(answer["data"]!.AsArray().Skip(1).Select(other => $" x{other!["count"]}")))];

    private static List<string> Difference(JsonNode group) =>
        [
            .. group["difference"]!.AsArray().Select(line => (string)line!["kind"]! switch
            {
                "skipped" => $"… {line["text"]}",
                "same" => $" {line["before"]} {line["after"]} {line["text"]}",
                "added" => $"+ . {line["after"]} {line["text"]}",
                _ => $"- {line["before"]} . {line["text"]}",
            }),
        ];

    private async Task<JsonObject> Compare(long order, string more = "")
    {
        var answer = await host.Get($"/v2/task/compare/?list_id={order}{more}");
        answer.Code().ShouldBe(0, answer.ToJsonString());
        return answer;
    }

    private async Task<long> New(string hosts) =>
        await host.Order(
            await host.Template(OrderHost.Step("report", forceHost: "127.0.0.1")),
            new Dictionary<string, string> { ["1"] = hosts },
            schedule: "new"
        );

    private Task Ran(long order, string name, int attempt, int? exit, params string[] lines) => Ran(order, name, attempt, exit, true, false, lines);

    private Task Ran(long order, string name, int attempt, int? exit, bool whole, params string[] lines) =>
        Ran(order, name, attempt, exit, whole, false, lines);

    private Task Ran(long order, string name, int attempt, int? exit, bool isGone) => Ran(order, name, attempt, exit, true, isGone, []);

    /// <summary>An attempt of two days ago, with the lines that it printed.</summary>
    private async Task Ran(long order, string name, int attempt, int? exit, bool whole, bool isGone, string[] lines)
    {
        var time = DateTime.UtcNow.Date.AddDays(-2).AddHours(4 + attempt);
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            """
            INSERT INTO tasks.attempt (sched_id, attempt, list_id, lane_id, node, incarnation, run_id, host, exec_user, started_at, ended_at, exit_code,
                outcome, log_whole)
            SELECT sched_id, @attempt, list_id, lane_id, 'n', 1, 'r', exec_ip, '', @time, @time + interval '1 second', CAST(@exit AS int), 'done', @whole
            FROM tasks.scheduler_task_info WHERE list_id = @order AND exec_ip = @name;
            INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time)
            SELECT @order || '_1_1_' || @name, @order, 1, i.sched_id, @attempt, n, false, text, @time + n * interval '1 millisecond'
            FROM tasks.scheduler_task_info i, unnest(@printed) WITH ORDINALITY l (text, n) WHERE i.list_id = @order AND i.exec_ip = @name
            """,
            new
            {
                order,
                name,
                attempt,
                exit,
                whole,
                time,
                printed = isGone ? [] : lines.Prepend($"[CMD]: report {name}").ToArray(),
            }
        );
    }
}
