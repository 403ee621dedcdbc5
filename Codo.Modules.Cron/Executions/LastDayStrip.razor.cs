using Codo.Platform.Localization;
using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Cron.Executions;

/// <summary>What the last 24 hours came to, by the hour.</summary>
public sealed partial class LastDayStrip
{
    private const int Highest = 60;

    private IReadOnlyList<LastDay.Hour> hours = [];

    [Inject]
    private Zone Zone { get; set; } = null!;

    /// <inheritdoc/>
    protected override async Task Load() => hours = (await Send(new LastDay.Query())).Data;

    private long Sum(Func<LastDay.Hour, long> part) => hours.Sum(part);

    private string Hour(DateTime at) => Zone.Text(at)[11..16];

    private string Title(LastDay.Hour hour) =>
        $"{Hour(hour.At)} "
        + T(
            $"成功 {hour.Succeeded}，出错 {hour.Wrong}，未执行 {hour.NotRun}",
            $"{hour.Succeeded} succeeded, {hour.Wrong} went wrong, {hour.NotRun} did not run"
        );

    // One failure among a thousand successes must be seen: nothing that happened is lower than two pixels.
    private int Height(long count)
    {
        var most = Math.Max(1, hours.Max(hour => hour.Succeeded + hour.Wrong + hour.NotRun));
        return count == 0 ? 0 : Math.Max(2, (int)(Highest * count / most) - 2);
    }
}
