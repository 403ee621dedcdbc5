using Microsoft.Extensions.DependencyInjection;
using StackExchange.Redis;

namespace Codo.Platform.Data;

/// <summary>
/// The connection to Redis, made when it is first asked for and by nobody's thread: the client waits for seconds for a Redis that is not there, and neither a
/// start nor an end of the host may. From then on the client mends it by itself, also after a failover.
/// </summary>
public sealed class RedisClient(IServiceProvider services)
{
    private readonly Lock gate = new();
    private Task<IConnectionMultiplexer>? connecting;

    /// <summary>The client's own; null until it has been made, and while Redis is away.</summary>
    public IConnectionMultiplexer? Connected =>
        Connecting is { IsCompletedSuccessfully: true } made && made.Result is { IsConnected: true } connection ? connection : null;

    /// <summary>The client's own, which may have lost its Redis again.</summary>
    /// <exception cref="TimeoutException">It is not made within this time.</exception>
    /// <exception cref="RedisException">No sentinel answers, or none knows the service; it is tried anew the next time.</exception>
    public Task<IConnectionMultiplexer> Get(TimeSpan patience, CancellationToken cancellation) => Connecting.WaitAsync(patience, cancellation);

    private Task<IConnectionMultiplexer> Connecting
    {
        get
        {
            lock (gate)
            {
                // With Sentinel the client throws where it finds no primary at first, whatever abortConnect says.
                if (connecting is null or { IsFaulted: true }) connecting = Task.Run(services.GetRequiredService<IConnectionMultiplexer>);
                return connecting;
            }
        }
    }
}
