using Codo.Modules.Cron.Schedules;

namespace Codo.Tests.Modules.Cron.Schedules;

public sealed class TimetableTests
{
    // Jobs 0 and 1 at 0 s and 60 s; job 2 at 60 s alone.
    private static readonly Timetable Three = new([new Due([0, 1], [0, 60]), new Due([2], [60])], 120);

    [Fact]
    public void Due_times_are_counted_by_slot() => Three.Fires(60).ShouldBe([2, 3]);

    [Fact]
    public void Runs_go_on_into_the_next_slot_unless_a_job_has_one_at_a_time()
    {
        Three.Parallel(60, _ => 70, _ => false).ShouldBe([2, 5]);
        Three.Parallel(60, _ => 70, _ => true).ShouldBe([2, 3]);
        Three.Parallel(60, _ => 0.2, _ => false).ShouldBe([2, 3]);
    }

    [Fact]
    public void Jobs_that_meet_are_told_once_with_how_often()
    {
        var meetings = Three.Meetings(1, 10);
        meetings.Select(meeting => (meeting.Slot, meeting.Times, meeting.Jobs.Count)).ShouldBe([(60, 1, 3), (0, 1, 2)]);
        new Timetable([new Due([4], [0, 60]), new Due([5], [1, 61])], 120).Meetings(1, 10).ShouldBeEmpty();
        var near = new Timetable([new Due([4], [0, 60]), new Due([5], [1, 61])], 120).Meetings(60, 10).ShouldHaveSingleItem();
        (near.Slot, near.Times, near.Jobs.Count).ShouldBe((0, 2, 2));
    }

    [Fact]
    public void The_next_change_of_a_zone_is_found_to_the_tick()
    {
        var berlin = TimeZoneInfo.FindSystemTimeZoneById("Europe/Berlin");
        var change = WallClock.NextChange(berlin, new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero));
        change.ShouldBe(new DateTimeOffset(2026, 3, 29, 1, 0, 0, TimeSpan.Zero));
        WallClock.NextChange(TimeZoneInfo.Utc, new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero)).ShouldBeNull();
    }
}
