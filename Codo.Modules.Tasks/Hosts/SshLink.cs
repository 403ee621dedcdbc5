using System.Net.Sockets;
using System.Text;
using Renci.SshNet;
using Renci.SshNet.Common;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>
/// What SSH.NET does not offer of a connection: an answer to a keep-alive, so that a link which has died without a word is noticed (its own asks for none, and
/// TCP gives up after a quarter of an hour), and an end that whoever waits for the host hears of.
/// </summary>
internal sealed class SshLink
{
    private readonly Session session;
    private readonly Socket socket;
    private long answers;

    /// <param name="socket">That of the connection.</param>
    public SshLink(Session session, Socket socket)
    {
        (this.session, this.socket) = (session, socket);
        session.RequestSuccessReceived += (_, _) => Interlocked.Increment(ref answers);
        // The usual answer: no host knows the request, and every host has to say so (RFC 4254, section 4).
        session.RequestFailureReceived += (_, _) => Interlocked.Increment(ref answers);
    }

    /// <summary>Ends when for a whole interval nothing has come from a host that has answered before.</summary>
    /// <param name="output">Of the command that runs: what it writes is an answer too, and what waits for its reader keeps answers waiting.</param>
    public Task SilenceAsync(RemoteOutput output, TimeSpan interval, CancellationToken cancellation) =>
        SilenceAsync(() => output.Received, () => output.IsFull, interval, cancellation);

    /// <summary>The same for what is no command.</summary>
    /// <param name="received">How much has come, beside answers.</param>
    /// <param name="isFull">What has come waits for its reader, and keeps answers waiting.</param>
    public async Task SilenceAsync(Func<long> received, Func<bool> isFull, TimeSpan interval, CancellationToken cancellation)
    {
        while (true)
        {
            var before = Heard();
            // To send may have to wait for a change of the session's keys, and for room in the socket.
            _ = SshChannel.OnOwnThread(Ask);
            await Task.Delay(interval, cancellation);
            if (Heard() == before && Interlocked.Read(ref answers) > 0 && !isFull()) return;
        }

        long Heard() => Interlocked.Read(ref answers) + received();
    }

    /// <summary>Breaks the link at once.</summary>
    public void Cut()
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception broken) when (broken is SocketException or ObjectDisposedException)
        {
            // It was broken already.
        }
    }

    private bool Ask()
    {
        try
        {
            SshNetInternals.Send(session, SshNetInternals.Request(Encoding.ASCII.GetBytes("keepalive@openssh.com"), wantReply: true));
            return true;
        }
        catch (Exception broken) when (broken is SshException or ObjectDisposedException or SocketException)
        {
            // Whoever waits for the command hears of it himself.
            return false;
        }
    }
}
