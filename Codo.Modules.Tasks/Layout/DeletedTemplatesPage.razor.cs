namespace Codo.Modules.Tasks.Layout;

/// <summary>Templates that were deleted within 30 days, each with the button that brings it back.</summary>
public sealed partial class DeletedTemplatesPage
{
    private const int Limit = 50;

    private ListDeletedTemplates.Result list = null!;

    /// <inheritdoc/>
    protected override async Task Load() => list = await Send(new ListDeletedTemplates.Query(PageNumber, Limit));
}
