namespace Codo.Platform.Data;

/// <summary>
/// Files of a spool that do not read, as a power loss leaves them: set aside in <c>{DataDirectory}/spool/bad</c>, so that the start goes on and nothing is
/// thrown away unseen.
/// </summary>
public static class BadFiles
{
    /// <summary>Where such files lie.</summary>
    public static string FolderOf(string dataDirectory) => Path.Combine(dataDirectory, "spool", "bad");

    /// <summary>Moves a file there; a number is added where its name is taken.</summary>
    /// <exception cref="IOException">It cannot be moved.</exception>
    public static string SetAside(string dataDirectory, string file)
    {
        var folder = Directory.CreateDirectory(FolderOf(dataDirectory), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;
        for (var number = 0; ; number++)
        {
            var target = Path.Combine(folder, Path.GetFileName(file) + (number == 0 ? "" : $".{number}"));
            if (File.Exists(target)) continue;
            File.Move(file, target);
            return target;
        }
    }
}
