using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Templates as rights know them: roles on the space or the template, its users, and its creator for as long as the creator may make new ones in the space.
/// Ids decide; names are what is shown.
/// </summary>
internal static class TemplateRight
{
    /// <summary>For a WHERE with the template as <c>t</c>; its parameters are those of <see cref="Parameters"/>.</summary>
    public const string Visible = """
        (@SeesAll OR t.space_id = ANY(@Spaces) OR t.temp_id = ANY(@Objects)
            OR EXISTS (SELECT FROM tasks.scheduler_temp_user v WHERE v.temp_id = t.temp_id AND v.user_id = @ViewerId))
        """;

    // An imported template knows its creator by name only and has the id 0, which is no one's.
    private const string FindSql = """
        SELECT t.temp_name, t.space_id, t.creator_id, ARRAY(SELECT u.user_id FROM tasks.scheduler_temp_user u WHERE u.temp_id = t.temp_id) AS users
        FROM tasks.scheduler_temp_list t WHERE t.temp_id = @TempId
        """;

    private const string LockSql = $"""
        {FindSql} FOR NO KEY UPDATE OF t
        """;

    /// <summary>What <see cref="Visible"/> asks for.</summary>
    public static object Parameters(Access access)
    {
        var sight = access.Sees(ResourceKind.Template);
        return new
        {
            SeesAll = sight.All,
            sight.Spaces,
            Objects = sight.Numbers,
            ViewerId = access.Caller.UserId,
        };
    }

    /// <summary>The template with its people; null when there is none.</summary>
    public static async Task<Resource?> Find(NpgsqlConnection connection, NpgsqlTransaction? transaction, long tempId) =>
        await connection.QuerySingleOrDefaultAsync<Row>(FindSql, new { TempId = tempId }, transaction) is { } row ? Of(row, tempId) : null;

    /// <exception cref="Refusal">There is no such template, or none that the caller may see.</exception>
    public static async Task<Resource> DemandSee(NpgsqlConnection connection, NpgsqlTransaction? transaction, Access access, long tempId)
    {
        var template = await Find(connection, transaction, tempId) ?? throw NoSuchTemplate;
        await access.Demand(Verbs.See, template, NoSuchTemplate);
        return template;
    }

    /// <summary>Locks the template until the transaction ends, so that two who save at once save one after the other.</summary>
    /// <exception cref="Refusal">There is no such template, or the caller may not edit it.</exception>
    public static async Task<LockedTemplate> LockForEdit(NpgsqlConnection connection, NpgsqlTransaction transaction, Access access, long tempId)
    {
        var row = await connection.QuerySingleOrDefaultAsync<Row>(LockSql, new { TempId = tempId }, transaction) ?? throw NoSuchTemplate;
        var template = Of(row, tempId);
        await access.Demand(
            Verbs.Edit,
            template,
            NoSuchTemplate,
            new Text($"你不是模板「{row.TempName}」的用户，不能修改它", $"You are no user of the template {row.TempName} and may not change it")
        );
        return new LockedTemplate(row.TempName, template, await MayBringIn(access, template));
    }

    public static Refusal NoSuchTemplate => Refusal.NotFound("模板不存在", "No such template");

    // Its users may arrange what is there; what it does not have yet needs a role.
    private static async Task<bool> MayBringIn(Access access, Resource template) =>
        await access.May(Verbs.Edit, template with { People = [], Creator = null })
        || await access.May(Verbs.Edit, Resource.New(ResourceKind.Template, template.Space));

    private static Resource Of(Row row, long tempId) =>
        new(ResourceKind.Template, tempId.ToString(System.Globalization.CultureInfo.InvariantCulture), row.SpaceId)
        {
            People = row.Users,
            Creator = row.CreatorId,
        };

    // With properties, because Dapper gives no array to a constructor.
    private sealed record Row
    {
        public string TempName { get; init; } = "";
        public long SpaceId { get; init; }
        public long? CreatorId { get; init; }
        public long[] Users { get; init; } = [];
    }
}

/// <summary>A template whose row is locked.</summary>
/// <param name="IsEditor">Whether the caller may bring in what the template does not have yet.</param>
internal sealed record LockedTemplate(string Name, Resource Resource, bool IsEditor);

/// <summary>Finds templates for decisions that are asked about by name.</summary>
internal sealed class TemplateResources : IResourceReader
{
    public string Kind => ResourceKind.Template;

    public async Task<Resource?> Find(NpgsqlConnection connection, string id) =>
        long.TryParse(id, System.Globalization.CultureInfo.InvariantCulture, out var number) ? await TemplateRight.Find(connection, null, number) : null;
}
