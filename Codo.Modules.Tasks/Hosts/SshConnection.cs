using System.Globalization;
using System.Text;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Renci.SshNet;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>What is left of a run on a host.</summary>
/// <param name="Processes">0: gone. Null: the host could not be asked, see <paramref name="Failure"/>.</param>
internal readonly record struct RunLeft(int? Processes, SshFailedException? Failure = null);

/// <summary>A connection to a host, over which commands run one after another or at once. What a command started outlives it.</summary>
/// <remarks>
/// SSH.NET keeps one thread a connection, which waits for the host, and itself waits while it connects or opens a channel: that happens on threads made for it.
/// No thread of the pool is held, however many connections there are and however long their commands run.
/// </remarks>
internal sealed class SshConnection : IAsyncDisposable
{
    private static readonly TimeSpan StepLimit = SshHandshake.StepLimit;

    // Characters of an account of processes: one line is asked for, and a login shell's start files may write some more.
    private const int MostAnswer = 64 * 1024;

    private readonly SshTarget target;
    private readonly SshClient client;
    private readonly SshLink link;
    private readonly BastionUse? way;

    private SshConnection(SshTarget target, ConnectedClient connected)
    {
        this.target = target;
        (client, way) = (connected.Client, connected.Way);
        SshMetrics.Opened();
        Session = SshNetInternals.SessionOf(client);
        link = new SshLink(Session, connected.Socket);
    }

    /// <summary>What a bastion's streams go over.</summary>
    public Session Session { get; }

    /// <summary>Whether it can still be used, as far as is known.</summary>
    public bool IsConnected => client.IsConnected;

    /// <summary>Background processes hold a session of it: whoever has more commands to run connects anew.</summary>
    public bool IsUsedUp { get; private set; }

    /// <summary>What commands there are written in and write; null for UTF-8.</summary>
    public Encoding? Encoding => target.Encoding;

    /// <summary>
    /// Connects and logs in. A host that drops the connection before a session exists is tried again, with growing pauses, within
    /// <see cref="SshHandshake.ConnectLimit"/>.
    /// </summary>
    /// <exception cref="SshFailedException">Unreachable, not let in, or not trusted.</exception>
    public static async Task<SshConnection> ConnectAsync(SshTarget target, CancellationToken cancellation = default) =>
        new(target, await SshHandshake.ConnectAsync(target, cancellation));

