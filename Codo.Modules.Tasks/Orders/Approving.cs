using System.Globalization;
using System.Security.Cryptography;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What a person wants of an order that awaits approval.</summary>
/// <param name="Start">Null leaves the order's own time.</param>
/// <param name="Sha256">Of the plan that the person has seen; null where the client shows none.</param>
/// <param name="BreaksGlass">Starts it without the approvals that it needs.</param>
/// <param name="Moves">Of an order that is approved already it moves the time.</param>
internal sealed record Decision(
    long ListId,
    DateTimeOffset? Start,
    bool? Hold,
    string Comment,
    string? Sha256,
    bool BreaksGlass = false,
    bool Moves = false
);

/// <summary>What has become of it.</summary>
/// <param name="Missing">Approvals that the order still needs; 0 when it is approved.</param>
internal sealed record Decided(DateTime BeginsAt, bool Hold, int Missing, IReadOnlyList<Text> Warnings);

/// <summary>
/// Approves, rejects, pushes back and starts without approval, each under the order's lock: of two who decide at once the second finds it decided.
/// </summary>
internal sealed class Approving(NpgsqlDataSource source, Access access, TaskSettings settings, RunPlans plans, TeamDirectory teams, AdvanceOrder advance)
{
    private readonly Caller caller = access.Caller;

    // Submitted before PostgreSQL's clock was put back: the times that it was given then are as far ahead, but for one that a person has named.
    private const string IsFromAhead = """
        create_time > clock_timestamp() + CAST(@MaxSkew AS interval) AND isfinite(create_time) AND isfinite(not_before)
        """;

    // A time in the past means now. The console's button for a later time promises that nothing starts before it.
    private const string ApproveSql = $"""
        UPDATE tasks.scheduler_task_list SET schedule = 'ready', executor = @Nickname, executor_id = @UserId,
            hold = COALESCE(@Hold, hold OR (@LaterMeansHold AND COALESCE(CAST(@StartTime AS timestamptz) > clock_timestamp() + interval '1 minute', false))),
            start_time = GREATEST(COALESCE(CAST(@StartTime AS timestamptz), CASE WHEN {IsFromAhead}
                AND start_time BETWEEN create_time - interval '1 second' AND create_time + interval '1 second'
                THEN clock_timestamp() ELSE start_time END), clock_timestamp()),
            not_before = CASE WHEN {IsFromAhead} THEN clock_timestamp() + (not_before - create_time) ELSE GREATEST(not_before, clock_timestamp()) END
        WHERE list_id = @ListId AND schedule = ANY(@From)
        """;

    // One approval of several: the last that names a time decides it.
    private const string PartSql = """
        UPDATE tasks.scheduler_task_list SET
            start_time = CASE WHEN CAST(@StartTime AS timestamptz) IS NULL THEN start_time ELSE GREATEST(@StartTime, clock_timestamp()) END,
            hold = COALESCE(@Hold, hold OR (@LaterMeansHold AND COALESCE(CAST(@StartTime AS timestamptz) > clock_timestamp() + interval '1 minute', false)))
        WHERE list_id = @ListId AND schedule = 'new'
        """;

    private const string MoveSql = """
        UPDATE tasks.scheduler_task_list SET start_time = GREATEST(CAST(@StartTime AS timestamptz), clock_timestamp()), hold = COALESCE(@Hold, hold)
            WHERE list_id = @ListId
        """;

    private const string VoidSql = """
        UPDATE tasks.approval SET void = true WHERE list_id = @ListId AND verdict IN ('approve', 'break_glass', 'push_back') AND NOT void
        """;

    // Whoever approves takes back what they pushed back.
    private const string TakeBackSql = """
        UPDATE tasks.approval SET void = true WHERE list_id = @ListId AND user_id = @UserId AND verdict = 'push_back' AND NOT void
        """;

    private const string BeginsSql = """
        SELECT begins_at, hold, NOT hold AND start_time > clock_timestamp() + interval '1 minute' AS early FROM tasks.scheduler_task_list
            WHERE list_id = @ListId
        """;

