using Codo.Platform.Ui;
using Microsoft.AspNetCore.Components;

namespace Codo.Host.Pages;

/// <summary>The first page of who is signed in: what needs them, what runs, what comes next, what became of the last day. Modules bring the panels.</summary>
public sealed partial class HomePage
{
    [Inject]
    private IEnumerable<HomePanel> Panels { get; set; } = null!;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => [.. Panels.Select(panel => panel.Topic).Distinct()];

    /// <inheritdoc/>
    protected override Task Load() => Task.CompletedTask;
}
