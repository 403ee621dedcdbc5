namespace Codo.Modules.Tasks.Execution;

/// <summary>A step's <c>task_status</c>; the numbers are the original's, which clients compare with.</summary>
internal enum StepState : short
{
    /// <summary>The original's first state. No step of Codo's has it: accept knows what each waits for.</summary>
    New = 0,

    /// <summary>Waits for its turn. Put there by accept, a release or a restart; its lane's owner takes it out.</summary>
    Waiting = 1,

    /// <summary>Its command is under way. Put there by the owner, which alone takes it out, but for an end, a stop and the settling of a dead owner.</summary>
    Running = 2,

    /// <summary>Done, ignored (<c>on_error: continue</c>) or skipped. Only a restart takes it out.</summary>
    Done = 3,

    /// <summary>Failed, timed out or could not be reached. A restart or a skip takes it out.</summary>
    Failed = 4,

    /// <summary>Waits for a person. Put there by accept or a restart; a release takes it out.</summary>
    Hand = 5,

    /// <summary>Interrupted, lost, stopped or ended before it was done. A restart or a skip takes it out while the order goes on.</summary>
    Interrupted = 6,

    /// <summary>Waits for the order's start time. Put there by accept or a restart; the owner takes it out once that has come.</summary>
    Timed = 7,
}

/// <summary>What can happen to a step.</summary>
internal enum StepAction
{
    /// <summary>The lane's owner starts it; a timed one only when its time has come.</summary>
    Claim,

    /// <summary>Exit status 0.</summary>
    Succeed,

    /// <summary>It failed, and is to be gone on from all the same.</summary>
    Ignore,

    /// <summary>It failed, and a retry is left: the next attempt begins after a pause, in which the step counts as running.</summary>
    Retry,

    /// <summary>It failed for good.</summary>
    Fail,

    /// <summary>The link or the node was lost while it ran.</summary>
    Interrupt,

    /// <summary>A person lets a hand step go.</summary>
    Release,

    /// <summary>A person runs it again; what waits for a person or for its time goes on waiting.</summary>
    Restart,

    /// <summary>A person counts it as done.</summary>
    Skip,

    /// <summary>A person stops its lane, or ends its order.</summary>
    Stop,
}

/// <summary>The step's machine. Its guards in SQL take their states from here.</summary>
internal static class StepStates
{
    /// <summary>The state that follows; null where the action is refused.</summary>
    /// <param name="hand">The step's trigger is <c>hand</c>: restarted, it waits for a person again.</param>
    /// <param name="timed">Its trigger is <c>timed</c>, and the order's start time has not come: restarted, it waits for that again.</param>
    public static StepState? Next(StepState state, StepAction action, bool hand = false, bool timed = false) => (state, action) switch
    {
        (StepState.Waiting or StepState.Timed, StepAction.Claim) => StepState.Running,
        (StepState.Running, StepAction.Succeed or StepAction.Ignore) => StepState.Done,
        (StepState.Running, StepAction.Retry) => StepState.Running,
        (StepState.Running, StepAction.Fail) => StepState.Failed,
        (StepState.Running, StepAction.Interrupt) => StepState.Interrupted,
        (StepState.Hand, StepAction.Release) => StepState.Waiting,
        (StepState.Timed, StepAction.Restart) => StepState.Timed,
        (StepState.Hand, StepAction.Restart) => StepState.Hand,
        (StepState.Waiting or StepState.Done or StepState.Failed or StepState.Interrupted, StepAction.Restart) =>
            hand ? StepState.Hand
            : timed ? StepState.Timed
            : StepState.Waiting,
        (StepState.Failed or StepState.Interrupted, StepAction.Skip) => StepState.Done,
        (StepState.Waiting or StepState.Running or StepState.Hand or StepState.Timed, StepAction.Stop) => StepState.Interrupted,
        _ => null,
    };

    /// <summary>The codes of the column, for a guard <c>task_status = ANY(@From)</c>.</summary>
    public static short[] From(StepAction action) =>
        [.. Enum.GetValues<StepState>().Where(state => Next(state, action) is not null).Select(state => (short)state)];

    /// <summary>What a step begins as.</summary>
    public static StepState First(string trigger) => trigger switch
    {
        "hand" => StepState.Hand,
        "timed" => StepState.Timed,
        _ => StepState.Waiting,
    };

    /// <summary>The codes from the most pressing to the least: an order shows the first of them that one of its lanes has.</summary>
    public static readonly StepState[] Pressing =
    [
        StepState.Failed,
        StepState.Interrupted,
        StepState.Hand,
        StepState.Running,
        StepState.Timed,
        StepState.Waiting,
        StepState.New,
    ];
}
