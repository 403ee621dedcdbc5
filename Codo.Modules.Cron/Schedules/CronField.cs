using System.Globalization;
using System.Text;
using Codo.Platform.Localization;

namespace Codo.Modules.Cron.Schedules;

/// <summary>
/// One field of an expression, read strictly. Cronos is more generous than the contract (reversed ranges, <c>?</c>, <c>H</c>) and says less about
/// what is wrong, so it only ever sees <see cref="Canonical"/>.
/// </summary>
/// <param name="Source">The field as it was written.</param>
/// <param name="Canonical">The same field in digits, as Cronos takes it.</param>
/// <param name="Values">Bit n is set when the value n is meant. All days of the month for <c>L</c>; Sunday is both 0 and 7.</param>
/// <param name="Last"><c>L</c>: the last day of the month, or the last such weekday in it.</param>
/// <param name="Nearest"><c>W</c>: moved to the nearest of Monday to Friday, within the month.</param>
/// <param name="Number">With a day's <c>L</c> how many days before it, with a weekday's <c>#</c> which one in the month, else 0.</param>
internal sealed record CronField(string Source, string Canonical, ulong Values, bool Last = false, bool Nearest = false, int Number = 0)
{
    public static readonly IReadOnlyList<Bounds> Fields =
    [
        new(new("秒", "second"), 0, 59, []),
        new(new("分", "minute"), 0, 59, []),
        new(new("时", "hour"), 0, 23, []),
        new(new("日", "day"), 1, 31, []),
        new(new("月", "month"), 1, 12, ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
        new(new("星期", "weekday"), 0, 7, ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
    ];

    private const int Day = 3, Weekday = 5;
    private const ulong Sundays = 1UL << 7 | 1UL;

    /// <summary>Names and limits of a field.</summary>
    internal sealed record Bounds(Text Name, int First, int Last, string[] Names)
    {
        public ulong All => (1UL << Last + 1) - (1UL << First);
    }

    /// <summary>Whether every value is meant, however that was written.</summary>
    public bool Every(int index) => !Last && !Nearest && Number == 0 && Values == Fields[index].All;

    /// <summary>
    /// Reads field number <paramref name="index"/> (0 = second … 5 = weekday). <paramref name="why"/> is what is wrong with it, without the field's name.
    /// </summary>
    public static bool TryParse(int index, string source, out CronField? field, out Text why)
    {
        field = null;
        why = default;

        // Full-width forms are an easy slip on a Chinese keyboard, and letters like ſ would pass for s where case is ignored.
        if (!Ascii.IsValid(source))
        {
            why = new($"“{source}” 含有 ASCII 以外的字符（例如全角字符）", $"\"{source}\" has characters beyond ASCII (full-width ones, for example)");
            return false;
        }

        if (source.Contains('?', StringComparison.Ordinal))
        {
            why = new("不支持 ?，请用 *", "? is not supported, use *");
            return false;
        }

        var items = source.Split(',');
        if (items.Length == 1 && index is Day or Weekday && (index == Day ? LastOrNearest(source, out field, out why) : LastOrNth(source, out field, out why)))
            return field is not null;

        var canonical = new string[items.Length];
        ulong values = 0;
        for (var i = 0; i < items.Length; i++)
        {
            if (!TryItem(index, items[i], items.Length > 1, out canonical[i], out var some, out why))
                return false;
            values |= some;
        }

        if (index == Weekday && (values & Sundays) != 0)
            values |= Sundays;
        field = new CronField(source, string.Join(',', canonical), values);
        return true;
    }

    // The two below answer whether the text is of their kind at all; a text of their kind that is wrong leaves no field, and a reason.
    private static bool LastOrNearest(string source, out CronField? field, out Text why)
    {
        field = null;
        why = default;
        var all = Fields[Day].All;
        var text = source.ToUpperInvariant();
        if (text is "L" or "LAST")
        {
            field = new CronField(source, "L", all, Last: true);
            return true;
        }

        var nearest = text.EndsWith('W');
        var rest = nearest ? text[..^1] : text;
        if (nearest && rest == "L")
        {
            field = new CronField(source, "LW", all, Last: true, Nearest: true);
        }
        else if (rest.StartsWith("L-", StringComparison.Ordinal))
        {
            if (!TryNumber(rest[2..], 0, 30, out var before))
                why = new($"“{source}” 应为 L-0 至 L-30", $"\"{source}\" must be L-0 to L-30");
            else
                field = new CronField(source, string.Create(CultureInfo.InvariantCulture, $"L-{before}{(nearest ? "W" : "")}"), all, true, nearest, before);
        }
        else if (nearest)
        {
            if (!TryNumber(rest, 1, 31, out var day))
                why = new($"“{source}” 的 W 前应为一个 1–31 的数字或 L", $"the W of \"{source}\" must follow one number from 1 to 31, or L");
            else
                field = new CronField(source, string.Create(CultureInfo.InvariantCulture, $"{day}W"), 1UL << day, Nearest: true);
        }
        else
        {
            return false;
        }

        return true;
    }

    private static bool LastOrNth(string source, out CronField? field, out Text why)
    {
        field = null;
        why = default;
        var bounds = Fields[Weekday];
        var hash = source.IndexOf('#', StringComparison.Ordinal);
        if (hash >= 0)
        {
            if (!TryValue(bounds, source[..hash], out var weekday) || !TryNumber(source[(hash + 1)..], 1, 5, out var number))
                why = new($"“{source}” 应为 星期#第几个（1–5），例如 fri#2", $"\"{source}\" must be a weekday, # and 1 to 5, as in fri#2");
            else
                field = new CronField(source, string.Create(CultureInfo.InvariantCulture, $"{weekday}#{number}"), SundayTwice(weekday), Number: number);
            return true;
        }

        if (!source.EndsWith('L') && !source.EndsWith('l'))
            return false;
        if (!TryValue(bounds, source[..^1], out var last))
            why = new($"“{source}” 的 L 前应为一个星期，例如 5L 或 friL", $"the L of \"{source}\" must follow a weekday, as in 5L or friL");
        else
            field = new CronField(source, string.Create(CultureInfo.InvariantCulture, $"{last}L"), SundayTwice(last), Last: true);
        return true;
    }

    private static bool TryItem(int index, string item, bool inList, out string canonical, out ulong values, out Text why)
    {
        var bounds = Fields[index];
        canonical = "";
        values = 0;
        why = default;
        if (item.Length == 0)
        {
            why = new("列表中有空项", "an item of the list is empty");
            return false;
        }

        var slash = item.IndexOf('/', StringComparison.Ordinal);
        var range = slash < 0 ? item : item[..slash];
        var step = 1;
        if (slash >= 0 && !TryStep(bounds, item[(slash + 1)..], out step, out why))
            return false;

        int low = bounds.First, high = bounds.Last;
        if (range != "*" && !TryRange(bounds, item, range, open: slash >= 0, inList, out low, out high, out why))
            return false;

        for (var value = low; value <= high; value += step)
            values |= 1UL << value;

        // Cronos takes a star only alone, and tells interval expressions, which go on through a clock change, by a star, a dash or a slash.
        var span = range == "*" && !inList ? "*"
            : low == high && slash < 0 && !range.Contains('-', StringComparison.Ordinal) ? low.ToString(CultureInfo.InvariantCulture)
            : string.Create(CultureInfo.InvariantCulture, $"{low}-{high}");
        canonical = slash < 0 ? span : string.Create(CultureInfo.InvariantCulture, $"{span}/{step}");
        return true;
    }

    private static bool TryStep(Bounds bounds, string text, out int step, out Text why)
    {
        why = default;
        if (TryNumber(text, 1, bounds.Last, out step))
            return true;
        why = TryNumber(text, 0, 0, out _)
            ? new("步长不能为 0", "a step cannot be 0")
            : new($"步长 “{text}” 应为 1–{bounds.Last} 的数字", $"the step \"{text}\" must be a number from 1 to {bounds.Last}");
        return false;
    }

    private static bool TryRange(Bounds bounds, string item, string range, bool open, bool inList, out int low, out int high, out Text why)
    {
        why = default;
        var dash = range.IndexOf('-', StringComparison.Ordinal);
        var first = dash < 0 ? range : range[..dash];
        var last = dash < 0 ? range : range[(dash + 1)..];
        low = high = 0;
        if (!TryValue(bounds, first, out low) || !TryValue(bounds, last, out high))
        {
            var wrong = TryValue(bounds, first, out _) ? last : first;
            why = Wrong(bounds, item, wrong, inList);
            return false;
        }

        // A week that is named ends on Sunday when Sunday is named last: fri-sun, and 5-sun.
        if (bounds == Fields[Weekday] && dash >= 0 && high == 0 && low > 0 && last.Equals("sun", StringComparison.OrdinalIgnoreCase))
            high = 7;
        if (low > high)
        {
            why = new($"范围 “{range}” 的起点大于终点", $"the range \"{range}\" is reversed");
            return false;
        }

        if (dash < 0 && open)
            high = bounds.Last;
        return true;
    }

    private static Text Wrong(Bounds bounds, string item, string wrong, bool inList)
    {
        if (wrong.Length is > 0 and <= 9 && wrong.All(char.IsAsciiDigit))
            return new($"“{wrong}” 超出范围 {bounds.First}–{bounds.Last}", $"\"{wrong}\" is out of range {bounds.First}-{bounds.Last}");
        if (inList && (bounds == Fields[Day] || bounds == Fields[Weekday]) && item.AsSpan().IndexOfAny("LlWw#") >= 0
            && (bounds == Fields[Day] ? LastOrNearest(item, out var field, out _) : LastOrNth(item, out field, out _)) && field is not null)
            return new($"“{item}” 不能放在列表中，L、W、# 须单独使用", $"\"{item}\" cannot stand in a list: L, W and # stand alone");
        return bounds.Names.Length == 0
            ? new($"“{wrong}” 不是 {bounds.First}–{bounds.Last} 的数字", $"\"{wrong}\" is not a number from {bounds.First} to {bounds.Last}")
            : new($"“{wrong}” 不是 {bounds.First}–{bounds.Last} 的数字，也不是 {bounds.Names[1]} 这样的名称",
                $"\"{wrong}\" is neither a number from {bounds.First} to {bounds.Last} nor a name like {bounds.Names[1]}");
    }

    private static bool TryValue(Bounds bounds, string text, out int value)
    {
        if (text.Length == 3)
        {
            value = Array.FindIndex(bounds.Names, name => name.Equals(text, StringComparison.OrdinalIgnoreCase));
            return value >= 0;
        }

        return TryNumber(text, bounds.First, bounds.Last, out value);
    }

    private static bool TryNumber(string text, int low, int high, out int value)
    {
        value = 0;
        return text.Length is 1 or 2 && text.All(char.IsAsciiDigit)
            && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= low && value <= high;
    }

    private static ulong SundayTwice(int weekday) => weekday is 0 or 7 ? Sundays : 1UL << weekday;
}
