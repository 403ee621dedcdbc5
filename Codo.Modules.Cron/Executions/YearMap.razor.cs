using System.Globalization;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Cron.Executions;

/// <summary>The days of a year as a field of weeks: green is success, the darker the more runs; red with a cross where a run went wrong.</summary>
public sealed partial class YearMap
{
    private const int Weeks = 53, Step = 13, Top = 16, Width = Weeks * Step, Height = Top + (7 * Step);

    private readonly List<Cell> cells = [];
    private readonly List<(int X, string Word)> months = [];

    /// <summary>The last day that is shown.</summary>
    [Parameter]
    public DateOnly Today { get; set; }

    /// <summary>Days on which anything ended: runs, how many of them went wrong, due times that did not run.</summary>
    [Parameter]
    public IReadOnlyDictionary<DateOnly, (long Runs, long Failed, long NotRun)> Days { get; set; } =
        new Dictionary<DateOnly, (long Runs, long Failed, long NotRun)>();

    // Days on which nothing but skips and misses ended are none of these.
    private int Ran => Days.Values.Count(day => day.Runs > 0);

    private string Label =>
        T(
            $"最近一年：{Ran} 天有运行，其中 {Days.Values.Count(day => day.Failed > 0)} 天出错",
            $"The last year: it ran on {Ran} days, on {Days.Values.Count(day => day.Failed > 0)} of them something went wrong"
        );

    /// <inheritdoc/>
    protected override void OnParametersSet()
    {
        cells.Clear();
        months.Clear();
        var most = Math.Max(1, Days.Values.Select(day => day.Runs).DefaultIfEmpty().Max());
        // Weeks begin on Monday; the last column is the week of today.
        var first = Today.AddDays(-(((int)Today.DayOfWeek + 6) % 7) - ((Weeks - 1) * 7));
        for (var day = first; day <= Today; day = day.AddDays(1))
        {
            var (week, row) = Math.DivRem(day.DayNumber - first.DayNumber, 7);
            if (day.Day <= 7 && row == 0) months.Add((week * Step, Month(day)));
            var (runs, failed, notRun) = Days.GetValueOrDefault(day);
            var tone =
                failed > 0 ? "bad"
                : runs > 0 ? $"ok deep{1 + (3 * runs / most)}"
                : notRun > 0 ? "warn"
                : "track";
            cells.Add(new Cell(tone, week * Step, Top + (row * Step), Title(day, runs, failed, notRun)));
        }
    }

    // Razor has a meaning of its own for SVG's element text.
    private static RenderFragment Mark(int x, string word) =>
        builder =>
        {
            builder.OpenElement(0, "text");
            builder.AddAttribute(1, "x", x);
            builder.AddAttribute(2, "y", 10);
            builder.AddContent(3, word);
            builder.CloseElement();
        };

    private static string Month(DateOnly day) =>
        Language.English ? day.ToString("MMM", CultureInfo.InvariantCulture) : day.Month.ToString(CultureInfo.InvariantCulture) + " 月";

    private static string Title(DateOnly day, long runs, long failed, long notRun) =>
        day.ToString("yyyy-MM-dd ", CultureInfo.InvariantCulture)
        + T($"运行 {runs}，出错 {failed}，未执行 {notRun}", $"{runs} runs, {failed} went wrong, {notRun} did not run");

    private static string T(string zh, string en) => new Text(zh, en).ToString();

    private sealed record Cell(string Tone, int X, int Y, string Title);
}
