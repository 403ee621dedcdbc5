using Codo.Platform.Http;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>Which incidents a caller may see: those of jobs, whose ledger is open to every token; those of which they were told; a superuser all.</summary>
internal static class IncidentVisibility
{
    /// <summary>For a WHERE with the incident as <c>m</c>, and the parameters <c>Super</c>, <c>UserId</c> and <c>Names</c>.</summary>
    public const string Visible = "(@Super OR m.source = 'job' OR @UserId = ANY(m.told_ids) OR m.told_by_name && @Names)";

    /// <summary>
    /// A job's owners are known by name alone, and older data by nickname. Where an id is known names count for nothing: anybody can have a nickname.
    /// </summary>
    public static string[] Names(Caller caller) =>
        [.. new[] { caller.Username, caller.Nickname }.Where(name => name.Length > 0).Distinct(StringComparer.Ordinal)];

    /// <summary>Whether the caller is one of those who were told, or a superuser: what acknowledging asks.</summary>
    public static bool MayActOn(Caller caller, string[] toldByName, long[] toldIds) =>
        caller.IsSuperuser || toldIds.Contains(caller.UserId) || Names(caller).Any(name => toldByName.Contains(name, StringComparer.Ordinal));
}
