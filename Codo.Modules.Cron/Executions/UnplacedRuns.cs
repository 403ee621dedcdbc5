using Codo.Platform.Cluster;
using Codo.Platform.Localization;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Queued executions that no live node fits: their rows of the ledger say so.</summary>
internal sealed class UnplacedRuns(NpgsqlDataSource source, Node node, IServiceScopeFactory scopes) : PlacementWatch(source, node, scopes)
{
    private const string AnySql = """
        SELECT EXISTS (SELECT FROM cron.active_execution WHERE node_selector <> '' AND state = 'queued')
        """;

    private const string MarkSql = """
        WITH stuck AS (
            SELECT log_id FROM cron.active_execution
            WHERE node_selector <> '' AND state = 'queued' AND NOT unplaced AND not_before <= statement_timestamp() - make_interval(secs => @Patience)
                AND NOT platform.has_node('cron', node_selector)
            FOR UPDATE SKIP LOCKED
        ), marked AS (
            UPDATE cron.active_execution g SET unplaced = true FROM stuck WHERE g.log_id = stuck.log_id RETURNING g.log_id, g.nominal_at, g.node_selector
        )
        UPDATE cron.cron_log l SET cause_zh = replace(@Zh, '{}', m.node_selector), cause_en = replace(@En, '{}', m.node_selector)
        FROM marked m WHERE l.log_id = m.log_id AND l.nominal_at = m.nominal_at AND l.status = 'queued'
        """;

    private const string UnmarkSql = """
        WITH placed AS (
            SELECT log_id FROM cron.active_execution
            WHERE node_selector <> '' AND state = 'queued' AND unplaced AND platform.has_node('cron', node_selector)
            FOR UPDATE SKIP LOCKED
        ), unmarked AS (
            UPDATE cron.active_execution g SET unplaced = false FROM placed WHERE g.log_id = placed.log_id RETURNING g.log_id, g.nominal_at
        )
        UPDATE cron.cron_log l SET cause_zh = '', cause_en = '' FROM unmarked u
        WHERE l.log_id = u.log_id AND l.nominal_at = u.nominal_at AND l.status = 'queued'
        """;

    private const string MarkedSql = """
        SELECT DISTINCT job_id AS name, node_selector AS selector FROM cron.active_execution WHERE node_selector <> '' AND unplaced ORDER BY 1, 2
        """;

    protected override string Problem => "runs without a node";

    protected override Text Title => new("没有节点可运行任务", "Runs wait for a node that fits");

    protected override Task<bool> Any(NpgsqlConnection connection) => connection.ExecuteScalarAsync<bool>(AnySql);

    protected override async Task<IEnumerable<Unplaced>> Mark(NpgsqlConnection connection)
    {
        var cause = Cause("{}");
        await connection.ExecuteAsync(MarkSql, new { Patience, cause.Zh, cause.En });
        await connection.ExecuteAsync(UnmarkSql);
        return await connection.QueryAsync<Unplaced>(MarkedSql);
    }
}
