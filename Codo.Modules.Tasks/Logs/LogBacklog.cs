using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>What the database may still lack of the attempts that have ended, and whether somebody is there to bring it.</summary>
internal sealed class LogBacklog(NpgsqlDataSource source, Node node)
{
    private const string BacklogSql = """
        SELECT a.node, COALESCE(n.heartbeat_at >= clock_timestamp() - CAST(@Lease AS interval), false) AS alive
        FROM tasks.scheduler_task_info s JOIN tasks.lane l USING (lane_id) JOIN tasks.attempt a USING (sched_id) LEFT JOIN platform.node n ON n.name = a.node
        WHERE s.list_id = @ListId AND (CAST(@LogKey AS text) IS NULL OR s.list_id || '_' || s.task_group || '_' || s.task_level || '_' || l.host = @LogKey)
            AND a.ended_at IS NOT NULL AND NOT a.log_whole AND a.node <> @Here
          AND (CAST(@SchedId AS bigint) IS NULL OR a.sched_id = @SchedId) AND (CAST(@Attempt AS int) IS NULL OR a.attempt = @Attempt)
        ORDER BY alive LIMIT 1
        """;

    // When the last of them began: a log is found by its first line. Null while one of them may still print, and where a damaged row has a time that cannot be
    // (-infinity, or to come).
    private const string BegunSql = """
        SELECT max(a.started_at)
        FROM tasks.scheduler_task_info s JOIN tasks.lane l USING (lane_id) JOIN tasks.attempt a USING (sched_id)
        WHERE s.list_id = @ListId AND s.list_id || '_' || s.task_group || '_' || s.task_level || '_' || l.host = @LogKey
            AND (CAST(@SchedId AS bigint) IS NULL OR a.sched_id = @SchedId) AND (CAST(@Attempt AS int) IS NULL OR a.attempt = @Attempt)
        HAVING bool_and(a.log_whole AND a.ended_at IS NOT NULL) AND max(a.ended_at) BETWEEN '1970-01-01' AND clock_timestamp()
            AND max(a.started_at) BETWEEN '1970-01-01' AND clock_timestamp()
        """;

    // An attempt that ended long ago is told of: its followers were told that lines are missing. So is one before another, whose lines have waited for it.
    private const string WholeSql = """
        WITH whole AS (
            UPDATE tasks.attempt a SET log_whole = true, whole_at = clock_timestamp()
            WHERE node = @Here AND NOT log_whole AND ended_at IS NOT NULL AND incarnation >= @Least
              AND NOT EXISTS (SELECT FROM unnest(CAST(@Scheds AS bigint[]), CAST(@Attempts AS int[])) open (sched_id, attempt)
                  WHERE open.sched_id = a.sched_id AND open.attempt = a.attempt)
            RETURNING a.sched_id, a.attempt, a.ended_at)
        SELECT count(pg_notify('codo_log', '0:0:0:' || s.list_id || '_' || s.task_group || '_' || s.task_level || '_' || l.host))
        FROM whole JOIN tasks.scheduler_task_info s USING (sched_id) JOIN tasks.lane l USING (lane_id)
            WHERE whole.ended_at < clock_timestamp() - interval '1 second'
                OR EXISTS (SELECT FROM tasks.attempt later WHERE later.sched_id = whole.sched_id AND later.attempt > whole.attempt)
        """;

    private const string EndSql = """
        SELECT s.list_id || '_' || s.task_group || '_' || s.task_level || '_' || l.host AS log_key, a.ended_at IS NOT NULL AS ended,
            GREATEST((SELECT max(line) FROM tasks.log_line WHERE sched_id = @SchedId AND attempt = @Attempt),
                (SELECT max(last_line) FROM tasks.sealed_log WHERE sched_id = @SchedId AND attempt = @Attempt), 0) AS last_line
        FROM tasks.scheduler_task_info s JOIN tasks.lane l USING (lane_id) JOIN tasks.attempt a USING (sched_id)
        WHERE a.sched_id = @SchedId AND a.attempt = @Attempt AND a.node = @Here AND NOT a.log_whole
        """;

