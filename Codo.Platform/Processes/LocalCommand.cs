using System.ComponentModel;
using System.Diagnostics;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using System.Text;
using Codo.Platform.Http;

namespace Codo.Platform.Processes;

/// <summary>
/// A command that runs on this machine with <c>/bin/sh -c</c>, in a session of its own, standard input closed, standard output and error in one pipe
/// so that their order is kept. It outlives the host. Neither running nor reading it holds a thread.
/// </summary>
/// <remarks>Call <see cref="ReadToEndAsync"/> once: a command whose output nobody reads stops when the pipe is full.</remarks>
public sealed partial class LocalCommand
{
    /// <summary>The longest command, in bytes of UTF-8: the kernel takes no longer argument (128 KiB with the byte that ends it).</summary>
    public const int MaxCommandBytes = (128 * 1024) - 1;

    // setsid: the child of the host leads no group, so setsid does not fork, and the process id is the session's as well.
    // env: .NET ignores SIGPIPE and its children inherit that; `yes | head -1` would end in an error that no terminal shows.
    // The inner exec makes $0, $# and the process table look as if /bin/sh -c had been called directly.
    private static readonly string[] Launcher =
        ["env", "--default-signal=PIPE", "/bin/sh", "-c", "exec /bin/sh -c \"$1\" </dev/null 2>&1", "sh"];

    // What is in the pipe when the command ends is read whatever happens; a background child that goes on writing is cut off after this much
    // (the pipe cannot hold more) or this long.
    private const int MostBytesAfterEnd = 1024 * 1024;
    private static readonly TimeSpan WaitAfterEnd = TimeSpan.FromMilliseconds(300);

    private readonly Process process;

    private LocalCommand(Process process, RunMark mark)
    {
        this.process = process;
        Mark = mark;
    }

    /// <summary>What to record at once, so that whoever comes later can find and end the run.</summary>
    public RunMark Mark { get; }

    /// <summary>Starts a command; it runs when this returns.</summary>
    /// <param name="command">Shell text, at most <see cref="MaxCommandBytes"/> long.</param>
    /// <param name="runId">A name that no other run has; the command and all that it starts carry it in their environment.</param>
    /// <param name="environment">Variables on top of the host's own, whose settings are taken out.</param>
    /// <param name="workingDirectory">Where it starts; null for the host's own.</param>
    /// <exception cref="CommandNotStartedException">Too long, no such directory, out of processes or memory: the message says which.</exception>
    public static LocalCommand Start(string command, string runId, IReadOnlyDictionary<string, string>? environment = null, string? workingDirectory = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(runId);
        // The shell would take a text that begins with one of these for an option.
        if (command.StartsWith('-') || command.StartsWith('+')) command = " " + command;
        var length = Encoding.UTF8.GetByteCount(command);
        if (length > MaxCommandBytes)
            throw new CommandNotStartedException(new Text($"命令过长：{length} 字节，最多 {MaxCommandBytes} 字节", $"The command is {length} bytes long; the system takes {MaxCommandBytes} at most."));
        if (command.Contains('\0'))
            throw new CommandNotStartedException(new Text("命令包含空字符（NUL）", "The command contains a NUL character, which no shell can be given."));
        if (workingDirectory is not null && !Directory.Exists(workingDirectory))
            throw new CommandNotStartedException(new Text($"工作目录 {workingDirectory} 不存在", $"The working directory {workingDirectory} does not exist."));

        // All three are redirected because .NET otherwise takes the child for one that uses the terminal. The launcher replaces input and error.
        var start = new ProcessStartInfo("setsid", [.. Launcher, command])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = workingDirectory ?? "",
        };
        CommandEnvironment.Apply(start.Environment, environment, runId);

        Descriptors.Demand();
        try
        {
            var process = Process.Start(start)!;
            process.StandardInput.Dispose();
            process.StandardError.Dispose();
            return new LocalCommand(process, new RunMark(runId, process.Id, ProcessTable.StartTicks(process.Id), RunMark.CurrentBootId));
        }
        catch (Win32Exception cause)
        {
            throw new CommandNotStartedException(new Text($"命令无法启动：{cause.Message}", $"The command could not be started: {cause.Message}"), cause);
        }
    }

    /// <summary>Passes the output on, as it comes, until the command has ended.</summary>
    /// <param name="onOutput">Gets the bytes of each read, which are valid during the call only. While it works nothing is read: the command waits at a full pipe.</param>
    /// <param name="cancellation">Stops reading and waiting, and leaves the command alone: to end it, see <see cref="ProcessTree"/>.</param>
    /// <remarks>
    /// When the command has ended and a background process of it holds the pipe, what is there is read, a moment is waited, and the pipe is closed.
    /// An exception out of <paramref name="onOutput"/> closes the pipe and is passed on.
    /// </remarks>
    public async Task<CommandEnd> ReadToEndAsync(Func<ReadOnlyMemory<byte>, ValueTask> onOutput, CancellationToken cancellation = default)
    {
        using var running = process;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var reading = CopyOutputAsync(process.StandardOutput.BaseStream, onOutput, stop.Token, cancellation);
        try
        {
            var exited = process.WaitForExitAsync(cancellation);
            // A command may close its output and go on, and a failing reader must be heard of at once: whichever comes first.
            if (await Task.WhenAny(exited, reading) == reading) await reading;
            await exited;
            stop.CancelAfter(WaitAfterEnd);
            return new CommandEnd(process.ExitCode, OutputCut: !await reading);
        }
        finally
        {
            await stop.CancelAsync();
            await ((Task)reading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await process.StandardOutput.BaseStream.DisposeAsync();
        }
    }

    /// <returns>Whether the output came to its end; false when it was cut because the command itself had ended.</returns>
    private static async Task<bool> CopyOutputAsync(
        Stream output, Func<ReadOnlyMemory<byte>, ValueTask> onOutput, CancellationToken stop, CancellationToken cancellation)
    {
        var buffer = new byte[16 * 1024];
        for (var afterEnd = 0; afterEnd <= MostBytesAfterEnd;)
        {
            int read;
            try
            {
                read = stop.IsCancellationRequested ? await ReadWhatIsThereAsync(output, buffer) : await output.ReadAsync(buffer, stop);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested && afterEnd == 0)
            {
                // The time after the end is up while nothing came. What came meanwhile, because the reader was slow, is still taken.
                afterEnd = 1;
                continue;
            }

            cancellation.ThrowIfCancellationRequested();
            if (read == 0) return true;
            if (read < 0) return false;
            await onOutput(buffer.AsMemory(0, read));
            if (stop.IsCancellationRequested) afterEnd += read;
        }

        return false;
    }

    /// <returns>Bytes read; 0 at the end of the output; -1 when there is nothing in the pipe and somebody holds it open.</returns>
    private static async Task<int> ReadWhatIsThereAsync(Stream output, byte[] buffer) => HasSomething((PipeStream)output) ? await output.ReadAsync(buffer) : -1;

    // The kernel is asked: that a read does not complete at once says nothing on a busy machine, where the notice that the pipe can be read may wait to be handled.
    private static bool HasSomething(PipeStream output)
    {
        const short pollIn = 1, pollHangUp = 16;
        var asked = new PollRequest { Descriptor = (int)output.SafePipeHandle.DangerousGetHandle(), Events = pollIn };
        return Poll(ref asked, 1, 0) > 0 && (asked.Answers & (pollIn | pollHangUp)) != 0;
    }

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll(ref PollRequest request, nuint count, int milliseconds);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollRequest
    {
        public int Descriptor;
        public short Events;
        public short Answers;
    }
}
