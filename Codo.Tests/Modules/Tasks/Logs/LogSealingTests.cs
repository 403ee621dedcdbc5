using System.Text;
using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Logs;
using Codo.Platform.Data;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Tests.Modules.Tasks.Logs;

public sealed class SealingHost(TestPostgres postgres) : HostFixture(postgres);

/// <summary>A sealed day answers as it did before, and whatever happens while it is sealed costs no line. Each test has a day of its own.</summary>
public sealed class LogSealingTests(SealingHost fixture) : IClassFixture<SealingHost>
{
    private static readonly string[] Odd =
    [
        "",
        "",
        "a\nb",
        "\u0001",
        "\u0001n",
        "\u0001e\n\n",
        "\\",
        "\\n\\x01",
        "\ttab\r",
        "ends\n",
        " 部署完成 ",
        "😀\u001b[31mred",
        "NULL",
        "{a,\"b\"}",
        "100% _done_",
        "needle",
    ];

    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Whatever_a_line_says_each_way_to_read_it_answers_the_same_before_and_after()
    {
        var place = LogSteps.Place();
        // An empty day goes unless it is yesterday's, and a day is over an hour after its end.
        var day = await host.MakeDay(DateTime.UtcNow.Hour == 0 ? 8 : 2);
        // Two steps in one log whose lines were written in turns, an attempt with a missing line, and lines of another publisher.
        var first = Enumerable.Range(Odd.Length, 4500 - Odd.Length).Select(number => $"line {number} of {number * 7919 % 1000}");
        await Insert(place, day.AddHours(1), Odd.Concat(first), 2);
        await Insert(place with { Attempt = 2 }, day.AddHours(2), [.. Odd, new string('x', 300_000), new string('y', 300_000), "after"]);
        await Insert(place with { SchedId = place.SchedId + 500_000 }, day.AddHours(3), Odd.Reverse());
        await Insert(place with { Attempt = 3 }, day.AddHours(4), Enumerable.Range(1, 60).Select(number => $"of the third {number}"));
        await Execute("DELETE FROM tasks.log_line WHERE sched_id = @SchedId AND attempt = 3 AND line = 50", place);
        await Execute("UPDATE tasks.log_line SET continues = true WHERE sched_id = @SchedId AND attempt = 2 AND line IN (3, 7)", place);
        await Insert(place with { SchedId = 0, Attempt = 0 }, day.AddHours(5), Odd);
        await Execute("UPDATE tasks.log_line SET line = line * 1000 WHERE sched_id = 0 AND log_key = @LogKey", place);
        // Empty lines that are a sealed row of their own: the only one of an attempt, and one between pauses of 40 minutes.
        await Insert(place with { SchedId = place.SchedId + 600_000 }, day.AddHours(6), [""]);
        await Insert(place with { SchedId = place.SchedId + 700_000 }, day.AddHours(7), ["before", "", "after"]);
        await Execute(
            "UPDATE tasks.log_line SET exec_time = exec_time + line * interval '40 minutes' WHERE sched_id = @SchedId + 700000 AND log_key = @LogKey",
            place
        );

        var before = await Answers(place);
        await Seal();
        (await Live(place)).ShouldBe(0);
        (await host.Ask<long>("SELECT count(*) FROM tasks.sealed_log WHERE log_key = @LogKey", place)).ShouldBeInRange(12, 18);
        var after = await Answers(place);
        foreach (var (question, answer) in before) after[question].ShouldBe(answer, question);
        (await host.Ask<string?>("SELECT CAST(to_regclass(@name) AS text)", new { name = $"tasks.log_line_{day:yyyyMMdd}" })).ShouldBeNull("an empty day goes");

        // A line that was missing comes after its day was sealed: it is read in its place, and sealed as well once the day's maintenance meets it.
        var late = new LogLine(LogKey.Of(place), place.SchedId, 3, 50, false, "of the third 50", day.AddHours(4).AddMilliseconds(50));
        await host.Services.GetRequiredService<LogTable>().Write([late], TestContext.Current.CancellationToken);
        var third = await host.Get($"/v2/task/log/?log_key={place.LogKey}&attempt=3&sched_id={place.SchedId}");
        third["data"]!.AsArray().Select(row => (string)row!["log_info"]!).ShouldBe(Enumerable.Range(1, 60).Select(number => $"of the third {number}"));
    }

