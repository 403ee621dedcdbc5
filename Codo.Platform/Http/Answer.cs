using System.Text.Json.Serialization;
using Codo.Platform.Localization;

namespace Codo.Platform.Http;

/// <summary>What every successful answer carries: <c>code</c> 0 and <c>msg</c>. A slice's result inherits it and adds its fields.</summary>
/// <param name="Msg">The original's message, Chinese first.</param>
public record Answer([property: JsonPropertyOrder(-2)] Text Msg)
{
    /// <summary>Always 0; failures are written from a <see cref="Refusal"/>.</summary>
    [JsonPropertyOrder(-3)]
    public int Code => 0;
}

/// <summary>The texts that many answers share.</summary>
public static class Messages
{
    public static readonly Text Fetched = new("获取成功", "OK");
    public static readonly Text Added = new("添加成功", "Added");
    public static readonly Text Edited = new("编辑成功", "Saved");
    public static readonly Text Deleted = new("删除成功", "Deleted");
}
