using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;

namespace Codo.Platform.Processes;

/// <summary>
/// The program in front of a command that makes it another user's. Both replace themselves, so the process id stays, and both give the user's supplementary
/// groups. <c>setpriv</c> (util-linux) works everywhere. <c>chroot</c> (GNU coreutils), which stays in the same root, costs less than half as much where it is
/// told the groups, but it leaves the capabilities that a service manager handed down, and other systems have a <c>chroot</c> that knows no users. So it is
/// taken only where this host has nothing to hand down and where, tried once for each user, it gave the very identity that <c>setpriv</c> gives.
/// </summary>
internal static class UserSwitch
{
    /// <summary>Drops what a process inherits. The bounding set is left alone: without it sudo would have nothing to give.</summary>
    public static IReadOnlyList<string> NoCapabilities { get; } = ["--inh-caps=-all", "--ambient-caps=-all"];

    // Everything that the kernel knows of who a process is and what it may do.
    private static readonly string[] Identity =
    [
        "Uid:",
        "Gid:",
        "Groups:",
        "CapInh:",
        "CapPrm:",
        "CapEff:",
        "CapBnd:",
        "CapAmb:",
        "NoNewPrivs:",
        "Seccomp:",
    ];

    private static readonly TimeSpan LongestTry = TimeSpan.FromSeconds(5);

    private static readonly string? Chroot = ((string[])["/usr/sbin/chroot", "/usr/bin/chroot", "/sbin/chroot"]).FirstOrDefault(File.Exists);

    private static readonly ConcurrentDictionary<(uint, uint), Lazy<bool>> Tried = new();

    /// <summary>The words in front of a command of this user.</summary>
    public static IReadOnlyList<string> To(SystemUser user) =>
        Chroot is not null && HostPrivileges.IsPlainRoot && Tried.GetOrAdd((user.Id, user.Group), _ => new Lazy<bool>(() => IsSame(user))).Value
            ? ByChroot(user)
            : BySetpriv(user);

    internal static IReadOnlyList<string> BySetpriv(SystemUser user) =>
        ["setpriv", $"--reuid={user.Id}", $"--regid={user.Group}", "--init-groups", .. NoCapabilities, "--"];

    // The plus keeps a number from being looked up as a name; looking up the groups itself would cost it as much as all else.
    internal static IReadOnlyList<string> ByChroot(SystemUser user) =>
        [Chroot!, $"--userspec=+{user.Id}:+{user.Group}", $"--groups={string.Join(',', user.GroupIds().Select(id => $"+{id}"))}", "/"];

    /// <summary>Who a program is that these words start: lines of <c>/proc/self/status</c>; empty where it did not start or did not end.</summary>
    internal static string IdentityBy(IReadOnlyList<string> words)
    {
        var start = new ProcessStartInfo(words[0], [.. words.Skip(1), "/bin/cat", "/proc/self/status"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/",
        };
        // Another process of that user may read it.
        start.Environment.Clear();
        try
        {
            using var tried = Process.Start(start)!;
            // All of it fits into the pipe. The user may stop its processes, and this one as well.
            if (!tried.WaitForExit(LongestTry)) tried.Kill();
            else if (tried.ExitCode == 0) return string.Join('\n', tried.StandardOutput.ReadToEnd().Split('\n').Where(IsIdentity));
            return "";
        }
        catch (Win32Exception)
        {
            // The other way to change the user says why nothing starts, if nothing does.
            return "";
        }
    }

    private static bool IsIdentity(string line) => Identity.Any(name => line.StartsWith(name, StringComparison.Ordinal));

    private static bool IsSame(SystemUser user) => IdentityBy(ByChroot(user)) is { Length: > 0 } identity && identity == IdentityBy(BySetpriv(user));
}
