using System.Numerics;
using Codo.Platform.Localization;
using Cronos;

namespace Codo.Modules.Cron.Schedules;

/// <summary>
/// An expression of six fields: second, minute, hour, day, month, weekday (0 and 7 are Sunday). Day and weekday must both match. Immutable, and equal
/// in meaning to what Cronos makes of <see cref="CronField.Canonical"/>.
/// </summary>
internal sealed class CronExpression
{
    /// <summary>The longest text that is read, in characters; the longest sensible list is shorter.</summary>
    public const int MaxLength = 200;

    private const int Second = 0, Hour = 2;

    // Every weekday and leap day comes round within 40 years, so what does not happen in the years from here to the end of Cronos' calendar never does.
    private static readonly DateTime Ago = new(2000, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    private readonly Cronos.CronExpression parsed;
    private readonly CronField[] fields;

    // A page of jobs is asked for far more often than an expression changes.
    private readonly Lazy<Text> words;

    private CronExpression(CronField[] fields, Cronos.CronExpression parsed)
    {
        this.fields = fields;
        this.parsed = parsed;
        words = new Lazy<Text>(() => CronWords.Describe(fields));
        IsInterval = fields[Second..(Hour + 1)].Any(field => field.Canonical.AsSpan().IndexOfAny("*-/") >= 0);
        ForCronos = InDigits(fields);
        Fields = Array.ConvertAll(fields, field => field.Source);
    }

    /// <summary>The six fields as they were written: second, minute, hour, day, month, weekday.</summary>
    public IReadOnlyList<string> Fields { get; }

    /// <summary>
    /// The six fields as Cronos takes them. Whatever parses with Cronos itself, Hangfire above all, must be given this one: it knows neither
    /// <c>last</c> nor a star in a list, and counts wrongly from one Sunday to the other.
    /// </summary>
    public string ForCronos { get; }

    /// <summary>
    /// Whether the second, minute or hour is a star, a range or a step. Such an expression goes on by the clock when an hour comes twice; one that only
    /// names times runs at the first of the two.
    /// </summary>
    public bool IsInterval { get; }

    /// <summary>Due times on a day that the expression is for, on a clock that does not change.</summary>
    public int TimesADay => fields[Second..(Hour + 1)].Aggregate(1, (times, one) => times * BitOperations.PopCount(one.Values));

    /// <summary>Whether it is for each day.</summary>
    public bool IsForEachDay => Enumerable.Range(Hour + 1, fields.Length - Hour - 1).All(index => fields[index].Every(index));

    /// <summary>Reads an expression; runs of white space separate its fields.</summary>
    /// <param name="text">What was sent; null is an expression without fields.</param>
    /// <param name="expression">The expression when the answer is true.</param>
    /// <param name="why">The field and what is wrong with it when the answer is false.</param>
    /// <param name="wrongFieldCount">True when there are not six fields: the original's message for that carries no detail.</param>
    public static bool TryParse(string? text, out CronExpression? expression, out Text why, out bool wrongFieldCount)
    {
        expression = null;
        why = default;
        wrongFieldCount = false;
        if (text?.Length > MaxLength)
        {
            why = new($"表达式超过 {MaxLength} 个字符", $"the expression is longer than {MaxLength} characters");
            return false;
        }

        var sources = (text ?? "").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (sources.Length != CronField.Fields.Count)
        {
            wrongFieldCount = true;
            why = new("应为六个字段：秒 分 时 日 月 星期", "six fields are needed: second minute hour day month weekday");
            return false;
        }

        var fields = new CronField[sources.Length];
        for (var i = 0; i < fields.Length; i++)
        {
            if (!CronField.TryParse(i, sources[i], out var field, out why))
            {
                var name = CronField.Fields[i].Name;
                why = new($"{name.Zh}：{why.Zh}", $"{name.En}: {why.En}");
                return false;
            }

            fields[i] = field!;
        }

        var parsed = Cronos.CronExpression.Parse(InDigits(fields), CronFormat.IncludeSeconds);
        if (parsed.GetNextOccurrence(Ago, inclusive: true) is null)
        {
            why = new("日、月、星期：没有同时满足的日期", "day, month, weekday: no date matches all three");
            return false;
        }

        expression = new CronExpression(fields, parsed);
        return true;
    }

    /// <summary>
    /// The first due time after <paramref name="after"/>, with the offset of <paramref name="zone"/>; null when Cronos' calendar has ended. A time that
    /// a clock change skips is due when the clocks have changed, and one that comes twice is due at the first, or at both for an interval.
    /// </summary>
    public DateTimeOffset? Next(DateTimeOffset after, TimeZoneInfo zone) =>
        after.Year is < 2 or > 9998 ? null : new WallClock(zone).Next(after, IsInterval, NextOnWall);

    /// <summary>The due times in (<paramref name="fromExclusive"/>, <paramref name="toInclusive"/>], computed one by one as they are asked for.</summary>
    public IEnumerable<DateTimeOffset> Between(DateTimeOffset fromExclusive, DateTimeOffset toInclusive, TimeZoneInfo zone)
    {
        // Where the clock does not change meanwhile, and that is nearly always, the wall clock goes as time does.
        return new WallClock(zone).OnlyOffset(fromExclusive, toInclusive) is { } offset
            ? OnSteadyClock(fromExclusive, toInclusive, offset)
            : OneByOne();

        IEnumerable<DateTimeOffset> OneByOne()
        {
            for (var next = Next(fromExclusive, zone); next <= toInclusive; next = Next(next.Value, zone))
                yield return next.Value;
        }
    }

    /// <summary>The due times in (<paramref name="fromExclusive"/>, <paramref name="toInclusive"/>], throughout which the clock has this offset.</summary>
    public IEnumerable<DateTimeOffset> OnSteadyClock(DateTimeOffset fromExclusive, DateTimeOffset toInclusive, TimeSpan offset)
    {
        var last = toInclusive.ToOffset(offset).DateTime;
        for (var next = NextOnWall(WallClock.WholeSecondAfter(fromExclusive.ToOffset(offset).DateTime)); next <= last;
            next = NextOnWall(next.Value.AddSeconds(1)))
            yield return WallClock.At(next.Value, offset);
    }

    /// <summary>The expression in words: complete, and the same for two expressions exactly when they mean the same.</summary>
    public Text Describe() => words.Value;

    /// <summary>What a clock change does to the due time <paramref name="next"/> in <paramref name="zone"/>; null when it does nothing.</summary>
    public Text? DstNote(DateTimeOffset next, TimeZoneInfo zone) => new WallClock(zone).Note(next, IsInterval, NextOnWall);

    /// <summary>The fields with one space between them.</summary>
    public override string ToString() => string.Join(' ', Fields);

    /// <summary>What Cronos makes of it: the same text for all writings of one meaning.</summary>
    internal string Meaning => parsed.ToString();

    private static string InDigits(IEnumerable<CronField> fields) => string.Join(' ', fields.Select(field => field.Canonical));

    // Cronos computes on the wall clock alone, as if that were UTC.
    private DateTime? NextOnWall(DateTime from) => parsed.GetNextOccurrence(DateTime.SpecifyKind(from, DateTimeKind.Utc), inclusive: true);
}
