namespace Codo.Modules.Alerts.Incidents;

/// <summary>Where an incident stands. The stored words are the member names in lower case.</summary>
internal enum IncidentState
{
    /// <summary>
    /// Put here when something goes wrong of which no incident is open. Taken out by a person who acknowledges or resolves it, or by what ends the trouble.
    /// </summary>
    Open,

    /// <summary>
    /// A person who was told, or a superuser, has taken it on: nobody else is told next. Taken out by a person who resolves it, or by what ends the trouble.
    /// </summary>
    Acknowledged,

    /// <summary>A person closed it, or the job succeeded, or the order was repaired or ended. Final: the same trouble again is a new incident.</summary>
    Resolved,
}

/// <summary>What happens to an incident.</summary>
internal enum IncidentAction
{
    /// <summary>The same again.</summary>
    Fold,
    Acknowledge,

    /// <summary>Nobody acknowledged in time: the next people are told.</summary>
    Escalate,

    /// <summary>By a person.</summary>
    Resolve,

    /// <summary>By itself.</summary>
    Recover,
}

/// <summary>The machine of incidents. Each change in the database is a guarded statement that takes its states from here.</summary>
internal static class IncidentStates
{
    /// <summary>The state after the action; null when the action is refused in that state.</summary>
    public static IncidentState? Next(IncidentState state, IncidentAction action) => (state, action) switch
    {
        (IncidentState.Open, IncidentAction.Fold or IncidentAction.Escalate) => IncidentState.Open,
        (IncidentState.Open, IncidentAction.Acknowledge) => IncidentState.Acknowledged,
        (IncidentState.Acknowledged, IncidentAction.Fold) => IncidentState.Acknowledged,
        (IncidentState.Open or IncidentState.Acknowledged, IncidentAction.Resolve or IncidentAction.Recover) => IncidentState.Resolved,
        _ => null,
    };

    /// <summary>The states, as they are stored, in which the action is allowed.</summary>
    public static string[] From(IncidentAction action) => [.. Enum.GetValues<IncidentState>().Where(state => Next(state, action) is not null).Select(Word)];

    /// <summary>The word that is stored and answered.</summary>
    public static string Word(this IncidentState state) => state.ToString().ToLowerInvariant();
}
