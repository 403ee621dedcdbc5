using System.ComponentModel;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Codo.Platform.Processes;

/// <summary>
/// A program in a session of its own, with every signal at its default and output and error in one pipe. It is spawned (<c>posix_spawn</c>), not forked:
/// starting it costs the same however much memory the host has, and needs no <c>setsid</c> and <c>env</c> in front.
/// </summary>
internal sealed partial class SessionProcess
{
    private const int CloseOnExec = 0x80000;

    // POSIX_SPAWN_SETSIGDEF, POSIX_SPAWN_SETSIGMASK, POSIX_SPAWN_SETSID.
    private const short SpawnFlags = 0x04 | 0x08 | 0x80;

    // More than glibc (336 and 80) or musl take.
    private const int SizeOfAttributes = 512, SizeOfActions = 512, SizeOfSignals = 128;

    private const int Kill = 9, Stop = 19;

    private const uint AnybodyMayWrite = 0b110_010_010;

    private SessionProcess(int id, PipeStream output, PipeStream? input, Task<ChildExit> exited) => (Id, Output, Input, Exited) = (id, output, input, exited);

    /// <summary>Of the process, its group and its session.</summary>
    public int Id { get; }

    public PipeStream Output { get; }

    /// <summary>Standard input; null when that is closed.</summary>
    public PipeStream? Input { get; }

    /// <summary>Completes with the exit status and with what it used.</summary>
    public Task<ChildExit> Exited { get; }

    /// <summary>Starts a program, which is looked for in <c>PATH</c> when its name has no slash.</summary>
    /// <param name="workingDirectory">Where it starts; null for the host's own.</param>
    /// <param name="ofAnother">It becomes another user, and may open its output anew all the same: <c>echo … >/dev/stderr</c>.</param>
    /// <param name="open">See <see cref="ChildExits.Of"/>.</param>
    /// <exception cref="Win32Exception">It could not be started, or its end could not be heard of, and it is gone; the message says why.</exception>
    public static SessionProcess Start(
        IReadOnlyList<string> command,
        IEnumerable<KeyValuePair<string, string?>> environment,
        string? workingDirectory,
        bool withInput,
        bool ofAnother = false,
        Func<int, int>? open = null
    )
    {
        var (outputRead, outputWrite) = Pipe();
        // They own their descriptors from here on.
        var output = new AnonymousPipeClientStream(PipeDirection.In, new SafePipeHandle(outputRead, ownsHandle: true));
        PipeStream? input = null;
        var inputRead = -1;
        try
        {
            if (withInput)
            {
                (inputRead, var inputWrite) = Pipe();
                input = new AnonymousPipeClientStream(PipeDirection.Out, new SafePipeHandle(inputWrite, ownsHandle: true));
            }
            else inputRead = OpenNull();
            // The pipe belongs to the host's user: without this another user's `echo … >/dev/stderr` is refused. Set before the program starts, which may
            // open its output at once. Nobody else gains by it: only who may look into the program's /proc entry can open the pipe.
            if (ofAnother) _ = ChangeMode(outputRead, AnybodyMayWrite);
            var id = Spawn(command, environment, workingDirectory, inputRead, outputWrite);
            return new SessionProcess(id, output, input, Watch(id, open));
        }
        catch
        {
            output.Dispose();
            input?.Dispose();
            throw;
        }
        finally
        {
            _ = Close(outputWrite);
            if (inputRead >= 0) _ = Close(inputRead);
        }
    }

    private static Task<ChildExit> Watch(int id, Func<int, int>? open)
    {
        try
        {
            return ChildExits.Of(id, open);
        }
        catch
        {
            // It runs, and whoever is told that it could not be started may start it again.
            ChildExits.End(id);
            throw;
        }
    }

    private static unsafe int Spawn(
        IReadOnlyList<string> command,
        IEnumerable<KeyValuePair<string, string?>> environment,
        string? workingDirectory,
        int input,
        int output
    )
    {
        byte* attributes = stackalloc byte[SizeOfAttributes],
            actions = stackalloc byte[SizeOfActions],
            all = stackalloc byte[SizeOfSignals],
            none = stackalloc byte[SizeOfSignals];
        Check(AttributesInit(attributes));
        Check(ActionsInit(actions));
        var (arguments, variables) = (Strings(command), Strings(environment.Where(one => one.Value is not null).Select(one => $"{one.Key}={one.Value}")));
        try
        {
            _ = SignalsFill(all);
            _ = SignalsDelete(all, Kill);
            _ = SignalsDelete(all, Stop);
            _ = SignalsEmpty(none);
            Check(AttributesDefaults(attributes, all));
            Check(AttributesMask(attributes, none));
            Check(AttributesFlags(attributes, SpawnFlags));
            Check(ActionsDuplicate(actions, input, 0));
            Check(ActionsDuplicate(actions, output, 1));
            Check(ActionsDuplicate(actions, output, 2));
            if (workingDirectory is not null) Check(ActionsDirectory(actions, workingDirectory));
            int id;
            fixed (nint* given = arguments, set = variables) Check(SpawnPath(&id, command[0], actions, attributes, given, set));
            return id;
        }
        finally
        {
            Free(arguments);
            Free(variables);
            _ = ActionsDestroy(actions);
            _ = AttributesDestroy(attributes);
        }
    }

    // As the kernel takes them: pointers, and a null at the end.
    private static nint[] Strings(IEnumerable<string> texts) => [.. texts.Select(Marshal.StringToCoTaskMemUTF8), 0];

    private static void Free(nint[] texts)
    {
        foreach (var text in texts) Marshal.FreeCoTaskMem(text);
    }

    private static unsafe (int Read, int Write) Pipe()
    {
        var ends = stackalloc int[2];
        if (CreatePipe(ends, CloseOnExec) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
        return (ends[0], ends[1]);
    }

    private static int OpenNull()
    {
        var file = Open("/dev/null", CloseOnExec);
        return file >= 0 ? file : throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    private static void Check(int error)
    {
        if (error != 0) throw new Win32Exception(error);
    }

    [LibraryImport("libc", EntryPoint = "fchmod")]
    private static partial int ChangeMode(int descriptor, uint mode);

    [LibraryImport("libc", EntryPoint = "pipe2", SetLastError = true)]
    private static unsafe partial int CreatePipe(int* ends, int flags);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "posix_spawnp", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int SpawnPath(int* id, string file, byte* actions, byte* attributes, nint* arguments, nint* environment);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_init")]
    private static unsafe partial int AttributesInit(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_destroy")]
    private static unsafe partial int AttributesDestroy(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setflags")]
    private static unsafe partial int AttributesFlags(byte* attributes, short flags);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigdefault")]
    private static unsafe partial int AttributesDefaults(byte* attributes, byte* signals);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigmask")]
    private static unsafe partial int AttributesMask(byte* attributes, byte* signals);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_init")]
    private static unsafe partial int ActionsInit(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_destroy")]
    private static unsafe partial int ActionsDestroy(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_adddup2")]
    private static unsafe partial int ActionsDuplicate(byte* actions, int from, int to);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_addchdir_np", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int ActionsDirectory(byte* actions, string path);

    [LibraryImport("libc", EntryPoint = "sigfillset")]
    private static unsafe partial int SignalsFill(byte* signals);

    [LibraryImport("libc", EntryPoint = "sigemptyset")]
    private static unsafe partial int SignalsEmpty(byte* signals);

    [LibraryImport("libc", EntryPoint = "sigdelset")]
    private static unsafe partial int SignalsDelete(byte* signals, int signal);
}
