using System.Buffers;

namespace Codo.Platform.Processes;

/// <summary>A line of output without its line end.</summary>
/// <param name="Text">Decoded as <see cref="OutputText.Decode"/> does: it holds no NUL and no invalid character.</param>
/// <param name="Continues">The line was longer than <see cref="LineReader.MaxLineBytes"/>; the next line is its continuation.</param>
public readonly record struct OutputLine(string Text, bool Continues);

/// <summary>
/// Cuts a stream of bytes into lines, whatever pieces it comes in. LF, CRLF and a lone CR end a line: each state of a progress bar that
/// redraws itself with CR is a line of its own, and can be followed. CRs in a row are one, and a CR with nothing before it makes no empty line.
/// </summary>
/// <remarks>Memory: one line, at most <see cref="MaxLineBytes"/>. Not for several threads at once.</remarks>
public sealed class LineReader(Action<OutputLine> onLine)
{
    /// <summary>A longer line is passed on in several pieces, each but the last marked as such.</summary>
    public const int MaxLineBytes = 1024 * 1024;

    private const byte Lf = (byte)'\n';
    private const byte Cr = (byte)'\r';
    private static readonly SearchValues<byte> LineEnds = SearchValues.Create([Lf, Cr]);

    private readonly ArrayBufferWriter<byte> line = new(256);
    private bool afterCr;
    private bool crEndedNothing;

    /// <summary>Takes the next bytes and passes on the lines that they complete.</summary>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var end = bytes.IndexOfAny(LineEnds);
            if (end != 0)
            {
                afterCr = false;
                AppendToLine(end < 0 ? bytes : bytes[..end]);
                if (end < 0) return;
            }

            EndLine(bytes[end]);
            bytes = bytes[(end + 1)..];
        }
    }

    /// <summary>The stream is over: passes on the last line if it had no end.</summary>
    public void Complete()
    {
        if (line.WrittenCount > 0) PassOn(line.WrittenCount, continues: false);
    }

    private void EndLine(byte end)
    {
        if (end == Cr)
        {
            if (afterCr) return;
            afterCr = true;
            crEndedNothing = line.WrittenCount == 0;
            if (!crEndedNothing) PassOn(line.WrittenCount, continues: false);
            return;
        }

        // The LF of a CRLF whose CR has ended the line already. If there was nothing before that CR, the line is an empty one.
        if (!afterCr || crEndedNothing) PassOn(line.WrittenCount, continues: false);
        afterCr = false;
    }

    private void AppendToLine(ReadOnlySpan<byte> bytes)
    {
        while (line.WrittenCount + bytes.Length > MaxLineBytes)
        {
            var fits = MaxLineBytes - line.WrittenCount;
            line.Write(bytes[..fits]);
            bytes = bytes[fits..];
            PassOn(MaxLineBytes - OutputText.IncompleteEnd(line.WrittenSpan), continues: true);
        }

        line.Write(bytes);
    }

    private void PassOn(int length, bool continues)
    {
        var rest = line.WrittenSpan[length..].ToArray();
        var passed = new OutputLine(OutputText.Decode(line.WrittenSpan[..length]), continues);
        line.ResetWrittenCount();
        line.Write(rest);
        onLine(passed);
    }
}
