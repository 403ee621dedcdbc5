using System.Diagnostics;
using System.Globalization;

namespace Codo.Host.LocalServices;

/// <summary>The user that PostgreSQL runs as: PostgreSQL refuses root, so root hands it to <c>postgres</c> or, where that is unknown, to <c>nobody</c>.</summary>
internal sealed record PostgresUser(string Name, int Id, int Group)
{
    /// <summary>Null for a host that is not root: PostgreSQL then simply runs as the host's own user.</summary>
    /// <param name="cluster">A cluster that exists keeps the owner that it has, whatever users the machine got since it was made.</param>
    public static PostgresUser? ForRoot(string cluster)
    {
        if (!Environment.IsPrivilegedProcess)
            return null;

        var users = File.ReadLines("/etc/passwd").Select(line => line.Split(':')).Where(fields => fields.Length >= 4).ToList();
        var owner = Directory.Exists(cluster) ? OwnerOf(cluster) : "root";
        var fields = (owner == "root" ? null : users.Find(user => user[0] == owner)) ?? users.Find(user => user[0] == "postgres") ?? users.Find(user => user[0] == "nobody")
            ?? throw new StartRefused("PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody. Add one with `useradd --system postgres`.");
        return new PostgresUser(fields[0], int.Parse(fields[2], CultureInfo.InvariantCulture), int.Parse(fields[3], CultureInfo.InvariantCulture));
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

        throw new StartRefused($"PostgreSQL runs as user {Name}, who cannot get to {path}: {closed} is closed to others. Open it with `chmod o+x {closed}`, or set Codo__DataDirectory to another place.");
    }

    private static string OwnerOf(string path)
    {
        using var asked = Process.Start(new ProcessStartInfo("stat", ["-c", "%U", path]) { RedirectStandardOutput = true })!;
        var owner = asked.StandardOutput.ReadToEnd().Trim();
        asked.WaitForExit();
        return owner;
    }
}
