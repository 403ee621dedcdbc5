using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Host.Accounts;

/// <summary>Who has which role where, until when, and from whom; with the form for one more.</summary>
public sealed partial class GrantsPage
{
    private const int Limit = 100;

    private ListGrants.Result found = null!;
    private List<string> spaces = [];
    private RoleGrant? edited;
    private long? user;
    private string userName = "";
    private string? mayNot;

    private string Api
    {
        get
        {
            // The list begins where the address says, and the form that is open is not of it.
            var filters = new List<string>();
            foreach (var name in new[] { "user_id", "team_id", "space", "object", "after" })
                if (Asked(name) is { } value) filters.Add($"{name}={Uri.EscapeDataString(value)}");
            filters.Add($"limit={Limit}");
            return "/v2/accounts/grant/?" + string.Join('&', filters);
        }
    }

    /// <inheritdoc/>
    protected override async Task Load()
    {
        user = AskedNumber("user_id");
        found = await Send(new ListGrants.Query(user, AskedNumber("team_id"), Asked("space"), Asked("object"), After, Limit));
        if (user is { } asked) userName = await PersonField.NameOf(Mediator, asked);
        spaces = [.. (await Send(new ListSpaces.Query(null, null))).Data.Select(space => space.Name)];
        mayNot = await MayGrant() ? null : T("授权由空间或对象的管理员、或超级用户授予", "Admins of a space or an object, and superusers, grant");
        if (AskedNumber("edit") is not { } id) return;
        // Of a grant that the caller may not know, the list says nothing either.
        var isKnown = (await Send(new ListGrants.Query(null, null, null, null, id - 1, 1))).Data.Any(row => row.GrantId == id);
        edited = isKnown ? Access.Rules.Grants.SingleOrDefault(grant => grant.GrantId == id) : throw GrantRights.NoSuchGrant;
    }

    private async Task<bool> MayGrant()
    {
        if (await ListTeams.MayListAll(Access)) return true;
        // Whoever is admin of single objects alone has a grant that says so, or a team of theirs has.
        var now = Time.GetUtcNow().UtcDateTime;
        return Access.Rules.GrantsOf(Caller.UserId).Any(grant => grant.Role == "admin" && grant.Holds(now));
    }

    private string NameOf(long id) => Access.Rules.People.GetValueOrDefault(id) ?? id.ToString(CultureInfo.InvariantCulture);

    private string TeamOf(long id) => Access.Rules.Teams.TryGetValue(id, out var team) ? team.Name : id.ToString(CultureInfo.InvariantCulture);

    private string WordsOf(RoleGrant grant) => Explanation.Of(Access.Rules, grant).ToString();

    private static string RoleWords(string role) => $"{Roles.NameOf(role)}{T("：", ": ")}{Roles.NamesOfVerbs(Roles.WordsOf(Roles.All[role]))}";

    private string? Local(DateTime? until) => until is { } at ? Zone.Text(at).Replace(' ', 'T')[..16] : null;

    private static string GivenBy(ListGrants.View row) =>
        row.Source switch
        {
            "grant" => row.By,
            "upgrade" => T("升级时", "an upgrade"),
            "template" => T("模板的用户", "a user of the template"),
            var setting => setting,
        };
}
