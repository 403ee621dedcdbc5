using Codo.Platform.Cluster;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// Makes the steps interrupted whose commands were under way in a backup, so that a person decides about them; a lane between two steps goes on after the
/// release. No process is looked for or ended: it belongs to the installation that was backed up.
/// </summary>
internal sealed class SettleRestoredOrders : ISettleRestored
{
    private const string SettleSql = """
        WITH ended AS (
            UPDATE tasks.attempt SET ended_at = clock_timestamp(), outcome = COALESCE(stop_requested, 'interrupted'), cause = @Cause WHERE ended_at IS NULL
            RETURNING sched_id, lane_id
        ), step AS (
            UPDATE tasks.scheduler_task_info SET task_status = 6, outcome = 'interrupted', cause = @Cause
            WHERE sched_id IN (SELECT sched_id FROM ended) AND task_status = 2
        ), left_lane AS (
            UPDATE tasks.lane SET state = CASE WHEN lane_id IN (SELECT lane_id FROM ended) THEN 'interrupted' ELSE 'ready' END, since = clock_timestamp(),
                node = NULL, incarnation = NULL
            WHERE state = 'running' RETURNING list_id
        )
        INSERT INTO tasks.advance (list_id) SELECT DISTINCT list_id FROM left_lane
        """;

    // A restart would look for what is left on its host, and kill it.
    private const string ForgetLeftSql = """
        UPDATE tasks.attempt SET left_behind = NULL WHERE left_behind IN ('running', 'unreachable')
        """;

    // Background jobs are not in a backup, and their numbers are given again.
    private const string ForgetDashboardSql = """
        UPDATE tasks.dashboard_job SET background_job = NULL, state = ''
        """;

    private const string ForgetNumbersSql = """
        UPDATE tasks.scheduler_task_list SET dashboard_job = '' WHERE dashboard_job <> ''
        """;

    public async Task Settle(NpgsqlConnection connection, NpgsqlTransaction transaction, Text cause)
    {
        await connection.ExecuteAsync(SettleSql, new { Cause = cause.Both() }, transaction, commandTimeout: 0);
        await connection.ExecuteAsync(ForgetLeftSql, transaction: transaction, commandTimeout: 0);
        await connection.ExecuteAsync(ForgetDashboardSql, transaction: transaction, commandTimeout: 0);
        await connection.ExecuteAsync(ForgetNumbersSql, transaction: transaction, commandTimeout: 0);
    }
}
