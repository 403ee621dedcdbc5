using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Codo.Platform.Processes;

/// <summary>One process as <c>/proc</c> shows it. Zombies are not in the table: nothing is left of them that could be ended.</summary>
internal readonly record struct ProcessEntry(int Id, int Parent, int Group, int Session, long StartTicks, string? RunId);

/// <summary>All processes at a moment.</summary>
internal static partial class ProcessTable
{
    private static readonly byte[] RunIdPrefix = Encoding.ASCII.GetBytes(RunMark.Variable + "=");
    private static readonly SemaphoreSlim Gate = new(1);
    private static (long TakenAt, IReadOnlyList<ProcessEntry> Entries) latest = (long.MinValue, []);

    /// <summary>The table as it is not before this call. Many callers at once share one reading: ending 100 runs must not read /proc 100 times.</summary>
    public static async Task<IReadOnlyList<ProcessEntry>> ReadAsync()
    {
        var asked = Stopwatch.GetTimestamp();
        await Gate.WaitAsync().ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            if (latest.TakenAt < asked) latest = (Stopwatch.GetTimestamp(), Read());
            return latest.Entries;
        }
        finally
        {
            Gate.Release();
        }
    }

    /// <summary>When a process started, in clock ticks since boot; 0 when it is gone.</summary>
    public static long StartTicks(int id) => ReadStat(id, evenZombie: true)?.StartTicks ?? 0;

    private static List<ProcessEntry> Read()
    {
        var entries = new List<ProcessEntry>();
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(folder.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out var id)
                && ReadStat(id, evenZombie: false) is { } entry)
                entries.Add(entry with { RunId = ReadRunId(id) });
        }

        return entries;
    }

    private static ProcessEntry? ReadStat(int id, bool evenZombie)
    {
        if (ReadFile($"/proc/{id}/stat") is not { } bytes) return null;
        // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
        var text = Encoding.Latin1.GetString(bytes);
        var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
        if (!evenZombie && fields[0] is "Z" or "X") return null;
        return new ProcessEntry(id, Number(1), Number(2), Number(3), long.Parse(fields[19], CultureInfo.InvariantCulture), null);

        int Number(int field) => int.Parse(fields[field], CultureInfo.InvariantCulture);
    }

    /// <summary>The run that a process says in its environment that it belongs to; null for none, and where the host may not look.</summary>
    internal static string? ReadRunId(int id)
    {
        var environment = (ReadFile($"/proc/{id}/environ") ?? ReadEnvironmentOfOther(id)).AsSpan();
        foreach (var range in environment.Split((byte)0))
        {
            var variable = environment[range];
            if (variable.StartsWith(RunIdPrefix)) return Encoding.UTF8.GetString(variable[RunIdPrefix.Length..]);
        }

        return null;
    }

    // A host that is not root, but has CAP_SYS_PTRACE: the file is its owner's alone, and the capability opens the memory that the file shows.
    private static byte[]? ReadEnvironmentOfOther(int id)
    {
        const int environmentStarts = 47, environmentEnds = 48;
        const ulong mostBytes = 4 << 20;
        if (Environment.IsPrivilegedProcess || !HostPrivileges.CanFindByRunId || ReadFile($"/proc/{id}/stat") is not { } bytes) return null;
        var text = Encoding.Latin1.GetString(bytes);
        var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
        var (from, to) = (
            ulong.Parse(fields[environmentStarts], CultureInfo.InvariantCulture),
            ulong.Parse(fields[environmentEnds], CultureInfo.InvariantCulture)
        );
        if (from == 0 || to <= from || to - from > mostBytes)
            return null;
        var content = new byte[to - from];
        var place = Marshal.AllocHGlobal(content.Length);
        try
        {
            var (here, there) = (
                new Piece { At = (nuint)place, Length = (nuint)content.Length },
                new Piece { At = (nuint)from, Length = (nuint)content.Length }
            );
            var read = (int)process_vm_readv(id, in here, 1, in there, 1, 0);
            if (read <= 0) return null;
            Marshal.Copy(place, content, 0, read);
            return content;
        }
        finally
        {
            Marshal.FreeHGlobal(place);
        }
    }

    [LibraryImport("libc")]
    private static partial nint process_vm_readv(int id, in Piece here, nuint countHere, in Piece there, nuint countThere, nuint flags);

    [StructLayout(LayoutKind.Sequential)]
    private struct Piece
    {
        public nuint At;
        public nuint Length;
    }

    /// <returns>Null when the process is gone, or belongs to somebody whose processes the host may not look into.</returns>
    private static byte[]? ReadFile(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
