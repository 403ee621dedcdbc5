using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Codo.Bench;

/// <summary>A hundred hosts: sshd on 127.0.1.1 to 127.0.1.112, sixteen addresses a server, which is the most that one takes. Loopback only, one key, gone with the benchmark.</summary>
internal sealed class BenchSshd : IAsyncDisposable
{
    private const string Sshd = "/usr/sbin/sshd";
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-bench-");
    private readonly List<Process> servers = [];

    public int Port { get; } = FreePort();

    public string PrivateKey { get; private set; } = "";

    /// <summary>Null where it cannot be had: sshd serves other sessions than its own user's as root only, and needs to be installed.</summary>
    public static async Task<BenchSshd?> Start()
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists(Sshd)) return null;
        var sshd = new BenchSshd();
        Directory.CreateDirectory("/run/sshd");
        foreach (var key in new[] { "client", "host" }) await Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", sshd.In(key));
        sshd.PrivateKey = await File.ReadAllTextAsync(sshd.In("client"));
        for (var server = 0; server < 7; server++)
        {
            var addresses = Enumerable.Range(1 + (server * 16), 16).Select(last => $"ListenAddress 127.0.1.{last}");
            await File.WriteAllTextAsync(sshd.In($"config{server}"), $"""
                Port {sshd.Port}
                {string.Join('\n', addresses)}
                HostKey {sshd.In("host")}
                PidFile none
                AuthorizedKeysFile {sshd.In("client.pub")}
                StrictModes no
                UsePAM no
                UseDNS no
                PasswordAuthentication no
                KbdInteractiveAuthentication no
                MaxStartups 2000
                MaxSessions 1000
                SetEnv HOME={sshd.folder.FullName}

                """);
            var process = Process.Start(new ProcessStartInfo(Sshd, ["-D", "-e", "-f", sshd.In($"config{server}")]) { RedirectStandardError = true })!;
            sshd.servers.Add(process);
            for (var listening = 0; listening < 16;)
                if ((await process.StandardError.ReadLineAsync() ?? throw new InvalidOperationException("sshd did not start")).Contains("Server listening on", StringComparison.Ordinal)) listening++;
            _ = process.StandardError.BaseStream.CopyToAsync(Stream.Null);
        }
        return sshd;
    }

    /// <summary>The same by OpenSSH's client: so many hosts at once, the steps of each one after another.</summary>
    public Task SameByClient(int hosts, int steps) => Run(
        "sh", "-c",
        $"seq 1 {hosts} | xargs -P 100 -I@ sh -c 'for step in $(seq {steps}); do ssh -p {Port} -i {In("client")} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR 127.0.1.@ true || exit 255; done'");

    public async ValueTask DisposeAsync()
    {
        foreach (var server in servers)
        {
            server.Kill();
            await server.WaitForExitAsync();
            server.Dispose();
        }
        folder.Delete(recursive: true);
    }

    private string In(string name) => Path.Combine(folder.FullName, name);

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static async Task Run(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        await process.WaitForExitAsync();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{program} ended with {process.ExitCode}");
    }
}
