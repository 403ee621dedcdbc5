namespace Codo.Modules.Tasks.Execution;

/// <summary>A step of a template, as an order takes it over.</summary>
/// <param name="Timeout">Seconds.</param>
/// <param name="RetryDelay">Seconds before the first retry; each further one waits twice as long.</param>
/// <param name="Node">Which nodes may run it, as a selector; empty for every one.</param>
internal sealed record TemplateStep(
    int Group,
    int Level,
    string CommandName,
    string Command,
    string Args,
    string Trigger,
    string ExecUser,
    string ForceHost,
    int Timeout,
    int Retries,
    int RetryDelay,
    string OnError,
    bool Pty,
    string Interpreter,
    string RunAs,
    string Node
);

/// <summary>A group of an order: its lanes in order, each with its batch from 1, and the steps that every one of them runs.</summary>
internal sealed record PlannedGroup(
    int Group,
    IReadOnlyList<PlannedLane> Lanes,
    IReadOnlyList<TemplateStep> Steps,
    int Batches,
    int BatchPause,
    int MaxFailures,
    bool Confirm
);

internal readonly record struct PlannedLane(string Host, int Batch);
