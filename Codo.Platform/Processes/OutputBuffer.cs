using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Codo.Platform.Processes;

/// <summary>Output from some byte on, as a buffer still has it.</summary>
/// <param name="Missing">How many bytes between the asked offset and the text are no longer there.</param>
/// <param name="Text">Decoded as <see cref="OutputText.Decode"/> does.</param>
/// <param name="Next">The offset to ask for next. A character whose rest has not come yet is left for then.</param>
public sealed record OutputPart(long Missing, string Text, long Next);

/// <summary>
/// The output of one command: the first half of the limit and the last half are kept, what falls out between is counted. A short output is held in memory, a
/// longer one in a file without a name, so that memory stays flat whatever the limit. One thread may append while others read.
/// </summary>
public sealed class OutputBuffer : IDisposable
{
    /// <summary>Bytes that are held in memory; past it a file is made.</summary>
    public const int MostInMemory = 64 * 1024;

    private readonly Lock gate = new();
    private readonly string folder;
    // Output of offset n lies at n in the head, and in a ring behind it from headLimit on. Until the ring is full it lies in order, so growing needs no
    // turning.
    private long headLimit;
    private long tailLimit;
    private byte[] memory = [];
    private SafeFileHandle? file;
    // The ring, once the file can grow no more: the disk is full.
    private byte[]? ring;
    // Of what came before this byte only the head is there: the rest was never written, or lies in a ring that is given up.
    private long tailFrom;
    private long total;
    private bool disposed;

