using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Where an order stands as a whole.</summary>
/// <param name="Status">As lists answer it: <c>0</c> before the approval.</param>
internal sealed record GridOrder(
    long ListId,
    string TaskName,
    string Schedule,
    string Status,
    bool Hold,
    DateTime StartTime,
    DateTime? EndedAt,
    int ApprovalsNeeded,
    int ApprovalsGiven,
    string WaitsFor
);

/// <summary>A step of a group, which every host of the group runs.</summary>
internal sealed record GridStep(int TaskGroup, int TaskLevel, string TaskName, string Trigger);

/// <summary>One host of one group.</summary>
/// <param name="State">Of the lane: waiting, ready, running, hand, timed, failed, interrupted, stopped, done or ended.</param>
/// <param name="Steps">One character a step: its <c>task_status</c>.</param>
/// <param name="Outcomes">One character a step: <c>d</c> done, <c>i</c> ignored, <c>f</c> failed, <c>t</c> timeout, <c>u</c> unreachable, <c>l</c> lost,
/// <c>x</c> interrupted, <c>s</c> stopped, <c>e</c> ended, <c>r</c> rejected, <c>k</c> skipped, <c>-</c> none yet.</param>
internal sealed record GridLane(int TaskGroup, string Host, int Batch, string State, string Steps, string Outcomes);

/// <summary>One group, column by column: the same place in every list is the same host.</summary>
/// <param name="TaskGroup">The group's number.</param>
/// <param name="Names">The steps, in the order in which they run.</param>
internal sealed record GridGroup(
    int TaskGroup,
    IReadOnlyList<GridStep> Names,
    IReadOnlyList<string> Hosts,
    IReadOnlyList<int> Batches,
    IReadOnlyList<string> States,
    IReadOnlyList<string> Steps,
    IReadOnlyList<string> Outcomes
);

/// <summary>An order's hosts and steps, read in one statement each.</summary>
internal sealed record OrderGrid(GridOrder Order, IReadOnlyList<GridStep> Names, IReadOnlyList<GridLane> Lanes)
{
    private const string OrderSql = $"""
        SELECT o.list_id, o.task_name, o.schedule, CASE WHEN o.schedule = 'new' THEN '0' ELSE CAST(o.status AS text) END AS status, o.hold, o.start_time,
            o.ended_at, {WaitingFor.Columns}
        FROM tasks.scheduler_task_list o WHERE o.list_id = @ListId
        """;

    // Every lane of a group has the group's steps, so those of its first lane name them all.
    private const string NamesSql = """
        SELECT i.task_group, i.task_level, i.task_name, i.trigger
        FROM (SELECT min(lane_id) AS lane_id FROM tasks.lane WHERE list_id = @ListId GROUP BY task_group) first JOIN tasks.scheduler_task_info i USING (lane_id)
        ORDER BY i.task_group, i.task_level, i.sched_id
        """;

    private const string LanesSql = """
        SELECT l.task_group, l.host, l.batch, l.state, s.steps, s.outcomes
        FROM tasks.lane l CROSS JOIN LATERAL (
            SELECT COALESCE(string_agg(chr(48 + i.task_status), ''), '') AS steps,
                   COALESCE(string_agg(CASE i.outcome WHEN 'interrupted' THEN 'x' WHEN 'skipped' THEN 'k' ELSE COALESCE(left(i.outcome, 1), '-') END, ''),
                       '') AS outcomes
            FROM (SELECT task_status, outcome FROM tasks.scheduler_task_info WHERE lane_id = l.lane_id ORDER BY task_level, sched_id) i) s
        WHERE l.list_id = @ListId ORDER BY l.task_group, l.lane_id
        """;

    public IReadOnlyList<GridGroup> Groups =>
        [
            .. Lanes
                .GroupBy(lane => lane.TaskGroup)
                .Select(group => new GridGroup(
                    group.Key,
                    [.. Names.Where(step => step.TaskGroup == group.Key)],
                    [.. group.Select(lane => lane.Host)],
                    [.. group.Select(lane => lane.Batch)],
                    [.. group.Select(lane => lane.State)],
                    [.. group.Select(lane => lane.Steps)],
                    [.. group.Select(lane => lane.Outcomes)]
                )),
        ];

    /// <exception cref="Refusal">There is no such order.</exception>
    public static async Task<OrderGrid> Read(NpgsqlConnection connection, long listId, CancellationToken cancellation)
    {
        var asked = new { ListId = listId };
        var order =
            await connection.QuerySingleOrDefaultAsync<GridOrder>(new CommandDefinition(OrderSql, asked, cancellationToken: cancellation))
            ?? throw OrderAccess.NoSuchOrder;
        var names = (await connection.QueryAsync<GridStep>(new CommandDefinition(NamesSql, asked, cancellationToken: cancellation))).AsList();
        return new OrderGrid(
            order,
            names,
            (await connection.QueryAsync<GridLane>(new CommandDefinition(LanesSql, asked, cancellationToken: cancellation))).AsList()
        );
    }
}
