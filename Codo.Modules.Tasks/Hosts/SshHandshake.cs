using System.Diagnostics;
using System.Net.Sockets;
using Codo.Platform.Localization;
using Renci.SshNet;
using Renci.SshNet.Common;
using Renci.SshNet.Messages.Transport;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>A client that has logged in, with what belongs to it.</summary>
/// <param name="Way">The part in a bastion's connection; null when it is connected directly.</param>
internal sealed record ConnectedClient(SshClient Client, Socket Socket, BastionUse? Way);

/// <summary>Connects to a host, makes sure who it is, and logs in.</summary>
internal static class SshHandshake
{
    /// <summary>For all tries together: none begins later. A try that has begun has the limits below.</summary>
    public static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(15);

    /// <summary>Until the host has said what it is, name look-up included, and for its first word after that.</summary>
    public static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(5);

    /// <summary>
    /// For each further step, and to open a channel: a host that asks elsewhere about its users may take longer than one that only has to be there.
    /// </summary>
    public static readonly TimeSpan StepLimit = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(0.1);

    private static readonly HandshakePlaces Places = new(16 * Environment.ProcessorCount, TimeSpan.FromSeconds(1));

    // A key exchange or a login that failed for one of these fails again. The others are those of a host that has no room just now, or went away.
    private static readonly DisconnectReason[] Passing =
        [DisconnectReason.None, DisconnectReason.ConnectionLost, DisconnectReason.ByApplication, DisconnectReason.TooManyConnections];

    /// <exception cref="SshFailedException">Unreachable, not let in, or not trusted.</exception>
    public static async Task<ConnectedClient> ConnectAsync(SshTarget target, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        for (var pause = FirstPause; ; pause *= 2)
        {
            var wait = pause * (0.5 + Random.Shared.NextDouble());
            try
            {
                var connected = await OnceAsync(target, cancellation);
                SshMetrics.LoggedIn(clock.Elapsed);
                return connected;
            }
            catch (SshFailedException dropped) when (dropped.IsDropped && clock.Elapsed + wait < ConnectLimit)
            {
                // Nothing has run, so nothing can run twice.
            }

            await Task.Delay(wait, cancellation);
        }
    }

    private static async Task<ConnectedClient> OnceAsync(SshTarget target, CancellationToken cancellation)
    {
        var connecting = SshChannel.OnOwnThread(() => Connect(target));
        try
        {
            return await connecting.WaitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            // Connecting cannot be interrupted. It ends by its own time limits, and what it made is dropped.
            _ = connecting.ContinueWith(Drop, CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion | TaskContinuationOptions.LongRunning,
                TaskScheduler.Default);
            throw;
        }

        static void Drop(Task<ConnectedClient> made)
        {
            made.Result.Client.Dispose();
            made.Result.Way?.Dispose();
        }
    }

    private static ConnectedClient Connect(SshTarget target)
    {
        var clock = Stopwatch.StartNew();
        var way = TakeWay(target);
        Socket? socket = null;
        IDisposable? place = null;
        HostKey? refused = null;
        var identified = false;
        var info = new ConnectionInfo(target.Host, target.Port, target.User, new PrivateKeyAuthenticationMethod(target.User, target.Key))
        {
            Timeout = AnswerLimit,
            RetryAttempts = 1,
            // SSH.NET makes a caller wait who wants more; the host's own limit is answered at once.
            MaxSessions = int.MaxValue,
        };
        PreferKnownKey(info, target.KnownKeyType);
        // It costs 90 ms of a CPU a connection here, where curve25519 costs 13: nine seconds for a hundred hosts. ML-KEM, its successor, stays first where
        // the host has it.
        foreach (var slow in info.KeyExchangeAlgorithms.Keys.Where(name => name.StartsWith("sntrup", StringComparison.Ordinal)).ToList())
            info.KeyExchangeAlgorithms.Remove(slow);

        var client = new SshClient(info);
        SshNetInternals.ConnectOver(client, () => socket = Dial(target, way));
        client.ServerIdentificationReceived += (_, _) =>
        {
            identified = true;
            AwaitFirstWord(socket!);
            place = Places.Take();
            info.Timeout = StepLimit;
        };
        client.HostKeyReceived += (_, shown) =>
        {
            // The key exchange is over, but for a signature. What follows, the login, is work for the host.
            place?.Dispose();
            var key = HostKey.From(shown.HostKey, target.Host, target.Port, target.Path);
            shown.CanTrust = target.Trust(key);
            if (!shown.CanTrust) refused = key;
        };

        try
        {
            client.Connect();
            if (!client.IsConnected) throw new SshConnectionException("The host closed the connection.");
            return new ConnectedClient(client, socket!, way);
        }
        catch (Exception cause)
        {
            client.Dispose();
            socket?.Dispose();
            way?.Dispose();
            throw cause as SshFailedException ?? Failure(target, refused, identified, cause);
        }
        finally
        {
            place?.Dispose();
        }
    }

