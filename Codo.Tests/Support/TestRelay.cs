using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Codo.Tests.Support;

/// <summary>
/// A slow and uneven way to a server: it passes so many bytes a second back to the client, and stands still once for a while after a number of them.
/// </summary>
internal sealed class TestRelay : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource over = new();
    private readonly int to;
    private readonly double bytesPerSecond;
    private readonly long stillAfter;
    private readonly TimeSpan stillFor;

    public TestRelay(int to, double bytesPerSecond, long stillAfter, TimeSpan stillFor)
    {
        (this.to, this.bytesPerSecond, this.stillAfter, this.stillFor) = (to, bytesPerSecond, stillAfter, stillFor);
        listener.Start();
        _ = AcceptAsync();
    }

    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    public async ValueTask DisposeAsync()
    {
        await over.CancelAsync();
        listener.Dispose();
        over.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!over.IsCancellationRequested) _ = CarryAsync(await listener.AcceptTcpClientAsync(over.Token));
    }

    private async Task CarryAsync(TcpClient client)
    {
        using var near = client;
        using var far = new TcpClient();
        await far.ConnectAsync(IPAddress.Loopback, to, over.Token);
        await Task.WhenAny(near.GetStream().CopyToAsync(far.GetStream(), over.Token), BackAsync(far.GetStream(), near.GetStream()));
    }

    private async Task BackAsync(NetworkStream from, NetworkStream to)
    {
        var buffer = new byte[16 * 1024];
        var (passed, stood) = (0L, TimeSpan.Zero);
        var began = Stopwatch.GetTimestamp();
        while (await from.ReadAsync(buffer, over.Token) is > 0 and var read)
        {
            await to.WriteAsync(buffer.AsMemory(0, read), over.Token);
            passed += read;
            if (passed > stillAfter && stood == TimeSpan.Zero)
            {
                await Task.Delay(stillFor, over.Token);
                stood = stillFor;
            }

            if (TimeSpan.FromSeconds(passed / bytesPerSecond) - Stopwatch.GetElapsedTime(began) + stood is { TotalMilliseconds: > 1 } early)
                await Task.Delay(early, over.Token);
        }
    }
}
