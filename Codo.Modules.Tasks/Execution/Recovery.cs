using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// Recovers what a dead node, or this one's earlier start, had under way. A step whose command was under way becomes 6 with what is known of the command; a
/// lane between two steps goes back to be taken by another node. Guarded row by row, so that two nodes that recover it do no harm.
/// </summary>
internal sealed class Recovery(NpgsqlDataSource source, OrphanedProcesses orphans, ChangedOrders orders, ILogger<Recovery> log)
{
    private const string LeftSql = $"""
        SELECT {OrphanedProcess.Columns}, a.stop_requested IS NOT NULL AS unwanted
        FROM tasks.attempt a LEFT JOIN platform.node n ON n.name = a.node
        WHERE a.node = @Node AND a.incarnation <= @Incarnation AND a.ended_at IS NULL ORDER BY a.lane_id
        """;

    private const string IdleSql = """
        SELECT lane_id, list_id, since FROM tasks.lane WHERE node = @Node AND incarnation <= @Incarnation AND state = 'running' ORDER BY lane_id
        """;

    // What was begun a moment ago may be on its way from the transaction to the runner. What was begun in the future is not: PostgreSQL's clock was put back.
    private const string StrayLanesSql = """
        SELECT lane_id, list_id, since FROM tasks.lane WHERE node = @Node AND incarnation = @Incarnation AND state = 'running'
            AND since NOT BETWEEN clock_timestamp() - interval '15 seconds' AND clock_timestamp() + CAST(@MaxSkew AS interval) ORDER BY lane_id
        """;

    private const string StrayAttemptsSql = $"""
        SELECT {OrphanedProcess.Columns}, a.stop_requested IS NOT NULL AS unwanted
        FROM tasks.attempt a LEFT JOIN platform.node n ON n.name = a.node
        WHERE a.node = @Node AND a.incarnation = @Incarnation AND a.ended_at IS NULL
            AND a.started_at NOT BETWEEN clock_timestamp() - interval '15 seconds' AND clock_timestamp() + CAST(@MaxSkew AS interval) ORDER BY a.lane_id
        """;

    private const string LockSql = """
        SELECT lane_id FROM tasks.lane WHERE lane_id = @LaneId FOR NO KEY UPDATE
        """;

    private const string EndSql = """
        UPDATE tasks.attempt SET ended_at = clock_timestamp(), outcome = COALESCE(stop_requested, 'interrupted'), cause = @Cause, left_behind = @LeftBehind
        WHERE sched_id = @SchedId AND attempt = @Attempt AND ended_at IS NULL
        """;

    // Whoever follows its log is told what its node may have taken along.
    private const string TellSql = """
        SELECT count(pg_notify('codo_log', '0:0:0:' || s.list_id || '_' || s.task_group || '_' || s.task_level || '_' || l.host))
        FROM tasks.scheduler_task_info s JOIN tasks.lane l USING (lane_id) WHERE s.sched_id = @SchedId
        """;

    private const string StepSql = """
        UPDATE tasks.scheduler_task_info SET task_status = 6, outcome = 'interrupted', cause = @Cause WHERE sched_id = @SchedId AND task_status = ANY(@From)
        """;

    // A lane that was found idle may have been left and taken anew since, by the same node too: then `since` is another. An attempt that was still open has
    // kept its lane from that.
    private const string LeaveSql = """
        UPDATE tasks.lane SET state = @State, since = clock_timestamp(), node = NULL, incarnation = NULL
        WHERE lane_id = @LaneId AND node = @Node AND incarnation <= @Incarnation AND state = ANY(@From)
          AND (CAST(@Since AS timestamptz) IS NULL OR since = @Since)
          AND NOT EXISTS (SELECT FROM tasks.attempt a WHERE a.lane_id = @LaneId AND a.ended_at IS NULL)
        """;

