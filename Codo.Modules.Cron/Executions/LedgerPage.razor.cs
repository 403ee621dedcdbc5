namespace Codo.Modules.Cron.Executions;

/// <summary>Every due time of every job, newest first: it ran, or it did not, and why.</summary>
public sealed partial class LedgerPage
{
    private const int Limit = 100;

    private ListLogs.Result found = null!;
    private IReadOnlyDictionary<long, string> lastLines = new Dictionary<long, string>();

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["runs"];

    private string Api
    {
        get
        {
            var filters = new List<string>();
            if (Statuses is { } status) filters.Add($"status={status}");
            if (Asked("view") == "failed") filters.Add("failed=true");
            foreach (var name in new[] { "start_date", "end_date", "job_id", "tag", "owner", "q" })
                if (Asked(name) is { } value) filters.Add($"{name}={Uri.EscapeDataString(value)}");
            return Paged("/v1/cron/log/" + (filters.Count == 0 ? "" : "?" + string.Join('&', filters)), Limit);
        }
    }

    private static IEnumerable<(string Value, string Word)> Views =>
        [
            ("", T("全部", "All")),
            ("not-run", T("没有执行的", "What did not run")),
            ("failed", T("出错的", "What went wrong")),
            ("running", T("正在执行", "What runs")),
        ];

    // An empty list says so only where nothing narrows it.
    private bool AllRan =>
        Asked("view") == "not-run" && !found.Partial && Context.Request.Query.All(pair => pair.Key == "view" || string.IsNullOrEmpty(pair.Value));

    private string? Statuses =>
        Asked("view") switch
        {
            "not-run" => "skipped,missed",
            "running" => "running,queued",
            _ => null,
        };

    /// <inheritdoc/>
    protected override async Task Load()
    {
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
        // Of a long output the list has the beginning alone, and what runs has said more since.
        var cut = found.Data
            .Where(row => row.Status == "running" || LineOf(row) == ExecutionStore.RestAt(row.LogId))
            .Select(row => row.LogId)
            .ToArray();
        if (cut.Length > 0) lastLines = (await Send(new LastLines.Query(cut))).Data;
    }

    private static string LineOf(ListLogs.LogView row) => row.TaskLog.TrimEnd().Split('\n')[^1];

    private string LastLine(ListLogs.LogView row)
    {
        var line = lastLines.GetValueOrDefault(row.LogId) ?? LineOf(row);
        return line.Length > 200 ? line[..200] + "…" : line;
    }
}
