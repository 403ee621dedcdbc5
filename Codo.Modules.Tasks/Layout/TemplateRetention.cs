using Codo.Platform.Cluster;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Deletes what is kept of templates for a time: deleted ones past the days in which they can come back, and versions that newer ones have pushed out.
/// </summary>
internal sealed class TemplateRetention(NpgsqlDataSource source, RetentionGuard guard)
{
    private const string DeletedSql = """
        DELETE FROM tasks.deleted_template WHERE deleted_at <= CAST(@Now AS timestamptz) - make_interval(days => @Days)
        """;

    private const string VersionsSql = """
        WITH gone AS (
            DELETE FROM tasks.template_version v WHERE NOT EXISTS (SELECT FROM tasks.scheduler_temp_list t WHERE t.temp_id = v.temp_id)
                AND NOT EXISTS (SELECT FROM tasks.deleted_template d WHERE d.temp_id = v.temp_id))
        DELETE FROM tasks.template_version v USING tasks.scheduler_temp_list t WHERE t.temp_id = v.temp_id AND v.version <= t.version - @Most
        """;

    /// <summary>The hourly run.</summary>
    public async Task DropOld(CancellationToken cancellation)
    {
        if (await guard.Allows(cancellation) is not { } now) return;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(DeletedSql, new { Now = now, Days = RetentionGuard.DeletedDays });
        await connection.ExecuteAsync(VersionsSql, new { Most = RetentionGuard.KeptVersions });
    }
}
