using System.Diagnostics;
using Codo.Host.LocalServices;
using Codo.Modules.Tasks.Hosts;

namespace Codo.Tests.Support;

/// <summary>
/// A real sshd on a port of its own, on 127.0.0.1 to 127.0.0.16, which stand for hosts. It lets the user of the test process in with <see cref="PrivateKey"/>,
/// and as root also accounts that are made for it. It dies with the test process.
/// </summary>
public sealed class TestSshd : IAsyncLifetime
{
    private const string Sshd = "/usr/sbin/sshd";
    private const string AccountPrefix = "codotest";

    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-sshd-");
    private readonly List<string> accounts = [];
    private Process? server;

    public int Port { get; } = TestRedis.FreePort();

    /// <summary>Addresses that this server answers on; 16 is the most that sshd takes.</summary>
    public static IReadOnlyList<string> Hosts { get; } = [.. Enumerable.Range(1, 16).Select(last => $"127.0.0.{last}")];

    /// <summary>The private key that every account takes, as a person would paste it.</summary>
    public string PrivateKey { get; private set; } = "";

    public string Folder => folder.FullName;

    /// <summary>Lines on top of the configuration, before the first start.</summary>
    public string MoreConfiguration { get; init; } = "";

    /// <summary>How many connections that have not logged in it takes at once, in the words of its configuration.</summary>
    public string MaxStartups { get; init; } = "2000";

    public async ValueTask InitializeAsync()
    {
        if (!File.Exists(Sshd))
            throw new InvalidOperationException(
                "sshd is not installed. Install it with `apt-get install -y openssh-server` (as root), or run ./test.sh, which does."
            );

        // Accounts without rights must get at their keys and homes in here.
        File.SetUnixFileMode(Folder, (UnixFileMode)0b111_101_101);
        Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", In("client"));
        PrivateKey = await File.ReadAllTextAsync(In("client"));
        MakeHostKey();
        await File.WriteAllTextAsync(In("config"), $"""
            Port {Port}
            {string.Join('\n', Hosts.Select(host => $"ListenAddress {host}"))}
            HostKey {In("host")}
            PidFile none
            AuthorizedKeysFile {In("client.pub")}
            StrictModes no
            UsePAM no
            UseDNS no
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            MaxStartups {MaxStartups}
            {MoreConfiguration}
            MaxSessions 1000
            # The start files of whoever runs the tests may do anything, and did: wait a minute for a lock.
            Match User {Environment.UserName}
            SetEnv HOME={Folder}

            """);
        await Start();
    }

    /// <summary>Starts it on the same port, with the same keys and accounts.</summary>
    public async Task Start()
    {
        // The directory in which sshd drops its rights; Debian's service makes it.
        if (Environment.IsPrivilegedProcess) Directory.CreateDirectory("/run/sshd");
        server = await Children.Start(Children.Command(null, "KILL", Sshd, ["-D", "-e", "-f", In("config")]));
        var said = new List<string>();
        var listening = 0;
        try
        {
            while (await server.StandardError.ReadLineAsync().WaitAsync(StartLimit) is { } line)
            {
                said.Add(line);
                if (!line.Contains("Server listening on", StringComparison.Ordinal) || ++listening < Hosts.Count) continue;
                _ = server.StandardError.BaseStream.CopyToAsync(Stream.Null);
                return;
            }
        }
        catch (TimeoutException)
        {
            // It goes on without an address that somebody else listens on.
            said.Add($"it listens on {listening} of {Hosts.Count} addresses, and has said nothing more for {StartLimit.TotalSeconds:0} s");
            server.Kill();
        }

        throw new InvalidOperationException($"sshd did not start: {string.Join(" | ", said)}");
    }

    /// <summary>Ends the server and its connections; what was started over them goes on.</summary>
    public async Task Stop()
    {
        if (server is null) return;
        CutConnections();
        server.Kill();
        await server.WaitForExitAsync();
        server.Dispose();
        server = null;
    }

    /// <summary>Ends every connection at once, as a broken link would; what was started over them goes on.</summary>
    public void CutConnections()
    {
        foreach (var id in Sessions()) Posix.Signal(id, Posix.Kill);
    }

    /// <summary>Every connection stays and says nothing any more, as when a host stands still or a wall on the way forgets it. New ones are taken.</summary>
    public void FreezeConnections()
    {
        foreach (var id in Sessions()) Run("kill", "-s", "STOP", $"{id}");
    }

