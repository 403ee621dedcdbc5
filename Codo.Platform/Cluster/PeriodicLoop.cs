using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Codo.Platform.Cluster;

/// <summary>
/// The one loop behind every sweep, poll and listener of the host: runs its body at once and then every period, measured on a monotonic clock. A failure is
/// logged with its exception and tried again after a pause that doubles up to the period (5 s for shorter periods). While a poll finds nothing its pause
/// doubles up to the longest rest. Nothing that a body throws ends the loop. Its last success is shown and judged by readiness (<see cref="LoopStates"/>).
/// </summary>
public sealed class PeriodicLoop : BackgroundService
{
    private const int MostDoublings = 10;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(500), LongestShortPause = TimeSpan.FromSeconds(5);

    private readonly LoopState state;
    private readonly WakeSignal wake;
    private readonly Func<LoopState, CancellationToken, Task> body;
    private readonly ILogger log;

    internal PeriodicLoop(LoopState state, WakeSignal wake, Func<LoopState, CancellationToken, Task> body, ILogger log) =>
        (this.state, this.wake, this.body, this.log) = (state, wake, body, log);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // The start of the host does not wait for the first run.
        await Task.Yield();
        var (failures, idle) = (0, 0);
        // The first rest is shorter: loops start together, and those of one period would ask the database at the same moment for good, each over a connection
        // of its own.
        var part = (1 + Random.Shared.NextDouble()) / 2;
        while (!stoppingToken.IsCancellationRequested)
        {
            var began = Stopwatch.GetTimestamp();
            try
            {
                state.IsIdle = false;
                await body(state, stoppingToken);
                idle = state.IsIdle ? Math.Min(idle + 1, MostDoublings) : 0;
                state.Succeeded();
                failures = 0;
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                break;
            }
            catch (Exception error)
            {
                failures++;
                state.Failed(error);
                log.LogWarning(
                    error,
                    "Loop '{Loop}' failed {Failures} times in a row; it runs again in {Pause} s",
                    state.Name,
                    failures,
                    Pause(failures).TotalSeconds
                );
            }
            var rest = failures > 0 ? Pause(failures) : RestAfter(idle) * part - Stopwatch.GetElapsedTime(began);
            part = 1;
            await Rest(rest > TimeSpan.Zero ? rest : TimeSpan.Zero, failures == 0, stoppingToken);
        }
    }

    /// <summary>From the beginning of a run to that of the next, after so many in a row that found nothing.</summary>
    internal TimeSpan RestAfter(int idle)
    {
        var rest = state.Period * Math.Pow(2, idle);
        return rest < state.LongestRest ? rest : state.LongestRest;
    }

    /// <summary>The pause before the next run after so many failures in a row.</summary>
    internal TimeSpan Pause(int failures)
    {
        var longest = state.Period > LongestShortPause ? state.Period : LongestShortPause;
        var pause = FirstPause * Math.Pow(2, Math.Min(failures - 1, 20));
        return pause < longest ? pause : longest;
    }

    private async Task Rest(TimeSpan time, bool mayBeWoken, CancellationToken stopping)
    {
        try
        {
            // A loop that fails is not woken before its pause is over: a burst of signals would make it a busy loop.
            if (mayBeWoken) await wake.Wait(time, stopping);
            else await Task.Delay(time, stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            log.LogDebug("Loop '{Loop}' ends with the host", state.Name);
        }
    }
}

/// <summary>How a module declares its loops.</summary>
public static class LoopRegistration
{
    /// <summary>Adds a loop.</summary>
    /// <param name="name">As health and the log show it, unique in the host: <c>cron poll</c>.</param>
    /// <param name="body">One run. It ends its work when the token is cancelled.</param>
    /// <param name="wake">What starts the next run before its time; null where nothing does.</param>
    public static IServiceCollection AddLoop<T>(
        this IServiceCollection services,
        string name,
        TimeSpan period,
        Func<T, CancellationToken, Task> body,
        Func<T, WakeSignal>? wake = null
    )
        where T : notnull => services.AddLoop<T>(name, period, (worker, _, stopping) => body(worker, stopping), wake);

    /// <summary>
    /// Adds a loop that looks for work. While it finds none it looks more and more seldom, up to <paramref name="longest"/>; whoever knows of work wakes it.
    /// </summary>
    /// <param name="body">One look; it answers whether there was, or will soon be, anything to do.</param>
    public static IServiceCollection AddPoll<T>(
        this IServiceCollection services,
        string name,
        TimeSpan period,
        TimeSpan longest,
        Func<T, CancellationToken, Task<bool>> body,
        Func<T, WakeSignal>? wake = null
    )
        where T : notnull =>
        services.AddSingleton<IHostedService>(provider =>
        {
            var worker = provider.GetRequiredService<T>();
            return new PeriodicLoop(
                provider.GetRequiredService<LoopStates>().Add(name, period, longest),
                wake?.Invoke(worker) ?? new WakeSignal(),
                async (state, stopping) => state.IsIdle = !await body(worker, stopping),
                provider.GetRequiredService<ILoggerFactory>().CreateLogger("Codo.Loops")
            );
        });

    /// <summary>Adds a loop whose body runs for long, such as a listener, and reports its successes to the state that it is given.</summary>
    public static IServiceCollection AddLoop<T>(
        this IServiceCollection services,
        string name,
        TimeSpan period,
        Func<T, LoopState, CancellationToken, Task> body,
        Func<T, WakeSignal>? wake = null
    )
        where T : notnull =>
        services.AddSingleton<IHostedService>(provider =>
        {
            var worker = provider.GetRequiredService<T>();
            return new PeriodicLoop(
                provider.GetRequiredService<LoopStates>().Add(name, period),
                wake?.Invoke(worker) ?? new WakeSignal(),
                (state, stopping) => body(worker, state, stopping),
                provider.GetRequiredService<ILoggerFactory>().CreateLogger("Codo.Loops")
            );
        });
}
