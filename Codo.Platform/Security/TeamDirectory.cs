namespace Codo.Platform.Security;

/// <summary>Who is in which team, as of this moment.</summary>
public sealed class TeamDirectory(CurrentRules current)
{
    /// <summary>Whether the person is in the team now.</summary>
    public bool IsMember(long team, long userId) => current.Rules.TeamsOf.TryGetValue(userId, out var teams) && teams.Contains(team);

    /// <summary>The team's name; null when there is no such team.</summary>
    public string? NameOf(long team) => current.Rules.Teams.TryGetValue(team, out var found) ? found.Name : null;

    /// <summary>The team's people, with their names as far as they are known.</summary>
    public IReadOnlyList<(long UserId, string Name)> Members(long team) =>
        [
            .. current
                .Rules.TeamsOf.Where(person => person.Value.Contains(team))
                .Select(person => (person.Key, current.Rules.People.GetValueOrDefault(person.Key, ""))),
        ];
}
