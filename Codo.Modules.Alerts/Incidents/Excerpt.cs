using System.Text;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>Cuts and cleans what commands and receivers have said. PostgreSQL refuses NUL and half characters, and one text that cannot be stored would stop every alert behind it.</summary>
internal static class Excerpt
{
    private const int Lines = 20, MostCharacters = 3000;

    /// <summary>The end of an output, as a message shows it.</summary>
    public static string Tail(string output)
    {
        var text = string.Join('\n', output.ReplaceLineEndings("\n").TrimEnd('\n').Split('\n').TakeLast(Lines));
        if (text.Length <= MostCharacters) return text;
        var from = text.Length - MostCharacters;
        return "…" + text[(char.IsLowSurrogate(text[from]) ? from + 1 : from)..];
    }

    /// <summary>The beginning of a text; a mark says that there was more.</summary>
    public static string Head(string text, int most) => text.Length <= most ? text : text[..(char.IsHighSurrogate(text[most - 1]) ? most - 1 : most)] + "…";

    /// <summary>The text without NUL, and with a mark in the place of each half character.</summary>
    public static string Storable(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)).Replace("\0", "", StringComparison.Ordinal);
}
