using System.Diagnostics;

namespace Codo.Tests.Support;

/// <summary>Waits for a condition, as long as it takes and no longer than a bound that no healthy run comes near.</summary>
internal static class Eventually
{
    /// <summary>Seconds, where a test does not say itself how long something may take: a machine that others share is several times as slow.</summary>
    private const double Patience = 90;

    public static async Task<T> Get<T>(Func<Task<T?>> read, Func<T, bool> until, string what, double seconds = Patience)
    {
        var began = Stopwatch.GetTimestamp();
        T? last = default;
        while (Stopwatch.GetElapsedTime(began).TotalSeconds < seconds)
        {
            last = await read();
            if (last is not null && until(last)) return last;
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
        throw new TimeoutException($"Not within {seconds} s: {what}. Last seen: {last}");
    }

    public static Task True(Func<Task<bool>> holds, string what, double seconds = Patience) =>
        Get(async () => (bool?)await holds(), yes => yes == true, what, seconds);

    public static Task True(Func<bool> holds, string what, double seconds = Patience) => True(() => Task.FromResult(holds()), what, seconds);
}
