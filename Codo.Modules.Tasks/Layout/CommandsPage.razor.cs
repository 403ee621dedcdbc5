using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Tasks.Layout;

/// <summary>The library's commands: search, add, change, delete.</summary>
public sealed partial class CommandsPage
{
    private const int Limit = 100;

    private List<ListCommands.Row> rows = [];
    private ListCommands.Row? edited;
    private long count;
    private string? mayNot;

    /// <inheritdoc/>
    protected override async Task Load()
    {
        if (MayNot(Right.To(Verbs.See, ResourceKind.Library)) is { } reason) throw Refusal.Forbidden(reason, reason);
        mayNot = MayNot(Right.To(Verbs.Edit, ResourceKind.Library));
        var found = await Send(new ListCommands.Query(Asked("q"), PageNumber, Limit));
        (rows, count) = (await found.Data.ToListAsync(Context.RequestAborted), found.Count);
        if (!long.TryParse(Asked("edit"), NumberStyles.None, CultureInfo.InvariantCulture, out var id)) return;
        edited = rows.Find(row => row.CommandId == id);
    }

    private static string Delete(string name) =>
        T($"删除命令「{name}」\n由它复制的步骤不变", $"Delete the command “{name}”\nSteps that were copied from it stay");
}
