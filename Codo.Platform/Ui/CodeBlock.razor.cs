using Microsoft.AspNetCore.Components;

namespace Codo.Platform.Ui;

/// <summary>Machine text with a button that copies it.</summary>
public sealed partial class CodeBlock
{
    [Parameter]
    public string Code { get; set; } = "";
}
