namespace Codo.Modules.Alerts.Incidents;

/// <summary>Lengths of time in words.</summary>
internal static class DurationWords
{
    /// <summary>A length of time as people say it, in its two largest units.</summary>
    public static string Of(TimeSpan time, bool english)
    {
        (long Count, string Zh, string En)[] units =
        [
            ((long)time.TotalDays, "天", "d"),
            (time.Hours, "小时", "h"),
            (time.Minutes, "分", "min"),
            (time.Seconds, "秒", "s"),
        ];
        var first = Array.FindIndex(units, unit => unit.Count > 0);
        if (first < 0)
            return english ? "less than a second" : "不到 1 秒";
        return string.Join(' ', units.Skip(first).Take(2).Where(unit => unit.Count > 0).Select(unit => $"{unit.Count} {(english ? unit.En : unit.Zh)}"));
    }
}
