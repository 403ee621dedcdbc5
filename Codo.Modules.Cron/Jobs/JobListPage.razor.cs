using System.Globalization;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Cron.Jobs;

/// <summary>All jobs: what each is, how its last runs went, when it runs next, and why it does not.</summary>
public sealed partial class JobListPage
{
    private const int Limit = 50;

    // By name: a row keeps its place while one works on the list, also when its job fires or is paused.
    private const string Sort = "job_id";

    private readonly List<JobView> rows = [];
    private ILookup<string, RecentRuns.Run> recent = null!;
    private readonly Dictionary<string, (string? MayNotRun, string? MayNotEdit)> rights = new(StringComparer.Ordinal);
    private string? mayNot;
    private long count;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["jobs", "runs"];

    private string Api => Paged("/v1/cron/job/" + With("sort", Sort)[Context.Request.Path.Value!.Length..], Limit);

    private string First =>
        $"curl -H \"auth-key: $CODO_TOKEN\" {Context.Request.Scheme}://{Context.Request.Host}/v1/cron/job/ \\\n"
        + "  -d '{\"job_id\": \"hello\", \"cmd\": \"date; uptime\", \"cron\": \"0 * * * * *\"}'";

    private static IEnumerable<(string Value, string Word)> States =>
        [
            ("", T("全部状态", "All states")),
            ("0", T("启用", "Running")),
            ("1", T("已暂停", "Paused")),
            ("broken", T("损坏", "Broken")),
            ("faild,timeout,killed,interrupted", T("最近一次出错", "Last run went wrong")),
            ("missed", T("最近一次错过", "Last time missed")),
        ];

    /// <summary>The next time of a job that runs.</summary>
    internal static DateTime? NextOf(JobView job) =>
        DateTimeOffset.TryParse(job.NextRunTime, CultureInfo.InvariantCulture, DateTimeStyles.None, out var next) ? next.UtcDateTime : null;

    /// <summary>Whether a high-risk rule keeps it paused: whoever lets it run releases its command.</summary>
    internal static bool IsHeld(JobView job) => job.Held.En.Length > 0;

    /// <summary>The word of the button that pauses a job, or lets it run again.</summary>
    internal static string PauseWord(JobView job) =>
        IsHeld(job) ? T("放行并恢复", "Release and resume")
        : job.Status == "1" ? T("恢复", "Resume")
        : T("暂停", "Pause");

    /// <summary>What is asked before a held job runs again: a second person has to see the rule and the command. Null asks nothing.</summary>
    internal static string? ReleaseQuestion(JobView job) =>
        IsHeld(job)
            ? T($"放行并恢复 {job.JobId}\n{job.Held.Zh}\n{job.Cmd}", $"Release and resume {job.JobId}\n{job.Held.En}\n{job.Cmd}")
            : null;

    /// <summary>The word of its undo; null where there is none: a pause does not take a release back.</summary>
    internal static string? PauseUndo(JobView job) => IsHeld(job) ? null : T("撤销", "Undo");

    /// <inheritdoc/>
    protected override async Task Load()
    {
        var (status, tag, owner, text) = (Asked("status"), Asked("tag"), Asked("owner"), Asked("q"));
        var found = await Send(new ListJobs.Query(PageNumber, Limit, null, status, tag, owner, text, Asked("space"), Sort));
        await foreach (var job in found.Data) rows.Add(job);
        count = found.Count;
        recent = (await Send(new RecentRuns.Query([.. rows.Select(job => job.JobId)], 20))).Data;
        mayNot = MayNot(Right.ToMake(ResourceKind.Job));
        foreach (var job in rows)
        {
            var resource = new Resource(ResourceKind.Job, job.JobId, job.SpaceId);
            rights[job.JobId] = (await MayNot(Verbs.Run, resource), await MayNot(Verbs.Edit, resource));
        }
    }

    // The list has the beginning of a long command alone.
    private static string? ReleaseElsewhere(JobView job) =>
        IsHeld(job) && !job.Cmd.IsWithin(Excerpt.Length)
            ? T("命令过长：请在任务页查看后放行", "The command is long: look at it and release it on the job's page")
            : null;

    private static string FirstLine(string text) => text.Split('\n', 2)[0] is { Length: > 160 } line ? line[..160] + "…" : text.Split('\n', 2)[0];

    private static IEnumerable<string> Owners(JobView job) => job.Owners.Length > 0 ? job.Owners : [job.Creator];

    private List<(long, string, DateTime, double?)> Bars(string jobId) => [.. recent[jobId].Select(run => (run.LogId, run.Status, run.ExecTime, run.Seconds))];
}
