using Codo.Modules.Cron.Executions;

namespace Codo.Tests.Modules.Cron.Executions;

/// <summary>What each open console asks for again and again is read once.</summary>
public sealed class LastDayCacheTests
{
    [Fact]
    public async Task Whoever_asks_while_it_is_read_gets_the_same_answer_and_a_failure_is_not_kept()
    {
        var (cache, held, reads) = (new LastDayCache(TimeProvider.System), new TaskCompletionSource<List<ShowStatistics.HourSums>>(), 0);
        Task<List<ShowStatistics.HourSums>> Read()
        {
            reads++;
            return held.Task;
        }

        var asked = new[] { cache.Get("all", Read), cache.Get("all", Read) };
        held.SetException(new TimeoutException());
        foreach (var one in asked) await Should.ThrowAsync<TimeoutException>(() => one);
        held = new();
        held.SetResult([]);
        (await cache.Get("all", Read)).ShouldBeSameAs(await cache.Get("all", Read));
        reads.ShouldBe(2);
    }
}
