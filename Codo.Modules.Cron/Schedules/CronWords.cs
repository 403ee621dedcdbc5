using System.Numerics;
using Codo.Platform.Localization;

namespace Codo.Modules.Cron.Schedules;

/// <summary>
/// An expression in words. They are made from the values that the fields stand for, never from how they were written, so that a step which does not
/// divide its hour is not called "every 7 minutes".
/// </summary>
internal static class CronWords
{
    private const int Second = 0, Minute = 1, Hour = 2, Day = 3, Month = 4, Weekday = 5;

    // More times of the day than this are easier to take in as a rhythm than one by one.
    private const int MostTimes = 6;

    private static readonly string[] WeekdaysZh = ["", "周一", "周二", "周三", "周四", "周五", "周六", "周日"];
    private static readonly string[] WeekdaysEn = ["", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    private static readonly string[] MonthsEn =
        ["", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
    private static readonly string[] OrdinalsEn = ["", "first", "second", "third", "fourth", "fifth"];
    private static readonly int[] DaysAtLeast = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

    /// <summary>All six fields in words, on the wall clock of the job's zone.</summary>
    public static Text Describe(IReadOnlyList<CronField> fields)
    {
        var daily = fields[Day].Every(Day) && fields[Month].Every(Month) && fields[Weekday].Every(Weekday);
        var date = daily ? new Text("每天", "every day") : Dates(fields);
        int[] seconds = Values(fields[Second].Values), minutes = Values(fields[Minute].Values), hours = Values(fields[Hour].Values);
        if ((long)seconds.Length * minutes.Length * hours.Length <= MostTimes)
        {
            string[] times = [.. from hour in hours from minute in minutes from second in seconds select Clock(hour, minute, second)];
            return new($"{date.Zh} {string.Join("、", times)}", $"at {And(times)}{(daily ? " " : ", ")}{date.En}");
        }

        var rhythm = Rhythm(seconds, minutes, hours);
        return daily ? rhythm : new($"{date.Zh}，{rhythm.Zh}", $"{rhythm.En}, {date.En}");
    }

    private static Text Rhythm(int[] seconds, int[] minutes, int[] hours)
    {
        if (Steady(seconds, minutes) is { } steady)
        {
            if (hours.Length == 24)
                return steady;
            string from = Clock(hours[0], minutes[0], seconds[0]), to = Clock(hours[^1], minutes[^1], seconds[^1]);
            if (IsRun(hours))
                return new($"{from} 至 {to} {steady.Zh}", $"{steady.En}, from {from} to {to}");
            var within = Runs(hours, Number, Number);
            return new($"{within.Zh} 点内{steady.Zh}", $"{steady.En}, within hours {within.En}");
        }

        if (seconds is [var second] && minutes is [var minute])
        {
            string first = Clock(hours[0], minute, second), last = Clock(hours[^1], minute, second);
            if (hours.Length == 24)
                return (minute, second) switch
                {
                    (0, 0) => new("每小时整点", "every hour on the hour"),
                    (_, 0) => new($"每小时第 {minute} 分", $"every hour at minute {minute}"),
                    _ => new($"每小时第 {minute} 分 {second} 秒", $"every hour at minute {minute}, second {second}"),
                };
            if (EvenStep(hours, 24) is var step and > 0)
                return new($"每 {step} 小时（自 {first} 起）", $"every {step} hours, from {first}");
            if (IsRun(hours))
                return new($"{first} 至 {last} 每小时一次", $"every hour from {first} to {last}");
        }

        Text ofSeconds = Runs(seconds, Number, Number), ofMinutes = Runs(minutes, Number, Number), ofHours = Runs(hours, Number, Number);
        return new(
            (hours.Length == 24 ? "每小时" : $"{ofHours.Zh} 点")
                + (minutes.Length == 60 ? "每分钟" : $"第 {ofMinutes.Zh} 分")
                + (seconds.Length == 60 ? "每秒" : $"第 {ofSeconds.Zh} 秒"),
            (seconds.Length == 60 ? "every second" : $"at {Noun("second", seconds)} {ofSeconds.En}")
                + (minutes.Length == 60 ? " of every minute" : $" of {Noun("minute", minutes)} {ofMinutes.En}")
                + (hours.Length == 24 ? " of every hour" : $" of {Noun("hour", hours)} {ofHours.En}"));
    }

    // What goes on without a break from hour to hour, or nothing.
    private static Text? Steady(int[] seconds, int[] minutes)
    {
        var (minute, second) = (minutes[0], seconds[0]);
        if (minutes.Length == 60 && seconds.Length == 60)
            return new("每秒", "every second");
        if (minutes.Length == 60 && EvenStep(seconds, 60) is var secondStep and > 0)
            return new(
                $"每 {secondStep} 秒{(second == 0 ? "" : $"（自第 {second} 秒起）")}",
                $"every {secondStep} seconds{(second == 0 ? "" : $" from second {second}")}"
            );
        if (minutes.Length == 60 && seconds.Length == 1)
            return new($"每分钟{(second == 0 ? "" : $"第 {second} 秒")}", $"every minute{(second == 0 ? "" : $" at second {second}")}");
        if (seconds.Length == 1 && EvenStep(minutes, 60) is var step and > 0)
            return (minute, second) switch
            {
                (0, 0) => new($"每 {step} 分钟", $"every {step} minutes"),
                (_, 0) => new($"每 {step} 分钟（自每小时第 {minute} 分起）", $"every {step} minutes from minute {minute} of the hour"),
                _ => new($"每 {step} 分钟（自每小时第 {minute} 分 {second} 秒起）", $"every {step} minutes from minute {minute}, second {second} of the hour"),
            };
        return null;
    }

    private static Text Dates(IReadOnlyList<CronField> fields)
    {
        CronField day = fields[Day], weekday = fields[Weekday];
        bool everyDay = day.Every(Day), everyWeekday = weekday.Every(Weekday), inMonth = weekday.Last || weekday.Number > 0;
        var months = Values(fields[Month].Values);
        var names = Runs(months, month => $"{month} 月", month => MonthsEn[month]);
        var (per, of) = months.Length == 12 ? ("每月", "of every month") : ($"每年 {names.Zh}的", $"of {names.En}");
        var week = WeekdayWords(weekday);
        if (everyDay && everyWeekday)
            return new($"{per}每天", $"every day {of}");
        if (everyDay && inMonth)
            return new($"{per}{week.Zh}", $"on the {week.En} {of}{(weekday.Number == 5 ? " that has one" : "")}");
        if (everyDay)
            return months.Length == 12 ? new($"每{week.Zh}", $"every {week.En}") : new($"{per}{week.Zh}", $"every {week.En} {of}");

        var date = DayWords(day, months);
        var zh = Spaced(per, date.Zh);
        if (everyWeekday)
            return new(zh, $"on {date.En} {of}");
        return inMonth
            ? new($"{zh}（仅当它是当月{week.Zh}）", $"on {date.En} {of}, only if it is the {week.En} of its month")
            : new($"{zh}（仅当它是{week.Zh}）", $"on {date.En} {of}, only if it falls on {week.En}");
    }

    private static Text DayWords(CronField day, int[] months)
    {
        var highest = BitOperations.Log2(day.Values);
        var before = $"the day {day.Number} {(day.Number == 1 ? "day" : "days")} before the last";
        var words = (day.Last, day.Nearest, day.Number) switch
        {
            (true, false, 0) => new Text("最后一天", "the last day"),
            (true, false, _) => new Text($"倒数第 {day.Number + 1} 天", before),
            (true, true, 0) => new Text("最后一个工作日（周一至周五）", "the last working day (Monday to Friday)"),
            (true, true, _) => new Text($"离倒数第 {day.Number + 1} 天最近的工作日（周一至周五，不跨月）", $"the working day (Monday to Friday, same month) nearest to {before}"),
            (false, true, _) => new Text($"离 {highest} 日最近的工作日（周一至周五，不跨月）", $"the working day (Monday to Friday, same month) nearest to day {highest}"),
            _ => DayList(Values(day.Values)),
        };
        var shortest = months.Min(month => DaysAtLeast[month]);
        return (day.Last ? day.Number >= shortest : highest > shortest) ? new(words.Zh + "（当月有此日时）", words.En + " (where there is one)") : words;
    }

    private static Text DayList(int[] days)
    {
        var runs = Runs(days, day => $"{day} 日", Number);
        return new(runs.Zh, $"{Noun("day", days)} {runs.En}");
    }

    private static Text WeekdayWords(CronField weekday)
    {
        // Sunday is 0 and 7; a week that is read out ends with it.
        var days = Values(weekday.Values & ~1UL);
        if (weekday.Last)
            return new($"最后一个{WeekdaysZh[days[0]]}", $"last {WeekdaysEn[days[0]]}");
        return weekday.Number > 0
            ? new($"第 {weekday.Number} 个{WeekdaysZh[days[0]]}", $"{OrdinalsEn[weekday.Number]} {WeekdaysEn[days[0]]}")
            : Runs(days, day => WeekdaysZh[day], day => WeekdaysEn[day]);
    }

    // The step with which the values go round evenly, also over the end of their hour or day; 0 when they do not.
    private static int EvenStep(int[] values, int size)
    {
        if (values.Length < 2 || values.Length == size || size % values.Length != 0)
            return 0;
        var step = size / values.Length;
        for (var i = 1; i < values.Length; i++)
            if (values[i] - values[i - 1] != step)
                return 0;
        return step;
    }

    private static bool IsRun(int[] values) => values[^1] - values[0] == values.Length - 1;

    private static Text Runs(int[] values, Func<int, string> zh, Func<int, string> en)
    {
        List<string> partsZh = [], partsEn = [];
        for (var i = 0; i < values.Length;)
        {
            var end = i;
            while (end + 1 < values.Length && values[end + 1] == values[end] + 1)
                end++;
            if (end - i < 2)
                end = i;
            partsZh.Add(end == i ? zh(values[i]) : Spaced(Spaced(zh(values[i]), "至"), zh(values[end])));
            partsEn.Add(end == i ? en(values[i]) : $"{en(values[i])} to {en(values[end])}");
            i = end + 1;
        }

        return new(string.Join("、", partsZh), And(partsEn));
    }

    // Chinese is set with a space next to figures.
    private static string Spaced(string before, string after) =>
        char.IsAsciiDigit(before[^1]) || char.IsAsciiDigit(after[0]) ? $"{before} {after}" : before + after;

    private static string And(IReadOnlyList<string> parts) =>
        parts.Count == 1 ? parts[0] : $"{string.Join(", ", parts.Take(parts.Count - 1))} and {parts[^1]}";

    private static int[] Values(ulong bits) => [.. Enumerable.Range(0, 64).Where(value => (bits >> value & 1) != 0)];

    private static string Number(int value) => $"{value}";

    private static string Noun(string one, int[] values) => values.Length == 1 ? one : one + "s";

    private static string Clock(int hour, int minute, int second) => $"{hour:00}:{minute:00}:{second:00}";
}
