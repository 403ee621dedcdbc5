using System.Collections.Concurrent;

namespace Codo.Modules.Cron.Jobs;

/// <summary>Forecasts of this minute, for as long as the jobs that they were made of are the same.</summary>
internal sealed class ForecastCache
{
    private const int MostKept = 16;

    private readonly ConcurrentDictionary<string, (string State, Forecast.Result Result)> kept = new(StringComparer.Ordinal);

    /// <summary>The forecast as it was made in this state.</summary>
    /// <param name="key">What was asked, and what the caller sees.</param>
    public Forecast.Result? Find(string key, string state) => kept.TryGetValue(key, out var found) && found.State == state ? found.Result : null;

    /// <summary>Keeps a forecast in place of an older one.</summary>
    public void Keep(string key, string state, Forecast.Result result)
    {
        if (kept.Count >= MostKept) kept.Clear();
        kept[key] = (state, result);
    }
}