    [Fact]
    public async Task Of_days_before_an_attempt_began_nothing_is_planned()
    {
        await Partitions.Ensure(host.Source, "tasks.sealed_log", PartitionSpan.Day, DateTimeOffset.UtcNow.AddDays(-60), ahead: 20);
        await using var connection = await host.Source.OpenConnectionAsync();
        var asked = new
        {
            SchedId = 1L,
            Attempt = 1,
            After = 0L,
            Upto = 10L,
            Since = DateTime.UtcNow,
            SinceDay = DateTime.UtcNow.AddDays(-1),
        };
        // Each step ends with this question: a plan over 90 days takes a hundred times as long as its answer.
        var plan = string.Join('\n', await connection.QueryAsync<string>("EXPLAIN " + LogTable.MissingSql, asked));
        plan.ShouldContain("log_line");
        plan.ShouldNotContain($"sealed_log_{DateTime.UtcNow.AddDays(-50):yyyyMMdd}");
    }

    [Fact]
    public async Task A_seal_that_is_cut_short_loses_and_doubles_nothing_and_no_insert_waits_for_it()
    {
        var place = LogSteps.Place();
        var day = await host.MakeDay(3);
        await Insert(place, day, LogSteps.Lines(3000));
        await Partitions.Ensure(host.Source, "tasks.sealed_log", PartitionSpan.Day, day, 0);
        var table = host.Services.GetRequiredService<LogTable>();
        await using (var connection = await host.Source.OpenConnectionAsync())
        {
            await using var transaction = await connection.BeginTransactionAsync();
            var (sealing, pid) = await Block(connection, transaction, day);
            // Its rows are deleted and not yet sealed: they are read, and others are written, of that day as well.
            (await host.Source.Stored(place)).ShouldBeLines(3000);
            var key = LogKey.Of(place);
            var wait = table.Write(
                [new(key, place.SchedId, 2, 1, false, "late", day.AddHours(1)), new(key, place.SchedId, 3, 1, false, "now", DateTime.UtcNow.Date.AddHours(1))],
                TestContext.Current.CancellationToken
            );
            await wait.WaitAsync(TimeSpan.FromSeconds(60));
            await connection.ExecuteAsync("SELECT pg_terminate_backend(@pid)", new { pid }, transaction);
            await Should.ThrowAsync<NpgsqlException>(sealing);
        }
        (await Live(place)).ShouldBe(3002);
        (await host.Source.Stored(place)).ShouldBeLines(3000);
        await Seal();
        (await host.Source.Stored(place)).ShouldBeLines(3000);
        (await host.Source.Stored(place with { Attempt = 2 })).ShouldBe(["late"]);
        (await Live(place)).ShouldBe(1);
    }

