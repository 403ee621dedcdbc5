using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Codo.Bench;

/// <summary>
/// Many hosts: sshd on addresses of the loopback interface, sixteen a server, which is the most that one takes. One key, gone with the benchmark.
/// </summary>
internal sealed class BenchSshd : IAsyncDisposable
{
    private const string Sshd = "/usr/sbin/sshd";
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-bench-");
    private readonly List<Process> servers = [];

    private BenchSshd(int hosts) => Hosts = [.. Enumerable.Range(0, hosts).Select(host => $"127.0.{1 + (host / 250)}.{1 + (host % 250)}")];

    /// <summary>Their addresses.</summary>
    public IReadOnlyList<string> Hosts { get; }

    public int Port { get; } = FreePort();

    public string PrivateKey { get; private set; } = "";

    /// <summary>Null where it cannot be had: sshd serves other sessions than its own user's as root only, and needs to be installed.</summary>
    /// <param name="startFile">What the <c>.bashrc</c> of the user holds.</param>
    public static async Task<BenchSshd?> Start(int hosts, string startFile = "")
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists(Sshd)) return null;
        var sshd = new BenchSshd(hosts);
        Directory.CreateDirectory("/run/sshd");
        foreach (var key in new[] { "client", "host" }) await Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", sshd.In(key));
        sshd.PrivateKey = await File.ReadAllTextAsync(sshd.In("client"));
        await File.WriteAllTextAsync(sshd.In(".bashrc"), startFile);
        await File.WriteAllLinesAsync(sshd.In("hosts"), sshd.Hosts);
        foreach (var (server, addresses) in sshd.Hosts.Chunk(16).Index())
        {
            await File.WriteAllTextAsync(sshd.In($"config{server}"), $"""
                Port {sshd.Port}
                {string.Join('\n', addresses.Select(address => $"ListenAddress {address}"))}
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
            for (var listening = 0; listening < addresses.Length;)
                if (
                    (await process.StandardError.ReadLineAsync() ?? throw new InvalidOperationException("sshd did not start")).Contains(
                        "Server listening on",
                        StringComparison.Ordinal
                    )
                )
                    listening++;
            _ = process.StandardError.BaseStream.CopyToAsync(Stream.Null);
        }
        return sshd;
    }

    /// <summary>The same by OpenSSH's client: so many hosts at once, the steps of each one after another.</summary>
    public Task SameByClient(int steps) =>
        Run(
            "sh",
            "-c",
            ($"xargs -P 100 -I@ sh -c 'for step in $(seq {steps}); do ssh -p {Port} -i {In("client")} -o StrictHostKeyChecking=no -o "
                + $"UserKnownHostsFile=/dev/null -o LogLevel=ERROR @ true </dev/null || exit 255; done' <{In("hosts")}")
        );

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
