using System.Globalization;
using Codo.Modules.Cron.Schedules;
using Codo.Platform.Localization;

namespace Codo.Modules.Cron.Executions;

/// <summary>What one job's due times become. Pure: everything that it depends on is an argument, so that each policy can be walked through in a test.</summary>
internal static class Accounting
{
    /// <summary>A due time noticed later than this is a misfire, unless Codo itself held it up. Waiting for a free slot afterwards is not lateness.</summary>
    public static readonly TimeSpan Late = TimeSpan.FromSeconds(5);

    /// <summary>With <c>misfire: all</c> at most this many are made up for at once; the older ones are missed.</summary>
    public const int MostCatchUps = 1000;

    /// <summary>The job as the ledger needs it.</summary>
    /// <param name="AccountedTo">Every due time up to here is in the ledger already.</param>
    /// <param name="SteadySince">Since when Codo has looked for due jobs without a pause, and PostgreSQL's clock was not set: what was due after that is not
    /// late because Codo was away, only held up by Codo itself.</param>
    /// <param name="Gap">Set when the due times up to now are recorded as missed for a reason of their own: the job was broken, or its account was ahead of the
    /// clock. Those of a paused job would not have run: they are skipped.</param>
    /// <param name="Skip">Set when a rule keeps the command from running: due times are skipped.</param>
    /// <param name="Held">Set where the installation was restored: due times up to its release are skipped.</param>
    internal sealed record Due(
        CronExpression Expression,
        TimeZoneInfo Zone,
        bool Paused,
        string Overlap,
        string Misfire,
        TimeSpan MisfireWindow,
        DateTimeOffset AccountedTo,
        DateTimeOffset SteadySince,
        GapReason? Gap = null,
        GapReason? Skip = null,
        HeldTimes? Held = null
    );

    /// <summary>Due times that nothing runs for because the installation was restored from a backup and held.</summary>
    /// <param name="Until">When it was released; the end of time while it is held.</param>
    internal sealed record HeldTimes(DateTimeOffset Until, Text Cause);

    /// <summary>Why due times are recorded as missed whatever the misfire policy says.</summary>
    /// <param name="Key">Neighbouring stretches with the same key are one row.</param>
    internal sealed record GapReason(string Key, Text Cause);

    /// <summary>Executions of the job that are queued, running or waiting for their retry; nobody asks for those of a job whose runs may overlap.</summary>
    /// <param name="First">The log id of the oldest, 0 without one.</param>
    internal readonly record struct Active(int Count, long First);

    /// <summary>One entry of the ledger: a fire, or a stretch of due times that do not run for one reason.</summary>
    /// <param name="Reason">Neighbouring stretches with the same reason are one row; null for a fire.</param>
    internal sealed record Entry(ExecutionStatus Status, string Trigger, DateTimeOffset From, DateTimeOffset Until, int Times, string? Reason, Text Cause);

    /// <summary>The entries in order, what <c>replace</c> ends, up to when the job is accounted for, and the next due time.</summary>
    internal sealed record Outcome(List<Entry> Entries, bool StopOthers, DateTimeOffset AccountedTo, DateTimeOffset? NextRunAt);

    /// <summary>
    /// Due times of one job that one pass works out; the next pass goes on. A job that was away for a year must not hold up the others for a minute.
    /// </summary>
    public const int MostTimes = 20_000;

    /// <summary>What lies further back is not worked out at all: no downtime is that long, a damaged row is.</summary>
    private static readonly TimeSpan Furthest = TimeSpan.FromDays(400);

