using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// Orders as rights know them: their submitter, those who may approve them, those whom they name, and roles that approve on the space or the template. Ids
/// decide; names only what may be seen, and only where there is no id: anybody can have a nickname.
/// </summary>
internal static class OrderAccess
{
    /// <summary>A condition on an order <c>o</c>; its parameters are those of <see cref="Viewer"/>. It says what <see cref="Access"/> decides of one.</summary>
    public const string Visible = """
        (@IsSuperuser OR o.creator_id = @UserId OR @UserId = ANY(o.approver_ids) OR @UserId = ANY(o.watcher_ids) OR o.watchers && @Names
            OR (o.creator_id IS NULL AND o.creator = ANY(@Names)) OR o.space_id = ANY(@Spaces) OR o.temp_id = ANY(@Templates)
            OR o.list_id IN (SELECT t.list_id FROM tasks.order_approval t WHERE t.team_id = ANY(@Teams)))
        """;

    private const string FindSql = """
        SELECT o.list_id, o.schedule, o.creator_id, o.creator, o.approver_ids, o.watcher_ids, o.watchers, o.space_id, o.temp_id, o.hold, o.start_time,
            (SELECT t.team_id FROM tasks.order_approval t WHERE t.list_id = o.list_id) AS team_id
        FROM tasks.scheduler_task_list o WHERE o.list_id = @ListId
        """;

    private const string LockSql = $"""
        {FindSql} FOR NO KEY UPDATE
        """;

    /// <summary>The order with its people; null when there is none.</summary>
    public static async Task<Resource?> Find(NpgsqlConnection connection, long listId) =>
        (await connection.QuerySingleOrDefaultAsync<LockedOrder>(FindSql, new { ListId = listId }))?.Resource;

    /// <summary>Whether the caller may see the order, and with it its output; false also when there is none.</summary>
    public static async Task<bool> Sees(NpgsqlConnection connection, Access access, long listId) =>
        await Find(connection, listId) is { } order && await access.May(Verbs.See, order);

    /// <summary>Locks the order until the transaction ends: everything that a person changes in it goes one after the other.</summary>
    /// <exception cref="Refusal">There is none.</exception>
    public static async Task<LockedOrder> Lock(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId) =>
        await connection.QuerySingleOrDefaultAsync<LockedOrder>(LockSql, new { ListId = listId }, transaction) ?? throw NoSuchOrder;

    /// <summary>
    /// Applies the approval rule to the verb approve, while the order is new or ready. Once the order has started, the verb means intervening, and roles alone
    /// decide; moving the time of timed steps still asks the rule.
    /// </summary>
    /// <param name="decision">The decision by roles.</param>
    public static async Task<AccessDecision> ApplyOwnRule(
        NpgsqlConnection connection,
        TeamDirectory teams,
        Caller caller,
        long listId,
        AccessDecision decision
    )
    {
        var order = await connection.QuerySingleOrDefaultAsync<LockedOrder>(FindSql, new { ListId = listId });
        if (order is not { State: OrderState.New or OrderState.Ready }) return decision;
        var rule = (await OrderApproval.Read(connection, null, listId)).Rule;
        if (rule.Against(caller, teams, decision.IsAllowed, order.CreatorId, order.Creator) is { } why)
            return rule.TeamId is null && !decision.IsAllowed ? decision : new AccessDecision(AccessBasis.Nothing, Against: why);
        return rule.TeamId is null ? decision : new AccessDecision(AccessBasis.ApprovingTeam);
    }

    public static Refusal NoSuchOrder => Refusal.NotFound("没有这个订单", "No such order");
}

/// <summary>The caller as <see cref="OrderAccess.Visible"/> asks for them.</summary>
/// <param name="Spaces">Whose orders a role shows.</param>
/// <param name="Templates">The same, of single templates.</param>
/// <param name="Teams">The caller's own: they see the orders that their team is to approve.</param>
internal sealed record Viewer(long UserId, bool IsSuperuser, string[] Names, long[] Spaces, long[] Templates, long[] Teams)
{
    public static Viewer Of(Access access)
    {
        var (caller, sight) = (access.Caller, access.Sees(ResourceKind.Order));
        var teams = access.Rules.TeamsOf.GetValueOrDefault(caller.UserId, []);
        return new Viewer(caller.UserId, caller.IsSuperuser, [caller.Username, caller.Nickname], sight.Spaces, sight.Numbers, teams);
    }
}

/// <summary>An order whose row is locked. With properties, because Dapper gives no array to a constructor.</summary>
internal sealed record LockedOrder
{
    public long ListId { get; init; }

    public required string Schedule { get; init; }

    public long? CreatorId { get; init; }

    public string Creator { get; init; } = "";

    public long[] ApproverIds { get; init; } = [];

    public long[] WatcherIds { get; init; } = [];

    public string[] Watchers { get; init; } = [];

    public long SpaceId { get; init; }

    public long TempId { get; init; }

    /// <summary>The team whose members approve it; null where its rule names none.</summary>
    public long? TeamId { get; init; }

    public bool Hold { get; init; }

    public DateTime StartTime { get; init; }

    public OrderState State => OrderStates.Read(Schedule);

    /// <summary>The order as rights know it.</summary>
    public Resource Resource =>
        new(ResourceKind.Order, ListId.ToString(CultureInfo.InvariantCulture), SpaceId)
        {
            People = ApproverIds,
            Creator = CreatorId,
            Watchers = WatcherIds,
            WatcherNames = CreatorId is null ? [.. Watchers, Creator] : Watchers,
            ApprovingTeam = TeamId,
            Template = TempId.ToString(CultureInfo.InvariantCulture),
        };

    /// <summary>Refuses whoever may not do this to the order, in the contract's words; what is missing is said to those who may see it.</summary>
    /// <param name="verb"><see cref="Verbs.Approve"/>, or <see cref="Verbs.Run"/> for what the submitter may as well.</param>
    /// <exception cref="Refusal">It is not allowed.</exception>
    public ValueTask Demand(Access access, Verbs verb, Text refused) => access.Demand(verb, Resource, new Refusal(-2, refused, RefusalKind.Forbidden), refused);
}

/// <summary>Finds orders for decisions that are asked about by name.</summary>
internal sealed class OrderResources(TeamDirectory teams) : IResourceReader
{
    public string Kind => ResourceKind.Order;

    public async Task<Resource?> Find(NpgsqlConnection connection, string id) =>
        long.TryParse(id, CultureInfo.InvariantCulture, out var number) ? await OrderAccess.Find(connection, number) : null;

    // What the token's scope does not have no rule gives.
    public async Task<AccessDecision> ApplyOwnRule(NpgsqlConnection connection, Caller caller, Verbs verb, Resource resource, AccessDecision decision) =>
        verb == Verbs.Approve && decision.Basis != AccessBasis.Scope && resource.IsOne
            ? await OrderAccess.ApplyOwnRule(connection, teams, caller, long.Parse(resource.Id, CultureInfo.InvariantCulture), decision)
            : decision;
}
