namespace Codo.Host.LocalServices;

/// <summary>A log file that cannot fill the disk: past its size it becomes <c>….1</c>, and the one that had that name goes.</summary>
internal sealed class BoundedLog(string path, long limit) : IDisposable
{
    private readonly Lock gate = new();
    private StreamWriter? writer;

    public void Append(string line)
    {
        lock (gate)
        {
            writer ??= Open();
            writer.WriteLine(PlainLineFormatter.Escape(line, lineEnds: true));
            if (writer.BaseStream.Position < limit)
                return;

            writer.Dispose();
            writer = null;
            File.Move(path, path + ".1", overwrite: true);
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            writer?.Dispose();
            writer = null;
        }
    }

    private StreamWriter Open() => new(new FileStream(path, new FileStreamOptions
    {
        Mode = FileMode.Append,
        Access = FileAccess.Write,
        Share = FileShare.Read,
        UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
    }))
    { AutoFlush = true };
}
