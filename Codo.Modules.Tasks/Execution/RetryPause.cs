using Codo.Modules.Tasks.Layout;
using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// How long a failed step pauses before it is tried again: <c>retry_delay</c> seconds, then twice as long each time, a day at most. A fifth more or less, so
/// that the lanes of a hundred hosts that failed together do not come back together.
/// </summary>
internal static class RetryPause
{
    public static TimeSpan Of(ClaimedStep ran) => Of(ran.RetryDelay, ran.Tries, Random.Shared.NextDouble());

    /// <param name="delay">Seconds.</param>
    /// <param name="tries">Attempts that have failed, from 1.</param>
    /// <param name="chance">From 0 to 1.</param>
    public static TimeSpan Of(int delay, int tries, double chance) =>
        TimeSpan.FromSeconds(Math.Min(delay * Math.Pow(2, tries - 1), StepRules.MostRetryDelay) * (0.8 + (0.4 * chance)));

    /// <summary>What people see of a step that pauses.</summary>
    public static Text Told(ClaimedStep ran, TimeSpan pause) => new(
        $"{pause.TotalSeconds:0.#} 秒后第 {ran.Tries} 次重试（共 {ran.Retries} 次）",
        $"Retry {ran.Tries} of {ran.Retries} in {pause.TotalSeconds:0.#} s");
}