    /// <summary>What another node has, or may have, of a log.</summary>
    public Task<LaggingNode?> Elsewhere(LogKey key, CancellationToken cancellation, long? schedId = null, int? attempt = null) =>
        key.ListId == 0 ? Task.FromResult<LaggingNode?>(null) : Ask(key.ListId, key.Text, schedId, attempt, cancellation);

    /// <summary>What another node has, or may have, of any log of an order.</summary>
    public Task<LaggingNode?> Elsewhere(long listId, CancellationToken cancellation) => Ask(listId, null, null, null, cancellation);

    /// <summary>
    /// Whether all attempts of a log had begun before the oldest day of which there are lines: what they printed is past its retention. Of a log that has none.
    /// </summary>
    public async Task<bool> IsDeleted(LogKey key, long? schedId, int? attempt, CancellationToken cancellation)
    {
        if (key.ListId == 0) return false;
        var asked = new
        {
            key.ListId,
            LogKey = key.Text,
            SchedId = schedId,
            Attempt = attempt,
        };
        DateTime? begun;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            begun = await connection.ExecuteScalarAsync<DateTime?>(new CommandDefinition(BegunSql, asked, cancellationToken: cancellation));
        if (begun is null) return false;
        foreach (var table in new[] { LogPartitionMaintenance.Table, LogPartitionMaintenance.Sealed })
            if (await Partitions.Oldest(source, table, PartitionSpan.Day) <= begun)
                return false;
        return true;
    }

    private async Task<LaggingNode?> Ask(long listId, string? logKey, long? schedId, int? attempt, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return await connection.QuerySingleOrDefaultAsync<LaggingNode>(
            new CommandDefinition(
                BacklogSql,
                new
                {
                    Node.Lease,
                    ListId = listId,
                    LogKey = logKey,
                    Here = node.Name,
                    SchedId = schedId,
                    Attempt = attempt,
                },
                cancellationToken: cancellation
            )
        );
    }

    /// <summary>Where the lines of an attempt of this node end in the database; null where it has all of them, or there is no such attempt.</summary>
    public async Task<LogEnding?> End(long schedId, int attempt, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return await connection.QuerySingleOrDefaultAsync<LogEnding>(
            new CommandDefinition(
                EndSql,
                new
                {
                    SchedId = schedId,
                    Attempt = attempt,
                    Here = node.Name,
                },
                cancellationToken: cancellation
            )
        );
    }

    /// <summary>Says of every ended attempt of this node that the database has all of it, but for those whose spool is still open here.</summary>
    /// <param name="ofThisProcess">Only of those that this process has run: what an earlier one has left is not known.</param>
    public async Task SayWhole(IReadOnlyCollection<(long SchedId, int Attempt)> open, bool ofThisProcess, CancellationToken cancellation)
    {
        // It has none before it has joined.
        if (ofThisProcess && node.Incarnation == 0) return;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(
            new CommandDefinition(
                WholeSql,
                new
                {
                    Here = node.Name,
                    Least = ofThisProcess ? node.Incarnation : 0,
                    Scheds = open.Select(one => one.SchedId).ToArray(),
                    Attempts = open.Select(one => one.Attempt).ToArray(),
                },
                cancellationToken: cancellation
            )
        );
    }
}

/// <summary>The last line of an attempt that is in the database, 0 for none.</summary>
/// <param name="Ended">The attempt is over.</param>
internal sealed record LogEnding(string LogKey, bool Ended, long LastLine);

/// <summary>Lines of an ended attempt that a node has in its spool, or had when it was last heard of.</summary>
/// <param name="Alive">It is there, and writes them.</param>
internal sealed record LaggingNode(string Node, bool Alive)
{
    /// <summary>What a reader is told when nobody is there to bring them, else empty.</summary>
    public Text Missing =>
        Alive
            ? new Text("", "")
            : new Text(
                $"节点 {Node} 不在线：只有它才有的输出在它回来之前缺失",
                $"The node {Node} is away: output that it alone has is missing until it is back"
            );
}
