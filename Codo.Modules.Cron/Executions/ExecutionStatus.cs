namespace Codo.Modules.Cron.Executions;

/// <summary>
/// Where a due time, or a run by hand, stands in the ledger. The stored words are the member names in lower case; <c>faild</c> is the original's spelling,
/// which clients compare with.
/// </summary>
internal enum ExecutionStatus
{
    /// <summary>
    /// Put here by the ledger when the time is due, by a run by hand, or after a failed attempt that has retries left. Taken out by a node that claims it.
    /// </summary>
    Queued,

    /// <summary>
    /// Put here by the claim of a node, before the command is spawned. Taken out by that node when the command ends, or by whoever settles that node.
    /// </summary>
    Running,

    /// <summary>The command ended with exit status 0. Final.</summary>
    Success,

    /// <summary>The command ended with another exit status, or could not be started. Final.</summary>
    Faild,

    /// <summary>The command ran past its time limit and was ended. Final.</summary>
    Timeout,

    /// <summary>A person, or the overlap policy <c>replace</c>, ended it; or it was taken from the queue before it started. Final.</summary>
    Killed,

    /// <summary>The node that ran it died, lost its lease, or was stopped and the grace was over: how the command ended is not known. Final.</summary>
    Interrupted,

    /// <summary>The ledger decided at the due time that it should not run: paused, or the overlap policy. Final.</summary>
    Skipped,

    /// <summary>The due time was noticed too late for its misfire policy. Final.</summary>
    Missed,
}

/// <summary>What happens to an execution.</summary>
internal enum ExecutionAction
{
    Claim,
    Succeed,
    Fail,
    Retry,
    TimeOut,
    Kill,
    Interrupt,
}

/// <summary>The ledger's state machine. Each change in the database is a guarded statement whose WHERE says the same.</summary>
internal static class ExecutionStates
{
    /// <summary>The state after the action; null when the action is refused in that state.</summary>
    public static ExecutionStatus? Next(ExecutionStatus state, ExecutionAction action) => (state, action) switch
    {
        (ExecutionStatus.Queued, ExecutionAction.Claim) => ExecutionStatus.Running,
        (ExecutionStatus.Queued, ExecutionAction.Kill) => ExecutionStatus.Killed,
        (ExecutionStatus.Running, ExecutionAction.Succeed) => ExecutionStatus.Success,
        (ExecutionStatus.Running, ExecutionAction.Fail) => ExecutionStatus.Faild,
        (ExecutionStatus.Running, ExecutionAction.Retry) => ExecutionStatus.Queued,
        (ExecutionStatus.Running, ExecutionAction.TimeOut) => ExecutionStatus.Timeout,
        (ExecutionStatus.Running, ExecutionAction.Kill) => ExecutionStatus.Killed,
        (ExecutionStatus.Running, ExecutionAction.Interrupt) => ExecutionStatus.Interrupted,
        _ => null,
    };

    /// <summary>The word that is stored and answered.</summary>
    public static string Word(this ExecutionStatus status) => status.ToString().ToLowerInvariant();
}
