using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Codo.Platform.Cluster;

/// <summary>What is known of one loop of this host.</summary>
public sealed class LoopState
{
    private long succeededAt = BootTime.Now.Ticks;
    private long endedAt = BootTime.Now.Ticks;
    private volatile Exception? failure;
    private volatile bool hasSucceeded;

    internal LoopState(string name, TimeSpan period, TimeSpan? longestRest = null, bool isVital = false) =>
        (Name, Period, LongestRest, IsVital) = (name, period, longestRest ?? period, isVital);

    public string Name { get; }

    public TimeSpan Period { get; }

    /// <summary>The period while nothing is found.</summary>
    public TimeSpan LongestRest { get; }

    /// <summary>Whether the host is of no use while a run of it hangs: then the service manager restarts it.</summary>
    public bool IsVital { get; }

    /// <summary>Whether the last run found nothing to do.</summary>
    internal bool IsIdle { get; set; }

    /// <summary>Whether the loop stands still on purpose; null for one that never does.</summary>
    public Func<bool>? Rests { get; init; }

    /// <summary>Time since the last success, on a clock that no change of the wall clock moves; since the start where there was none.</summary>
    public TimeSpan Age => BootTime.Now - TimeSpan.FromTicks(Interlocked.Read(ref succeededAt));

    /// <summary>Whether there was a success since the start.</summary>
    public bool HasSucceeded => hasSucceeded;

    /// <summary>Time since a run last ended, well or not.</summary>
    public TimeSpan Silence => BootTime.Now - TimeSpan.FromTicks(Interlocked.Read(ref endedAt));

    /// <summary>Why the last run failed; null when it succeeded.</summary>
    public Exception? Failure => failure;

    /// <summary>Whether it has not succeeded for ten periods, or five of its longest rests.</summary>
    public bool IsStale => Rests?.Invoke() != true && Age > (Period * 10 > LongestRest * 5 ? Period * 10 : LongestRest * 5);

    /// <summary>Called by the loop after each run, and by the body of a loop that runs for long.</summary>
    public void Succeeded()
    {
        failure = null;
        hasSucceeded = true;
        Interlocked.Exchange(ref succeededAt, BootTime.Now.Ticks);
        Interlocked.Exchange(ref endedAt, BootTime.Now.Ticks);
    }

    public void Failed(Exception error)
    {
        failure = error;
        Interlocked.Exchange(ref endedAt, BootTime.Now.Ticks);
    }
}

/// <summary>Every loop of this host, for readiness: one that has not succeeded for ten periods is degraded and named.</summary>
public sealed class LoopStates : IHealthCheck
{
    private readonly ConcurrentDictionary<string, LoopState> loops = new(StringComparer.Ordinal);

    /// <summary>All of them, by name.</summary>
    public IReadOnlyList<LoopState> All => [.. loops.Values.OrderBy(loop => loop.Name, StringComparer.Ordinal)];

    /// <exception cref="InvalidOperationException">There is a loop of that name.</exception>
    /// <param name="rests">Whether the loop stands still on purpose; null for one that never does.</param>
    public LoopState Add(string name, TimeSpan period, TimeSpan? longestRest = null, bool isVital = false, Func<bool>? rests = null)
    {
        var state = new LoopState(name, period, longestRest, isVital) { Rests = rests };
        return loops.TryAdd(name, state) ? state : throw new InvalidOperationException($"There are two loops called '{name}'.");
    }

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var stale = All.Where(loop => loop.IsStale).ToList();
        return Task.FromResult(
            stale.Count == 0
                ? HealthCheckResult.Healthy("last success: " + string.Join(", ", All.Select(Shown)))
                : HealthCheckResult.Degraded(
                    "no success for ten periods: "
                        + string.Join("; ", stale.Select(loop => $"{Shown(loop)}{(loop.Failure is { } why ? $" ({why.Message})" : "")}"))
                )
        );
    }

    private static string Shown(LoopState loop) =>
        loop.HasSucceeded ? string.Create(CultureInfo.InvariantCulture, $"{loop.Name} {loop.Age.TotalSeconds:0.0} s ago") : $"{loop.Name} none yet";
}
