namespace Codo.Platform.Processes;

/// <summary>Output from some byte on, as a buffer still has it.</summary>
/// <param name="Missing">How many bytes between the asked offset and the text are no longer there.</param>
/// <param name="Text">Decoded as <see cref="OutputText.Decode"/> does.</param>
/// <param name="Next">The offset to ask for next. A character whose rest has not come yet is left for then.</param>
public sealed record OutputPart(long Missing, string Text, long Next);

/// <summary>
/// The output of one command in bounded memory: the first half of the limit and the last half are kept, what falls out between is counted.
/// One thread may append while others read.
/// </summary>
public sealed class OutputBuffer
{
    private readonly Lock gate = new();
    private readonly int headLimit;
    private readonly int tailLimit;
    private byte[] head = [];
    private byte[] tail = [];
    private int headLength;
    private long total;

    /// <param name="limit">Bytes that are kept, at least 2. Memory is taken as output comes.</param>
    public OutputBuffer(int limit)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 2);
        headLimit = limit / 2;
        tailLimit = limit - headLimit;
    }

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
            lock (gate) return TailStart - headLength;
        }
    }

    // The tail is a ring whose byte of offset n lies at (n - headLimit) % size; until it is full it lies in order from 0, so growing needs no turning.
    private long TailStart => Math.Max(headLength, total - tailLimit);

    public void Append(ReadOnlySpan<byte> bytes)
    {
        lock (gate)
        {
            var toHead = Math.Min(bytes.Length, headLimit - headLength);
            if (toHead > 0)
            {
                Grow(ref head, headLength + toHead, headLimit);
                bytes[..toHead].CopyTo(head.AsSpan(headLength));
                headLength += toHead;
                total += toHead;
                bytes = bytes[toHead..];
            }

            if (bytes.Length > tailLimit)
            {
                total += bytes.Length - tailLimit;
                bytes = bytes[^tailLimit..];
            }

            if (bytes.Length == 0) return;
            Grow(ref tail, (int)Math.Min(total - headLimit + bytes.Length, tailLimit), tailLimit);
            var at = (int)((total - headLimit) % tailLimit);
            var first = Math.Min(bytes.Length, tailLimit - at);
            bytes[..first].CopyTo(tail.AsSpan(at));
            bytes[first..].CopyTo(tail);
            total += bytes.Length;
        }
    }

    /// <summary>All that is kept, with one line in two languages where bytes are missing.</summary>
    public override string ToString()
    {
        lock (gate)
        {
            var first = head.AsSpan(0, headLength);
            if (TailStart == headLength) return OutputText.Decode(Copy(0, total));

            // Halves of characters at both sides of the gap count as missing too.
            var last = Copy(TailStart, total).AsSpan();
            first = first[..^OutputText.IncompleteEnd(first)];
            last = last[OutputText.OrphanedStart(last)..];
            return $"{OutputText.Decode(first)}\n{Gap(total - first.Length - last.Length)}\n{OutputText.Decode(last)}";
        }
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
            var beforeGap = offset < headLength && TailStart > headLength;
            var from = offset < headLength ? offset : Math.Max(offset, TailStart);
            var to = Math.Min(beforeGap ? headLength : total, from + Math.Max(most, 4));
            var bytes = Copy(from, to).AsSpan();
            var start = from > offset ? OutputText.OrphanedStart(bytes) : 0;
            var end = to == (beforeGap ? headLength : ended ? total : -1) ? 0 : OutputText.IncompleteEnd(bytes[start..]);
            return new OutputPart(from + start - offset, OutputText.Decode(bytes[start..^end]), to - end);
        }
    }

    /// <summary>The line that stands where output is missing.</summary>
    public static string Gap(long bytes) => $"… {bytes} bytes missing / 缺少 {bytes} 字节 …";

    /// <summary>The bytes of a range that does not reach into the gap.</summary>
    private byte[] Copy(long from, long to)
    {
        var bytes = new byte[to - from];
        var rest = bytes.AsSpan();
        if (from < headLength)
        {
            var inHead = head.AsSpan((int)from, (int)(Math.Min(to, headLength) - from));
            inHead.CopyTo(rest);
            rest = rest[inHead.Length..];
            from += inHead.Length;
        }

        if (rest.Length == 0) return bytes;
        var at = (int)((from - headLimit) % tailLimit);
        var first = Math.Min(rest.Length, tail.Length - at);
        tail.AsSpan(at, first).CopyTo(rest);
        tail.AsSpan(0, rest.Length - first).CopyTo(rest[first..]);
        return bytes;
    }

    private static void Grow(ref byte[] array, int needed, int limit)
    {
        if (array.Length < needed) Array.Resize(ref array, (int)Math.Min(Math.Max((long)array.Length * 2, Math.Max(needed, 4096)), limit));
    }
}
