using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Net.Http.Headers;

namespace Codo.Platform.Localization;

/// <summary>A sentence for a person, in Chinese and in English. In an answer it is written in the language of the request.</summary>
/// <param name="Zh">Chinese; where the original has a text, the original's.</param>
/// <param name="En">English.</param>
[JsonConverter(typeof(TextConverter))]
public readonly record struct Text(string Zh, string En)
{
    /// <summary>A text that is the same in both languages: a name, a number.</summary>
    public static Text Same(string text) => new(text, text);

    /// <summary>A number of things: <c>3 台</c> and <c>3 hosts</c>, of one <c>1 host</c>.</summary>
    /// <param name="zh">The measure word, and what is counted where it needs to be said.</param>
    /// <param name="en">One of them; its plural ends in s.</param>
    public static Text Count(long number, string zh, string en) => new($"{number} {zh}", number == 1 ? $"1 {en}" : $"{number} {en}s");

    /// <summary>The text in the language of the request under way (<see cref="Language.English"/>).</summary>
    public override string ToString() => Language.English ? En : Zh;
}

/// <summary>The language of the request under way; outside a request it is Chinese.</summary>
public static class Language
{
    private static readonly AsyncLocal<bool> Preferred = new();

    /// <summary>True when the caller prefers English to Chinese (<c>Accept-Language</c>).</summary>
    public static bool English
    {
        get => Preferred.Value;
        set => Preferred.Value = value;
    }

    /// <summary>Whether an <c>Accept-Language</c> value prefers English: the best quality among <c>en</c> beats that among <c>zh</c>.</summary>
    public static bool PrefersEnglish(string? acceptLanguage)
    {
        if (!StringWithQualityHeaderValue.TryParseList([acceptLanguage ?? ""], out var languages)) return false;
        double Best(string language) =>
            languages.Where(value => value.Value.StartsWith(language, StringComparison.OrdinalIgnoreCase)).Max(value => (double?)(value.Quality ?? 1)) ?? 0;
        return Best("en") > Best("zh");
    }
}

internal sealed class TextConverter : JsonConverter<Text>
{
    public override Text Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Text.Same(reader.GetString() ?? "");

    public override void Write(Utf8JsonWriter writer, Text value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}
