using System.Runtime.ExceptionServices;
using Codo.Platform.Cluster;

namespace Codo.Tests.Platform.Cluster;

public sealed class WakeSignalTests
{
    [Fact]
    public async Task A_wait_ends_by_the_signal_the_time_or_the_callers_token()
    {
        var signal = new WakeSignal();
        signal.Set();
        signal.Set();
        (await signal.Wait(TimeSpan.FromHours(1), TestContext.Current.CancellationToken)).ShouldBeTrue();
        (await signal.Wait(TimeSpan.FromMilliseconds(1), TestContext.Current.CancellationToken)).ShouldBeFalse("set twice, it wakes once");
        using var ended = new CancellationTokenSource();
        var waiting = signal.Wait(TimeSpan.FromHours(1), ended.Token);
        await ended.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(waiting);
        signal.Set();
        await signal.Wait(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_wait_that_ends_by_its_time_throws_nothing_on_the_way()
    {
        var signal = new WakeSignal();
        var thrown = 0;
        void Count(object? sender, FirstChanceExceptionEventArgs args)
        {
            if (args.Exception.StackTrace?.Contains(nameof(WakeSignal), StringComparison.Ordinal) == true) thrown++;
        }
        AppDomain.CurrentDomain.FirstChanceException += Count;
        try
        {
            (await signal.Wait(TimeSpan.FromMilliseconds(5), TestContext.Current.CancellationToken)).ShouldBeFalse();
        }
        finally
        {
            AppDomain.CurrentDomain.FirstChanceException -= Count;
        }
        thrown.ShouldBe(0);
    }
}
