using Codo.Platform.Data;
using Microsoft.Extensions.Logging;
using Polly;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// Turns at the database for what runs on this node. Lanes by the hundred end a step at once, and the pool is the requests' as well, so they take it few at a
/// time;
/// and a step must not fail because the database was away, so they wait until it is back.
/// </summary>
internal sealed class DatabaseThrottle(ILogger<DatabaseThrottle> log) : IDisposable
{
    private const int AtOnce = 12;

    private readonly SemaphoreSlim turns = new(AtOnce);
    private readonly CancellationTokenSource givenUp = new();
    private readonly ResiliencePipeline untilAnswered = DatabaseErrors.UntilAnswered(log, "A step");

    /// <summary>Whether the host ends and nothing more is to be waited for.</summary>
    public bool HasGivenUp => givenUp.IsCancellationRequested;

    /// <summary>Takes a turn; failures are the caller's.</summary>
    public async Task<T> Once<T>(Func<Task<T>> ask)
    {
        await turns.WaitAsync(givenUp.Token);
        try
        {
            return await ask();
        }
        finally
        {
            turns.Release();
        }
    }

    /// <summary>Takes turns until one succeeds or fails for good (<see cref="DatabaseErrors"/>).</summary>
    /// <exception cref="OperationCanceledException">The host ends.</exception>
    public async Task<T> UntilAnswered<T>(Func<Task<T>> ask) => await untilAnswered.ExecuteAsync(async _ => await Once(ask), givenUp.Token);

    /// <summary>What waits is given up; whoever recovers this node goes on with it.</summary>
    public void GiveUp() => givenUp.Cancel();

    public void Dispose()
    {
        turns.Dispose();
        givenUp.Dispose();
    }
}
