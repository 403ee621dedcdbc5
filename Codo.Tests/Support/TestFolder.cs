namespace Codo.Tests.Support;

/// <summary>A temporary folder that goes with the test.</summary>
internal sealed class TestFolder : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-test-");

    /// <param name="open">Whether other users may walk through it, which root's PostgreSQL has to.</param>
    public TestFolder(bool open = true)
    {
        if (open)
            folder.UnixFileMode |= UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
    }

    public string Path => folder.FullName;

    public string At(string name) => System.IO.Path.Combine(Path, name);

    // A job of each second may put a file into it while it is emptied; what comes after it has gone finds no folder.
    public void Dispose()
    {
        for (var left = 50; ; left--)
        {
            try
            {
                folder.Delete(recursive: true);
                return;
            }
            catch (IOException) when (left > 0)
            {
                // Not empty again.
            }
        }
    }
}
