using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Tasks.Layout;

/// <summary>Names of the words that orders replace: search, add, change, delete.</summary>
public sealed partial class ArgumentsPage
{
    private const int Limit = 100;

    private List<ListArguments.Row> rows = [];
    private ListArguments.Row? edited;
    private long count;
    private string? mayNot;

    /// <inheritdoc/>
    protected override async Task Load()
    {
        if (MayNot(Right.To(Verbs.See, ResourceKind.Library)) is { } reason) throw Refusal.Forbidden(reason, reason);
        mayNot = MayNot(Right.To(Verbs.Edit, ResourceKind.Library));
        var found = await Send(new ListArguments.Query(Asked("q"), PageNumber, Limit));
        (rows, count) = (await found.Data.ToListAsync(Context.RequestAborted), found.Count);
        if (!long.TryParse(Asked("edit"), NumberStyles.None, CultureInfo.InvariantCulture, out var id)) return;
        edited = rows.Find(row => row.ArgsId == id);
    }

    private static string Delete(string name) =>
        T($"删除参数「{name}」\n订单不能再替换它的词，除非模板声明", $"Delete the argument “{name}”\nOrders can no longer replace its word, unless a template declares it");
}
