using System.Text;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Processes;

namespace Codo.Tests.Modules.Tasks.Hosts;

/// <summary>A command under way on a host of the test's sshd.</summary>
internal sealed class RemoteRun
{
    private readonly StringBuilder output = new();
    private readonly TaskCompletionSource<RunMark> started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource up = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public RemoteRun(
        SshConnection connection,
        string command,
        Dictionary<string, string>? environment = null,
        CommandForm? form = null,
        CancellationToken cancellation = default
    )
    {
        var decoder = Encoding.UTF8.GetDecoder();
        End = connection.RunAsync(
            command,
            $"test-{Guid.NewGuid():N}",
            environment,
            mark =>
            {
                started.SetResult(mark);
                return ValueTask.CompletedTask;
            },
            bytes =>
            {
                var characters = new char[Encoding.UTF8.GetMaxCharCount(bytes.Length)];
                lock (output) output.Append(characters, 0, decoder.GetChars(bytes.Span, characters, flush: false));
                up.TrySetResult();
                return ValueTask.CompletedTask;
            },
            form,
            cancellation);
    }

    public Task<CommandEnd> End { get; }

    /// <summary>Where the run's processes are, as soon as the host has told.</summary>
    public Task<RunMark> Mark => started.Task.WaitAsync(TimeSpan.FromSeconds(60));

    /// <summary>Until the command has written something.</summary>
    public Task Up => up.Task.WaitAsync(TimeSpan.FromSeconds(60));

    public string Output
    {
        get
        {
            lock (output) return output.ToString();
        }
    }

    public static async Task<(CommandEnd End, string Output)> ToEnd(
        SshConnection connection,
        string command,
        Dictionary<string, string>? environment = null,
        CommandForm? form = null
    )
    {
        var run = new RemoteRun(connection, command, environment, form);
        return (await run.End, run.Output);
    }
}
