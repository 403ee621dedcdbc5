using System.Diagnostics;
using Codo.Platform.Http;
using Codo.Platform.Processes;
using Renci.SshNet;
using Renci.SshNet.Common;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>One command on one channel of a connection.</summary>
internal static class SshChannel
{
    // A background process of the command keeps the channel open after its end. Nothing tells that the exit status has come, so it is looked for.
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(200);
    // Two seconds: a busy host or a slow link may pause in the middle of what it still has to send.
    private const int QuietLooksAfterEnd = 10;
    private const int MostBytesAfterEnd = 4 * 1024 * 1024;

    // A host that refuses to execute anything says nothing at all. But a login shell may take its time over its start files: version managers wait a minute for a lock.
    private static readonly TimeSpan MarkLimit = TimeSpan.FromMinutes(10);

    /// <summary>Runs what <see cref="RemoteScripts"/> made. The output is complete when this returns or throws.</summary>
    /// <param name="expectMark">A command that ends without having told its process group has not been run.</param>
    /// <exception cref="SshFailedException">As documented at its kinds; the text does not name the host.</exception>
    public static async Task<CommandEnd> RunAsync(SshClient client, string text, RemoteOutput output, bool expectMark, CancellationToken cancellation)
    {
        SshCommand? command = null;
        var executing = Task.CompletedTask;
        try
        {
            (command, executing) = await OnOwnThread(() => Send(client, text, output));
            return await EndAsync(command, executing, output, expectMark, cancellation);
        }
        catch (Exception cause) when (cause is not SshFailedException and not OperationCanceledException)
        {
            throw Lost(cause.Message, cause);
        }
        finally
        {
            output.Complete();
            // Closing an open channel waits for the host's answer.
            if (executing.IsCompleted) command?.Dispose();
            else _ = OnOwnThread(() => Close(command));
        }
    }

    /// <summary>SSH.NET blocks where it waits for an answer. Threads of the pool are too few for that: a hundred hosts that answer slowly would stop everything else.</summary>
    public static Task<T> OnOwnThread<T>(Func<T> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);

    private static (SshCommand, Task) Send(SshClient client, string text, RemoteOutput output)
    {
        if (!client.IsConnected) throw new SshFailedException(SshFailureKind.Unreachable, new Text("连接已断开，命令未发送", "the connection was gone before the command was sent"));
        var command = client.CreateCommand(text);

        // SSH.NET's own streams can only be read by a thread that waits, and take whatever comes without bound. Ours is written to by the connection's thread.
        SshNetInternals.SetOutput(command, output);
        SshNetInternals.SetErrorOutput(command, output);
        try
        {
            return (command, command.ExecuteAsync(CancellationToken.None));
        }
        catch (SshException cause) when (cause.GetType() == typeof(SshException))
        {
            // Only a channel that the host does not open is reported so; a broken link has a type of its own.
            throw new SshFailedException(SshFailureKind.Refused, new Text("主机拒绝打开新的会话", "it opens no more sessions"), cause);
        }
    }

    private static async Task<CommandEnd> EndAsync(SshCommand command, Task executing, RemoteOutput output, bool expectMark, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var (quiet, last, atEnd) = (0, 0L, -1L);
        while (!executing.IsCompleted)
        {
            await Task.WhenAny(executing, Task.Delay(LookAgain, cancellation));
            cancellation.ThrowIfCancellationRequested();
            if (executing.IsCompleted) break;
            if (expectMark && !output.Mark.IsCompleted && clock.Elapsed > MarkLimit) throw Lost($"nothing came within {MarkLimit.TotalMinutes} minutes", null);
            if (command.ExitStatus is null) continue;

            var received = output.Received;
            if (atEnd < 0) atEnd = received;
            quiet = received == last && !output.IsFull ? quiet + 1 : 0;
            last = received;
            if (quiet >= QuietLooksAfterEnd || received - atEnd > MostBytesAfterEnd) break;
        }

        var cut = !executing.IsCompleted;
        if (!cut) await executing;
        output.Complete();
        if (expectMark && await output.Mark is null)
            throw new SshFailedException(
                SshFailureKind.Refused,
                new Text($"主机没有执行命令（退出码 {command.ExitStatus}）", $"it did not run the command (exit status {command.ExitStatus?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "none"})"));
        return command.ExitStatus is { } status ? new CommandEnd(status, cut) : throw Lost("no exit status came", null);
    }

    private static bool Close(SshCommand? command)
    {
        command?.Dispose();
        return true;
    }

    /// <summary>What is said of a command whose link broke.</summary>
    public static Text Unknown(Text why) => new($"连接中断，命令结果未知：{why.Zh}", $"the link was lost, and how the command ended is not known: {why.En}");

    private static SshFailedException Lost(string why, Exception? cause) => new(SshFailureKind.Lost, Unknown(Text.Same(why)), cause);
}
