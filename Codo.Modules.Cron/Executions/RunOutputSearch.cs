using System.Globalization;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Codo.Platform.Ui;
using MediatR;

namespace Codo.Modules.Cron.Executions;

/// <summary>The output of jobs on the search page.</summary>
internal sealed class RunOutputSearch : IOutputSearch
{
    private const int Limit = 50;

    public string Key => "runs";

    public int Rank => 1;

    public string Icon => "ledger";

    public OutputSearchWords Words { get; } =
        new(
            new Text("任务的输出", "Output of jobs"),
            new Text("任务名称", "Job name"),
            new Text("任务", "Jobs"),
            new Text("执行", "Run"),
            new Text("结果", "Outcome"),
            count => new Text($"{count} 个任务", $"{count} jobs")
        );

    public string Within => "job_id";

    public bool IsSeen(Access access) => access.Sees(ResourceKind.Job) is { All: true } or { Spaces.Length: > 0 } or { Objects.Length: > 0 };

    public string Api(OutputSought sought) =>
        string.Create(CultureInfo.InvariantCulture, $"/v1/cron/log/search/?limit={Limit}&page={sought.Page}&context={sought.Context}")
            + $"&q={Uri.EscapeDataString(sought.Text)}"
            + Value("job_id", sought.Within) + Value("from", sought.From) + Value("to", sought.To);

    public async Task<OutputFound> Find(OutputSought sought, IMediator mediator, CancellationToken cancellation)
    {
        var found = await mediator.Send(
            new SearchRuns.Query(sought.Text, sought.Within, sought.From, sought.To, sought.Page, Limit, sought.Context),
            cancellation
        );
        var notes = new List<Text>();
        if (found.Partial) notes.Add(new Text("时间用完，更早的执行还没有查：请缩小时间范围", "Time was up before all was looked through: narrow the times for older runs"));
        if (found.Data.Any(row => row.LineCount > row.Lines.Count))
            notes.Add(new Text("同一次执行有很多行时只列出前 20 行", "Of a run with many such lines the first 20 are shown"));
        if (found.Data.Any(row => row.LinesPartial))
            notes.Add(new Text("输出很长的执行，只查了其中 1 MiB 里的行", "Of a run with a long output the lines within 1 MiB of it were looked through"));
        return new OutputFound([.. found.Data.SelectMany(row => row.Lines.Select(line => LineOf(row, line)))], found.More, notes);
    }

    private static OutputLine LineOf(SearchRuns.Row row, SearchRuns.Match line)
    {
        var face = ExecutionBadge.Of(row.Status);
        var id = row.LogId.ToString(CultureInfo.InvariantCulture);
        return new OutputLine(
            line.LogInfo,
            $"/runs/{id}"
                + (
                    line.Line is { } number ? $"#L{number.ToString(CultureInfo.InvariantCulture)}"
                    : row.Attempt is { } attempt ? $"?attempt={attempt.ToString(CultureInfo.InvariantCulture)}"
                    : ""
                ),
            line.Before ?? [],
            line.After ?? [],
            row.JobId,
            $"#{id}",
            $"/runs/{id}",
            face.Word.ToString(),
            row.ExecTime,
            face.Tone,
            face.Icon
        );
    }

    private static string Value(string name, string? text) => text is null ? "" : $"&{name}={Uri.EscapeDataString(text)}";
}
