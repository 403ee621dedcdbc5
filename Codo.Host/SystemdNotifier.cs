using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Codo.Platform.Cluster;

namespace Codo.Host;

/// <summary>
/// Tells the service manager how far the host is and that it lives, as sd_notify(3) and sd_watchdog_enabled(3) describe. Says nothing where no manager listens.
/// </summary>
internal sealed class SystemdNotifier : IDisposable
{
    private const string SocketVariable = "NOTIFY_SOCKET", IntervalVariable = "WATCHDOG_USEC", ProcessVariable = "WATCHDOG_PID";

    /// <summary>
    /// How long a run of a vital loop may last. Longer than any wait for PostgreSQL, which ends in a failed run: an outage of the database must not restart
    /// the host.
    /// </summary>
    private static readonly TimeSpan LongestRun = TimeSpan.FromMinutes(3);

    private readonly Socket? socket;
    private readonly TimeSpan? interval;
    private readonly TimeSpan longestRun;
    private Timer? pings;
    private volatile bool isStopping;
    private string? hung;

    /// <param name="path">Of the manager's socket, with <c>@</c> in front for an abstract one; null where there is no manager.</param>
    /// <param name="interval">The manager restarts a host that has sent no ping for so long; null where it waits for none.</param>
    /// <param name="longestRun">How long a run of a vital loop may last before the loop counts as hung.</param>
    public SystemdNotifier(string? path, TimeSpan? interval, TimeSpan longestRun)
    {
        (this.interval, this.longestRun) = (interval, longestRun);
        if (path is null) return;
        // A manager that does not read must not hold up the host.
        socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false };
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path[0] == '@' ? $"\0{path[1..]}" : path));
        }
        catch (SocketException)
        {
            // The manager has gone, or this user may not write there: it will miss READY=1 and say so itself.
            socket.Dispose();
            socket = null;
        }
    }

    /// <summary>Of the manager that started this process. No child inherits its address: what a command says there would be taken for the host's.</summary>
    public static SystemdNotifier OfProcess()
    {
        var (path, interval, process) = (Take(SocketVariable), Take(IntervalVariable), Take(ProcessVariable));
        var isOurs = process is null || process == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        var isAsked = long.TryParse(interval, NumberStyles.None, CultureInfo.InvariantCulture, out var microseconds) && microseconds > 0 && isOurs;
        return new SystemdNotifier(path, isAsked ? TimeSpan.FromMicroseconds(microseconds) : null, LongestRun);
    }

    /// <summary>One line that <c>systemctl status</c> shows.</summary>
    public void Status(string text) => Send($"STATUS={text}");

    /// <summary>The host takes requests. From now on it pings the manager, three times an interval, as long as no vital loop hangs.</summary>
    public void Ready(LoopStates loops, ILogger log)
    {
        Send("READY=1\nSTATUS=Running");
        if (interval is not { } asked) return;
        pings = new Timer(_ => Ping(loops, log), null, TimeSpan.Zero, asked / 3);
    }

    /// <summary>The host drains. The manager waits so long for its end, whatever the unit says, and gets pings until then.</summary>
    public void Stopping(TimeSpan longest)
    {
        isStopping = true;
        Send(string.Create(CultureInfo.InvariantCulture, $"STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC={longest.TotalMicroseconds:0}"));
    }

    public void Dispose()
    {
        pings?.Dispose();
        socket?.Dispose();
    }

    private void Ping(LoopStates loops, ILogger log)
    {
        // Loops end while it drains.
        var name = isStopping ? null : loops.All.FirstOrDefault(loop => loop.IsVital && loop.Silence > longestRun)?.Name;
        if (name is null)
        {
            if (hung is not null) Status("Running");
            Send("WATCHDOG=1");
        }
        else if (hung != name)
        {
            log.LogCritical("The loop '{Loop}' hangs: no run of it has ended for {Longest}. The service manager gets no more pings", name, longestRun);
            Status($"The loop '{name}' hangs");
        }
        hung = name;
    }

    private void Send(string text)
    {
        try
        {
            socket?.Send(Encoding.UTF8.GetBytes(text));
        }
        catch (SocketException)
        {
            // Its queue is full or it has gone. The next ping tries again.
        }
        catch (ObjectDisposedException)
        {
            // A ping that was under way when the host ended.
        }
    }

    private static string? Take(string name)
    {
        var value = Environment.GetEnvironmentVariable(name);
        Environment.SetEnvironmentVariable(name, null);
        return value is { Length: > 0 } ? value : null;
    }
}
