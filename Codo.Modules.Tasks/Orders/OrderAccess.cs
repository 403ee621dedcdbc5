using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// Who may see, approve and end an order. Ids decide rights; names only what may be seen, and only where there is no id: anybody can have a nickname.
/// </summary>
internal static class OrderAccess
{
    /// <summary>A condition on an order <c>o</c>; its parameters are those of <see cref="Viewer"/>.</summary>
    public const string Visible = """
        (@IsSuperuser OR o.creator_id = @UserId OR @UserId = ANY(o.approver_ids) OR @UserId = ANY(o.watcher_ids) OR o.watchers && @Names
            OR (o.creator_id IS NULL AND o.creator = ANY(@Names)))
        """;

    private const string SeesSql = $"""
        SELECT EXISTS (SELECT FROM tasks.scheduler_task_list o WHERE o.list_id = @ListId AND {Visible})
        """;

    private const string LockSql = """
        SELECT o.list_id, o.schedule, o.creator_id, o.approver_ids, o.hold, o.start_time FROM tasks.scheduler_task_list o
            WHERE o.list_id = @ListId FOR NO KEY UPDATE
        """;

    /// <summary>Whether the caller may see the order, and with it its output; false also when there is none.</summary>
    public static Task<bool> Sees(NpgsqlConnection connection, Caller caller, long listId)
    {
        var viewer = new Viewer(caller);
        return connection.ExecuteScalarAsync<bool>(SeesSql, new { viewer.UserId, viewer.IsSuperuser, viewer.Names, ListId = listId });
    }

    /// <summary>Locks the order until the transaction ends: everything that a person changes in it goes one after the other.</summary>
    /// <exception cref="Refusal">There is none.</exception>
    public static async Task<LockedOrder> Lock(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId) =>
        await connection.QuerySingleOrDefaultAsync<LockedOrder>(LockSql, new { ListId = listId }, transaction) ?? throw NoSuchOrder;

    public static Refusal NoSuchOrder => Refusal.NotFound("没有这个订单", "No such order");

    public static bool MayApprove(Caller caller, long[] approverIds) => caller.IsSuperuser || approverIds.Contains(caller.UserId);
}

/// <summary>The caller as <see cref="OrderAccess.Visible"/> asks for them.</summary>
internal sealed record Viewer(long UserId, bool IsSuperuser, string[] Names)
{
    public Viewer(Caller caller) : this(caller.UserId, caller.IsSuperuser, [caller.Username, caller.Nickname])
    {
    }
}

/// <summary>An order whose row is locked. With properties, because Dapper gives no array to a constructor.</summary>
internal sealed record LockedOrder
{
    public long ListId { get; init; }

    public required string Schedule { get; init; }

    public long? CreatorId { get; init; }

    public long[] ApproverIds { get; init; } = [];

    public bool Hold { get; init; }

    public DateTime StartTime { get; init; }

    public OrderState State => OrderStates.Read(Schedule);

    public bool MayApprove(Caller caller) => OrderAccess.MayApprove(caller, ApproverIds);

    public bool IsSubmitter(Caller caller) => CreatorId == caller.UserId;
}
