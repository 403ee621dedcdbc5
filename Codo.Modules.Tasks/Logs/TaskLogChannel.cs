using Codo.Modules.Tasks.Execution;
using Microsoft.Extensions.DependencyInjection;
using StackExchange.Redis;

namespace Codo.Modules.Tasks.Logs;

/// <summary>The Redis channel that lines travel over.</summary>
internal sealed class TaskLogChannel(IServiceProvider services)
{
    public const string Name = "task_log";

    // Made when it is first used: a Redis that does not answer must hold up neither the start of the host nor a step.
    private readonly Lazy<IConnectionMultiplexer> redis = new(services.GetRequiredService<IConnectionMultiplexer>);

    private static RedisChannel Channel => RedisChannel.Literal(Name);

    /// <summary>Sends the lines in their order and waits until Redis has the last of them, so that no more than one batch is ever on its way.</summary>
    /// <exception cref="RedisException">Redis is away; some of the lines may have arrived.</exception>
    public async Task Publish(OutputPlace place, IReadOnlyList<SpooledLine> lines)
    {
        var subscriber = redis.Value.GetSubscriber();
        // Otherwise the client would hold them back, for as long as its time limit is.
        if (!redis.Value.IsConnected) throw new RedisException("Redis is not connected");
        for (var number = 0; number < lines.Count - 1; number++)
            _ = subscriber.PublishAsync(Channel, TaskLogMessage.Write(place, lines[number]), CommandFlags.FireAndForget);
        await subscriber.PublishAsync(Channel, TaskLogMessage.Write(place, lines[^1]));
    }

    /// <summary>Hears every message, in order, until the queue is unsubscribed; the connection is mended by itself.</summary>
    public Task<ChannelMessageQueue> Subscribe() => redis.Value.GetSubscriber().SubscribeAsync(Channel);
}
