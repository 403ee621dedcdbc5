namespace Codo.Platform.Processes;

/// <summary>
/// What is recorded of a started command, so that its processes can be found again, also by a later incarnation of the host.
/// </summary>
/// <param name="RunId">The value of <see cref="Variable"/> in the command's environment; unique to this run.</param>
/// <param name="ProcessGroup">Process id, process group and session in one: the command leads a session of its own. 0 when it is not known.</param>
/// <param name="StartTicks">Start of that process in clock ticks since boot (field 22 of <c>/proc/PID/stat</c>). 0 when it was gone before it could be
/// read.</param>
/// <param name="BootId">The machine's boot that the two numbers belong to. Empty when it is not known.</param>
public sealed record RunMark(string RunId, int ProcessGroup, long StartTicks, string BootId)
{
    /// <summary>The environment variable that every process of a run inherits, whatever session it moves to.</summary>
    public const string Variable = "CODO_RUN_ID";

    /// <summary>The id of the boot that this machine is running in.</summary>
    public static string CurrentBootId { get; } = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
}
