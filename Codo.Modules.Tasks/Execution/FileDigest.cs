using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// What a script or program that a step names contained when the plan was made. Up to 32 MiB all of it counts. Of a larger one, such as a program of 50 MB,
/// its length and <see cref="Pieces"/> pieces at even distances do: reading gigabytes would hold up whoever asks.
/// </summary>
internal static class FileDigest
{
    /// <summary>How many pieces of a large file are read, the first at its beginning and the last at its end.</summary>
    public const int Pieces = 64;

    /// <summary>The longest file that is read as a whole, in bytes.</summary>
    public const long Whole = 32 << 20;

    private const int Piece = (int)(Whole / Pieces);

    /// <summary>SHA-256 in hexadecimal, <c>unreadable</c>, or null for what has no content: no file, an empty one, a pipe, a device.</summary>
    public static string? Of(string path)
    {
        try
        {
            var file = new FileInfo(path);
            // A pipe or a device has no length, and reading one could wait for ever.
            if (file is not { Exists: true, Length: > 0 }) return null;
            using var stream = file.OpenRead();
            return Convert.ToHexStringLower(stream.Length <= Whole ? SHA256.HashData(stream) : OfPieces(stream));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return "unreadable";
        }
    }

    private static byte[] OfPieces(FileStream stream)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var length = stream.Length;
        var bytes = new byte[Piece];
        BinaryPrimitives.WriteInt64BigEndian(bytes, length);
        hash.AppendData(bytes, 0, sizeof(long));
        for (var piece = 0; piece < Pieces; piece++)
        {
            stream.Position = (length - Piece) * piece / (Pieces - 1);
            hash.AppendData(bytes, 0, stream.ReadAtLeast(bytes, Piece, throwOnEndOfStream: false));
        }

        return hash.GetHashAndReset();
    }
}
