using System.Buffers;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;

namespace Codo.Platform.Security;

/// <summary>
/// The forms of some secrets, as <see cref="SecretMask"/> looks for them. A private key has thousands, and a thousand hosts may need the same ones at once:
/// there is one table for the same secrets, for as long as a mask uses it.
/// </summary>
internal sealed class SecretTable
{
    private static readonly ConcurrentDictionary<string, WeakReference<SecretTable>> Shared = new(StringComparer.Ordinal);

    private SecretTable(IEnumerable<string> secrets)
    {
        Forms = [.. secrets.SelectMany(FormsOf).Distinct(StringComparer.Ordinal).Select(Encoding.UTF8.GetBytes)];
        Array.Sort(Forms, (one, other) => one.AsSpan().SequenceCompareTo(other));
        Shorter = new int[Forms.Length];
        for (var place = 0; place < Forms.Length; place++)
        {
            var before = place - 1;
            while (before >= 0 && !Forms[place].AsSpan().StartsWith(Forms[before])) before = Shorter[before];
            Shorter[place] = before;
            Places[Forms[place][0] + 1] = place + 1;
        }

        for (var first = 1; first < Places.Length; first++) Places[first] = Math.Max(Places[first], Places[first - 1]);
        Beginnings = SearchValues.Create([.. Forms.Select(form => form[0]).Distinct()]);
    }

    /// <summary>
    /// In the order of their bytes. A secret may have thousands of lines that begin alike, and the output may be nothing but such beginnings.
    /// </summary>
    public byte[][] Forms { get; }

    /// <summary>For each form the place of the longest other form that it begins with, or -1.</summary>
    public int[] Shorter { get; }

    /// <summary>For each first byte the place of the first form with it; the next entry is behind the last.</summary>
    public int[] Places { get; } = new int[257];

    public SearchValues<byte> Beginnings { get; }

    /// <summary>The table of these secrets.</summary>
    public static SecretTable Of(IReadOnlyList<string> secrets)
    {
        var key = KeyOf(secrets);
        if (Shared.TryGetValue(key, out var known) && known.TryGetTarget(out var table)) return table;
        foreach (var one in Shared)
            if (!one.Value.TryGetTarget(out _))
                Shared.TryRemove(one);
        table = new SecretTable(secrets);
        Shared[key] = new WeakReference<SecretTable>(table);
        return table;
    }

    // A digest: no secret is held for longer than its table.
    private static string KeyOf(IReadOnlyList<string> secrets)
    {
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var secret in secrets)
        {
            digest.AppendData(BitConverter.GetBytes(secret.Length));
            digest.AppendData(Encoding.Unicode.GetBytes(secret));
        }
        return Convert.ToBase64String(digest.GetHashAndReset());
    }

    private static IEnumerable<string> FormsOf(string secret)
    {
        var lines = secret.ReplaceLineEndings("\n").Split('\n');
        string[] whole =
        [
            .. new[] { secret, secret.ReplaceLineEndings("\n"), secret.ReplaceLineEndings("\r\n") }
                .Select(text => text.TrimEnd('\r', '\n'))
                .Distinct(StringComparer.Ordinal),
        ];
        foreach (var text in whole.Concat(lines.Select(line => line.Trim())).Where(text => text.Length >= SecretMask.LeastLength))
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

        foreach (var encoded in whole.Where(text => text.Length >= SecretMask.LeastLength).SelectMany(SecretForms.Of)) yield return encoded;
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
