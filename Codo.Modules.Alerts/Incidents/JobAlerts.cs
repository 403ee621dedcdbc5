using System.Globalization;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Events;
using Codo.Platform.Localization;
using MediatR;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>What the cron module tells becomes incidents.</summary>
internal sealed class JobAlerts(IncidentLog incidents, Zone zone)
    : INotificationHandler<ExecutionEnded>,
        INotificationHandler<FiresSkipped>,
        INotificationHandler<FiresMissed>,
        INotificationHandler<JobDeleted>,
        INotificationHandler<JobBroke>,
        INotificationHandler<JobMended>
{
    /// <summary>Jobs that the list of a downtime names; the rest is a number.</summary>
    private const int MostLines = 100;

    private const int MostOfCommand = 500;

    private const string More = "… +";

    public Task Handle(ExecutionEnded notification, CancellationToken cancellationToken) =>
        notification.Succeeded ? incidents.RecoverJob(notification.JobId) : incidents.Raise(Failure(notification));

    public async Task Handle(JobDeleted notification, CancellationToken cancellationToken)
    {
        await incidents.RecoverJob(notification.JobId, deleted: true);
        await incidents.Recover(Broken(notification.JobId), "deleted");
    }

    public Task Handle(FiresSkipped notification, CancellationToken cancellationToken) => incidents.Raise(new AlertEvent(
        "job", "skipped", $"job:{notification.JobId}:skipped", Info(notification.LogId, notification.JobId),
        notification.Times == 1
            ? new Text($"任务 {notification.JobId} 被跳过", $"Job {notification.JobId} was skipped")
            : new Text(
                $"任务 {notification.JobId} 连续跳过 {notification.Times} 次",
                $"Job {notification.JobId} was skipped {notification.Times} times in a row"
            ),
        new Text($"自 {zone.Text(notification.Since)} 起\n{notification.Cause.Zh}", $"Since {zone.Text(notification.Since)}\n{notification.Cause.En}"))
    {
        Subjects = [notification.JobId],
        Pending = [notification.JobId],
        People = Owners(notification.Owners),
        Space = notification.Space,
    });

    public Task Handle(JobBroke notification, CancellationToken cancellationToken) => incidents.Raise(new AlertEvent(
        "job", "broken", Broken(notification.JobId), Info(0, notification.JobId),
        new Text($"任务 {notification.JobId} 已损坏，不再执行", $"Job {notification.JobId} is broken and fires nothing"),
        new Text($"自 {zone.Text(notification.At)} 起\n{notification.Why.Zh}", $"Since {zone.Text(notification.At)}\n{notification.Why.En}"))
    {
        Subjects = [notification.JobId],
        People = Owners(notification.Owners),
        Space = notification.Space,
    });

    public Task Handle(JobMended notification, CancellationToken cancellationToken) => incidents.Recover(Broken(notification.JobId));

    /// <summary>A downtime is one incident a space: whoever may see the jobs of one must not read the names of another's.</summary>
    public async Task Handle(FiresMissed notification, CancellationToken cancellationToken)
    {
        foreach (var jobs in notification.Jobs.GroupBy(job => job.Space)) await Missed(jobs.Key, [.. jobs]);
    }

    private Task Missed(long space, IReadOnlyList<MissedJob> jobs)
    {
        var (from, noticed) = (jobs.Min(job => job.From), jobs.Max(job => job.NoticedAt));
        var ids = jobs.Select(job => job.JobId).Distinct(StringComparer.Ordinal).ToList();
        var lines = jobs.Select(Line).ToList();
        var trouble = new AlertEvent(
            "job",
            "missed",
            space == 1 ? "job:missed" : $"job:missed:{space}",
            Info(0, ids[0]),
            Downtime(from, noticed, ids.Count),
            new Text(List(lines, line => line.Zh), List(lines, line => line.En))
        )
        {
            Subjects = ids,
            Pending = ids,
            People = Owners(jobs.SelectMany(job => job.Owners)),
            Orphaned = jobs.Any(job => job.Owners.Count == 0),
            Space = space,
        };
        return incidents.Raise(
            trouble,
            from,
            open =>
                trouble with
                {
                    Title = Downtime(open.Ctime < from ? open.Ctime : from, noticed, open.Subjects.Union(ids).Count()),
                    Detail = new Text(
                        Added(open.DetailZh, lines.Select(line => line.Zh)),
                        Added(open.DetailEn, lines.Select(line => line.En))
                    ),
                }
        );
    }

    private static string Broken(string jobId) => $"job:{jobId}:broken";

    private AlertEvent Failure(ExecutionEnded ended)
    {
        var how = ended.Result switch
        {
            ExecutionOutcome.TimedOut => new Text("超时", "timed out"),
            ExecutionOutcome.Interrupted => new Text("被中断", "was interrupted"),
            _ => new Text("失败", "failed"),
        };
        var facts = new List<Text>();
        if (ended.ExitCode is { } code)
            facts.Add(new Text($"退出码 {code}", $"Exit code {code}"));
        if (ended.Node.Length > 0)
            facts.Add(new Text($"节点 {ended.Node}", $"On node {ended.Node}"));
        facts.Add(
            new Text($"{zone.Text(ended.StartedAt)} 开始，{zone.Text(ended.EndedAt)} 结束", $"From {zone.Text(ended.StartedAt)} to {zone.Text(ended.EndedAt)}")
        );
        if (ended.FailuresInARow > 1)
            facts.Add(new Text($"连续第 {ended.FailuresInARow} 次", $"{ended.FailuresInARow} times in a row"));
        if (ended.Cause.Zh.Length > 0)
            facts.Add(ended.Cause);
        facts.Add(Text.Same("$ " + Excerpt.Head(ended.Command, MostOfCommand)));
        return new AlertEvent("job", "failed", $"job:{ended.JobId}:failed", Info(ended.LogId, ended.JobId),
            new Text($"任务 {ended.JobId} {how.Zh}", $"Job {ended.JobId} {how.En}"), Joined(facts))
        {
            Subjects = [ended.JobId],
            Pending = [ended.JobId],
            Output = Excerpt.Tail(ended.Output),
            Streak = ended.FailuresInARow,
            People = Owners(ended.Owners),
            Space = ended.Space,
        };
    }

    private Text Line(MissedJob job)
    {
        var when = job.Times == 1 ? zone.Text(job.From) : $"{zone.Text(job.From)} – {zone.Text(job.Until)}";
        return new Text($"{job.JobId}：{job.Times} 次，{when}", $"{job.JobId}: {job.Times}, {when}");
    }

    private Text Downtime(DateTime from, DateTime until, int jobs)
    {
        var (first, last) = (TimeZoneInfo.ConvertTimeFromUtc(from, zone.Info), TimeZoneInfo.ConvertTimeFromUtc(until, zone.Info));
        // Without the days a weekend would read like a night.
        var form = first.Date == last.Date ? "HH:mm" : "MM-dd HH:mm";
        var time = $"{first.ToString(form, CultureInfo.InvariantCulture)}–{last.ToString(form, CultureInfo.InvariantCulture)}";
        return new Text($"Codo 停机 {time}，漏跑 {jobs} 个任务", $"Codo was down {time}, {jobs} job{(jobs == 1 ? "" : "s")} missed");
    }

    private static string List<T>(List<T> lines, Func<T, string> text, int more = 0)
    {
        var left = more + Math.Max(0, lines.Count - MostLines);
        return string.Join('\n', lines.Take(MostLines).Select(text)) + (left > 0 ? $"\n{More}{left}" : "");
    }

    // A list and what comes to it; what it has left out before stays counted.
    private static string Added(string before, IEnumerable<string> lines)
    {
        var known = before.Split('\n', StringSplitOptions.RemoveEmptyEntries).ToList();
        var more = 0;
        if (known.Count > 0 && known[^1].StartsWith(More, StringComparison.Ordinal)
            && int.TryParse(known[^1].AsSpan(More.Length), CultureInfo.InvariantCulture, out more))
            known.RemoveAt(known.Count - 1);
        return List([.. known, .. lines], line => line, more);
    }

    private static Text Joined(List<Text> facts) => new(string.Join('\n', facts.Select(fact => fact.Zh)), string.Join('\n', facts.Select(fact => fact.En)));

    private static string Info(long logId, string jobId) => $"ID-{logId} 任务-{jobId} 类型-cron";

    private static List<Person> Owners(IEnumerable<string> names) => [.. names.Distinct(StringComparer.Ordinal).Select(name => new Person(name))];
}
