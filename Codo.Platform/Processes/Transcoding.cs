using System.Text;

namespace Codo.Platform.Processes;

/// <summary>Makes UTF-8 of what a command writes in another encoding, however reads cut it. Not for several threads at once.</summary>
public sealed class Transcoding(Encoding from)
{
    private readonly Decoder decoder = from.GetDecoder();
    private char[] characters = [];
    private byte[] bytes = [];

    /// <summary>Passes output on in UTF-8; null for an encoding leaves it as it is.</summary>
    public static Func<ReadOnlyMemory<byte>, ValueTask> Before(Func<ReadOnlyMemory<byte>, ValueTask> onOutput, Encoding? encoding)
    {
        if (encoding is null) return onOutput;
        var transcoding = new Transcoding(encoding);
        return piece => transcoding.Convert(piece.Span) is { Length: > 0 } converted ? onOutput(converted) : ValueTask.CompletedTask;
    }

    /// <summary>The next bytes in UTF-8, valid until the next call. A character whose rest has not come yet is kept for then.</summary>
    public ReadOnlyMemory<byte> Convert(ReadOnlySpan<byte> piece)
    {
        if (characters.Length < piece.Length + 4) characters = new char[Math.Max(piece.Length + 4, 4096)];
        var count = decoder.GetChars(piece, characters, flush: false);
        var most = Encoding.UTF8.GetMaxByteCount(count);
        if (bytes.Length < most) bytes = new byte[most];
        return bytes.AsMemory(0, Encoding.UTF8.GetBytes(characters.AsSpan(0, count), bytes));
    }
}
