using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Tasks.Layout;

/// <summary>What a version of a template says, by the names that fields have in the API.</summary>
internal sealed class VersionContent
{
    private static readonly string[] StepFields =
    [
        "id", "group", "level", "command_name", "command", "args", "trigger", "exec_user", "force_host", "timeout", "retries", "retry_delay", "on_error", "pty",
        "interpreter", "run_as", "node",
    ];

    private static readonly string[] GroupFields = ["group", "batch", "batch_pause", "max_failures", "next"];

    private VersionContent(List<JsonObject> steps, List<JsonObject> groups, JsonNode? words, string space) =>
        (Steps, Groups, Words, Space) = (steps, groups, words, space);

    public IReadOnlyList<JsonObject> Steps { get; }

    public IReadOnlyList<JsonObject> Groups { get; }

    public JsonNode? Words { get; }

    public string Space { get; }

    /// <summary>As answers have it.</summary>
    public JsonObject Shown =>
        new()
        {
            ["steps"] = new JsonArray([.. Steps.Select(step => step.DeepClone())]),
            ["groups"] = new JsonArray([.. Groups.Select(group => group.DeepClone())]),
            ["temp_args"] = Words?.DeepClone(),
            ["space"] = Space,
        };

    public static VersionContent Of(TemplateVersion version, Access access)
    {
        var fields = Parse(version.Content);
        var space = fields["space_id"] is JsonValue number && number.TryGetValue<long>(out var id) ? access.NameOf(id) : "";
        var steps = Rows(fields["steps"], StepFields);
        // Versions before selectors ran on every node.
        foreach (var step in steps) step["node"] ??= "";
        return new VersionContent(steps, Rows(fields["groups"], GroupFields), fields["temp_args"], space);
    }

    /// <summary>
    /// The fields that differ. A step is the one of the same id, and where that is gone the one of the same name, group and level: what was brought back has
    /// new ids.
    /// </summary>
    public List<FieldDifference> Since(VersionContent old)
    {
        var found = new List<FieldDifference>();
        var left = old.Steps.ToList();
        var pairs = Steps.ToDictionary(step => step, step => Take(left, step, IsSameId));
        foreach (var step in Steps.Where(step => pairs[step] is null)) pairs[step] = Take(left, step, IsSamePlace);
        foreach (var step in Steps)
        {
            var at = $"steps.{Text(step, "id")}";
            if (pairs[step] is { } before) found.AddRange(FieldDifference.Between(WithoutId(before), WithoutId(step), at + ".", NameOf(step)));
            else found.Add(new FieldDifference(at, null, step.DeepClone()) { Of = NameOf(step) });
        }
        found.AddRange(left.Select(gone => new FieldDifference($"steps.{Text(gone, "id")}", gone.DeepClone(), null) { Of = NameOf(gone) }));
        foreach (var number in Groups.Concat(old.Groups).Select(group => Text(group, "group")).Distinct())
            found.AddRange(FieldDifference.Between(GroupOf(old, number), GroupOf(this, number), $"groups.{number}."));
        if (!JsonNode.DeepEquals(old.Words, Words)) found.Add(new FieldDifference("temp_args", old.Words?.DeepClone(), Words?.DeepClone()));
        if (old.Space != Space) found.Add(new FieldDifference("space", old.Space, Space));
        return found;
    }

    /// <summary>What a save says of a field that differs; null where it says nothing.</summary>
    public static JsonNode? Sent(ReplaceSteps.Command request, FieldDifference one)
    {
        var path = one.Field.Split('.');
        switch (path[0])
        {
            case "temp_args":
                return request.TempArgs is null ? null : JsonSerializer.SerializeToNode(request.TempArgs, Json.Stored);
            case "space":
                return request.Space;
            case "steps" when request.NewTempData is { } steps:
                var step = steps.FirstOrDefault(step => step?.Id?.ToString(CultureInfo.InvariantCulture) == path[1]);
                var sent = step is null ? null : JsonSerializer.SerializeToNode(step, Json.Stored)!.AsObject();
                return path.Length == 2 ? sent : sent?[path[2]]?.DeepClone();
            case "groups" when request.Groups is { } groups && path.Length > 2:
                var group = groups.FirstOrDefault(group => group?.Group?.ToString(CultureInfo.InvariantCulture) == path[1]);
                return group is null ? null : JsonSerializer.SerializeToNode(group, Json.Stored)![path[2]]?.DeepClone();
            default:
                return null;
        }
    }

    private static JsonObject? Take(List<JsonObject> left, JsonObject step, Func<JsonObject, JsonObject, bool> isSame)
    {
        if (left.Find(other => isSame(step, other)) is not { } found) return null;
        left.Remove(found);
        return found;
    }

    private static bool IsSameId(JsonObject one, JsonObject other) => Text(one, "id") == Text(other, "id");

    private static bool IsSamePlace(JsonObject one, JsonObject other) =>
        NameOf(one) == NameOf(other) && Text(one, "group") == Text(other, "group") && Text(one, "level") == Text(other, "level");

    // A group without properties takes the defaults.
    private static JsonObject GroupOf(VersionContent content, string number)
    {
        var group = content.Groups.FirstOrDefault(group => Text(group, "group") == number)?.DeepClone().AsObject()
            ?? new JsonObject { ["batch"] = "", ["batch_pause"] = 0, ["max_failures"] = 0, ["next"] = "auto" };
        group.Remove("group");
        return group;
    }

    private static JsonObject WithoutId(JsonObject step)
    {
        var rest = (JsonObject)step.DeepClone();
        rest.Remove("id");
        return rest;
    }

    private static string NameOf(JsonObject step) => Text(step, "command_name");

    private static string Text(JsonObject row, string name) => row[name]?.ToString() ?? "";

    private static List<JsonObject> Rows(JsonNode? list, string[] fields) =>
        (list as JsonArray ?? [])
            .OfType<JsonObject>()
            .Select(row => new JsonObject(fields.Select(field => KeyValuePair.Create(field, row[field]?.DeepClone()))))
            .ToList();

    // A damaged row has no fields.
    private static JsonObject Parse(string? content)
    {
        try
        {
            return JsonNode.Parse(content ?? "") as JsonObject ?? [];
        }
        catch (JsonException)
        {
            return [];
        }
    }
}
