using Codo.Platform.Cluster;
using Codo.Platform.Data;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Where this node's spools lie, and how much they may take together.</summary>
internal sealed class SpoolFolder(NodeSettings node, LogSettings settings, Disk disk, TimeProvider time)
{
    private readonly Lazy<string> path = new(() => Directory.CreateDirectory(
        System.IO.Path.Combine(node.DataDirectory, "spool", "logs"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName);

    private long used;

    /// <summary>Milliseconds since 1970, for a line that Codo itself adds.</summary>
    public long Now => time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Bytes of all spools.</summary>
    public long Used => Interlocked.Read(ref used);

    public long MaxOutputPerStep => settings.MaxOutputPerStep;

    /// <summary>
    /// A path for a new spool. The last part keeps an earlier attempt of the same number, which a restored database can bring, from being overwritten.
    /// </summary>
    /// <exception cref="IOException">The folder cannot be made.</exception>
    public string NewPath(long schedId, int attempt) => System.IO.Path.Combine(path.Value, $"{schedId}-{attempt}-{Guid.NewGuid().ToString("N")[..8]}.log");

    /// <summary>The spools that an earlier process left.</summary>
    public IReadOnlyList<string> Left() => [.. Directory.EnumerateFiles(path.Value, "*.log").Order(StringComparer.Ordinal)];

    /// <summary>Moves a file that does not read to where a person finds it; returns where that is.</summary>
    /// <exception cref="IOException">It cannot be moved.</exception>
    public string SetAside(string file) => BadFiles.SetAside(node.DataDirectory, file);

    /// <exception cref="IOException">There is no room for that.</exception>
    public void Reserve(long bytes)
    {
        if (disk.IsLow) throw new IOException("the disk has less room than Codo:MinFreeDisk");
        if (Interlocked.Add(ref used, bytes) <= settings.MaxSpool) return;
        Release(bytes);
        throw new IOException("all spools together have reached Codo:Tasks:MaxSpool");
    }

    /// <summary>Counts what lies there already.</summary>
    public void Found(long bytes) => Interlocked.Add(ref used, bytes);

    public void Release(long bytes) => Interlocked.Add(ref used, -bytes);
}
