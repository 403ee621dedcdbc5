using System.Text;

namespace Codo.Platform.Data;

/// <summary>Text from outside (another program, a host, an exception) as PostgreSQL can store it.</summary>
public static class StorableText
{
    /// <summary>The text without NUL, and with U+FFFD in the place of each half of a surrogate pair: PostgreSQL refuses both, and the statement with them.</summary>
    public static string Clean(string text)
    {
        for (var i = 0; i < text.Length; i++)
            if (text[i] == '\0' || char.IsSurrogate(text[i])) return Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)).Replace("\0", "", StringComparison.Ordinal);
        return text;
    }
}