    /// <summary>Connections that were frozen go on.</summary>
    public void ThawConnections()
    {
        foreach (var id in Sessions()) Run("kill", "-s", "CONT", $"{id}");
    }

    /// <summary>Connections that are open now.</summary>
    public int ConnectionCount => Processes().Count(process => process.Parent == server!.Id);

    private List<int> Sessions()
    {
        // Listed in the order of their start: a session's second process comes after its first.
        var sessions = new HashSet<int> { server!.Id };
        foreach (var process in Processes().Where(process => sessions.Contains(process.Parent) && process.Name.StartsWith("sshd", StringComparison.Ordinal)))
            sessions.Add(process.Id);
        return [.. sessions.Where(id => id != server.Id)];
    }

    /// <summary>The server proves itself with another key from now on.</summary>
    public async Task ChangeHostKey()
    {
        await Stop();
        MakeHostKey();
        await Start();
    }

    /// <summary>The host's key as <c>ssh-keygen -l</c> shows it: <c>SHA256:…</c>.</summary>
    public string HostFingerprint => Run("ssh-keygen", "-l", "-f", In("host.pub")).Split(' ')[1];

    /// <summary>A user without rights, with a home of its own. Skips the test where that cannot be had.</summary>
    /// <param name="shell">Its login shell, such as <c>/bin/zsh</c>.</param>
    /// <param name="startFile">Text for the shell's start file: <c>.zshenv</c>, <c>.bashrc</c>, <c>.cshrc</c> or fish's.</param>
    public string MakeAccount(string shell, string startFile = "")
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Accounts with other login shells can only be made as root.");
        Assert.SkipUnless(File.Exists(shell), $"{shell} is not installed.");
        var name = $"{AccountPrefix}{Environment.ProcessId}x{Guid.NewGuid().ToString("N")[..6]}";
        var home = Directory.CreateDirectory(In(name)).FullName;
        foreach (var file in (string[])[".zshenv", ".bashrc", ".cshrc", ".config/fish/config.fish"]) Write(file, startFile);
        // Where dropbear looks for it.
        Write(".ssh/authorized_keys", File.ReadAllText(In("client.pub")));
        lock (AccountPrefix) Run("useradd", "--no-create-home", "--home-dir", home, "--shell", shell, "--password", "*", name);
        accounts.Add(name);
        Run("chown", "-R", name, home);
        Run("chmod", "-R", "go-w", home);
        return name;

        void Write(string file, string text)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(home, file))!);
            File.WriteAllText(Path.Combine(home, file), text);
        }
    }

    /// <summary>The home of an account.</summary>
    public string Home(string account) => In(account);

    internal SshTarget Target(string host = "127.0.0.1", string? user = null, Func<HostKey, bool>? trust = null, int? port = null)
    {
        SshKeys.TryRead(PrivateKey, null, out var key, out _);
        return new SshTarget(host, port ?? Port, user ?? Environment.UserName, key!, trust ?? (_ => true));
    }

    public async ValueTask DisposeAsync()
    {
        await Stop();
        // What a failed test left running over this server.
        foreach (
            var file in Run("sh", "-c", $"grep -lszE '^SSH_CONNECTION=.* {Port}$' /proc/[0-9]*/environ || true")
                .Split('\n', StringSplitOptions.RemoveEmptyEntries)
        )
            Posix.Signal(int.Parse(file.Split('/')[2]), Posix.Kill);
        foreach (var account in accounts)
        {
            foreach (var process in Processes().Where(process => process.User == account)) Posix.Signal(process.Id, Posix.Kill);
            lock (AccountPrefix) Run("userdel", "--force", account);
        }

        folder.Delete(recursive: true);
    }

    internal static string Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)}: {errors.Result}");
    }

    /// <summary>A path in its folder.</summary>
    public string In(string name) => Path.Combine(Folder, name);

    private void MakeHostKey()
    {
        File.Delete(In("host"));
        Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", In("host"));
    }

    private static IEnumerable<(int Id, int Parent, string User, string Name)> Processes() =>
        from line in Run("ps", "-e", "--sort", "start_time,pid", "-o", "pid=,ppid=,user:64=,comm=").Split('\n', StringSplitOptions.RemoveEmptyEntries)
        let fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
        select (int.Parse(fields[0]), int.Parse(fields[1]), fields[2], fields[3]);
}
