using Codo.Platform.Security;
using Codo.Platform.Ui;
using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Alerts.Rules;

/// <summary>The space of a rule, a silence or a channel; nothing where there is one space alone.</summary>
public sealed partial class SpaceField
{
    [Parameter]
    public Page Page { get; set; } = null!;

    [Parameter]
    public string? Chosen { get; set; }

    // What is edited stays where it is unless another space is chosen, also for whoever may edit it and does not see its space.
    private List<string> Spaces =>
        [
            .. Page.Access.Rules.Spaces.Values
                .Where(space => space.Name == Chosen || Page.Access.SeesSpace(space.SpaceId))
                .OrderBy(space => space.SpaceId == Resource.DefaultSpace ? 0 : 1)
                .ThenBy(space => space.Name, StringComparer.OrdinalIgnoreCase)
                .Select(space => space.Name),
        ];
}
