using System.Globalization;

namespace Codo.Platform.Processes;

/// <summary>
/// What the kernel lets this process do to other users' processes: root, or a user of its own with capabilities (<c>deploy/codo.service</c>).
/// </summary>
public static class HostPrivileges
{
    // linux/capability.h
    private const int Kill = 5, SetGroup = 6, SetUser = 7, Trace = 19, Resource = 24;

    private static readonly ulong Effective = Read("CapEff");

    /// <summary>Whether a command can be started as another user, and ended again.</summary>
    public static bool CanSwitchUser { get; } = Has(SetUser) && Has(SetGroup) && Has(Kill);

    /// <summary>
    /// Whether other users' processes can be found by the <see cref="RunMark.Variable"/> in their environment. Without it one that has left its session is not
    /// found.
    /// </summary>
    public static bool CanFindByRunId { get; } = Has(Trace);

    /// <summary>Whether a limit can be set above the hard one of this process.</summary>
    internal static bool CanRaiseLimits { get; } = Has(Resource);

    /// <summary>Whether what this process starts would have capabilities that it was not meant to have: those that a service manager gave (ambient).</summary>
    internal static bool PassesOn { get; } = Read("CapAmb") != 0;

    /// <summary>Whether this process is root with nothing to hand down: whoever it becomes has no capability left.</summary>
    internal static bool IsPlainRoot { get; } = Environment.IsPrivilegedProcess && !PassesOn && Read("CapInh") == 0;

    private static bool Has(int capability) => (Effective >> capability & 1) == 1;

    private static ulong Read(string set) =>
        File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith(set + ":", StringComparison.Ordinal)) is { } line
        && ulong.TryParse(line.AsSpan(set.Length + 1).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var bits) ? bits : 0;
}
