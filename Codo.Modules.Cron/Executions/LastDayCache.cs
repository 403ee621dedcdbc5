using System.Collections.Concurrent;

namespace Codo.Modules.Cron.Executions;

/// <summary>The last 24 hours of all jobs by the hour, kept for some seconds: each console that is open asks for them again and again.</summary>
internal sealed class LastDayCache(TimeProvider time)
{
    private const int MostKept = 64;

    internal static readonly TimeSpan Longest = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<string, (long At, Lazy<Task<List<ShowStatistics.HourSums>>> Hours)> kept = new(StringComparer.Ordinal);

    /// <summary>Replaced in tests.</summary>
    internal TimeProvider Time { get; set; } = time;

    /// <summary>As they were read last, or read anew.</summary>
    /// <param name="key">What the caller sees.</param>
    public async Task<List<ShowStatistics.HourSums>> Get(string key, Func<Task<List<ShowStatistics.HourSums>>> read)
    {
        if (kept.Count >= MostKept && !kept.ContainsKey(key)) kept.Clear();
        var anew = (Time.GetTimestamp(), new Lazy<Task<List<ShowStatistics.HourSums>>>(read));
        // Whoever asks while the hours are being read waits for the same answer.
        var one = kept.AddOrUpdate(key, anew, (_, known) => Time.GetElapsedTime(known.At) < Longest ? known : anew);
        try
        {
            return await one.Hours.Value;
        }
        catch
        {
            kept.TryRemove(KeyValuePair.Create(key, one));
            throw;
        }
    }
}
