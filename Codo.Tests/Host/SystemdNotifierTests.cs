using System.Net.Sockets;
using System.Text;
using Codo.Host;
using Codo.Platform.Cluster;
using Codo.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace Codo.Tests.Host;

/// <summary>What a service manager is told, read from a notify socket of the test. No systemd runs.</summary>
public sealed class SystemdNotifierTests
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(300);

    [Fact]
    public async Task A_vital_loop_that_hangs_stops_the_pings_and_goes_on_with_them_when_it_moves()
    {
        using var manager = new NotifySocket();
        var loops = new LoopStates();
        var (vital, other) = (loops.Add("cron poll", TimeSpan.FromSeconds(1), isVital: true), loops.Add("partitions", TimeSpan.FromHours(1)));
        using var notifier = new SystemdNotifier(manager.Path, Interval, longestRun: TimeSpan.FromSeconds(1));

        notifier.Ready(loops, NullLogger.Instance);

        await Eventually.True(
            () =>
            {
                vital.Succeeded();
                return manager.Count("WATCHDOG=1") >= 2;
            },
            "it pings"
        );
        manager.Messages[0].ShouldBe("READY=1\nSTATUS=Running");
        // No run of either ends any more. The last message: on a busy machine the loop may have seemed to hang before.
        await Eventually.True(() => manager.Messages[^1] == "STATUS=The loop 'cron poll' hangs", "the hang is told");
        var pings = manager.Count("WATCHDOG=1");
        await Eventually.True(() => vital.Silence > TimeSpan.FromSeconds(2), "three intervals have passed");
        manager.Count("WATCHDOG=1").ShouldBe(pings);
        // An outage of the database: runs fail, and a host that is restarted for that would fail as well.
        await Eventually.True(
            () =>
            {
                vital.Failed(new IOException("no database"));
                return manager.Count("WATCHDOG=1") > pings;
            },
            "it pings again, and the loop that is not vital may rest"
        );
        other.Silence.ShouldBeGreaterThan(TimeSpan.FromSeconds(1));
    }

    [Fact]
    public async Task A_host_that_drains_asks_for_time_and_pings_until_its_end()
    {
        using var manager = new NotifySocket();
        var loops = new LoopStates();
        loops.Add("cron poll", TimeSpan.FromSeconds(1), isVital: true);
        using var notifier = new SystemdNotifier(manager.Path, Interval, longestRun: TimeSpan.Zero);

        notifier.Ready(loops, NullLogger.Instance);
        notifier.Stopping(TimeSpan.FromSeconds(90));

        await Eventually.True(() => manager.Messages.Contains("STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=90000000"), "it says so");
        await Eventually.True(() => manager.Count("WATCHDOG=1") >= 2, "loops have ended and it pings");
    }

    [Fact]
    public void Without_a_manager_nothing_is_said()
    {
        using var none = new SystemdNotifier(null, null, TimeSpan.Zero);
        none.Ready(new LoopStates(), NullLogger.Instance);
        using var gone = new SystemdNotifier("/nonexistent/notify", null, TimeSpan.Zero);
        gone.Status("Starting");
    }
}

/// <summary>The socket of a service manager, which writes down what it is told.</summary>
internal sealed class NotifySocket : IDisposable
{
    private readonly TestFolder folder = new();
    private readonly Socket socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
    private readonly List<string> messages = [];
    private readonly Thread reader;

    public NotifySocket()
    {
        socket.Bind(new UnixDomainSocketEndPoint(Path));
        // As systemd's: any service may write there.
        File.SetUnixFileMode(Path, (UnixFileMode)0x1FF);
        reader = new Thread(Read) { IsBackground = true };
        reader.Start();
    }

    public string Path => folder.At("notify");

    public IReadOnlyList<string> Messages
    {
        get
        {
            lock (messages) return [.. messages];
        }
    }

    public int Count(string message) => Messages.Count(said => said == message);

    public void Dispose()
    {
        // It wakes the reader, whose Receive a Close alone would not end.
        socket.Shutdown(SocketShutdown.Both);
        reader.Join();
        socket.Dispose();
        folder.Dispose();
    }

    private void Read()
    {
        var buffer = new byte[4096];
        try
        {
            while (socket.Receive(buffer) is > 0 and var length)
            {
                lock (messages) messages.Add(Encoding.UTF8.GetString(buffer, 0, length));
            }
        }
        catch (SocketException)
        {
            // Shut down.
        }
    }
}
