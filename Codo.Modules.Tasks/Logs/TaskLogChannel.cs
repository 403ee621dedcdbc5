using Codo.Modules.Tasks.Execution;
using Codo.Platform.Data;
using StackExchange.Redis;

namespace Codo.Modules.Tasks.Logs;

/// <summary>The Redis channel that lines travel over.</summary>
internal sealed class TaskLogChannel(RedisClient redis)
{
    public const string Name = "task_log";

    private static readonly TimeSpan MostToConnect = TimeSpan.FromSeconds(1);

    private static RedisChannel Channel => RedisChannel.Literal(Name);

    /// <summary>Sends the lines in their order and waits until Redis has the last of them, so that no more than one batch is ever on its way.</summary>
    /// <exception cref="RedisException">Redis is away; some of the lines may have arrived.</exception>
    /// <exception cref="TimeoutException">It does not answer; some of the lines may have arrived.</exception>
    public async Task Publish(OutputPlace place, IReadOnlyList<SpooledLine> lines, CancellationToken cancellation)
    {
        var connected = await redis.Get(MostToConnect, cancellation);
        // Otherwise the client would hold them back, for as long as its time limit is.
        if (!connected.IsConnected) throw new RedisException("Redis is not connected");
        var subscriber = connected.GetSubscriber();
        for (var number = 0; number < lines.Count - 1; number++)
            _ = subscriber.PublishAsync(Channel, TaskLogMessage.Write(place, lines[number]), CommandFlags.FireAndForget);
        await subscriber.PublishAsync(Channel, TaskLogMessage.Write(place, lines[^1]));
    }

    /// <summary>Hears every message, in order, until the queue is unsubscribed; the connection is mended by itself.</summary>
    /// <exception cref="TimeoutException">Redis has not been reached yet.</exception>
    public async Task<ChannelMessageQueue> Subscribe(CancellationToken cancellation) =>
        await (await redis.Get(MostToConnect, cancellation)).GetSubscriber().SubscribeAsync(Channel).WaitAsync(cancellation);
}
