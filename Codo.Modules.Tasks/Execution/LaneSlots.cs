using Codo.Platform.Cluster;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>A lane that this node owns.</summary>
/// <param name="Since">When it was taken, as PostgreSQL has it to the microsecond. It tells this taking from a later one by the same node: no statement changes
/// it while the lane is owned, and each that changes its owner does.</param>
internal sealed record OwnedLane(long LaneId, long ListId, int TaskGroup, string Host, string Node, long Incarnation, DateTime Since);

/// <summary>How many lanes this node may run at once, and how it takes them.</summary>
internal sealed class LaneSlots(Node node, TaskSettings settings, Quotas quotas) : IDisposable
{
    private const string TakeSql = """
        UPDATE tasks.lane SET state = 'running', since = clock_timestamp(), node = @Node, incarnation = @Incarnation, unplaced = false
        WHERE lane_id IN (
            SELECT l.lane_id FROM tasks.lane l JOIN tasks.scheduler_task_list o USING (list_id)
            WHERE l.state = 'ready' AND o.schedule = 'start' AND (CAST(@ListId AS bigint) IS NULL OR l.list_id = @ListId)
                AND NOT EXISTS (SELECT FROM platform.node n WHERE n.name = @Node AND n.drained_at IS NOT NULL)
                AND (NOT l.is_selective OR (SELECT platform.fits(n.labels, i.node_selector)
                    FROM tasks.scheduler_task_info i, platform.node n WHERE i.lane_id = l.lane_id AND i.task_status <> 3 AND n.name = @Node
                    ORDER BY i.task_level, i.sched_id LIMIT 1) IS NOT FALSE)
                AND (cardinality(CAST(@Full AS bigint[])) = 0 OR o.creator_id IS NULL OR o.creator_id <> ALL (@Full))
            ORDER BY l.lane_id LIMIT @Limit FOR UPDATE OF l SKIP LOCKED)
        RETURNING lane_id, list_id, task_group, host, node, incarnation, since
        """;

    private const string SharesSql = """
        SELECT o.creator_id, count(*) AS lanes FROM tasks.lane l JOIN tasks.scheduler_task_list o USING (list_id)
        WHERE l.node = @Node AND l.incarnation = @Incarnation AND l.state = 'running' AND o.creator_id IS NOT NULL GROUP BY o.creator_id
        """;

    private readonly SemaphoreSlim gate = new(1);
    private int used;

    /// <summary>Whether lanes may be waiting that the last taking had no slot for.</summary>
    public bool Short { get; private set; }

    /// <summary>Makes lanes that may run this node's own, as many as there are slots, none while the node may start nothing.</summary>
    /// <param name="held">Gets the slots; what it holds when it is disposed is given back.</param>
    /// <param name="listId">Of this order only; null takes the oldest of all.</param>
    public async Task<List<OwnedLane>> Take(NpgsqlConnection connection, NpgsqlTransaction transaction, HeldSlots held, long? listId)
    {
        if (!node.MayStart(OrderWork.WorkName)) return [];
        // The statement waits for nobody (SKIP LOCKED), so holding the gate over it is short, and no two takings count the same slot.
        await gate.WaitAsync();
        try
        {
            var limit = settings.MaxParallelHosts - Volatile.Read(ref used);
            Short = limit <= 0;
            if (limit <= 0) return [];
            (limit, var full) = await Share(connection, transaction, limit);
            var taken = (
                await connection.QueryAsync<OwnedLane>(
                    TakeSql,
                    new
                    {
                        Node = node.Name,
                        node.Incarnation,
                        ListId = listId,
                        Limit = limit,
                        Full = full,
                    },
                    transaction
                )
            ).AsList();
            Short = taken.Count == limit || full.Length > 0;
            Interlocked.Add(ref used, taken.Count);
            held.Add(taken.Count);
            return taken;
        }
        finally
        {
            gate.Release();
        }
    }

    // Whose quota is full, and how many more may be taken at once so that nobody else's can be passed by them.
    private async Task<(int Limit, long[] Full)> Share(NpgsqlConnection connection, NpgsqlTransaction transaction, int limit)
    {
        var quota = await quotas.Runs();
        if (quota == 0) return (limit, []);
        if (used < quota) return (Math.Min(limit, quota - used), []);
        var shares = (await connection.QueryAsync<(long Person, long Lanes)>(SharesSql, new { Node = node.Name, node.Incarnation }, transaction)).AsList();
        var most = shares.Where(share => share.Lanes < quota).Select(share => share.Lanes).DefaultIfEmpty(0).Max();
        return ((int)Math.Min(limit, quota - most), [.. shares.Where(share => share.Lanes >= quota).Select(share => share.Person)]);
    }

    public void Release(int count) => Interlocked.Add(ref used, -count);

    public void Dispose() => gate.Dispose();
}

/// <summary>Slots between the taking of lanes and their start: given back when the transaction in between fails.</summary>
internal sealed class HeldSlots(LaneSlots slots) : IDisposable
{
    private int count;

    public void Add(int more) => count += more;

    /// <summary>The lanes have started; each gives back its own slot when it ends.</summary>
    public void HandOver() => count = 0;

    public void Dispose() => slots.Release(count);
}
