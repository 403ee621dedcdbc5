using System.Collections.Concurrent;
using Codo.Platform.Processes;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Why a command is to be killed before its end.</summary>
internal static class StopReason
{
    /// <summary>A person stopped its lane; the word that the attempt's flag has.</summary>
    public const string Stopped = "stopped";

    /// <summary>A person ended its order; the word that the attempt's flag has.</summary>
    public const string Ended = "ended";

    /// <summary>The host is being stopped, and the grace is over.</summary>
    public const string Shutdown = "shutdown";

    /// <summary>This node was taken for dead, and its row was settled in its absence.</summary>
    public const string Settled = "settled";
}

/// <summary>An attempt whose command this process looks after.</summary>
internal sealed class RunningAttempt(OwnedLane lane, ClaimedStep step)
{
    private readonly TaskCompletionSource<string> stop = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public OwnedLane Lane => lane;

    public ClaimedStep Step => step;

    /// <summary>What it uses; null before its command has started, and on another host.</summary>
    public RunWatch? Watch { get; set; }

    /// <summary>Completes with the reason when the command is to be killed.</summary>
    public Task<string> Stop => stop.Task;

    /// <summary>The first reason counts.</summary>
    public void Ask(string reason) => stop.TrySetResult(reason);
}

/// <summary>Every attempt under way in this process.</summary>
internal sealed class RunningAttempts
{
    private readonly ConcurrentDictionary<(long SchedId, int Attempt), RunningAttempt> attempts = new();

    public IReadOnlyCollection<RunningAttempt> All => [.. attempts.Values];

    public RunningAttempt Add(OwnedLane lane, ClaimedStep step) => attempts[(step.SchedId, step.Attempt)] = new RunningAttempt(lane, step);

    public void Remove(RunningAttempt attempt) => attempts.TryRemove((attempt.Step.SchedId, attempt.Step.Attempt), out _);

    /// <summary>Null where that attempt does not run here.</summary>
    public RunningAttempt? Find(long schedId, int attempt) => attempts.GetValueOrDefault((schedId, attempt));

    /// <summary>Asks for a kill; false when that attempt does not run here.</summary>
    public bool Ask(long schedId, int attempt, string reason)
    {
        if (!attempts.TryGetValue((schedId, attempt), out var found)) return false;
        found.Ask(reason);
        return true;
    }
}
