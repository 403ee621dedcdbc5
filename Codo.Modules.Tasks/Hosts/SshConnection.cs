using System.Globalization;
using System.Text;
using Codo.Platform.Http;
using Codo.Platform.Processes;
using Renci.SshNet;
using Renci.SshNet.Common;

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
    /// <summary>Until the host has answered, name look-up included.</summary>
    public static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(5);

    // For each step of the handshake after that, and to open a channel: a host that asks elsewhere about its users may take longer than one that only has to be there.
    private static readonly TimeSpan StepLimit = TimeSpan.FromSeconds(15);

    // Key exchange is work for the CPU: 200 at once on two cores would all run into their time limits.
    private static readonly SemaphoreSlim Handshakes = new(16 * Environment.ProcessorCount);

    // Characters of an account of processes: one line is asked for, and a login shell's start files may write some more.
    private const int MostAnswer = 64 * 1024;

    private readonly SshTarget target;
    private readonly SshClient client;
    private readonly SshLink link;

    private SshConnection(SshTarget target, SshClient client)
    {
        this.target = target;
        this.client = client;
        link = new SshLink(client);
    }

    /// <summary>Whether it can still be used, as far as is known.</summary>
    public bool IsConnected => client.IsConnected;

    /// <summary>Background processes hold a session of it: whoever has more commands to run connects anew.</summary>
    public bool IsUsedUp { get; private set; }

    /// <summary>What commands there are written in and write; null for UTF-8.</summary>
    public Encoding? Encoding => target.Encoding;

    /// <summary>Connects and logs in.</summary>
    /// <exception cref="SshFailedException">Unreachable, not let in, or not trusted.</exception>
    public static async Task<SshConnection> ConnectAsync(SshTarget target, CancellationToken cancellation = default)
    {
        var connecting = SshChannel.OnOwnThread(() => Connect(target));
        try
        {
            return await connecting.WaitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            // Connecting cannot be interrupted. It ends by its own time limits, and what it made is dropped.
            _ = connecting.ContinueWith(made => made.Result.client.Dispose(), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion | TaskContinuationOptions.LongRunning, TaskScheduler.Default);
            throw;
        }
    }

    /// <summary>Runs a command in the user's login shell and passes its output on, errors included, in the order in which they were written.</summary>
    /// <param name="command">Shell text.</param>
    /// <param name="runId">A name that no other run has, without blanks; it is in the environment of the command and of all that it starts.</param>
    /// <param name="environment">More variables.</param>
    /// <param name="form">How the command is handed over.</param>
    /// <param name="onStarted">Told once, before any output, how to find the run's processes on the host: record it. Its group is 0 when the host could not tell.</param>
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
            throw new SshFailedException(failure.Kind, Named(target, silence.IsCompletedSuccessfully ? Silent(target.KeepAlive) : failure.Text), failure);
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

    /// <summary>Ends a run with everything that belongs to it, as <see cref="ProcessTree.KillAsync"/> does on this machine; over a connection of its own when this one is dead.</summary>
    public Task<RunLeft> KillAsync(RunMark run, TimeSpan? grace = null) =>
        AccountAsync(RemoteScripts.Kill(run, grace ?? ProcessTree.DefaultGrace), (grace ?? ProcessTree.DefaultGrace) + StepLimit);

    /// <summary>Counts what is left of a run; over a connection of its own when this one is dead.</summary>
    public Task<RunLeft> ProbeAsync(RunMark run) => AccountAsync(RemoteScripts.Look(run), StepLimit);

    /// <summary>Ends a run that was started over a connection that is no more.</summary>
    public static Task<RunLeft> KillAsync(SshTarget target, RunMark run, TimeSpan? grace = null) => AnewAsync(target, connection => connection.KillAsync(run, grace));

    /// <summary>Counts what is left of a run that was started over a connection that is no more.</summary>
    public static Task<RunLeft> ProbeAsync(SshTarget target, RunMark run) => AnewAsync(target, connection => connection.ProbeAsync(run));

    /// <summary>Breaks the link. What runs goes on; a command that has not told yet how to find its processes does not begin any more.</summary>
    public void Cut() => link.Cut();

    public async ValueTask DisposeAsync() => await SshChannel.OnOwnThread(() =>
    {
        client.Dispose();
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

    private static SshConnection Connect(SshTarget target)
    {
        var info = new ConnectionInfo(target.Host, target.Port, target.User, new PrivateKeyAuthenticationMethod(target.User, target.Key))
        {
            Timeout = ConnectLimit,
            RetryAttempts = 1,
            // SSH.NET makes a caller wait who wants more; the host's own limit is answered at once.
            MaxSessions = int.MaxValue,
        };
        PreferKnownKey(info, target.KnownKeyType);
        // It costs 90 ms of a CPU a connection here, where curve25519 costs 13: nine seconds for a hundred hosts. ML-KEM, its successor, stays first where the host has it.
        foreach (var slow in info.KeyExchangeAlgorithms.Keys.Where(name => name.StartsWith("sntrup", StringComparison.Ordinal)).ToList()) info.KeyExchangeAlgorithms.Remove(slow);

        var client = new SshClient(info);
        HostKey? refused = null;
        var handshaking = false;
        client.ServerIdentificationReceived += (_, _) =>
        {
            Handshakes.Wait();
            handshaking = true;
            info.Timeout = StepLimit;
        };
        client.HostKeyReceived += (_, shown) =>
        {
            var type = System.Text.Encoding.ASCII.GetString(shown.HostKey, 4, shown.HostKey[3]);
            var key = new HostKey(target.Host, target.Port, type, $"SHA256:{shown.FingerPrintSHA256}", shown.HostKey);
            shown.CanTrust = target.Trust(key);
            if (!shown.CanTrust) refused = key;
        };

        try
        {
            client.Connect();
            if (!client.IsConnected) throw new SshConnectionException("The host closed the connection.");
            return new SshConnection(target, client);
        }
        catch (Exception cause)
        {
            client.Dispose();
            throw Failure(target, refused, cause);
        }
        finally
        {
            if (handshaking) Handshakes.Release();
        }
    }

    // A host that has several keys shows the first kind on our list that it has. Without this, a kind that it got later would look like a changed key.
    // Certificates are not asked for: what is pinned is the key itself.
    private static void PreferKnownKey(ConnectionInfo info, string? knownType)
    {
        var algorithms = info.HostKeyAlgorithms;
        foreach (var name in algorithms.Keys.Where(name => name.Contains("-cert-", StringComparison.Ordinal)).ToList()) algorithms.Remove(name);
        foreach (var name in algorithms.Keys.Where(name => name == knownType || (knownType == "ssh-rsa" && name.StartsWith("rsa-sha2-", StringComparison.Ordinal))).Reverse().ToList())
        {
            var algorithm = algorithms[name];
            algorithms.Remove(name);
            algorithms.Insert(0, name, algorithm);
        }
    }

    private static SshFailedException Failure(SshTarget target, HostKey? refused, Exception cause) => cause switch
    {
        _ when refused is not null => new(SshFailureKind.HostKey, Named(target, new Text($"主机密钥不受信任：{refused.Fingerprint}", $"its key {refused.Fingerprint} is not trusted")), cause),
        SshAuthenticationException => new(SshFailureKind.Authentication, Named(target, new Text($"用户 {target.User} 认证失败", $"it does not let {target.User} in with this key")), cause),
        _ => new(SshFailureKind.Unreachable, Named(target, new Text($"无法连接：{cause.Message}", $"it cannot be reached: {cause.Message}")), cause),
    };

    private static Text Silent(TimeSpan time) =>
        SshChannel.Unknown(new Text($"主机 {time.TotalSeconds:0.#} 秒没有任何回应", $"nothing has come from the host for {time.TotalSeconds:0.#} s, not even an answer to the keep-alive"));

    private static Text Named(SshTarget target, Text text) => new($"主机 {target.Host}：{text.Zh}", $"Host {target.Host}: {text.En}");
}