    private const string TimedSql = """
        SELECT count(*) FROM tasks.scheduler_task_info WHERE list_id = @ListId AND task_status = 7
        """;

    /// <summary>Approves a new order; where the decision says so, moves the time of one that was approved and has steps that wait for it.</summary>
    /// <exception cref="Refusal">The order cannot be approved, or not by this person.</exception>
    public async Task<Decided> Approve(Decision decision, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var order = await OrderAccess.Lock(connection, transaction, decision.ListId);
        var approval = await OrderApproval.Read(connection, transaction, order.ListId);
        var timed = await connection.ExecuteScalarAsync<long>(TimedSql, order, transaction);
        if (order.State == OrderState.New) return await Approve(connection, transaction, order, approval, decision, timed, cancellation);
        if (approval.Rule.Against(caller, teams, await MayApprove(order), order.CreatorId, order.Creator) is { } why) throw await Refused(order, why);
        if (order.State == OrderState.Ended) throw Refusal.Conflict("订单已结束，不能再开始", "The order has ended and does not start again");
        // An order that is held waits for its time also when the hold is to be lifted.
        if (decision.Start is not { } start || (timed == 0 && !((order.Hold || decision.Hold == true) && order.State == OrderState.Ready)))
            throw Refusal.Conflict("订单已审批，且没有等待执行时间的任务", "The order is approved already, and nothing in it waits for a time");
        // Whoever approves what somebody else has approved meanwhile has not decided about its time.
        if (!decision.Moves) throw Refusal.Conflict("订单不在等待审批", "The order does not await approval");
        await connection.ExecuteAsync(MoveSql, new { order.ListId, StartTime = start.UtcDateTime, decision.Hold }, transaction);
        var begins = await Begins(connection, transaction, order);
        await Note(connection, transaction, order, "move", new { start_time = start.UtcDateTime, hold = begins.Hold });
        await Commit(connection, transaction, order.ListId, cancellation);
        return new Decided(begins.BeginsAt, begins.Hold, 0, StartsAtOnce(timed, begins));
    }

    /// <summary>Ends a new order, its steps as rejected.</summary>
    /// <exception cref="Refusal">It does not await approval, or the person may not approve it.</exception>
    public async Task Reject(Decision decision, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var order = await OrderAccess.Lock(connection, transaction, decision.ListId);
        var approval = await OrderApproval.Read(connection, transaction, order.ListId);
        if (approval.Rule.Against(caller, teams, await MayApprove(order), order.CreatorId, order.Creator) is { } why) throw await Refused(order, why);
        if (order.State != OrderState.New) throw Refusal.Conflict("订单不在等待审批，不能驳回", "The order does not await approval and cannot be rejected");
        DemandReason(approval.Rule, decision.Comment);
        await approval.Add(connection, transaction, caller, "reject", decision.Comment, approval.Sha256);
        var said = decision.Comment.Length == 0 ? caller.Nickname : $"{caller.Nickname}: {decision.Comment}";
        await OrderEnding.End(connection, transaction, order.ListId, "rejected", Text.Same(said));
        await Note(connection, transaction, order, "reject", new { comment = decision.Comment });
        // Whoever rejects an order of their own knows. A stream of its own: it holds up nothing else of the order.
        if (order.CreatorId != caller.UserId)
            await Outbox.Write(
                connection,
                transaction,
                OrderEvents.Stream(order.ListId) + ":rejected",
                OrderEvents.Rejected,
                new OrderEvents.TurnedDown(order.ListId, caller.Nickname, decision.Comment, decision.Comment)
            );
        await Commit(connection, transaction, order.ListId, cancellation);
    }

