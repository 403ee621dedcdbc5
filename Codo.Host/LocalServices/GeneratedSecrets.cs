using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Codo.Host.LocalServices;

/// <summary>The two secrets of an installation: what the operator set or, beside a PostgreSQL of our own, what was generated once and is kept in the data directory.</summary>
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
            throw new StartRefused($"{variable} is empty. With a PostgreSQL of your own set it, to at least {LeastBytes} bytes and to the same on every node; `openssl rand -base64 32` prints one.");

        return Kept(Path.Combine(dataDirectory, "secrets"), key == TokenSecret ? "token-secret" : "master-key");
    }

    /// <summary>Reads the secret, or makes it. Of several processes that make it at once one wins, and all return the same.</summary>
    public static string Kept(string directory, string name)
    {
        var path = Path.Combine(directory, name);
        if (!File.Exists(path))
        {
            Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            // Complete and on the disk before it has its name: nobody reads half a secret, and a power cut leaves all of it or nothing.
            var unfinished = $"{path}.{Guid.NewGuid():N}";
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
            using (var file = new FileStream(unfinished, options))
            {
                file.Write(Encoding.ASCII.GetBytes(Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(LeastBytes)) + "\n"));
                file.Flush(flushToDisk: true);
            }

            // A link is refused where the name is taken, in one step; .NET's Move looks first and renames then, and between the two another process may have won.
            Posix.LinkIfFree(unfinished, path);
            File.Delete(unfinished);
        }

        var secret = File.ReadAllText(path).Trim();
        return secret.Length >= LeastBytes ? secret : throw new StartRefused($"The secret in {path} is damaged. Put it back from the backup: a new one would not open what the old one locked.");
    }
}
