using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Npgsql;

namespace Codo.Bench;

/// <summary>How long each list of the API takes in a database of years (<see cref="HistoryData"/>), filter by filter and page by page, caches warm.</summary>
internal static class HistoryBench
{
    private const int Rounds = 30, WarmUps = 5;

    public static async Task Run(BenchClient client, string postgres, double scale, bool fill, bool withLines)
    {
        if (fill)
        {
            if (postgres.Length == 0) throw new InvalidOperationException("--fill needs --postgres with the connection string of the host's database.");
            await using var connection = new NpgsqlConnection(postgres + ";Command Timeout=0");
            await connection.OpenAsync();
            var began = Stopwatch.GetTimestamp();
            await HistoryData.Fill(connection, scale, Console.Error.WriteLine, withLines);
            Console.Error.WriteLine($"filled in {Stopwatch.GetElapsedTime(began).TotalSeconds:0} s");
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
}