    [Fact]
    public async Task A_line_that_is_delivered_again_after_or_while_it_is_sealed_is_there_once()
    {
        var place = LogSteps.Place();
        var day = await host.MakeDay(4);
        await Insert(place, day, LogSteps.Lines(2500));
        await Partitions.Ensure(host.Source, "tasks.sealed_log", PartitionSpan.Day, day, 0);
        var table = host.Services.GetRequiredService<LogTable>();
        var again = Enumerable
            .Range(1, 2500)
            .Select(number => new LogLine(LogKey.Of(place), place.SchedId, 1, number, false, $"line {number}", day.AddMilliseconds(number)))
            .ToList();
        Task writing;
        await using (var connection = await host.Source.OpenConnectionAsync())
        {
            await using var transaction = await connection.BeginTransactionAsync();
            var (sealing, _) = await Block(connection, transaction, day);
            writing = table.Write(again[1990..2010], TestContext.Current.CancellationToken);
            await Eventually.True(
                async () => await host.Count("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid' AND query LIKE 'WITH sealed AS %'") > 0
                    || writing.IsCompleted,
                "the same line waits for what becomes of it"
            );
            await transaction.RollbackAsync();
            await sealing;
        }
        await writing;
        (await host.Source.Stored(place)).ShouldBeLines(2500);
        await table.Write(again, TestContext.Current.CancellationToken);
        (await host.Source.Stored(place)).ShouldBeLines(2500);
        (await Live(place)).ShouldBe(0);

        // What a node asks before it writes the rest of its spool.
        await table.Write([again[0] with { Line = 2503, Text = "line 2503" }], TestContext.Current.CancellationToken);
        (await table.Missing(place.SchedId, 1, 2400, 2510, day, TestContext.Current.CancellationToken)).ShouldBe(
            [new LineRange(2501, 2502), new LineRange(2504, 2510)]
        );
    }

    [Fact]
    public async Task Lines_of_an_attempt_that_may_get_more_wait_and_the_stream_of_an_order_is_the_same()
    {
        var order = await host.Order(
            await host.Template(OrderHost.Step("seq 1 250", forceHost: "127.0.0.1"), OrderHost.Step("echo two", level: 2, forceHost: "127.0.0.1"))
        );
        await host.Ended(order);
        var day = await host.MakeDay(5);
        await Execute(
            """
            UPDATE tasks.log_line SET exec_time = @day + interval '1 hour' + (exec_time - start), log_time = @day + interval '1 hour' + (log_time - start)
            FROM (SELECT min(exec_time) AS start FROM tasks.log_line WHERE list_id = @order) s WHERE list_id = @order
            """,
            new { order, day }
        );
        var before = await Stream(order);
        // Another node's, which alone can say that there is no more.
        var node = await host.Ask<string>("SELECT node FROM tasks.attempt WHERE list_id = @order LIMIT 1", new { order });
        await Execute("UPDATE tasks.attempt SET log_whole = false, node = 'elsewhere' WHERE list_id = @order", new { order });
        await Seal();
        (await host.Ask<long>("SELECT count(*) FROM tasks.log_line WHERE list_id = @order", new { order })).ShouldBe(253);
        await Execute("UPDATE tasks.attempt SET log_whole = true, node = @node WHERE list_id = @order", new { order, node });
        await Seal();
        (await host.Ask<long>("SELECT count(*) FROM tasks.log_line WHERE list_id = @order", new { order })).ShouldBe(0);
        (await Stream(order)).ShouldBe(before);
    }

    [Fact]
    public async Task A_day_that_cannot_be_sealed_keeps_no_older_day_from_it()
    {
        var (damaged, place) = (LogSteps.Place(), LogSteps.Place());
        var day = await host.MakeDay(9);
        await Insert(damaged, day, LogSteps.Lines(5));
        await Insert(place, await host.MakeDay(10), LogSteps.Lines(5));
        await Execute(
            $"""
            CREATE FUNCTION tasks.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'this day is damaged'; END $$;
            CREATE TRIGGER refuse BEFORE DELETE ON tasks.log_line_{day:yyyyMMdd} FOR EACH ROW EXECUTE FUNCTION tasks.refuse();
            """,
            new { }
        );
        try
        {
            (await Should.ThrowAsync<PostgresException>(Seal())).MessageText.ShouldBe("this day is damaged");
            (await Live(damaged)).ShouldBe(5);
            (await Live(place)).ShouldBe(0);
            (await host.Source.Stored(place)).ShouldBeLines(5);
        }
        finally
        {
            await Execute("DROP FUNCTION tasks.refuse() CASCADE", new { });
        }
        await Seal();
        (await Live(damaged)).ShouldBe(0);
    }

