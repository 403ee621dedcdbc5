namespace Codo.Modules.Tasks.Execution;

/// <summary>Where one host of one group stands; stored in lower case.</summary>
internal enum LaneState
{
    /// <summary>
    /// Its group's or batch's turn has not come. Put there by accept, or by the restart of one that was stopped before it began anything; advancing the order
    /// takes it out.
    /// </summary>
    Waiting,

    /// <summary>May run, and no node has taken it. A node with a free slot takes it out.</summary>
    Ready,

    /// <summary>One node, the owner, runs its steps one after another. The owner takes it out, or whoever settles a dead owner.</summary>
    Running,

    /// <summary>Its next step waits for a person. Put there by the owner; a release or a restart takes it out.</summary>
    Hand,

    /// <summary>
    /// Its next step waits for the order's start time, or for the pause before its retry. Put there by the owner; the time or a restart takes it out.
    /// </summary>
    Timed,

    /// <summary>A step failed. Put there by the owner; a restart or a skip takes it out.</summary>
    Failed,

    /// <summary>A step was cut short, and what became of it is not certain. Put there by the owner or the settler; a restart or a skip takes it out.</summary>
    Interrupted,

    /// <summary>A person stopped it. It holds up no later group; a restart takes it out, back to its turn where nothing of it had begun.</summary>
    Stopped,

    /// <summary>Every step is 3. A restart takes it out.</summary>
    Done,

    /// <summary>Its order was ended first; final.</summary>
    Ended,
}

/// <summary>What can happen to a lane.</summary>
internal enum LaneAction
{
    /// <summary>Its group's and batch's turn has come.</summary>
    Open,

    /// <summary>A node makes it its own.</summary>
    Claim,

    /// <summary>The owner is draining, or died between two steps: nothing is under way, another node may go on.</summary>
    GiveBack,

    /// <summary>The owner meets a step that waits for a person.</summary>
    MeetHand,

    /// <summary>The owner meets a step whose time has not come.</summary>
    MeetTimed,

    /// <summary>A step failed and pauses before its retry.</summary>
    AwaitRetry,

    /// <summary>A person releases the step that it waits at.</summary>
    Release,

    /// <summary>The order's start time has come, or was moved; the pause before a retry is over.</summary>
    Due,

    /// <summary>A step failed for good.</summary>
    Fail,

    /// <summary>A step was lost or interrupted.</summary>
    Interrupt,

    /// <summary>No step is left.</summary>
    Finish,

    /// <summary>A person runs it again from a level, or a step, on.</summary>
    Restart,

    /// <summary>A person counts the step that it stands at as done.</summary>
    Skip,

    /// <summary>A person stops it.</summary>
    Stop,

    /// <summary>Its order is ended.</summary>
    End,
}

/// <summary>The lane's machine. Its guards in SQL take their states from here.</summary>
internal static class LaneStates
{
    /// <summary>The state that follows; null where the action is refused.</summary>
    /// <param name="begun">An attempt of one of its steps has been made: one that was stopped before waits for its turn again when it is restarted.</param>
    public static LaneState? Next(LaneState state, LaneAction action, bool begun = true) =>
        (state, action) switch
        {
            (LaneState.Waiting, LaneAction.Open) => LaneState.Ready,
            (LaneState.Ready, LaneAction.Claim) => LaneState.Running,
            (LaneState.Running, LaneAction.GiveBack) => LaneState.Ready,
            (LaneState.Running, LaneAction.MeetHand) => LaneState.Hand,
            (LaneState.Running, LaneAction.MeetTimed or LaneAction.AwaitRetry) => LaneState.Timed,
            (LaneState.Running, LaneAction.Fail) => LaneState.Failed,
            (LaneState.Running, LaneAction.Interrupt) => LaneState.Interrupted,
            (LaneState.Running, LaneAction.Finish) => LaneState.Done,
            (LaneState.Hand, LaneAction.Release) => LaneState.Ready,
            (LaneState.Timed, LaneAction.Due) => LaneState.Ready,
            (LaneState.Failed or LaneState.Interrupted, LaneAction.Skip) => LaneState.Ready,
            (LaneState.Stopped, LaneAction.Restart) => begun ? LaneState.Ready : LaneState.Waiting,
            (LaneState.Hand or LaneState.Timed or LaneState.Failed or LaneState.Interrupted or LaneState.Done, LaneAction.Restart) => LaneState.Ready,
            (not (LaneState.Stopped or LaneState.Done or LaneState.Ended), LaneAction.Stop) => LaneState.Stopped,
            (not (LaneState.Stopped or LaneState.Done or LaneState.Ended), LaneAction.End) => LaneState.Ended,
            _ => null,
        };

    /// <summary>The words of the column, for a guard <c>state = ANY(@From)</c>.</summary>
    public static string[] From(LaneAction action) => [.. Enum.GetValues<LaneState>().Where(state => Next(state, action) is not null).Select(Word)];

    /// <summary>The word that the column holds.</summary>
    public static string Word(this LaneState state) => state.ToString().ToLowerInvariant();

    /// <summary>The state that the column's word stands for.</summary>
    public static LaneState Read(string word) => Enum.Parse<LaneState>(word, ignoreCase: true);
}
