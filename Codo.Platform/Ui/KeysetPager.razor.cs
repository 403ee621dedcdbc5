using Codo.Platform.Localization;
using Microsoft.AspNetCore.Components;

namespace Codo.Platform.Ui;

/// <summary>The way to the rows behind the last one, of a list that nobody counts. The row is in the address.</summary>
public sealed partial class KeysetPager
{
    [Parameter]
    public Page Page { get; set; } = null!;

    /// <summary>The value of <c>after</c> for the rows behind these; null where there are none.</summary>
    [Parameter]
    public string? Next { get; set; }

    /// <summary>The word of the way back to the first rows.</summary>
    [Parameter]
    public string First { get; set; } = new Text("最前", "First").ToString();

    /// <summary>The word of the way on.</summary>
    [Parameter]
    public string More { get; set; } = new Text("下一页", "Next").ToString();
}
