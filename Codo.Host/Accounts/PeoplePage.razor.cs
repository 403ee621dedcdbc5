using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Host.Accounts;

/// <summary>The people that Codo knows: where each comes from, when each was last here, and the way to each one's grants.</summary>
public sealed partial class PeoplePage
{
    private const int Limit = 50;

    private ListPeople.Result found = null!;
    private string? mayNot;
    private long[] myTeams = [];
    private bool listsAllTeams;

    private string Api => $"/v2/accounts/person/{Context.Request.QueryString}";

    /// <inheritdoc/>
    protected override async Task Load()
    {
        found = await Send(new ListPeople.Query(Asked("q"), After, Limit));
        mayNot = MayNot(Right.Superuser);
        (myTeams, listsAllTeams) = (ListTeams.Mine(Access), await ListTeams.MayListAll(Access));
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

    // What the caller may know, as the page of a team shows it.
    private IEnumerable<Team> TeamsOf(long user) =>
        Access.Rules.TeamsOf.GetValueOrDefault(user, [])
            .Where(team => (listsAllTeams || myTeams.Contains(team)) && Access.Rules.Teams.ContainsKey(team))
            .Select(team => Access.Rules.Teams[team]);
}
