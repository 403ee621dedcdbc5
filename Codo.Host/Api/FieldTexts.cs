using System.Collections.Concurrent;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.OpenApi;

namespace Codo.Host.Api;

/// <summary>What a field means: the lines of <c>fields.txt</c>, put into the description of every body, query and answer.</summary>
internal static class FieldTexts
{
    private const string Resource = "Codo.Host.Api.fields.txt";

    private static readonly Dictionary<string, Line> Lines = [];
    private static readonly Dictionary<string, HashSet<string>> Required = [];
    private static readonly ConcurrentDictionary<string, Type> Answers = new();
    private static readonly ConcurrentDictionary<string, bool> Used = new(), Without = new();

    static FieldTexts()
    {
        using var reader = new StreamReader(typeof(FieldTexts).Assembly.GetManifestResourceStream(Resource)!);
        while (reader.ReadLine() is { } line)
        {
            if (line.Length == 0 || line[0] == '#') continue;
            if (line[0] == '!')
            {
                var words = line[1..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
                Required.Add(words[0], [.. words[1..]]);
                continue;
            }
            var colon = line.IndexOf(" : ", StringComparison.Ordinal);
            var (head, text) = (line[..colon].Trim(), line[(colon + 3)..].Trim());
            var equals = head.IndexOf('=', StringComparison.Ordinal);
            var name = (equals < 0 ? head : head[..equals]).Trim();
            var open = name.IndexOf('(', StringComparison.Ordinal);
            Lines.Add(
                open < 0 ? name : name[..open],
                new Line(
                    text,
                    open < 0 ? null : name[(open + 1)..^1].Split('|').Aggregate((JsonSchemaType)0, (types, word) => types | TypeOf(word)),
                    equals < 0 ? null : head[(equals + 1)..].Trim().Split('|')
                )
            );
        }
    }

    /// <summary>Fields that have no line, once a description was built: a test wants none.</summary>
    public static IReadOnlyCollection<string> Undescribed => [.. Without.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Lines that no field has, once a description was built.</summary>
    public static IReadOnlyCollection<string> Unused => [.. Lines.Keys.Where(name => !Used.ContainsKey(name)).Order(StringComparer.Ordinal)];

    /// <summary>Notes a type whose fields, and whose fields' fields, are described.</summary>
    public static void Meet(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type.IsArray)
        {
            Meet(type.GetElementType()!);
            return;
        }
        foreach (var inner in type.GetGenericArguments()) Meet(inner);
        if (type.Assembly.GetName().Name is not { } assembly || !(assembly == "codo" || assembly.StartsWith("Codo.", StringComparison.Ordinal))) return;
        if (!Answers.TryAdd(IdOf(type), type)) return;
        foreach (var property in type.GetProperties()) Meet(property.PropertyType);
    }

    /// <summary>Puts the texts into the schemas of all types that were met.</summary>
    public static void DescribeAnswers(OpenApiDocument document)
    {
        foreach (var (id, schema) in document.Components?.Schemas ?? new Dictionary<string, IOpenApiSchema>())
        {
            if (schema is not OpenApiSchema { Properties.Count: > 0 } described || !Answers.TryGetValue(id, out var type)) continue;
            if (Required.ContainsKey($"{type.DeclaringType?.Name}.{type.Name}")) DescribeBody(described, type);
            else Describe(described, type, isRequest: false);
        }
    }

    /// <summary>The same for a body, or a part of one: what is absent is not null, and only what must be there is required.</summary>
    public static void DescribeBody(IOpenApiSchema schema, Type type)
    {
        if (schema is not OpenApiSchema body) return;
        Describe(body, type, isRequest: true);
        body.Required = new HashSet<string>(RequiredOf(type));
    }

    /// <summary>One value of a slice's query.</summary>
    public static OpenApiParameter Parameter(Type type, string name, IOpenApiSchema schema)
    {
        var line = Find(type, name, isRequest: true);
        if (schema is OpenApiSchema own)
            Apply(own, line, isRequest: true);
        return new OpenApiParameter
        {
            Name = name,
            In = ParameterLocation.Query,
            Description = line?.Text,
            Required = RequiredOf(type).Contains(name),
            Schema = WithoutText(schema),
        };
    }

    /// <summary>One value of the query of a route that is no slice.</summary>
    public static OpenApiParameter Parameter(string where, string name)
    {
        var line = Take($"{where}.{name}") ?? throw new InvalidOperationException($"fields.txt has no line {where}.{name}");
        return new OpenApiParameter
        {
            Name = name,
            In = ParameterLocation.Query,
            Description = line.Text,
            Schema = new OpenApiSchema { Type = line.Types ?? JsonSchemaType.String },
        };
    }

    /// <summary>A header that a route reads; its line is <c>header.</c> and the name.</summary>
    public static OpenApiParameter Header(string name, int? longest = null)
    {
        var header = Parameter("header", name);
        header.In = ParameterLocation.Header;
        header.Schema = new OpenApiSchema { Type = JsonSchemaType.String, MaxLength = longest };
        return header;
    }

    private static void Describe(OpenApiSchema schema, Type type, bool isRequest)
    {
        var types = type.GetProperties()
            .ToDictionary(
                property => property.GetCustomAttribute<JsonPropertyNameAttribute>()?.Name ?? JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name),
                property => property.PropertyType,
                StringComparer.Ordinal
            );
        foreach (var (name, property) in schema.Properties ?? new Dictionary<string, IOpenApiSchema>())
        {
            if (!types.TryGetValue(name, out var of)) continue;
            var line = Find(type, name, isRequest);
            if (property is OpenApiSchemaReference reference) reference.Description = line?.Text;
            else if (property is OpenApiSchema own) Apply(own, line, isRequest);
            // A list within a body is described where it stands.
            if (isRequest && property is OpenApiSchema { Items: OpenApiSchema { Properties.Count: > 0 } inner } && of.GetGenericArguments() is [var element])
                DescribeBody(inner, element);
        }
    }

