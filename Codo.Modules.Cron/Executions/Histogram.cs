namespace Codo.Modules.Cron.Executions;

/// <summary>Times counted in buckets that each are 19 % longer than the one before (<c>cron.bucket</c>), so that those of many days add up.</summary>
internal static class Histogram
{
    /// <summary>The time in seconds that such a share of all did not exceed, to 10 %; null where none was counted.</summary>
    public static double? Percentile(int[] counts, double share)
    {
        var total = counts.Sum(count => (long)count);
        if (total == 0) return null;
        var wanted = Math.Max(1, (long)Math.Ceiling(total * share));
        var seen = 0L;
        for (var place = 0; place < counts.Length; place++)
            if ((seen += counts[place]) >= wanted)
                return Math.Round(place == 0 ? 0.001 : Math.Pow(2, (place - 0.5) / 4) / 1000, 3);
        return null;
    }
}
