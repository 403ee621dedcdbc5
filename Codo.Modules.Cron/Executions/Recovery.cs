using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// Recovers what a dead node left running: its survivors on this machine are ended first, then the rows become <c>interrupted</c>, and only then may the job
/// run again. The same for this node's own rows whose end could not be recorded.
/// </summary>
internal sealed class Recovery(
    NpgsqlDataSource source,
    ResultSpool spool,
    Outbox outbox,
    ExecutionMirror mirror,
    Node node,
    TimeProvider time,
    ILogger<Recovery> log
)
{
    private const string LeftSql = $"""
        {SelectLeft} AND g.incarnation <= @Incarnation
        """;

    private const string StraysSql = $"""
        {SelectLeft} AND g.incarnation = @Incarnation AND NOT EXISTS (
            SELECT FROM unnest(CAST(@LogIds AS bigint[]), CAST(@Attempts AS int[])) AS k(log_id, attempt) WHERE k.log_id = g.log_id AND k.attempt = g.attempt)
        """;

    // One row with a time that the host cannot read would keep all the others of the node from being recovered.
    private const string StartedAt = """
        CASE WHEN a.started_at >= '0001-01-01 00:00+00' AND a.started_at < '10000-01-01 00:00+00' THEN a.started_at END AS started_at
        """;

    private const string SelectLeft = $"""
        SELECT g.log_id, g.nominal_at, g.job_id, g.attempt, coalesce(a.run_id, '') AS run_id, a.process_group, a.start_ticks, a.boot_id,
            n.boot_id AS node_boot_id, coalesce(n.machine, '') AS machine, {StartedAt},
            coalesce(g.incarnation >= n.machine_since, false) AS is_nodes_machine
        FROM cron.active_execution g LEFT JOIN cron.attempt a ON a.log_id = g.log_id AND a.nominal_at = g.nominal_at AND a.attempt = g.attempt
        LEFT JOIN platform.node n ON n.name = g.node
        WHERE g.node = @Dead AND g.state = 'running'
        """;

    private const string InterruptSql = """
        WITH gone AS (
            DELETE FROM cron.active_execution WHERE log_id = @LogId AND attempt = @Attempt AND node = @Dead AND incarnation <= @Incarnation
                AND state = 'running' RETURNING job, job_id
        ), ended AS (
            UPDATE cron.attempt SET ended_at = clock_timestamp(), status = 'interrupted', left_alive = @Left, cause_zh = @Zh, cause_en = @En,
                (cpu_ms, peak_memory_bytes, read_bytes, written_bytes, usage_source) = (SELECT u.cpu_ms, u.peak_memory_bytes, u.read_bytes, u.written_bytes,
                    'sampled' FROM cron.live_usage u WHERE u.log_id = @LogId AND u.attempt = @Attempt)
            WHERE log_id = @LogId AND nominal_at = @NominalAt AND attempt = @Attempt AND ended_at IS NULL AND EXISTS (SELECT 1 FROM gone)
        ), unknown AS (
            INSERT INTO cron.left_unknown (node, log_id, nominal_at, attempt)
            SELECT CAST(@Dead AS text), CAST(@LogId AS bigint), CAST(@NominalAt AS timestamptz), CAST(@Attempt AS int) FROM gone
            WHERE CAST(@Left AS int) IS NULL ON CONFLICT DO NOTHING
        ), told AS (
            INSERT INTO platform.outbox (stream, kind, payload)
            SELECT 'job:' || job, 'cron.ended', jsonb_build_object('job', job, 'job_id', job_id, 'log_id', CAST(@LogId AS bigint), 'nominal_at',
                CAST(@NominalAt AS timestamptz)) FROM gone
        )
        UPDATE cron.cron_log l SET status = 'interrupted', ended_at = clock_timestamp(), cause_zh = @Zh, cause_en = @En,
            task_log = coalesce((SELECT left(string_agg(o.text, '' ORDER BY o.from_byte), 65536) || CASE
                    WHEN length(string_agg(o.text, '')) > 65536 OR EXISTS (SELECT FROM cron.output n WHERE n.log_id = @LogId AND n.nominal_at = @NominalAt
                        AND n.attempt = @Attempt AND n.from_byte >= 65536) THEN E'\n' || CAST(@RestAt AS text) ELSE '' END FROM cron.output o
                WHERE o.log_id = @LogId AND o.nominal_at = @NominalAt AND o.attempt = @Attempt AND o.from_byte < 65536), '')
        WHERE l.log_id = @LogId AND l.nominal_at = @NominalAt AND l.status = 'running' AND EXISTS (SELECT 1 FROM gone)
        """;

    private const string OrphansSql = $"""
        SELECT a.log_id, a.nominal_at, l.job_id, a.attempt, a.run_id, a.process_group, a.start_ticks, a.boot_id, n.boot_id AS node_boot_id, n.machine,
            {StartedAt}, a.incarnation >= n.machine_since AS is_nodes_machine
        FROM cron.left_unknown u JOIN cron.attempt a ON a.log_id = u.log_id AND a.nominal_at = u.nominal_at AND a.attempt = u.attempt
        JOIN cron.cron_log l ON l.log_id = a.log_id AND l.nominal_at = a.nominal_at JOIN platform.node n ON n.name = u.node
        WHERE u.node = @Name
        """;

    // The ledger says what became of its newest attempt.
    private const string SettleOrphanSql = """
        WITH known AS (
            DELETE FROM cron.left_unknown WHERE node = @Name AND log_id = @LogId AND attempt = @Attempt RETURNING attempt
        ), said AS (
            UPDATE cron.attempt SET left_alive = @Left, cause_zh = @Zh, cause_en = @En
            WHERE log_id = @LogId AND nominal_at = @NominalAt AND attempt = @Attempt AND EXISTS (SELECT FROM known)
        )
        UPDATE cron.cron_log l SET cause_zh = @Zh, cause_en = @En
        WHERE l.log_id = @LogId AND l.nominal_at = @NominalAt AND l.status = 'interrupted' AND EXISTS (SELECT FROM known)
            AND NOT EXISTS (SELECT FROM cron.attempt a WHERE a.log_id = @LogId AND a.nominal_at = @NominalAt AND a.attempt > @Attempt)
        """;

    // For a row that does not read: the job must not wait for it for ever.
    private const string TakeOutSql = """
        WITH gone AS (DELETE FROM cron.active_execution WHERE log_id = @LogId AND attempt = @Attempt AND node = @Dead AND incarnation <= @Incarnation
            AND state = 'running' RETURNING log_id, nominal_at, job, job_id
        ), told AS (
            INSERT INTO platform.outbox (stream, kind, payload)
            SELECT 'job:' || job, 'cron.ended', jsonb_build_object('job', job, 'job_id', job_id, 'log_id', log_id, 'nominal_at', nominal_at) FROM gone
        )
        UPDATE cron.cron_log l SET status = 'interrupted', ended_at = clock_timestamp() FROM gone WHERE l.log_id = gone.log_id
            AND l.nominal_at = gone.nominal_at AND l.status = 'running'
        """;

    private const string ForgetUsageSql = """
        DELETE FROM cron.live_usage WHERE node = @Dead AND incarnation <= @Incarnation
        """;

    public async Task Recover(string dead, long incarnation, CancellationToken cancellation)
    {
        if (dead == node.Name) await spool.Replay();
        List<LeftRow> rows;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            rows = (await connection.QueryAsync<LeftRow>(LeftSql, new { Dead = dead, Incarnation = incarnation })).AsList();
        // Together, because each may take its 5 s between TERM and KILL.
        var failures = (await Task.WhenAll(rows.Select(row => TryRecover(row, dead, incarnation)))).OfType<Exception>().ToList();
        // Read after the running rows: meanwhile another node may move an attempt from active_execution to left_unknown.
        if (dead == node.Name) await EndOrphans(cancellation);
        // Tried again by the next run: what was recovered does not come back.
        if (failures.Count > 0)
            throw new AggregateException($"{failures.Count} of {rows.Count} executions of node {dead} wait for PostgreSQL to be recovered", failures);
        await using var after = await source.OpenConnectionAsync(cancellation);
        await after.ExecuteAsync(ForgetUsageSql, new { Dead = dead, Incarnation = incarnation });
    }

    /// <summary>This node's running rows but for those that are known to it.</summary>
    public async Task<List<LeftRow>> Strays(IReadOnlyCollection<(long LogId, int Attempt)> known, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return (
            await connection.QueryAsync<LeftRow>(
                StraysSql,
                new
                {
                    Dead = node.Name,
                    node.Incarnation,
                    LogIds = known.Select(one => one.LogId).ToArray(),
                    Attempts = known.Select(one => one.Attempt).ToArray(),
                }
            )
        ).AsList();
    }

    /// <summary>Makes <see cref="Strays"/> interrupted; those that PostgreSQL does not answer for are found again by the next look.</summary>
    public async Task RecoverStrays(List<LeftRow> strays)
    {
        foreach (var failure in (await Task.WhenAll(strays.Select(row => TryRecover(row, node.Name, node.Incarnation, isStray: true)))).OfType<Exception>())
            log.LogWarning(failure, "An execution whose end is not recorded waits for PostgreSQL");
    }

    // Attempts that another machine settled while this node was away. Their commands may still run here, beside the job's next run.
    private async Task EndOrphans(CancellationToken cancellation)
    {
        List<LeftRow> rows;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            rows = (await connection.QueryAsync<LeftRow>(OrphansSql, new { node.Name })).AsList();
        await Task.WhenAll(rows.Where(row => row.RunId.Length > 0 && IsHere(row)).Select(EndOne));

        async Task EndOne(LeftRow row)
        {
            try
            {
                var left = await End(row);
                var cause = Cause(new Text($"节点 {node.Name} 中断", $"Node {node.Name} was cut off"), left);
                await using var connection = await source.OpenConnectionAsync(CancellationToken.None);
                await connection.ExecuteAsync(SettleOrphanSql, new
                {
                    node.Name,
                    row.LogId,
                    row.NominalAt,
                    row.Attempt,
                    Left = left,
                    cause.Zh,
                    cause.En,
                });
                log.LogWarning("What was left of execution {LogId} of job {JobId} is ended: {Cause}", row.LogId, row.JobId, cause.En);
            }
            catch (Exception error) when (!DatabaseErrors.IsTransient(error))
            {
                log.LogError(error, "What is left of execution {LogId} of job {JobId} could not be ended", row.LogId, row.JobId);
            }
        }
    }

    private async Task<Exception?> TryRecover(LeftRow row, string dead, long incarnation, bool isStray = false)
    {
        try
        {
            await RecoverOne(row, dead, incarnation, isStray);
            return null;
        }
        catch (Exception error)
        {
            if (DatabaseErrors.IsTransient(error))
                return error;
            log.LogError(
                error,
                "Execution {LogId} of job {JobId} could not be recovered as usual; it is taken out of the active executions",
                row.LogId,
                row.JobId
            );
            await using var connection = await source.OpenConnectionAsync();
            await connection.ExecuteAsync(TakeOutSql, new { row.LogId, row.Attempt, Dead = dead, Incarnation = incarnation });
            Wake();
            return null;
        }
    }

    private async Task RecoverOne(LeftRow row, string dead, long incarnation, bool isStray)
    {
        int? left = IsHere(row) && row.RunId.Length > 0 ? await End(row) : null;
        var why = isStray
            ? new Text($"节点 {dead} 未能记录其结果", $"Node {dead} could not record how it ended")
            : new Text($"节点 {dead} 中断", $"Node {dead} was cut off");
        var cause = Cause(why, left);
        await using var connection = await source.OpenConnectionAsync();
        var interrupted = await connection.ExecuteAsync(InterruptSql, new
        {
            row.LogId,
            row.NominalAt,
            row.Attempt,
            Dead = dead,
            Incarnation = incarnation,
            Left = left,
            RestAt = ExecutionStore.RestAt(row.LogId),
            cause.Zh,
            cause.En,
        });
        if (interrupted == 0) return;
        CronMetrics.Over(ExecutionStatus.Interrupted);
        Wake();
        log.LogWarning("Execution {LogId} of job {JobId} is interrupted: {Cause}", row.LogId, row.JobId, cause.En);
    }

    private bool IsHere(LeftRow row) =>
        new RunPlace(row.Machine, row.NodeBootId, row.IsNodesMachine, row.BootId, row.StartedAt).IsHere(time.GetUtcNow().UtcDateTime);

    // Without a recorded group the host died between the claim and the mark: the run id in the environment finds what was started.
    private static Task<int> End(LeftRow row) =>
        ProcessTree.KillAsync(new RunMark(row.RunId, row.ProcessGroup ?? 0, row.StartTicks ?? 0, row.BootId ?? ""));

    private static Text Cause(Text why, int? left) => left switch
    {
        0 => new Text($"{why.Zh}，命令已不在或已被终止", $"{why.En}; the command is gone or was ended"),
        > 0 => new Text($"{why.Zh}，仍有 {left} 个进程无法结束", $"{why.En}; {left} processes could not be ended"),
        _ => new Text($"{why.Zh}，其机器上的命令是否仍在运行未知", $"{why.En}; whether the command still runs on its machine is not known"),
    };

    // Those who are told that it ended, and the dashboard.
    private void Wake()
    {
        outbox.Wake();
        mirror.Wake.Set();
    }
}

/// <summary>A row that says running, and what is known of its command.</summary>
/// <param name="NodeBootId">Of the machine of its node, when that last started.</param>
/// <param name="IsNodesMachine">As in <see cref="RunPlace"/>.</param>
internal sealed record LeftRow(
    long LogId,
    DateTime NominalAt,
    string JobId,
    int Attempt,
    string RunId,
    int? ProcessGroup,
    long? StartTicks,
    string? BootId,
    string? NodeBootId,
    string Machine,
    DateTime? StartedAt,
    bool IsNodesMachine
);
