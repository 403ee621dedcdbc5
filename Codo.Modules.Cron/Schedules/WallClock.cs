using System.Globalization;
using Codo.Platform.Localization;

namespace Codo.Modules.Cron.Schedules;

/// <summary>
/// Moves due times between the wall clock and time as it passes, by Cronos' rules for clock changes. Cronos itself is not asked to do it: for zones
/// whose winter time is the exception (Europe/Dublin, Africa/Casablanca) it answers with a time that is not after the one it was given, for ever.
/// </summary>
internal readonly struct WallClock(TimeZoneInfo zone)
{
    private static readonly TimeSpan LongestSteady = TimeSpan.FromDays(31);

    private readonly TimeZoneInfo zone = zone;

    /// <summary>The first due time after <paramref name="after"/>.</summary>
    /// <param name="after">The due time must be later than this.</param>
    /// <param name="interval">Whether times that come twice are due twice.</param>
    /// <param name="next">The first wall time that matches, from the one given on.</param>
    public DateTimeOffset? Next(DateTimeOffset after, bool interval, Func<DateTime, DateTime?> next)
    {
        var wall = WholeSecondAfter(Wall(after));

        // Only in an hour that comes twice does the wall clock not go the way time does; there the two passes are looked through one after the other.
        if (ChangeAround(Wall(after)) is { Back: true } change)
        {
            if (after < change.At && next(wall) is { } first && first < change.WallBefore)
                return At(first, change.Before);
            if (interval && next(after < change.At ? change.WallAfter : wall) is { } second && second < change.WallBefore)
                return At(second, change.After);
            wall = change.WallBefore;
        }

        if (next(wall) is not { } found)
            return null;
        return ChangeAround(found) is { } other
            ? other.Back ? At(found, other.Before) : TimeZoneInfo.ConvertTime(other.At, zone)
            : At(found, zone.GetUtcOffset(Unspecified(found) - OffsetADayOff(found, -1)));
    }

    /// <summary>Says what a clock change does to a due time, or nothing.</summary>
    public Text? Note(DateTimeOffset due, bool interval, Func<DateTime, DateTime?> next)
    {
        if (ChangeAround(Wall(due)) is { Back: true } back)
        {
            var (time, offset) = (Clock(Wall(due)), Offset(zone.GetUtcOffset(due)));
            var (from, to) = (Clock(back.WallBefore), Clock(back.WallAfter));
            if (!interval)
                return new($"当天时钟由 {from} 拨回 {to}，{time} 出现两次，只在第一次（{offset}）运行",
                    $"clocks go back from {from} to {to}, so {time} comes twice: it runs at the first one only ({offset})");
            var isFirst = due < back.At;
            return new(
                $"当天时钟由 {from} 拨回 {to}，{time} 出现两次，按间隔两次都运行，这是第{(isFirst ? "一" : "二")}次（{offset}）",
                $"clocks go back from {from} to {to}, so {time} comes twice: an interval runs at both, this is the {(isFirst ? "first" : "second")} ({offset})"
            );
        }

        if (ChangeAround(Wall(due).AddTicks(-1)) is not { Back: false } forward || forward.At != due)
            return null;
        var missing = new List<string>();
        for (var at = next(forward.WallBefore); at < forward.WallAfter && missing.Count < 4; at = next(at.Value.AddSeconds(1)))
            missing.Add(Clock(at.Value));
        if (missing.Count == 0)
            return null;
        var (gapFrom, gapTo) = (Clock(forward.WallBefore), Clock(forward.WallAfter));
        if (interval && next(forward.WallAfter) == forward.WallAfter)
            return new($"当天时钟由 {gapFrom} 拨快到 {gapTo}，其间的时间不存在，间隔从 {gapTo} 继续",
                $"clocks go forward from {gapFrom} to {gapTo}: the times between do not exist, the interval goes on at {gapTo}");
        var more = missing.Count > 3;
        return new(
            $"当天时钟由 {gapFrom} 拨快到 {gapTo}，{string.Join("、", missing.Take(3))}{(more ? " 等" : " ")}不存在，改在 {gapTo} 运行一次",
            ($"clocks go forward from {gapFrom} to {gapTo}, so "
                + $"{string.Join(", ", missing.Take(3))}{(more ? " and more do" : missing.Count > 1 ? " do" : " does")} not exist: it runs once, at {gapTo}")
        );
    }

    /// <summary>The next moment at which the zone's offset changes, within 400 days; null where it does not.</summary>
    public static DateTimeOffset? NextChange(TimeZoneInfo zone, DateTimeOffset after)
    {
        for (var day = after; day < after.AddDays(400); day = day.AddDays(1))
        {
            if (zone.GetUtcOffset(day) == zone.GetUtcOffset(day.AddDays(1))) continue;
            DateTimeOffset low = day, high = day.AddDays(1);
            while (high - low > TimeSpan.FromTicks(1))
            {
                var middle = low + (high - low) / 2;
                if (zone.GetUtcOffset(middle) == zone.GetUtcOffset(day)) low = middle;
                else high = middle;
            }
            return high;
        }
        return null;
    }

    /// <summary>The zone's offset from a day before to a day after a stretch of at most a month; null where it changes, or the stretch is longer.</summary>
    public TimeSpan? OnlyOffset(DateTimeOffset from, DateTimeOffset to)
    {
        if (from.Year < 2 || to.Year > 9998 || to - from > LongestSteady) return null;
        var offset = zone.GetUtcOffset(from.AddDays(-1));
        for (var day = from; day < to.AddDays(1); day = day.AddDays(1))
            if (zone.GetUtcOffset(day) != offset) return null;
        return zone.GetUtcOffset(to.AddDays(1)) == offset ? offset : null;
    }

    /// <summary>A clock change: the moment, and the offsets on its two sides.</summary>
    private readonly record struct Change(DateTimeOffset At, TimeSpan Before, TimeSpan After)
    {
        public bool Back => After < Before;

        public DateTime WallBefore => (At + Before).UtcDateTime;

        public DateTime WallAfter => (At + After).UtcDateTime;
    }

    // The change that makes this wall time come twice or not at all, if one does. Offsets are asked for by UTC only: TimeZoneInfo's answers about local
    // times assume that daylight saving adds to the standard offset.
    private Change? ChangeAround(DateTime wall)
    {
        TimeSpan before = OffsetADayOff(wall, -1), after = OffsetADayOff(wall, 1);
        if (before == after)
            return null;
        DateTimeOffset byBefore = Unspecified(wall) - before, byAfter = Unspecified(wall) - after;
        if (zone.GetUtcOffset(byBefore) == before != (zone.GetUtcOffset(byAfter) == after))
            return null;

        var (low, high) = byBefore < byAfter ? (byBefore, byAfter) : (byAfter, byBefore);
        while (high - low > TimeSpan.FromTicks(1))
        {
            var middle = low + (high - low) / 2;
            if (zone.GetUtcOffset(middle) == before)
                low = middle;
            else
                high = middle;
        }

        return new Change(high, before, after);
    }

    private TimeSpan OffsetADayOff(DateTime wall, int days) => zone.GetUtcOffset(Unspecified(wall).AddDays(days));

    private DateTime Wall(DateTimeOffset time) => TimeZoneInfo.ConvertTime(time, zone).DateTime;

    private static DateTimeOffset Unspecified(DateTime wall) => new(DateTime.SpecifyKind(wall, DateTimeKind.Unspecified), TimeSpan.Zero);

    public static DateTimeOffset At(DateTime wall, TimeSpan offset) => new(DateTime.SpecifyKind(wall, DateTimeKind.Unspecified), offset);

    public static DateTime WholeSecondAfter(DateTime wall) => wall.AddTicks(TimeSpan.TicksPerSecond - wall.Ticks % TimeSpan.TicksPerSecond);

    private static string Clock(DateTime wall) => wall.ToString("HH:mm:ss", CultureInfo.InvariantCulture);

    private static string Offset(TimeSpan offset) => (offset < TimeSpan.Zero ? "-" : "+") + offset.ToString("hh\\:mm", CultureInfo.InvariantCulture);
}
