namespace Codo.Host.LocalServices;

/// <summary>Everything that this node keeps on the disk of its machine. One host at a time holds it.</summary>
internal sealed class DataDirectory : IDisposable
{
    private readonly FileStream held;

    private DataDirectory(string path, FileStream held)
    {
        Path = path;
        this.held = held;
    }

    public string Path { get; }

    /// <summary>Where the settings put it; nothing is made yet.</summary>
    public static string Locate(IConfiguration configuration)
    {
        if (configuration["Codo:DataDirectory"] is { Length: > 0 } chosen)
            return System.IO.Path.GetFullPath(chosen);
        if (Environment.IsPrivilegedProcess)
            return "/var/lib/codo";
        if (Environment.GetEnvironmentVariable("XDG_DATA_HOME") is { Length: > 0 } dataHome)
            return System.IO.Path.Combine(dataHome, "codo");
        if (Environment.GetEnvironmentVariable("HOME") is { Length: > 0 } home)
            return System.IO.Path.Combine(home, ".local/share/codo");
        throw new StartRefused("There is no HOME to keep Codo's data in. Set Codo__DataDirectory to a directory that this user may write.");
    }

    /// <summary>Makes the directory (mode 700) when it is not there, and says so when this user cannot write in it.</summary>
    public static void Create(string path)
    {
        try
        {
            CreateAbove(path);
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw Closed(path, failure);
        }
    }

    // Those above it hold nothing of Codo's, and its PostgreSQL, another user's, has to walk through them; the host's umask would close them.
    private static void CreateAbove(string path)
    {
        if (System.IO.Path.GetDirectoryName(path) is not { Length: > 0 } parent || Directory.Exists(parent)) return;
        CreateAbove(parent);
        Directory.CreateDirectory(parent);
        File.SetUnixFileMode(
            parent,
            File.GetUnixFileMode(parent) | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute
        );
    }

    /// <summary>Takes the directory for this process. The kernel lets go of it when the process ends, however it ends.</summary>
    /// <exception cref="DirectoryIsHeld">Another process has it.</exception>
    /// <exception cref="StartRefused">This user may not write there.</exception>
    public static DataDirectory Hold(string path)
    {
        Create(path);
        try
        {
            // FileShare.None is flock(LOCK_EX) here; the file itself stays for good, since a new one would be another lock. Mode 600: whoever can open it can
            // lock it, and the host out.
            const UnixFileMode ownersAlone = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            var held = new FileStream(
                System.IO.Path.Combine(path, "lock"),
                new FileStreamOptions
                {
                    Mode = FileMode.OpenOrCreate,
                    Access = FileAccess.ReadWrite,
                    Share = FileShare.None,
                    UnixCreateMode = ownersAlone,
                }
            );
            File.SetUnixFileMode(held.SafeFileHandle, ownersAlone);
            CloseToOthers(path);
            return new DataDirectory(path, held);
        }
        catch (UnauthorizedAccessException failure)
        {
            throw Closed(path, failure);
        }
        catch (IOException failure) when (failure.HResult == WouldBlock)
        {
            throw new DirectoryIsHeld(path);
        }
    }

    /// <summary>Whether a host runs on the directory, or a command that has started its database.</summary>
    public static bool IsHeld(string path)
    {
        var file = System.IO.Path.Combine(path, "lock");
        if (!File.Exists(file)) return false;
        try
        {
            new FileStream(file, FileMode.Open, FileAccess.ReadWrite, FileShare.None).Dispose();
            return false;
        }
        catch (UnauthorizedAccessException failure)
        {
            throw Closed(path, failure);
        }
        catch (IOException failure) when (failure.HResult == WouldBlock)
        {
            return true;
        }
    }

    /// <summary>
    /// Lets another user walk through the directory, to its own part of it, without listing or reading anything: root's PostgreSQL runs as that user. What else
    /// is here is mode 600 or 700 by itself.
    /// </summary>
    public void LetThrough() => File.SetUnixFileMode(Path, File.GetUnixFileMode(Path) | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);

    public void Dispose() => held.Dispose();

    // An earlier version made them with the umask that it happened to have. What belongs to another user is PostgreSQL's, which keeps its own to itself.
    private static void CloseToOthers(string path)
    {
        foreach (var entry in new DirectoryInfo(path).EnumerateFileSystemInfos().Where(entry => entry.LinkTarget is null))
        {
            const UnixFileMode others =
                UnixFileMode.GroupRead
                | UnixFileMode.GroupWrite
                | UnixFileMode.GroupExecute
                | UnixFileMode.OtherRead
                | UnixFileMode.OtherWrite
                | UnixFileMode.OtherExecute;
            try
            {
                if ((entry.UnixFileMode & others) != 0) entry.UnixFileMode &= ~others;
            }
            catch (UnauthorizedAccessException)
            {
                // PostgreSQL's, and the host is not root.
            }
        }
    }

    // EWOULDBLOCK, which .NET hands on as it is.
    private const int WouldBlock = 11;

    private static StartRefused Closed(string path, Exception failure) =>
        new($"The data directory {path} cannot be used by user {Environment.UserName}: {failure.Message} Set Codo__DataDirectory to one that can.");
}
