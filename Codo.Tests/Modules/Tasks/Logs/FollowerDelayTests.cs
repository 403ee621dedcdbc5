using System.Diagnostics;
using Codo.Modules.Tasks.Logs;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Tasks.Logs;

/// <summary>How long a line takes from the node that reads it to a follower on another.</summary>
[Collection<MeasuredAlone>]
public sealed class FollowerDelayTests(TestPostgres postgres)
{
    [Fact]
    public async Task A_follower_on_another_node_sees_a_line_within_300_ms()
    {
        await using var redis = await TestRedis.StartNew();
        await using var here = await TestHost.Start(postgres, null, ("ConnectionStrings:Redis", redis.Configuration));
        await Subscribed(here);
        await using var there = await TestHost.Start(postgres, here.Postgres, ("ConnectionStrings:Redis", redis.Configuration));
        var place = LogSteps.Place();
        await using var output = here.Open(place);
        await output.Print("first\n");
        using var follower = new EventReader(there, place.LogKey);
        await follower.Take(1);
        var took = new List<TimeSpan>();
        for (var line = 0; line < 21; line++)
        {
            var printed = Stopwatch.GetTimestamp();
            await output.Print("next\n");
            await follower.Take(1);
            took.Add(Stopwatch.GetElapsedTime(printed));
        }

        // Some lines may meet a pause of a busy machine; what comes by the table alone, without the word of it, takes seconds each time.
        took.Order().ElementAt(5).ShouldBeLessThan(TimeSpan.FromMilliseconds(300));
    }

    private static Task Subscribed(TestHost host) =>
        Eventually.True(() => host.Services.GetRequiredService<Subscriber>().Subscribed, "the host listens to Redis");
}
