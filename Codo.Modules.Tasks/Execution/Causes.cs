using Codo.Platform.Data;
using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// Sentences that are stored in one column and read later in either language. The languages are separated by U+001E, several causes by U+001F; neither can be
/// part of a sentence. A text that is the same in both begins with U+001E. Rows of version 0.1.0 have " / " between the languages.
/// </summary>
internal static class Causes
{
    private const char Languages = '\u001E', Sentences = '\u001F';
    private const string OldSeparator = " / ";

    /// <summary>As it is stored.</summary>
    public static string Both(this Text text) =>
        text.Zh == text.En ? (text.Zh.Length == 0 ? "" : Languages + Plain(text.Zh)) : Plain(text.Zh) + Languages + Plain(text.En);

    /// <summary>Both causes, one behind the other, as they are stored.</summary>
    public static string And(this string stored, Text more) => stored.Length == 0 ? more.Both() : stored + Sentences + more.Both();

    /// <summary>The two languages of what is stored.</summary>
    public static Text Apart(string stored)
    {
        var parts = stored.Split(Sentences).Select(One).ToList();
        return parts.Count == 1 ? parts[0] : new Text(string.Join('；', parts.Select(part => part.Zh)), string.Join("; ", parts.Select(part => part.En)));
    }

    /// <summary>Both languages for a reader whose language is not known: a line of a log.</summary>
    public static string Shown(string stored) => Apart(stored).Side();

    /// <summary>Both languages side by side.</summary>
    public static string Side(this Text text) => text.Zh == text.En ? text.Zh : text.Zh + OldSeparator + text.En;

    private static Text One(string stored)
    {
        var at = stored.IndexOf(Languages, StringComparison.Ordinal);
        if (at == 0) return Text.Same(stored[1..]);
        if (at > 0) return new Text(stored[..at], stored[(at + 1)..]);
        var halves = stored.Split(OldSeparator);
        return halves.Length == 2 ? new Text(halves[0], halves[1]) : Text.Same(stored);
    }

    private static string Plain(string text) => OutsideText.Clean(text).Replace(Languages, ' ').Replace(Sentences, ' ');
}
