using Microsoft.Extensions.Logging;

namespace Codo.Platform.Data;

/// <summary>
/// Files of a spool that do not read, as a power loss leaves them: set aside in <c>{DataDirectory}/spool/bad</c>, so that the start goes on and nothing is
/// thrown away unseen.
/// </summary>
public static class BadFiles
{
    /// <summary>Where they lie.</summary>
    public static string Folder(string dataDirectory) => Path.Combine(dataDirectory, "spool", "bad");

    /// <summary>Moves a file there; false where that cannot be done, and it stays where it is. Either is logged.</summary>
    public static bool TrySetAside(string dataDirectory, string file, ILogger log)
    {
        var folder = Folder(dataDirectory);
        try
        {
            SetAside(folder, file);
            log.LogWarning("{File} is set aside in {Folder}", Path.GetFileName(file), folder);
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            log.LogError(error, "{File} cannot be set aside in {Folder}, and stays where it is", file, folder);
            return false;
        }
    }

    // A number is added where the name is taken.
    private static void SetAside(string folder, string file)
    {
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        for (var number = 0; ; number++)
        {
            var target = Path.Combine(folder, Path.GetFileName(file) + (number == 0 ? "" : $".{number}"));
            if (File.Exists(target)) continue;
            File.Move(file, target);
            return;
        }
    }
}
