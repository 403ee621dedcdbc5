using System.Collections.Concurrent;
using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Codo.Platform.Processes;

/// <param name="Status">As a shell gives it: 128 and the signal's number when a signal ended it.</param>
internal readonly record struct ChildExit(int Status, ExitUsage Used);

/// <summary>
/// Tells how children that were spawned by <see cref="SessionProcess"/> ended. One thread waits for all of them in the kernel (<c>pidfd_open</c>,
/// <c>epoll</c>); .NET's own handling of SIGCHLD leaves children alone that it has not started.
/// </summary>
internal static unsafe partial class ChildExits
{
    private const int OpenProcess = 434, CloseOnExec = 0x80000, Add = 1, Remove = 2, Readable = 1, Interrupted = 4, NoChild = 10, SigKill = 9;

    private static readonly ConcurrentDictionary<int, (int Descriptor, TaskCompletionSource<ChildExit> Exit)> Waiting = new();
    private static readonly Lock Gate = new();
    private static int kernelPoll = -1;

    // A kernel without task I/O accounting says 0 of everything.
    private static readonly bool CountsBytes = File.Exists("/proc/self/io");

    /// <summary>Completes with the exit status of a child, as a shell gives it, and what it used.</summary>
    /// <param name="open">Opens the descriptor of a process, in place of the kernel's own call; answers less than 0, and the error as a system call does, when
    /// there is none.</param>
    /// <exception cref="Win32Exception">The kernel gives no descriptor for it.</exception>
    public static Task<ChildExit> Of(int id, Func<int, int>? open = null)
    {
        var poll = Poll();
        var descriptor = (open ?? OpenDescriptor)(id);
        if (descriptor < 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
        var exit = new TaskCompletionSource<ChildExit>(TaskCreationOptions.RunContinuationsAsynchronously);
        Waiting[id] = (descriptor, exit);
        var asked = new PollEvent { Events = Readable, Id = id };
        if (Control(poll, Add, descriptor, &asked) == 0) return exit.Task;
        var error = Marshal.GetLastPInvokeError();
        Waiting.TryRemove(id, out _);
        _ = Close(descriptor);
        throw new Win32Exception(error);
    }

    /// <summary>Kills a child whose end nobody would hear of, with its session, and takes its exit status.</summary>
    public static void End(int id)
    {
        // Who may not kill it must not wait for it either.
        if (Kill(-id, SigKill) != 0) return;
        int status, got;
        ResourceUsage used;
        do got = WaitFor(id, &status, 0, &used);
        while (got < 0 && Marshal.GetLastPInvokeError() == Interrupted);
    }

    /// <summary>Why the end of a child cannot be heard of on this machine; null when it can.</summary>
    public static string? WhyNot()
    {
        var descriptor = OpenDescriptor(Environment.ProcessId);
        if (descriptor < 0) return Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError());
        _ = Close(descriptor);
        return null;
    }

    private static int OpenDescriptor(int id) => SystemCall(OpenProcess, id, 0);

    // Not a field's initialiser: one that has failed is not tried again, and no command would start any more.
    private static int Poll()
    {
        lock (Gate)
        {
            if (kernelPoll < 0) kernelPoll = StartWaiting();
            return kernelPoll;
        }
    }

    private static int StartWaiting()
    {
        var poll = CreatePoll(CloseOnExec);
        if (poll < 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
        new Thread(() => WaitForAll(poll)) { IsBackground = true, Name = "child exits" }.Start();
        return poll;
    }

    private static void WaitForAll(int poll)
    {
        PollEvent ended;
        while (true)
        {
            if (Wait(poll, &ended, 1, -1) < 0 && Marshal.GetLastPInvokeError() != Interrupted) throw new Win32Exception(Marshal.GetLastPInvokeError());
            if (Waiting.TryRemove(ended.Id, out var found)) Reap(ended.Id, found.Descriptor, found.Exit);
        }
    }

    private static void Reap(int id, int descriptor, TaskCompletionSource<ChildExit> exit)
    {
        int status, got;
        ResourceUsage used;
        do got = WaitFor(id, &status, 0, &used);
        while (got < 0 && Marshal.GetLastPInvokeError() == Interrupted);
        // Taken out first: a child that is being spawned holds a copy for a moment, and closing alone would leave it in the poll, ready for ever.
        _ = Control(Poll(), Remove, descriptor, null);
        _ = Close(descriptor);
        if (got == id) exit.SetResult(new ChildExit((status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f), Used(used)));
        else exit.SetException(new Win32Exception(NoChild, "The exit status of a command is not known: somebody else has waited for it."));
    }

    // The kernel hands the host's own peak on to whatever it starts, so a peak below that says nothing of the command. Its counters lag behind by some pages.
    private static ExitUsage Used(in ResourceUsage used)
    {
        const long kilobyte = 1024, block = 512, lag = 8 << 20;
        ResourceUsage own;
        var inherited = OwnUsage(0, &own) == 0 ? (own.PeakKilobytes * kilobyte) + lag : long.MaxValue;
        var peak = used.PeakKilobytes * kilobyte;
        return new ExitUsage(
            used.UserSeconds + used.SystemSeconds + ((used.UserMicroseconds + used.SystemMicroseconds) / 1e6),
            peak > inherited ? peak : null,
            CountsBytes ? used.BlocksRead * block : null,
            CountsBytes ? used.BlocksWritten * block : null
        );
    }

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int OwnUsage(int who, ResourceUsage* used);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial int SystemCall(nint number, int id, uint flags);

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    private static partial int CreatePoll(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    private static partial int Control(int poll, int action, int descriptor, PollEvent* asked);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    private static partial int Wait(int poll, PollEvent* events, int most, int milliseconds);

    [LibraryImport("libc", EntryPoint = "wait4", SetLastError = true)]
    private static partial int WaitFor(int id, int* status, int options, ResourceUsage* used);

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int id, int signal);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);

    // struct rusage of 64-bit Linux.
    private struct ResourceUsage
    {
        public long UserSeconds, UserMicroseconds, SystemSeconds, SystemMicroseconds, PeakKilobytes;
        private long shared, data, stack, minorFaults, majorFaults, swaps;
        public long BlocksRead, BlocksWritten;
        private long sent, received, signals, waits, preemptions;
    }

    // The kernel packs it on x86-64 and nowhere else.
    private struct PollEvent
    {
        private static readonly bool IsPacked = RuntimeInformation.ProcessArchitecture == Architecture.X64;
        private uint events, first, second, rest;

        public uint Events
        {
            set => events = value;
        }

        /// <summary>The low half of the 64 bits that the kernel hands back.</summary>
        public int Id
        {
            readonly get => (int)(IsPacked ? first : second);
            set => (first, second, rest) = IsPacked ? ((uint)value, 0u, 0u) : (0u, (uint)value, 0u);
        }
    }
}
