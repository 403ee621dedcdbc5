using System.Buffers;
using System.Text;

namespace Codo.Platform.Security;

public delegate void TakeBytes(ReadOnlySpan<byte> bytes);

/// <summary>
/// Replaces secrets in a stream of bytes, however reads cut it: as they are, URL-encoded in either way and case, each line of one that has several, and in
/// <see cref="SecretForms"/>.
/// Where secrets overlap, all that any of them covers is replaced.
/// </summary>
/// <remarks>Holds back only what may be the beginning of a secret. Not for several threads at once.</remarks>
public sealed class SecretMask
{
    /// <summary>A shorter value is not masked: it would hit words that are no secrets, and say by that what it is.</summary>
    public const int LeastLength = 6;

    private readonly Dictionary<byte, byte[][]> forms;
    private readonly SearchValues<byte> beginnings;
    private byte[] held = [];
    // How many of the held bytes belong to a secret that was already written as the mask.
    private int heldMasked;

    public SecretMask(IEnumerable<string> secrets)
    {
        forms = secrets
            .SelectMany(Forms)
            .Distinct(StringComparer.Ordinal)
            .Select(Encoding.UTF8.GetBytes)
            .GroupBy(form => form[0])
            .ToDictionary(group => group.Key, group => group.ToArray());
        beginnings = SearchValues.Create([.. forms.Keys]);
    }

    private static ReadOnlySpan<byte> Mask => "******"u8;

    /// <summary>Passes on what is certain by now.</summary>
    public void Append(ReadOnlySpan<byte> bytes, TakeBytes take)
    {
        if (forms.Count == 0) take(bytes);
        else Go(held.Length == 0 ? bytes : [.. held, .. bytes], ended: false, take);
    }

    /// <summary>Nothing more comes: passes on what was held back.</summary>
    public void Complete(TakeBytes take) => Go(held, ended: true, take);

    private void Go(ReadOnlySpan<byte> bytes, bool ended, TakeBytes take)
    {
        var at = 0;
        var shown = heldMasked;
        while (at < bytes.Length)
        {
            var next = bytes[at..].IndexOfAny(beginnings);
            at = next < 0 ? bytes.Length : at + next;
            if (next < 0) break;
            if (Match(bytes[at..], ended) is not { } length) break;
            if (length > 0)
            {
                if (at >= shown)
                {
                    take(bytes[shown..at]);
                    take(Mask);
                }

                shown = Math.Max(shown, at + length);
            }

            at++;
        }

        if (at > shown) take(bytes[shown..at]);
        held = bytes[at..].ToArray();
        heldMasked = Math.Max(0, shown - at);
    }

    /// <summary>The length of the longest secret that begins here, 0 for none, null when that depends on what comes next.</summary>
    private int? Match(ReadOnlySpan<byte> bytes, bool ended)
    {
        var longest = 0;
        foreach (var form in forms[bytes[0]])
        {
            if (bytes.StartsWith(form)) longest = Math.Max(longest, form.Length);
            else if (!ended && form.AsSpan().StartsWith(bytes)) return null;
        }

        return longest;
    }

    private static IEnumerable<string> Forms(string secret)
    {
        var lines = secret.ReplaceLineEndings("\n").Split('\n');
        string[] whole =
        [
            .. new[] { secret, secret.ReplaceLineEndings("\n"), secret.ReplaceLineEndings("\r\n") }
                .Select(text => text.TrimEnd('\r', '\n'))
                .Distinct(StringComparer.Ordinal),
        ];
        foreach (var text in whole.Concat(lines.Select(line => line.Trim())).Where(text => text.Length >= LeastLength))
        {
            yield return text;
            // A secret cannot hold half a surrogate pair: it came as JSON and was checked.
            var percent = Uri.EscapeDataString(text);
            var form = percent.Replace("%20", "+", StringComparison.Ordinal);
            foreach (var encoded in new[] { percent, form })
            {
                yield return encoded;
                yield return LowerHex(encoded);
            }
        }

        foreach (var encoded in whole.Where(text => text.Length >= LeastLength).SelectMany(SecretForms.Of)) yield return encoded;
    }

    private static string LowerHex(string encoded)
    {
        var letters = encoded.ToCharArray();
        for (var at = 0; at + 2 < letters.Length; at++)
            if (letters[at] == '%')
                (letters[at + 1], letters[at + 2]) = (char.ToLowerInvariant(letters[at + 1]), char.ToLowerInvariant(letters[at + 2]));
        return new string(letters);
    }
}
