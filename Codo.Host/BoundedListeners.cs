using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Options;

namespace Codo.Host;

/// <summary>
/// Accepts a connection only when there is a place for it, and leaves the rest in the kernel's queue meanwhile. Kestrel's own limit closes the newest instead,
/// which in a flood is as often the caller with a token. Where the queue is full the kernel drops the connection, and its client tries again after a whole
/// second; Kestrel's 512 are too few for that, and a much longer one is full of strangers for as long.
/// </summary>
internal sealed class BoundedListeners(ConnectionLimit limit, IOptions<SocketTransportOptions> options, ILoggerFactory logs)
    : IConnectionListenerFactory,
        IConnectionListenerFactorySelector
{
    private const int Queue = 1024;

    private readonly SocketTransportFactory sockets = new(Options.Create(WithQueue(options.Value)), logs);

    public bool CanBind(EndPoint endpoint) => sockets.CanBind(endpoint);

    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        new Listener(await sockets.BindAsync(endpoint, cancellationToken), limit);

    private static SocketTransportOptions WithQueue(SocketTransportOptions options)
    {
        options.Backlog = Queue;
        return options;
    }

    private sealed class Listener(IConnectionListener listener, ConnectionLimit limit) : IConnectionListener
    {
        private readonly CancellationTokenSource unbound = new();

        public EndPoint EndPoint => listener.EndPoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            try
            {
                await limit.Room(unbound.Token);
            }
            catch (OperationCanceledException)
            {
                return null;
            }

            ConnectionContext? connection = null;
            try
            {
                return connection = await listener.AcceptAsync(cancellationToken);
            }
            finally
            {
                if (connection is null) limit.NobodyCame();
            }
        }

        public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            await unbound.CancelAsync();
            await listener.UnbindAsync(cancellationToken);
        }

        public async ValueTask DisposeAsync()
        {
            await listener.DisposeAsync();
            unbound.Dispose();
        }
    }
}
