using System.Globalization;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Cron.Jobs;

/// <summary>One job: how it runs, when it runs next, its last runs, and the form with every field.</summary>
public sealed partial class JobPage
{
    private const int Shown = 100, ShownVersions = 5;

    private string jobId = "";
    private JobView job = null!;
    private List<RecentRuns.Run> runs = [];
    // A run that goes on for days may be older than the last rows.
    private IReadOnlyList<ActiveRuns.Row> active = [];
    private RecentUsage.Result usage = null!;
    private List<NextTimes.Due> next = [];
    private ListJobVersions.Result versions = null!;
    private Dictionary<DateOnly, (long Runs, long Failed, long NotRun)> days = [];
    private DateOnly today;
    private string? mayNot, mayNotRun;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["jobs", "runs"];

    private string DeleteWords =>
        T(
            $"删除 {jobId}\n正在执行的运行会继续\n台账保留\n30 天内可恢复",
            $"Delete {jobId}\nWhat runs goes on\nThe ledger stays\nIt can be brought back for 30 days"
        );

    // Share of runs that started. Skipped and missed times are no failures, as in the bars.
    private string Success =>
        runs.Where(run => run.Status is not ("queued" or "running" or "skipped" or "missed")).ToList() is { Count: > 0 } ended
            ? $"{100.0 * ended.Count(run => run.Status == "success") / ended.Count:0.#} % "
                + T($"（最近 {ended.Count} 次）", $"(of the last {ended.Count})")
            : "–";

    private Dictionary<string, string> Values =>
        new(StringComparer.Ordinal)
        {
            ["job_id"] = jobId,
            ["version"] = job.Version.ToString(CultureInfo.InvariantCulture),
            ["cmd"] = job.Cmd,
            ["cron"] = job.Cron,
            ["time_zone"] = job.TimeZone,
            ["timeout"] = job.Timeout?.ToString(CultureInfo.InvariantCulture) ?? "",
            ["overlap"] = job.Overlap,
            ["misfire"] = job.Misfire,
            ["misfire_window"] = job.MisfireWindow.ToString(CultureInfo.InvariantCulture),
            ["retries"] = job.Retries.ToString(CultureInfo.InvariantCulture),
            ["retry_delay"] = job.RetryDelay.ToString(CultureInfo.InvariantCulture),
            ["env"] = string.Join('\n', job.Env.Select(pair => $"{pair.Key}={JobForm.Quoted(pair.Value)}")),
            ["working_directory"] = job.WorkingDirectory,
            ["interpreter"] = job.Interpreter,
            ["encoding"] = job.Encoding,
            ["run_as"] = job.RunAs,
            ["node"] = job.Node,
            ["description"] = job.Description,
            ["tags"] = string.Join(", ", job.Tags),
            ["owners"] = string.Join(", ", job.Owners),
            ["space"] = job.Space,
            ["secret_env"] = string.Join(", ", job.SecretEnv),
        };

    /// <inheritdoc/>
    protected override async Task Load()
    {
        jobId = Part("job_id");
        await foreach (var row in (await Send(new ListJobs.Query(1, 1, jobId, null, null, null, null, null))).Data) job = row;
        runs = [.. (await Send(new RecentRuns.Query([jobId], Shown))).Data[jobId]];
        active = (await Send(new ActiveRuns.Query(Shown, jobId))).Data;
        usage = await Send(new RecentUsage.Query(jobId, Shown));
        today = DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(Time.GetUtcNow(), Zone.Info).Date);
        var year = today.AddDays(-370).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
        days = (await Send(new ShowStatistics.Query(year, null, jobId, null, 1))).Days.ToDictionary(
            day => DateOnly.ParseExact(day.Day, "yyyy-MM-dd", CultureInfo.InvariantCulture),
            day => (day.Runs, day.Failed, day.Skipped + day.Missed)
        );
        if (job.Status == "1" && !JobListPage.IsHeld(job)) job = job with { Held = (await Send(new ShowRelease.Query(jobId))).Cause };
        versions = await Send(new ListJobVersions.Query(jobId, 1, ShownVersions));
        var resource = new Resource(ResourceKind.Job, jobId, job.SpaceId);
        mayNot = await MayNot(Verbs.Edit, resource);
        mayNotRun = await MayNot(Verbs.Run, resource);
        if (job is { State: "running" }) next = (await Send(new NextTimes.Query(job.Cron, job.TimeZone, 10))).Data;
    }

    private double? Percentile(double part)
    {
        var ended = runs.Where(run => run is { Status: "success" or "faild", Seconds: not null }).Select(run => run.Seconds!.Value).Order().ToList();
        return ended.Count == 0 ? null : ended[(int)Math.Ceiling(part * ended.Count) - 1];
    }
}
