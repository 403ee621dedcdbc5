using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Tasks.Layout;

/// <summary>The templates that the caller may see.</summary>
public sealed partial class TemplateListPage
{
    private readonly List<ListTemplates.Row> rows = [];
    private string? mayNot;

    /// <inheritdoc/>
    protected override async Task Load()
    {
        await foreach (var row in (await Send(new ListTemplates.Query(null, null, null))).Data)
            if (Asked("q") is not { } text || Has(row.TempName, text) || Has(row.Space, text) || Has(row.Creator, text))
                rows.Add(row);
        mayNot = MayNot(Right.ToMake(ResourceKind.Template));
    }

    private static bool Has(string name, string text) => name.Contains(text, StringComparison.OrdinalIgnoreCase);
}
