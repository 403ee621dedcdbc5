using Codo.Platform.Cluster;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// Ends the executions that were queued, running or awaiting a retry in a backup. No process is looked for: on the machine of a drill the process of that
/// number, or even that very run, may be production's.
/// </summary>
internal sealed class SettleRestoredRuns : ISettleRestored
{
    private const string SettleSql = """
        WITH gone AS (
            DELETE FROM cron.active_execution RETURNING log_id, nominal_at
        ), ended AS (
            UPDATE cron.attempt SET ended_at = clock_timestamp(), status = 'interrupted', cause_zh = @Zh, cause_en = @En WHERE ended_at IS NULL
        )
        UPDATE cron.cron_log l SET status = CASE l.status WHEN 'running' THEN 'interrupted' ELSE 'killed' END, ended_at = clock_timestamp(), cause_zh = @Zh,
            cause_en = @En
        FROM gone WHERE l.log_id = gone.log_id AND l.nominal_at = gone.nominal_at AND l.status IN ('queued', 'running')
        """;

    private const string ForgetUnknownSql = """
        DELETE FROM cron.left_unknown
        """;

    // Background jobs are not in a backup.
    private const string ForgetDashboardSql = """
        DELETE FROM cron.dashboard_job
        """;

    // The ledger goes on naming those that are gone: none of their numbers is given again.
    private const string NumberSql = """
        SELECT setval(pg_get_serial_sequence('hangfire.job', 'id'), known) FROM (
            SELECT max(CAST(dashboard_job AS bigint)) AS known FROM cron.cron_log WHERE dashboard_job ~ '^[0-9]{1,18}$'
        ) ledger WHERE known IS NOT NULL
        """;

    public async Task Settle(NpgsqlConnection connection, NpgsqlTransaction transaction, Text cause)
    {
        await connection.ExecuteAsync(SettleSql, new { cause.Zh, cause.En }, transaction, commandTimeout: 0);
        await connection.ExecuteAsync(ForgetUnknownSql, transaction: transaction);
        await connection.ExecuteAsync(ForgetDashboardSql, transaction: transaction);
        await connection.ExecuteAsync(NumberSql, transaction: transaction, commandTimeout: 0);
    }
}
