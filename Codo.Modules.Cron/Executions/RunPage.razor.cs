using Codo.Platform.Http;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// One execution: its output as it comes, of the newest attempt or from the one in <c>attempt</c> on; for one that failed why, with its last line; for a time
/// that did not run why not.
/// </summary>
public sealed partial class RunPage
{
    // Enough of an output for its last line.
    private const int LastLine = 400;

    // A run of any age: the list's own default is a month.
    private const string Earliest = "2000-01-01";

    private readonly List<AttemptView> attempts = [];
    private long id;
    // Whose output is shown from; null is the newest attempt.
    private int? chosen;
    private ListLogs.LogView run = null!;
    private ShowUsage.Result usage = null!;
    private RunFacts.Result facts = null!;
    private string? mayNotKill, mayNotRun;
    private string lastLine = "";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics =>
        [$"run:{Context.Request.RouteValues["log_id"]}", $"usage:{Context.Request.RouteValues["log_id"]}"];

    // Before there is a run, the page says that there is none.
    private string Name => run is null ? T($"运行 {id}", $"Run {id}") : run.JobId;

    private ExecutionBadge Face => ExecutionBadge.Of(run.Status);

    private string Why =>
        attempts.Count > 0 && attempts[^1].Cause.Length > 0 ? attempts[^1].Cause
        : run.Status is "skipped" or "missed" || IsWaitingForNode ? run.TaskLog
        : run.ExitCode is { } code ? T($"退出码 {code}", $"Exit code {code}")
        : Face.Word.ToString();

    // Before its first attempt a queued run has no output: what it says is why it waits.
    private bool IsWaitingForNode => run.Status == "queued" && attempts.Count == 0 && run.TaskLog.Length > 0;

    private string TriggerWord =>
        run.Trigger switch
        {
            "manual" => T($"{run.By} 手动运行", $"by hand, {run.By}"),
            "catch_up" => T("补执行", "catch-up"),
            _ => T("时间表", "schedule"),
        };

    /// <inheritdoc/>
    protected override async Task Load()
    {
        id = NumberPart("log_id");
        var found = await Send(new ListLogs.Query(1, 1, "log_id", $"{id}", Earliest, null, null, null, null, null, null, null));
        run = found.Data.FirstOrDefault() ?? throw Refusal.NotFound($"没有运行 {id}", $"There is no run {id}");
        usage = await Send(new ShowUsage.Query(id));
        facts = await Send(new RunFacts.Query(id));
        mayNotKill = await MayNot(Verbs.Run, facts.Job);
        // Another job of its name is another job.
        mayNotRun = facts.IsDeleted ? T("任务已删除", "The job is deleted") : mayNotKill;
        foreach (var node in run.Attempts?.AsArray() ?? [])
            attempts.Add(
                new AttemptView(
                    (int)node!["attempt"]!,
                    (string)node["node"]!,
                    (string)node["status"]!,
                    (double?)node["seconds"],
                    (int?)node["left_alive"],
                    (string?)node["cause"] ?? ""
                )
            );
        chosen = attempts.Find(attempt => attempt.Number == AskedNumber("attempt"))?.Number;
        if (Face.Tone != "bad") return;
        lastLine = (await Send(new LastLines.Query([id]))).Data.GetValueOrDefault(id) ?? LastOfLog();
        if (lastLine.Length > LastLine) lastLine = lastLine[..LastLine] + "…";
    }

    private string LastOfLog()
    {
        var text = run.TaskLog.TrimEnd();
        if (Why.Length > 0 && text.EndsWith(Why, StringComparison.Ordinal)) text = text[..^Why.Length].TrimEnd();
        return text.Split('\n')[^1];
    }

    private sealed record AttemptView(int Number, string Node, string Status, double? Seconds, int? LeftAlive, string Cause);
}
