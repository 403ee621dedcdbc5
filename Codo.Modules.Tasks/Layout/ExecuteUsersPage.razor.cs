using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Tasks.Layout;

/// <summary>Execute-users without their keys: search, add, change, delete.</summary>
public sealed partial class ExecuteUsersPage
{
    private List<ListExecuteUsers.Row> all = [], rows = [];
    private ListExecuteUsers.Row? edited;
    private string? mayNot, mayNotMake;

    /// <inheritdoc/>
    protected override async Task Load()
    {
        if (MayNot(Right.To(Verbs.See, ResourceKind.ExecuteUser)) is { } reason) throw Refusal.Forbidden(reason, reason);
        mayNot = MayNot(Right.To(Verbs.Edit, ResourceKind.ExecuteUser));
        mayNotMake = MayNot(Right.ToMake(ResourceKind.ExecuteUser));
        all = await (await Send(new ListExecuteUsers.Query())).Data.ToListAsync(Context.RequestAborted);
        rows = Asked("q") is { } text ? all.FindAll(row => new[] { row.AliasUser, row.ExecUser, row.Space, row.Remarks }.Any(name => Has(name, text))) : all;
        if (long.TryParse(Asked("edit"), NumberStyles.None, CultureInfo.InvariantCulture, out var id)) edited = all.Find(row => row.Id == id);
    }

    private static bool Has(string name, string text) => name.Contains(text, StringComparison.OrdinalIgnoreCase);

    private static string Way(ListExecuteUsers.Row row) =>
        row.Via.Length > 0 ? T($"经由 {row.Via}", $"through {row.Via}")
        : row.SshHost.Length > 0 ? T($"跳板机 {row.SshHost}", $"bastion {row.SshHost}")
        : T("直接", "direct");

    // "<user_id>,,,<nickname>"
    private static string NameOf(string user) => user.Split(",,,", 2) is [_, { Length: > 0 } name] ? name : "#" + user.Split(',')[0];

    private static string Delete(string alias) =>
        T($"删除执行用户「{alias}」\n使用它的步骤将无法登录主机", $"Delete the execute-user “{alias}”\nSteps that name it can no longer enter their hosts");
}
