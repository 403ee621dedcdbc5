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

    private readonly SecretTable table;
    private byte[] held = [];
    // How many of the held bytes belong to a secret that was already written as the mask.
    private int heldMasked;

    public SecretMask(IEnumerable<string> secrets) => table = SecretTable.Of([.. secrets]);

    /// <summary>What it looks for: masks of the same secrets share it.</summary>
    internal SecretTable Table => table;

    /// <summary>How often a form was held against the output: of a bounded number for each byte, however many secrets begin alike.</summary>
    internal long Compared { get; private set; }

    private static ReadOnlySpan<byte> Mask => "******"u8;

    /// <summary>Passes on what is certain by now.</summary>
    public void Append(ReadOnlySpan<byte> bytes, TakeBytes take)
    {
        if (table.Forms.Length == 0) take(bytes);
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
            var next = bytes[at..].IndexOfAny(table.Beginnings);
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
        var (forms, places) = (table.Forms, table.Places);
        // The first form behind the bytes in order. What they begin with stands before it, and what they may be the beginning of is it.
        var (low, high) = (places[bytes[0]], places[bytes[0] + 1]);
        while (low < high)
        {
            Compared++;
            var middle = (low + high) / 2;
            if (forms[middle].AsSpan().SequenceCompareTo(bytes) <= 0) low = middle + 1;
            else high = middle;
        }

        if (!ended && low < forms.Length && forms[low].AsSpan().StartsWith(bytes)) return null;
        var before = low - 1;
        if (before < places[bytes[0]]) return 0;
        var common = bytes.CommonPrefixLength(forms[before]);
        Compared++;
        while (before >= 0 && forms[before].Length > common)
        {
            Compared++;
            before = table.Shorter[before];
        }

        return before < 0 ? 0 : forms[before].Length;
    }
}
