using System.Collections;
using System.ComponentModel;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using System.Text;
using Codo.Platform.Localization;

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

    private static readonly string[] Shell = ["/bin/sh", "-c"];

    // The command comes on standard input and is in no argument. $0, $# and the process table look as if /bin/sh -c had been called directly.
    private const string PrivateScript = "exec 2>&1; eval \"exec </dev/null; $(cat)\"";

    // A terminal for the command, which comes on standard input. script runs it with $SHELL.
    private const string PtyScript = """
        exec 3<&0 </dev/null 2>&1
        command -v script >/dev/null || { echo 'codo: pty needs the program script (util-linux)'; exit 127; }
        SHELL=/bin/sh exec script -qefc 'eval "exec 3<&-; $(cat <&3)"' /dev/null
        """;

    // A command with a line #! comes on standard input and becomes a file for its interpreter ($2, and $3 where it has an argument). The kernel would do the
    // same with the file, but not where it lies in a file system without exec. It lies in a folder of its own, which nobody else may write into: whoever has
    // read the name in the process table could put a pipe in the place of a file. This shell waits, because the file is to be gone afterwards; told to end it
    // waits for the command first.
    private const string FileScript = """
        exec 2>&1
        codo_file=$1 codo_pty=$2
        shift 2
        mkdir -m 700 "${codo_file%/*}" && { (umask 077; cat >"$codo_file") && chmod 700 "$codo_file" || { rm -rf "${codo_file%/*}"; false; }; } ||
          { echo "codo: the script cannot be written to $codo_file"; exit 126; }
        exec </dev/null
        trap : TERM
        if [ -n "$codo_pty" ]; then SHELL=/bin/sh script -qefc "$codo_pty" /dev/null; else "$@" "$codo_file"; fi
        codo_status=$?
        rm -rf "${codo_file%/*}"
        exit $codo_status
        """;

    // Of what comes after the end of the command, which nobody has to wait for, this much is taken for this long: `exec > >(tee log)` writes its last lines
    // then.
    private const int MostBytesAfterEnd = 1024 * 1024;
    private static readonly TimeSpan WaitAfterEnd = TimeSpan.FromMilliseconds(300);

    private readonly SessionProcess process;
    private readonly bool isScript;

    private LocalCommand(SessionProcess process, RunMark mark, bool isScript)
    {
        this.process = process;
        this.isScript = isScript;
        Mark = mark;
    }

    /// <summary>Why no command can be run here, because its end would not be heard of; null when it can.</summary>
    public static string? WhyNotHere() => ChildExits.WhyNot();

    /// <summary>What to record at once, so that whoever comes later can find and end the run.</summary>
    public RunMark Mark { get; }

    /// <summary>What the command and all that it waited for used; null before its end.</summary>
    public ExitUsage? Used => process.Exited.IsCompletedSuccessfully ? process.Exited.Result.Used : null;

    /// <summary>Starts a command; it runs when this returns.</summary>
    /// <param name="command">Shell text, at most <see cref="MaxCommandBytes"/> long.</param>
    /// <param name="runId">A name that no other run has; the command and all that it starts carry it in their environment.</param>
    /// <param name="environment">Variables on top of the host's own, whose settings are taken out.</param>
    /// <param name="workingDirectory">Where it starts; null for the host's own.</param>
    /// <param name="user">Who it runs as; null for the host's own user.</param>
    /// <param name="form">How it is handed over; null for <see cref="CommandForm.Plain"/>. A first line <c>#!</c> is honoured in any form.</param>
    /// <exception cref="CommandNotStartedException">Too long, no such directory, out of processes or memory: the message says which.</exception>
    public static LocalCommand Start(
        string command,
        string runId,
        IReadOnlyDictionary<string, string>? environment = null,
        string? workingDirectory = null,
        CommandForm? form = null,
        CommandUser? user = null
    )
    {
        ArgumentException.ThrowIfNullOrEmpty(runId);
        form ??= CommandForm.Plain;
        user ??= CommandUser.Own;
        // The shell would take a text that begins with one of these for an option.
        if (command.StartsWith('-') || command.StartsWith('+')) command = " " + command;
        var length = Encoding.UTF8.GetByteCount(command);
        if (length > MaxCommandBytes)
            throw new CommandNotStartedException(
                new Text(
                    $"命令过长：{length} 字节，最多 {MaxCommandBytes} 字节",
                    $"The command is {length} bytes long; the system takes {MaxCommandBytes} at most."
                )
            );
        if (command.Contains('\0'))
            throw new CommandNotStartedException(new Text("命令包含空字符（NUL）", "The command contains a NUL character, which no shell can be given."));
        form.DemandReadable(command);
        if (workingDirectory is not null && user.IsSeenThrough && !Directory.Exists(workingDirectory))
            throw new CommandNotStartedException(new Text($"工作目录 {workingDirectory} 不存在", $"The working directory {workingDirectory} does not exist."));

        var (arguments, input) = Handover(command, runId, form, user);
        var begin = user.Begin(workingDirectory);
        // With what goes in front it may be more than one argument holds.
        if (input is null && length + Encoding.UTF8.GetByteCount(begin) > MaxCommandBytes) (arguments, input) = ([PrivateScript], form.Bytes(command));
        arguments[0] = begin + arguments[0];
        var variables = Environment
            .GetEnvironmentVariables()
            .Cast<DictionaryEntry>()
            .ToDictionary(one => (string)one.Key, one => (string?)one.Value, StringComparer.Ordinal);
        CommandEnvironment.Apply(variables, environment, runId, user);
        Descriptors.Demand();
        try
        {
            // The host's own directory may be closed to another user, and the user's to the host.
            var process = SessionProcess.Start(
                [.. user.Prefix, .. Shell, .. arguments],
                variables,
                user.IsOwn ? workingDirectory : "/",
                withInput: input is not null,
                ofAnother: !user.IsOwn
            );
            if (input is not null)
                _ = HandOverAsync(process.Input!, input);
            var mark = new RunMark(runId, process.Id, ProcessTable.StartTicks(process.Id), RunMark.CurrentBootId);
            return new LocalCommand(process, mark, CommandForm.Interpreter(command) is not null);
        }
        catch (Win32Exception cause)
        {
            // Its shell may have been on the way, and was killed.
            RemoveScript(runId);
            throw new CommandNotStartedException(new Text($"命令无法启动：{cause.Message}", $"The command could not be started: {cause.Message}"), cause);
        }
    }

    /// <summary>Where a run's command with a line <c>#!</c> lies while it runs.</summary>
    internal static string ScriptFile(string runId, CommandUser user) =>
        Path.Combine(user.IsOwn ? Path.GetTempPath() : "/tmp", "codo-" + runId, "codo-" + runId);

    /// <summary>Removes a run's script where the shell that would have done so was killed.</summary>
    internal static void RemoveScript(string runId)
    {
        foreach (var folder in (string[])[Path.GetTempPath(), "/tmp"])
        {
            try
            {
                // Whoever the folder belongs to may have put a link in its place: nothing but a file of that name is ever removed behind one.
                var place = Path.Combine(folder, "codo-" + runId);
                if (!Directory.Exists(place)) continue;
                File.Delete(Path.Combine(place, "codo-" + runId));
                Directory.Delete(place);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // The command's own user may have put anything there.
            }
        }
    }

    private static (string[] Arguments, byte[]? Input) Handover(string command, string runId, CommandForm form, CommandUser user)
    {
        if (CommandForm.Interpreter(command) is { } interpreter)
        {
            var file = ScriptFile(runId, user);
            var pty = form.Pty ? string.Join(' ', [.. interpreter.Select(Quote), Quote(file)]) : "";
            return ([FileScript, "sh", file, pty, .. interpreter], form.Bytes(command));
        }

        if (form.Pty) return ([PtyScript], form.Bytes(command));
        return form.Private || form.Encoding is not null ? ([PrivateScript], form.Bytes(command)) : ([command], null);
    }

    internal static string Quote(string word) => "'" + word.Replace("'", @"'\''", StringComparison.Ordinal) + "'";

    private static async Task HandOverAsync(PipeStream input, byte[] command)
    {
        await using (input)
        {
            try
            {
                await input.WriteAsync(command);
            }
            catch (IOException)
            {
                // It was killed before it had read its command, which is heard of by its end.
            }
        }
    }

    /// <summary>Passes the output on, as it comes, until the command has ended.</summary>
    /// <param name="onOutput">Gets the bytes of each read, which are valid during the call only. While it works nothing is read: the command waits at a full
    /// pipe.</param>
    /// <param name="cancellation">Stops reading and waiting, and leaves the command alone: to end it, see <see cref="ProcessTree"/>.</param>
    /// <remarks>
    /// The end of the output is known: what the command itself wrote is in the pipe when it has ended, and is read whatever happens. Nothing later is waited
    /// for. Where background processes hold the pipe, a process of its own takes it over and throws away what they write. An exception out of
    /// <paramref name="onOutput"/> closes the pipe and is passed on.
    /// </remarks>
    public async Task<CommandEnd> ReadToEndAsync(Func<ReadOnlyMemory<byte>, ValueTask> onOutput, CancellationToken cancellation = default)
    {
        var output = process.Output;
        await using var closing = output;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var exited = ExitAsync(ended, stop.Token);
        try
        {
            var isWhole = await CopyAsync(output, onOutput, ended.Token, cancellation);
            if (isWhole) await exited;
            var status = (await process.Exited).Status;
            // The shell that would have removed it may have been killed by anybody.
            if (isScript && status > 128) RemoveScript(Mark.RunId);
            return isWhole ? new CommandEnd(status) : new CommandEnd(status, await LeaveAsync(output));
        }
        finally
        {
            await stop.CancelAsync();
            await exited.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task ExitAsync(CancellationTokenSource ended, CancellationToken cancellation)
    {
        await process.Exited.WaitAsync(cancellation);
        await ended.CancelAsync();
    }

    private async Task<int?> LeaveAsync(PipeStream output)
    {
        int? holders = await OutputHolders.CountAsync(output.SafePipeHandle, Mark);
        // Another user's descriptors are root's to see: somebody holds the pipe, and how many do is not known.
        if (holders == 0 && HostPrivileges.CanSwitchUser && !Environment.IsPrivilegedProcess) holders = null;
        return OutputHolders.Drain(output.SafePipeHandle) ? holders : null;
    }

    /// <returns>Whether the output came to its end; false when the command has ended and somebody else holds the pipe.</returns>
    private static async Task<bool> CopyAsync(
        PipeStream output, Func<ReadOnlyMemory<byte>, ValueTask> onOutput, CancellationToken ended, CancellationToken cancellation)
    {
        var buffer = new byte[16 * 1024];
        while (!ended.IsCancellationRequested)
        {
            // A read that is cancelled has taken nothing.
            if (await ReadAsync(ended) is not { } read) continue;
            if (read == 0) return true;
            await onOutput(buffer.AsMemory(0, read));
        }

        cancellation.ThrowIfCancellationRequested();
        // The command's own last words are in the pipe.
        for (var left = Waiting(output); left > 0;)
        {
            var read = await output.ReadAsync(buffer.AsMemory(0, Math.Min(left, buffer.Length)), cancellation);
            if (read == 0) return true;
            await onOutput(buffer.AsMemory(0, read));
            left -= read;
        }

        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        late.CancelAfter(WaitAfterEnd);
        for (var taken = 0; taken <= MostBytesAfterEnd;)
        {
            // When the time is up the kernel is asked: that a read did not complete says nothing on a busy machine, where the notice that there is something
            // may wait.
            if (late.IsCancellationRequested && !HasSomething(output)) return false;
            if (await ReadAsync(late.IsCancellationRequested ? cancellation : late.Token) is not { } read) continue;
            if (read == 0) return true;
            await onOutput(buffer.AsMemory(0, read));
            taken += read;
        }

        return false;

        async ValueTask<int?> ReadAsync(CancellationToken until)
        {
            try
            {
                return await output.ReadAsync(buffer, until);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                return null;
            }
        }
    }

    /// <summary>How many bytes are in the pipe.</summary>
    private static int Waiting(PipeStream output)
    {
        const ulong howManyToRead = 0x541B;
        return ControlDevice((int)output.SafePipeHandle.DangerousGetHandle(), howManyToRead, out var count) == 0 ? count : 0;
    }

    private static bool HasSomething(PipeStream output) =>
        (DescriptorPoll.Events((int)output.SafePipeHandle.DangerousGetHandle(), DescriptorPoll.Readable, 0) & (DescriptorPoll.Readable | DescriptorPoll.HungUp))
        != 0;

    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int ControlDevice(int descriptor, ulong request, out int answer);
}
