namespace Codo.Modules.Tasks.Layout;

/// <summary>Templates that were deleted within 30 days, each with the button that brings it back.</summary>
public sealed partial class DeletedTemplatesPage
{
    private const int Limit = 50;

    private ListDeletedTemplates.Result list = null!;

    /// <inheritdoc/>
    protected override async Task Load() => list = await Send(new ListDeletedTemplates.Query(PageNumber, Limit));

    private static string? Reason(ListDeletedTemplates.Row row) =>
        row.Taken ? T($"已有另一个模板叫 {row.TempName}", $"There is another template {row.TempName} by now")
        : row.Space.Length == 0 ? T("它的空间已删除：请用接口恢复，并指定 space", "Its space is gone: bring it back by the API, with space")
        : null;
}
