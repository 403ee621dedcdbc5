using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Npgsql;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>
/// Which incidents a caller may see: those of jobs that they may see, those of orders in spaces whose orders they may see, those of which they were told; a
/// superuser all.
/// </summary>
internal static class IncidentVisibility
{
    /// <summary>For a WHERE with the incident as <c>m</c>; its parameters are those of <see cref="Parameters"/>.</summary>
    public const string Visible = """
        (@Super OR m.source = 'job' AND (m.space_id = ANY(@Spaces) OR cardinality(m.subjects) > 0 AND m.subjects <@ @Objects
                AND m.subjects <@ ARRAY(SELECT o.id FROM unnest(CAST(@Objects AS text[]), CAST(@ObjectSpaces AS bigint[])) AS o(id, space)
                    WHERE o.space = m.space_id))
            OR m.source = 'order' AND m.space_id = ANY(@OrderSpaces) OR @UserId = ANY(m.told_ids) OR m.told_by_name && @Names)
        """;

    /// <summary>Why somebody who may see an incident may not act on it.</summary>
    public static readonly Text OnlyTold = new("只有收到此告警的人或超级用户可以处理", "Only those who were told of it, or a superuser, may do this");

    /// <summary>What acting on an incident asks of a token, whoever was told.</summary>
    public static readonly Right ToAct = Right.Own(Verbs.Run);

    /// <summary>
    /// A job's owners are known by name alone, and older data by nickname. Where an id is known names count for nothing: anybody can have a nickname.
    /// </summary>
    public static string[] Names(Caller caller) =>
        [.. new[] { caller.Username, caller.Nickname }.Where(name => name.Length > 0).Distinct(StringComparer.Ordinal)];

    /// <summary>
    /// What <see cref="Visible"/> asks for. A job that was granted counts with the space that it is in: another one may have had its name in another space.
    /// </summary>
    public static async Task<object> Parameters(NpgsqlConnection connection, Access access, IEnumerable<IResourceReader> readers)
    {
        var jobs = access.Sees(ResourceKind.Job);
        IReadOnlyList<Resource> granted =
            jobs.Objects.Length == 0 ? [] : await readers.Single(reader => reader.Kind == ResourceKind.Job).FindAll(connection, jobs.Objects);
        return new
        {
            Super = access.Caller.IsSuperuser,
            access.Caller.UserId,
            Names = Names(access.Caller),
            jobs.Spaces,
            Objects = granted.Select(job => job.Id).ToArray(),
            ObjectSpaces = granted.Select(job => job.Space).ToArray(),
            OrderSpaces = access.Sees(ResourceKind.Order).Spaces,
        };
    }

    /// <summary>Whether the caller is one of those who were told, or an admin of its space: what acknowledging asks.</summary>
    public static async Task<bool> MayActOn(Access access, long space, string[] toldByName, long[] toldIds) =>
        toldIds.Contains(access.Caller.UserId)
        || Names(access.Caller).Any(name => toldByName.Contains(name, StringComparer.Ordinal))
        || await access.May(Verbs.Admin, Resource.Any(ResourceKind.Job, space));

    /// <summary>Why the caller may not acknowledge or resolve it, for a page that offers it; null where they may.</summary>
    /// <param name="mayAct">As <see cref="MayActOn"/> says.</param>
    public static Text? WhyNot(Caller caller, IServiceProvider services, bool mayAct)
    {
        if (!ToAct.Holds(caller, services)) return ToAct.Missing(caller, services);
        return mayAct ? null : OnlyTold;
    }
}
