using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Codo.Modules.Tasks.Layout;

/// <summary>A batch is sent as <c>5</c>, <c>"5"</c> or <c>"20%"</c>, and means the same each time.</summary>
internal sealed class NumberOrText : JsonConverter<string>
{
    public override string? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.TokenType switch
    {
        JsonTokenType.Number when reader.TryGetInt32(out var number) => number.ToString(CultureInfo.InvariantCulture),
        JsonTokenType.String => reader.GetString(),
        _ => throw new JsonException("a number or a percentage"),
    };

    public override void Write(Utf8JsonWriter writer, string value, JsonSerializerOptions options) => writer.WriteStringValue(value);
}
