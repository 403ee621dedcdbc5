using System.Runtime.InteropServices;

namespace Codo.Platform.Processes;

/// <summary>What becomes of a pipe that background processes still write to when their command has ended.</summary>
internal static partial class OutputHolders
{
    private const int WriteOnly = 1;
    private const int SetFlags = 4;

    /// <summary>How many processes, without this one, have the pipe open. Those of a user whom the host may not look into are not seen.</summary>
    public static async Task<int> CountAsync(SafeHandle pipe, RunMark run)
    {
        var name = new FileInfo($"/proc/self/fd/{pipe.DangerousGetHandle()}").LinkTarget;
        var table = await ProcessTable.ReadAsync();
        // Nearly always it is the run's own processes: then the descriptors of all others need not be read.
        var own = table.Where(process => process.RunId == run.RunId || process.Session == run.ProcessGroup).Count(Holds);
        return own > 0 ? own : table.Count(Holds);

        bool Holds(ProcessEntry process)
        {
            try
            {
                return process.Id != Environment.ProcessId && new DirectoryInfo($"/proc/{process.Id}/fd").EnumerateFiles().Any(file => file.LinkTarget == name);
            }
            catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }
    }

    /// <summary>
    /// Gives the pipe to a process of its own that reads it to its end and throws away what comes: a process whose output nobody reads would end at its next
    /// write. It belongs to no run and outlives the host.
    /// </summary>
    /// <returns>Whether that process has been started.</returns>
    public static bool Drain(SafeHandle pipe)
    {
        // .NET reads without blocking, which is a property of the pipe's end and not of a descriptor; cat would take "nothing there yet" for an error.
        _ = Control((int)pipe.DangerousGetHandle(), SetFlags, 0);
        // setsid forks and is waited for at once: the reader itself is nobody's child here, and becomes no zombie.
        string[] arguments = ["setsid", "-f", "cat"];
        string[] environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
        // Larger than posix_spawn_file_actions_t of any libc (80 bytes in glibc).
        var actions = Marshal.AllocHGlobal(512);
        try
        {
            if (InitActions(actions) != 0) return false;
            _ = AddDuplicate(actions, (int)pipe.DangerousGetHandle(), 0);
            _ = AddOpen(actions, 1, "/dev/null", WriteOnly, 0);
            _ = AddDuplicate(actions, 1, 2);
            var started = Spawn(out var id, arguments[0], actions, 0, [.. arguments, null], [.. environment, null]) == 0;
            _ = DestroyActions(actions);
            return started && WaitFor(id, out var status, 0) == id && status == 0;
        }
        finally
        {
            Marshal.FreeHGlobal(actions);
        }
    }

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int Control(int descriptor, int command, int flags);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_init")]
    private static partial int InitActions(nint actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_destroy")]
    private static partial int DestroyActions(nint actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_adddup2")]
    private static partial int AddDuplicate(nint actions, int from, int to);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_addopen", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int AddOpen(nint actions, int descriptor, string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "posix_spawnp", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Spawn(out int id, string file, nint actions, nint attributes, string?[] arguments, string?[] environment);

    [LibraryImport("libc", EntryPoint = "waitpid")]
    private static partial int WaitFor(int id, out int status, int options);
}
