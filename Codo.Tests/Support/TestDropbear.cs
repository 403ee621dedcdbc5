using System.Diagnostics;
using Codo.Host.LocalServices;
using Codo.Modules.Tasks.Hosts;

namespace Codo.Tests.Support;

/// <summary>
/// A real dropbear, the SSH server of small machines, for the accounts that a <see cref="TestSshd"/> has made. It dies with the test process.
/// </summary>
internal sealed class TestDropbear(TestSshd sshd) : IAsyncDisposable
{
    private const string Dropbear = "/usr/sbin/dropbear";

    private Process? server;

    public int Port { get; } = TestRedis.FreePort();

    public async Task Start()
    {
        if (!File.Exists(Dropbear))
            throw new InvalidOperationException(
                "dropbear is not installed. Install it with `apt-get install -y dropbear-bin` (as root), or run ./test.sh, which does."
            );
        var key = Path.Combine(sshd.Folder, $"dropbear{Port}");
        TestSshd.Run("dropbearkey", "-t", "ed25519", "-f", key);
        server = await Children.Start(Children.Command(null, "KILL", Dropbear, ["-F", "-E", "-s", "-p", $"127.0.0.1:{Port}", "-r", key, "-P", $"{key}.pid"]));
        _ = server.StandardError.BaseStream.CopyToAsync(Stream.Null);
        await Eventually.True(() => File.Exists($"{key}.pid"), "dropbear listens");
    }

    public SshTarget Target(string user) => sshd.Target(user: user, port: Port);

    public async ValueTask DisposeAsync()
    {
        if (server is null) return;
        server.Kill(entireProcessTree: true);
        await server.WaitForExitAsync();
        server.Dispose();
    }
}
