namespace Codo.Platform.Ui;

/// <summary>Every part of the kit on one page, in development.</summary>
public sealed partial class KitPage
{
    /// <inheritdoc/>
    protected override Task Load() => Task.CompletedTask;
}
