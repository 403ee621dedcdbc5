using Microsoft.AspNetCore.Components;

namespace Codo.Platform.Ui;

/// <summary>A state as a pill: a colour, a drawing and a word, because a colour alone says nothing to one reader in twelve.</summary>
public sealed partial class Badge
{
    /// <summary><c>ok</c>, <c>bad</c>, <c>warn</c>, <c>run</c>, <c>idle</c>.</summary>
    [Parameter]
    public string Tone { get; set; } = "idle";

    [Parameter]
    public string Icon { get; set; } = "";

    [Parameter]
    public string Word { get; set; } = "";
}
