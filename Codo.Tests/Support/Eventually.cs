using System.Collections;
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Codo.Tests.Support;

/// <summary>Waits for a condition, as long as it takes and no longer than a bound that no healthy run comes near.</summary>
internal static class Eventually
{
    /// <summary>Seconds, where a test does not say itself how long something may take: a machine that others share is several times as slow.</summary>
    private const double Patience = 90;

    // Seconds that one look counts at most: a machine that stands still, with the test and what it waits for, uses up nobody's patience.
    private const double LongestLook = 5;

    public static async Task<T> Get<T>(Func<Task<T?>> read, Func<T, bool> until, string what, double seconds = Patience)
    {
        T? last;
        var (used, at) = (0.0, Stopwatch.GetTimestamp());
        while (true)
        {
            last = await read();
            if (last is not null && until(last)) return last;
            // Judged after a look: there is one more when the time has passed.
            if (used >= seconds) break;
            await Task.Delay(20, TestContext.Current.CancellationToken);
            used += Math.Min(Stopwatch.GetElapsedTime(at).TotalSeconds, LongestLook);
            at = Stopwatch.GetTimestamp();
        }
        throw new TimeoutException($"Not within {seconds} s: {what}. Last seen: {Shown(last)}");
    }

    public static Task True(Func<Task<bool>> holds, string what, double seconds = Patience) =>
        Get(async () => (bool?)await holds(), yes => yes == true, what, seconds);

    public static Task True(Func<bool> holds, string what, double seconds = Patience) => True(() => Task.FromResult(holds()), what, seconds);

    // The items of a list, whose own text is the name of its type.
    private static string Shown(object? seen) =>
        seen is IEnumerable items and not (string or JsonNode) ? $"[{string.Join(", ", items.Cast<object?>())}]" : $"{seen}";
}