    [Fact]
    public async Task Where_no_index_of_the_search_can_be_made_every_day_is_sealed()
    {
        Assert.SkipUnless(
            await host.Ask<bool>("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm')"),
            "pg_trgm is not installed."
        );
        var (younger, older) = (LogSteps.Place(), LogSteps.Place());
        await Insert(younger, await host.MakeDay(11), LogSteps.Lines(5));
        await Insert(older, await host.MakeDay(12), LogSteps.Lines(5));
        // The extension cannot be made beside a function that it has too.
        await using var superuser = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        await superuser.ExecuteAsync(
            """
            DROP EXTENSION IF EXISTS pg_trgm CASCADE;
            CREATE FUNCTION public.similarity(text, text) RETURNS real LANGUAGE sql AS 'SELECT CAST(1 AS real)';
            """
        );
        try
        {
            (await Should.ThrowAsync<PostgresException>(Seal())).SqlState.ShouldBe(PostgresErrorCodes.DuplicateFunction);
            (await Live(younger)).ShouldBe(0);
            (await Live(older)).ShouldBe(0);
        }
        finally
        {
            await superuser.ExecuteAsync("DROP FUNCTION public.similarity(text, text)");
        }
        await Seal();
        (await host.Ask<bool>("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')")).ShouldBeTrue("the index is made when it can be");
    }

    [Fact]
    public async Task Nothing_is_sealed_by_a_clock_that_has_jumped_until_a_person_confirms_it()
    {
        var place = LogSteps.Place();
        var day = await host.MakeDay(7);
        await host.FirstRounds("clock watch");
        await Insert(place, day, LogSteps.Lines(5));
        await Execute("UPDATE platform.node SET clock_seen_at = clock_timestamp() - interval '400 days', clock_boot_id = NULL", new { });
        await Seal();
        (await Live(place)).ShouldBe(5);
        (await host.Post("/v2/nodes/clock/", new { }))["code"]!.GetValue<int>().ShouldBe(0);
        await Seal();
        (await Live(place)).ShouldBe(0);
        (await host.Source.Stored(place)).ShouldBeLines(5);
    }

    [Fact]
    public async Task Sealed_lines_and_their_index_take_a_fifth_of_the_room_at_most()
    {
        var day = await host.MakeDay(6);
        // As steps print: 200 attempts of 100 lines.
        await Execute(
            """
            INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time, log_time)
            SELECT a || '_1_1_10.0.1.' || a % 250, a, 1, a, 1, n, false,
                'unpacking artefact ' || (a * 31 + n * 7919) % 100000 || ' of service ' || a % 900 || ': done', t, t + interval '20 milliseconds'
            FROM generate_series(800001, 800200) a, generate_series(1, 100) n,
                LATERAL (SELECT @day + (a - 800000) * interval '7 seconds' + n * interval '8 milliseconds' + n * 7 % 5 * interval '1 millisecond' AS t) at
            """,
            new { day }
        );
        var rows = await host.Ask<long>("SELECT pg_total_relation_size(@name)", new { name = $"tasks.log_line_{day:yyyyMMdd}" });
        await Seal();
        var sealedRows = await host.Ask<long>("SELECT pg_total_relation_size(@name)", new { name = $"tasks.sealed_log_{day:yyyyMMdd}" });
        (rows / sealedRows).ShouldBeGreaterThanOrEqualTo(5, $"{rows} bytes became {sealedRows}");
    }

