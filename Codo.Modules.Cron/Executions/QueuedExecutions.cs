using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Takes executions from the queue before they start.</summary>
internal static class QueuedExecutions
{
    /// <summary>How many wait.</summary>
    public const string WaitingSql = """
        SELECT count(*) FROM cron.active_execution WHERE state = 'queued'
        """;

    // What waits for its retry has failed already: its row says so and counts as the failure that it is, whatever becomes of the retry.
    private const string DropSql = """
        WITH dropped AS (
            DELETE FROM cron.active_execution WHERE state = 'queued' AND (job = CAST(@Job AS bigint) OR log_id = CAST(@LogId AS bigint)) RETURNING log_id,
                nominal_at, attempt, job, job_id
        ), failed AS (
            SELECT d.*, a.status, a.cause_zh, a.cause_en FROM dropped d JOIN cron.attempt a ON a.log_id = d.log_id AND a.nominal_at = d.nominal_at
                AND a.attempt = d.attempt - 1
            WHERE d.attempt > 1 AND a.status IN ('faild', 'timeout')
        ), told AS (
            INSERT INTO platform.outbox (stream, kind, payload)
            SELECT 'job:' || job, 'cron.ended', jsonb_build_object('job', job, 'job_id', job_id, 'log_id', log_id, 'nominal_at', nominal_at) FROM failed
        )
        UPDATE cron.cron_log l SET status = coalesce(f.status, 'killed'), ended_at = clock_timestamp(),
            cause_zh = concat_ws('；', nullif(f.cause_zh, ''), CAST(@Zh AS text)), cause_en = concat_ws('; ', nullif(f.cause_en, ''), CAST(@En AS text))
        FROM dropped d LEFT JOIN failed f ON f.log_id = d.log_id WHERE l.log_id = d.log_id AND l.nominal_at = d.nominal_at AND l.status = 'queued'
        """;

    /// <summary>
    /// Takes out all of a job. One that never ran becomes <c>killed</c>; one that waits for a retry keeps the status of its last attempt, and is told as an
    /// execution that ended so.
    /// </summary>
    /// <param name="job">The surrogate id.</param>
    public static Task<int> DropOfJob(NpgsqlConnection connection, NpgsqlTransaction transaction, long job, Text cause) =>
        connection.ExecuteAsync(DropSql, new { Job = (long?)job, LogId = (long?)null, cause.Zh, cause.En }, transaction);

    /// <summary>The same of one execution.</summary>
    public static Task<int> Drop(NpgsqlConnection connection, NpgsqlTransaction transaction, long logId, Text cause) =>
        connection.ExecuteAsync(DropSql, new { Job = (long?)null, LogId = (long?)logId, cause.Zh, cause.En }, transaction);
}
