using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Codo.Host.Accounts;

/// <summary>
/// What ties a sign-in through the browser to the terminal that began it (RFC 7636): the terminal keeps a verifier and shows the browser its digest alone.
/// </summary>
internal static partial class TerminalChallenge
{
    private const string Letters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

    /// <summary>A new verifier: 256 bits in base64url.</summary>
    public static string NewVerifier() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));

    /// <summary>The digest that the browser is shown.</summary>
    public static string Of(string verifier) => Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(verifier)));

    /// <summary>What the terminal and the browser show, for a person to compare: it follows from the challenge, so that no link can choose it.</summary>
    public static string CodeOf(string challenge)
    {
        var digest = SHA256.HashData(Encoding.ASCII.GetBytes("code of " + challenge));
        return string.Concat(digest.Take(8).Select(one => Letters[one % Letters.Length])).Insert(4, "-");
    }

    /// <summary>Whether a text has the form of a challenge.</summary>
    public static bool IsOne(string? text) => text is not null && Form().IsMatch(text);

    [GeneratedRegex(@"\A[A-Za-z0-9_-]{43}\z")]
    private static partial Regex Form();
}
