namespace Codo.Modules.Cron.Executions;

/// <summary>Executions that are queued or run.</summary>
public sealed partial class RunsNow
{
    private const int Most = 8;

    private ActiveRuns.Result found = null!;

    /// <inheritdoc/>
    protected override async Task Load() => found = await Send(new ActiveRuns.Query(Most));
}
