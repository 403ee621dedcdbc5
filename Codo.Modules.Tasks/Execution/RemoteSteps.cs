using Codo.Platform.Http;
using Codo.Platform.Processes;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Steps on other hosts.</summary>
internal sealed class RemoteSteps
{
    public LaneHosts Hosts() => new();

    public Task<StepEnd> Run(RunningAttempt attempt, string command, StepOutput output, LaneHosts hosts, Func<RunMark, Task> record) => Task.FromResult(StepEnd.Unreachable(new Text("x", "x")));

    public Task<int?> Kill(Leftover left) => Task.FromResult<int?>(null);

    public Task<int?> Alive(Leftover left) => Task.FromResult<int?>(null);
}

internal sealed class LaneHosts : IAsyncDisposable
{
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
