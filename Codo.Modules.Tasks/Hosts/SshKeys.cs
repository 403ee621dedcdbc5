using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using Renci.SshNet;
using Renci.SshNet.Common;
using Renci.SshNet.Security;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>
/// Private keys as people paste them: OpenSSH, PEM (RSA, ECDSA), PKCS#8, PuTTY (versions 2 and 3) and ssh.com, with and without a passphrase; ed25519, RSA and
/// ECDSA.
/// With one may come an OpenSSH certificate of its public key.
/// </summary>
internal static partial class SshKeys
{
    private const string CertificateMark = "-cert-v01@openssh.com ";

    // What ssh-keygen and PuTTYgen write by themselves is far below: 16 or 24 rounds, 8 MiB, some 20 passes and one lane. Each lane takes 8 KiB at least,
    // whatever the memory is said to be.
    private const uint MostRounds = 1000, MostMemory = 256 << 10, MostPasses = 100, MostLanes = 64;

    private static readonly Text PassphraseNeeded = new("私钥有口令保护，请填写 passphrase", "The private key is encrypted; its passphrase is needed");

    /// <summary>Reads a key, or says in a sentence why it cannot be used.</summary>
    /// <param name="passphrase">Null or empty for none; one that the key does not need is not looked at.</param>
    public static bool TryRead(string text, string? passphrase, [NotNullWhen(true)] out PrivateKeyFile? key, out Text why) =>
        TryRead(text, passphrase, null, out key, out why);

    /// <summary>Reads a key together with its certificate, or says in a sentence why they cannot be used.</summary>
    /// <param name="certificate">Null or empty for none.</param>
    public static bool TryRead(string text, string? passphrase, string? certificate, [NotNullWhen(true)] out PrivateKeyFile? key, out Text why)
    {
        key = null;
        var normal = Normal(text);
        if (NoKey(normal) is { } no)
        {
            why = no;
            return false;
        }

        // Without a passphrase SSH.NET tries the empty one on some kinds, and then speaks of padding.
        if (string.IsNullOrEmpty(passphrase) && IsLocked(normal))
        {
            why = PassphraseNeeded;
            return false;
        }

        var given = Strip(certificate ?? "");
        if (given.Length > 0 && !given.Contains(CertificateMark, StringComparison.Ordinal))
        {
            why = new Text(
                "证书无法读取：应为 OpenSSH 用户证书，一行，以 ssh-…-cert-v01@openssh.com 开头",
                "This is no OpenSSH certificate: it would be one line that begins with ssh-…-cert-v01@openssh.com"
            );
            return false;
        }

        if (!TryOpen(normal, passphrase, out var alone, out why)) return false;
        if (given.Length == 0)
        {
            key = alone;
            return true;
        }

        alone.Dispose();
        return TryOpen(normal, passphrase, given, out key, out why);
    }

