using System.Globalization;
using System.Runtime.InteropServices;

namespace Codo.Platform.Processes;

/// <summary>The umask. The host's files are its own user's alone; commands get the one that the host was started with.</summary>
public static partial class CommandMask
{
    private const uint OwnersAlone = 0b000_111_111;

    /// <summary>Shell text that puts the umask back; empty before <see cref="Close"/>.</summary>
    internal static string Restore { get; private set; } = "";

    /// <summary>From here on no file that this process makes can be read by others. Once, before anything is started.</summary>
    public static void Close() => Restore = $"umask {Convert.ToString(umask(OwnersAlone), 8).PadLeft(4, '0')}; ".ToString(CultureInfo.InvariantCulture);

    [LibraryImport("libc")]
    private static partial uint umask(uint mask);
}
