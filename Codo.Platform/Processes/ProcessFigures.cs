using System.Buffers.Text;
using System.IO.Enumeration;
using System.Runtime.InteropServices;

namespace Codo.Platform.Processes;

/// <summary>
/// What <c>/proc</c> says of a process, a zombie too: what it used is its parent's only when that has waited for it. Read with few allocations, because every
/// process of the machine is looked at some times a minute.
/// </summary>
/// <param name="StartTicks">Start in clock ticks since boot.</param>
/// <param name="State">The letter of <c>/proc/PID/stat</c>.</param>
/// <param name="OwnTicks">Processor time of its own in clock ticks.</param>
/// <param name="ChildTicks">That of children it has waited for, and of theirs.</param>
/// <param name="MemoryBytes">The resident set.</param>
internal readonly partial record struct ProcessFigures(
    int Id,
    int Parent,
    int Session,
    long StartTicks,
    char State,
    long OwnTicks,
    long ChildTicks,
    long MemoryBytes
)
{
    private const int ReadOnly = 0, CloseOnExec = 0x80000, ClockTicks = 2;

    /// <summary>Clock ticks in a second.</summary>
    public static readonly double TicksPerSecond = SystemValue(ClockTicks);

    /// <summary>Every process of the machine that the host may see.</summary>
    public static List<ProcessFigures> ReadAll()
    {
        var all = new List<ProcessFigures>(512);
        var ids = new FileSystemEnumerable<int>(
            "/proc",
            static (ref FileSystemEntry entry) => int.TryParse(entry.FileName, out var id) ? id : 0,
            new EnumerationOptions { AttributesToSkip = 0, IgnoreInaccessible = true }
        )
        {
            ShouldIncludePredicate = static (ref FileSystemEntry entry) => char.IsAsciiDigit(entry.FileName[0]),
        };
        foreach (var id in ids)
            if (Read(id) is { } figures)
                all.Add(figures);
        return all;
    }

    /// <summary>Seconds since boot.</summary>
    public static double Uptime()
    {
        Span<byte> text = stackalloc byte[64];
        var length = ReadFile("/proc/uptime", text);
        return length > 0 && Utf8Parser.TryParse(text[..length], out double seconds, out _) ? seconds : 0;
    }

    /// <summary>The largest resident set that the process ever had and its user; null when it is gone.</summary>
    public static (long PeakBytes, uint User)? ReadStatus(int id)
    {
        Span<byte> text = stackalloc byte[4096];
        var length = ReadFile($"/proc/{id}/status", text);
        if (length <= 0) return null;
        var status = text[..length];
        return (Number(status, "VmHWM:"u8) * 1024, (uint)Number(status, "Uid:"u8));
    }

    /// <summary>Bytes that it and the children it has waited for read from storage and wrote there; null where the host may not know.</summary>
    public static (long Read, long Written)? ReadBytes(int id)
    {
        Span<byte> text = stackalloc byte[512];
        var length = ReadFile($"/proc/{id}/io", text);
        return length <= 0 ? null : (Number(text[..length], "\nread_bytes:"u8), Number(text[..length], "\nwrite_bytes:"u8));
    }

    /// <summary>Its arguments with spaces between, at most so many bytes; its name in brackets where it has none.</summary>
    public static byte[] ReadCommand(int id, int most)
    {
        var text = new byte[most];
        var length = Math.Max(0, ReadFile($"/proc/{id}/cmdline", text));
        while (length > 0 && text[length - 1] == 0) length--;
        if (length == 0)
        {
            length = Math.Max(0, ReadFile($"/proc/{id}/comm", text));
            return [(byte)'[', .. text.AsSpan(0, length).TrimEnd((byte)'\n'), (byte)']'];
        }
        text.AsSpan(0, length).Replace((byte)0, (byte)' ');
        return text[..length];
    }

    private static ProcessFigures? Read(int id)
    {
        Span<byte> text = stackalloc byte[1024];
        var length = ReadFile($"/proc/{id}/stat", text);
        // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
        var name = text[..Math.Max(0, length)].LastIndexOf((byte)')');
        if (name < 0) return null;
        Span<long> fields = stackalloc long[22];
        var rest = text[(name + 2)..length];
        var state = (char)rest[0];
        for (var field = 0; field < fields.Length; field++)
        {
            var end = rest.IndexOf((byte)' ');
            if (end < 0) return null;
            _ = Utf8Parser.TryParse(rest[..end], out fields[field], out _);
            rest = rest[(end + 1)..];
        }
        return new ProcessFigures(
            id,
            (int)fields[1],
            (int)fields[3],
            fields[19],
            state,
            fields[11] + fields[12],
            fields[13] + fields[14],
            fields[21] * Environment.SystemPageSize
        );
    }

    private static long Number(ReadOnlySpan<byte> text, ReadOnlySpan<byte> name)
    {
        var at = text.IndexOf(name);
        if (at < 0) return 0;
        return Utf8Parser.TryParse(text[(at + name.Length)..].TrimStart("\t "u8), out long number, out _) ? number : 0;
    }

    // Without File: of a process that has gone it throws, and processes go all the time.
    private static unsafe int ReadFile(string path, Span<byte> into)
    {
        var file = Open(path, ReadOnly | CloseOnExec);
        if (file < 0) return -1;
        fixed (byte* place = into)
        {
            var got = (int)Read(file, place, (nuint)into.Length);
            _ = Close(file);
            return got;
        }
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "read")]
    private static unsafe partial nint Read(int file, byte* into, nuint length);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "sysconf")]
    private static partial nint SystemValue(int name);
}