    /// <summary>Leaves a new order as it is, with a comment for its submitter; the approvals that it had no longer count.</summary>
    /// <returns>Approvals that it needs.</returns>
    /// <exception cref="Refusal">It does not await approval, the person may not approve it, or there is no comment.</exception>
    public async Task<int> PushBack(Decision decision, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var order = await OrderAccess.Lock(connection, transaction, decision.ListId);
        var approval = await OrderApproval.Read(connection, transaction, order.ListId);
        if (approval.Rule.Against(caller, teams, await MayApprove(order), order.CreatorId, order.Creator) is { } why) throw await Refused(order, why);
        if (order.State != OrderState.New) throw Refusal.Conflict("订单不在等待审批，不能退回", "The order does not await approval and cannot be pushed back");
        if (decision.Comment.Length == 0) throw Refusal.Invalid("退回必须填写理由（comment）", "Pushing back needs a reason (comment)");
        await connection.ExecuteAsync(VoidSql, new { order.ListId }, transaction);
        await approval.Add(connection, transaction, caller, "push_back", decision.Comment, approval.Sha256);
        await Note(connection, transaction, order, "push_back", new { comment = decision.Comment });
        // That it awaits approval is noted first: what was never told of an order is not told to be over when it ends.
        await OrderEvents.Note(connection, transaction, order.ListId);
        // A stream of its own: it holds up nothing else of the order.
        await Outbox.Write(
            connection,
            transaction,
            OrderEvents.Stream(order.ListId) + ":push_back",
            OrderEvents.PushedBack,
            new OrderEvents.BrokeGlass(order.ListId, caller.Nickname, caller.UserId, decision.Comment)
        );
        await transaction.CommitAsync(cancellation);
        return approval.Rule.Needed;
    }

    private async Task<Decided> Approve(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        LockedOrder order,
        OrderApproval approval,
        Decision decision,
        long timed,
        CancellationToken cancellation
    )
    {
        var now = await Plan(connection, transaction, order.ListId);
        var rule = now.NeedsSecond ? approval.Rule with { NotSubmitter = true } : approval.Rule;
        if (decision.BreaksGlass) await DemandGlass(order, decision);
        else if (rule.Against(caller, teams, await MayApprove(order), order.CreatorId, order.Creator) is { } why) throw await Refused(order, why);
        if (now.Block is { } block)
            throw Refusal.Forbidden($"{block.Sentence.Zh}，已禁止执行", $"{block.Sentence.En} and is blocked");
        DemandReason(rule, decision.Comment);
        if (decision.Sha256 is { Length: > 0 } seen && seen != now.Sha256)
        {
            var difference = approval.Sha256 == seen && approval.Difference(now) is { } said ? said : new Text("与你看到的不同", "it is not what you have seen");
            // The console recognises the refusal by the hash, and offers to show the page again.
            throw new Refusal(
                -1,
                new Text($"执行内容已改变，请重新查看：{difference.Zh}", $"What would run has changed, look again: {difference.En}"),
                RefusalKind.Conflict
            )
            {
                More = new { plan_sha256 = now.Sha256 },
            };
        }

        var before = await approval.Approvers(connection, transaction, now.Sha256);
        if (!decision.BreaksGlass && before.Contains(caller.UserId))
            throw Refusal.Conflict(
                $"你已经审批过，还需 {rule.Needed - before.Count} 人",
                $"You have approved it already; {rule.Needed - before.Count} more are needed"
            );
        await connection.ExecuteAsync(TakeBackSql, new { order.ListId, caller.UserId }, transaction);
        await approval.Add(connection, transaction, caller, decision.BreaksGlass ? "break_glass" : "approve", decision.Comment, now.Sha256);
        await approval.Keep(connection, transaction, now);
        var missing = decision.BreaksGlass ? 0 : Math.Max(0, rule.Needed - before.Count - 1);
        var changed = await connection.ExecuteAsync(
            missing > 0 ? PartSql : ApproveSql,
            new
            {
                order.ListId,
                StartTime = decision.Start?.UtcDateTime,
                decision.Hold,
                settings.LaterMeansHold,
                DatabaseClock.MaxSkew,
                caller.Nickname,
                caller.UserId,
                From = OrderStates.From(OrderAction.Approve),
            },
            transaction
        );
        if (changed == 0) throw Refusal.Conflict("订单不在等待审批", "The order does not await approval");
        var begins = await Begins(connection, transaction, order);
        await Note(
            connection,
            transaction,
            order,
            decision.BreaksGlass ? "break_glass" : "approve",
            new
            {
                start_time = decision.Start?.UtcDateTime,
                hold = begins.Hold,
                plan_sha256 = now.Sha256,
                comment = decision.Comment,
                missing,
            }
        );
        if (decision.BreaksGlass)
            await Outbox.Write(
                connection,
                transaction,
                OrderEvents.Stream(order.ListId),
                OrderEvents.GlassBroken,
                new OrderEvents.BrokeGlass(order.ListId, caller.Nickname, caller.UserId, decision.Comment)
            );
        await Commit(connection, transaction, order.ListId, cancellation);
        Text[] warnings =
        [
            .. missing == 0 ? StartsAtOnce(timed, begins) : [],
            .. now.Risks.Select(risk => risk.Sentence).Distinct(),
        ];
        return new Decided(begins.BeginsAt, begins.Hold, missing, warnings);
    }

