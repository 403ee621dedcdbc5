using System.Globalization;

namespace Codo.Host.Client.Import;

/// <summary>One field of a schedule as the numbers that it stands for.</summary>
internal static class ScheduleField
{
    public static readonly string[] Months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

    /// <summary>The fields of a crontab: what each is called, the numbers that it takes, and names of them from the least on.</summary>
    public static readonly (string Name, int Least, int Most, string[] Names)[] OfCrontab =
    [
        ("minute", 0, 59, []),
        ("hour", 0, 23, []),
        ("day", 1, 31, []),
        ("month", 1, 12, Months),
        ("weekday", 0, 7, ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
    ];

    /// <param name="names">Names of the numbers from <paramref name="least"/> on.</param>
    /// <param name="isOpen">N/STEP is every STEP from N on, as Quartz and APScheduler have it; crons differ.</param>
    /// <param name="wraps">A range may go past the end, as 22-2 in Quartz.</param>
    /// <exception cref="FormatException">It does not read; the message says why.</exception>
    public static SortedSet<int> Read(string field, string name, int least, int most, string[] names, bool isOpen = false, bool wraps = false)
    {
        var set = new SortedSet<int>();
        foreach (var part in field.Split(','))
        {
            var halves = part.Split('/');
            if (halves.Length > 2) throw new FormatException($"The {name} {field} is not read.");
            var range = halves[0];
            var step = halves.Length == 2 ? Number(halves[1], name, field) : 1;
            if (step < 1) throw new FormatException($"The {name} {field} has a step of zero.");
            var ends = range is "*" or "" && (range.Length > 0 || isOpen)
                ? [least, most]
                : range.Split('-').Select(end => Value(end, name, field, least, names)).ToArray();
            if (ends.Length == 1 && halves.Length == 2)
                ends = isOpen ? [ends[0], most] : throw new FormatException($"Crons differ in what the {name} {part} means: write {range}-{most}/{step}.");
            var isTurned = wraps && ends.Length == 2 && ends[0] > ends[1];
            if (ends.Length > 2 || (!isTurned && ends[0] > ends[^1]) || ends.Min() < least || ends.Max() > most)
                throw new FormatException($"The {name} {field} is out of range.");
            var last = isTurned ? ends[1] + (most - least + 1) : ends[^1];
            for (var value = ends[0]; value <= last; value += step) set.Add(value > most ? value - (most - least + 1) : value);
        }
        return set;
    }

    /// <summary>Numbers as a field writes them, with ranges where several follow each other.</summary>
    public static string Write(IEnumerable<int> numbers)
    {
        var all = numbers.Order().ToList();
        var ranges = new List<string>();
        for (var place = 0; place < all.Count; place++)
        {
            var first = all[place];
            while (place + 1 < all.Count && all[place + 1] == all[place] + 1) place++;
            ranges.Add(
                first == all[place] ? first.ToString(CultureInfo.InvariantCulture)
                : all[place] == first + 1 ? string.Create(CultureInfo.InvariantCulture, $"{first},{all[place]}")
                : string.Create(CultureInfo.InvariantCulture, $"{first}-{all[place]}")
            );
        }
        return string.Join(',', ranges);
    }

    private static int Value(string text, string name, string field, int least, string[] names)
    {
        var place = text.Length == 3 ? Array.FindIndex(names, known => known.Equals(text, StringComparison.OrdinalIgnoreCase)) : -1;
        return place >= 0 ? place + least : Number(text, name, field);
    }

    private static int Number(string text, string name, string field) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new FormatException($"The {name} {field} is not read.");
}
