using Codo.Modules.Tasks.Execution;

namespace Codo.Tests.Modules.Tasks.Execution;

/// <summary>Every state with every action, of the three machines that an order is. docs/states.md draws them.</summary>
public sealed class StatesTests
{
    private const string Orders = """
                 approve begin  return finish end
        new      ready   -      -      -      OK
        ready    -       start  new    -      OK
        start    -       -      -      OK     OK
        OK       -       -      -      -      -
        """;

    private const string Lanes = """
                    open  claim   giveback meethand meettimed awaitretry release due   fail   interrupt   finish restart skip  stop    end
        waiting     ready -       -        -        -         -          -       -     -      -           -      -       -     stopped ended
        ready       -     running -        -        -         -          -       -     -      -           -      -       -     stopped ended
        running     -     -       ready    hand     timed     timed      -       -     failed interrupted done   -       -     stopped ended
        hand        -     -       -        -        -         -          ready   -     -      -           -      ready   -     stopped ended
        timed       -     -       -        -        -         -          -       ready -      -           -      ready   -     stopped ended
        failed      -     -       -        -        -         -          -       -     -      -           -      ready   ready stopped ended
        interrupted -     -       -        -        -         -          -       -     -      -           -      ready   ready stopped ended
        stopped     -     -       -        -        -         -          -       -     -      -           -      ready   -     -       -
        done        -     -       -        -        -         -          -       -     -      -           -      ready   -     -       -
        ended       -     -       -        -        -         -          -       -     -      -           -      -       -     -       -
        """;

    private const string Steps = """
          claim succeed ignore retry fail interrupt release restart skip stop
        0 -     -       -      -     -    -         -       -       -    -
        1 2     -       -      -     -    -         -       1       -    6
        2 -     3       3      2     4    6         -       -       -    6
        3 -     -       -      -     -    -         -       1       -    -
        4 -     -       -      -     -    -         -       1       3    -
        5 -     -       -      -     -    -         1       5       -    6
        6 -     -       -      -     -    -         -       1       3    -
        7 2     -       -      -     -    -         -       7       -    6
        """;

    public static TheoryData<string, string, string> OrderTable => Read(Orders);

    public static TheoryData<string, string, string> LaneTable => Read(Lanes);

    public static TheoryData<string, string, string> StepTable => Read(Steps);

    [Theory]
    [MemberData(nameof(OrderTable))]
    public void An_order(string state, string action, string next) =>
        (OrderStates.Next(OrderStates.Read(state), Enum.Parse<OrderAction>(action, true))?.Word() ?? "-").ShouldBe(next);

    [Theory]
    [MemberData(nameof(LaneTable))]
    public void A_lane(string state, string action, string next) =>
        (LaneStates.Next(LaneStates.Read(state), Enum.Parse<LaneAction>(action, true))?.Word() ?? "-").ShouldBe(next);

    [Theory]
    [MemberData(nameof(StepTable))]
    public void A_step(string state, string action, string next) =>
        (StepStates.Next(Enum.Parse<StepState>(state), Enum.Parse<StepAction>(action, true)) is { } then ? $"{(int)then}" : "-").ShouldBe(next);

    [Fact]
    public void A_hand_step_that_is_restarted_waits_for_a_person_again() =>
        new[] { StepState.Waiting, StepState.Done, StepState.Failed, StepState.Interrupted, StepState.Hand }.ShouldAllBe(state =>
            StepStates.Next(state, StepAction.Restart, true) == StepState.Hand
        );

    [Fact]
    public void A_timed_step_that_is_restarted_before_its_time_waits_for_it_again() =>
        new[] { StepState.Waiting, StepState.Done, StepState.Failed, StepState.Interrupted, StepState.Timed }.ShouldAllBe(state =>
            StepStates.Next(state, StepAction.Restart, false, true) == StepState.Timed
        );

    [Fact]
    public void A_lane_that_was_stopped_before_it_began_waits_for_its_turn_again_when_it_is_restarted() =>
        LaneStates.Next(LaneState.Stopped, LaneAction.Restart, begun: false).ShouldBe(LaneState.Waiting);

    [Fact]
    public void The_tables_are_whole()
    {
        OrderTable.Count.ShouldBe(Enum.GetValues<OrderState>().Length * Enum.GetValues<OrderAction>().Length);
        LaneTable.Count.ShouldBe(Enum.GetValues<LaneState>().Length * Enum.GetValues<LaneAction>().Length);
        StepTable.Count.ShouldBe(Enum.GetValues<StepState>().Length * Enum.GetValues<StepAction>().Length);
    }

    private static TheoryData<string, string, string> Read(string table)
    {
        var lines = table.Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).ToList();
        var data = new TheoryData<string, string, string>();
        foreach (var line in lines.Skip(1))
            for (var column = 0; column < lines[0].Length; column++)
                data.Add(line[0], lines[0][column], line[column + 1]);
        return data;
    }
}
