using Codo.Platform.Data;
using Microsoft.Extensions.Time.Testing;
using Npgsql;

namespace Codo.Tests.Platform.Data;

public sealed class BatchWriterTests
{
    [Fact]
    public async Task What_comes_while_one_is_written_is_the_next_batch()
    {
        var (batches, held) = (new List<int>(), new TaskCompletionSource());
        var writer = new BatchWriter<int, int>(async items =>
        {
            batches.Add(items.Count);
            if (batches.Count == 1) await held.Task;
            return [.. items.Select(item => item * 2)];
        }, 50);
        var first = writer.Write(1);
        while (batches.Count == 0) await Task.Yield();
        var rest = Enumerable.Range(2, 60).Select(writer.Write).ToList();
        held.SetResult();
        (await first).ShouldBe(2);
        (await Task.WhenAll(rest)).ShouldBe(Enumerable.Range(2, 60).Select(item => item * 2));
        batches.ShouldBe([1, 50, 10]);
    }

    [Fact]
    public async Task After_several_the_next_batch_is_gathered_and_a_single_one_waits_for_nothing()
    {
        var (batches, time) = (new List<int>(), new FakeTimeProvider());
        var (isHeld, held) = (false, new TaskCompletionSource());
        var writer = new BatchWriter<int, int>(
            async items =>
            {
                batches.Add(items.Count);
                if (isHeld) await held.Task;
                return [.. items];
            },
            50,
            TimeSpan.FromMilliseconds(10),
            time
        );
        // One after another: none of them waits for a clock that stands.
        for (var item = 0; item < 3; item++) (await writer.Write(item)).ShouldBe(item);
        isHeld = true;
        var first = writer.Write(3);
        while (batches.Count < 4) await Task.Yield();
        var several = Enumerable.Range(4, 2).Select(writer.Write).ToList();
        held.SetResult();
        await first;
        await Task.WhenAll(several);
        var rest = Enumerable.Range(6, 5).Select(writer.Write).ToList();
        var all = Task.WhenAll(rest);
        while (!all.IsCompleted)
        {
            time.Advance(TimeSpan.FromMilliseconds(10));
            await Task.Yield();
        }
        batches.ShouldBe([1, 1, 1, 1, 2, 5]);
    }

    [Theory]
    [InlineData("22021")]
    [InlineData(PostgresErrorCodes.LockNotAvailable)]
    public async Task One_that_is_refused_or_held_fails_for_itself(string state)
    {
        var writer = new BatchWriter<int, int>(
            items =>
                items.Contains(3)
                    ? throw new PostgresException("not this one", "ERROR", "ERROR", state)
                    : Task.FromResult<IReadOnlyList<int>>([.. items]),
            50
        );
        var all = Enumerable.Range(1, 5).Select(writer.Write).ToList();
        await Should.ThrowAsync<PostgresException>(() => all[2]);
        foreach (var good in all.Where(task => task != all[2])) await good;
    }

    [Fact]
    public async Task When_the_database_is_away_all_of_a_batch_hear_of_it_and_the_next_is_tried()
    {
        var tries = 0;
        var writer = new BatchWriter<int, int>(items => ++tries == 1 ? throw new NpgsqlException("away") : Task.FromResult<IReadOnlyList<int>>([.. items]), 50);
        await Should.ThrowAsync<NpgsqlException>(() => writer.Write(1));
        (await writer.Write(2)).ShouldBe(2);
    }
}
