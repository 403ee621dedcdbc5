using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;
using Npgsql;

namespace Codo.Tests.Support;

/// <summary>
/// A pooler in transaction mode: a statement of any client takes the connection that was given back last, and gives it back at the end of its transaction.
/// </summary>
internal sealed class TransactionPooler : IDisposable
{
    private readonly Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly ConcurrentStack<NetworkStream> idle = new();
    private readonly string backend;

    /// <param name="folder">Where its socket is made.</param>
    /// <param name="connectionString">Of a PostgreSQL on a Unix socket.</param>
    public TransactionPooler(string folder, string connectionString)
    {
        var text = new NpgsqlConnectionStringBuilder(connectionString);
        backend = Path.Combine(text.Host!, ".s.PGSQL.5432");
        ConnectionString = new NpgsqlConnectionStringBuilder(connectionString) { Host = folder, Port = 5432 }.ConnectionString;
        listener.Bind(new UnixDomainSocketEndPoint(Path.Combine(folder, ".s.PGSQL.5432")));
        listener.Listen();
        _ = Task.Run(Accept);
    }

    /// <summary>Leads through the pooler.</summary>
    public string ConnectionString { get; }

    public void Dispose()
    {
        listener.Dispose();
        foreach (var connection in idle) connection.Dispose();
    }

    private async Task Accept()
    {
        try
        {
            while (true) _ = Serve(new NetworkStream(await listener.AcceptAsync(), ownsSocket: true));
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // It was disposed.
        }
    }

    private async Task Serve(NetworkStream client)
    {
        await using var closed = client;
        try
        {
            var startup = await Startup(client);
            var answer = new MemoryStream();
            var opened = await Open(startup, answer);
            // Later clients get an answer too, and keep nothing.
            await client.WriteAsync(answer.ToArray());
            if (idle.IsEmpty) idle.Push(opened);
            else await opened.DisposeAsync();
            while (true)
            {
                var message = await Message(client);
                if (message[0] == 'X') return;
                if (!idle.TryPop(out var server)) server = await Open(startup, Stream.Null);
                await server.WriteAsync(message);
                while (message[0] is not ((byte)'Q' or (byte)'S') || await UntilReady(server, client) != 'I')
                {
                    message = await Message(client);
                    // A transaction that its client leaves open dies with its connection.
                    if (message[0] == 'X')
                    {
                        await server.DisposeAsync();
                        return;
                    }

                    await server.WriteAsync(message);
                }

                idle.Push(server);
            }
        }
        catch (Exception error) when (error is IOException or SocketException or ObjectDisposedException)
        {
            // One side has gone.
        }
    }

    private async Task<NetworkStream> Open(byte[] startup, Stream answer)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(backend));
        var server = new NetworkStream(socket, ownsSocket: true);
        await server.WriteAsync(startup);
        await UntilReady(server, answer);
        return server;
    }

    private static async Task<char> UntilReady(NetworkStream server, Stream client)
    {
        while (true)
        {
            var message = await Message(server);
            await client.WriteAsync(message);
            if (message[0] == 'Z') return (char)message[5];
        }
    }

    private static async Task<byte[]> Startup(NetworkStream client)
    {
        while (true)
        {
            var length = new byte[4];
            await client.ReadExactlyAsync(length);
            var body = new byte[BinaryPrimitives.ReadInt32BigEndian(length) - 4];
            await client.ReadExactlyAsync(body);
            // Requests for encryption have a code in the place of the version.
            if (BinaryPrimitives.ReadInt32BigEndian(body) >> 16 != 1234) return [.. length, .. body];
            await client.WriteAsync("N"u8.ToArray());
        }
    }

    private static async Task<byte[]> Message(NetworkStream from)
    {
        var head = new byte[5];
        await from.ReadExactlyAsync(head);
        var body = new byte[BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(1)) - 4];
        await from.ReadExactlyAsync(body);
        return [.. head, .. body];
    }
}
