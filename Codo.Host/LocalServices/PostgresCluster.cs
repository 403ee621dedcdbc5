using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Codo.Host.LocalServices;

/// <summary>
/// One PostgreSQL cluster and its server as a child process on a Unix socket. Whoever makes one must hold a lock that keeps every other owner off
/// <paramref name="data"/>.
/// </summary>
/// <param name="binaries">The programs to run it with.</param>
/// <param name="user">The user to run it as, null for our own.</param>
/// <param name="data">The cluster's directory; who may connect stands beside it, where <paramref name="user"/> can read and not write.</param>
/// <param name="sockets">The directory of its socket, private to <paramref name="user"/>.</param>
/// <param name="settings">Settings of postgresql.conf that hold for this run.</param>
/// <param name="log">Takes every line that the server writes. What it throws loses that line.</param>
internal sealed class PostgresCluster(
    PostgresBinaries binaries,
    PostgresUser? user,
    string data,
    string sockets,
    IReadOnlyDictionary<string, string> settings,
    Action<string> log
)
{
    /// <summary>The superuser that initdb makes. It prepares what the host's role works on, and is there for backups; the host does not work as it.</summary>
    public const string Superuser = "codo";

    private static readonly TimeSpan StartLimit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(30);

    private Process? server;
    private Task output = Task.CompletedTask;

    /// <summary>The postmaster's process id; null when it does not run.</summary>
    public int? Pid => server is { HasExited: false } ? server.Id : null;

    /// <summary>Where its programs are.</summary>
    public string Binaries => binaries.Directory;

    /// <summary>Ends when the server that <see cref="Start"/> started has ended, for whatever reason.</summary>
    public Task Exited => server?.WaitForExitAsync() ?? Task.CompletedTask;

    /// <summary>Who the server runs as; null is the host's own user.</summary>
    public PostgresUser? User => user;

    public string ConnectionString(string database, string role) => $"Host={sockets};Username={role};Database={database}";

    /// <summary>Makes the cluster when it is not there yet.</summary>
    /// <param name="sync">Whether the new files are on the disk before this returns; only a cluster that may be lost does without.</param>
    public async Task Create(bool sync, CancellationToken cancellation = default)
    {
        if (Directory.Exists(data))
            return;

        // Renamed when it is whole: an initdb that was cut off must not look like a cluster at the next start.
        var unfinished = data + ".new";
        if (Directory.Exists(unfinished))
            Directory.Delete(unfinished, recursive: true);
        PostgresUser.Own(unfinished, user);
        List<string> arguments = ["-D", unfinished, "-U", Superuser, "-A", "peer", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"];
        if (!sync)
            arguments.Add("--no-sync");

        using var initdb = await Children.Start(Children.Command(user, "KILL", binaries.Initdb, arguments));
        initdb.StandardInput.Close();
        // Not left alone by a start that is given up: it would go on in a directory that nobody holds.
        var said = await Task.WhenAll(
            initdb.StandardOutput.ReadToEndAsync(CancellationToken.None),
            initdb.StandardError.ReadToEndAsync(CancellationToken.None)
        );
        await initdb.WaitForExitAsync(CancellationToken.None);
        if (initdb.ExitCode != 0)
            throw new StartRefused($"PostgreSQL could not make its cluster in {data}: {string.Concat(said).Trim()}");
        Directory.Move(unfinished, data);
        cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>
    /// Gives the files of a cluster that ran as another user to <c>user</c>, once. The directory itself goes last: a takeover that was cut off is begun again.
    /// Only what belongs to the owner before changes hands, whatever links that owner has put here; of links only those at the top (pg_wal) and of table spaces
    /// are followed.
    /// </summary>
    public async Task TakeOver(CancellationToken cancellation = default)
    {
        if (user is null || !Directory.Exists(data) || PostgresUser.OwnerOf(data) is var before && before == user.Id) return;
        await EndPredecessor(cancellation);
        var spaces = Path.Combine(data, "pg_tblspc");
        IEnumerable<string> parts =
        [
            .. Directory.EnumerateFileSystemEntries(data),
            .. Directory.Exists(spaces) ? Directory.EnumerateFileSystemEntries(spaces) : [],
        ];
        using var chown = await Children.Start(
            Children.Command(null, "KILL", "chown", ["-R", "-H", "-h", $"--from={before}", $"{user.Id}:{user.Group}", "--", .. parts])
        );
        chown.StandardInput.Close();
        var said = await Task.WhenAll(
            chown.StandardOutput.ReadToEndAsync(CancellationToken.None),
            chown.StandardError.ReadToEndAsync(CancellationToken.None)
        );
        await chown.WaitForExitAsync(CancellationToken.None);
        if (chown.ExitCode != 0) throw new StartRefused($"The files in {data} could not be given to user {user.Name}: {string.Concat(said).Trim()}");
        Posix.ChangeOwner(data, user.Id, user.Group);
    }

    /// <summary>Starts the server and returns when it takes connections.</summary>
    /// <exception cref="InvalidOperationException">It ended or was not ready in time; the message holds what it said last.</exception>
    public async Task Start(CancellationToken cancellation = default)
    {
        await EndPredecessor(cancellation);
        var (rules, names) = WriteAccess();
        List<string> arguments =
        [
            "-D",
            data,
            "-c",
            $"hba_file={rules}",
            "-c",
            $"ident_file={names}",
            "-k",
            sockets,
            "-c",
            "listen_addresses=",
            "-c",
            "unix_socket_permissions=0700",
            "-c",
            "port=5432",
        ];
        foreach (var (name, value) in settings)
            arguments.AddRange(["-c", $"{name}={value}"]);

        // INT is PostgreSQL's fast shutdown: what the host's death leaves behind is a cluster that was stopped cleanly.
        server = await Children.Start(Children.Command(user, "INT", binaries.Postgres, arguments));
        server.StandardInput.Close();
        var last = new Queue<string>();
        output = Task.WhenAll(Read(server.StandardOutput, last), Read(server.StandardError, last));

        var limit = Stopwatch.StartNew();
        while (!IsReady(server.Id))
        {
            if (server.HasExited)
                await output;
            if (server.HasExited || limit.Elapsed > StartLimit)
                throw new InvalidOperationException($"PostgreSQL did not start in {data}: {string.Join(" | ", last)}");
            await Task.Delay(TimeSpan.FromMilliseconds(10), cancellation);
        }
    }

    /// <summary>Stops the server cleanly; one that does not end in 30 s is ended the hard way, which costs it a recovery at its next start.</summary>
    public async Task Stop()
    {
        if (server is null)
            return;

        foreach (var signal in (int[])[Posix.Interrupt, Posix.Quit, Posix.Kill])
        {
            if (server.HasExited || !Posix.Signal(server.Id, signal))
                break;
            await Task.WhenAny(server.WaitForExitAsync(), Task.Delay(StopLimit));
        }

        // A backend that outlives a killed postmaster for a moment keeps the pipe open.
        await Task.WhenAny(output, Task.Delay(StopLimit));
        server.Dispose();
        server = null;
    }

    /// <summary>
    /// Who may connect, written anew at each start: the operating-system user that this host runs as, to its two roles, and nobody else; PostgreSQL's own user
    /// neither. The files that count belong to the host, so that not even a superuser of the database can let somebody in. Those in the cluster are for whoever
    /// starts it by hand, and replace what an older version wrote there.
    /// </summary>
    private (string Rules, string Names) WriteAccess()
    {
        var quoted = $"\"{Environment.UserName.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
        var rules =
            $"# Written by Codo at each start.\nlocal all \"{Superuser}\",\"{DatabaseRoles.Host}\" peer map=codo\nlocal replication \"{Superuser}\" peer "
                + $"map=codo\n";
        var names = $"# Written by Codo at each start.\ncodo {quoted} \"{Superuser}\"\ncodo {quoted} \"{DatabaseRoles.Host}\"\n";
        Replace(Path.Combine(data, "pg_hba.conf"), rules, user?.Id);
        Replace(Path.Combine(data, "pg_ident.conf"), names, user?.Id);
        return (
            Replace($"{data}-hba.conf", rules, Environment.IsPrivilegedProcess ? 0 : null),
            Replace($"{data}-ident.conf", names, Environment.IsPrivilegedProcess ? 0 : null)
        );
    }

    // A new file each time: whoever has the old one open writes to what nobody reads any more.
    private string Replace(string path, string text, int? owner)
    {
        DeleteUnfinished(path);
        var unfinished = $"{path}.{Guid.NewGuid():N}";
        var mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | (owner == 0 ? UnixFileMode.GroupRead : UnixFileMode.None);
        try
        {
            using (var file = new FileStream(unfinished, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = mode }))
            {
                file.Write(Encoding.UTF8.GetBytes(text));
                // Whatever the umask is.
                File.SetUnixFileMode(file.SafeFileHandle, mode);
            }

            if (owner is { } id && user is not null) Posix.ChangeOwner(unfinished, id, user.Group);
            File.Move(unfinished, path, overwrite: true);
            return path;
        }
        catch
        {
            // A full disk: the start is tried again every few seconds.
            File.Delete(unfinished);
            throw;
        }
    }

    // What a start left that was cut off, and each try of a version before while the disk was full.
    private static void DeleteUnfinished(string path)
    {
        var name = Path.GetFileName(path) + ".";
        foreach (var file in Directory.GetFiles(Path.GetDirectoryName(path)!))
            if (Path.GetFileName(file) is var found && found.StartsWith(name, StringComparison.Ordinal) && Guid.TryParseExact(found[name.Length..], "N", out _))
                File.Delete(file);
    }

    /// <summary>A server that was killed together with its owner may still be shutting down, and it holds the files until it is done.</summary>
    private async Task EndPredecessor(CancellationToken cancellation)
    {
        var pidFile = Path.Combine(data, "postmaster.pid");
        if (
            !File.Exists(pidFile)
            || !int.TryParse(File.ReadLines(pidFile).FirstOrDefault(), NumberStyles.None, CultureInfo.InvariantCulture, out var pid)
            || !Posix.Signal(pid, 0)
        )
            return;

        if (!IsServerOfThisCluster(pid))
        {
            // After a restart of the machine the number may belong to anyone, and PostgreSQL refuses to start while such a process of its own user is alive.
            File.Delete(pidFile);
            return;
        }

        var limit = Stopwatch.StartNew();
        Posix.Signal(pid, Posix.Interrupt);
        while (IsServerOfThisCluster(pid))
        {
            if (limit.Elapsed > StopLimit)
                Posix.Signal(pid, Posix.Quit);
            await Task.Delay(TimeSpan.FromMilliseconds(10), cancellation);
        }
    }

    private bool IsServerOfThisCluster(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline").Split('\0').Contains(data);
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>
    /// Connecting proves nothing: another server may be on the socket. The pid file names the process and, in its last line, says whether it takes connections.
    /// </summary>
    private bool IsReady(int pid)
    {
        try
        {
            var lines = File.ReadAllLines(Path.Combine(data, "postmaster.pid"));
            return lines.Length >= 8 && lines[0] == pid.ToString(CultureInfo.InvariantCulture) && lines[7].Trim() is "ready" or "standby";
        }
        catch (IOException)
        {
            return false;
        }
    }

    private async Task Read(StreamReader from, Queue<string> last)
    {
        while (await from.ReadLineAsync() is { } line)
        {
            try
            {
                log(line);
            }
            catch (Exception failure)
            {
                // Whatever it is, reading goes on: the server stands still, with all that work on it, once nobody empties its pipe.
                line = $"{line} (not in its log: {failure.Message})";
            }

            lock (last)
            {
                last.Enqueue(line);
                if (last.Count > 5)
                    last.Dequeue();
            }
        }
    }
}
