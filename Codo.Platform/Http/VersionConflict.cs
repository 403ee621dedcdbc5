using System.Text.Json.Nodes;
using Codo.Platform.Localization;

namespace Codo.Platform.Http;

/// <summary>A field that somebody else has changed since the version that a refused change was made to.</summary>
/// <param name="Field">As in <see cref="FieldDifference"/>.</param>
/// <param name="Of">What a reader calls the part that it is in; empty for a field of the object itself.</param>
/// <param name="Before">Its value in the version that the change was made to.</param>
/// <param name="Now">Its value as it is stored.</param>
/// <param name="Sent">What the change says of it; null where it says nothing.</param>
/// <param name="Clash">Whether both changed it, to different values.</param>
public sealed record FieldConflict(string Field, string Of, JsonNode? Before, JsonNode? Now, JsonNode? Sent, bool Clash);

/// <summary>The refusal of a change that was made to an older version than the stored one: it names both and shows in which fields they differ.</summary>
public static class VersionConflict
{
    /// <param name="made">The version that the change was made to.</param>
    /// <param name="stored">The version that is stored.</param>
    /// <param name="by">Who saved that; empty where nobody is known.</param>
    /// <param name="differences">What has changed from one to the other.</param>
    /// <param name="sent">What the change says of a field; null where it says nothing.</param>
    public static Refusal Refuse(
        int made,
        int stored,
        string by,
        DateTime at,
        Zone zone,
        IEnumerable<FieldDifference> differences,
        Func<FieldDifference, JsonNode?> sent
    )
    {
        if (made > stored) return Refusal.Invalid($"没有版本 {made}，当前是版本 {stored}", $"There is no version {made}; the newest is {stored}");
        var fields = differences.Select(one => Conflict(one, sent(one))).ToList();
        var (whoZh, whoEn) = by.Length > 0 ? ($" {by} ", by) : ("其他人", "somebody else");
        var text = new Text(
            $"没有保存：你修改的是版本 {made}，而{whoZh}已于 {zone.Text(at)} 保存了版本 {stored}",
            $"Not saved: this change was made to version {made}, and {whoEn} saved version {stored} at {zone.Text(at)}"
        );
        return new Refusal(-1, text, RefusalKind.Conflict)
        {
            More = new
            {
                data = new
                {
                    made_to = made,
                    version = stored,
                    by,
                    at,
                    fields,
                },
            },
        };
    }

    private static FieldConflict Conflict(FieldDifference one, JsonNode? sent) =>
        new(one.Field, one.Of, one.Old, one.New, sent, sent is not null && !JsonNode.DeepEquals(sent, one.New) && !JsonNode.DeepEquals(sent, one.Old));
}
