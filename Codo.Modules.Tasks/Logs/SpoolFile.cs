using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Codo.Modules.Tasks.Logs;

/// <summary>A line as it lies in a spool.</summary>
/// <param name="Line">From 1 within its file.</param>
/// <param name="Milliseconds">Since 1970.</param>
internal readonly record struct SpooledLine(long Line, long Milliseconds, LineMarks Marks, ReadOnlyMemory<byte> Utf8);

[Flags]
internal enum LineMarks : byte
{
    None = 0,

    /// <summary>The next line continues it.</summary>
    Continues = 1,

    /// <summary>It stands where output is missing, and what follows it was copied from another file.</summary>
    Gap = 2,

    /// <summary>It is the last of what was copied from other files: all of that is here.</summary>
    Joined = 4,
}

/// <summary>Where a reader of a spool stands.</summary>
internal struct SpoolPosition
{
    public long Offset;

    /// <summary>Lines before it.</summary>
    public long Lines;
}

/// <summary>
/// A file of a head (free bytes) and lines, appended by one thread and read by others while it grows. What was appended has been handed to the system: it
/// outlives this process, though not the loss of power.
/// </summary>
internal sealed class SpoolFile : IDisposable
{
    private const long EndOfTime = 253_402_300_800_000;
    private const int RecordHead = 13, BlockSize = 128 << 10, IndexEvery = 256;

    private readonly SafeFileHandle handle;
    private readonly ArrayBufferWriter<byte> pending = new(16 << 10);
    // Where every 256th line begins, so that a line is found without reading all before it.
    private readonly List<long> index = [];
    private readonly long begin;
    private long length;
    private long lines;
    private long pendingLines;
    // Bytes after the last readable line.
    private bool hasTrailingBytes;

    private SpoolFile(string path, SafeFileHandle handle, byte[] head)
    {
        Path = path;
        Head = head;
        this.handle = handle;
        length = begin = 4 + head.Length;
    }

    public string Path { get; }

    public byte[] Head { get; }

    /// <summary>The bytes after the last line are not the beginning of a record: a power loss damaged the file.</summary>
    public bool IsDamaged { get; private set; }

    /// <summary>Bytes of the file.</summary>
    public long Length => Interlocked.Read(ref length);

    /// <summary>Lines that can be read.</summary>
    public long Lines => Interlocked.Read(ref lines);

    public SpoolPosition Start => new() { Offset = begin };

