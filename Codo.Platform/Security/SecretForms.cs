using System.Globalization;
using System.Text;

namespace Codo.Platform.Security;

/// <summary>
/// The forms in which programs commonly print a text that they were given: base64, hexadecimal, and quoted for JSON, HTML, Python and a shell.
/// </summary>
internal static class SecretForms
{
    /// <summary>A shorter piece would hit what is no secret.</summary>
    private const int LeastLength = 8;

    /// <summary>As <c>base64</c> (coreutils) and MIME break their lines, and as <c>openssl</c> does.</summary>
    private static readonly int[] Base64Lines = [76, 64];

    /// <summary>Bytes in a line of <c>xxd -p</c>.</summary>
    private const int PlainRow = 30;

    /// <summary>Bytes in a line of <c>od</c>, <c>xxd</c> and <c>hexdump -C</c>; the last leaves two blanks in its middle.</summary>
    private const int DumpRow = 16;

    public static IEnumerable<string> Of(string text) =>
        Base64(text).Concat(Hexadecimal(text)).Where(form => form.Length >= LeastLength).Concat(Quoted(text)).Where(form => form != text);

    // What base64 makes of a text depends on where in its groups of three bytes the text begins, as behind "user:". Letters that others have a part in are left
    // out.
    private static IEnumerable<string> Base64(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var alone = Convert.ToBase64String(bytes);
        foreach (
            var standard in Enumerable
                .Range(0, 3)
                .Select(Within)
                .Append(alone)
                .Append(alone.TrimEnd('='))
                // The last letters are others where more follows, as the line end of echo.
                .Concat(((string[])[alone, Within(0)]).SelectMany(whole => Base64Lines.SelectMany(line => Rows(whole, line))))
        )
        {
            yield return standard;
            yield return standard.Replace('+', '-').Replace('/', '_');
        }

        string Within(int before)
        {
            var encoded = Convert.ToBase64String([.. new byte[before], .. bytes]);
            var first = (before * 8 + 5) / 6;
            return encoded[first..((before + bytes.Length) * 8 / 6)];
        }
    }

    // As xxd -p, xxd, od -tx1 and hexdump -C write it, on one line and on several.
    private static IEnumerable<string> Hexadecimal(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var lower = Convert.ToHexStringLower(bytes);
        foreach (
            var form in (string[])
            [
                lower,
                Grouped(lower, 2, ' '),
                Grouped(lower, 2, ':'),
                Grouped(lower, 4, ' '),
                .. Rows(lower, 2 * PlainRow),
                .. Rows(lower, 2 * DumpRow).Select(row => Grouped(row, 4, ' ')),
            ]
        )
        {
            yield return form;
            yield return form.ToUpperInvariant();
        }

        foreach (var row in Rows(lower, DumpRow)) yield return Grouped(row, 2, ' ');

        // What stands beside a line of xxd and hexdump. Dots alone would hit any dots.
        foreach (var row in Rows(string.Concat(bytes.Select(one => one is >= 0x20 and < 0x7F ? (char)one : '.')), DumpRow))
            if (row.Count(letter => letter != '.') >= LeastLength) yield return row;
    }

    private static string Grouped(string digits, int size, char between) => string.Join(between, digits.Chunk(size).Select(one => new string(one)));

    // None where it is not broken at all.
    private static IEnumerable<string> Rows(string text, int length) =>
        text.Length <= length ? [] : text.Chunk(length).Select(row => new string(row));

    private static IEnumerable<string> Quoted(string text)
    {
        var json = Escaped(text, "\"");
        foreach (var form in new[] { json, json.Replace("/", "\\/", StringComparison.Ordinal) })
        {
            yield return form;
            yield return Ascii(form, upper: false);
            yield return Ascii(form, upper: true);
        }

        // .NET's and Go's JSON escape what HTML gives a meaning to.
        foreach (var upper in (bool[])[false, true])
            yield return Ascii(
                string.Concat(
                    Escaped(text, "").Select(letter => letter is '<' or '>' or '&' or '\'' or '"' or '+' or '`' ? Unicode(letter, upper) : $"{letter}")
                ),
                upper
            );
        yield return string.Concat(json.Select(letter => letter is '<' or '>' or '&' ? Unicode(letter, upper: false) : $"{letter}"));

        // repr(): the quote around it is the one that it does not hold.
        yield return Escaped(text, "");
        yield return Escaped(text, "'");
        yield return string.Concat(Encoding.UTF8.GetBytes(Escaped(text, "'")).Select(one => one < 0x80 ? $"{(char)one}" : $"\\x{one:x2}"));
        yield return string.Concat(Encoding.UTF8.GetBytes(Escaped(text, "")).Select(one => one < 0x80 ? $"{(char)one}" : $"\\x{one:x2}"));

        var html = text.Replace("&", "&amp;", StringComparison.Ordinal)
            .Replace("<", "&lt;", StringComparison.Ordinal)
            .Replace(">", "&gt;", StringComparison.Ordinal);
        yield return html;
        foreach (
            var (doubled, single) in new[]
            {
                ("&quot;", "'"),
                ("&quot;", "&#39;"),
                ("&quot;", "&#x27;"),
                ("&quot;", "&apos;"),
                ("&#34;", "&#39;"),
                ("&quot;", "&#039;"),
            }
        )
            yield return html.Replace("\"", doubled, StringComparison.Ordinal).Replace("'", single, StringComparison.Ordinal);

        // What set -x prints, and as Codo's own lines have it.
        yield return text.Replace("'", "'\\''", StringComparison.Ordinal);
        yield return string.Concat(text.Select(letter => letter is '\'' or '\\' ? $"'\\{letter}'" : $"{letter}"));
    }

    private static string Escaped(string text, string quotes)
    {
        var escaped = new StringBuilder(text.Length);
        foreach (var letter in text)
        {
            escaped.Append(letter switch
            {
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                _ when quotes.Contains(letter) => $"\\{letter}",
                _ => $"{letter}",
            });
        }

        return escaped.ToString();
    }

    private static string Ascii(string text, bool upper) => string.Concat(text.Select(letter => letter < 0x80 ? $"{letter}" : Unicode(letter, upper)));

    private static string Unicode(char letter, bool upper) => "\\u" + ((int)letter).ToString(upper ? "X4" : "x4", CultureInfo.InvariantCulture);
}
