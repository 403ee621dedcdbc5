using System.Globalization;
using Codo.Platform.Http;

namespace Codo.Host.Accounts;

/// <summary>Teams; one of them, named in the address, with its people.</summary>
public sealed partial class TeamsPage
{
    private ListTeams.Result found = null!;
    private ListTeams.View? chosen;
    private string? mayNot;

    private string Api =>
        "/v2/accounts/team/"
        + (
            AskedNumber("team") is { } team ? $"?team_id={team}"
            : After is { } after ? $"?after={after}"
            : ""
        );

    /// <inheritdoc/>
    protected override async Task Load()
    {
        found = await Send(new ListTeams.Query(null, After, null));
        mayNot = MayNot(Right.Superuser);
        if (AskedNumber("team") is { } team)
            chosen = (await Send(new ListTeams.Query(team, null, null))).Data.SingleOrDefault() ?? throw TeamFields.NoSuchTeam;
    }

    private static string NameOf(ListTeams.Member member) =>
        member.Username.Length > 0 ? member.Username : member.UserId.ToString(CultureInfo.InvariantCulture);
}
