using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.Http;

namespace Codo.Platform.Http;

/// <summary>Fields that clients send back as an answer gave them, though nobody reads them: they are no mistake.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class EchoedAttribute(params string[] fields) : Attribute
{
    /// <summary>As they stand in the body.</summary>
    public IReadOnlyList<string> Fields => fields;

    /// <summary>Those that answers give empty: with a value they are named all the same, since nobody reads it.</summary>
    public string[] Empty { get; set; } = [];
}

/// <summary>
/// Fields of a body that no slice reads: they are accepted, as the original accepts them, and the answer names them, since <c>timeuot</c> would otherwise be a
/// limit that is not there.
/// </summary>
public static class UnknownFields
{
    private const int MostNamed = 20, MostLetters = 60;

    private static readonly object Key = new();

    // A list has one object after another of the same type, and reflection is slow.
    private static readonly ConcurrentDictionary<Type, EchoedAttribute?> Echoes = new();

    /// <summary>Notes what a body has and <typeparamref name="T"/> does not, for the answer of this request.</summary>
    /// <param name="json">A JSON object that was read as a <typeparamref name="T"/>.</param>
    public static void Note<T>(HttpContext context, ReadOnlySpan<byte> json, JsonSerializerOptions options)
    {
        var found = context.Items[Key] as Found ?? new Found();
        var reader = new Utf8JsonReader(json);
        reader.Read();
        Walk(ref reader, options.GetTypeInfo(typeof(T)), "", found);
        if (found.Named.Count > 0) context.Items[Key] = found;
    }

    /// <summary>The answer with what was noted among its <c>warnings</c>; the answer itself where nothing was.</summary>
    public static object AddTo(HttpContext context, object answer, JsonSerializerOptions options)
    {
        if (context.Items[Key] is not Found found) return answer;
        var node = JsonSerializer.SerializeToNode(answer, options)!.AsObject();
        if (node["warnings"] is not JsonArray warnings)
            node["warnings"] = warnings = [];
        foreach (var text in found.Named)
            warnings.Add(text.ToString());
        if (found.More > 0) warnings.Add(new Text($"还有 {found.More} 个不认识的字段", $"{found.More} more unknown fields").ToString());
        return node;
    }

    private static void Walk(ref Utf8JsonReader reader, JsonTypeInfo info, string path, Found found)
    {
        if (reader.TokenType == JsonTokenType.StartArray && info.Kind == JsonTypeInfoKind.Enumerable && info.ElementType is { } element)
        {
            var inner = info.Options.GetTypeInfo(element);
            for (var place = 0; reader.Read() && reader.TokenType != JsonTokenType.EndArray; place++)
                Walk(ref reader, inner, found.IsFull ? "" : $"{path}[{place}]", found);
            return;
        }
        if (reader.TokenType != JsonTokenType.StartObject || info.Kind != JsonTypeInfoKind.Object)
        {
            reader.Skip();
            return;
        }
        var echoed = Echoes.GetOrAdd(
            info.Type,
            static type => type.GetCustomAttributes(typeof(EchoedAttribute), false).OfType<EchoedAttribute>().SingleOrDefault()
        );
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            var known = info.Properties.FirstOrDefault(property => property.Name == name);
            reader.Read();
            if (known is not null)
            {
                Walk(ref reader, info.Options.GetTypeInfo(known.PropertyType), path.Length == 0 ? name : $"{path}.{name}", found);
                continue;
            }
            var isEmpty = reader.TokenType == JsonTokenType.String && reader.ValueTextEquals(""u8);
            reader.Skip();
            if (echoed is not null && (echoed.Fields.Contains(name) || (isEmpty && echoed.Empty.Contains(name)))) continue;
            if (found.IsFull)
                found.More++;
            else
                found.Named.Add(Say(path.Length == 0 ? name : $"{path}.{name}", Nearest(name, info.Properties.Select(property => property.Name))));
        }
    }

    private static Text Say(string path, string? meant)
    {
        var shown = path.Length > MostLetters ? path[..MostLetters] + "…" : path;
        return meant is null
            ? new Text($"字段 {shown} 不认识，已忽略", $"The field {shown} is unknown and was ignored")
            : new Text($"字段 {shown} 不认识，已忽略；是否应为 {meant}？", $"The field {shown} is unknown and was ignored; is {meant} meant?");
    }

    private static string? Nearest(string name, IEnumerable<string> known) =>
        name.Length > MostLetters
            ? null
            : known
                .Select(word => (Word: word, Far: Distance(name, word)))
                .Where(one => one.Far <= Math.Max(1, Math.Min(name.Length, one.Word.Length) / 3))
                .OrderBy(one => one.Far)
                .Select(one => one.Word)
                .FirstOrDefault();

    // Letters that are left out, added, changed or swapped with their neighbour.
    private static int Distance(string one, string other)
    {
        var far = new int[one.Length + 1, other.Length + 1];
        for (var i = 0; i <= one.Length; i++)
        {
            for (var j = 0; j <= other.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    far[i, j] = i + j;
                    continue;
                }
                far[i, j] = Math.Min(Math.Min(far[i - 1, j], far[i, j - 1]) + 1, far[i - 1, j - 1] + (one[i - 1] == other[j - 1] ? 0 : 1));
                if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1]) far[i, j] = Math.Min(far[i, j], far[i - 2, j - 2] + 1);
            }
        }
        return far[one.Length, other.Length];
    }

    // Those after the first are only counted: a body may have a million, and what is meant by each takes long to find.
    private sealed class Found
    {
        public List<Text> Named { get; } = [];

        public int More { get; set; }

        public bool IsFull => Named.Count == MostNamed;
    }
}