    private static Text[] StartsAtOnce(long timed, BeginsRow begins) =>
        timed == 0 && begins.Early
            ? [new Text("模板没有定时任务，订单立即开始；要整体等待请使用 hold", "No step is timed, so the order starts at once; use hold to put it off as a whole")]
            : [];

    private async Task<PlannedRun> Plan(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId)
    {
        try
        {
            return await plans.OfOrder(connection, transaction, listId);
        }
        catch (CommandNotStartedException wrong)
        {
            throw Refusal.Conflict($"命令行无法生成：{wrong.Text.Zh}", $"A command line cannot be put together: {wrong.Text.En}");
        }
        catch (CryptographicException)
        {
            throw Refusal.Conflict(OrderArguments.CannotOpen.Zh, OrderArguments.CannotOpen.En);
        }
    }

    private ValueTask<bool> MayApprove(LockedOrder order) => access.May(Verbs.Approve, order.Resource);

    // What is missing is said to those who may see the order; where a team approves, no role is.
    private async Task<Refusal> Refused(LockedOrder order, Text why)
    {
        if (!await access.May(Verbs.See, order.Resource)) return Refusal.Forbidden("你没有审批权限", "You have no right to approve this order");
        return order.TeamId is not null || await MayApprove(order)
            ? new Refusal(-2, why, RefusalKind.Forbidden)
            : access.Refuse(Verbs.Approve, order.Resource, why);
    }

    private async Task DemandGlass(LockedOrder order, Decision decision)
    {
        if (!await access.May(Verbs.Admin, order.Resource))
            throw Refusal.Forbidden("只有管理员可以不经审批紧急执行", "Only an admin may start an order without its approvals");
        if (decision.Comment.Length == 0) throw Refusal.Invalid("紧急执行必须填写理由（comment）", "Starting without approval needs a reason (comment)");
    }

    private static void DemandReason(ApprovalRule rule, string comment)
    {
        if (rule.ReasonRequired && comment.Length == 0) throw Refusal.Invalid("审批规则要求填写理由（comment）", "The rule asks for a reason (comment)");
    }

    private Task Note(NpgsqlConnection connection, NpgsqlTransaction transaction, LockedOrder order, string action, object after) =>
        Audit.Write(connection, transaction, caller, action, "order", order.ListId.ToString(CultureInfo.InvariantCulture),
            new { order.Schedule, order.StartTime }, after);

    private static Task<BeginsRow> Begins(NpgsqlConnection connection, NpgsqlTransaction transaction, LockedOrder order) =>
        connection.QuerySingleAsync<BeginsRow>(BeginsSql, order, transaction);

    private async Task Commit(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId, CancellationToken cancellation)
    {
        await Advancing.MoveTimed(connection, transaction, listId);
        await AdvanceOrder.Note(connection, transaction, listId);
        await transaction.CommitAsync(cancellation);
        await advance.Enqueue(connection, listId);
    }

    private sealed record BeginsRow(DateTime BeginsAt, bool Hold, bool Early);
}
