using Codo.Platform.Cluster;
using Codo.Platform.Localization;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Lanes that no live node fits by the selector of their next step: that step says so.</summary>
internal sealed class UnplacedLanes(NpgsqlDataSource source, Node node, IServiceScopeFactory scopes) : PlacementWatch(source, node, scopes)
{
    private const string AnySql = """
        SELECT EXISTS (SELECT FROM tasks.lane WHERE is_selective AND state = 'ready') OR EXISTS (SELECT FROM tasks.lane WHERE unplaced)
        """;

    private const string MarkSql = """
        WITH stuck AS (
            SELECT l.lane_id, next.sched_id, next.node_selector FROM tasks.lane l JOIN tasks.scheduler_task_list o USING (list_id)
            CROSS JOIN LATERAL (SELECT i.sched_id, i.node_selector FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id AND i.task_status <> 3
                ORDER BY i.task_level, i.sched_id LIMIT 1) next
            WHERE l.is_selective AND l.state = 'ready' AND NOT l.unplaced AND o.schedule = 'start'
                AND l.since <= statement_timestamp() - make_interval(secs => @Patience)
                AND next.node_selector <> '' AND NOT platform.has_node('orders', next.node_selector)
            FOR UPDATE OF l SKIP LOCKED
        ), marked AS (
            UPDATE tasks.lane l SET unplaced = true FROM stuck s WHERE l.lane_id = s.lane_id RETURNING s.sched_id, s.node_selector
        )
        UPDATE tasks.scheduler_task_info i SET cause = replace(@Cause, '{}', m.node_selector) FROM marked m WHERE i.sched_id = m.sched_id
        """;

    // A lane that was stopped or ended meanwhile waits for no node.
    private const string UnmarkSql = """
        WITH placed AS (
            SELECT l.lane_id FROM tasks.lane l
            WHERE l.unplaced AND (l.state <> 'ready' OR platform.has_node('orders', COALESCE((SELECT i.node_selector FROM tasks.scheduler_task_info i
                WHERE i.lane_id = l.lane_id AND i.task_status <> 3 ORDER BY i.task_level, i.sched_id LIMIT 1), '')))
            FOR UPDATE SKIP LOCKED
        ), unmarked AS (
            UPDATE tasks.lane l SET unplaced = false FROM placed p WHERE l.lane_id = p.lane_id RETURNING l.lane_id
        )
        UPDATE tasks.scheduler_task_info i SET cause = '' FROM unmarked u WHERE i.lane_id = u.lane_id AND i.cause = replace(@Cause, '{}', i.node_selector)
        """;

    private const string MarkedSql = """
        SELECT DISTINCT l.list_id || ' ' || next.task_name AS name, next.node_selector AS selector FROM tasks.lane l
        CROSS JOIN LATERAL (SELECT i.task_name, i.node_selector FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id AND i.task_status <> 3
            ORDER BY i.task_level, i.sched_id LIMIT 1) next
        WHERE l.unplaced ORDER BY 1, 2
        """;

    protected override string Problem => "lanes without a node";

    protected override Text Title => new("没有节点可执行订单步骤", "Steps of orders wait for a node that fits");

    protected override Task<bool> Any(NpgsqlConnection connection) => connection.ExecuteScalarAsync<bool>(AnySql);

    protected override async Task<IEnumerable<Unplaced>> Mark(NpgsqlConnection connection)
    {
        var cause = Cause("{}").Both();
        await connection.ExecuteAsync(MarkSql, new { Patience, Cause = cause });
        await connection.ExecuteAsync(UnmarkSql, new { Cause = cause });
        return await connection.QueryAsync<Unplaced>(MarkedSql);
    }
}
