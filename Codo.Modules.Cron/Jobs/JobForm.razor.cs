using Codo.Platform.Localization;
using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Cron.Jobs;

/// <summary>Every field of a job with its help. It sends what the API takes.</summary>
public sealed partial class JobForm
{
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

    private static string T(string zh, string en) => new Text(zh, en).ToString();

    private string Of(string name) => Values.TryGetValue(name, out var value) ? value : "";
}
