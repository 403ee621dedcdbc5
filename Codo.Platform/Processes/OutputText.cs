using System.Text;
using Codo.Platform.Data;

namespace Codo.Platform.Processes;

/// <summary>What a command wrote, as text that a database and a page can take.</summary>
public static class OutputText
{
    /// <summary>UTF-8 with invalid bytes replaced by U+FFFD and NUL by ␀.</summary>
    public static string Decode(ReadOnlySpan<byte> bytes) => OutsideText.Storable(Encoding.UTF8.GetString(bytes));

    /// <summary>How many bytes at the end are the beginning of a character whose rest is missing: 0 to 3.</summary>
    public static int IncompleteEnd(ReadOnlySpan<byte> bytes)
    {
        for (var back = 1; back <= Math.Min(3, bytes.Length); back++)
        {
            var lead = bytes[^back];
            if ((lead & 0b1100_0000) == 0b1000_0000) continue;
            var length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
            return length > back ? back : 0;
        }

        return 0;
    }

    /// <summary>How many bytes at the beginning are the rest of a character whose beginning is missing: 0 to 3.</summary>
    public static int OrphanedStart(ReadOnlySpan<byte> bytes)
    {
        var orphans = 0;
        while (orphans < Math.Min(3, bytes.Length) && (bytes[orphans] & 0b1100_0000) == 0b1000_0000) orphans++;
        return orphans;
    }
}
