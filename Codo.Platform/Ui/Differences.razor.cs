using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Microsoft.AspNetCore.Components;

namespace Codo.Platform.Ui;

/// <summary>The fields in which two versions differ: short values side by side, long texts line by line.</summary>
public sealed partial class Differences
{
    [Parameter]
    public IReadOnlyList<FieldDifference> Fields { get; set; } = [];

    /// <summary>What a field is called; null calls it as the API does.</summary>
    [Parameter]
    public Func<string, string?>? Named { get; set; }

    [Parameter]
    public string OldTitle { get; set; } = "";

    [Parameter]
    public string NewTitle { get; set; } = "";

    private string Name(FieldDifference one) => Named?.Invoke(one.Field) ?? one.Field;

    private static bool IsSaid(string name, JsonNode? value) => name != "id" && value?.ToString() is not (null or "" or "false" or "0");

    private static bool IsLong(string? text) => text?.Contains('\n', StringComparison.Ordinal) == true;

    private static string? Shown(JsonNode? value) => Written(value) is { } text ? DirectionControls.Visible(text) : null;

    // A list of words as a form shows it; a whole step field by field, without what is off or empty.
    private static string? Written(JsonNode? value) =>
        value switch
        {
            null => null,
            JsonArray { Count: 0 } => null,
            JsonArray list when list.All(item => item is JsonValue) => string.Join(", ", list.Select(item => item!.ToString())),
            JsonObject fields => string.Join('\n', fields.Where(field => IsSaid(field.Key, field.Value)).Select(field => $"{field.Key}: {field.Value}")),
            _ => value.ToString() is { Length: > 0 } text ? text : null,
        };
}
