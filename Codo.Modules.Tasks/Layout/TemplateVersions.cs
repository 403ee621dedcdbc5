using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>A row of <c>tasks.template_version</c>.</summary>
internal sealed class TemplateVersion
{
    public int Version { get; init; }
    public DateTime At { get; init; }
    public long ById { get; init; }
    public string ByName { get; init; } = "";
    public int? RestoredFrom { get; init; }
    public string? Content { get; init; }
}

/// <summary>
/// The versions of templates. Whatever changes one keeps its content as a version in the same transaction, under the lock of the template's row; a save that
/// changes nothing makes none.
/// </summary>
internal static class TemplateVersions
{
    public const string Columns = "version, at, by_id, by_name, restored_from, content::text AS content";

    private const string KeepSql = """
        WITH kept AS (
            UPDATE tasks.scheduler_temp_list t SET version = CASE WHEN v.version IS NULL THEN t.version ELSE GREATEST(t.version, v.version) + 1 END
            FROM (SELECT tasks.template_content(@TempId) AS content) n LEFT JOIN (
                SELECT version, content FROM tasks.template_version WHERE temp_id = @TempId ORDER BY version DESC LIMIT 1) v ON true
            WHERE t.temp_id = @TempId AND v.content IS DISTINCT FROM n.content
            RETURNING t.version, n.content)
        INSERT INTO tasks.template_version (temp_id, version, by_id, by_name, restored_from, content)
        SELECT @TempId, version, @ById, @ByName, CAST(@From AS int), content FROM kept
        """;

    private const string CurrentSql = """
        SELECT version FROM tasks.scheduler_temp_list WHERE temp_id = @TempId
        """;

    private const string NewestSql = """
        SELECT version, at, by_id, by_name, restored_from FROM tasks.template_version WHERE temp_id = @TempId ORDER BY version DESC LIMIT @Most
        """;

    private const string CountSql = """
        SELECT count(*) FROM tasks.template_version WHERE temp_id = @TempId
        """;

    private const string SomeSql = $"""
        SELECT {Columns} FROM tasks.template_version WHERE temp_id = @TempId AND version = ANY(@Versions)
        """;

    /// <summary>Keeps the template's content as a new version where it differs from the newest one.</summary>
    /// <param name="by">Null before a change: then it was changed otherwise, by a node of the version before or with an execute-user's name.</param>
    /// <param name="from">The version whose content this is; null for an edit.</param>
    /// <returns>The version that is stored.</returns>
    public static async Task<int> Keep(NpgsqlConnection connection, NpgsqlTransaction transaction, long tempId, Caller? by, int? from = null)
    {
        var row = new
        {
            TempId = tempId,
            ById = by?.UserId ?? 0,
            ByName = by?.Nickname ?? "",
            From = from,
        };
        await connection.ExecuteAsync(KeepSql, row, transaction);
        return await Current(connection, transaction, tempId);
    }

    /// <summary>The version that is stored.</summary>
    public static Task<int> Current(NpgsqlConnection connection, NpgsqlTransaction? transaction, long tempId) =>
        connection.ExecuteScalarAsync<int>(CurrentSql, new { TempId = tempId }, transaction);

    /// <summary>The newest versions, without their contents.</summary>
    public static async Task<List<TemplateVersion>> Newest(NpgsqlConnection connection, long tempId, int most) =>
        (await connection.QueryAsync<TemplateVersion>(NewestSql, new { TempId = tempId, Most = most })).AsList();

    /// <summary>How many versions are kept.</summary>
    public static Task<long> Count(NpgsqlConnection connection, long tempId) => connection.ExecuteScalarAsync<long>(CountSql, new { TempId = tempId });

    /// <summary>One version.</summary>
    /// <exception cref="Refusal">The template has no such version, or it is no longer kept.</exception>
    public static async Task<TemplateVersion> One(NpgsqlConnection connection, long tempId, int version) =>
        (await Some(connection, null, tempId, version)).Find(one => one.Version == version)
        ?? throw Refusal.NotFound($"没有版本 {version}，或已不再保留", $"There is no version {version}, or it is no longer kept");

    /// <summary>The versions of these numbers that are kept.</summary>
    public static async Task<List<TemplateVersion>> Some(NpgsqlConnection connection, NpgsqlTransaction? transaction, long tempId, params int[] versions) =>
        (await connection.QueryAsync<TemplateVersion>(SomeSql, new { TempId = tempId, Versions = versions }, transaction)).AsList();

    /// <summary>The refusal of a change that was made to another version than the stored one. The template is locked.</summary>
    public static async Task<Refusal> Conflict(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        ReplaceSteps.Command request,
        int stored,
        Zone zone,
        Access access
    )
    {
        var made = request.Version!.Value;
        var versions = await Some(connection, transaction, request.TempId!.Value, made, stored);
        var newest = versions.Find(one => one.Version == stored) ?? new TemplateVersion { Version = stored };
        var before = versions.Find(one => one.Version == made);
        var differences = before is null ? [] : VersionContent.Of(newest, access).Since(VersionContent.Of(before, access));
        return VersionConflict.Refuse(made, stored, newest.ByName, newest.At, zone, differences, one => VersionContent.Sent(request, one));
    }
}
