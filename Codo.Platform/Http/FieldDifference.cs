using System.Text.Json.Nodes;

namespace Codo.Platform.Http;

/// <summary>A field in which two versions of an object differ.</summary>
/// <param name="Field">Its name in the API; within an object or a list with dots, such as <c>env.LANG</c> or <c>steps.17.command</c>.</param>
/// <param name="Old">Its value in the older version; null where that does not have it.</param>
/// <param name="New">The same in the newer one.</param>
public sealed record FieldDifference(string Field, JsonNode? Old, JsonNode? New)
{
    /// <summary>What a reader calls the part that it is in, such as the name of a step; empty for a field of the object itself.</summary>
    public string Of { get; init; } = "";

    /// <summary>The fields in which the two differ, in the order of the newer one, then what it does not have any more.</summary>
    public static List<FieldDifference> Between(JsonObject old, JsonObject now, string prefix = "", string of = "") =>
        [
            .. from name in now.Select(field => field.Key).Union(old.Select(field => field.Key))
            where !JsonNode.DeepEquals(old[name], now[name])
            select new FieldDifference(prefix + name, old[name]?.DeepClone(), now[name]?.DeepClone()) { Of = of },
        ];
}