    /// <summary>
    /// Accounts for every due time in (<see cref="Due.AccountedTo"/>, <paramref name="now"/>], or for the first <see cref="MostTimes"/> of them where more are
    /// long past.
    /// </summary>
    public static Outcome Account(Due job, Active unfinished, DateTimeOffset now)
    {
        if (job.AccountedTo < now - Furthest) job = job with { AccountedTo = now - Furthest };
        var (times, upTo) = Times(job, now);
        var entries = new List<Entry>();
        var stopOthers = false;
        if (job.Held is { } held && job.Gap is null && !job.Paused)
        {
            // Of a release the past is skipped as well: what was due in the hold must not come in a burst behind it.
            foreach (var time in times.TakeWhile(time => time <= held.Until)) Skip(entries, ExecutionStatus.Skipped, time, "held", held.Cause);
            times = [.. times.SkipWhile(time => time <= held.Until)];
        }
        if (job.Paused)
        {
            foreach (var time in times) Skip(entries, ExecutionStatus.Skipped, time, "paused", new Text("任务已暂停", "The job is paused"));
        }
        else if (job.Gap is { } gap)
        {
            foreach (var time in times) Skip(entries, ExecutionStatus.Missed, time, gap.Key, gap.Cause);
        }
        else if (job.Skip is { } skip)
        {
            foreach (var time in times) Skip(entries, ExecutionStatus.Skipped, time, skip.Key, skip.Cause);
        }
        else
        {
            var active = unfinished.Count;
            var blocker = unfinished.First;
            foreach (var (time, trigger) in Fires(job, times, now, entries))
            {
                // Each of them is to run. The queue starts one at a time: that those before it have not ended is no reason to leave it out.
                var isMadeUp = trigger == "catch_up" && job.Misfire == "all" && unfinished.Count == 0;
                if (job.Overlap == "skip" && active > 0 && !isMadeUp)
                {
                    Skip(entries, ExecutionStatus.Skipped, time, $"overlap {blocker}", Overlaps("skip", blocker));
                    continue;
                }
                // One that is to run and one that waits for it.
                if (job.Overlap == "queue" && active > 1 && !isMadeUp)
                {
                    Skip(entries, ExecutionStatus.Skipped, time, $"overlap {blocker}", Overlaps("queue", blocker));
                    continue;
                }
                if (job.Overlap == "replace")
                {
                    stopOthers = true;
                    // Of several that fall due at once the newest runs.
                    for (var i = 0; i < entries.Count; i++)
                        if (entries[i].Status == ExecutionStatus.Queued)
                            entries[i] = entries[i] with
                            {
                                Status = ExecutionStatus.Skipped,
                                Reason = "replaced",
                                Cause = new Text("被更新的一次执行取代（overlap=replace）", "A newer fire took its place (overlap=replace)"),
                            };
                }
                active++;
                entries.Add(new Entry(ExecutionStatus.Queued, trigger, time, time, 1, null, default));
            }
        }
        return new Outcome(entries, stopOthers, upTo, job.Expression.Next(upTo, job.Zone));
    }

    // Cut only where every policy agrees that what comes before is missed: one catch-up must not become two.
    private static (List<DateTimeOffset> Times, DateTimeOffset UpTo) Times(Due job, DateTimeOffset now)
    {
        var times = new List<DateTimeOffset>();
        foreach (var time in job.Expression.Between(job.AccountedTo, now, job.Zone))
        {
            if (times.Count >= MostTimes && now - times[^1] > job.MisfireWindow && now - times[^1] > Late) return (times, times[^1]);
            times.Add(time);
        }
        return (times, now);
    }

    // What is to run, oldest first; what is missed goes to the entries on the way.
    private static List<(DateTimeOffset Time, string Trigger)> Fires(Due job, List<DateTimeOffset> times, DateTimeOffset now, List<Entry> entries)
    {
        var fires = new List<(DateTimeOffset, string)>();
        var late = new Queue<DateTimeOffset>();
        var keep = job.Misfire switch { "all" => MostCatchUps, "once" => 1, _ => 0 };
        foreach (var time in times)
        {
            // Codo was there all the time and could not account for it, for example because the job's row was locked: not a misfire.
            var heldUp = time >= job.SteadySince && now - time <= job.MisfireWindow;
            if (now - time <= Late || heldUp)
            {
                fires.Add((time, "schedule"));
                continue;
            }
            if (keep == 0 || now - time > job.MisfireWindow) Miss(time);
            else late.Enqueue(time);
            if (late.Count > keep) Miss(late.Dequeue());
        }
        fires.InsertRange(0, late.Select(time => (time, "catch_up")));
        return fires;

        void Miss(DateTimeOffset time) => Skip(entries, ExecutionStatus.Missed, time, $"late {job.Misfire}", new Text(
            $"错过：到期 5 秒之后才被处理（停机、数据库不可用或节点繁忙），misfire={job.Misfire}，窗口 {Seconds(job.MisfireWindow)} 秒",
            $"Missed: noticed more than 5 s late (downtime, no database, or a busy node), misfire={job.Misfire}, window {Seconds(job.MisfireWindow)} s"));
    }

    private static Text Overlaps(string policy, long blocker) => blocker > 0
        ? new Text($"上一次执行（日志 {blocker}）尚未结束，overlap={policy}", $"The previous run (log {blocker}) has not ended, overlap={policy}")
        : new Text($"上一次执行尚未结束，overlap={policy}", $"The previous run has not ended, overlap={policy}");

    // A stretch for one reason is one entry however long it is.
    private static void Skip(List<Entry> entries, ExecutionStatus status, DateTimeOffset time, string reason, Text cause)
    {
        if (entries.Count > 0 && entries[^1] is var last && last.Reason == reason && last.Status == status)
            entries[^1] = last with { Until = time, Times = last.Times + 1 };
        else
            entries.Add(new Entry(status, "schedule", time, time, 1, reason, cause));
    }

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("0", CultureInfo.InvariantCulture);
}
