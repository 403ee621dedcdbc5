using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Host.Accounts;

/// <summary>The people that Codo knows: where each comes from, when each was last here, and the way to each one's grants.</summary>
public sealed partial class PeoplePage
{
    private const int Limit = 50;

    private ListPeople.Result found = null!;
    private string? mayNot;

    private string Api => $"/v2/accounts/person/{Context.Request.QueryString}";

    /// <inheritdoc/>
    protected override async Task Load()
    {
        found = await Send(new ListPeople.Query(Asked("q"), After, Limit));
        mayNot = MayNot(Right.Superuser);
    }

    /// <summary>Where a person comes from, in words.</summary>
    internal static string KindOf(string kind) =>
        kind switch
        {
            "own" => T("本系统账号", "Account here"),
            "oidc" => T("单点登录", "Single sign-on"),
            _ => "codo-admin",
        };

    private static string Names(ListPeople.Row row) =>
        string.Join(" · ", new[] { row.Nickname == row.Username ? "" : row.Nickname, row.Email ?? "" }.Where(text => text.Length > 0));

    private static string Words(ListPeople.Row row) =>
        row.Disabled
            ? T($"恢复 {row.Username}", $"Let {row.Username} in again")
            : T($"停用 {row.Username}\n任何令牌都不再有效，直到恢复", $"Shut {row.Username} out\nNo token of the person is taken until it is undone");

    private IEnumerable<Team> TeamsOf(long user) =>
        Access.Rules.TeamsOf.GetValueOrDefault(user, []).Where(Access.Rules.Teams.ContainsKey).Select(team => Access.Rules.Teams[team]);
}
