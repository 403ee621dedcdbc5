using Codo.Platform.Cluster;

namespace Codo.Tests.Platform.Cluster;

public sealed class ClockTests
{
    private static readonly DateTime Noon = new(2026, 3, 1, 12, 0, 0, DateTimeKind.Utc);

    [Fact]
    public void The_clock_is_postgresqls_carried_on_by_the_time_since_boot()
    {
        var clock = new DatabaseClock();
        var boot = BootTime.Now;
        var skew = clock.Measured(DateTime.UtcNow.AddDays(-400), boot, boot);
        (clock.GetUtcNow() - DateTimeOffset.UtcNow).TotalDays.ShouldBe(-400, 0.01);
        skew.TotalDays.ShouldBe(-400, 0.01);
        clock.IsSteadyFor(TimeSpan.FromSeconds(10)).ShouldBeTrue("the first measurement is no jump");
    }

    [Fact]
    public void A_difference_within_the_error_of_the_measurement_does_not_move_it_and_a_jump_is_remembered()
    {
        var clock = new DatabaseClock();
        var boot = BootTime.Now;
        clock.Measured(Noon, boot, boot);
        var before = clock.GetUtcNow();
        // Asked and answered within 200 ms: half of it is the error.
        clock.Measured(Noon.AddMilliseconds(150), boot, boot + TimeSpan.FromMilliseconds(200));
        (clock.GetUtcNow() - before).ShouldBeLessThan(TimeSpan.FromSeconds(5));
        clock.IsSteadyFor(TimeSpan.FromSeconds(10)).ShouldBeTrue();
        clock.Measured(Noon.AddHours(-1), boot, boot);
        (clock.GetUtcNow() - before).TotalMinutes.ShouldBe(-60, 0.5);
        clock.IsSteadyFor(TimeSpan.FromSeconds(10)).ShouldBeFalse();
    }

    public static TheoryData<string, double, double?, string?, double?, double, bool> Jumps => new()
    {
        // what, now (days), own sight (days), its boot, its time since boot (days), time since boot now (days), whether it is a jump
        { "nothing was seen before", 100, null, null, null, 5, false },
        { "time went by while the machine was on", 30, 0, "boot", 1, 31, false },
        { "the clock ran ahead of the time that passed", 400, 0, "boot", 1, 1.1, true },
        { "less than a day ahead", 0.9, 0, "boot", 1, 1, false },
        { "the machine was off for a month", 30, 0, "another boot", 9, 1, true },
        { "the machine was off overnight", 0.5, 0, "another boot", 9, 0.1, false },
        { "the clock was put back", -300, 0, "boot", 1, 2, false },
    };

    [Theory]
    [MemberData(nameof(Jumps))]
    public void A_jump_is_more_than_a_day_beyond_the_time_that_passed(
        string what,
        double now,
        double? seen,
        string? bootId,
        double? bootThen,
        double bootNow,
        bool isJump
    ) =>
        RetentionGuard
            .IsJump(
                new RetentionGuard.Seen
                {
                    Now = Noon.AddDays(now),
                    Highest = seen is { } highest ? Noon.AddDays(highest) : null,
                    SeenAt = seen is { } at ? Noon.AddDays(at) : null,
                    BootId = bootId,
                    BootTime = bootThen is { } days ? TimeSpan.FromDays(days) : null,
                },
                "boot",
                TimeSpan.FromDays(bootNow)
            )
            .ShouldBe(isJump, what);

    [Fact]
    public void What_other_nodes_saw_while_this_one_was_away_counts_as_passed() =>
        RetentionGuard
            .IsJump(
                new RetentionGuard.Seen
                {
                    Now = Noon.AddDays(30),
                    Highest = Noon.AddDays(29.9),
                    SeenAt = Noon,
                    BootId = "old",
                    BootTime = TimeSpan.FromDays(3),
                },
                "boot",
                TimeSpan.FromDays(1)
            )
            .ShouldBeFalse();
}
