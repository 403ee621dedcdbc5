using System.Diagnostics;
using System.Globalization;
using Npgsql;

namespace Codo.Bench;

/// <summary>
/// A hundred fires a second for hours. Each minute a line: how many ran, how late a probe was, how long the job list and the newest page of the ledger took,
/// and how large the tables are whose rows come and go. What is dead weight shows as a size or a latency that grows.
/// </summary>
internal static class SoakBench
{
    private const int Jobs = 100;

    private const string SizesSql = """
        SELECT string_agg(name || ' ' || pg_total_relation_size(name) / 1024, ', ' ORDER BY name) FROM unnest(ARRAY['cron.active_execution', 'cron.job',
            'cron.dashboard_job', 'cron.summary_delta', 'platform.outbox', 'platform.node', 'hangfire.job', 'hangfire.state', 'hangfire.jobqueue',
            'hangfire.set', 'hangfire.hash']) AS t(name)
        """;

    public static async Task Run(BenchClient client, string postgres, int minutes)
    {
        var file = Path.GetTempFileName();
        // Commands run as a user of their own.
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite);
        await Make(client, "bench probe", $"echo \"$CODO_NOMINAL_TIME $(date +%s%3N)\" >> {file}");
        for (var i = 1; i < Jobs; i++) await Make(client, $"bench {i}", ":");
        Table.Head("minute", "probe ran", "late p50", "late p95", "job list", "ledger", "kB of tables");
        var skip = 0;
        for (var minute = 1; minute <= minutes; minute++)
        {
            await Task.Delay(TimeSpan.FromMinutes(1));
            var lines = await File.ReadAllLinesAsync(file);
            var late = lines
                .Skip(skip)
                .Select(line => line.Split(' '))
                .Select(words =>
                    (
                        DateTimeOffset.FromUnixTimeMilliseconds(long.Parse(words[1], CultureInfo.InvariantCulture))
                        - DateTimeOffset.Parse(words[0], CultureInfo.InvariantCulture)
                    ).TotalMilliseconds
                )
                .ToList();
            skip = lines.Length;
            Table.Row(
                minute.ToString(CultureInfo.InvariantCulture),
                late.Count.ToString(CultureInfo.InvariantCulture),
                Table.Percentile(late, 0.5),
                Table.Percentile(late, 0.95),
                Table.Ms(await Took(client, "/v1/cron/job/?limit=112")),
                Table.Ms(await Took(client, "/v1/cron/log/")),
                await Sizes(postgres)
            );
        }
        for (var i = 1; i < Jobs; i++) await client.Send(HttpMethod.Delete, "/v1/cron/job/", new { job_id = $"bench {i}" });
        await client.Send(HttpMethod.Delete, "/v1/cron/job/", new { job_id = "bench probe" });
        File.Delete(file);
    }

    private static Task Make(BenchClient client, string id, string command) =>
        client.Send(
            HttpMethod.Post,
            "/v1/cron/job/",
            new
            {
                job_id = id,
                cmd = command,
                cron = "* * * * * *",
                overlap = "allow",
            }
        );

    private static async Task<double> Took(BenchClient client, string path)
    {
        var took = new List<double>();
        for (var i = 0; i < 20; i++)
        {
            var began = Stopwatch.GetTimestamp();
            await client.Raw(HttpMethod.Get, path);
            took.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }
        took.Sort();
        return took[18];
    }

    private static async Task<string> Sizes(string postgres)
    {
        if (postgres.Length == 0) return "-";
        await using var connection = new NpgsqlConnection(postgres);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(SizesSql, connection);
        return (string)(await command.ExecuteScalarAsync())!;
    }
}