    /// <exception cref="IOException">It cannot be made.</exception>
    public static SpoolFile Create(string path, byte[] head)
    {
        var handle = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read);
        var start = new byte[4 + head.Length];
        BinaryPrimitives.WriteInt32LittleEndian(start, head.Length);
        head.CopyTo(start, 4);
        RandomAccess.Write(handle, start, 0);
        return new SpoolFile(path, handle, head);
    }

    /// <summary>A file that an earlier process left; a line whose writing was cut short is not read. Null when not even the head is whole.</summary>
    public static SpoolFile? Open(string path)
    {
        var handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read);
        var size = RandomAccess.GetLength(handle);
        var start = new byte[4];
        var headLength = RandomAccess.Read(handle, start, 0) == 4 ? BinaryPrimitives.ReadInt32LittleEndian(start) : -1;
        if (headLength < 0 || headLength > size - 4)
        {
            handle.Dispose();
            return null;
        }

        var head = new byte[headLength];
        RandomAccess.Read(handle, head, 4);
        var file = new SpoolFile(path, handle, head);
        file.CountUpTo(size);
        return file;
    }

    /// <summary>Takes a line; it is neither written nor to be read before <see cref="Flush"/>. Returns the bytes that it will take.</summary>
    public int Add(long milliseconds, LineMarks marks, string text)
    {
        // Counted, where the most that it could be is three megabytes for one.
        var most = text.Length < 4096 ? Encoding.UTF8.GetMaxByteCount(text.Length) : Encoding.UTF8.GetByteCount(text);
        var record = pending.GetSpan(RecordHead + most);
        return Advance(record, Encoding.UTF8.GetBytes(text, record[RecordHead..]), milliseconds, marks);
    }

    /// <summary>Takes a line of another spool.</summary>
    public int Add(in SpooledLine line)
    {
        var record = pending.GetSpan(RecordHead + line.Utf8.Length);
        line.Utf8.Span.CopyTo(record[RecordHead..]);
        return Advance(record, line.Utf8.Length, line.Milliseconds, line.Marks);
    }

    /// <summary>Bytes and lines that wait to be written.</summary>
    public (int Bytes, long Lines) Pending => (pending.WrittenCount, pendingLines);

    /// <summary>Writes what was added.</summary>
    /// <exception cref="IOException">It could not be written, and waits still.</exception>
    public void Flush()
    {
        if (pending.WrittenCount == 0) return;
        // Truncate at the first new write, not at opening: until then, another start must find the damage too.
        if (hasTrailingBytes) RandomAccess.SetLength(handle, length);
        hasTrailingBytes = false;
        RandomAccess.Write(handle, pending.WrittenSpan, length);
        Index(pending.WrittenSpan, length);
        Interlocked.Add(ref lines, pendingLines);
        Interlocked.Add(ref length, pending.WrittenCount);
        pending.ResetWrittenCount();
        pendingLines = 0;
    }

    /// <summary>Gives back what was added and could not be written.</summary>
    public List<SpooledLine> TakePending()
    {
        var taken = new List<SpooledLine>();
        var records = pending.WrittenSpan.ToArray().AsMemory();
        while (!records.IsEmpty)
        {
            var (milliseconds, marks) = Fields(records.Span);
            var size = RecordSize(records.Span)!.Value;
            taken.Add(new SpooledLine(lines + taken.Count + 1, milliseconds, marks, records[RecordHead..size]));
            records = records[size..];
        }

        pending.ResetWrittenCount();
        pendingLines = 0;
        return taken;
    }

    /// <summary>Where a line begins.</summary>
    /// <param name="line">From 1.</param>
    public SpoolPosition Find(long line)
    {
        SpoolPosition at;
        lock (index)
        {
            var entry = (int)Math.Min((line - 1) / IndexEvery, index.Count - 1);
            at = entry < 0 ? Start : new SpoolPosition { Offset = index[entry], Lines = (long)entry * IndexEvery };
        }

        while (at.Lines < line - 1 && Next(ref at, (int)Math.Min(line - 1 - at.Lines, IndexEvery)).Count > 0)
        {
        }

        return at;
    }

    /// <summary>The next lines, none when there are no more yet. Memory: at most a block of 128 KiB, or one line where that is longer.</summary>
    public List<SpooledLine> Next(ref SpoolPosition at, int most)
    {
        var read = new List<SpooledLine>();
        var end = Length;
        if (at.Offset >= end) return read;
        var block = Block(at.Offset, (int)Math.Min(end - at.Offset, BlockSize));
        while (read.Count < most && RecordSize(block.Span) is { } size)
        {
            if (size > block.Length)
            {
                if (read.Count > 0 || at.Offset + size > end) break;
                block = Block(at.Offset, size);
            }

            var (milliseconds, marks) = Fields(block.Span);
            read.Add(new SpooledLine(at.Lines + 1, milliseconds, marks, block[RecordHead..size]));
            block = block[size..];
            at.Offset += size;
            at.Lines++;
        }

        return read;
    }

    /// <summary>Takes off everything from a line on.</summary>
    public void Truncate(long line)
    {
        var at = Find(line);
        RandomAccess.SetLength(handle, at.Offset);
        hasTrailingBytes = false;
        lock (index) index.RemoveAll(offset => offset >= at.Offset);
        length = at.Offset;
        lines = at.Lines;
    }

    public void Delete()
    {
        Dispose();
        File.Delete(Path);
    }

    public void Dispose() => handle.Dispose();

    private int Advance(Span<byte> record, int textLength, long milliseconds, LineMarks marks)
    {
        BinaryPrimitives.WriteInt32LittleEndian(record, textLength);
        BinaryPrimitives.WriteInt64LittleEndian(record[4..], milliseconds);
        record[12] = (byte)marks;
        pending.Advance(RecordHead + textLength);
        pendingLines++;
        return RecordHead + textLength;
    }

    private void CountUpTo(long size)
    {
        var at = Start;
        length = size;
        while (true)
        {
            var before = at;
            var read = Next(ref at, IndexEvery - (int)(at.Lines % IndexEvery));
            if (read.Count == 0) break;
            if (before.Lines % IndexEvery == 0) index.Add(before.Offset);
        }

        length = at.Offset;
        lines = at.Lines;
        hasTrailingBytes = size > length;
        // A write that was cut short leaves the beginning of a record, with a valid size. Anything else is damage.
        IsDamaged = size - length >= RecordHead && RecordSize(Block(length, RecordHead).Span) is null;
    }

    private void Index(ReadOnlySpan<byte> records, long offset)
    {
        var line = lines;
        lock (index)
        {
            while (!records.IsEmpty)
            {
                if (line++ % IndexEvery == 0) index.Add(offset);
                var size = RecordSize(records)!.Value;
                offset += size;
                records = records[size..];
            }
        }
    }

    private Memory<byte> Block(long offset, int size)
    {
        var block = new byte[size];
        return block.AsMemory(0, RandomAccess.Read(handle, block, offset));
    }

    // What lies between the last whole line and the end after a crash may be anything; zeros after a power loss would read as empty lines of 1970.
    private static int? RecordSize(ReadOnlySpan<byte> block) =>
        block.Length >= RecordHead && BinaryPrimitives.ReadInt32LittleEndian(block) is >= 0 and < 1 << 30 and var text
        && BinaryPrimitives.ReadInt64LittleEndian(block[4..]) is > 0 and < EndOfTime ? RecordHead + text : null;

    private static (long Milliseconds, LineMarks Marks) Fields(ReadOnlySpan<byte> record) =>
        (BinaryPrimitives.ReadInt64LittleEndian(record[4..]), (LineMarks)record[12]);
}
