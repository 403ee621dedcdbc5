using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Processes;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Settles what a dead node left running: its survivors on this machine are ended first, then the rows become <c>interrupted</c>, and only then may the job run again.</summary>
internal sealed class Settling(NpgsqlDataSource source, ExecutionStore store, News news, Node node, TimeProvider time, ILogger<Settling> log)
{
    private const string LeftSql = """
        SELECT g.log_id, g.nominal_at, g.job_id, g.attempt, a.run_id, a.process_group, a.start_ticks, a.boot_id, n.boot_id AS node_boot_id
        FROM cron.going g JOIN cron.attempt a ON a.log_id = g.log_id AND a.nominal_at = g.nominal_at AND a.attempt = g.attempt
        LEFT JOIN platform.node n ON n.name = g.node
        WHERE g.node = @Dead AND g.incarnation <= @Incarnation AND g.state = 'running'
        """;

    private const string SettleSql = """
        WITH gone AS (
            DELETE FROM cron.going WHERE log_id = @LogId AND attempt = @Attempt AND node = @Dead AND incarnation <= @Incarnation AND state = 'running' RETURNING job, job_id
        ), ended AS (
            UPDATE cron.attempt SET ended_at = @Now, status = 'interrupted', left_alive = @Left, cause_zh = @Zh, cause_en = @En
            WHERE log_id = @LogId AND nominal_at = @NominalAt AND attempt = @Attempt AND ended_at IS NULL AND EXISTS (SELECT 1 FROM gone)
        ), news AS (
            INSERT INTO cron.news (kind, job, job_id, log_id, nominal_at, nominal_until) SELECT 'ended', job, job_id, @LogId, @NominalAt, @NominalAt FROM gone
        )
        UPDATE cron.cron_log l SET status = 'interrupted', ended_at = @Now, cause_zh = @Zh, cause_en = @En,
            task_log = coalesce((SELECT left(string_agg(o.text, '' ORDER BY o.from_byte), 65536) FROM cron.output o
                WHERE o.log_id = @LogId AND o.nominal_at = @NominalAt AND o.attempt = @Attempt), '')
        WHERE l.log_id = @LogId AND l.nominal_at = @NominalAt AND l.status = 'running' AND EXISTS (SELECT 1 FROM gone)
        """;

    public async Task Settle(string dead, long incarnation, CancellationToken cancellation)
    {
        if (dead == node.Name) await store.ReplaySpool();
        List<LeftRow> rows;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            rows = (await connection.QueryAsync<LeftRow>(LeftSql, new { Dead = dead, Incarnation = incarnation })).AsList();
        // Together, because each may take its 5 s between TERM and KILL.
        await Task.WhenAll(rows.Select(row => SettleOne(row, dead, incarnation)));
    }

    private async Task SettleOne(LeftRow row, string dead, long incarnation)
    {
        // Without a recorded group the host died between the claim and the mark: the run id in the environment finds what was started.
        var here = (row.BootId ?? row.NodeBootId) == RunMark.CurrentBootId;
        int? left = here ? await ProcessTree.KillAsync(new RunMark(row.RunId, row.ProcessGroup ?? 0, row.StartTicks ?? 0, row.BootId ?? "")) : null;
        var cause = left switch
        {
            0 => new Text($"节点 {dead} 中断，命令已不在或已被终止", $"Node {dead} was cut off; the command is gone or was ended"),
            > 0 => new Text($"节点 {dead} 中断，仍有 {left} 个进程无法结束", $"Node {dead} was cut off; {left} processes could not be ended"),
            _ => new Text($"节点 {dead} 中断，其机器上的命令是否仍在运行未知", $"Node {dead} was cut off; whether the command still runs on its machine is not known"),
        };
        await using var connection = await source.OpenConnectionAsync();
        var settled = await connection.ExecuteAsync(SettleSql, new
        {
            row.LogId,
            row.NominalAt,
            row.Attempt,
            Dead = dead,
            Incarnation = incarnation,
            Now = time.GetUtcNow().UtcDateTime,
            Left = left,
            cause.Zh,
            cause.En,
        });
        if (settled == 0) return;
        news.Soon();
        log.LogWarning("Execution {LogId} of job {JobId} is interrupted: {Cause}", row.LogId, row.JobId, cause.En);
    }

    private sealed record LeftRow(long LogId, DateTime NominalAt, string JobId, int Attempt, string RunId, int? ProcessGroup, long? StartTicks, string? BootId, string? NodeBootId);
}
