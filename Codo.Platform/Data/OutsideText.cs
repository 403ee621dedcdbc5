using System.Text;

namespace Codo.Platform.Data;

/// <summary>
/// Text that came from outside and is going to be stored: what a host, a gateway, a token, a message or an exception says. A NUL or half a surrogate pair in it would make PostgreSQL
/// or its driver refuse the row for ever, and control characters would reach terminals and pages.
/// </summary>
public static class OutsideText
{
    /// <summary>Characters that are kept of a text when its user says nothing else.</summary>
    public const int DefaultMost = 4000;

    /// <summary>
    /// Control characters become their pictures (␀, ␛), halves of surrogate pairs U+FFFD; line ends (CRLF as LF) and tabs stay. What is longer than <paramref name="most"/> is cut, and ends in "…".
    /// </summary>
    public static string Clean(string? text, int most = DefaultMost)
    {
        if (string.IsNullOrEmpty(text)) return "";
        if (text.Length <= most && IsClean(text)) return text;
        var clean = new StringBuilder(Math.Min(text.Length, most));
        for (var at = 0; at < text.Length; at++)
        {
            var isPair = char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]);
            if (clean.Length + (isPair ? 2 : 1) > most) return clean.Append('…').ToString();
            if (isPair) clean.Append(text[at++]).Append(text[at]);
            else if (text[at] == '\r' && at + 1 < text.Length && text[at + 1] == '\n') continue;
            else clean.Append(Plain(text[at]));
        }

        return clean.ToString();
    }

    private static bool IsClean(string text)
    {
        for (var at = 0; at < text.Length; at++)
        {
            if (Plain(text[at]) == text[at]) continue;
            if (!char.IsHighSurrogate(text[at]) || at + 1 == text.Length || !char.IsLowSurrogate(text[at + 1])) return false;
            at++;
        }

        return true;
    }

    private static char Plain(char letter) => letter switch
    {
        '\t' or '\n' => letter,
        < ' ' => (char)('␀' + letter),
        '\u007F' => '␡',
        >= '\u0080' and <= '\u009F' => '\uFFFD',
        _ when char.IsSurrogate(letter) => '\uFFFD',
        _ => letter,
    };
}
