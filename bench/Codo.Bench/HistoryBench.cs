using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Npgsql;

namespace Codo.Bench;

/// <summary>How long each list of the API takes in a database of years (<see cref="HistoryData"/>), filter by filter and page by page, caches warm.</summary>
internal static class HistoryBench
{
    private const int Rounds = 30, WarmUps = 5;

    private const string SealedSql = """
        SELECT CAST(coalesce(sum(pg_total_relation_size(c.oid)), 0) AS bigint) FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
        WHERE h.inhparent = CAST('tasks.sealed_log' AS regclass)
        """;

    private const string LinesSql = """
        SELECT CAST(coalesce(sum(lines), 0) AS bigint) FROM tasks.sealed_log
        """;

    // Days that are over: not sealed (the host drops what it has emptied), or without the index, which is the last that is made of a day.
    private const string OpenSql = """
        SELECT (SELECT count(*) FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = CAST('tasks.log_line' AS regclass)
                AND c.relname ~ '_[0-9]{8}$' AND right(c.relname, 8) < to_char((now() - interval '1 hour') AT TIME ZONE 'UTC' - interval '1 day', 'YYYYMMDD'))
            + (SELECT count(*) FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = CAST('tasks.sealed_log' AS regclass)
                AND NOT EXISTS (SELECT FROM pg_index i JOIN pg_class n ON n.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisvalid
                    AND n.relname = c.relname || '_trgm'))
        """;

    public static async Task Run(BenchClient client, string postgres, double scale, bool fill, bool withLines)
    {
        if (fill)
        {
            if (postgres.Length == 0) throw new InvalidOperationException("--fill needs --postgres with the connection string of the host's database.");
            await using var connection = new NpgsqlConnection(postgres + ";Command Timeout=0");
            await connection.OpenAsync();
            var began = Stopwatch.GetTimestamp();
            var rows = await HistoryData.Fill(connection, scale, Console.Error.WriteLine, withLines);
            Console.Error.WriteLine($"filled in {Stopwatch.GetElapsedTime(began).TotalSeconds:0} s");
            if (withLines) await AwaitSeal(connection, rows);
            // An installation of years has its summaries; ten million ends in a few minutes are added up for a while.
            await using var pending = new NpgsqlCommand("SELECT EXISTS (SELECT FROM cron.summary_delta)", connection);
            while (await pending.ExecuteScalarAsync() is true) await Task.Delay(TimeSpan.FromSeconds(1));
            // Each of those additions leaves an old version of a row, thousands of a job within minutes: a hundred times the room that years need.
            const string Pack = "VACUUM (FULL, ANALYZE) cron.job_last, cron.job_day, cron.summary_delta";
            await using (var pack = new NpgsqlCommand(Pack, connection)) await pack.ExecuteNonQueryAsync();
            Console.Error.WriteLine($"added up after {Stopwatch.GetElapsedTime(began).TotalSeconds:0} s");
        }
        Table.Head("list", "rows", "count", "p50", "p95", "goal (p95)");
        var short_ = 0;
        foreach (var (name, path, goal) in HistoryLists.All)
        {
            var asked = HistoryLists.At(path, DateTimeOffset.UtcNow);
            JsonObject answer;
            try
            {
                answer = await client.Send(HttpMethod.Get, asked);
            }
            catch (InvalidOperationException error)
            {
                Table.Row(name, "-", "-", "-", "-", error.Message);
                short_++;
                continue;
            }
            var took = new List<double>();
            var rounds = goal > 100 ? 8 : Rounds;
            for (var round = -WarmUps; round < rounds; round++)
            {
                var began = Stopwatch.GetTimestamp();
                await client.Raw(HttpMethod.Get, asked);
                if (round >= 0) took.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
            }
            var p95 = Table.Percentile(took, 0.95);
            var isLate = took[(int)Math.Ceiling(0.95 * took.Count) - 1] > goal;
            if (isLate) short_++;
            var count = answer["count"]?.ToJsonString() ?? "-";
            if (answer["count_is_estimate"]?.GetValue<bool>() == true) count = "≈ " + count;
            if (answer["partial"]?.GetValue<bool>() == true) count += " (partial)";
            Table.Row(
                name,
                (answer["data"] as JsonArray)?.Count.ToString(CultureInfo.InvariantCulture) ?? "-",
                count,
                Table.Percentile(took, 0.5),
                isLate ? $"**{p95}**" : p95,
                $"≤ {goal} ms"
            );
        }
        Console.WriteLine();
        Console.WriteLine(short_ == 0 ? "Every line keeps its goal." : $"{short_} of {HistoryLists.All.Length} fall short of their goal.");
    }

    /// <summary>Waits until the host, which looks every 10 minutes, has sealed the days that are over, and prints what they took and take.</summary>
    /// <param name="rows">The bytes that they took as rows.</param>
    private static async Task AwaitSeal(NpgsqlConnection connection, long rows)
    {
        var began = Stopwatch.GetTimestamp();
        while (await Ask(connection, OpenSql) > 0) await Task.Delay(TimeSpan.FromSeconds(5));
        var (lines, bytes) = (await Ask(connection, LinesSql), await Ask(connection, SealedSql));
        Console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{lines} lines of days that are over: {rows >> 20} MB as rows, {bytes >> 20} MB sealed with the search's index, {(double)rows / bytes:0.0} "
                    + $"times smaller, after {Stopwatch.GetElapsedTime(began).TotalMinutes:0} min"
            )
        );
    }

    private static async Task<long> Ask(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return (long)(await command.ExecuteScalarAsync())!;
    }
}
