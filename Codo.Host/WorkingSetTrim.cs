using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Codo.Platform.Security;

namespace Codo.Host;

/// <summary>
/// Gives memory back while the host is at rest: free regions of the collector, free blocks of malloc, and mapped pages of program files, of which most were
/// touched by the start alone. Those pages stay in the kernel's page cache; the next access maps them again.
/// </summary>
internal sealed partial class WorkingSetTrim(RiskRules rules, ILogger<WorkingSetTrim> log)
{
    /// <summary>From one look at the processor time to the next.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(20);

    // Part of a core that a host at rest takes at most: a collection stops all threads for some 30 ms.
    private const double Rest = 0.05;

    // Bytes by which resident memory has grown before a collection is worth its time again.
    private const long Worth = 24 << 20;

    private const int DontNeed = 4;

    private (long At, TimeSpan Processor)? before;
    private long? trimmed;

    /// <summary>Trims if the host was at rest since the last call, and has grown enough since the last trim or let go of something large.</summary>
    public Task TrimAtRest()
    {
        var now = (At: Stopwatch.GetTimestamp(), Processor: Environment.CpuUsage.TotalTime);
        var isAtRest = before is { } then && now.Processor - then.Processor < Rest * Stopwatch.GetElapsedTime(then.At, now.At);
        before = now;
        if (!isAtRest || (!rules.LetGoAtRest() && Environment.WorkingSet - trimmed < Worth)) return Task.CompletedTask;
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        TrimMalloc();
        var unmapped = UnmapFiles(File.ReadLines("/proc/self/smaps"));
        trimmed = Environment.WorkingSet;
        log.LogDebug("Memory given back at rest; {Kilobytes} kB of program files unmapped", unmapped);
        return Task.CompletedTask;
    }

    /// <summary>Unmaps the pages of files that nobody can write to through their mapping.</summary>
    /// <param name="mappings">Lines of <c>/proc/self/smaps</c>.</param>
    /// <returns>Kilobytes that were mapped.</returns>
    internal static long UnmapFiles(IEnumerable<string> mappings)
    {
        var unmapped = 0L;
        (nint Start, nint Length)? mapping = null;
        var resident = 0L;
        foreach (var line in mappings)
        {
            var words = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
            if (!words[0].EndsWith(':')) (mapping, resident) = (OfProgram(words), 0);
            else if (words[0] == "Rss:") resident = Kilobytes(words);
            // A page that was changed under a private mapping (a relocation) exists nowhere else.
            else if (words[0] == "Anonymous:" && Kilobytes(words) == 0 && mapping is { } clean && madvise(clean.Start, (nuint)clean.Length, DontNeed) == 0)
                unmapped += resident;
        }
        return unmapped;
    }

    // Code, and assemblies as they lie in their file. Sections that are relocated (r--p, rw-p) are left alone.
    private static (nint Start, nint Length)? OfProgram(string[] words)
    {
        if (words is not [var range, "r-xp" or "r--s", _, _, _, var path]) return null;
        if (path[0] != '/' || path.EndsWith(" (deleted)", StringComparison.Ordinal)) return null;
        var (start, end) = (range[..range.IndexOf('-')], range[(range.IndexOf('-') + 1)..]);
        var first = nint.Parse(start, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        return (first, nint.Parse(end, NumberStyles.HexNumber, CultureInfo.InvariantCulture) - first);
    }

    private static long Kilobytes(string[] words) => long.Parse(words[1], CultureInfo.InvariantCulture);

    private static void TrimMalloc()
    {
        try
        {
            _ = malloc_trim(0);
        }
        catch (EntryPointNotFoundException)
        {
            // Another C library than glibc keeps no free blocks to give back.
        }
    }

    [LibraryImport("libc")]
    private static partial int madvise(nint start, nuint length, int advice);

    [LibraryImport("libc")]
    private static partial int malloc_trim(nuint pad);
}
