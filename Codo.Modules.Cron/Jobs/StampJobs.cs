using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>Jobs of a version that ran every command as the host's user, and what of them waits for its turn or its retry.</summary>
internal sealed class StampJobs : IStampRunAs
{
    private const string JobsSql = """
        UPDATE cron.job SET run_as = @Name WHERE run_as = ''
        """;

    private const string VersionsSql = """
        UPDATE cron.job_version SET content = jsonb_set(content, '{run_as}', to_jsonb(CAST(@Name AS text))) WHERE content ->> 'run_as' = ''
        """;

    private const string QueuedSql = """
        UPDATE cron.cron_log l SET spec = l.spec || jsonb_build_object('run_as', CAST(@Name AS text)) FROM cron.active_execution g
        WHERE l.log_id = g.log_id AND l.nominal_at = g.nominal_at AND l.spec ->> 'run_as' IS NULL
        """;

    public async Task<int> Stamp(NpgsqlConnection connection, NpgsqlTransaction transaction, string name)
    {
        await connection.ExecuteAsync(QueuedSql, new { Name = name }, transaction);
        await connection.ExecuteAsync(VersionsSql, new { Name = name }, transaction);
        return await connection.ExecuteAsync(JobsSql, new { Name = name }, transaction);
    }
}
