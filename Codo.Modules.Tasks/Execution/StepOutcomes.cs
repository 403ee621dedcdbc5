using Codo.Platform.Localization;
using Codo.Platform.Processes;

namespace Codo.Modules.Tasks.Execution;

/// <summary>What the end of a command means for its attempt, local and remote alike.</summary>
internal static class StepOutcomes
{
    /// <summary>It ended by itself: exit status 0 is success, anything else is not.</summary>
    public static StepEnd Of(CommandEnd end)
    {
        var ended = end switch
        {
            { ExitCode: 0 } => StepEnd.Done,
            { Signal: { } signal } => StepEnd.Failed(new Text($"退出码 {end.ExitCode}（{signal}）", $"Exit status {end.ExitCode} ({signal})"), end.ExitCode),
            _ => StepEnd.Failed(new Text($"退出码 {end.ExitCode}", $"Exit status {end.ExitCode}"), end.ExitCode),
        };
        return end.HeldText is { } held ? ended with { Cause = ended.Cause.And(held), IsToldInLog = true } : ended;
    }

    /// <summary>It was killed.</summary>
    /// <param name="reason">One of <see cref="StopReason"/>; null for the time limit.</param>
    /// <param name="timeout">Seconds.</param>
    /// <param name="alive">Processes that are still there; null when that is not known.</param>
    public static StepEnd Cut(string? reason, int timeout, int? alive)
    {
        var left = alive switch { 0 => null, null => "unreachable", _ => "running" };
        var rest = alive switch
        {
            0 => new Text("", ""),
            null => new Text("；无法连接主机，不知道命令是否仍在运行", "; the host cannot be reached, and whether the command still runs is not known"),
            _ => new Text($"；仍有 {alive} 个进程无法终止", $"; {alive} of its processes could not be killed"),
        };
        return reason switch
        {
            null => new StepEnd(
                StepAction.Fail,
                "timeout",
                null,
                new Text($"超过 {timeout} 秒，已终止{rest.Zh}", $"Killed after its time limit of {timeout} s{rest.En}").Both(),
                left
            ),
            StopReason.Stopped => new StepEnd(
                StepAction.Interrupt,
                "stopped",
                null,
                new Text($"被人终止{rest.Zh}", $"Stopped by a person{rest.En}").Both(),
                left
            ),
            StopReason.Ended => new StepEnd(
                StepAction.Interrupt,
                "ended",
                null,
                new Text($"订单被终止{rest.Zh}", $"Its order was ended{rest.En}").Both(),
                left
            ),
            StopReason.Settled => StepEnd.Interrupted(
                new Text($"节点被判定宕机，返回后已终止该命令{rest.Zh}", $"The node was taken for dead; back again, it killed the command{rest.En}"),
                left
            ),
            _ => StepEnd.Interrupted(new Text($"节点停止，命令已终止{rest.Zh}", $"The node was stopped, and the command was killed{rest.En}"), left),
        };
    }
}
