using System.Text;
using Codo.Platform.Localization;

namespace Codo.Platform.Data;

/// <summary>
/// Text that came from outside and is going to be stored: what a host, a gateway, a token, a message or an exception says. A NUL or half a surrogate pair in
/// it would make PostgreSQL or its driver refuse the row for ever, and control characters would reach terminals and pages.
/// </summary>
public static class OutsideText
{
    /// <summary>Characters that are kept of a text when its user says nothing else.</summary>
    public const int DefaultMost = 4000;

    private const char NulPicture = '␀', Unreadable = '\uFFFD';

    /// <summary>
    /// What PostgreSQL can hold, and nothing else changed: for output, whose colours and whose length are its own. NUL becomes ␀, half a surrogate pair
    /// U+FFFD.
    /// </summary>
    public static string Storable(string text) => IsClean(text, StorableLetter) ? text : Clean(text, int.MaxValue, StorableLetter);

    /// <summary>Cleans both languages of a sentence that quotes somebody.</summary>
    public static Text Clean(Text text) => new(Clean(text.Zh), Clean(text.En));

    /// <summary>
    /// Control characters become their pictures (␀, ␛), halves of surrogate pairs U+FFFD; line ends (CRLF as LF) and tabs stay. What is longer than <paramref
    /// name="most"/> is cut, and ends in "…".
    /// </summary>
    public static string Clean(string? text, int most = DefaultMost)
    {
        if (string.IsNullOrEmpty(text)) return "";
        return text.Length <= most && IsClean(text, Plain) ? text : Clean(text, most, Plain);
    }

    /// <summary>
    /// The first <paramref name="most"/> characters, one fewer where half a surrogate pair would be the last: PostgreSQL's driver refuses such a text.
    /// </summary>
    public static string Head(string text, int most) => text.Length <= most ? text : text[..(char.IsHighSurrogate(text[most - 1]) ? most - 1 : most)];

    /// <summary>The same with "…" where there is more.</summary>
    public static string Cut(string text, int most) => text.Length <= most ? text : Head(text, most) + "…";

    private static string Clean(string text, int most, Func<char, char> plain)
    {
        var clean = new StringBuilder(Math.Min(text.Length, most));
        for (var at = 0; at < text.Length; at++)
        {
            var isPair = char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]);
            if (clean.Length + (isPair ? 2 : 1) > most) return clean.Append('…').ToString();
            if (isPair) clean.Append(text[at++]).Append(text[at]);
            else if (most < int.MaxValue && text[at] == '\r' && at + 1 < text.Length && text[at + 1] == '\n') continue;
            else clean.Append(plain(text[at]));
        }

        return clean.ToString();
    }

    private static bool IsClean(string text, Func<char, char> plain)
    {
        for (var at = 0; at < text.Length; at++)
        {
            if (plain(text[at]) == text[at]) continue;
            if (!char.IsHighSurrogate(text[at]) || at + 1 == text.Length || !char.IsLowSurrogate(text[at + 1])) return false;
            at++;
        }

        return true;
    }

    private static char StorableLetter(char letter) => letter == '\0' ? NulPicture : char.IsSurrogate(letter) ? Unreadable : letter;

    private static char Plain(char letter) => letter switch
    {
        '\t' or '\n' => letter,
        < ' ' => (char)(NulPicture + letter),
        '\u007F' => '␡',
        >= '\u0080' and <= '\u009F' => Unreadable,
        _ when char.IsSurrogate(letter) => Unreadable,
        _ => letter,
    };
}
