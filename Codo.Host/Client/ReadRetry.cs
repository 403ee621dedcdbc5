namespace Codo.Host.Client;

/// <summary>
/// Repeats the reads of whoever follows an order or a run while the server is away: a restart, a failover or a full server takes seconds, and says nothing
/// about the order or the run. Only reads: a request that changes something may have been done although its answer was lost.
/// </summary>
/// <param name="waits">False where nothing is followed: the first failure is the answer.</param>
internal sealed class ReadRetry(ClientContext context, bool waits = true)
{
    /// <summary>How long a server may be away before whoever follows gives up.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2), Pause = TimeSpan.FromSeconds(1);

    // When the outage began; null while the server answers.
    private long? since;

    /// <summary>The answer, once there is one.</summary>
    /// <exception cref="ClientFailure">The server refused it, or has been away for too long.</exception>
    public async Task<T> Read<T>(Func<Task<T>> read, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                var answer = await read();
                Answered();
                return answer;
            }
            catch (ClientFailure failure) when (Allows(failure))
            {
                await Rest(cancellation);
            }
        }
    }

    /// <summary>The server has answered: the next failure begins an outage of its own.</summary>
    public void Answered() => since = null;

    /// <summary>Whether to ask again after this failure.</summary>
    public bool Allows(ClientFailure failure)
    {
        if (!waits || !failure.IsTransient) return false;
        since ??= context.Time.GetTimestamp();
        return context.Time.GetElapsedTime(since.Value) <= Patience;
    }

    /// <summary>The pause before it is asked again.</summary>
    public Task Rest(CancellationToken cancellation) => Task.Delay(Pause, context.Time, cancellation);
}
