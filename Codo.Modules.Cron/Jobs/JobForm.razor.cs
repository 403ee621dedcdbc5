using System.Text.Encodings.Web;
using System.Text.Json;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Cron.Jobs;

/// <summary>Every field of a job with its help. It sends what the API takes.</summary>
public sealed partial class JobForm
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>What the fields begin with, by the API's names.</summary>
    [Parameter]
    public IReadOnlyDictionary<string, string> Values { get; set; } = new Dictionary<string, string>();

    /// <summary>The method and path that it is sent with.</summary>
    [Parameter]
    public string Address { get; set; } = "";

    [Parameter]
    public bool IsNew { get; set; }

    private string? Versions => IsNew ? null : Executions.JobPaths.Of(Of("job_id")) + "/versions";

    private static IEnumerable<(string Value, string Word)> Overlaps =>
        [
            ("skip", T("跳过", "Skip it")),
            ("queue", T("排队一个", "Queue one")),
            ("allow", T("同时运行", "Run both")),
            ("replace", T("终止旧的", "Replace the old")),
        ];

    private static IEnumerable<(string Value, string Word)> Misfires =>
        [("once", T("补一次", "Catch up once")), ("all", T("全部补", "Catch up all")), ("skip", T("不补", "Do not catch up"))];

    /// <summary>
    /// A variable's value as it fits on one line: one of several lines is JSON text, and so is one that the form would take for such text. The script of the
    /// form (<c>unquoted</c> in app.js) reads it by the same rule.
    /// </summary>
    internal static string Quoted(string value) => HasLines(value) || IsQuoted(value) ? JsonSerializer.Serialize(value, Readable) : value;

    private static bool HasLines(string value) => value.AsSpan().ContainsAny('\n', '\r');

    private static bool IsQuoted(string value)
    {
        if (!value.StartsWith('"')) return false;
        try
        {
            return JsonSerializer.Deserialize<string>(value) is { } inner && (inner.StartsWith('"') || HasLines(inner));
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static string T(string zh, string en) => new Text(zh, en).ToString();

    private string Of(string name) => Values.TryGetValue(name, out var value) ? value : "";
}
