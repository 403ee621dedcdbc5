using Codo.Platform.Cluster;
using Codo.Tests.Support;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Codo.Tests.Platform.Cluster;

public sealed class PeriodicLoopTests
{
    [Fact]
    public async Task A_body_that_throws_ends_nothing_and_its_exception_is_in_the_log()
    {
        var log = new Recording();
        var runs = 0;
        using var loop = new PeriodicLoop(
            new LoopState("sweep", TimeSpan.FromMilliseconds(1)),
            new WakeSignal(),
            (_, _) => ++runs < 3 ? throw new InvalidDataException("one bad row") : Task.CompletedTask,
            log
        );
        await loop.StartAsync(CancellationToken.None);
        await Eventually.True(() => Volatile.Read(ref runs) >= 5, "it goes on after its failures");
        await loop.StopAsync(CancellationToken.None);
        log.Errors.Count.ShouldBe(2);
        log.Errors.ShouldAllBe(error => error is InvalidDataException && error.StackTrace != null);
    }

    [Fact]
    public void A_poll_that_finds_nothing_rests_longer_and_longer_up_to_its_longest_rest()
    {
        using var loop = new PeriodicLoop(
            new LoopState("poll", TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5)),
            new WakeSignal(),
            (_, _) => Task.CompletedTask,
            NullLogger.Instance
        );
        Enumerable.Range(0, 5).Select(idle => loop.RestAfter(idle).TotalSeconds).ShouldBe([1, 2, 4, 5, 5]);
    }

    [Fact]
    public async Task A_signal_runs_it_before_its_period_is_over_and_many_signals_are_one_run()
    {
        var (runs, wake) = (0, new WakeSignal());
        var held = new TaskCompletionSource();
        using var loop = new PeriodicLoop(new LoopState("sweep", TimeSpan.FromHours(1)), wake, async (_, _) =>
        {
            if (++runs == 2) await held.Task;
        }, NullLogger.Instance);
        await loop.StartAsync(CancellationToken.None);
        await Eventually.True(() => Volatile.Read(ref runs) == 1, "it runs at once");
        wake.Set();
        await Eventually.True(() => Volatile.Read(ref runs) == 2, "it is woken");
        for (var i = 0; i < 10; i++) wake.Set();
        held.SetResult();
        await Eventually.True(() => Volatile.Read(ref runs) == 3, "it is woken again");
        await loop.StopAsync(CancellationToken.None);
        runs.ShouldBe(3);
    }

    [Theory]
    [InlineData(1, 1, 500)]
    [InlineData(1, 3, 2000)]
    [InlineData(1, 30, 5000)]
    [InlineData(3600, 9, 128_000)]
    [InlineData(3600, 40, 3_600_000)]
    public void The_pause_after_failures_doubles_up_to_the_period_and_to_five_seconds_for_short_ones(int period, int failures, int milliseconds)
    {
        using var loop = new PeriodicLoop(
            new LoopState("sweep", TimeSpan.FromSeconds(period)),
            new WakeSignal(),
            (_, _) => Task.CompletedTask,
            NullLogger.Instance
        );
        loop.Pause(failures).ShouldBe(TimeSpan.FromMilliseconds(milliseconds));
    }

    [Fact]
    public async Task A_loop_that_has_not_succeeded_for_ten_periods_is_degraded_and_named_with_its_cause()
    {
        var states = new LoopStates();
        var well = states.Add("well", TimeSpan.FromHours(1));
        var ill = states.Add("ill", TimeSpan.FromTicks(1));
        ill.Failed(new InvalidDataException("one bad row"));
        well.Succeeded();
        var health = await states.CheckHealthAsync(new HealthCheckContext(), TestContext.Current.CancellationToken);
        health.Status.ShouldBe(HealthStatus.Degraded);
        health.Description!.ShouldContain("ill");
        health.Description!.ShouldContain("one bad row");
        health.Description!.ShouldContain("ill none yet");
        health.Description!.ShouldNotContain("well");
        Should.Throw<InvalidOperationException>(() => states.Add("well", TimeSpan.FromHours(1)));
    }

    [Fact]
    public async Task A_loop_that_has_not_succeeded_yet_is_shown_as_that()
    {
        var states = new LoopStates();
        states.Add("begun", TimeSpan.FromHours(1)).Failed(new InvalidDataException("one bad row"));
        states.Add("well", TimeSpan.FromHours(1)).Succeeded();
        var health = await states.CheckHealthAsync(new HealthCheckContext(), TestContext.Current.CancellationToken);
        health.Description!.ShouldMatch("^last success: begun none yet, well [0-9.]+ s ago$");
    }

    [Fact]
    public async Task A_clock_that_is_put_back_a_day_stops_no_loop_and_ages_none()
    {
        var clock = new DatabaseClock();
        clock.Measured(DateTime.UtcNow, BootTime.Now, BootTime.Now);
        var (runs, state) = (0, new LoopState("sweep", TimeSpan.FromMilliseconds(5)));
        using var loop = new PeriodicLoop(state, new WakeSignal(), (_, _) =>
        {
            runs++;
            return Task.CompletedTask;
        }, NullLogger.Instance);
        await loop.StartAsync(CancellationToken.None);
        await Eventually.True(() => Volatile.Read(ref runs) >= 2, "it runs");
        clock.Measured(DateTime.UtcNow.AddDays(-1), BootTime.Now, BootTime.Now);
        clock.GetUtcNow().ShouldBeLessThan(DateTimeOffset.UtcNow.AddHours(-23));
        var before = Volatile.Read(ref runs);
        await Eventually.True(() => Volatile.Read(ref runs) >= before + 5, "it goes on");
        state.Age.ShouldBeLessThan(TimeSpan.FromSeconds(20));
        await loop.StopAsync(CancellationToken.None);
    }

    [Fact]
    public void Time_since_boot_goes_on()
    {
        var first = BootTime.Now;
        first.ShouldBeGreaterThan(TimeSpan.Zero);
        BootTime.Now.ShouldBeGreaterThanOrEqualTo(first);
    }

    private sealed class Recording : ILogger
    {
        public List<Exception> Errors { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (exception is not null) Errors.Add(exception);
        }
    }
}
