using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Codo.Host.LocalServices;

/// <summary>
/// The two secrets of an installation: what the operator set or, beside a PostgreSQL of our own, what was generated once and is kept in the data directory.
/// </summary>
internal static class GeneratedSecrets
{
    /// <summary>Both algorithms behind them, HMAC-SHA256 and AES-256, are as strong as 32 bytes and no more.</summary>
    private const int LeastBytes = 32;

    public const string TokenSecret = "Codo:Auth:TokenSecret";
    public const string MasterKey = "Codo:MasterKey";

    /// <exception cref="StartRefused">It is too short, or it is missing and PostgreSQL is not our own.</exception>
    public static string Resolve(IConfiguration configuration, string key, string dataDirectory)
    {
        var variable = key.Replace(":", "__", StringComparison.Ordinal);
        if (configuration[key] is { Length: > 0 } set)
        {
            return Encoding.UTF8.GetByteCount(set) >= LeastBytes
                ? set
                : throw new StartRefused($"{variable} is shorter than {LeastBytes} bytes. Set it to a longer one, such as `openssl rand -base64 32` prints.");
        }

        if (!string.IsNullOrEmpty(configuration.GetConnectionString("Postgres")))
            throw new StartRefused(
                ($"{variable} is empty. With a PostgreSQL of your own set it, to at least {LeastBytes} bytes and to the same on every node; `openssl rand "
                    + $"-base64 32` prints one.")
            );

        return Kept(Path.Combine(dataDirectory, "secrets"), NameOf(key));
    }

    private const string InUse = "token-secret.in-use";

    /// <summary>Whether a secret was generated in this data directory.</summary>
    public static bool IsKept(string dataDirectory, string key) => File.Exists(PathOf(dataDirectory, key));

    /// <summary>Where a secret that was generated is kept.</summary>
    public static string PathOf(string dataDirectory, string key) => Path.Combine(dataDirectory, "secrets", NameOf(key));

    /// <summary>Notes which secret the host of this data directory uses, wherever it comes from, without keeping it: <c>codo token</c> compares.</summary>
    public static void NoteInUse(string dataDirectory, string secret)
    {
        var folder = Path.Combine(dataDirectory, "secrets");
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var path = Path.Combine(folder, InUse);
        var print = Fingerprint(secret);
        if (File.Exists(path) && File.ReadAllText(path).Trim() == print) return;
        var unfinished = $"{path}.{Guid.NewGuid():N}";
        using (
            var file = new FileStream(
                unfinished,
                new FileStreamOptions
                {
                    Mode = FileMode.CreateNew,
                    Access = FileAccess.Write,
                    UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
                }
            )
        )
            file.Write(Encoding.ASCII.GetBytes(print + "\n"));
        File.Move(unfinished, path, overwrite: true);
    }

    /// <summary>Whether the host of this data directory uses another secret; false where no host has said.</summary>
    public static bool IsAnother(string dataDirectory, string secret)
    {
        var path = Path.Combine(dataDirectory, "secrets", InUse);
        return File.Exists(path) && File.ReadAllText(path).Trim() != Fingerprint(secret);
    }

    private static string Fingerprint(string secret) =>
        Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), "codo token secret"u8))[..32];

    private static string NameOf(string key) => key == TokenSecret ? "token-secret" : "master-key";

    /// <summary>Reads the secret, or makes it. Of several processes that make it at once one wins, and all return the same.</summary>
    public static string Kept(string directory, string name)
    {
        var path = Path.Combine(directory, name);
        if (!File.Exists(path))
        {
            Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            // Complete and on the disk before it has its name: nobody reads half a secret, and a power cut leaves all of it or nothing.
            var unfinished = $"{path}.{Guid.NewGuid():N}";
            var options = new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            };
            using (var file = new FileStream(unfinished, options))
            {
                file.Write(Encoding.ASCII.GetBytes(Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(LeastBytes)) + "\n"));
                file.Flush(flushToDisk: true);
            }

            // A link is refused where the name is taken, in one step; .NET's Move looks first and renames then, and between the two another process may have
            // won.
            Posix.LinkIfFree(unfinished, path);
            File.Delete(unfinished);
        }

        var secret = File.ReadAllText(path).Trim();
        return secret.Length >= LeastBytes
            ? secret
            : throw new StartRefused($"The secret in {path} is damaged. Put it back from the backup: a new one would not open what the old one locked.");
    }
}
