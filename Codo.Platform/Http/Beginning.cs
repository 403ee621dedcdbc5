namespace Codo.Platform.Http;

/// <summary>A long text as a list shows it: its beginning. The whole of it is had from the object itself.</summary>
public static class Beginning
{
    /// <summary>Characters that a list shows of a text.</summary>
    public const int Length = 4096;

    /// <summary>The beginning of a long text, with what was left out; a short text as it is.</summary>
    /// <remarks>Sent back in a PUT it is known by its end, and leaves the stored text as it was: a client that edits what a list showed must not cut the rest off.</remarks>
    public static string Of(string text)
    {
        if (text.Length <= Length) return text;
        // Half a surrogate pair is no text.
        var end = char.IsHighSurrogate(text[Length - 1]) ? Length - 1 : Length;
        return $"{text[..end]}… (+{text.Length - end})";
    }
}
