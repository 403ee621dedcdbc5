using System.Text;

namespace Codo.Platform.Processes;

/// <summary>
/// Passes on in UTF-8 what a command writes in another encoding, however reads cut it; as it is where there is none. Not for several threads at once.
/// </summary>
public sealed class Transcoding(Func<ReadOnlyMemory<byte>, ValueTask> onOutput, Encoding? from)
{
    private readonly Decoder? decoder = from?.GetDecoder();
    private char[] characters = [];
    private byte[] bytes = [];

    /// <summary>Takes the next output. A character whose rest has not come yet is kept for then.</summary>
    public ValueTask Append(ReadOnlyMemory<byte> piece) => decoder is null ? onOutput(piece) : PassOn(Decode(decoder, piece.Span, ended: false));

    /// <summary>Nothing more comes: what there is of a character is passed on as U+FFFD, as it is in UTF-8.</summary>
    public ValueTask Complete()
    {
        if (decoder is null) return ValueTask.CompletedTask;
        var count = Decode(decoder, [], ended: true);
        // .NET writes a question mark for it, or a dot of the encoding's own.
        characters.AsSpan(0, count).Fill('\uFFFD');
        return PassOn(count);
    }

    private int Decode(Decoder reader, ReadOnlySpan<byte> piece, bool ended)
    {
        if (characters.Length < piece.Length + 4) characters = new char[Math.Max(piece.Length + 4, 4096)];
        return reader.GetChars(piece, characters, flush: ended);
    }

    private ValueTask PassOn(int count)
    {
        if (count == 0) return ValueTask.CompletedTask;
        var most = Encoding.UTF8.GetMaxByteCount(count);
        if (bytes.Length < most) bytes = new byte[most];
        return onOutput(bytes.AsMemory(0, Encoding.UTF8.GetBytes(characters.AsSpan(0, count), bytes)));
    }
}
