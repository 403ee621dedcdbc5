using System.Diagnostics;
using System.Globalization;

namespace Codo.Host.LocalServices;

/// <summary>
/// The user that root's PostgreSQL runs as. It has a user of its own: whatever else runs as PostgreSQL's user, a second cluster of the distribution for
/// example, could change this one's files.
/// </summary>
internal sealed record PostgresUser(string Name, int Id, int Group)
{
    public const string OwnName = "codo-db";

    /// <summary>Whether it is the user that nothing but Codo's PostgreSQL runs as.</summary>
    public bool IsOwn => Name == OwnName;

    /// <summary>
    /// The user <see cref="OwnName"/>, made when it is not there. Null for a host that is not root: PostgreSQL then runs as the host's own user.
    /// </summary>
    /// <param name="cluster">Where the user cannot be made, a cluster that exists keeps its owner, and health says so.</param>
    /// <exception cref="StartRefused">There is no user to run a new cluster as.</exception>
    public static PostgresUser? ForRoot(string cluster)
    {
        if (!Environment.IsPrivilegedProcess) return null;
        if (Find(fields => fields[0] == OwnName) is { } own) return own;
        var said = Make();
        var owner = Directory.Exists(cluster) ? OwnerOf(cluster) : 0;
        return Find(fields => fields[0] == OwnName)
            ?? (owner == 0 ? null : Find(fields => fields[2] == owner.ToString(CultureInfo.InvariantCulture)))
            ?? throw new StartRefused(
                $"PostgreSQL refuses to run as root, and the user {OwnName} could not be made ({said}). Make it with `useradd {string.Join(' ', Description)}`."
            );
    }

    /// <summary>
    /// Refuses root where another user's host runs the cluster: after <see cref="PostgresCluster.TakeOver"/> that host could not open it any more. Its cluster
    /// and the directory belong to that user; where root's host was, the directory is root's or the cluster <see cref="OwnName"/>'s.
    /// </summary>
    /// <exception cref="StartRefused">The sentence says as whom to run it.</exception>
    public static void MustBeRoots(string dataDirectory)
    {
        var cluster = Path.Combine(dataDirectory, "postgres");
        if (!Environment.IsPrivilegedProcess || !Directory.Exists(cluster)) return;
        var owner = OwnerOf(cluster);
        // The directory may be a link, and what it leads to is meant.
        if (owner == 0 || owner != OwnerOf(Path.Combine(dataDirectory, "."))) return;
        var id = owner.ToString(CultureInfo.InvariantCulture);
        var name = Find(fields => fields[2] == id)?.Name ?? id;
        throw new StartRefused(
            $"The database in {dataDirectory} is that of a host that runs as {name}, which could not open it any more once root had. Run this as {name}, with "
                + $"that host's settings. For a host that is to run as root from now on, first: chown root {dataDirectory}"
        );
    }

    private static string[] Description =>
        ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", OwnName];

    // Not by the C library's lookup, which may ask a directory server; setpriv and PostgreSQL need an entry here as well.
    private static PostgresUser? Find(Predicate<string[]> wanted) =>
        File.ReadLines("/etc/passwd").Select(line => line.Split(':')).FirstOrDefault(fields => fields.Length >= 4 && wanted(fields)) is { } found
            ? new PostgresUser(found[0], int.Parse(found[2], CultureInfo.InvariantCulture), int.Parse(found[3], CultureInfo.InvariantCulture))
            : null;

    private static string Make()
    {
        try
        {
            // A service's PATH need not have /usr/sbin. Two hosts that start at once: useradd waits for the other's lock and then finds the user.
            using var useradd = Process.Start(
                new ProcessStartInfo(File.Exists("/usr/sbin/useradd") ? "/usr/sbin/useradd" : "useradd", Description)
                {
                    RedirectStandardOutput = true,
                    RedirectStandardError = true,
                }
            )!;
            var said = useradd.StandardError.ReadToEnd().Trim();
            useradd.WaitForExit();
            return said;
        }
        catch (System.ComponentModel.Win32Exception failure)
        {
            return failure.Message;
        }
    }

    /// <summary>Gives a directory to this user alone, and makes it when it is not there.</summary>
    public static void Own(string directory, PostgresUser? user)
    {
        Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.SetUnixFileMode(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        if (user is not null)
            Posix.ChangeOwner(directory, user.Id, user.Group);
    }

    /// <exception cref="StartRefused">A directory above <paramref name="path"/> is closed to this user; the sentence names it.</exception>
    public async Task MustReach(string path, CancellationToken cancellation)
    {
        using var test = await Children.Start(Children.Command(this, "KILL", "test", ["-x", path]));
        await test.WaitForExitAsync(cancellation);
        if (test.ExitCode == 0)
            return;

        var closed = path;
        for (var parent = Path.GetDirectoryName(path); parent is not null; parent = Path.GetDirectoryName(parent))
        {
            if (!File.GetUnixFileMode(parent).HasFlag(UnixFileMode.OtherExecute))
                closed = parent;
        }

        throw new StartRefused(
            ($"PostgreSQL runs as user {Name}, who cannot get to {path}: {closed} is closed to others. Open it with `chmod o+x {closed}`, or set "
                + $"Codo__DataDirectory to another place.")
        );
    }

    /// <summary>The number of the user whom a file belongs to.</summary>
    public static int OwnerOf(string path)
    {
        using var asked = Process.Start(new ProcessStartInfo("stat", ["-c", "%u", path]) { RedirectStandardOutput = true })!;
        var owner = asked.StandardOutput.ReadToEnd().Trim();
        asked.WaitForExit();
        return int.Parse(owner, CultureInfo.InvariantCulture);
    }
}
