using System.Diagnostics;
using System.Globalization;
using Npgsql;

namespace Codo.Bench;

/// <summary>
/// From a backup back to a host that answers, with a private PostgreSQL: an installation with a history is backed up while its host runs, restored into a new
/// data directory, and a host started there, which is held.
/// </summary>
internal static class RecoverBench
{
    private const string SizeSql = """
        SELECT pg_database_size(current_database()), (SELECT count(*) FROM cron.cron_log), (SELECT count(*) FROM tasks.scheduler_task_list),
            (SELECT count(*) FROM tasks.scheduler_task_log), (SELECT count(*) FROM platform.audit)
        """;

    /// <param name="codo">The binary.</param>
    /// <param name="scale">Of the history: 0.01 is 100,000 rows of the ledger and 1,000 orders.</param>
    /// <param name="withLines">Whether each step of an order has 100 lines of output.</param>
    public static async Task Run(string codo, double scale, bool withLines)
    {
        var folder = Directory.CreateTempSubdirectory("codo-recover-");
        // Root's PostgreSQL is another user, who has to get through here.
        folder.UnixFileMode |= UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        try
        {
            var (before, after) = (Path.Combine(folder.FullName, "before"), Path.Combine(folder.FullName, "after"));
            var (file, keys) = (Path.Combine(folder.FullName, "backup"), Path.Combine(folder.FullName, "keys"));
            double backup;
            string[] history;
            await using (await BenchHost.Start(codo, before))
            {
                history = await Fill(before, scale, withLines);
                backup = await Timed(codo, ["backup", file, "--keys", keys], before);
            }

            var restore = await Timed(codo, ["restore", file, "--keys", keys], after);
            await using var host = await BenchHost.Start(codo, after);
            if (!await IsHeld(codo, host)) throw new InvalidOperationException("The restored host is not held.");
            Table.Head("ledger", "orders", "lines", "audit", "database", "backup file", "`codo backup`", "`codo restore`", "start to the first answer", "both");
            var start = host.Ready / 1000;
            Table.Row([.. history, Size(new FileInfo(file).Length), Seconds(backup), Seconds(restore), Seconds(start), Seconds(restore + start)]);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task<string[]> Fill(string data, double scale, bool withLines)
    {
        await using var connection = new NpgsqlConnection($"Host={Path.Combine(data, "postgres-socket")};Username=codo;Database=codo;Pooling=false");
        await connection.OpenAsync();
        await HistoryData.Fill(connection, scale, Console.Error.WriteLine, withLines);
        await using var command = new NpgsqlCommand(SizeSql, connection) { CommandTimeout = 0 };
        await using var reader = await command.ExecuteReaderAsync();
        await reader.ReadAsync();
        return [.. Enumerable.Range(1, 4).Select(place => reader.GetInt64(place).ToString("N0", CultureInfo.InvariantCulture)), Size(reader.GetInt64(0))];
    }

    private static async Task<double> Timed(string codo, string[] arguments, string data)
    {
        var began = Stopwatch.GetTimestamp();
        Console.Error.Write(await BenchHost.Programs.Said(codo, arguments, ("Codo__DataDirectory", data), ("Codo__MinFreeDisk", "0")));
        return Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    private static async Task<bool> IsHeld(string codo, BenchHost host)
    {
        using var http = new HttpClient { BaseAddress = new Uri(host.Address), DefaultRequestHeaders = { { "auth-key", await host.Token(codo) } } };
        return (await http.GetStringAsync("/v2/hold/")).Contains("\"held\":true", StringComparison.Ordinal);
    }

    private static string Seconds(double seconds) => string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0} s");

    private static string Size(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0} MiB");
}
