using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Dashboard;
using Dapper;
using Hangfire;
using Hangfire.Common;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// Shows executions as background jobs of the dashboard: a wake-up stands for the newest execution of its job that no other stands for, and a run by hand gets
/// a background job of its own. The ledger is the truth; this is a mirror beside it, with a bounded rate, and nothing waits for it. What one node does not show
/// in its time, a later round of any node does.
/// </summary>
internal sealed class ExecutionMirror(
    NpgsqlDataSource source,
    BackgroundMirror mirror,
    IBackgroundJobClient jobs,
    Node node,
    TimeProvider time,
    ILogger<ExecutionMirror> log
) : DashboardMirror<ExecutionMirror.OutdatedRow>(source, mirror, node, time, log)
{
    // Newest first: after a stall the wake-up is the last due time's, whatever was caught up before it.
    private const string NewestSql = """
        SELECT log_id, nominal_at, status, dashboard_job, cause_en FROM cron.cron_log WHERE job = @Job AND kind = 'schedule' ORDER BY nominal_at DESC LIMIT 20
        """;

    private const string BoundSql = """
        SELECT log_id, nominal_at FROM cron.dashboard_job WHERE background_job = @Id
        """;

    private const string BindSql = """
        WITH bound AS (
            UPDATE cron.cron_log SET dashboard_job = @Id WHERE log_id = @LogId AND nominal_at = @NominalAt AND dashboard_job = '' RETURNING log_id,
                nominal_at, job
        )
        INSERT INTO cron.dashboard_job (log_id, nominal_at, job, background_job) SELECT log_id, nominal_at, job, @Id FROM bound
        """;

    private const string FactsSql = """
        SELECT l.log_id, l.job_id, l.status, l.nominal_at, l.exec_time, l.ended_at, l.exit_code, l.cause_en, coalesce(a.node, '') AS node,
            CASE WHEN l.status IN ('faild', 'timeout', 'killed', 'interrupted') THEN coalesce((SELECT right(string_agg(o.text, '' ORDER BY o.from_byte),
                4000) FROM (
                SELECT text, from_byte FROM cron.output WHERE log_id = l.log_id AND nominal_at = l.nominal_at AND attempt = a.attempt
                    ORDER BY from_byte DESC LIMIT 2) o), '') ELSE '' END AS last
        FROM cron.cron_log l
        LEFT JOIN LATERAL (SELECT attempt, node FROM cron.attempt WHERE log_id = l.log_id AND nominal_at = l.nominal_at ORDER BY attempt DESC LIMIT 1) a ON true
        WHERE l.log_id = @LogId AND l.nominal_at = @NominalAt
        """;

    // What a look did not settle goes to the end, so that it holds up nothing.
    private const string OutdatedSql = """
        SELECT d.log_id, d.nominal_at, d.job, d.background_job, l.job_id, l.status FROM cron.dashboard_job d
        LEFT JOIN cron.cron_log l ON l.log_id = d.log_id AND l.nominal_at = d.nominal_at
        WHERE d.state IS DISTINCT FROM l.status ORDER BY d.looked_at LIMIT @Batch FOR UPDATE OF d SKIP LOCKED
        """;

    private const string MadeSql = """
        WITH made AS (UPDATE cron.dashboard_job SET background_job = @Id WHERE log_id = @LogId RETURNING log_id, nominal_at)
        UPDATE cron.cron_log l SET dashboard_job = @Id FROM made WHERE l.log_id = made.log_id AND l.nominal_at = made.nominal_at
        """;

    private const string ShownSql = """
        UPDATE cron.dashboard_job SET state = @Status, looked_at = clock_timestamp() WHERE log_id = @LogId
        """;

    private const string LookedAtSql = """
        UPDATE cron.dashboard_job SET looked_at = clock_timestamp() WHERE log_id = @LogId
        """;

    // Like LookedAtSql, and fails if either of the two rows cannot be updated.
    private const string TriedSql = """
        WITH looked AS (UPDATE cron.dashboard_job SET looked_at = clock_timestamp() WHERE log_id = @LogId RETURNING log_id, nominal_at)
        UPDATE cron.cron_log l SET dashboard_job = l.dashboard_job FROM looked WHERE l.log_id = looked.log_id AND l.nominal_at = looked.nominal_at
        """;

    private const string SettledSql = """
        DELETE FROM cron.dashboard_job WHERE log_id = @LogId
        """;

    // A background job that was made, and whose row was not: the process died between the two.
    private const string LostSql = """
        SELECT CAST(j.id AS text) FROM hangfire.job j WHERE j.statename IN ('Queued', 'Running') AND j.invocationdata::text LIKE '%.FireDueJobs,%'
            AND j.createdat < clock_timestamp() - interval '5 minutes'
            AND NOT EXISTS (SELECT FROM cron.dashboard_job d WHERE d.background_job = CAST(j.id AS text)) LIMIT 100
        """;

    protected override string Outdated => OutdatedSql;

    protected override string LookedAt => LookedAtSql;

    protected override string Lost => LostSql;

    /// <summary>The execution's page in the console.</summary>
    public static string LinkOf(long logId) => string.Create(CultureInfo.InvariantCulture, $"/runs/{logId}");

    /// <summary>
    /// Lets a wake-up stand for its execution, out of the hands of the worker that runs it. Without one it ends as Deleted, with what the ledger says.
    /// </summary>
    public async Task Bind(string backgroundJob, long job, CancellationToken cancellation)
    {
        await using var connection = await Source.OpenConnectionAsync(cancellation);
        // A worker that died left it to another: it stands for an execution already.
        var bound = await connection.QuerySingleOrDefaultAsync<Key>(BoundSql, new { Id = backgroundJob });
        var reason = "nothing of this job was due";
        if (bound is null)
        {
            var newest = (await connection.QueryAsync<NewestRow>(NewestSql, new { Job = job })).AsList();
            // After a skip it may stand for the run that is the reason of the skip, and for nothing that is over.
            var gap = newest is [{ IsGap: true } first, ..] ? first : null;
            foreach (var row in newest.Where(row => row.DashboardJob.Length == 0 && !row.IsGap && (gap is null || row.IsActive)))
            {
                if (await connection.ExecuteAsync(BindSql, new { Id = backgroundJob, row.LogId, row.NominalAt }) == 0) continue;
                bound = new Key(row.LogId, row.NominalAt);
                break;
            }
            if (gap is not null) reason = $"{gap.Status.Word()}: {gap.CauseEn}";
            else if (newest.Count > 0) reason = "other background jobs stand for what was due";
        }
        if (bound is null || await connection.QuerySingleOrDefaultAsync<Facts>(FactsSql, bound) is not { } facts)
        {
            Mirror.ShowFromWorker(backgroundJob, DashboardState.Deleted(reason, Now));
            return;
        }
        if (Mirror.ShowFromWorker(backgroundJob, StateOf(facts))) await Shown(connection, null, facts);
        // It may have ended in between.
        Wake.Set();
    }

    protected override async Task Show(NpgsqlConnection connection, NpgsqlTransaction transaction, OutdatedRow row)
    {
        var facts = row.Status is null ? null : await connection.QuerySingleOrDefaultAsync<Facts>(FactsSql, new Key(row.LogId, row.NominalAt), transaction);
        if (facts is null)
        {
            // The ledger's row has gone with its month.
            await connection.ExecuteAsync(SettledSql, new { row.LogId }, transaction);
            return;
        }
        if (row.BackgroundJob is null)
        {
            // Write to the row first: if it cannot be updated, no background job is made. Otherwise every round would make another one.
            await connection.ExecuteAsync(TriedSql, new { row.LogId }, transaction);
            var made = jobs.Create(Job.FromExpression<FireDueJobs>(fire => fire.Fire(row.Job, facts.JobId, null!, CancellationToken.None)), StateOf(facts));
            await connection.ExecuteAsync(MadeSql, new { row.LogId, Id = made }, transaction);
            await transaction.SaveAsync(OneRow);
            await Shown(connection, transaction, facts);
            return;
        }
        await Move(
            row.BackgroundJob,
            StateOf(facts),
            $"execution {row.LogId} of job {facts.JobId}",
            () => Shown(connection, transaction, facts),
            () => connection.ExecuteAsync(LookedAtSql, new { row.LogId }, transaction),
            () => connection.ExecuteAsync(SettledSql, new { row.LogId }, transaction)
        );
    }

    private static Task Shown(NpgsqlConnection connection, NpgsqlTransaction? transaction, Facts facts) =>
        connection.ExecuteAsync(facts.IsUnderWay ? ShownSql : SettledSql, new { facts.LogId, Status = facts.Status.Word() }, transaction);

    private static DashboardState StateOf(Facts facts)
    {
        var link = LinkOf(facts.LogId);
        var ended = facts.EndedAt ?? facts.ExecTime;
        return facts.Status switch
        {
            ExecutionStatus.Queued => DashboardState.Queued(link, facts.CauseEn),
            ExecutionStatus.Running => DashboardState.Running(link, facts.ExecTime, facts.Node),
            ExecutionStatus.Success => DashboardState.Succeeded(
                link,
                facts.ExecTime - facts.NominalAt,
                ended - facts.ExecTime,
                $"exit code {facts.ExitCode}",
                ended
            ),
            _ => DashboardState.Failed(link, facts.Status.Word(), Cause(facts), facts.Last, ended),
        };
    }

    private static string Cause(Facts facts)
    {
        var code = facts.ExitCode is { } exit ? $"exit code {exit}" : "";
        return code.Length == 0 || facts.CauseEn.Length == 0 ? code + facts.CauseEn : $"{code}: {facts.CauseEn}";
    }

    private sealed record Key(long LogId, DateTime NominalAt);

    private sealed record NewestRow(long LogId, DateTime NominalAt, ExecutionStatus Status, string DashboardJob, string CauseEn)
    {
        public bool IsActive => Status is ExecutionStatus.Queued or ExecutionStatus.Running;

        public bool IsGap => Status is ExecutionStatus.Skipped or ExecutionStatus.Missed;
    }

    internal sealed record OutdatedRow(long LogId, DateTime NominalAt, long Job, string? BackgroundJob, string? JobId, string? Status);

    private sealed record Facts(
        long LogId,
        string JobId,
        ExecutionStatus Status,
        DateTime NominalAt,
        DateTime ExecTime,
        DateTime? EndedAt,
        int? ExitCode,
        string CauseEn,
        string Node,
        string Last
    )
    {
        public bool IsUnderWay => Status is ExecutionStatus.Queued or ExecutionStatus.Running;
    }
}
