using System.Globalization;

namespace Codo.Bench;

/// <summary>
/// What a host takes at rest, with its PostgreSQL and all that it has started: processor time of two minutes, four minutes after its start or its last job, and
/// memory without what is counted twice (PSS).
/// </summary>
internal static class IdleBench
{
    private const int Ticks = 100, Jobs = 10_000;

    // What a start sets off is over then: code that ran often is compiled anew, loops have found that there is nothing to do, memory is given back.
    private static readonly TimeSpan UntilRest = TimeSpan.FromMinutes(4), Stretch = TimeSpan.FromMinutes(2);

    public static async Task Run(BenchClient client, int pid, bool withJobs)
    {
        Table.Head("at rest", "processor", "memory (PSS)", "processes", "goal");
        await Task.Delay(UntilRest);
        await Measure("no jobs", pid, "≤ 1 %, ≤ 180 MB");
        if (!withJobs) return;
        // Each once a day, spread over it: one is due every 8 s or so.
        for (var i = 0; i < Jobs; i++)
        {
            var second = i * 86_400L / Jobs;
            await client.Send(
                HttpMethod.Post,
                "/v1/cron/job/",
                new
                {
                    job_id = $"bench {i}",
                    cmd = ":",
                    cron = $"{second % 60} {second / 60 % 60} {second / 3600} * * *",
                }
            );
        }
        await Task.Delay(UntilRest);
        await Measure("10,000 jobs", pid, "≤ 3 %, ≤ 250 MB");
    }

    private static async Task Measure(string what, int pid, string goal)
    {
        var before = Of(pid);
        await Task.Delay(Stretch);
        var after = Of(pid);
        var memory = after.Keys.Sum(Pss) / 1024.0;
        // Of a process that has ended meanwhile nothing is known; its last ticks are left out.
        var ticks = after.Sum(process => process.Value - before.GetValueOrDefault(process.Key));
        var share = ticks / (double)Ticks / Stretch.TotalSeconds;
        Table.Row(what, share.ToString("0.0 %", CultureInfo.InvariantCulture), $"{memory:0} MB", $"{after.Count}", goal);
    }

    private static Dictionary<int, long> Of(int root)
    {
        var processes = new Dictionary<int, (int Parent, long Ticks)>();
        foreach (var folder in Directory.GetDirectories("/proc").Where(name => int.TryParse(Path.GetFileName(name), out _)))
        {
            try
            {
                var words = File.ReadAllText(Path.Combine(folder, "stat"));
                var fields = words[(words.LastIndexOf(')') + 2)..].Split(' ');
                processes[int.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture)] = (int.Parse(fields[1], CultureInfo.InvariantCulture),
                    // Its own alone: a connection that ends in this minute hands the time of its whole life to its parent.
                    fields[11..13].Sum(field => long.Parse(field, CultureInfo.InvariantCulture)));
            }
            catch (IOException)
            {
                // It has ended in between.
            }
        }
        var tree = new List<int> { root };
        for (var i = 0; i < tree.Count; i++) tree.AddRange(processes.Where(process => process.Value.Parent == tree[i]).Select(process => process.Key));
        return tree.Where(processes.ContainsKey).ToDictionary(id => id, id => processes[id].Ticks);
    }

    private static long Pss(int pid)
    {
        try
        {
            return File.ReadLines($"/proc/{pid}/smaps_rollup")
                .Where(line => line.StartsWith("Pss:", StringComparison.Ordinal))
                .Sum(line => long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture));
        }
        catch (IOException)
        {
            return 0;
        }
    }
}
