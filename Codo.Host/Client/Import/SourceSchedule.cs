namespace Codo.Host.Client.Import;

/// <summary>
/// When the program that is moved from would fire, computed from its own text by its own rules. Codo's times come from the server: a dry run compares two
/// answers that have nothing in common.
/// </summary>
/// <param name="day">Whether it fires on a day of the calendar.</param>
/// <param name="isInterval">
/// It fires every so many minutes rather than at a time of day: at a change of the clock it goes on with the real time, where a time of day comes once.
/// </param>
internal sealed class SourceSchedule(
    IReadOnlyCollection<int> seconds,
    IReadOnlyCollection<int> minutes,
    IReadOnlyCollection<int> hours,
    Func<DateOnly, bool> day,
    TimeZoneInfo zone,
    bool isInterval
)
{
    private const int MostDays = 366 * 9;

    /// <summary>The next times after an instant.</summary>
    public List<DateTimeOffset> After(DateTimeOffset from, int count)
    {
        var times = new List<DateTimeOffset>();
        var today = DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(from, zone).DateTime);
        for (var days = 0; days < MostDays && times.Count < count; days++)
        {
            if (!day(today.AddDays(days))) continue;
            var some = from hour in hours
                       from minute in minutes
                       from second in seconds
                       from time in Instants(today.AddDays(days).ToDateTime(new TimeOnly(hour, minute, second)))
                       where time > @from
                       select time;
            times.AddRange(some.Order().Distinct().Take(count - times.Count));
        }
        return times;
    }

    private IEnumerable<DateTimeOffset> Instants(DateTime local)
    {
        if (zone.IsInvalidTime(local))
        {
            // In the hour that a spring day lacks, a time of day comes right after it.
            if (isInterval) yield break;
            var after = local;
            while (zone.IsInvalidTime(after)) after = after.AddMinutes(1);
            after = after.AddSeconds(-after.Second);
            yield return new DateTimeOffset(after, zone.GetUtcOffset(after));
        }
        else if (zone.IsAmbiguousTime(local))
        {
            var offsets = zone.GetAmbiguousTimeOffsets(local).OrderDescending().ToList();
            yield return new DateTimeOffset(local, offsets[0]);
            if (isInterval) yield return new DateTimeOffset(local, offsets[1]);
        }
        else
            yield return new DateTimeOffset(local, zone.GetUtcOffset(local));
    }
}
