using System.Runtime.InteropServices;
using Codo.Platform.Localization;

namespace Codo.Platform.Processes;

/// <summary>
/// The file descriptors of this process. The runtime ends the whole process when it finds none left inside <see cref="System.Diagnostics.Process.Start()"/>, so
/// whatever spawns something asks here first, and what takes descriptors at a stranger's wish (connections) leaves <see cref="Reserved"/> of them alone.
/// </summary>
public static partial class Descriptors
{
    // Three pipes, what the runtime opens beside them, and as much for some other threads that spawn at the same time.
    private const int NeededToSpawn = 64;

    private const int LimitOfOpenFiles = 7, DuplicateClosedOnExec = 1030, ReadOnlyClosedOnExec = 0x80000;

    /// <summary>Descriptors that connections leave to commands, PostgreSQL, SSH and files, out of so many.</summary>
    public static long Reserved(long limit) => Math.Min(2048, limit / 2);

    /// <summary>The soft limit of a login where nothing else is set. This process has raised its own, as the runtime does before any code of ours.</summary>
    internal static long SoftLimitOfLogin { get; } = LoginLimit();

    /// <summary>Raises the soft limit to the hard one; answers what it is then.</summary>
    public static long Raise()
    {
        if (getrlimit(LimitOfOpenFiles, out var limit) != 0) return 1024;
        if (limit.Soft < limit.Hard && setrlimit(LimitOfOpenFiles, new Limit { Soft = limit.Hard, Hard = limit.Hard }) == 0) limit.Soft = limit.Hard;
        return (long)Math.Min(limit.Soft, int.MaxValue);
    }

    /// <summary>Call it before a process is started.</summary>
    /// <exception cref="CommandNotStartedException">There are too few descriptors for that.</exception>
    public static void Demand()
    {
        Span<int> taken = stackalloc int[NeededToSpawn];
        var count = 0;
        try
        {
            while (count < NeededToSpawn)
            {
                var descriptor = count == 0 ? open("/dev/null", ReadOnlyClosedOnExec) : fcntl(taken[0], DuplicateClosedOnExec, 0);
                if (descriptor < 0)
                    throw new CommandNotStartedException(
                        new Text(
                            "命令无法启动：文件描述符已用尽（ulimit -n）",
                            "The command could not be started: the process has no file descriptors left (ulimit -n)"
                        )
                    );
                taken[count++] = descriptor;
            }
        }
        finally
        {
            foreach (var descriptor in taken[..count]) _ = close(descriptor);
        }
    }

    /// <summary>A limit of this process, by the kernel's number; null where it does not know it.</summary>
    internal static (ulong Soft, ulong Hard)? LimitOf(int resource) => getrlimit(resource, out var limit) == 0 ? (limit.Soft, limit.Hard) : null;

    private static long LoginLimit()
    {
        const long usual = 1024;
        return getrlimit(LimitOfOpenFiles, out var limit) == 0 && limit.Hard < usual ? (long)limit.Hard : usual;
    }

    [LibraryImport("libc")]
    private static partial int getrlimit(int resource, out Limit limit);

    [LibraryImport("libc")]
    private static partial int setrlimit(int resource, in Limit limit);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc")]
    private static partial int fcntl(int descriptor, int command, int argument);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);

    private struct Limit
    {
        public ulong Soft;
        public ulong Hard;
    }
}
