using Codo.Platform.Data;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>Cuts what commands and receivers have said, never within a character.</summary>
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
    public static string Head(string text, int most) => OutsideText.Cut(text, most);
}
