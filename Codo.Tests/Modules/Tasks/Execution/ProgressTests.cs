using Codo.Modules.Tasks.Execution;
using static Codo.Modules.Tasks.Execution.LaneState;
using static Codo.Modules.Tasks.Execution.LaneStates;

namespace Codo.Tests.Modules.Tasks.Execution;

public sealed class ProgressTests
{
    [Fact]
    public void The_first_batch_of_the_first_unfinished_group_opens() =>
        Progress.Next([Group(2, Lanes((1, Waiting, 1))), Group(1, Lanes((1, Waiting, 2), (2, Waiting, 2)))]).ShouldBe(new NextMove(1, 1));

    [Theory]
    [InlineData("Done")]
    [InlineData("Stopped")]
    public void A_group_that_is_done_or_stopped_lets_the_next_begin(string state) =>
        Progress.Next([Group(1, Lanes((1, Read(state), 2))), Group(2, Lanes((1, Waiting, 1)))]).ShouldBe(new NextMove(2, 1));

    [Theory]
    [InlineData("Ready")]
    [InlineData("Running")]
    [InlineData("Hand")]
    [InlineData("Timed")]
    [InlineData("Failed")]
    [InlineData("Interrupted")]
    public void Anything_else_holds_the_next_group_back(string state) =>
        Progress.Next([Group(1, Lanes((1, Done, 5), (1, Read(state), 1))), Group(2, Lanes((1, Waiting, 1)))]).ShouldBe(new NextMove(1));

    [Fact]
    public void All_groups_done_is_the_end() => Progress.Next([Group(1, Lanes((1, Done, 1), (2, Stopped, 1)))]).ShouldBe(new NextMove(null));

    [Theory]
    [InlineData("Ready")]
    [InlineData("Running")]
    [InlineData("Hand")]
    [InlineData("Timed")]
    public void A_batch_waits_for_the_one_before_it(string state) =>
        Progress.Next([Group(1, Lanes((1, Read(state), 1), (1, Done, 1), (2, Waiting, 2)))]).ShouldBe(new NextMove(1));

    [Theory]
    [InlineData(0, 0, true)]
    [InlineData(1, 0, false)]
    [InlineData(1, 1, true)]
    [InlineData(2, 1, false)]
    public void Past_the_threshold_no_further_batch_starts(int failed, int most, bool goes) =>
        Progress
            .Next([Group(1, Lanes((1, Failed, failed), (1, Done, 3), (2, Waiting, 2)), maxFailures: most)])
            .ShouldBe(goes ? new NextMove(1, 2) : new NextMove(1));

    [Fact]
    public void Failures_of_all_batches_count() =>
        Progress.Next([Group(1, Lanes((1, Failed, 1), (2, Interrupted, 1), (3, Waiting, 2)), maxFailures: 1)]).ShouldBe(new NextMove(1));

    [Fact]
    public void A_pause_is_begun_once_and_waited_for()
    {
        var lanes = Lanes((1, Done, 1), (2, Waiting, 1));
        Progress.Next([Group(1, lanes, pause: 5)]).ShouldBe(new NextMove(1, StartPause: true));
        Progress.Next([Group(1, lanes, pause: 5, pausing: true)]).ShouldBe(new NextMove(1));
        Progress.Next([Group(1, lanes, pause: 5, pausing: true, over: true)]).ShouldBe(new NextMove(1, 2));
    }

    [Fact]
    public void A_person_may_let_a_batch_begin_whatever_holds_it()
    {
        var lanes = Lanes((1, Failed, 9), (1, Running, 1), (2, Waiting, 1), (3, Waiting, 1));
        Progress.Next([Group(1, lanes, confirm: true)]).ShouldBe(new NextMove(1));
        Progress.Next([Group(1, lanes, confirm: true, allowed: 2)]).ShouldBe(new NextMove(1, 2));
        Progress.Next([Group(1, Lanes((2, Done, 1), (3, Waiting, 1)), confirm: true, allowed: 2)]).ShouldBe(new NextMove(1));
    }

    [Fact]
    public void A_host_that_waits_again_goes_at_once_where_its_batch_or_a_later_one_has_begun()
    {
        var begun = Lanes((1, Running, 1), (2, Failed, 1), (2, Waiting, 1), (3, Waiting, 1));
        Progress.Next([Group(1, begun, pause: 5, confirm: true)]).ShouldBe(new NextMove(1, 2));
        Progress.Next([Group(1, Lanes((1, Failed, 1), (2, Waiting, 1), (3, Done, 1)))]).ShouldBe(new NextMove(1, 2));
        Progress.Next([Group(1, Lanes((1, Running, 1), (2, Stopped, 1), (2, Waiting, 1)))]).ShouldBe(new NextMove(1));
    }

    private static BatchLanes[] Lanes(params (int Batch, LaneState State, int Count)[] lanes) =>
        [.. lanes.Where(lane => lane.Count > 0).Select(lane => new BatchLanes(lane.Batch, lane.State, lane.Count))];

    private static GroupProgress Group(
        int group,
        BatchLanes[] lanes,
        int pause = 0,
        int maxFailures = 0,
        bool confirm = false,
        int allowed = 0,
        bool pausing = false,
        bool over = false
    ) => new(group, lanes.Max(lane => lane.Batch), pause, maxFailures, confirm, allowed, pausing, over, lanes);
}
