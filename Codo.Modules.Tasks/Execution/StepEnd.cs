using Codo.Platform.Localization;
using Codo.Platform.Processes;

namespace Codo.Modules.Tasks.Execution;

/// <summary>How an attempt ended.</summary>
/// <param name="Action"><see cref="StepAction.Succeed"/>, <see cref="StepAction.Fail"/> or <see cref="StepAction.Interrupt"/>; what it means for the step
/// depends on its retries and <c>on_error</c>.</param>
/// <param name="Outcome">The contract's word.</param>
/// <param name="ExitCode">Null where the command had none: it was cut short, or never began.</param>
/// <param name="Cause">Why, for a person; empty for a success.</param>
/// <param name="LeftBehind"><c>running</c> when processes of it are still alive, <c>unreachable</c> when that cannot be known, else null.</param>
internal sealed record StepEnd(StepAction Action, string Outcome, int? ExitCode, string Cause, string? LeftBehind = null)
{
    public static readonly StepEnd Done = new(StepAction.Succeed, "done", 0, "");

    /// <summary>
    /// Whether the log says why. Of an exit status the command itself says enough; of what happened to it, or to its output, only Codo can tell.
    /// </summary>
    public bool IsToldInLog { get; init; } = ExitCode is null;

    /// <summary>What it used; null when nothing was measured.</summary>
    public RunUsage? Usage { get; init; }

    public static StepEnd Failed(Text cause, int? exitCode = null) => new(StepAction.Fail, "failed", exitCode, cause.Both());

    public static StepEnd Unreachable(Text cause) => new(StepAction.Fail, "unreachable", null, cause.Both());

    public static StepEnd Lost(Text cause, string? leftBehind) => new(StepAction.Interrupt, "lost", null, cause.Both(), leftBehind);

    public static StepEnd Interrupted(Text cause, string? leftBehind = null) => new(StepAction.Interrupt, "interrupted", null, cause.Both(), leftBehind);

    /// <summary>What this end does to its step.</summary>
    public StepAction For(ClaimedStep step) => Action switch
    {
        // What is still alive would run beside its own repetition.
        StepAction.Fail when step.Tries <= step.Retries && LeftBehind is null => StepAction.Retry,
        StepAction.Fail when step.OnError == "continue" => StepAction.Ignore,
        _ => Action,
    };
}

/// <summary>The time limit of a step.</summary>
internal static class TimeLimit
{
    // A timer takes 49 days at most.
    private const int Most = 45 * 86400;

    public static Task Of(ClaimedStep step, CancellationToken over) => Task.Delay(TimeSpan.FromSeconds(Math.Min(step.Timeout, Most)), over);
}
