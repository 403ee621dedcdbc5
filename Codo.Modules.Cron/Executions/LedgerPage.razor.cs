namespace Codo.Modules.Cron.Executions;

/// <summary>Every due time of every job, newest first: it ran, or it did not, and why.</summary>
public sealed partial class LedgerPage
{
    private const int Limit = 100;

    private ListLogs.Result found = null!;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["runs"];

    private string Api =>
        $"/v1/cron/log/?limit={Limit}"
        + (Statuses is { } status ? $"&status={status}" : "")
        + (Asked("view") == "failed" ? "&failed=true" : "")
        + (Asked("job_id") is { } job ? $"&job_id={Uri.EscapeDataString(job)}" : "");

    private static IEnumerable<(string Value, string Word)> Views =>
        [
            ("", T("全部", "All")),
            ("not-run", T("没有执行的", "What did not run")),
            ("failed", T("出错的", "What went wrong")),
            ("running", T("正在执行", "What runs")),
        ];

    private string? Statuses =>
        Asked("view") switch
        {
            "not-run" => "skipped,missed",
            "running" => "running,queued",
            _ => null,
        };

    /// <inheritdoc/>
    protected override async Task Load() =>
        found = await Send(
            new ListLogs.Query(
                PageNumber,
                Limit,
                null,
                null,
                Asked("start_date"),
                Asked("end_date"),
                Asked("job_id"),
                Statuses,
                Asked("view") == "failed" ? true : null,
                Asked("tag"),
                Asked("owner"),
                Asked("q")
            )
        );

    private static string LastLine(ListLogs.LogView row)
    {
        var line = row.TaskLog.TrimEnd().Split('\n')[^1];
        return line.Length > 200 ? line[..200] + "…" : line;
    }
}
