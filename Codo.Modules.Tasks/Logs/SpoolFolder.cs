using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Microsoft.Extensions.Logging;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Where this node's spools lie, and how much they may take together.</summary>
internal sealed class SpoolFolder(NodeSettings node, LogSettings settings, Disk disk, TimeProvider time, ILogger<SpoolFolder> log)
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

    /// <summary>Of which attempt a spool of that path is; null where its name is none that <see cref="NewPath"/> gives.</summary>
    public static (long SchedId, int Attempt)? AttemptOf(string spool) =>
        System.IO.Path.GetFileName(spool).Split('-') is [var sched, var attempt, _]
        && long.TryParse(sched, NumberStyles.None, CultureInfo.InvariantCulture, out var schedId)
        && int.TryParse(attempt, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? (schedId, number)
            : null;

    /// <summary>The spools that an earlier process left.</summary>
    public IReadOnlyList<string> Left() => [.. Directory.EnumerateFiles(path.Value, "*.log").Order(StringComparer.Ordinal)];

    /// <summary>The tail files of a spool, the oldest first.</summary>
    public IReadOnlyList<string> TailOf(string spool) =>
        [.. Directory.EnumerateFiles(path.Value, System.IO.Path.GetFileName(spool) + ".tail-*").Order(StringComparer.Ordinal)];

    /// <summary>The spools that were set aside, by this process or an earlier one.</summary>
    public IReadOnlyList<string> Aside()
    {
        var folder = BadFiles.Folder(node.DataDirectory);
        if (!Directory.Exists(folder)) return [];
        return [.. Directory.EnumerateFiles(folder, "*.log*")];
    }

    /// <summary>Moves a file that does not read to where a person finds it; false where that cannot be done, which is logged.</summary>
    public bool TrySetAside(string file) => BadFiles.TrySetAside(node.DataDirectory, file, log);

    /// <summary>The same of a spool with its tail.</summary>
    public bool TrySetAsideAll(string spool)
    {
        try
        {
            foreach (var file in TailOf(spool)) TrySetAside(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            log.LogError(error, "The tail of {File} cannot be looked for, and it stays where it is", System.IO.Path.GetFileName(spool));
            return false;
        }

        return TrySetAside(spool);
    }

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
