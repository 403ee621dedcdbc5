using Codo.Platform.Localization;

namespace Codo.Platform.Processes;

/// <summary>
/// Who a command runs as. Another user than the host's own gets what a login gives: its identity with its supplementary groups, HOME, its limits
/// (<see cref="LoginLimits"/>), and of the host's environment no more than <c>PATH</c>, language and time zone. No capability of the host's reaches a command.
/// </summary>
public sealed class CommandUser
{
    private static readonly string[] Kept = ["PATH", "LANG", "LANGUAGE", "TZ"];

    private CommandUser(SystemUser user, bool isOwn) => (System, IsOwn) = (user, isOwn);

    /// <summary>The host's own user: a command is started as it always was.</summary>
    public static CommandUser Own { get; } = new(SystemUser.Own, isOwn: true);

    /// <summary>The user as the operating system knows it.</summary>
    public SystemUser System { get; }

    /// <summary>Whether it is the user that the host runs as.</summary>
    public bool IsOwn { get; }

    /// <summary>
    /// Whether the host sees the folders that this user sees. One that is not root may not see into another user's: of those the shell says what is wrong.
    /// </summary>
    public bool IsSeenThrough => IsOwn || Environment.IsPrivilegedProcess;

    // Not ProcessStartInfo.UserName: it changes the user of a child that shares the host's memory until it execs, and another process of that user could stop
    // the child, and with it the host's thread, for good.
    /// <summary>What stands in front of a command's own words, so that it runs as this user.</summary>
    internal IReadOnlyList<string> Prefix => IsOwn
        ? HostPrivileges.PassesOn ? ["setpriv", .. UserSwitch.NoCapabilities, "--"] : []
        : [.. LoginLimits.Of(System), .. UserSwitch.To(System)];

    /// <summary>The user of that name, ready to run something.</summary>
    /// <param name="name">Empty for the host's own.</param>
    /// <exception cref="CommandNotStartedException">This machine has no such user, or the host may not become another one.</exception>
    public static CommandUser Of(string? name) => TryFind(name, out var user, out var why) ? user : throw new CommandNotStartedException(why);

    /// <summary>The same without an exception.</summary>
    public static bool TryFind(string? name, out CommandUser user, out Text why)
    {
        (user, why) = (Own, default);
        if (string.IsNullOrEmpty(name) || name == SystemUser.Own.Name) return true;
        if (SystemUser.Find(name) is not { } found)
        {
            why = new Text($"本机没有用户 {name}（run_as）", $"This machine has no user {name} (run_as)");
            return false;
        }

        user = new CommandUser(found, found.Id == SystemUser.Own.Id);
        if (user.IsOwn || HostPrivileges.CanSwitchUser) return true;
        why = new Text(
            $"Codo 以用户 {SystemUser.Own.Name} 运行，没有 root 权限，不能以 {name} 的身份执行命令（run_as）",
            $"Codo runs as {SystemUser.Own.Name} without root's privileges and cannot run a command as {name} (run_as)");
        return false;
    }

    /// <summary>The words of a program with its arguments as this user starts it, without a shell of its own.</summary>
    public IReadOnlyList<string> Direct(IReadOnlyList<string> words) =>
        Begin("/") is { Length: > 0 } begin
            ? [.. Prefix is { Count: > 0 } prefix ? prefix : ["env"], "/bin/sh", "-c", begin + "exec \"$@\"", "sh", .. words]
            : words;

    internal void Apply(IDictionary<string, string?> environment)
    {
        if (IsOwn)
            return;
        foreach (var name in environment.Keys.Where(name => !Kept.Contains(name) && !name.StartsWith("LC_", StringComparison.Ordinal)).ToList())
            environment.Remove(name);
        if (!environment.ContainsKey("PATH"))
            environment["PATH"] = "/usr/local/bin:/usr/bin:/bin";
        environment["HOME"] = System.Home;
        environment["USER"] = environment["LOGNAME"] = System.Name;
        // Programs start what stands here, and an account that nobody logs in to has nologin there.
        environment["SHELL"] =
            System.Shell.EndsWith("nologin", StringComparison.Ordinal) || System.Shell.EndsWith("/false", StringComparison.Ordinal) || System.Shell.Length == 0
                ? "/bin/sh"
                : System.Shell;
    }

    /// <summary>
    /// Shell text that a command of this user begins with: its umask and, where it is not the host's own user, its soft limit of open files and its directory.
    /// </summary>
    /// <param name="folder">Where it starts; null for the host's own directory, and for another user its home.</param>
    internal string Begin(string? folder)
    {
        var begin = CommandMask.Restore;
        if (IsOwn) return begin;
        // The host has raised its own, and a program that closes all descriptors up to the limit takes seconds under one of a million.
        begin += $"ulimit -S -n {Descriptors.SoftLimitOfLogin} 2>/dev/null; ";
        return begin + (folder is null
            ? $"cd -- {LocalCommand.Quote(System.Home)} 2>/dev/null || cd /; "
            : $"cd -- {LocalCommand.Quote(folder)} || exit 126; ");
    }
}