    /// <summary>
    /// Why a key would take too long, or too much memory, to open; null when it would not. The key itself says how its passphrase is hashed: nothing of it is
    /// opened to find out.
    /// </summary>
    public static Text? TooCostly(string text)
    {
        foreach (Match block in OpenSshBlock().Matches(text))
            if (Rounds(block.Groups["data"].Value) is { } rounds && rounds > MostRounds)
                return new Text(
                    $"user_key 的口令散列 {rounds} 轮，最多 {MostRounds} 轮：请用 ssh-keygen -p -a 16 重新加密",
                    $"user_key: its passphrase is hashed in {rounds} rounds and {MostRounds} is the most; encrypt it anew with ssh-keygen -p -a 16"
                );
        foreach (Match line in ArgonLine().Matches(text))
        {
            var most = line.Groups["what"].Value switch { "Memory" => MostMemory, "Passes" => MostPasses, _ => MostLanes };
            if (!uint.TryParse(line.Groups["number"].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number > most)
                return new Text(
                    ($"user_key 的 Argon2-Memory 最多 {MostMemory}（KiB），Argon2-Passes 最多 {MostPasses}，Argon2-Parallelism 最多 {MostLanes}："
                        + "请用 PuTTYgen 重新保存"),
                    ($"user_key: Argon2-Memory is at most {MostMemory} (KiB), Argon2-Passes at most {MostPasses} and Argon2-Parallelism at most {MostLanes}; "
                        + "save it anew with PuTTYgen")
                );
        }
        return null;
    }

    /// <summary>The certificate as it is stored: one line, without what surrounds it.</summary>
    public static string NormalCertificate(string text) => Strip(text);

    private static bool TryOpen(string normal, string? passphrase, [NotNullWhen(true)] out PrivateKeyFile? key, out Text why)
    {
        (key, why) = (null, default);
        try
        {
            using var stream = new MemoryStream(Encoding.UTF8.GetBytes(normal));
            key = string.IsNullOrEmpty(passphrase) ? new PrivateKeyFile(stream) : new PrivateKeyFile(stream, passphrase);
            return true;
        }
        catch (SshPassPhraseNullOrEmptyException)
        {
            why = PassphraseNeeded;
        }
        catch (Exception cause)
        {
            // The readers throw whatever their parsers throw. None of it is worth a stack trace, and the key itself must not get into a log.
            var said = OutsideText.Clean(cause.Message, 300);
            why = string.IsNullOrEmpty(passphrase)
                ? new Text($"私钥无法读取：{said}", $"The private key cannot be read: {said}")
                : new Text("私钥无法读取：passphrase 不对，或私钥已损坏", "The private key cannot be read: the passphrase is wrong, or the key is damaged");
        }

        return false;
    }

    private static bool TryOpen(string normal, string? passphrase, string certificate, [NotNullWhen(true)] out PrivateKeyFile? key, out Text why)
    {
        (key, why) = (null, default);
        try
        {
            using var stream = new MemoryStream(Encoding.UTF8.GetBytes(normal));
            using var certified = new MemoryStream(Encoding.UTF8.GetBytes(certificate + "\n"));
            var read = new PrivateKeyFile(stream, passphrase, certified);
            if (read.Certificate!.Type == Certificate.CertificateType.User)
            {
                key = read;
                return true;
            }

            read.Dispose();
            why = new Text("证书是主机证书，需要用户证书", "The certificate is a host's; a user's is needed");
        }
        // The library's word for it; parsers throw the same type.
        catch (ArgumentException other) when (other.Message.Contains("does not certify", StringComparison.Ordinal))
        {
            why = IsOfKey(normal, passphrase, certificate)
                ? new Text(
                    "证书属于这个私钥，但 SSH.NET 读不了这样的 Ed25519 证书（512 把密钥中约有一把）：请换一把密钥",
                    "The certificate is this private key's, but SSH.NET cannot read it (one Ed25519 key in 512 is so): take another key"
                )
                : new Text("证书不属于这个私钥", "The certificate does not belong to this private key");
        }
        catch (Exception cause)
        {
            var said = OutsideText.Clean(cause.Message, 300);
            why = new Text($"证书无法读取：{said}", $"The certificate cannot be read: {said}");
        }

        return false;
    }

    // SSH.NET 2026.0.0 reads the key of a certificate as a number with a sign: where it begins with 0xFF and a byte of 0x80 or more, the first byte is lost.
    private static bool IsOfKey(string normal, string? passphrase, string certificate)
    {
        if (!TryOpen(normal, passphrase, out var key, out _)) return false;
        using (key)
            return key.Key is ED25519Key own
                && certificate.Split(' ') is [_, var data, ..]
                && Certified(data) is { } certified
                && own.PublicKey.SequenceEqual(certified);
    }

    // The key that a certificate is of: behind its kind and a nonce (OpenSSH's PROTOCOL.certkeys).
    private static byte[]? Certified(string base64)
    {
        var rest = Convert.FromBase64String(base64).AsSpan();
        return TryTake(ref rest, out _) && TryTake(ref rest, out _) && TryTake(ref rest, out var key) ? key.ToArray() : null;
    }

    // Browsers send CRLF, Windows' editors a BOM, YAML indents, and people lose the last line end: none of it makes another key.
    private static string Normal(string text)
    {
        var normal = Strip(text).Replace("\r\n", "\n", StringComparison.Ordinal);
        var isPutty = !normal.StartsWith('-');
        return string.Concat(normal.Split('\n').Select(line => (IsComment(line) ? line.TrimStart() : line.Trim()) + "\n"));

        // A PuTTY key's check sum covers its comment as it stands.
        bool IsComment(string line) => isPutty && line.AsSpan().TrimStart().StartsWith("Comment:", StringComparison.Ordinal);
    }

    private static string Strip(string text) => text.Trim().Trim('\uFEFF', '\u200B').Trim();

    private static Text? NoKey(string normal) =>
        normal switch
        {
            _ when normal.StartsWith("-----BEGIN ", StringComparison.Ordinal)
                    || normal.StartsWith("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY", StringComparison.Ordinal)
                    || normal.StartsWith("PuTTY-User-Key-File-", StringComparison.Ordinal) => null,
            _ when normal.StartsWith("ssh-", StringComparison.Ordinal)
                    || normal.StartsWith("ecdsa-", StringComparison.Ordinal)
                    || normal.StartsWith("---- BEGIN SSH2 PUBLIC KEY", StringComparison.Ordinal) => new Text(
                "私钥无法读取：这是公钥",
                "This is a public key; the private key is needed"
            ),
            _ => new Text(
                "私钥无法读取：应以 -----BEGIN 开头（也可以是 PuTTY 或 ssh.com 的私钥）",
                "This is no private key: it would begin with -----BEGIN, or be one of PuTTY or ssh.com"
            ),
        };

    // Of a key of OpenSSH's own form (its PROTOCOL.key): the cipher, the hash and its options, each behind its length; of bcrypt the salt and the rounds.
    private static uint? Rounds(string base64)
    {
        byte[] key;
        try
        {
            key = Convert.FromBase64String(base64);
        }
        catch (FormatException)
        {
            // The reader says that it is none.
            return null;
        }

        var magic = "openssh-key-v1\0"u8;
        if (!key.AsSpan().StartsWith(magic)) return null;
        var rest = key.AsSpan(magic.Length);
        return TryTake(ref rest, out _)
            && TryTake(ref rest, out var hash)
            && hash.SequenceEqual("bcrypt"u8)
            && TryTake(ref rest, out var options)
            && TryTake(ref options, out _)
            && BinaryPrimitives.TryReadUInt32BigEndian(options, out var rounds)
            ? rounds
            : null;
    }

    private static bool TryTake(ref Span<byte> rest, out Span<byte> value)
    {
        value = default;
        if (!BinaryPrimitives.TryReadUInt32BigEndian(rest, out var length) || length > rest.Length - 4) return false;
        value = rest.Slice(4, (int)length);
        rest = rest[(4 + (int)length)..];
        return true;
    }

    [GeneratedRegex("-----BEGIN OPENSSH PRIVATE KEY-----(?<data>[^-]*)", RegexOptions.CultureInvariant)]
    private static partial Regex OpenSshBlock();

    [GeneratedRegex(@"^\s*Argon2-(?<what>Memory|Passes|Parallelism):\s*(?<number>[0-9]+)", RegexOptions.Multiline | RegexOptions.CultureInvariant)]
    private static partial Regex ArgonLine();

    private static bool IsLocked(string normal) =>
        normal.StartsWith("-----BEGIN ENCRYPTED", StringComparison.Ordinal)
        || (normal.StartsWith("PuTTY-", StringComparison.Ordinal) && !normal.Contains("\nEncryption: none\n", StringComparison.Ordinal));
}