    private static BastionUse? TakeWay(SshTarget target)
    {
        try
        {
            return target.Via?.Invoke().GetAwaiter().GetResult();
        }
        catch (SshFailedException failure)
        {
            throw new SshFailedException(failure.Kind,
                SshConnection.Named(target, new Text($"无法通过跳板机：{failure.Text.Zh}", $"its bastion cannot be used: {failure.Text.En}")), failure);
        }
    }

    private static Socket Dial(SshTarget target, BastionUse? way)
    {
        if (way is not null) return Forwarded(target, way);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            using var limit = new CancellationTokenSource(AnswerLimit);
            socket.ConnectAsync(target.Host, target.Port, limit.Token).AsTask().GetAwaiter().GetResult();
            return socket;
        }
        catch (OperationCanceledException)
        {
            socket.Dispose();
            throw new SshOperationTimeoutException($"no connection within {AnswerLimit.TotalSeconds:0} s");
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static Socket Forwarded(SshTarget target, BastionUse way)
    {
        try
        {
            return way.Bastion.OpenAsync(target.Host, target.Port, AnswerLimit).GetAwaiter().GetResult().Socket;
        }
        catch (SshFailedException failure)
        {
            throw new SshFailedException(failure.Kind, SshConnection.Named(target, failure.Text), failure);
        }
    }

    // A server sends its part of the key exchange unasked, at once. One that does not is waited for here, where it takes no place.
    private static void AwaitFirstWord(Socket socket)
    {
        if (!socket.Poll(AnswerLimit, SelectMode.SelectRead))
            throw new SshOperationTimeoutException($"it said what it is, and then nothing for {AnswerLimit.TotalSeconds:0} s");
    }

    // A host that has several keys shows the first kind on our list that it has. Without this, a kind that it got later would look like a changed key.
    // Certificates are not asked for: what is pinned is the key itself.
    private static void PreferKnownKey(ConnectionInfo info, string? knownType)
    {
        var algorithms = info.HostKeyAlgorithms;
        foreach (var name in algorithms.Keys.Where(name => name.Contains("-cert-", StringComparison.Ordinal)).ToList()) algorithms.Remove(name);
        foreach (var name in algorithms.Keys.Where(IsKnown).Reverse().ToList())
        {
            var algorithm = algorithms[name];
            algorithms.Remove(name);
            algorithms.Insert(0, name, algorithm);
        }

        bool IsKnown(string name) => name == knownType || (knownType == "ssh-rsa" && name.StartsWith("rsa-sha2-", StringComparison.Ordinal));
    }

    private static SshFailedException Failure(SshTarget target, HostKey? refused, bool identified, Exception cause)
    {
        if (refused is not null)
            return new(SshFailureKind.HostKey, SshConnection.Named(target,
                new Text($"主机密钥不受信任：{refused.Fingerprint}", $"its key {refused.Fingerprint} is not trusted")), cause);
        if (cause is SshAuthenticationException)
        {
            var validity = Validity(target);
            return new(SshFailureKind.Authentication, SshConnection.Named(target,
                new Text($"用户 {target.User} 认证失败{validity.Zh}", $"it does not let {target.User} in with this key{validity.En}")), cause);
        }
        // The message of a failure before the host has said what it is shows its bytes in hexadecimal; the first line says enough.
        var said = identified ? cause.Message : cause.Message.Split('\n')[0].TrimEnd('\r', ':');
        return new(SshFailureKind.Unreachable, SshConnection.Named(target, new Text($"无法连接：{said}", $"it cannot be reached: {said}")), cause)
        {
            IsDropped = cause switch
            {
                SshConnectionException gone => !identified || Passing.Contains(gone.DisconnectReason),
                SocketException { SocketErrorCode: SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.Shutdown } => true,
                _ => false,
            },
        };
    }

    // A host says of no login why it refuses it; of a certificate this much can be told from here.
    private static Text Validity(SshTarget target)
    {
        if (target.Key.Certificate is not { } certificate) return Text.Same("");
        var now = (ulong)Math.Max(0, target.Time.GetUtcNow().ToUnixTimeSeconds());
        if (certificate.ValidBeforeUnixSeconds <= now)
            return new Text($"（证书已于 {certificate.ValidBefore:yyyy-MM-dd HH:mm} UTC 过期）",
                $"; its certificate expired at {certificate.ValidBefore:yyyy-MM-dd HH:mm} UTC");
        return certificate.ValidAfterUnixSeconds <= now
            ? Text.Same("")
            : new Text($"（证书自 {certificate.ValidAfter:yyyy-MM-dd HH:mm} UTC 起才有效）",
                $"; its certificate is not valid before {certificate.ValidAfter:yyyy-MM-dd HH:mm} UTC");
    }
}
