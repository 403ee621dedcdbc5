using System.Globalization;
using System.Text;
using Codo.Platform.Ui;

namespace Codo.Host.Client;

/// <summary>Texts from elsewhere as a terminal can show them, and the columns that they take there.</summary>
internal static class TerminalText
{
    /// <summary>On one line, without anything that moves the cursor or turns the direction: a job's name must not rewrite the screen.</summary>
    public static string OneLine(string text) => DirectionControls.Visible(Name(text));

    /// <summary>A name on one line, as scripts and shells take it: without anything that moves the cursor, and otherwise as it is.</summary>
    public static string Name(string text)
    {
        if (!text.Any(char.IsControl)) return text;
        var line = new StringBuilder(text.Length);
        foreach (var character in text.TrimEnd('\n', '\r'))
            line.Append(char.IsControl(character) ? ' ' : character);
        return line.ToString();
    }

    /// <summary>Output of a command for a terminal: colours, tabs and line ends stay, other control characters are shown as <c>?</c>.</summary>
    public static string Output(string text)
    {
        text = DirectionControls.Visible(text);
        if (!text.Any(IsUnsafe)) return text;
        var shown = new StringBuilder(text.Length);
        for (var place = 0; place < text.Length; place++)
        {
            var character = text[place];
            if (character == '\e' && Color(text, place) is var end and > 0)
            {
                shown.Append(text, place, end - place);
                place = end - 1;
            }
            else
                shown.Append(IsUnsafe(character) ? '?' : character);
        }
        return shown.ToString();
    }

    /// <summary>Columns that the text takes: Chinese, Japanese and Korean characters take two, marks none.</summary>
    public static int Width(string text)
    {
        var width = 0;
        foreach (var rune in text.EnumerateRunes()) width += Width(rune);
        return width;
    }

    /// <summary>The text in at most so many columns, with … where it was cut.</summary>
    public static string Fit(string text, int columns)
    {
        if (Width(text) <= columns) return text;
        var (fitting, width) = (new StringBuilder(), 0);
        foreach (var rune in text.EnumerateRunes())
        {
            if ((width += Width(rune)) > columns - 1) break;
            fitting.Append(rune.ToString());
        }
        return columns < 1 ? "" : fitting.Append('…').ToString();
    }

    /// <summary>The text, filled with blanks to so many columns.</summary>
    public static string Pad(string text, int columns) => text + new string(' ', Math.Max(0, columns - Width(text)));

    private static int Width(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format or UnicodeCategory.Control => 0,
        _ => IsWide(rune.Value) ? 2 : 1,
    };

    // The ranges that East Asian Width (UAX #11) calls wide, as far as names and commands have them.
    private static bool IsWide(int rune) =>
        rune is (>= 0x1100 and <= 0x115F) or (>= 0x2E80 and <= 0xA4CF) or (>= 0xAC00 and <= 0xD7A3) or (>= 0xF900 and <= 0xFAFF) or (>= 0xFE30 and <= 0xFE6F)
            or (>= 0xFF00 and <= 0xFF60) or (>= 0xFFE0 and <= 0xFFE6) or (>= 0x1F300 and <= 0x1F64F) or (>= 0x1F900 and <= 0x1F9FF)
            or (>= 0x20000 and <= 0x3FFFD);

    private static bool IsUnsafe(char character) => char.IsControl(character) && character is not ('\n' or '\t');

    // The end of a colour that begins here, ESC [ digits and semicolons m; 0 where there is none.
    private static int Color(string text, int place)
    {
        if (place + 1 >= text.Length || text[place + 1] != '[') return 0;
        var end = place + 2;
        while (end < text.Length && (char.IsAsciiDigit(text[end]) || text[end] == ';')) end++;
        return end < text.Length && text[end] == 'm' ? end + 1 : 0;
    }
}
