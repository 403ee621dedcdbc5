using System.Diagnostics.CodeAnalysis;
using System.Text;
using Codo.Platform.Http;
using Renci.SshNet;
using Renci.SshNet.Common;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>Private keys as people paste them: OpenSSH, PEM (RSA, ECDSA) and PKCS#8, with and without a passphrase; ed25519, RSA and ECDSA.</summary>
internal static class SshKeys
{
    private static readonly Text PassphraseNeeded = new("私钥有口令保护，请填写 passphrase", "The private key is encrypted; its passphrase is needed");

    /// <summary>Reads a key, or says in a sentence why it cannot be used.</summary>
    /// <param name="passphrase">Null or empty for none; one that the key does not need is not looked at.</param>
    public static bool TryRead(string text, string? passphrase, [NotNullWhen(true)] out PrivateKeyFile? key, out Text why)
    {
        key = null;
        why = default;
        // Browsers send CRLF, and people lose the last line end: neither makes another key.
        var normal = text.Replace("\r\n", "\n", StringComparison.Ordinal).Trim() + "\n";
        if (!normal.StartsWith("-----BEGIN ", StringComparison.Ordinal))
        {
            why = normal.StartsWith("ssh-", StringComparison.Ordinal) || normal.StartsWith("ecdsa-", StringComparison.Ordinal)
                ? new Text("私钥无法读取：这是公钥", "This is a public key; the private key is needed")
                : new Text("私钥无法读取：应以 -----BEGIN 开头", "This is no private key: it would begin with -----BEGIN");
            return false;
        }

        // Without a passphrase SSH.NET tries the empty one on PKCS#8, and then speaks of padding.
        if (string.IsNullOrEmpty(passphrase) && normal.StartsWith("-----BEGIN ENCRYPTED", StringComparison.Ordinal))
        {
            why = PassphraseNeeded;
            return false;
        }

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
            why = string.IsNullOrEmpty(passphrase)
                ? new Text($"私钥无法读取：{cause.Message}", $"The private key cannot be read: {cause.Message}")
                : new Text("私钥无法读取：passphrase 不对，或私钥已损坏", "The private key cannot be read: the passphrase is wrong, or the key is damaged");
        }

        return false;
    }
}