    private const string TakeOutSql = """
        WITH ended AS (
            UPDATE tasks.attempt SET ended_at = clock_timestamp(), outcome = 'interrupted', left_behind = @LeftBehind WHERE sched_id = @SchedId
                AND attempt = @Attempt AND ended_at IS NULL
        ), step AS (
            UPDATE tasks.scheduler_task_info SET task_status = 6, outcome = 'interrupted' WHERE sched_id = @SchedId AND task_status = 2
        )
        UPDATE tasks.lane SET state = 'interrupted', since = clock_timestamp(), node = NULL, incarnation = NULL WHERE lane_id = @LaneId AND state = 'running'
        """;

    private const string ChangedSql = """
        INSERT INTO tasks.advance (list_id) VALUES (@ListId)
        """;

    // A node is found dead after its lease, and what it left is to be recovered 5 s later: a host that does not answer by then is looked at again afterwards.
    private static readonly TimeSpan LookTime = TimeSpan.FromSeconds(2.5);

    public async Task Recover(string node, long incarnation, CancellationToken cancellation)
    {
        // A claim that was being committed while the rows were read shows in the next round; a node that is declared dead commits no further one.
        while (await Round(node, incarnation, cancellation)) cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>
    /// Recovers what is this node's by its rows and runs nowhere: lanes whose taking was committed although the answer to the commit was lost, and what a
    /// failure of the runner left.
    /// </summary>
    public async Task RecoverStrays(string node, long incarnation, Func<long, bool> runsHere)
    {
        var asked = new { Node = node, Incarnation = incarnation, DatabaseClock.MaxSkew };
        List<OrphanedProcess> attempts;
        List<Idle> lanes;
        await using (var connection = await source.OpenConnectionAsync())
        {
            attempts = (await connection.QueryAsync<OrphanedProcess>(StrayAttemptsSql, asked))
                .Where(attempt => !runsHere(attempt.LaneId))
                .ToList();
            lanes = (await connection.QueryAsync<Idle>(StrayLanesSql, asked))
                .Where(lane => !runsHere(lane.LaneId))
                .ToList();
        }
        foreach (var attempt in attempts) await Interrupt(node, incarnation, attempt, await orphans.Probe(attempt));
        _ = await GiveBack(node, incarnation, lanes);
    }

    private async Task<bool> Round(string node, long incarnation, CancellationToken cancellation)
    {
        List<OrphanedProcess> left;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            left = (await connection.QueryAsync<OrphanedProcess>(LeftSql, new { Node = node, Incarnation = incarnation })).AsList();
        var changed = new HashSet<long>();
        // The looks all at once: most of their time is waiting for hosts.
        var probes = left.Select(attempt => (Left: attempt, Probe: Task.Run(() => orphans.Probe(attempt), CancellationToken.None))).ToList();
        var enough = Task.Delay(LookTime, cancellation);
        foreach (var (attempt, look) in probes)
        {
            await Task.WhenAny(look, enough);
            // Asked once: an answer that comes while the row is written is late.
            var isInTime = look.IsCompleted;
            if (isInTime && look.Exception is { } why)
                log.LogWarning(why, "Whether the command of step {Step} still runs could not be found out", attempt.SchedId);
            var word = isInTime && look.IsCompletedSuccessfully ? look.Result : "unreachable";
            if (await Interrupt(node, incarnation, attempt, word)) changed.Add(attempt.ListId);
            if (!isInTime) _ = SayLate(attempt, look);
        }
        List<Idle> idle;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            idle = (await connection.QueryAsync<Idle>(IdleSql, new { Node = node, Incarnation = incarnation })).AsList();
        changed.UnionWith(await GiveBack(node, incarnation, idle));
        foreach (var listId in changed) orders.Add(listId);
        return changed.Count > 0;
    }

    private async Task SayLate(OrphanedProcess left, Task<string> look)
    {
        try
        {
            await orphans.Say(left, await look);
        }
        catch (Exception error)
        {
            log.LogWarning(error, "What became of the command of step {Step} could not be recorded; its row says unreachable", left.SchedId);
        }
    }

    /// <summary>Makes an attempt interrupted; false when it was ended meanwhile, or its rows do not read: then the lane alone is taken from the node.</summary>
    private async Task<bool> Interrupt(string node, long incarnation, OrphanedProcess left, string word)
    {
        try
        {
            return await TryInterrupt(node, incarnation, left, word);
        }
        catch (Exception error) when (DatabaseErrors.IsPermanent(error))
        {
            log.LogError(
                error,
                "Step {Step} attempt {Attempt} of order {Order} could not be recovered as usual; only its end is recorded",
                left.SchedId,
                left.Attempt,
                left.ListId
            );
            await using var connection = await source.OpenConnectionAsync();
            await connection.ExecuteAsync(TakeOutSql, new { left.SchedId, left.Attempt, left.LaneId, LeftBehind = word });
            return true;
        }
    }

    private async Task<bool> TryInterrupt(string node, long incarnation, OrphanedProcess left, string word)
    {
        var cause = Cause(node, word).Both();
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await connection.ExecuteAsync(LockSql, left, transaction);
        if (await connection.ExecuteAsync(EndSql, new { left.SchedId, left.Attempt, Cause = cause, LeftBehind = word }, transaction) == 0) return false;
        var step = await connection.ExecuteAsync(StepSql, new { left.SchedId, Cause = cause, From = new[] { (short)StepState.Running } }, transaction);
        await connection.ExecuteAsync(LeaveSql, Leave(left.LaneId, node, incarnation, null, LaneAction.Interrupt), transaction);
        await connection.ExecuteAsync(ChangedSql, left, transaction);
        await connection.ExecuteAsync(TellSql, left, transaction);
        if (step > 0)
            await Audit.Write(
                connection,
                transaction,
                Caller.Codo,
                "interrupt",
                "order",
                left.ListId.ToString(CultureInfo.InvariantCulture),
                after: new
                {
                    left.SchedId,
                    left.Attempt,
                    left.Host,
                    node,
                    left_behind = word,
                }
            );
        await transaction.CommitAsync();
        return true;
    }

    /// <summary>Gives lanes back to be taken by any node; returns the orders of those that were.</summary>
    private async Task<List<long>> GiveBack(string node, long incarnation, List<Idle> idle)
    {
        var given = new List<long>();
        await using var connection = await source.OpenConnectionAsync();
        foreach (var lane in idle)
        {
            await using var transaction = await connection.BeginTransactionAsync();
            // Locked by a statement of its own, so that the next one sees what the last owner has committed.
            await connection.ExecuteAsync(LockSql, lane, transaction);
            var leave = Leave(lane.LaneId, node, incarnation, lane.Since, LaneAction.GiveBack);
            if (await connection.ExecuteAsync(LeaveSql, leave, transaction) > 0) given.Add(lane.ListId);
            await connection.ExecuteAsync(ChangedSql, lane, transaction);
            await transaction.CommitAsync();
        }
        return given;
    }

    private static object Leave(long laneId, string node, long incarnation, DateTime? since, LaneAction action) => new
    {
        LaneId = laneId,
        Node = node,
        Incarnation = incarnation,
        Since = since,
        State = LaneStates.Next(LaneState.Running, action)!.Value.Word(),
        From = LaneStates.From(action),
    };

    private static Text Cause(string node, string word) => word switch
    {
        "gone" => new Text($"节点 {node} 宕机，其命令已不在运行", $"The node {node} was lost; its command runs no more"),
        "running" => new Text($"节点 {node} 宕机，其命令仍在运行", $"The node {node} was lost; its command still runs"),
        _ => new Text($"节点 {node} 宕机，无法得知其命令是否仍在运行", $"The node {node} was lost; whether its command still runs cannot be known"),
    };

    private sealed record Idle(long LaneId, long ListId, DateTime Since);
}
