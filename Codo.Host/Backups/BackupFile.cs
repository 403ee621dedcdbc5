using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Codo.Host.LocalServices;
using Codo.Platform.Security;

namespace Codo.Host.Backups;

/// <summary>What stands in front of a backup's data.</summary>
internal sealed record BackupHeader
{
    /// <summary>The version that made it.</summary>
    public string Codo { get; init; } = "";

    /// <summary>PostgreSQL's own version there.</summary>
    public string Server { get; init; } = "";

    /// <summary>When the snapshot was taken, UTC.</summary>
    public DateTime At { get; init; }

    /// <summary>The migrations that the schema has.</summary>
    public string[] Migrations { get; init; } = [];

    /// <summary>The database's check value of the first master key.</summary>
    public string KeyCheck { get; init; } = "";

    /// <summary>Those of the keys that came after it.</summary>
    public string[] LaterKeyChecks { get; init; } = [];

    /// <summary>The major version of PostgreSQL there; 0 where it does not say.</summary>
    [JsonIgnore]
    public int Major => int.TryParse(Server.Split('.')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var major) ? major : 0;

    /// <summary>Whether these keys open what the database's secrets are sealed with, under each key that there was.</summary>
    public bool IsOpenedBy(SecretBox keys) => LaterKeyChecks.Prepend(KeyCheck).All(check => MasterKeyCheck.Opens(keys, check));

    /// <summary>A file of settings with the keys, as JSON; empty unless they were asked for.</summary>
    public string Keys { get; init; } = "";
}

/// <summary>
/// A backup on the disk: a word, the header's length and the header as JSON, a dump in <c>pg_dump</c>'s custom format, the SHA-256 of all of that, and a word
/// at the end by which a file that was cut off is known.
/// </summary>
internal sealed class BackupFile
{
    private const int HashSize = 32, LongestHeader = 16 << 20;

    private static readonly byte[] First = "CODO-BACKUP-1\n"u8.ToArray(), Last = "\nCODO-END"u8.ToArray();

    private readonly string path;
    private readonly long begin, end;

    private BackupFile(string path, BackupHeader header, long begin, long end) => (this.path, Header, this.begin, this.end) = (path, header, begin, end);

    public BackupHeader Header { get; }

    /// <summary>Writes a backup beside the file (mode 600), and gives it the file's name once it is whole and on the disk.</summary>
    /// <param name="dump">Writes the dump.</param>
    /// <returns>Its size in bytes.</returns>
    public static async Task<long> Write(string path, BackupHeader header, Func<Stream, Task> dump)
    {
        var unfinished = $"{path}.{Guid.NewGuid():N}.partial";
        // A process that a signal ends runs no catch. Nothing is cancelled: it ends all the same.
        void Discard(PosixSignalContext _) => File.Delete(unfinished);
        using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Discard);
        using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Discard);
        using var hungUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Discard);
        try
        {
            long size;
            await using (var file = SecretFile.Create(unfinished))
            {
                using var hash = SHA256.Create();
                await using (var hashed = new CryptoStream(file, hash, CryptoStreamMode.Write, leaveOpen: true))
                {
                    var text = JsonSerializer.SerializeToUtf8Bytes(header);
                    var length = new byte[sizeof(int)];
                    BinaryPrimitives.WriteInt32LittleEndian(length, text.Length);
                    await hashed.WriteAsync(First);
                    await hashed.WriteAsync(length);
                    await hashed.WriteAsync(text);
                    await dump(hashed);
                    await hashed.FlushFinalBlockAsync();
                }
                await file.WriteAsync(hash.Hash!);
                await file.WriteAsync(Last);
                file.Flush(flushToDisk: true);
                size = file.Length;
            }
            File.Move(unfinished, path, overwrite: true);
            return size;
        }
        catch (Exception failure)
        {
            File.Delete(unfinished);
            if (failure is IOException or UnauthorizedAccessException) throw new StartRefused($"{path} could not be written: {failure.Message}");
            throw;
        }
    }

    /// <summary>Opens a backup after reading it whole: its checksum holds.</summary>
    /// <exception cref="StartRefused">It is not there, is no backup, was cut off or was changed.</exception>
    public static async Task<BackupFile> Open(string path)
    {
        try
        {
            await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
            var first = new byte[First.Length + sizeof(int)];
            if (await file.ReadAtLeastAsync(first, first.Length, throwOnEndOfStream: false) < first.Length || !first.AsSpan().StartsWith(First))
                throw new StartRefused($"{path} is no backup of Codo.");
            var end = file.Length - HashSize - Last.Length;
            var length = BinaryPrimitives.ReadInt32LittleEndian(first.AsSpan(First.Length));
            var last = new byte[HashSize + Last.Length];
            file.Position = Math.Max(0, end);
            if (end < first.Length || await file.ReadAtLeastAsync(last, last.Length, false) < last.Length || !last.AsSpan().EndsWith(Last))
                throw new StartRefused($"{path} is cut off: its end is not there. Nothing was restored.");
            file.Position = 0;
            if (length is < 0 or > LongestHeader || length > end - first.Length || !(await Hash(file, end)).AsSpan().SequenceEqual(last.AsSpan(0, HashSize)))
                throw new StartRefused($"{path} is damaged: its checksum does not hold. Nothing was restored.");
            file.Position = first.Length;
            var text = new byte[length];
            await file.ReadExactlyAsync(text);
            return new BackupFile(path, JsonSerializer.Deserialize<BackupHeader>(text)!, first.Length + length, end);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new StartRefused($"{path} cannot be read: {failure.Message}");
        }
    }

    /// <summary>Copies the dump.</summary>
    public async Task CopyDump(Stream to)
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
        file.Position = begin;
        await Copy(file, end - begin, (bytes, cancellation) => to.WriteAsync(bytes, cancellation));
    }

    private static async Task<byte[]> Hash(FileStream file, long length)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await Copy(file, length, (bytes, _) =>
        {
            hash.AppendData(bytes.Span);
            return ValueTask.CompletedTask;
        });
        return hash.GetHashAndReset();
    }

    private static async Task Copy(FileStream from, long length, Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask> to)
    {
        var buffer = new byte[1 << 16];
        for (var rest = length; rest > 0;)
        {
            var read = await from.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, rest)));
            if (read == 0) throw new IOException("the file has become shorter");
            await to(buffer.AsMemory(0, read), CancellationToken.None);
            rest -= read;
        }
    }
}

/// <summary>Files that only their owner reads.</summary>
internal static class SecretFile
{
    /// <summary>A new file with mode 600, whatever the umask is.</summary>
    public static FileStream Create(string path) =>
        new(
            path,
            new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
                BufferSize = 1 << 16,
            }
        );

    /// <summary>Writes it whole beside the name, and moves it there.</summary>
    public static async Task Write(string path, ReadOnlyMemory<byte> content)
    {
        var unfinished = $"{path}.{Guid.NewGuid():N}.partial";
        try
        {
            await using (var file = Create(unfinished))
            {
                await file.WriteAsync(content);
                file.Flush(flushToDisk: true);
            }
            File.Move(unfinished, path, overwrite: true);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            File.Delete(unfinished);
            throw new StartRefused($"{path} could not be written: {failure.Message}");
        }
    }
}
