using System.Collections.Concurrent;
using System.Threading.Channels;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using Renci.SshNet;
using Renci.SshNet.Common;
using Renci.SshNet.Messages;
using Renci.SshNet.Messages.Connection;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>
/// A connection to a bastion, shared by the hosts behind it. Each of them gets a <c>direct-tcpip</c> channel (RFC 4254, section 7.2) that ends in a pair of
/// sockets inside this process: no port is opened, so no other user of this machine can use the way.
/// </summary>
/// <remarks>
/// The channels are Codo's own. Those of SSH.NET write to their socket on the thread that reads the connection, so that one host whose output nobody takes
/// would stop all hosts behind the bastion. Here a host that is not read uses up its own window, and nothing else.
/// </remarks>
internal sealed class Bastion : IAsyncDisposable
{
    // The library numbers its own channels from 0; nothing else uses these.
    private const uint FirstChannel = 0x4000_0000;

    // A link that has died without a word would keep all its hosts unreachable until TCP gives up.
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(20);

    private readonly SshConnection connection;
    private readonly Session session;
    private readonly CancellationTokenSource ended = new();
    private readonly ConcurrentDictionary<uint, ForwardedStream> streams = new();
    private readonly Channel<(Message Message, TaskCompletionSource? Sent)> outgoing =
        Channel.CreateUnbounded<(Message, TaskCompletionSource?)>(new() { SingleReader = true });
    private readonly Lock gate = new();
    private long received;
    private uint last = FirstChannel;
    private int users;
    private bool closed;

    /// <param name="keepAlive">How often the bastion is asked for an answer; one that says nothing for as long again is cut.</param>
    public Bastion(SshConnection connection, TimeSpan? keepAlive = null)
    {
        this.connection = connection;
        session = connection.Session;
        session.ChannelOpenConfirmationReceived += (_, opened) => Confirmed(opened.Message);
        session.ChannelOpenFailureReceived += (_, refused) => Find(refused.Message)?.Refused(refused.Message);
        session.ChannelDataReceived += (_, data) => Take(data.Message);
        session.ChannelWindowAdjustReceived += (_, adjust) => Find(adjust.Message)?.Adjusted(adjust.Message.BytesToAdd);
        session.ChannelEofReceived += (_, end) => Find(end.Message)?.Ended();
        session.ChannelCloseReceived += (_, end) => Find(end.Message)?.Closed();
        session.Disconnected += (_, _) => CloseAll();
        session.ErrorOccured += (_, _) => CloseAll();
        _ = SshChannel.OnOwnThread(SendAll);
        _ = connection.CutWhenSilentAsync(() => Interlocked.Read(ref received), keepAlive ?? KeepAlive, ended.Token);
    }

    /// <summary>Whether it can still be used, as far as is known.</summary>
    public bool IsConnected => !closed && connection.IsConnected;

    /// <summary>Counts one more host that uses it; false when it is closed, or its link is broken.</summary>
    public bool TryEnter()
    {
        lock (gate)
        {
            if (!IsConnected) return false;
            users++;
            return true;
        }
    }

    /// <summary>One host fewer; true when none is left.</summary>
    public bool Leave()
    {
        lock (gate) return --users == 0;
    }

    /// <summary>Closes it unless somebody uses it.</summary>
    public bool TryClose()
    {
        lock (gate) return users == 0 && !closed && (closed = true);
    }

