using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Codo.Tests.Modules.Tasks.Hosts;

/// <summary>What a real sshd does not do: a server that says what it is, then what the test wants, and nothing else until the client goes.</summary>
internal sealed class FakeSsh : IAsyncDisposable
{
    private readonly TcpListener listener;
    private readonly CancellationTokenSource ended = new();
    private readonly byte[] says;
    private readonly bool closes;
    private readonly Task serving;
    private int accepted;

    /// <param name="says">Sent as soon as somebody connects.</param>
    /// <param name="closes">Then the connection is closed; else it stays, silent.</param>
    public FakeSsh(byte[] says, bool closes = false, string address = "127.0.0.1")
    {
        (this.says, this.closes) = (says, closes);
        listener = new TcpListener(IPAddress.Parse(address), 0);
        listener.Start();
        serving = Serve();
    }

    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    /// <summary>Connections so far.</summary>
    public int Accepted => Volatile.Read(ref accepted);

    public static byte[] Banner => "SSH-2.0-Fake_1.0\r\n"u8.ToArray();

    /// <summary>A packet before keys were exchanged (RFC 4253, section 6).</summary>
    public static byte[] Packet(params byte[] payload)
    {
        var padding = 8 - ((payload.Length + 5) % 8) + 4;
        if (padding < 4) padding += 8;
        while ((payload.Length + 5 + padding) % 8 != 0) padding++;
        var packet = new byte[5 + payload.Length + padding];
        BinaryPrimitives.WriteUInt32BigEndian(packet, (uint)(packet.Length - 4));
        packet[4] = (byte)padding;
        payload.CopyTo(packet, 5);
        return packet;
    }

    /// <summary>SSH_MSG_DISCONNECT with a description in UTF-8.</summary>
    public static byte[] Disconnect(int reason, byte[] description) =>
        Packet([1, .. Number(reason), .. Number(description.Length), .. description, .. Number(0)]);

    /// <summary>SSH_MSG_KEXINIT of a server that could go on.</summary>
    public static byte[] KeyExchangeInit()
    {
        string[] lists = ["curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes128-ctr", "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", ""];
        return Packet([20, .. new byte[16], .. lists.SelectMany(list => (byte[])[.. Number(list.Length), .. Encoding.ASCII.GetBytes(list)]), 0, .. Number(0)]);
    }

    public async ValueTask DisposeAsync()
    {
        await ended.CancelAsync();
        listener.Stop();
        await serving;
        ended.Dispose();
    }

    private static byte[] Number(int number)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, number);
        return bytes;
    }

    private async Task Serve()
    {
        var clients = new List<TcpClient>();
        try
        {
            while (true)
            {
                var client = await listener.AcceptTcpClientAsync(ended.Token);
                clients.Add(client);
                Interlocked.Increment(ref accepted);
                await client.GetStream().WriteAsync(says, ended.Token);
                if (closes) client.Close();
            }
        }
        catch (Exception over) when (over is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            foreach (var client in clients) client.Dispose();
        }
    }
}
