using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Codo.Host.LocalServices;

/// <summary>The few system calls that .NET has no word for.</summary>
internal static partial class Posix
{
    public const int Interrupt = 2;
    public const int Quit = 3;
    public const int Kill = 9;

    /// <summary>False when there is no such process any more.</summary>
    public static bool Signal(int pid, int signal) => kill(pid, signal) == 0;

    public static void ChangeOwner(string path, int user, int group)
    {
        if (lchown(path, user, group) != 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError(), $"chown {path}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    /// <summary>Gives a file a second name in one step; does nothing where that name is taken.</summary>
    public static void LinkIfFree(string existing, string name)
    {
        const int exists = 17;
        if (link(existing, name) != 0 && Marshal.GetLastPInvokeError() != exists)
            throw new Win32Exception(Marshal.GetLastPInvokeError(), $"link {name}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int link(string existing, string name);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int pid, int signal);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int lchown(string path, int user, int group);
}
