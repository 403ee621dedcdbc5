using Codo.Platform.Localization;
using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Cron.Executions;

/// <summary>What the last 24 hours came to, by the hour.</summary>
public sealed partial class LastDayStrip
{
    private const int Highest = 60, MostInWords = 6;

    private List<ShowStatistics.HourSums> hours = [];
    private List<ShowStatistics.HourSums> hoursWithFailures = [];

    [Inject]
    private Zone Zone { get; set; } = null!;

    /// <inheritdoc/>
    protected override async Task Load()
    {
        hours = (await Send(new ShowStatistics.Query(null, null, null, null, null, "hour"))).Hours;
        // The newest first.
        hoursWithFailures = [.. hours.Where(hour => hour.Failed + hour.NotRun > 0).Reverse()];
    }

    private long Sum(Func<ShowStatistics.HourSums, long> part) => hours.Sum(part);

    private string Hour(DateTime at) => Zone.Text(at)[11..16];

    private string Title(ShowStatistics.HourSums hour) =>
        $"{Hour(hour.At)} "
        + T(
            $"成功 {hour.Success}，出错 {hour.Failed}，未执行 {hour.NotRun}",
            $"{hour.Success} succeeded, {hour.Failed} went wrong, {hour.NotRun} did not run"
        );

    // The bars in words, for keyboards and screen readers.
    private string InWords(IEnumerable<ShowStatistics.HourSums> some) =>
        string.Join(T("；", "; "), some.Select(Title)) is { Length: > 0 } words ? words : T("没有出错的，也没有未执行的", "nothing went wrong, and all that was due ran");

    // One failure among a thousand successes must be seen: nothing that happened is lower than two pixels.
    private int Height(long count)
    {
        var most = Math.Max(1, hours.Max(hour => hour.Success + hour.Failed + hour.NotRun));
        return count == 0 ? 0 : Math.Max(2, (int)(Highest * count / most) - 2);
    }
}
