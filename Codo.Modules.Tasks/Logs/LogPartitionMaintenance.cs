using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Day partitions ahead of time, retention, and the search index of days that are over. Every node does it; nothing is harmed when two do.</summary>
internal sealed class LogPartitionMaintenance(
    NpgsqlDataSource source,
    LogSettings settings,
    RetentionGuard guard,
    TimeProvider time,
    ILogger<LogPartitionMaintenance> log
) : IHostedService
{
    private const string Table = "tasks.scheduler_task_log";

    // Building takes a processor for minutes: one node at a time.
    private const long IndexLock = 0x0C0D0_0105;

    private const int DaysAhead = 3;

    // An index is built on a day that has been over for so long that nobody adds to it but replays.
    private static readonly TimeSpan Settled = TimeSpan.FromHours(1);

    private const string DeleteOldSql = """
        DELETE FROM tasks.scheduler_task_log_default WHERE exec_time < @Before
        """;

    // A partition's name ends in its day. An index whose building was cut short is there, and not valid.
    private const string UnindexedSql = """
        SELECT c.relname AS day, i.indexrelid IS NOT NULL AS broken
        FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
        LEFT JOIN (pg_index i JOIN pg_class n ON n.oid = i.indexrelid) ON i.indrelid = c.oid AND n.relname = c.relname || '_trgm'
        WHERE h.inhparent = 'tasks.scheduler_task_log'::regclass AND c.relname ~ '_[0-9]{8}$' AND c.relname < 'scheduler_task_log_' || @Today
            AND i.indisvalid IS NOT TRUE
        ORDER BY c.relname DESC
        """;

    /// <summary>Before a line is written there is a partition for it.</summary>
    public Task StartAsync(CancellationToken cancellationToken) => MakePartitions();

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>The hourly run.</summary>
    public async Task Maintain(CancellationToken cancellation)
    {
        await MakePartitions();
        await DropOld(cancellation);
    }

    /// <summary>Drops the days that are past their retention.</summary>
    internal async Task DropOld(CancellationToken cancellation)
    {
        if (await guard.Allows(cancellation) is not { } now) return;
        var before = now.AddDays(-settings.LogRetentionDays);
        if (await Partitions.Drop(source, Table, PartitionSpan.Day, before) is > 0 and var count)
            log.LogInformation("{Count} days of logs are past their retention of {Days} days and were dropped", count, settings.LogRetentionDays);
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(DeleteOldSql, new { Before = before }, commandTimeout: 600);
    }

    /// <summary>Makes closed days searchable by index; without the extension pg_trgm searches scan, and say what they have not seen.</summary>
    internal async Task IndexClosedDays(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        if (!await connection.ExecuteScalarAsync<bool>("SELECT pg_try_advisory_lock(@IndexLock)", new { IndexLock })) return;
        try
        {
            await connection.ExecuteAsync("CREATE EXTENSION IF NOT EXISTS pg_trgm");
            await connection.ExecuteAsync("SET maintenance_work_mem = '256MB'");
            var today = (time.GetUtcNow() - Settled).UtcDateTime.ToString("yyyyMMdd", System.Globalization.CultureInfo.InvariantCulture);
            foreach (var (day, broken) in (await connection.QueryAsync<(string Day, bool Broken)>(UnindexedSql, new { Today = today })).AsList())
            {
                if (broken) await connection.ExecuteAsync($"DROP INDEX IF EXISTS tasks.{day}_trgm");
                // CONCURRENTLY: a replay may still write to that day.
                await connection.ExecuteAsync(
                    new CommandDefinition(
                        $"CREATE INDEX CONCURRENTLY {day}_trgm ON tasks.{day} USING gin (log_info gin_trgm_ops)",
                        commandTimeout: 0,
                        cancellationToken: cancellation
                    )
                );
                // The index scan of the newest lines reads only the index where the day is known to be all visible.
                await connection.ExecuteAsync(new CommandDefinition($"VACUUM (ANALYZE) tasks.{day}", commandTimeout: 0, cancellationToken: cancellation));
            }
        }
        finally
        {
            if (connection.State == System.Data.ConnectionState.Open)
            {
                await connection.ExecuteAsync("RESET maintenance_work_mem");
                await connection.ExecuteAsync("SELECT pg_advisory_unlock(@IndexLock)", new { IndexLock });
            }
        }
    }

    // From yesterday on: what waited in a spool over midnight belongs to its own day.
    private Task MakePartitions() => Partitions.Ensure(source, Table, PartitionSpan.Day, time.GetUtcNow().AddDays(-1), DaysAhead + 1);
}