    /// <summary>Everything that clients can ask of a log, with what is answered.</summary>
    private async Task<Dictionary<string, string>> Answers(OutputPlace place)
    {
        var answers = new Dictionary<string, string>();
        var log = $"/v2/task/log/?log_key={place.LogKey}";
        string[] jumps = ["1:1990", "1:3999", "1:4495", "2:4", "2:17", "3:48", "3:55", "0:5000", $"1:4498:{place.SchedId}", $"1:3:{place.SchedId + 500_000}"];
        string[] searches = ["needle", "NEEDLE", "line%2077%20", "部署", "部署完成", "%5C", "100%25", "_", "red", "the%20third", "a%0Ab", "%01n", "no-such"];
        string[] narrowed = ["", $"&list_id={place.ListId}", "&limit=3&page=2", $"&host={place.Host}"];
        string[] parts = ["", "&limit=1000&attempt=1", "&attempt=2", "&attempt=3", "&tail=5", "&tail=40", "&tail=1000"];
        List<string> questions = [.. parts.Select(part => log + part)];
        questions.AddRange(jumps.SelectMany(after => new[] { $"{log}&after={after}&limit=30", $"{log}&after={after}&limit=1000" }));
        questions.AddRange(searches.SelectMany(text => narrowed.Select(more => $"/v2/task/log/search/?q={text}{more}")));
        foreach (var question in questions)
        {
            // A search that a busy machine cuts off says so, and is asked again.
            var tries = 0;
            JsonObject answer;
            do answer = await host.Get(question);
            while (answer["partial"]?.GetValue<bool>() == true && ++tries < 20);
            answers[question] = answer.ToJsonString();
        }
        var pages = new StringBuilder();
        for (var after = ""; await host.Get($"{log}&limit=900&after={after}") is var page; after = (string)page["after"]!)
        {
            pages.AppendLine(page.ToJsonString());
            if (page["data"]!.AsArray().Count == 0) break;
        }
        answers["page after page"] = pages.ToString();
        using var events = new EventReader(host, place.LogKey, "1:4000");
        answers["events"] = string.Join('\n', await events.Take(500 + Odd.Length + 3));
        answers["the table"] = await host.Ask<string>(
            "SELECT string_agg(CAST(l AS text), '|' ORDER BY sched_id, attempt, line, log_id) FROM tasks.scheduler_task_log l WHERE log_key = @LogKey",
            place
        );
        return answers;
    }

    private async Task<List<string>> Stream(long order)
    {
        using var events = await ServerEvents.Open(host, $"/v2/task/log/stream/?list_id={order}");
        var lines = new List<string>();
        while (lines.Count < 253) lines.Add((await events.Next()).Data.ToJsonString());
        return lines;
    }

    /// <summary>Lets sealing delete the rows of a day and stops it before they are sealed.</summary>
    private async Task<(Task Sealing, int Pid)> Block(NpgsqlConnection connection, NpgsqlTransaction transaction, DateTime day)
    {
        await connection.ExecuteAsync($"LOCK TABLE tasks.sealed_log_{day:yyyyMMdd} IN SHARE MODE", transaction: transaction);
        var sealing = Seal();
        var pid = await Eventually.Get(
            async () =>
                await host.Ask<int?>(
                    "SELECT max(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'WITH next AS %'"
                ),
            found => found > 0,
            "sealing waits"
        );
        return (sealing, pid!.Value);
    }

    private Task Seal() => host.Services.GetRequiredService<LogSealing>().Seal(() => { }, TestContext.Current.CancellationToken);

    private Task<long> Live(OutputPlace place) => host.Ask<long>("SELECT count(*) FROM tasks.log_line WHERE log_key = @LogKey", place);

    private async Task Execute(string sql, object parameters)
    {
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(sql, parameters);
    }

    /// <summary>Lines a millisecond apart, written in batches.</summary>
    /// <param name="every">So many numbers of rows are taken for each line.</param>
    private Task Insert(OutputPlace place, DateTime from, IEnumerable<string> lines, int every = 1) =>
        Execute(
            """
            INSERT INTO tasks.log_line (log_id, log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time, log_time)
            SELECT (SELECT max(nextval('tasks.scheduler_task_log_id')) FROM generate_series(1, @every + CAST(l.n % 2 AS int))), @LogKey, @ListId, @Level,
                @SchedId, @Attempt, n, false, text, @from + n * interval '1 ms', @from + n / 100 * interval '1 s' + n % 3 * interval '1 us'
            FROM unnest(@lines) WITH ORDINALITY l (text, n)
            """,
            new { place.LogKey, place.ListId, place.Level, place.SchedId, place.Attempt, from, lines = lines.ToArray(), every }
        );
}
