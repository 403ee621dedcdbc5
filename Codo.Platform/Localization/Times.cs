using System.Globalization;
using System.Text.RegularExpressions;

namespace Codo.Platform.Localization;

/// <summary>Times as requests carry them and as answers show them, always in a zone that is named, never in the machine's.</summary>
public static partial class Times
{
    /// <summary>What to say of a time that was refused; a caller puts the field's name before it.</summary>
    public static readonly Text Expected = new(
        "时间格式有误，应为 yyyy-MM-dd HH:mm[:ss]，或带 Z 或时区偏移的 ISO 8601",
        "is not a time: use yyyy-MM-dd HH:mm[:ss], or ISO 8601 with Z or an offset");

    /// <summary>
    /// Reads <c>yyyy-M-d H:mm[:ss]</c> in <paramref name="zone"/>, or a date and time with <c>Z</c> or an offset (ISO 8601, with a space for the
    /// <c>T</c> as well, so that a time from an answer can be sent back). Years 2 to 9998: what lies outside cannot be moved between zones.
    /// </summary>
    /// <returns>False for anything else, also for a bare date and for ISO 8601 without an offset, which would leave the zone to a guess.</returns>
    public static bool TryParse(string? text, TimeZoneInfo zone, out DateTimeOffset time)
    {
        time = default;
        if (text is null || DateAndTime().Match(text) is not { Success: true } match || !TryDate(match, out var date))
            return false;

        int hour = Number(match, "hour"), minute = Number(match, "minute"), second = Number(match, "second");
        if (hour > 23 || minute > 59 || second > 59)
            return false;

        var local = date.ToDateTime(new TimeOnly(hour, minute, second));
        if (match.Groups["offset"].Success)
        {
            if (!TryOffset(match.Groups["offset"].Value, out var offset))
                return false;
            var fraction = match.Groups["fraction"].Value;
            if (fraction.Length > 0)
                local = local.AddTicks(long.Parse(fraction.PadRight(7, '0')[..7], CultureInfo.InvariantCulture));
            time = new DateTimeOffset(local, offset);
            return true;
        }

        if (match.Groups["separator"].Value != " " || match.Groups["fraction"].Success)
            return false;
        time = Resolve(local, zone);
        return true;
    }

    /// <summary>Reads a bare date, <c>yyyy-M-d</c>, years 2 to 9998.</summary>
    public static bool TryParseDate(string? text, out DateOnly date)
    {
        date = default;
        return text is not null && Date().Match(text) is { Success: true } match && TryDate(match, out date);
    }

    /// <summary>Reads the start of a range, a time or a bare date, which means its first moment in <paramref name="zone"/>.</summary>
    /// <param name="from">The first moment that belongs to the range.</param>
    public static bool TryParseStart(string? text, TimeZoneInfo zone, out DateTimeOffset from)
    {
        if (!TryParseDate(text, out var date))
            return TryParse(text, zone, out from);
        from = Resolve(date.ToDateTime(TimeOnly.MinValue), zone);
        return true;
    }

    /// <summary>
    /// Reads the end of a range, a time or a bare date, which means all of that day in <paramref name="zone"/>. The end is inclusive to people, who
    /// see whole seconds, so the bound given back is the moment after the second that was named, to be compared with <c>&lt;</c>.
    /// </summary>
    /// <param name="before">The first moment that no longer belongs to the range.</param>
    public static bool TryParseEnd(string? text, TimeZoneInfo zone, out DateTimeOffset before)
    {
        if (TryParseDate(text, out var date))
        {
            before = Resolve(date.AddDays(1).ToDateTime(TimeOnly.MinValue), zone);
            return true;
        }

        if (!TryParse(text, zone, out before))
            return false;
        before = before.AddTicks(TimeSpan.TicksPerSecond - before.Ticks % TimeSpan.TicksPerSecond);
        return true;
    }

    /// <summary>
    /// The moment that a clock on the wall in <paramref name="zone"/> shows as <paramref name="local"/>. Where clocks were put forward over it, it
    /// moves forward by as much (02:30 becomes 03:30); where they were put back and it comes twice, the first of the two is meant.
    /// </summary>
    public static DateTimeOffset Resolve(DateTime local, TimeZoneInfo zone)
    {
        // Asked by UTC on either side of the change, because TimeZoneInfo's answers for local times assume that daylight saving adds to the
        // standard offset, which Europe/Dublin and zones that changed their standard offset do not.
        var wall = new DateTimeOffset(DateTime.SpecifyKind(local, DateTimeKind.Unspecified), TimeSpan.Zero);
        var before = zone.GetUtcOffset(wall.AddDays(-1));
        var after = zone.GetUtcOffset(wall.AddDays(1));
        var first = wall - before;
        var moment = zone.GetUtcOffset(first) == before || zone.GetUtcOffset(wall - after) != after ? first : wall - after;
        return TimeZoneInfo.ConvertTime(moment, zone);
    }

    /// <summary><c>yyyy-MM-dd HH:mm:ss</c> as a clock in <paramref name="zone"/> shows it.</summary>
    public static string Format(DateTimeOffset time, TimeZoneInfo zone) =>
        TimeZoneInfo.ConvertTime(time, zone).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);

    /// <summary><c>yyyy-MM-dd HH:mm:ss+08:00</c>: the same with the offset that holds then.</summary>
    public static string FormatWithOffset(DateTimeOffset time, TimeZoneInfo zone) =>
        TimeZoneInfo.ConvertTime(time, zone).ToString("yyyy-MM-dd HH:mm:sszzz", CultureInfo.InvariantCulture);

    private static bool TryDate(Match match, out DateOnly date)
    {
        date = default;
        int year = Number(match, "year"), month = Number(match, "month"), day = Number(match, "day");
        if (year is < 2 or > 9998 || month is < 1 or > 12 || day < 1 || day > DateTime.DaysInMonth(year, month))
            return false;
        date = new DateOnly(year, month, day);
        return true;
    }

    private static bool TryOffset(string text, out TimeSpan offset)
    {
        offset = TimeSpan.Zero;
        if (text == "Z")
            return true;
        // +08:00, +0800, or +08 as PostgreSQL writes it.
        var hours = int.Parse(text.AsSpan(1, 2), CultureInfo.InvariantCulture);
        var minutes = text.Length == 3 ? 0 : int.Parse(text.AsSpan(text.Length - 2), CultureInfo.InvariantCulture);
        offset = new TimeSpan(hours, minutes, 0) * (text[0] == '-' ? -1 : 1);
        return minutes < 60 && offset.Duration() <= TimeSpan.FromHours(14);
    }

    private static int Number(Match match, string group) =>
        match.Groups[group].Success ? int.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture) : 0;

    // [0-9], because \d takes the digits of every script, and \z, because $ lets a line end pass.
    [GeneratedRegex(
        @"^(?<year>[0-9]{4})-(?<month>[0-9]{1,2})-(?<day>[0-9]{1,2})(?<separator>[ T])(?<hour>[0-9]{1,2}):(?<minute>[0-9]{2})"
        + @"(:(?<second>[0-9]{2})(\.(?<fraction>[0-9]{1,9}))?)?(?<offset>Z|[+-][0-9]{2}(:?[0-9]{2})?)?\z",
        RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex DateAndTime();

    [GeneratedRegex(@"^(?<year>[0-9]{4})-(?<month>[0-9]{1,2})-(?<day>[0-9]{1,2})\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex Date();
}
