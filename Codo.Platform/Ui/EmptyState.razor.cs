using Microsoft.AspNetCore.Components;

namespace Codo.Platform.Ui;

/// <summary>What stands where there are no rows: what to do first, with the command to copy.</summary>
public sealed partial class EmptyState
{
    [Parameter]
    public string Icon { get; set; } = "check";

    [Parameter]
    public string Title { get; set; } = "";

    [Parameter]
    public string Hint { get; set; } = "";

    [Parameter]
    public string Command { get; set; } = "";

    [Parameter]
    public RenderFragment? ChildContent { get; set; }
}
