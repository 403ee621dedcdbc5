using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace Codo.Host;

/// <summary>
/// Bounds the open connections, in all and per address. Where one more would be too many, the oldest that no caller with a token has used is closed for it,
/// then the oldest that rests between two requests of such a caller. A request without a token protects no connection: sending it slowly would be enough to
/// hold all of them.
/// </summary>
/// <param name="most">Connections in all.</param>
/// <param name="mostOpen">The same with those that were closed for others and take a moment to go: no more are accepted before one of them is gone
/// (<see cref="BoundedListeners"/>).</param>
/// <param name="mostPerAddress">Connections of one IPv4 address or one IPv6 network of 64 bits.</param>
/// <param name="proxies">Addresses that many people share.</param>
internal sealed class ConnectionLimit(int most, int mostOpen, int mostPerAddress, IReadOnlyList<IPNetwork> proxies) : IDisposable
{
    // How long a request may go on when the host is stopped. The work of the node is drained after them, and the whole stop has its limit.
    private static readonly TimeSpan AtTheEnd = TimeSpan.FromSeconds(10);

    private readonly Lock gate = new();
    private readonly HashSet<Held> all = [];
    private readonly LinkedList<Held> unproven = new();
    private readonly LinkedList<Held> resting = new();
    private readonly Dictionary<IPAddress, Share> shares = [];
    // Accepting is cheaper than beginning: without a bound a flood would fill the thread pool's queue with beginnings, and a connection would be the oldest
    // before its request was read.
    private const int MostBeginning = 32;

    private readonly SemaphoreSlim room = new(mostOpen), beginning = new(MostBeginning);
    private int open;
    private Timer? ending;

    /// <summary>Waits until one more may be accepted. It is given back by <see cref="Guard"/> when that connection has ended.</summary>
    public async Task Room(CancellationToken cancellation)
    {
        await room.WaitAsync(cancellation);
        try
        {
            await beginning.WaitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            room.Release();
            throw;
        }
    }

    /// <summary>Gives back a place for which no connection came.</summary>
    public void NobodyCame()
    {
        beginning.Release();
        room.Release();
    }

    /// <summary>Stands before everything else that a connection meets.</summary>
    public ConnectionDelegate Guard(ConnectionDelegate next) => async connection =>
    {
        beginning.Release();
        try
        {
            await Admitted(connection, next);
        }
        finally
        {
            room.Release();
        }
    };

    private async Task Admitted(ConnectionContext connection, ConnectionDelegate next)
    {
        var (held, gone) = Admit(connection);
        gone?.Connection.Abort(new ConnectionAbortedException("Another connection took its place."));
        if (held is null)
        {
            connection.Abort(new ConnectionAbortedException("There are too many connections."));
            return;
        }

        // Seen by the requests of this connection as well.
        connection.Features.Set(held);
        try
        {
            await next(connection);
        }
        finally
        {
            lock (gate) Forget(held);
        }
    }

    /// <summary>The host stops: whatever is still open in a while is ended, so that a slow request does not keep the node from draining.</summary>
    public void EndSoon() => ending = new Timer(_ => EndAll(), null, AtTheEnd, Timeout.InfiniteTimeSpan);

    /// <summary>Ends every connection.</summary>
    internal void EndAll()
    {
        Held[] left;
        lock (gate) left = [.. all];
        foreach (var held in left) held.Connection.Abort(new ConnectionAbortedException("The host stops."));
    }

    public void Dispose()
    {
        ending?.Dispose();
        room.Dispose();
        beginning.Dispose();
    }

    /// <summary>What an address counts as.</summary>
    public static IPAddress Network(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6) return address.MapToIPv4();
        if (address.AddressFamily != AddressFamily.InterNetworkV6) return address;
        var bytes = address.GetAddressBytes();
        bytes.AsSpan(8).Clear();
        return new IPAddress(bytes);
    }

    // Null for a proxy, which is known by its whole address.
    private IPAddress? Counted(IPAddress given)
    {
        var address = given.IsIPv4MappedToIPv6 ? given.MapToIPv4() : given;
        return proxies.Any(proxy => proxy.Contains(address)) ? null : Network(address);
    }

    private (Held? Held, Held? Gone) Admit(ConnectionContext connection)
    {
        var address = connection.RemoteEndPoint is IPEndPoint point ? Counted(point.Address) : null;
        lock (gate)
        {
            Held? gone = null;
            if (address is not null && shares.TryGetValue(address, out var own) && own.Count >= mostPerAddress)
            {
                gone = own.Unproven.First?.Value ?? own.Resting.First?.Value;
                if (gone is null) return (null, null);
            }
            else if (open >= most)
            {
                gone = unproven.First?.Value ?? resting.First?.Value;
                if (gone is null) return (null, null);
            }

            if (gone is not null) Forget(gone);
            var held = new Held(this, connection, address);
            open++;
            all.Add(held);
            held.Place = unproven.AddLast(held);
            if (address is not null)
            {
                if (!shares.TryGetValue(address, out var share)) shares[address] = share = new Share();
                share.Count++;
                held.PlaceInShare = share.Unproven.AddLast(held);
            }

            return (held, gone);
        }
    }

    // Once for each: by whoever takes its place, or by its own end.
    private void Forget(Held held)
    {
        if (held.Forgotten) return;
        held.Forgotten = true;
        open--;
        all.Remove(held);
        TakeOut(held);
        if (held.Address is null || !shares.TryGetValue(held.Address, out var share)) return;
        if (--share.Count == 0) shares.Remove(held.Address);
    }

    private static void TakeOut(Held held)
    {
        held.Place?.List?.Remove(held.Place);
        held.PlaceInShare?.List?.Remove(held.PlaceInShare);
        (held.Place, held.PlaceInShare) = (null, null);
    }

    private void Begin(Held held)
    {
        lock (gate)
        {
            held.Requests++;
            TakeOut(held);
        }
    }

    private void End(Held held)
    {
        lock (gate)
        {
            if (--held.Requests > 0 || held.Forgotten) return;
            held.Place = resting.AddLast(held);
            if (held.Address is not null && shares.TryGetValue(held.Address, out var share)) held.PlaceInShare = share.Resting.AddLast(held);
        }
    }

    private sealed class Share
    {
        public int Count { get; set; }

        public LinkedList<Held> Unproven { get; } = new();

        public LinkedList<Held> Resting { get; } = new();
    }

    /// <summary>A connection that was let in.</summary>
    internal sealed class Held(ConnectionLimit limit, ConnectionContext connection, IPAddress? address)
    {
        public ConnectionContext Connection => connection;

        public IPAddress? Address => address;

        public LinkedListNode<Held>? Place { get; set; }

        public LinkedListNode<Held>? PlaceInShare { get; set; }

        public int Requests { get; set; }

        public bool Forgotten { get; set; }

        /// <summary>A request of a caller with a token is under way on it, until what comes back is disposed.</summary>
        public IDisposable Use() => new Using(this);

        private sealed class Using : IDisposable
        {
            private readonly Held held;

            public Using(Held held)
            {
                this.held = held;
                held.Limit.Begin(held);
            }

            public void Dispose() => held.Limit.End(held);
        }

        private ConnectionLimit Limit => limit;
    }
}
