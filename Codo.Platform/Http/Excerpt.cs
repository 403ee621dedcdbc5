using System.Globalization;
using System.Text.RegularExpressions;

namespace Codo.Platform.Http;

/// <summary>A long text as a list shows it: its first characters and how many were left out. The whole of it is had from the object itself.</summary>
public static partial class Excerpt
{
    /// <summary>Characters that a list shows of a text.</summary>
    public const int Length = 4096;

    /// <summary>The beginning of a long text, a short one as it is. Characters are counted as PostgreSQL does, one for a surrogate pair.</summary>
    public static string Of(string text)
    {
        if (text.IsWithin(Length)) return text;
        var end = 0;
        foreach (var rune in text.EnumerateRunes().Take(Length)) end += rune.Utf16SequenceLength;
        return string.Create(CultureInfo.InvariantCulture, $"{text[..end]}… (+{text[end..].EnumerateRunes().Count()})");
    }

    /// <summary>
    /// Whether what was sent is the beginning of a stored text as a list showed it. Such a value leaves the text as it was: a client that edits what a list
    /// showed must not cut the rest off.
    /// </summary>
    public static bool Is(string? sent, string stored) =>
        sent is not null && sent.Length > Length && stored.Length > Length && Cut().IsMatch(sent) && sent == Of(stored);

    [GeneratedRegex(@"… \(\+[0-9]+\)\z", RegexOptions.CultureInvariant)]
    private static partial Regex Cut();
}
