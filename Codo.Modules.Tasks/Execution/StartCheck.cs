using System.Globalization;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// The last look before an order starts: what is approved is what runs. Where it is not, where an approval's time is over, or where a high-risk rule asks for a
/// second person who has not agreed, the order awaits approval again; a rule that blocks ends it.
/// </summary>
internal sealed class StartCheck(RunPlans plans)
{
    /// <summary>In SQL, of an order <c>o</c> that awaits approval: since when. Since it was accepted, or was last sent back at its start.</summary>
    public const string WaitsSince = """
        GREATEST(o.create_time, (SELECT max(a.at) FROM platform.audit a WHERE a.kind = 'order' AND a.object_id = CAST(o.list_id AS text)
            AND a.action = 'return' AND a.at >= o.create_time))
        """;

    private const string ReturnSql = """
        UPDATE tasks.scheduler_task_list SET schedule = 'new' WHERE list_id = @ListId AND schedule = ANY(@From)
        """;

    private const string StoppedSql = """
        UPDATE tasks.order_approval SET stopped_zh = @Zh, stopped_en = @En, not_submitter = not_submitter OR @NeedsSecond WHERE list_id = @ListId
        """;

    // Sending back voids approvals and break-glass starts: the next start needs new ones. Push-backs too: an approval had overruled them, and they must not
    // show again.
    private const string VoidSql = """
        UPDATE tasks.approval SET void = true WHERE list_id = @ListId AND NOT void AND verdict IN ('approve', 'break_glass', 'push_back')
        """;

    private const string ApprovedSql = $"""
        SELECT p.user_id, p.verdict = 'break_glass' AS is_glass, {OrderApproval.IsOver} AS is_over
        FROM tasks.approval p WHERE p.list_id = @ListId AND NOT p.void AND p.verdict IN ('approve', 'break_glass')
        """;

    private const string PeopleSql = """
        SELECT creator_id, creator FROM tasks.scheduler_task_list WHERE list_id = @ListId
        """;

    // An approval keeps the nickname alone; the audit also has the name that its person logs in with.
    private const string NamedSql = """
        SELECT user_id FROM tasks.approval WHERE list_id = @ListId AND nickname = @Creator
        UNION SELECT user_id FROM platform.audit WHERE kind = 'order' AND object_id = CAST(@ListId AS text) AND action = 'approve'
            AND (username = @Creator OR nickname = @Creator)
        """;

    /// <summary>Whether the order may start. Where it may not, it has been sent back or ended in this transaction, which holds its row.</summary>
    public async Task<bool> Allows(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId)
    {
        var approval = await OrderApproval.Read(connection, transaction, listId);
        // One that started as it was accepted was looked at a moment ago; one of the version before has nothing to be compared with.
        if (!approval.IsCompared) return true;
        PlannedRun now;
        try
        {
            now = await plans.OfOrder(connection, transaction, listId, approval.Plan?.Key);
        }
        catch (CommandNotStartedException wrong)
        {
            // Without its lines nothing tells whether it is what was approved, nor what the high-risk rules say to it. A version that quotes more strictly
            // meets orders whose lines the one before could put together.
            return await Back(
                connection,
                transaction,
                listId,
                false,
                new Text($"命令行无法生成：{wrong.Text.Zh}", $"a command line cannot be put together: {wrong.Text.En}")
            );
        }

        if (now.Block is { } block)
        {
            var said = new Text($"{block.Sentence.Zh}（已禁止执行）", $"{block.Sentence.En} and is blocked");
            await Note(connection, transaction, listId, "block", said);
            await OrderEnding.End(connection, transaction, listId, "ended", said);
            // A stream of its own: it holds up nothing else of the order.
            await Outbox.Write(
                connection,
                transaction,
                OrderEvents.Stream(listId) + ":blocked",
                OrderEvents.Blocked,
                new OrderEvents.TurnedDown(listId, null, said.Zh, said.En)
            );
            return false;
        }

        var approvals = (await connection.QueryAsync<(long UserId, bool IsGlass, bool IsOver)>(ApprovedSql, new { ListId = listId }, transaction)).AsList();
        var isGlass = approvals.Exists(one => one.IsGlass);
        if (!isGlass && approvals.Exists(one => one.IsOver))
            return await Back(connection, transaction, listId, false, new Text("审批已过有效期", "an approval is no longer valid"));
        if (approval.Difference(now) is { } difference)
            return await Back(
                connection,
                transaction,
                listId,
                now.NeedsSecond,
                new Text($"执行内容与审批时不同：{difference.Zh}", $"what would run is not what was approved: {difference.En}")
            );
        if (isGlass || !now.NeedsSecond || approval.Rule.NotSubmitter) return true;
        var (creatorId, creator) = await connection.QuerySingleAsync<(long? CreatorId, string Creator)>(PeopleSql, new { ListId = listId }, transaction);
        // Of a submitter whose id nobody knows the name decides.
        List<long> named =
            creatorId is null ? (await connection.QueryAsync<long>(NamedSql, new { ListId = listId, Creator = creator }, transaction)).AsList() : [];
        return approvals.Exists(one => one.UserId != approval.Rule.SubmitterId && one.UserId != creatorId && !named.Contains(one.UserId))
            || await Back(connection, transaction, listId, true, Second(now.Risks.First(risk => risk.NeedsSecond).Sentence));
    }

    private static async Task<bool> Back(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId, bool needsSecond, Text why)
    {
        await connection.ExecuteAsync(ReturnSql, new { ListId = listId, From = OrderStates.From(OrderAction.Return) }, transaction);
        await connection.ExecuteAsync(StoppedSql, new { ListId = listId, why.Zh, why.En, NeedsSecond = needsSecond }, transaction);
        await connection.ExecuteAsync(VoidSql, new { ListId = listId }, transaction);
        await Note(connection, transaction, listId, "return", why);
        await OrderEvents.RemindLater(connection, transaction, listId);
        return false;
    }

    private static Text Second(Text met) => new($"{met.Zh}，需要另一人审批", $"{met.En}: it needs a second person");

    private static Task Note(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId, string action, Text why)
    {
        var id = listId.ToString(CultureInfo.InvariantCulture);
        return Audit.Write(connection, transaction, Caller.Codo, action, "order", id, after: new { why_zh = why.Zh, why_en = why.En });
    }
}
