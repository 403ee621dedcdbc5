using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// Reads what clients send for <c>hosts</c>, <c>args</c> and <c>associated_user</c>: an object, JSON text, or a Python literal in text. All three become
/// one JSON value. Nothing is evaluated; what is none of the three is refused.
/// </summary>
internal static class PythonLiteral
{
    /// <summary>The longest text that is read, in characters.</summary>
    public const int MaxLength = 1 << 20;

    /// <summary>How deep dicts, lists and tuples may stand in each other; the outermost is the first.</summary>
    public const int MaxDepth = 32;

    internal static readonly Text Expected = new("应为对象、JSON 文本或 Python 字典文本", "must be an object, JSON text, or the text of a Python dict");
    internal static readonly Text BadUnicode = new("含有无效的 Unicode 字符或 NUL", "holds invalid Unicode or NUL");
    internal static readonly Text TooDeep = new($"嵌套超过 {MaxDepth} 层", $"is nested more than {MaxDepth} deep");
    internal static readonly Text NumberTooLarge = new("数字过大", "holds a number that is too large");

    // Longer ones fit no number that anything behind here can hold.
    internal const int MaxDigits = 64;

    /// <summary>
    /// Reads an object or a list, or a text that holds one. Keys become strings, tuples lists; of a key that is there twice the last value counts.
    /// </summary>
    /// <param name="element">The field as it came in the body.</param>
    /// <param name="value">The value when the answer is true; never a bare number, string or null.</param>
    /// <param name="why">What is wrong, without the field's name, when the answer is false.</param>
    public static bool TryParse(JsonElement element, out JsonNode? value, out Text why)
    {
        value = null;
        if (element.ValueKind == JsonValueKind.String)
        {
            if (TryText(element.GetString, out var text))
                return TryParse(text, out value, out why);
            why = BadUnicode;
            return false;
        }

        if (element.ValueKind is JsonValueKind.Object or JsonValueKind.Array)
            return TryCopy(element, 1, out value, out why);
        why = Expected;
        return false;
    }

    /// <summary>The same for a text.</summary>
    public static bool TryParse(string text, out JsonNode? value, out Text why)
    {
        value = null;
        if (text.Length > MaxLength)
        {
            why = new($"超过 {MaxLength} 个字符", $"is longer than {MaxLength} characters");
            return false;
        }

        if (!IsWellFormed(text))
        {
            why = BadUnicode;
            return false;
        }

        // JSON first, by the reader that reads bodies: "\/" and surrogate pairs mean in JSON what they do not in Python.
        try
        {
            using var document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = MaxDepth });

            // A JSON text inside a JSON text is no value of its own: "\"{}\"" is a string, and refused.
            why = Expected;
            return document.RootElement.ValueKind is JsonValueKind.Object or JsonValueKind.Array && TryCopy(document.RootElement, 1, out value, out why);
        }
        catch (JsonException)
        {
            return new PythonReader(text).TryRead(out value, out why);
        }
    }

    /// <summary>The same for what must be an object (a dict).</summary>
    public static bool TryParseObject(JsonElement element, out JsonObject? value, out Text why)
    {
        value = null;
        if (!TryParse(element, out var node, out why))
            return false;
        value = node as JsonObject;
        if (value is null)
            why = Expected;
        return value is not null;
    }

    private static bool TryCopy(JsonElement element, int depth, out JsonNode? value, out Text why)
    {
        value = null;
        why = default;
        switch (element.ValueKind)
        {
            case JsonValueKind.Object or JsonValueKind.Array when depth > MaxDepth:
                why = TooDeep;
                return false;
            case JsonValueKind.Object:
                var members = new JsonObject();
                foreach (var property in element.EnumerateObject())
                {
                    if (!TryText(() => property.Name, out var name))
                    {
                        why = BadUnicode;
                        return false;
                    }

                    if (!TryCopy(property.Value, depth + 1, out var member, out why))
                        return false;
                    members[name] = member;
                }

                value = members;
                return true;
            case JsonValueKind.Array:
                var items = new JsonArray();
                foreach (var each in element.EnumerateArray())
                {
                    if (!TryCopy(each, depth + 1, out var item, out why))
                        return false;
                    items.Add(item);
                }

                value = items;
                return true;
            case JsonValueKind.String:
                if (!TryText(element.GetString, out var text))
                {
                    why = BadUnicode;
                    return false;
                }

                value = JsonValue.Create(text);
                return true;
            case JsonValueKind.Number:
                if (!TryNumber(element.GetRawText(), out value))
                    why = NumberTooLarge;
                return value is not null;
            case JsonValueKind.True or JsonValueKind.False:
                value = JsonValue.Create(element.GetBoolean());
                return true;
            default:
                return true;
        }
    }

    private static bool TryText(Func<string?> read, out string text)
    {
        try
        {
            text = read()!;
            return !text.Contains('\0', StringComparison.Ordinal);
        }
        catch (InvalidOperationException)
        {
            // How the reader says that an escape leaves half a surrogate pair.
            text = "";
            return false;
        }
    }

    // The digits are kept as they were written: a long or a double in between would change large and exact ones.
    internal static bool TryNumber(string json, out JsonNode? value)
    {
        value = json.Length <= MaxDigits && double.IsFinite(double.Parse(json, NumberStyles.Float, CultureInfo.InvariantCulture)) ? JsonNode.Parse(json) : null;
        return value is not null;
    }

    internal static bool IsWellFormed(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\0' || char.IsLowSurrogate(text[i]))
                return false;
            if (char.IsHighSurrogate(text[i]) && (++i == text.Length || !char.IsLowSurrogate(text[i])))
                return false;
        }

        return true;
    }
}
