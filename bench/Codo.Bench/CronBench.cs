using System.Globalization;

namespace Codo.Bench;

/// <summary>How many of the due times ran, and how late: each command writes its due time and the clock.</summary>
internal static class CronBench
{
    private static readonly (int Jobs, int Every, int Seconds, string Goal)[] Loads =
    [
        (1, 1, 60, "60 of 60, p95 ≤ 150 ms"),
        (100, 5, 30, "600 of 600, p95 ≤ 1.5 s"),
        (300, 5, 30, "1,800 of 1,800, p95 ≤ 4 s"),
    ];

    public static async Task Run(BenchClient client)
    {
        Table.Head("load", "ran", "late p50", "late p95", "late max", "goal");
        foreach (var (jobs, every, seconds, goal) in Loads)
        {
            var file = Path.GetTempFileName();
            // Commands run as a user of their own.
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite);
            for (var i = 0; i < jobs; i++)
                await client.Send(
                    HttpMethod.Post,
                    "/v1/cron/job/",
                    new
                    {
                        job_id = $"bench {i}",
                        cmd = $"echo \"$CODO_NOMINAL_TIME $(date +%s%3N)\" >> {file}",
                        cron = $"*/{every} * * * * *",
                        overlap = "allow",
                    }
                );
            // From the first due time after all jobs are there, over the stretch, and until the last of it has had its time.
            var from = Ceiling(DateTimeOffset.UtcNow.AddSeconds(2), every);
            var until = from.AddSeconds(seconds);
            await Task.Delay(until.AddSeconds(10) - DateTimeOffset.UtcNow);
            for (var i = 0; i < jobs; i++)
                await client.Send(HttpMethod.Delete, "/v1/cron/job/", new { job_id = $"bench {i}" });
            var late = (await File.ReadAllLinesAsync(file))
                .Select(line => line.Split(' '))
                .Select(words =>
                    (
                        Due: DateTimeOffset.Parse(words[0], CultureInfo.InvariantCulture),
                        Ran: DateTimeOffset.FromUnixTimeMilliseconds(long.Parse(words[1], CultureInfo.InvariantCulture))
                    )
                )
                .Where(run => run.Due >= from && run.Due < until)
                .Select(run => (run.Ran - run.Due).TotalMilliseconds)
                .ToList();
            Table.Row(
                $"{jobs} jobs every {every} s, {seconds} s",
                $"{late.Count} of {jobs * seconds / every}",
                Table.Percentile(late, 0.5),
                Table.Percentile(late, 0.95),
                Table.Percentile(late, 1),
                goal
            );
            File.Delete(file);
        }
    }

    private static DateTimeOffset Ceiling(DateTimeOffset time, int seconds)
    {
        var unix = time.ToUnixTimeSeconds();
        return DateTimeOffset.FromUnixTimeSeconds(unix + seconds - (unix % seconds));
    }
}
