using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>
/// Which incidents a caller may see: those of jobs that they may see, those of orders in spaces whose orders they may see, those of which they were told; a
/// superuser all.
/// </summary>
internal static class IncidentVisibility
{
    /// <summary>For a WHERE with the incident as <c>m</c>; its parameters are those of <see cref="Parameters"/>.</summary>
    public const string Visible = """
        (@Super OR m.source = 'job' AND (m.space_id = ANY(@Spaces) OR cardinality(m.subjects) > 0 AND m.subjects <@ @Objects)
            OR m.source = 'order' AND m.space_id = ANY(@OrderSpaces) OR @UserId = ANY(m.told_ids) OR m.told_by_name && @Names)
        """;

    /// <summary>
    /// A job's owners are known by name alone, and older data by nickname. Where an id is known names count for nothing: anybody can have a nickname.
    /// </summary>
    public static string[] Names(Caller caller) =>
        [.. new[] { caller.Username, caller.Nickname }.Where(name => name.Length > 0).Distinct(StringComparer.Ordinal)];

    /// <summary>What <see cref="Visible"/> asks for.</summary>
    public static object Parameters(Access access)
    {
        var jobs = access.Sees(ResourceKind.Job);
        return new
        {
            Super = access.Caller.IsSuperuser,
            access.Caller.UserId,
            Names = Names(access.Caller),
            jobs.Spaces,
            jobs.Objects,
            OrderSpaces = access.Sees(ResourceKind.Order).Spaces,
        };
    }

    /// <summary>Whether the caller is one of those who were told, or an admin of its space: what acknowledging asks.</summary>
    public static async Task<bool> MayActOn(Access access, long space, string[] toldByName, long[] toldIds) =>
        toldIds.Contains(access.Caller.UserId)
        || Names(access.Caller).Any(name => toldByName.Contains(name, StringComparer.Ordinal))
        || await access.May(Verbs.Admin, Resource.Any(ResourceKind.Job, space));
}
