using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;
using YamlDotNet.RepresentationModel;

namespace Codo.Host.Client;

/// <summary>JSON as YAML 1.2 and back. What is written is read as the same again; texts of several lines are written as such.</summary>
internal static class Yaml
{
    /// <summary>An alias that repeats an alias makes a small file large.</summary>
    private const int MostNodes = 200_000;

    public static string Write(JsonNode? node)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture) { NewLine = "\n" };
        var emitter = new Emitter(text, new EmitterSettings(bestIndent: 2, bestWidth: int.MaxValue, isCanonical: false, maxSimpleKeyLength: 1024));
        emitter.Emit(new StreamStart());
        emitter.Emit(new DocumentStart(null, null, true));
        Emit(emitter, node);
        emitter.Emit(new DocumentEnd(true));
        emitter.Emit(new StreamEnd());
        return text.ToString();
    }

    /// <summary>The documents of a YAML file, or of a JSON file, which is YAML too.</summary>
    /// <exception cref="ClientFailure">It is not YAML; the sentence names the line.</exception>
    public static List<JsonNode?> Read(string name, string text)
    {
        try
        {
            var stream = new YamlStream();
            using var reader = new StringReader(text);
            stream.Load(reader);
            var left = MostNodes;
            return [.. stream.Documents.Select(document => Node(document.RootNode, ref left))];
        }
        catch (YamlException failure)
        {
            throw new ClientFailure($"{name}:{failure.Start.Line}: {TerminalText.OneLine((failure.InnerException ?? failure).Message)}");
        }
    }

    private static void Emit(Emitter emitter, JsonNode? node)
    {
        switch (node)
        {
            case JsonObject map:
                emitter.Emit(new MappingStart(null, null, true, map.Count == 0 ? MappingStyle.Flow : MappingStyle.Block));
                foreach (var (name, value) in map)
                {
                    Text(emitter, name);
                    Emit(emitter, value);
                }
                emitter.Emit(new MappingEnd());
                break;
            case JsonArray list:
                var isFlat = list.All(item => item is null or JsonValue) && list.Sum(item => item.AsText().Length) < 80;
                emitter.Emit(new SequenceStart(null, null, true, isFlat ? SequenceStyle.Flow : SequenceStyle.Block));
                foreach (var item in list) Emit(emitter, item);
                emitter.Emit(new SequenceEnd());
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                Text(emitter, value.GetValue<string>());
                break;
            default:
                emitter.Emit(new YamlDotNet.Core.Events.Scalar(null, null, node is null ? "null" : node.ToJsonString(), ScalarStyle.Plain, true, false));
                break;
        }
    }

    private static void Text(Emitter emitter, string text)
    {
        // A literal block cannot hold control characters, and loses what it begins with where that is a blank.
        var style =
            text.Contains('\n') && !text.StartsWith(' ') && !text.StartsWith('\n') && !text.Any(character => char.IsControl(character) && character != '\n')
                ? ScalarStyle.Literal
            : text.Any(char.IsControl) ? ScalarStyle.DoubleQuoted
            : IsAmbiguous(text) ? ScalarStyle.SingleQuoted
            : ScalarStyle.Any;
        emitter.Emit(new YamlDotNet.Core.Events.Scalar(null, null, text, style, true, true));
    }

    // What another reader would take for a number, a truth value, nothing, or (YAML 1.1) yes and no.
    private static bool IsAmbiguous(string text) =>
        text.Length == 0
        || text is "~" or "=" or "<<"
        || Plain(text) is not { } value
        || value.GetValueKind() != JsonValueKind.String
        || text.ToUpperInvariant() is "YES" or "NO" or "ON" or "OFF" or "Y" or "N" or "TRUE" or "FALSE" or "NULL"

            || char.IsAsciiDigit(text[0])
            && text.All(character => char.IsAsciiDigit(character) || character is '.' or ':' or '_' or 'e' or 'E' or 'x' or '-' or '+');

    private static JsonNode? Node(YamlNode node, ref int left)
    {
        if (--left < 0) throw new YamlException(node.Start, node.End, "it is too large");
        switch (node)
        {
            case YamlMappingNode map:
                var fields = new JsonObject();
                foreach (var (key, value) in map.Children)
                    fields[(key as YamlScalarNode)?.Value ?? throw new YamlException(key.Start, key.End, "a name is no text")] = Node(value, ref left);
                return fields;
            case YamlSequenceNode list:
                var items = new JsonArray();
                foreach (var item in list) items.Add(Node(item, ref left));
                return items;
            case YamlScalarNode { Style: ScalarStyle.Plain } scalar:
                return Plain(scalar.Value ?? "");
            default:
                return JsonValue.Create(((YamlScalarNode)node).Value ?? "");
        }
    }

    private static JsonValue? Plain(string text) => text switch
    {
        "" or "~" or "null" or "Null" or "NULL" => null,
        "true" or "True" or "TRUE" => JsonValue.Create(true),
        "false" or "False" or "FALSE" => JsonValue.Create(false),
        _ when (text[0] is '-' or '+' || char.IsAsciiDigit(text[0]))
            && long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) => JsonValue.Create(number),
        _ when (text[0] is '-' or '.' || char.IsAsciiDigit(text[0]))
            && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            // JSON has no infinity: 7e12345 is part of a hash.
            && double.IsFinite(number) => JsonValue.Create(number),
        _ => JsonValue.Create(text),
    };
}
