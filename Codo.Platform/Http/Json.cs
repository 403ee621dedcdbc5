using System.Globalization;
using System.Numerics;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Codo.Platform.Localization;

namespace Codo.Platform.Http;

/// <summary>How bodies and answers are read and written: snake_case, Chinese unescaped, numbers also as digits in text.</summary>
public static class Json
{
    /// <summary>The one set of options, for requests and answers alike.</summary>
    public static JsonSerializerOptions Options(Zone zone) => new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        PropertyNameCaseInsensitive = false,
        // Answers are JSON and served as such with nosniff: Chinese and quotes need no escaping for a page.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new PlainText(), new PlainElement(), new Digits<int>(), new Digits<long>(), new YesNo(), new ZonedDateTimeConverter(zone) },
    };

    /// <summary>Options for what is stored as jsonb or compared by machines: no zone, no leniency.</summary>
    public static readonly JsonSerializerOptions Stored = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };
}

/// <summary>Text that PostgreSQL can hold: no NUL, no half of a surrogate pair.</summary>
internal sealed class PlainText : JsonConverter<string>
{
    public override string? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.Null) return null;
        if (reader.TokenType != JsonTokenType.String) throw new JsonException("text");
        string text;
        try
        {
            text = reader.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw new JsonException("text");
        }
        return text.Contains('\0', StringComparison.Ordinal) ? throw new JsonException("text") : text;
    }

    public override void Write(Utf8JsonWriter writer, string value, JsonSerializerOptions options) => writer.WriteStringValue(value);

    public override string ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetString()!;

    public override void WriteAsPropertyName(Utf8JsonWriter writer, string value, JsonSerializerOptions options) => writer.WritePropertyName(value);
}

/// <summary>Free JSON within a body: the same of every text and name in it, so that whoever reads them later meets no surprise.</summary>
internal sealed class PlainElement : JsonConverter<JsonElement>
{
    public override JsonElement Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var element = JsonElement.ParseValue(ref reader);
        try
        {
            return IsPlain(element) ? element : throw new JsonException("text");
        }
        catch (InvalidOperationException)
        {
            throw new JsonException("text");
        }
    }

    public override void Write(Utf8JsonWriter writer, JsonElement value, JsonSerializerOptions options) => value.WriteTo(writer);

    private static bool IsPlain(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String => !element.GetString()!.Contains('\0', StringComparison.Ordinal),
        JsonValueKind.Array => element.EnumerateArray().All(IsPlain),
        JsonValueKind.Object => element.EnumerateObject().All(member => !member.Name.Contains('\0', StringComparison.Ordinal) && IsPlain(member.Value)),
        _ => true,
    };
}

/// <summary>A number, also as digits in text.</summary>
internal sealed class Digits<T> : JsonConverter<T> where T : struct, IBinaryInteger<T>, IMinMaxValue<T>
{
    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType switch
        {
            JsonTokenType.Number
                when reader.TryGetInt64(out var number) && number >= long.CreateChecked(T.MinValue) && number <= long.CreateChecked(T.MaxValue) =>
                T.CreateChecked(number),
            JsonTokenType.String when T.TryParse(reader.GetString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) => number,
            _ => throw new JsonException("number"),
        };

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteNumberValue(long.CreateChecked(value));
}

internal sealed class YesNo : JsonConverter<bool>
{
    public override bool Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.TokenType switch
    {
        JsonTokenType.True => true,
        JsonTokenType.False => false,
        JsonTokenType.Number when reader.TryGetInt32(out var number) && number is 0 or 1 => number == 1,
        JsonTokenType.String when bool.TryParse(reader.GetString(), out var yes) => yes,
        JsonTokenType.String when reader.GetString() is "0" or "1" => reader.GetString() == "1",
        _ => throw new JsonException("true or false"),
    };

    public override void Write(Utf8JsonWriter writer, bool value, JsonSerializerOptions options) => writer.WriteBooleanValue(value);
}
