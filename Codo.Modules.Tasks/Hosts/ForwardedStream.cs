using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Threading.Channels;
using Codo.Platform.Localization;
using Renci.SshNet.Common;
using Renci.SshNet.Messages;
using Renci.SshNet.Messages.Connection;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>
/// A stream through a bastion to a host behind it. What the bastion sends goes to one of two connected sockets, the other (<see cref="Socket"/>) is the SSH
/// client's.
/// </summary>
internal sealed partial class ForwardedStream : IDisposable
{
    private const int WindowSize = 1024 * 1024;
    private const int PacketSize = 32 * 1024;

    // RFC 4254, section 5.1: the bastion's own rules forbid it.
    private const uint AdministrativelyProhibited = 1;

    private readonly Bastion bastion;
    private readonly Socket inner;
    private readonly TaskCompletionSource opened = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // Its length is bounded by the window: the bastion may send no more before it was taken.
    private readonly Channel<byte[]> arrived = Channel.CreateUnbounded<byte[]>(new() { SingleReader = true });
    private readonly SemaphoreSlim adjusted = new(0);
    private long credit;
    private uint remoteNumber;
    private int remotePacket;
    private volatile bool isOpen;
    private int closed;
    private int closeSent;

    public ForwardedStream(Bastion bastion, uint number)
    {
        this.bastion = bastion;
        Number = number;
        (inner, Socket) = Pair();
    }

    /// <summary>The channel's number on this side.</summary>
    public uint Number { get; }

    /// <summary>The client's end; whoever takes it disposes it, which ends the stream.</summary>
    public Socket Socket { get; }

    /// <summary>Ends when the bastion has reached the host, or fails.</summary>
    public Task OpenedAsync => opened.Task;

    public Message OpenMessage(string host, int port) => new ChannelOpenMessage(Number, WindowSize, PacketSize, new DirectTcpip(host, (uint)port));

    // The following are called by the thread that reads the bastion's connection: none of them waits.

    public void Opened(ChannelOpenConfirmationMessage message)
    {
        remoteNumber = message.RemoteChannelNumber;
        remotePacket = (int)Math.Clamp(message.MaximumPacketSize, 1, PacketSize);
        Interlocked.Add(ref credit, message.InitialWindowSize);
        isOpen = true;
        Interlocked.MemoryBarrier();
        // Given up a moment ago: whoever did that may have found it not open yet.
        if (closed == 1) SendClose();
        opened.TrySetResult();
        _ = ToHost();
        _ = FromHost();
    }

    public void Refused(ChannelOpenFailureMessage message)
    {
        opened.TrySetException(new SshFailedException(
            message.ReasonCode == AdministrativelyProhibited ? SshFailureKind.Refused : SshFailureKind.Unreachable,
            new Text($"跳板机无法连接它：{message.Description}", $"its bastion does not reach it: {message.Description}")));
        Closed();
    }

    // The message's bytes lie in the connection's own buffer, which the next message overwrites.
    public void Received(ChannelDataMessage message) => arrived.Writer.TryWrite(message.Data.AsSpan(message.Offset, message.Size).ToArray());

    public void Adjusted(uint bytes)
    {
        Interlocked.Add(ref credit, bytes);
        adjusted.Release();
    }

    /// <summary>The host sends nothing more.</summary>
    public void Ended() => arrived.Writer.TryComplete();

    /// <summary>The channel, or the bastion's connection, is closed.</summary>
    public void Closed()
    {
        if (Interlocked.Exchange(ref closed, 1) == 1) return;
        bastion.Forget(this);
        arrived.Writer.TryComplete();
        opened.TrySetException(new SshConnectionException("The connection to the bastion was closed."));
        adjusted.Release();
        if (isOpen) SendClose();
        else inner.Dispose();
    }

    public void Dispose()
    {
        Closed();
        inner.Dispose();
        Socket.Dispose();
    }

    // Once: a bastion ends the connection of whoever closes a channel that is closed.
    private void SendClose()
    {
        if (Interlocked.Exchange(ref closeSent, 1) == 0) bastion.Post(new ChannelCloseMessage(remoteNumber));
    }

    private async Task ToHost()
    {
        var buffer = new byte[PacketSize];
        try
        {
            while (closed == 0)
            {
                var read = await inner.ReceiveAsync(buffer, SocketFlags.None);
                if (read == 0) break;
                for (var at = 0; at < read;)
                {
                    long room;
                    while ((room = Interlocked.Read(ref credit)) <= 0 && closed == 0) await adjusted.WaitAsync();
                    if (closed == 1) break;
                    var length = (int)Math.Min(Math.Min(room, remotePacket), read - at);
                    Interlocked.Add(ref credit, -length);
                    await bastion.SendAsync(new ChannelDataMessage(remoteNumber, buffer, at, length));
                    at += length;
                }
            }
        }
        catch (Exception broken) when (broken is SocketException or ObjectDisposedException or SshException)
        {
            // One of the two ends is gone; the other hears of it below.
        }

        Closed();
    }

    private async Task FromHost()
    {
        var taken = 0;
        try
        {
            await foreach (var piece in arrived.Reader.ReadAllAsync())
            {
                for (var at = 0; at < piece.Length;) at += await inner.SendAsync(piece.AsMemory(at), SocketFlags.None);
                if ((taken += piece.Length) < WindowSize / 2) continue;
                bastion.Post(new ChannelWindowAdjustMessage(remoteNumber, (uint)taken));
                taken = 0;
            }

            // The client takes what is still in the socket, and then sees the end.
            inner.Shutdown(SocketShutdown.Both);
        }
        catch (Exception broken) when (broken is SocketException or ObjectDisposedException)
        {
            // The client has closed its end.
        }

        Closed();
        inner.Dispose();
    }

    private static (Socket, Socket) Pair()
    {
        const int unix = 1, stream = 1, closeOnExec = 0x80000;
        var ends = new int[2];
        if (socketpair(unix, stream | closeOnExec, 0, ends) != 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError(), $"socketpair: {Marshal.GetLastPInvokeErrorMessage()}");
        return (End(ends[0]), End(ends[1]));

        static Socket End(int descriptor) => new(new SafeSocketHandle(descriptor, ownsHandle: true));
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socketpair(int domain, int type, int protocol, [In, Out] int[] ends);

    /// <summary>What a <c>direct-tcpip</c> channel is opened with. The originator is of interest to nobody; no address of this machine is told.</summary>
    private sealed class DirectTcpip(string host, uint port) : ChannelOpenInfo
    {
        public override string ChannelType => "direct-tcpip";

        protected override void SaveData()
        {
            base.SaveData();
            Write(host, System.Text.Encoding.UTF8);
            Write(port);
            Write("127.0.0.1", System.Text.Encoding.ASCII);
            Write(0u);
        }
    }
}
