using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// The ledger's partitions: made ahead of time, dropped past their retention; and what else is kept for a time: deleted jobs, versions, summaries. Every node
/// does it; each step does no harm when done twice.
/// </summary>
internal sealed class PartitionMaintenance(
    NpgsqlDataSource source,
    CronSettings settings,
    RetentionGuard guard,
    TimeProvider time,
    ILogger<PartitionMaintenance> log
) : IHostedService
{
    private static readonly string[] Tables = ["cron.cron_log", "cron.attempt", "cron.output"];

    // Rows of foreign clocks and of long downtimes lie in the default partitions, which are never dropped whole.
    private const string DeleteOldSql = """
        WITH o AS (DELETE FROM cron.output_default WHERE nominal_at < @Before), a AS (DELETE FROM cron.attempt_default WHERE nominal_at < @Before)
        DELETE FROM cron.cron_log_default WHERE nominal_at < @Before
        """;

    // Of nodes that have not come back.
    private const string ForgetUnknownSql = """
        DELETE FROM cron.left_unknown WHERE nominal_at < @Before
        """;

    // A month of the ledger goes when its last day is past the retention: by then nothing is left of what was deleted two months before.
    private const string ForgetDeletedSql = """
        DELETE FROM cron.deleted_job WHERE deleted_at < CAST(@Before AS timestamptz) - interval '62 days'
        """;

    private const string EndUndoSql = """
        UPDATE cron.deleted_job SET job_id = NULL, version = NULL, by_id = NULL, by_name = NULL, creator_id = NULL, creator = NULL, create_time = NULL,
            paused = NULL, held_by = NULL, released = NULL, writer_id = NULL
        WHERE job_id IS NOT NULL AND deleted_at <= CAST(@Now AS timestamptz) - make_interval(days => @Days)
        """;

    // Versions of jobs that can no longer be brought back, and those that newer ones have pushed out.
    private const string DeleteVersionsSql = """
        WITH gone AS (
            DELETE FROM cron.job_version v WHERE NOT EXISTS (SELECT FROM cron.job j WHERE j.id = v.job)
                AND NOT EXISTS (SELECT FROM cron.deleted_job d WHERE d.job = v.job AND d.job_id IS NOT NULL))
        DELETE FROM cron.job_version v USING cron.job j WHERE j.id = v.job AND v.version <= j.version - @Most
        """;

    // After the undo has ended.
    private const string ForgetLastSql = """
        DELETE FROM cron.job_last l WHERE NOT EXISTS (SELECT FROM cron.job j WHERE j.id = l.job)
            AND NOT EXISTS (SELECT FROM cron.deleted_job d WHERE d.job = l.job AND d.job_id IS NOT NULL)
        """;

    // What still runs or waits keeps its month, and all later ones: its end is written to the row that was made when it was due.
    // A damaged row may have a time of the beginning of all time (-infinity), which must not keep everything.
    private const string BeforeSql = """
        SELECT LEAST(CAST(@Before AS timestamptz), (SELECT min(nominal_at) FROM cron.active_execution WHERE nominal_at >= '1970-01-01'))
        """;

    private const string ForgetKeysSql = """
        DELETE FROM cron.run_key WHERE at < clock_timestamp() - interval '24 hours'
        """;

    // Summaries are small and have no partitions: so many rows at a time that nobody waits for a lock.
    private const string DeleteSummariesSql = """
        WITH h AS (DELETE FROM cron.ledger_hour WHERE hour < @Before)
        DELETE FROM cron.job_day WHERE (job, day) IN (SELECT job, day FROM cron.job_day WHERE day < CAST(@SummariesBefore AS date) LIMIT 10000)
        """;

    /// <summary>Before anything fires there is a partition for it. While somebody holds a table its rows go to the default one.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            await MakePartitions(Partitions.TriesAtStart);
        }
        catch (TimeoutException held)
        {
            log.LogWarning("{Held}; the start goes on, and it is tried again", held.Message);
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>The hourly run.</summary>
    public async Task Maintain(CancellationToken cancellation)
    {
        try
        {
            await MakePartitions();
        }
        finally
        {
            // Drop old partitions even if making new ones failed.
            await DropOld(cancellation);
        }
    }

    /// <summary>Drops what is older than the retention; a month goes when its last day is older.</summary>
    internal async Task DropOld(CancellationToken cancellation)
    {
        if (await guard.Allows(cancellation) is not { } now) return;
        var wanted = now.AddDays(-settings.LogRetentionDays);
        DateTime before;
        await using (var asked = await source.OpenConnectionAsync(cancellation))
            before = await asked.ExecuteScalarAsync<DateTime>(BeforeSql, new { Before = wanted });
        if (before < wanted)
            log.LogWarning(
                "An execution that was due at {At:u} has not ended: its month and later ones are kept for longer than {Days} days",
                before,
                settings.LogRetentionDays
            );
        // A month that cannot be dropped must not stop the other tasks.
        await IndependentTasks.RunAll(
            cancellation,
            [
                .. Tables.Select<string, Func<Task>>(table => () => DropMonths(table)),
                () => Execute(DeleteOldSql, new { Before = before }, timeout: 600),
                () => Execute(ForgetUnknownSql, new { Before = before }),
                () => Execute(ForgetDeletedSql, new { Before = before }),
                () => Execute(EndUndoSql, new { Now = now, Days = RetentionGuard.DeletedDays }),
                () => Execute(DeleteVersionsSql, new { Most = RetentionGuard.KeptVersions }),
                () => Execute(ForgetLastSql),
                () => Execute(ForgetKeysSql),
                DeleteSummaries,
            ]
        );

        async Task DropMonths(string table)
        {
            if (await Partitions.Drop(source, table, PartitionSpan.Month, before) is > 0 and var count)
                log.LogInformation(
                    "{Count} months of {Table} are past their retention of {Days} days and were dropped",
                    count,
                    table,
                    settings.LogRetentionDays
                );
        }

        async Task<int> Execute(string sql, object? parameters = null, int? timeout = null)
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            return await connection.ExecuteAsync(sql, parameters, commandTimeout: timeout);
        }

        async Task DeleteSummaries()
        {
            var summaries = new { Before = wanted, SummariesBefore = now.AddDays(-settings.SummaryRetentionDays) };
            while (await Execute(DeleteSummariesSql, summaries) == 10_000) cancellation.ThrowIfCancellationRequested();
        }
    }

    // An attempt is changed twice and a row of the ledger too, whose status and start are indexed, so that it moves all the same.
    private static int FillFactor(string table) => table == "cron.attempt" ? 70 : 100;

    // From last month on: what is made up for, or found to be missed, belongs to its due time.
    private async Task MakePartitions(int tries = Partitions.Tries)
    {
        var from = time.GetUtcNow().AddMonths(-1);
        TimeoutException? held = null;
        foreach (var table in Tables)
        {
            try
            {
                await Partitions.Ensure(
                    source,
                    table,
                    PartitionSpan.Month,
                    from,
                    ahead: 3,
                    fillFactor: FillFactor(table),
                    tries: tries,
                    left: why => log.LogWarning("{Why}", why)
                );
            }
            catch (TimeoutException first)
            {
                // One table that somebody holds does not keep the others from theirs.
                held ??= first;
            }
        }
        if (held is not null) throw new TimeoutException(held.Message, held);
    }
}
