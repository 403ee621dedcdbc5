using System.Globalization;
using System.Text.RegularExpressions;

namespace Codo.Host.Client.Import;

/// <summary>An expression of Quartz (xxl-job, Rundeck): six or seven fields, <c>?</c>, and weekdays from Sunday = 1.</summary>
internal static partial class QuartzSchedule
{
    private static readonly string[] Weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

    /// <summary>The same for Codo, when Quartz would fire, and what was changed.</summary>
    /// <exception cref="FormatException">It does not read, or Codo cannot say it; the message says why.</exception>
    public static (string Cron, SourceSchedule Schedule, List<string> Changes) Read(string text, TimeZoneInfo zone)
    {
        var fields = text.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length is not (6 or 7)) throw new FormatException($"The schedule {text} has not six or seven fields.");
        if (fields.Length == 7 && fields[6] is not ("*" or "?"))
            throw new FormatException($"The year {fields[6]} cannot be said here: a schedule has no year.");
        if ((fields[3] == "?") == (fields[5] == "?")) throw new FormatException($"Of day and weekday one is ?, which {text} does not have.");
        var changes = new List<string>();
        var seconds = ScheduleField.Read(fields[0], "second", 0, 59, [], isOpen: true, wraps: true);
        var minutes = ScheduleField.Read(fields[1], "minute", 0, 59, [], isOpen: true, wraps: true);
        var hours = ScheduleField.Read(fields[2], "hour", 0, 23, [], isOpen: true, wraps: true);
        var months = ScheduleField.Read(fields[4], "month", 1, 12, ScheduleField.Months, isOpen: true, wraps: true);
        var (day, isDay) = fields[3] == "?" ? ("*", _ => true) : Day(fields[3]);
        var (weekday, isWeekday) = fields[5] == "?" ? ("*", _ => true) : Weekday(fields[5], changes);
        var cron = string.Join(' ', Plain(fields[0], seconds), Plain(fields[1], minutes), Plain(fields[2], hours), day, Plain(fields[4], months), weekday);
        var isInterval = fields.Take(3).Any(field => field.Contains('*', StringComparison.Ordinal) || field.Contains('/', StringComparison.Ordinal));
        return (cron, new SourceSchedule(seconds, minutes, hours, on => months.Contains(on.Month) && isDay(on) && isWeekday(on), zone, isInterval), changes);
    }

    // A range past the end, and a step without a beginning, are written out.
    private static string Plain(string field, SortedSet<int> numbers) =>
        field.StartsWith('/')
            || Turned().Matches(field).Any(range => Before(range.Groups[2].Value, range.Groups[1].Value))
            ? ScheduleField.Write(numbers)
            : field;

    private static bool Before(string end, string start) =>
        int.TryParse(end, NumberStyles.None, CultureInfo.InvariantCulture, out var last)
        && int.TryParse(start, NumberStyles.None, CultureInfo.InvariantCulture, out var first)
        && last < first;

    private static (string, Func<DateOnly, bool>) Day(string field)
    {
        switch (field.ToUpperInvariant())
        {
            case "L":
                return ("L", IsLast);
            case "LW":
            case "WL":
                return ("LW", day => day == NearestWeekday(Last(day)));
        }

        if (Offset().Match(field) is { Success: true } offset && int.Parse(offset.Groups[1].ValueSpan, CultureInfo.InvariantCulture) is var before)
            return ($"L-{before}", day => day.AddDays(before) == Last(day));
        if (Near().Match(field) is { Success: true } near && int.Parse(near.Groups[1].ValueSpan, CultureInfo.InvariantCulture) is var number)
            return (
                $"{number}W",
                day => number <= DateTime.DaysInMonth(day.Year, day.Month) && day == NearestWeekday(new DateOnly(day.Year, day.Month, number))
            );
        var days = ScheduleField.Read(field, "day", 1, 31, [], isOpen: true, wraps: true);
        return (Plain(field, days), day => days.Contains(day.Day));
    }

    private static (string, Func<DateOnly, bool>) Weekday(string field, List<string> changes)
    {
        if (field.Equals("L", StringComparison.OrdinalIgnoreCase)) field = "7";
        if (Special().Match(field) is { Success: true } special)
        {
            var day = ScheduleField.Read(special.Groups[1].Value, "weekday", 1, 7, Weekdays).Single() - 1;
            changes.Add($"The weekday {field} counts from Sunday = 1 there and from Sunday = 0 here.");
            if (special.Groups[2].Value.Equals("L", StringComparison.OrdinalIgnoreCase))
                return ($"{day}L", on => (int)on.DayOfWeek == day && on.AddDays(7).Month != on.Month);
            var nth = int.Parse(special.Groups[2].ValueSpan[1..], CultureInfo.InvariantCulture);
            return ($"{day}#{nth}", on => (int)on.DayOfWeek == day && (on.Day - 1) / 7 + 1 == nth);
        }

        var days = ScheduleField.Read(field, "weekday", 1, 7, Weekdays, isOpen: true, wraps: true);
        bool IsDay(DateOnly on) => days.Contains((int)on.DayOfWeek + 1);
        if (days.Count == 7) return ("*", IsDay);
        var here = ScheduleField.Write(days.Select(day => day - 1));
        if (field.Any(char.IsAsciiDigit)) changes.Add($"The weekday {field} counts from Sunday = 1 there and is {here} here.");
        return (field.Any(char.IsAsciiDigit) || field.Contains('-', StringComparison.Ordinal) ? here : field, IsDay);
    }

    private static bool IsLast(DateOnly day) => day == Last(day);

    private static DateOnly Last(DateOnly day) => new(day.Year, day.Month, DateTime.DaysInMonth(day.Year, day.Month));

    // Within the month: from a Saturday the 1st on to Monday, from a Sunday at its end back to Friday.
    private static DateOnly NearestWeekday(DateOnly day) => day.DayOfWeek switch
    {
        DayOfWeek.Saturday => day.Day == 1 ? day.AddDays(2) : day.AddDays(-1),
        DayOfWeek.Sunday => day == Last(day) ? day.AddDays(-2) : day.AddDays(1),
        _ => day,
    };

    [GeneratedRegex(@"^[Ll]-(\d{1,2})$")]
    private static partial Regex Offset();

    [GeneratedRegex(@"^(\d{1,2})[Ww]$")]
    private static partial Regex Near();

    [GeneratedRegex(@"^([1-7]|[A-Za-z]{3})([Ll]|#[1-5])$")]
    private static partial Regex Special();

    [GeneratedRegex(@"(\d+)-(\d+)")]
    private static partial Regex Turned();
}