    /// <summary>Opens a stream to a host behind the bastion.</summary>
    /// <exception cref="SshFailedException">The bastion does not reach it, does not allow it, or does not answer.</exception>
    public async Task<ForwardedStream> OpenAsync(string host, int port, TimeSpan limit)
    {
        var stream = new ForwardedStream(this, Interlocked.Increment(ref last));
        streams[stream.Number] = stream;
        try
        {
            if (!IsConnected) CloseAll();
            await SendAsync(stream.OpenMessage(host, port));
            await stream.OpenedAsync.WaitAsync(limit);
            return stream;
        }
        catch (TimeoutException silent)
        {
            // It may be that host which does not answer, or the bastion: the connection stays, and its own silence is found out beside.
            stream.Dispose();
            throw new SshFailedException(SshFailureKind.Unreachable,
                new Text($"跳板机 {limit.TotalSeconds:0} 秒内没有连上它", $"its bastion has not reached it within {limit.TotalSeconds:0} s"), silent);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Sends a message in its turn. Waiting for room in the socket is the sending thread's.</summary>
    public Task SendAsync(Message message)
    {
        var sent = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return outgoing.Writer.TryWrite((message, sent))
            ? sent.Task
            : Task.FromException(new SshConnectionException("The connection to the bastion is closed."));
    }

    /// <summary>The same, for a message that nobody waits for.</summary>
    public void Post(Message message) => outgoing.Writer.TryWrite((message, null));

    public void Forget(ForwardedStream stream) => streams.TryRemove(stream.Number, out _);

    public async ValueTask DisposeAsync()
    {
        closed = true;
        await ended.CancelAsync();
        CloseAll();
        outgoing.Writer.TryComplete();
        await connection.DisposeAsync();
    }

    private void Confirmed(ChannelOpenConfirmationMessage message)
    {
        if (Find(message) is { } stream) stream.Opened(message);
        // Nobody waits for that host any more: without a word the bastion would keep the channel, and its own connection to the host, open.
        else if (message.LocalChannelNumber >= FirstChannel) Post(new ChannelCloseMessage(message.RemoteChannelNumber));
    }

    private void Take(ChannelDataMessage data)
    {
        Interlocked.Add(ref received, data.Size);
        Find(data)?.Received(data);
    }

    private ForwardedStream? Find(ChannelMessage message) => streams.GetValueOrDefault(message.LocalChannelNumber);

    private void CloseAll()
    {
        foreach (var stream in streams.Values) stream.Closed();
    }

    private bool SendAll()
    {
        while (outgoing.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
            while (outgoing.Reader.TryRead(out var next))
            {
                try
                {
                    SshNetInternals.Send(session, next.Message);
                    next.Sent?.TrySetResult();
                }
                catch (Exception broken)
                {
                    next.Sent?.TrySetException(new SshConnectionException($"The connection to the bastion is broken: {OutsideText.Clean(broken.Message)}"));
                }
            }

        return true;
    }
}

/// <summary>Where a bastion's connection is shared: the same user, with the same key, on the same way to the same address.</summary>
/// <param name="Path">How the bastion itself is reached, as <see cref="HostKey.Path"/>.</param>
/// <param name="KeyDigest">Of the key with which it is entered.</param>
internal sealed record BastionName(string Path, string Host, int Port, string User, string KeyDigest);

/// <summary>The bastions that are connected now. One that no host uses any more is closed after a while.</summary>
internal sealed class Bastions : IAsyncDisposable
{
    private const int MostTries = 5;

    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<BastionName, Lazy<Task<Bastion>>> connected = new();
    private readonly CancellationTokenSource ended = new();

    /// <summary>Takes part in the connection to a bastion; the first to come connects, the others wait for that.</summary>
    /// <exception cref="SshFailedException">It cannot be reached, entered or trusted.</exception>
    public async Task<BastionUse> Take(BastionName name, Func<Task<SshConnection>> connect)
    {
        for (var tries = 0; tries < MostTries; tries++)
        {
            var entry = connected.GetOrAdd(name, _ => new Lazy<Task<Bastion>>(async () => new Bastion(await connect())));
            Bastion bastion;
            try
            {
                bastion = await entry.Value;
            }
            catch
            {
                connected.TryRemove(KeyValuePair.Create(name, entry));
                throw;
            }

            if (bastion.TryEnter()) return new BastionUse(bastion, () => Left(name, entry, bastion));
            if (connected.TryRemove(KeyValuePair.Create(name, entry))) await bastion.DisposeAsync();
        }

        throw new SshFailedException(SshFailureKind.Unreachable, new Text("它一登录就断开连接", "it drops the connection as soon as somebody has logged in"));
    }

    public async ValueTask DisposeAsync()
    {
        await ended.CancelAsync();
        foreach (var entry in connected.Values.Where(entry => entry is { IsValueCreated: true, Value.IsCompletedSuccessfully: true }))
            await (await entry.Value).DisposeAsync();
        ended.Dispose();
    }

    private async Task Left(BastionName name, Lazy<Task<Bastion>> entry, Bastion bastion)
    {
        if (!bastion.Leave()) return;
        await Task.Delay(IdleTime, ended.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!bastion.TryClose()) return;
        connected.TryRemove(KeyValuePair.Create(name, entry));
        await bastion.DisposeAsync();
    }
}

/// <summary>One host's part in a bastion's connection.</summary>
internal sealed class BastionUse(Bastion bastion, Func<Task> leave) : IDisposable
{
    private int left;

    public Bastion Bastion => bastion;

    public void Dispose()
    {
        if (Interlocked.Exchange(ref left, 1) == 0) _ = leave();
    }
}
