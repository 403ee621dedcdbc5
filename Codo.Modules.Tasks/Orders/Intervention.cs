using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What every intervention begins and ends with.</summary>
internal static class Intervention
{
    private const string LaneSql = """
        SELECT lane_id, task_group, host, state FROM tasks.lane WHERE list_id = @ListId AND task_group = @Group AND host = @Host FOR NO KEY UPDATE
        """;

    // A lane goes on when the step that it stands at waits for nobody any more; releasing a later one changes nothing yet.
    private const string LetGoSql = """
        UPDATE tasks.lane l SET state = 'ready', since = clock_timestamp()
        WHERE l.lane_id = ANY(@Lanes) AND l.state = ANY(@From)
          AND (SELECT i.task_status FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id AND i.task_status <> 3 ORDER BY i.task_level,
              i.sched_id LIMIT 1) = 1
        """;

    /// <summary>Locks an order that runs, for somebody who may.</summary>
    /// <param name="submitterToo">Whether the submitter may, besides those with the right to approve.</param>
    /// <exception cref="Refusal">No such order, no right to it, or it does not run.</exception>
    public static async Task<LockedOrder> Lock(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        Access access,
        long listId,
        bool submitterToo = false
    )
    {
        var order = await OrderAccess.Lock(connection, transaction, listId);
        await order.Demand(
            access,
            submitterToo ? Verbs.Run : Verbs.Approve,
            new Text("你没有干预此订单的权限", "You have no right to intervene in this order")
        );
        return order.State == OrderState.Start
            ? order
            : throw Refusal.Conflict($"订单状态为 {order.Schedule}，只能干预运行中的订单", $"The order is {order.Schedule}; only one that runs can be intervened in");
    }

    public static async Task<LockedLane> Lane(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId, int group, string host) =>
        await connection.QuerySingleOrDefaultAsync<LockedLane>(LaneSql, new { ListId = listId, Group = group, Host = host }, transaction)
        ?? throw Refusal.NotFound("订单中没有这个组或主机", "The order has no such group or host");

    /// <summary>Sends the lanes on whose hand step was released.</summary>
    public static Task LetGo(NpgsqlConnection connection, NpgsqlTransaction transaction, long[] lanes) =>
        connection.ExecuteAsync(LetGoSql, new { Lanes = lanes, From = LaneStates.From(LaneAction.Release) }, transaction);
}

/// <summary>A lane whose row is locked.</summary>
internal sealed record LockedLane(long LaneId, int TaskGroup, string Host, string State)
{
    public LaneState Stands => LaneStates.Read(State);
}