    /// <param name="limit">Bytes that are kept, at least 2. Memory and file are taken as output comes.</param>
    /// <param name="folder">Where the file is made; null for the system's folder for such files.</param>
    public OutputBuffer(int limit, string? folder = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 2);
        this.folder = folder ?? Path.GetTempPath();
        headLimit = limit / 2;
        tailLimit = limit - headLimit;
    }

    /// <summary>Called before the file is written to; a test lets it throw as a full disk does.</summary>
    internal Action? BeforeWrite { get; set; }

    /// <summary>Bytes that were appended, kept or not.</summary>
    public long Total
    {
        get
        {
            lock (gate) return total;
        }
    }

    /// <summary>Bytes that are no longer there.</summary>
    public long Missing
    {
        get
        {
            lock (gate) return TailStart - HeadLength;
        }
    }

    private long HeadLength => Math.Min(total, headLimit);

    private long TailStart => Math.Max(HeadLength, Math.Max(total - tailLimit, tailFrom));

    /// <summary>Takes the next output.</summary>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        lock (gate)
        {
            if (disposed) return;
            while (!bytes.IsEmpty)
            {
                if (total >= headLimit && bytes.Length > tailLimit)
                {
                    total += bytes.Length - tailLimit;
                    tailFrom = total;
                    bytes = bytes[^(int)tailLimit..];
                }

                var (at, room) = Place(total);
                var piece = bytes[..(int)Math.Min(bytes.Length, room)];
                if (!TryWrite(piece, at)) continue;
                total += piece.Length;
                bytes = bytes[piece.Length..];
            }
        }
    }

    /// <summary>All that is kept, with one line in two languages where bytes are missing.</summary>
    public override string ToString() => Beginning(int.MaxValue);

    /// <summary>The same, up to the piece in which it becomes longer than <paramref name="characters"/>.</summary>
    public string Beginning(int characters)
    {
        var text = new StringBuilder();
        lock (gate)
        {
            for (var at = 0L; at < total && text.Length <= characters;)
            {
                var part = Since(at, ended: true, most: MostInMemory);
                if (part.Missing > 0) text.Append('\n').Append(Gap(part.Missing)).Append('\n');
                text.Append(part.Text);
                at = part.Next;
            }
        }

        return text.ToString();
    }

    /// <summary>What came from an offset on, for a reader that follows along or a writer that saves piece by piece.</summary>
    /// <param name="offset">0, or <see cref="OutputPart.Next"/> of the last call.</param>
    /// <param name="ended">Nothing more will come: an incomplete character at the end is given out, replaced.</param>
    /// <param name="most">Bytes to give out at most; more are had by asking again.</param>
    public OutputPart Since(long offset, bool ended = false, int most = int.MaxValue)
    {
        lock (gate)
        {
            offset = Math.Clamp(offset, 0, total);
            if (disposed) return new OutputPart(0, "", offset);
            var beforeGap = offset < HeadLength && TailStart > HeadLength;
            var from = offset < HeadLength ? offset : Math.Max(offset, TailStart);
            var to = Math.Min(beforeGap ? HeadLength : total, from + Math.Max(most, 4));
            var bytes = Read(from, to).AsSpan();
            // Halves of characters at both sides of the gap count as missing too.
            var start = from > offset ? OutputText.OrphanedStart(bytes) : 0;
            var incomplete = OutputText.IncompleteEnd(bytes[start..]);
            if (beforeGap && to == HeadLength)
            {
                if (incomplete < bytes.Length) return new OutputPart(0, OutputText.Decode(bytes[..^incomplete]), to - incomplete);
                return Since(to, ended, most) is var after ? after with { Missing = after.Missing + to - offset } : after;
            }

            var end = ended && to == total ? 0 : incomplete;
            return new OutputPart(from + start - offset, OutputText.Decode(bytes[start..^end]), to - end);
        }
    }

    /// <summary>The line that stands where output is missing.</summary>
    public static string Gap(long bytes) => $"… {bytes} bytes missing / 缺少 {bytes} 字节 …";

    /// <summary>Lets go of what is kept.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            disposed = true;
            file?.Dispose();
            (memory, ring) = ([], null);
        }
    }

    /// <summary>Where the byte of an offset lies, and how many bytes lie there in a row.</summary>
    private (long At, long Room) Place(long offset)
    {
        if (offset < headLimit) return (offset, headLimit - offset);
        var inTail = (offset - headLimit) % tailLimit;
        return (headLimit + inTail, tailLimit - inTail);
    }

    /// <returns>False when there is no room for the bytes as things lie; they lie otherwise now.</returns>
    private bool TryWrite(ReadOnlySpan<byte> bytes, long at)
    {
        if (ring is not null && at >= headLimit)
        {
            bytes.CopyTo(ring.AsSpan((int)(at - headLimit)));
            return true;
        }

        var end = at + bytes.Length;
        if (file is null && end <= MostInMemory)
        {
            if (memory.Length < end)
                Array.Resize(ref memory, (int)Math.Min(Math.Max(memory.Length * 2L, Math.Max(end, 4096)), Math.Min(headLimit + tailLimit, MostInMemory)));
            bytes.CopyTo(memory.AsSpan((int)at));
            return true;
        }

        try
        {
            BeforeWrite?.Invoke();
            if (file is null) MoveToFile();
            RandomAccess.Write(file!, bytes, at);
            return true;
        }
        catch (Exception full) when (full is IOException or UnauthorizedAccessException)
        {
            // What lies in order in the file stays readable: all of it, or the head alone where something is missing already. From here on a ring in memory
            // takes the newest.
            if (TailStart > HeadLength) tailFrom = total;
            else headLimit = total;
            tailLimit = MostInMemory / 2;
            ring = new byte[tailLimit];
            return false;
        }
    }

    private void MoveToFile()
    {
        Directory.CreateDirectory(folder);
        var path = Path.Combine(folder, $"output-{Guid.NewGuid():N}");
        var opened = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite);
        // Open, but without a name: it is gone with this process, however that ends.
        File.Delete(path);
        RandomAccess.Write(opened, memory.AsSpan(0, (int)total), 0);
        file = opened;
        memory = [];
    }

    /// <summary>The bytes of a range that does not reach into the gap.</summary>
    private byte[] Read(long from, long to)
    {
        var bytes = new byte[to - from];
        for (var rest = bytes.AsSpan(); rest.Length > 0;)
        {
            var (at, room) = Place(from);
            var piece = rest[..(int)Math.Min(rest.Length, room)];
            if (ring is not null && at >= headLimit) ring.AsSpan((int)(at - headLimit), piece.Length).CopyTo(piece);
            else if (file is null) memory.AsSpan((int)at, piece.Length).CopyTo(piece);
            else for (var read = 0; read < piece.Length;) read += Math.Max(1, RandomAccess.Read(file, piece[read..], at + read));
            from += piece.Length;
            rest = rest[piece.Length..];
        }

        return bytes;
    }
}
