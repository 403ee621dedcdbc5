using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// Places of moments on a line of 1,000 units. Times in which nothing ran and that are long beside the rest take a few units each, so that what ran stays to be
/// seen.
/// </summary>
internal sealed class TimelineScale
{
    /// <summary>Units of a folded time.</summary>
    public const int FoldWidth = 14;

    // Of the time in which something ran, which a pause must be longer than to be folded.
    private const double FoldShare = .15;

    // Folds beyond are drawn at their length.
    private const int MostFolds = 20;

    private static readonly TimeSpan LeastFold = TimeSpan.FromSeconds(10);

    private readonly List<(DateTime From, DateTime To)> folded;

    public TimelineScale(DateTime from, DateTime to, IEnumerable<(DateTime From, DateTime To)> busy)
    {
        (From, To) = (from, to > from ? to : from.AddSeconds(1));
        var (gaps, at, ran) = (new List<(DateTime From, DateTime To)>(), from, TimeSpan.Zero);
        foreach (var (begin, end) in busy.OrderBy(one => one.From))
        {
            if (begin > at) gaps.Add((at, begin));
            if (end <= at) continue;
            ran += end - (begin > at ? begin : at);
            at = end;
        }
        if (To > at) gaps.Add((at, To));
        var least = TimeSpan.FromSeconds(Math.Max(LeastFold.TotalSeconds, ran.TotalSeconds * FoldShare));
        folded = [.. gaps.Where(gap => gap.To - gap.From > least).OrderByDescending(gap => gap.To - gap.From).Take(MostFolds).OrderBy(gap => gap.From)];
        Folds = [.. folded.Select(fold => (Place(fold.From), DurationText.Of(fold.To - fold.From)))];
    }

    public DateTime From { get; }

    public DateTime To { get; }

    /// <summary>Where each folded time stands, and how long it was.</summary>
    public IReadOnlyList<(int At, string Words)> Folds { get; }

    /// <summary>Where a moment stands, from 0 to 1,000.</summary>
    public int Place(DateTime moment)
    {
        moment = moment < From ? From : moment > To ? To : moment;
        var room = 1000.0 - (folded.Count * FoldWidth);
        var (length, before, units) = (Length(To), Length(moment), 0.0);
        foreach (var (from, to) in folded)
            if (moment > from) units += FoldWidth * Math.Clamp((moment - from) / (to - from), 0, 1);
        return (int)Math.Round(units + (length > TimeSpan.Zero ? room * (before / length) : 0));
    }

    // Without what is folded.
    private TimeSpan Length(DateTime upto) =>
        folded.Aggregate(upto - From, (sum, fold) => sum - (upto > fold.To ? fold.To - fold.From : upto > fold.From ? upto - fold.From : TimeSpan.Zero));
}

/// <summary>A length of time as a person says it.</summary>
internal static class DurationText
{
    public static string Of(TimeSpan time) =>
        time.TotalSeconds switch
        {
            < 10 => $"{time.TotalSeconds:0.#} s",
            < 60 => $"{time.TotalSeconds:0} s",
            < 3600 => new Text($"{(int)time.TotalMinutes} 分 {time.Seconds} 秒", $"{(int)time.TotalMinutes} min {time.Seconds} s").ToString(),
            < 86_400 => new Text($"{(int)time.TotalHours} 小时 {time.Minutes} 分", $"{(int)time.TotalHours} h {time.Minutes} min").ToString(),
            _ => new Text($"{time.Days} 天 {time.Hours} 小时", $"{time.Days} d {time.Hours} h").ToString(),
        };
}
