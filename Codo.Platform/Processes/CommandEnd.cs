namespace Codo.Platform.Processes;

/// <summary>How a command ended.</summary>
/// <param name="ExitCode">0 to 255. A command that died of signal n has 128 + n, which is also what a shell reports of its last command.</param>
/// <param name="OutputCut">
/// A background process kept the output open after the command had ended; what it writes later was not waited for.
/// </param>
public readonly record struct CommandEnd(int ExitCode, bool OutputCut = false)
{
    private static readonly string[] SignalNames =
    [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
        "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];

    /// <summary>The signal that the exit code stands for, such as <c>SIGKILL</c>; null for an ordinary exit code.</summary>
    public string? Signal => SignalOf(ExitCode);

    /// <summary>The signal that an exit code of 128 + n stands for, such as <c>SIGKILL</c>; null for an ordinary one.</summary>
    public static string? SignalOf(int exitCode) =>
        exitCode > 128 && exitCode - 129 < SignalNames.Length ? "SIG" + SignalNames[exitCode - 129] : null;
}