    private static void Apply(OpenApiSchema schema, Line? line, bool isRequest)
    {
        schema.Description = line?.Text;
        var isNullable = !isRequest && schema.Type?.HasFlag(JsonSchemaType.Null) == true;
        // That numbers may be text is said once, for all of them.
        if (schema.Type?.HasFlag(JsonSchemaType.Integer) == true) (schema.Type, schema.Pattern) = (JsonSchemaType.Integer, null);
        if (schema.Type?.HasFlag(JsonSchemaType.Number) == true) (schema.Type, schema.Pattern) = (JsonSchemaType.Number, null);
        if (line?.Types is { } types) schema.Type = types;
        if (schema.Type is not null) schema.Type = isNullable ? schema.Type | JsonSchemaType.Null : schema.Type & ~JsonSchemaType.Null;
        if (line?.Words is not { } words) return;
        schema.Enum = [.. words.Select(word => (JsonNode)JsonValue.Create(word))];
        if (isNullable) schema.Enum.Add(null!);
    }

    // A parameter says it itself, beside its schema.
    private static IOpenApiSchema WithoutText(IOpenApiSchema schema)
    {
        if (schema is OpenApiSchema own) own.Description = null;
        return schema;
    }

    private static Line? Find(Type type, string field, bool isRequest)
    {
        var declaring = type.DeclaringType?.Name;
        string[] keys =
        [
            $"{declaring}.{type.Name}.{field}",
            $"{declaring}{type.Name}.{field}",
            isRequest ? $"{declaring}.{field}" : "",
            $"{type.Name}.{field}",
            field,
        ];
        if (keys.Select(Take).FirstOrDefault(line => line is not null) is { } found)
            return isRequest && type.Name == "Command" && declaring?.StartsWith("Edit", StringComparison.Ordinal) == true ? OfChange(found) : found;
        Without[$"{declaring}.{type.Name}.{field}"] = true;
        return null;
    }

    // What a new one gets for an absent field, a change leaves as it is.
    private static Line OfChange(Line line)
    {
        var start = line.Text.IndexOf("; default", StringComparison.Ordinal);
        if (start < 0) return line;
        var end = line.Text.IndexOf(';', start + 1);
        return line with { Text = $"{line.Text[..start]}{(end < 0 ? "" : line.Text[end..])}; absent leaves it" };
    }

    private static Line? Take(string key)
    {
        if (!Lines.TryGetValue(key, out var line)) return null;
        Used[key] = true;
        return line;
    }

    private static HashSet<string> RequiredOf(Type type) =>
        type.Name is "Command" or "Query"
            ? Required.GetValueOrDefault(type.DeclaringType!.Name) ?? []
            : Required.GetValueOrDefault($"{type.DeclaringType?.Name}.{type.Name}") ?? [];

    // As the schemas are called, so that a Result of one slice is not taken for that of another.
    private static string IdOf(Type type) => type.DeclaringType?.Name + type.Name;

    private static JsonSchemaType TypeOf(string word) => Enum.Parse<JsonSchemaType>(word, ignoreCase: true);

    private sealed record Line(string Text, JsonSchemaType? Types, string[]? Words);
}
