using Codo.Platform.Localization;
using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Cron.Executions;

/// <summary>The last twenty runs of a job as bars, the newest last: the height is the duration against the longest, the colour the outcome.</summary>
public sealed partial class RunBars
{
    private const int Most = 20, Step = 7, Width = Most * Step, Highest = 22, Lowest = 4;

    private readonly List<Bar> bars = [];

    /// <summary>Each run's id, status, start and seconds, the newest first.</summary>
    [Parameter]
    public IReadOnlyList<(long LogId, string Status, DateTime At, double? Seconds)> Runs { get; set; } = [];

    [Inject]
    private Zone Zone { get; set; } = null!;

    private string Label =>
        new Text(
            $"最近 {Runs.Count} 次：成功 {Runs.Count(run => run.Status == "success")}，出错 {Bad}",
            $"Last {Runs.Count} runs: {Runs.Count(run => run.Status == "success")} succeeded, {Bad} went wrong"
        ).ToString();

    private int Bad => Runs.Count(run => ExecutionBadge.Of(run.Status).Tone == "bad");

    /// <inheritdoc/>
    protected override void OnParametersSet()
    {
        bars.Clear();
        var longest = Math.Max(0.001, Runs.Max(run => run.Seconds) ?? 0);
        var x = 0;
        foreach (var run in Runs.Take(Most).Reverse())
        {
            var face = ExecutionBadge.Of(run.Status);
            var height = (int)Math.Round(Lowest + ((Highest - Lowest) * Math.Sqrt(Math.Clamp((run.Seconds ?? 0) / longest, 0, 1))));
            bars.Add(new Bar(face.Tone, x, 24 - height, height, $"{Zone.Text(run.At)} {face.Word} {ExecutionBadge.Lasted(run.Seconds)}"));
            x += Step;
        }
    }

    private sealed record Bar(string Tone, int X, int Y, int Height, string Title);
}
