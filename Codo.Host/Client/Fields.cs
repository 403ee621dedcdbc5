using System.Globalization;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary>Reads fields of answers as text: the API writes some numbers as text and some texts as null.</summary>
internal static class Fields
{
    /// <summary>The field as text; empty where it is absent or null. A list is its items with commas.</summary>
    public static string Text(this JsonNode? node, string name) => AsText((node as JsonObject)?[name]);

    public static string AsText(this JsonNode? value) => value switch
    {
        null => "",
        JsonArray list => string.Join(",", list.Select(AsText)),
        JsonValue single when single.TryGetValue<string>(out var text) => text,
        JsonValue single when single.TryGetValue<bool>(out var yes) => yes ? "true" : "false",
        _ => value.ToJsonString(),
    };

    public static long? Number(this JsonNode? node, string name) =>
        long.TryParse(node.Text(name), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;

    public static bool IsTrue(this JsonNode? node, string name) => node.Text(name) == "true";

    public static IEnumerable<JsonObject> Rows(this JsonNode? node, string name) => ((node as JsonObject)?[name] as JsonArray ?? []).OfType<JsonObject>();

    public static IEnumerable<string> Texts(this JsonNode? node, string name) => ((node as JsonObject)?[name] as JsonArray ?? []).Select(AsText);

    /// <summary>Seconds as people say them: 3.2s, 4m10s, 2h05m.</summary>
    public static string Seconds(string text) =>
        !double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds) ? ""
        : seconds < 60 ? string.Create(CultureInfo.InvariantCulture, $"{seconds:0.#}s")
        : seconds < 3600 ? string.Create(CultureInfo.InvariantCulture, $"{(int)seconds / 60}m{(int)seconds % 60:00}s")
        : string.Create(CultureInfo.InvariantCulture, $"{(int)(seconds / 3600)}h{(int)(seconds / 60) % 60:00}m");
}
