using System.Net.Sockets;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Renci.SshNet;
using Renci.SshNet.Common;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>One command on one channel of a connection.</summary>
internal static class SshChannel
{
    // Of what comes behind the end mark nobody has to wait for anything; the end of the channel usually comes with it. Where it does not, somebody holds the
    // output.
    private static readonly TimeSpan WaitAfterEnd = TimeSpan.FromMilliseconds(300);

    // A host that refuses to execute anything says nothing at all. But a login shell may take its time over its start files: version managers wait a minute for
    // a lock.
    private static readonly TimeSpan MarkLimit = TimeSpan.FromMinutes(10);

    /// <summary>Runs what <see cref="RemoteScripts"/> made. The output is complete when this returns or throws.</summary>
    /// <param name="mark">What ends the command's output: without it and without having told its process group a command has not been run. Null for a script
    /// without a mark.</param>
    /// <param name="countHolders">Asked when somebody holds the output of a command that has ended, while the channel is still open.</param>
    /// <exception cref="SshFailedException">As documented at its kinds; the text does not name the host.</exception>
    public static async Task<CommandEnd> RunAsync(
        SshClient client,
        byte[] script,
        RemoteOutput output,
        EndMark? mark,
        Func<Task<int?>>? countHolders,
        CancellationToken cancellation
    )
    {
        SshCommand? command = null;
        var executing = Task.CompletedTask;
        try
        {
            (command, executing) = await OnOwnThread(() => Send(client, script, output));
            var end = await EndAsync(command, executing, output, mark, cancellation);
            return end.Holders == 0 || countHolders is null ? end : end with { Holders = await countHolders() };
        }
        catch (Exception cause) when (cause is not SshFailedException and not OperationCanceledException)
        {
            throw Lost(cause is SshException or SocketException ? Text.Same(cause.Message) : new Text("连接已断开", "the connection broke"), cause);
        }
        finally
        {
            output.Complete();
            // Closing an open channel waits for the host's answer.
            if (executing.IsCompleted) command?.Dispose();
            else _ = OnOwnThread(() => Close(command));
        }
    }

    /// <summary>
    /// SSH.NET blocks where it waits for an answer. Threads of the pool are too few for that: a hundred hosts that answer slowly would stop everything else.
    /// </summary>
    public static Task<T> OnOwnThread<T>(Func<T> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);

    private static (SshCommand, Task) Send(SshClient client, byte[] script, RemoteOutput output)
    {
        if (!client.IsConnected)
            throw new SshFailedException(SshFailureKind.Unreachable, new Text("连接已断开，命令未发送", "the connection was gone before the command was sent"));
        SshCommand command;
        Task executing;
        try
        {
            command = client.CreateCommand(RemoteScripts.LoginText);

            // SSH.NET's own streams can only be read by a thread that waits, and take whatever comes without bound. Ours is written to by the connection's
            // thread.
            SshNetInternals.SetOutput(command, output);
            SshNetInternals.SetErrorOutput(command, output);
            executing = command.ExecuteAsync(CancellationToken.None);
        }
        catch (SshException cause) when (cause.GetType() == typeof(SshException))
        {
            // Only a channel that the host does not open is reported so; a broken link has a type of its own.
            throw new SshFailedException(SshFailureKind.Refused, new Text("主机拒绝打开新的会话", "it opens no more sessions"), cause);
        }
        catch (Exception cause) when (cause is SshException or SocketException or ObjectDisposedException)
        {
            // The link is dead, which may show only now. A shell that was begun all the same reads nothing from its standard input, and so runs nothing.
            throw new SshFailedException(
                SshFailureKind.Unreachable,
                new Text($"无法打开会话，命令未发送：{cause.Message}", $"no session could be opened, and the command was not sent: {cause.Message}"),
                cause
            );
        }

        try
        {
            // Not disposed: its end of file might follow the channel's close, which breaks the connection. The script says itself where it ends.
            var input = command.CreateInputStream();
            input.Write(script);
        }
        catch (Exception closed) when (closed is InvalidOperationException or SshException)
        {
            // The login shell has ended, or the link has: whoever waits for the command hears of it.
        }

        return (command, executing);
    }

    private static async Task<CommandEnd> EndAsync(SshCommand command, Task executing, RemoteOutput output, EndMark? mark, CancellationToken cancellation)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        if (mark is not null)
        {
            if (
                await Task.WhenAny(output.Mark, output.End, executing, Task.Delay(MarkLimit, over.Token)) is var first
                && first != output.Mark
                && first != output.End
                && first != executing
            )
            {
                cancellation.ThrowIfCancellationRequested();
                throw Lost(new Text($"{MarkLimit.TotalMinutes} 分钟内主机没有任何回应", $"nothing came within {MarkLimit.TotalMinutes} minutes"), null);
            }

            await Task.WhenAny(output.End, executing).WaitAsync(cancellation);
        }
        else
        {
            await executing.WaitAsync(cancellation);
        }

        if (output.End.IsCompleted) await Task.WhenAny(executing, Task.Delay(WaitAfterEnd, over.Token));
        await over.CancelAsync();
        var isOver = executing.IsCompleted;
        // A link that breaks once the command has told its end takes nothing away from it.
        if (isOver && !output.End.IsCompleted) await executing;
        output.Complete();
        if (mark is null) return new CommandEnd(command.ExitStatus ?? -1);
        if (output.RefusedShell is { } shell)
            throw new SshFailedException(
                SshFailureKind.Refused,
                new Text(
                    $"登录 shell {shell} 不受支持，命令未执行；请使用 bash、dash、zsh、ksh 或 fish",
                    $"its login shell {shell} is not supported, and nothing was run; use bash, dash, zsh, ksh or fish"
                )
            );
        if (output.Nonsense is { } told)
            throw Lost(Senseless(told), null);
        if (!mark.IsFound && await output.Mark is null)
            throw new SshFailedException(
                SshFailureKind.Refused,
                new Text(
                    $"主机没有执行命令（退出码 {command.ExitStatus}）",
                    $"it did not run the command (exit status {command.ExitStatus?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "none"})"
                )
            );
        if (!mark.IsFound)
            throw Lost(new Text("主机没有告知命令如何结束", "the host did not tell how it ended"), null);
        return mark.Status is { } status
            ? new CommandEnd(status, isOver ? 0 : null)
            : throw Lost(new Text("主机告知的退出码无效", "the exit status that the host told is none"), null);
    }

    /// <summary>What is said of an answer that is none.</summary>
    public static Text Senseless(string told)
    {
        var shown = new string([.. told.Take(100).Select(letter => char.IsControl(letter) ? '\uFFFD' : letter)]);
        return new Text($"主机的回答无法理解：{shown}", $"the host's answer makes no sense: {shown}");
    }

    private static bool Close(SshCommand? command)
    {
        command?.Dispose();
        return true;
    }

    /// <summary>What is said of a command whose link broke.</summary>
    public static Text Unknown(Text why) => new($"连接中断，命令结果未知：{why.Zh}", $"the link was lost, and how the command ended is not known: {why.En}");

    private static SshFailedException Lost(Text why, Exception? cause) => new(SshFailureKind.Lost, Unknown(why), cause);
}
