using Codo.Host.LocalServices;
using StackExchange.Redis;

namespace Codo.Tests.Host.LocalServices;

public sealed class EmbeddedRedisTests
{
    [Fact]
    public async Task Carries_messages_for_who_has_the_password_and_nobody_else()
    {
        using var redis = EmbeddedRedis.Start();
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Configuration);
        var received = new TaskCompletionSource<string?>();
        var channel = RedisChannel.Literal("task_log");
        await connection.GetSubscriber().SubscribeAsync(channel, (_, message) => received.TrySetResult(message));

        await connection.GetSubscriber().PublishAsync(channel, "a line");

        (await received.Task.WaitAsync(TimeSpan.FromSeconds(60))).ShouldBe("a line");
        var stranger = ConfigurationOptions.Parse(redis.Configuration);
        stranger.Password = "a guess";
        stranger.AbortOnConnectFail = true;
        await Should.ThrowAsync<RedisConnectionException>(() => ConnectionMultiplexer.ConnectAsync(stranger));
    }
}