    /// <summary>Runs a command in the user's login shell and passes its output on, errors included, in the order in which they were written.</summary>
    /// <param name="command">Shell text.</param>
    /// <param name="runId">A name that no other run has, without blanks; it is in the environment of the command and of all that it starts.</param>
    /// <param name="environment">More variables.</param>
    /// <param name="form">How the command is handed over.</param>
    /// <param name="onStarted">Told once, before any output, how to find the run's processes on the host: record it. Its group is 0 when the host could not
    /// tell.</param>
    /// <param name="onOutput">As for a local command: valid during the call only; while it works the command waits, once some 256 KiB are waiting.</param>
    /// <param name="cancellation">Stops listening and leaves the command alone: to end it, see <see cref="KillAsync(RunMark, TimeSpan?)"/>.</param>
    /// <exception cref="SshFailedException"><see cref="SshFailureKind.Lost"/>: the command may run on. Any other kind: it has not run.</exception>
    /// <exception cref="CommandNotStartedException">It cannot be sent.</exception>
    public async Task<CommandEnd> RunAsync(
        string command,
        string runId,
        IReadOnlyDictionary<string, string>? environment,
        Func<RunMark, ValueTask> onStarted,
        Func<ReadOnlyMemory<byte>, ValueTask> onOutput,
        CommandForm? form = null,
        CancellationToken cancellation = default)
    {
        var endMark = new EndMark();
        var script = RemoteScripts.Run(command, runId, environment, endMark, form);
        using var output = new RemoteOutput(runId, endMark);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var reading = ReadAsync();
        var ending = SshChannel.RunAsync(client, script, output, endMark, () => HoldersAsync(new RunMark(runId, 0, 0, "")), stop.Token);
        var silence = link.SilenceAsync(output, target.KeepAlive, stop.Token);
        try
        {
            if (await Task.WhenAny(ending, reading, silence) == silence && silence.IsCompletedSuccessfully) link.Cut();
            // A reader that fails must be heard of at once, not when the command has ended.
            if (await Task.WhenAny(ending, reading) == reading) await reading;
            var end = await ending;
            await reading;
            // On the host a process of the channel waits with them, and a server counts those: the next command gets a connection of its own.
            IsUsedUp |= end.Holders != 0;
            return end;
        }
        catch (SshFailedException failure)
        {
            // What came before the link broke is output all the same.
            await reading;
            var isSilent = failure.Kind == SshFailureKind.Lost && silence.IsCompletedSuccessfully;
            throw new SshFailedException(failure.Kind, Named(target, isSilent ? Silent(target.KeepAlive) : failure.Text), failure);
        }
        finally
        {
            await stop.CancelAsync();
            await reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            output.StopReading();
            await ((Task)ending).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        async Task ReadAsync()
        {
            if (await output.Mark.WaitAsync(stop.Token) is { } mark) await onStarted(mark);
            await output.CopyToAsync(onOutput, stop.Token);
        }
    }

    /// <summary>
    /// Ends a run with everything that belongs to it, as <see cref="ProcessTree.KillAsync"/> does on this machine; over a connection of its own when this one
    /// is dead.
    /// </summary>
    public Task<RunLeft> KillAsync(RunMark run, TimeSpan? grace = null) =>
        AccountAsync(RemoteScripts.Kill(run, grace ?? ProcessTree.DefaultGrace), (grace ?? ProcessTree.DefaultGrace) + StepLimit);

    /// <summary>Counts what is left of a run; over a connection of its own when this one is dead.</summary>
    public Task<RunLeft> ProbeAsync(RunMark run) => AccountAsync(RemoteScripts.Probe(run), StepLimit);

    /// <summary>Ends a run that was started over a connection that is no more.</summary>
    public static Task<RunLeft> KillAsync(SshTarget target, RunMark run, TimeSpan? grace = null) =>
        AnewAsync(target, connection => connection.KillAsync(run, grace));

    /// <summary>Counts what is left of a run that was started over a connection that is no more.</summary>
    public static Task<RunLeft> ProbeAsync(SshTarget target, RunMark run) => AnewAsync(target, connection => connection.ProbeAsync(run));

    /// <summary>Breaks the link. What runs goes on; a command that has not told yet how to find its processes does not begin any more.</summary>
    public void Cut() => link.Cut();

    /// <summary>Cuts the link once its host says nothing any more, as a bastion's, on which no command runs that would notice.</summary>
    /// <param name="received">How much has come from it.</param>
    public async Task CutWhenSilentAsync(Func<long> received, TimeSpan interval, CancellationToken cancellation)
    {
        var silence = link.SilenceAsync(received, () => false, interval, cancellation);
        await silence.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (silence.IsCompletedSuccessfully) link.Cut();
    }

    public async ValueTask DisposeAsync() => await SshChannel.OnOwnThread(() =>
    {
        client.Dispose();
        way?.Dispose();
        SshMetrics.Closed();
        return true;
    });

    private async Task<int?> HoldersAsync(RunMark run) => IsConnected ? (await TryAccountAsync(RemoteScripts.Holders(run), StepLimit)).Processes : null;

    private async Task<RunLeft> AccountAsync(byte[] script, TimeSpan limit)
    {
        if (IsConnected && await TryAccountAsync(script, limit) is { Processes: not null } left) return left;
        return await AnewAsync(target, connection => connection.TryAccountAsync(script, limit));
    }

    private static async Task<RunLeft> AnewAsync(SshTarget target, Func<SshConnection, Task<RunLeft>> ask)
    {
        try
        {
            await using var connection = await ConnectAsync(target);
            return await ask(connection);
        }
        catch (SshFailedException failure)
        {
            return new RunLeft(null, failure);
        }
    }

    /// <returns>Without a number when the host did not answer in time, or not as it should.</returns>
    private async Task<RunLeft> TryAccountAsync(byte[] script, TimeSpan limit)
    {
        using var output = new RemoteOutput("");
        using var timeout = new CancellationTokenSource(limit);
        var said = new StringBuilder();
        try
        {
            await SshChannel.RunAsync(client, script, output, mark: null, countHolders: null, timeout.Token);
            await output.CopyToAsync(
                bytes =>
                {
                    if (said.Length < MostAnswer) said.Append(OutputText.Decode(bytes.Span));
                    return ValueTask.CompletedTask;
                },
                timeout.Token);
        }
        catch (Exception failure) when (failure is SshFailedException or OperationCanceledException)
        {
            return new RunLeft(null, failure as SshFailedException ?? NoAnswer(new Text("未及时回答", "it did not answer in time")));
        }

        var answer = said.ToString().Split('\n').LastOrDefault(line => line.StartsWith(RemoteScripts.LeftPrefix, StringComparison.Ordinal));
        if (answer is null) return new RunLeft(null, NoAnswer(new Text("无法查看进程", "its processes could not be looked at")));
        return int.TryParse(answer.AsSpan(RemoteScripts.LeftPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var left)
            ? new RunLeft(left)
            : new RunLeft(null, NoAnswer(SshChannel.Senseless(answer)));
    }

    private SshFailedException NoAnswer(Text why) => new(SshFailureKind.Refused, Named(target, why));

    private static Text Silent(TimeSpan time) =>
        SshChannel.Unknown(
            new Text(
                $"主机 {time.TotalSeconds:0.#} 秒没有任何回应",
                $"nothing has come from the host for {time.TotalSeconds:0.#} s, not even an answer to the keep-alive"
            )
        );

    public static Text Named(SshTarget target, Text text) => new($"主机 {target.Host}：{text.Zh}", $"Host {target.Host}: {text.En}");
}
