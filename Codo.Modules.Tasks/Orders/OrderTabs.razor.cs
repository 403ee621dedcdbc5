using Codo.Platform.Localization;
using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Tasks.Orders;

/// <summary>The way between the pages of one order.</summary>
public sealed partial class OrderTabs
{
    [Parameter]
    public long ListId { get; set; }

    /// <summary><c>grid</c>, <c>output</c>, <c>timeline</c>, <c>compare</c> or <c>facts</c>.</summary>
    [Parameter]
    public string Current { get; set; } = "";

    private IEnumerable<(string Key, string Path, Text Word)> Pages =>
        [
            ("grid", $"/orders/{ListId}", new Text("主机", "Hosts")),
            ("output", $"/orders/{ListId}/output", new Text("所有输出", "Output")),
            ("timeline", $"/orders/{ListId}/timeline", new Text("时间线与记录", "Timeline and record")),
            ("compare", $"/orders/{ListId}/compare", new Text("输出对比", "Compare output")),
            ("facts", $"/orders/{ListId}?tab=facts", new Text("详情", "Details")),
        ];
}
