using Codo.Platform.Localization;

namespace Codo.Platform.Processes;

/// <summary>How a command ended.</summary>
/// <param name="ExitCode">0 to 255. A command that died of signal n has 128 + n, which is also what a shell reports of its last command.</param>
/// <param name="Holders">
/// Processes that the command left in the background and that hold its output open, null where they could not be counted. They live on; what they write after
/// the end is thrown away. </param>
public readonly record struct CommandEnd(int ExitCode, int? Holders = 0)
{
    private static readonly string[] SignalNames =
    [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
        "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];

    /// <summary>The signal that the exit code stands for, such as <c>SIGKILL</c>; null for an ordinary exit code.</summary>
    public string? Signal => SignalOf(ExitCode);

    /// <summary>Says that processes hold the output; null where none does.</summary>
    public Text? HeldText =>
        Holders switch
        {
            0 => null,
            null => new Text(
                "命令已结束，其后台进程仍占用输出；它们继续运行，此后的输出不再保留",
                "The command has ended; background processes of it hold its output and live on, and what they write from now on is not kept"
            ),
            { } count => new Text(
                $"命令已结束，仍有 {count} 个后台进程占用输出；它们继续运行，此后的输出不再保留",
                $"The command has ended; background processes of it that hold its output and live on: {count}. What they write from now on is not kept"
            ),
        };

    /// <summary>The signal that an exit code of 128 + n stands for, such as <c>SIGKILL</c>; null for an ordinary one.</summary>
    public static string? SignalOf(int exitCode) =>
        exitCode > 128 && exitCode - 129 < SignalNames.Length ? "SIG" + SignalNames[exitCode - 129] : null;
}
