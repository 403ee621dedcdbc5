using System.Globalization;

namespace Codo.Host.LocalServices;

/// <summary>A log file that cannot fill the disk: past its size it becomes <c>….1</c>, and the one that had that name goes.</summary>
internal sealed class BoundedLog(string path, long limit) : IDisposable
{
    private readonly Lock gate = new();
    private StreamWriter? writer;
    private long lost;

    /// <summary>Adds a line. One that the disk does not take is lost: whoever writes must not stand still, or fail, for it.</summary>
    public void Append(string line)
    {
        lock (gate)
        {
            try
            {
                Write(line);
            }
            catch (IOException)
            {
                // The disk is full, most likely. The next line opens the file anew and says how many are missing.
                lost++;
                Forget();
            }
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            Forget();
        }
    }

    private void Write(string line)
    {
        writer ??= Open();
        if (lost > 0)
        {
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"({lost} lines before this one could not be written)"));
            lost = 0;
        }

        writer.WriteLine(PlainLineFormatter.Escape(line, lineEnds: true));
        if (writer.BaseStream.Position < limit)
            return;

        writer.Dispose();
        writer = null;
        File.Move(path, path + ".1", overwrite: true);
    }

    private void Forget()
    {
        try
        {
            writer?.Dispose();
        }
        catch (IOException)
        {
            // It tries once more to write what the disk has not taken. Its file is closed all the same, and that line is counted.
        }

        writer = null;
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
