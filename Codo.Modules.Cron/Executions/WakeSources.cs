namespace Codo.Modules.Cron.Executions;

/// <summary>
/// What makes a due job fire: the trigger, Hangfire's own schedule (<c>Codo:SchedulePolling</c>), and the poll. Each alone is enough, and a test shows it by
/// switching the other two off.
/// </summary>
internal sealed class WakeSources
{
    public bool Trigger { get; set; } = true;

    public bool Poll { get; set; } = true;
}
