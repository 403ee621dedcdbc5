using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Codo.Platform.Http;

/// <summary>A change that may say to which version of its object it was made; to another one it is refused. Without a version it is made to any.</summary>
public interface IVersioned
{
    /// <summary>From the body, or from <c>If-Match: "7"</c> where the body has none.</summary>
    int? Version { get; set; }
}

internal static class IfMatch
{
    /// <summary>The version that the header names; null where it is absent or <c>*</c>.</summary>
    /// <exception cref="Refusal">It names something else.</exception>
    public static int? Version(HttpContext context)
    {
        if (context.Request.Headers.IfMatch.ToString() is not { Length: > 0 } header) return null;
        if (!EntityTagHeaderValue.TryParse(header.All(char.IsAsciiDigit) ? $"\"{header}\"" : header, out var tag)) throw Wrong();
        if (tag.Equals(EntityTagHeaderValue.Any)) return null;
        var text = tag.Tag.AsSpan().Trim('"');
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var version) && version > 0 ? version : throw Wrong();
    }

    private static Refusal Wrong() => Refusal.Invalid("If-Match 应为一个版本号，例如 \"7\"", "If-Match must be one version, such as \"7\"");
}
