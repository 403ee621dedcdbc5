using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Day partitions ahead of time, and retention. Every node does it; nothing is harmed when two do.</summary>
internal sealed class LogPartitionMaintenance(
    NpgsqlDataSource source,
    LogSettings settings,
    RetentionGuard guard,
    TimeProvider time,
    ILogger<LogPartitionMaintenance> log
) : IHostedService
{
    /// <summary>Lines, a row each, and sealed ones.</summary>
    internal const string Table = "tasks.log_line", Sealed = "tasks.sealed_log";

    private const int DaysAhead = 3;

    private const string DeleteOldSql = """
        DELETE FROM tasks.log_line_default WHERE exec_time < @Before
        """;

    /// <summary>Before a line is written there is a partition for it. While somebody holds the table its lines go to the default one.</summary>
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

    /// <summary>Drops the days that are past their retention.</summary>
    internal async Task DropOld(CancellationToken cancellation)
    {
        if (await guard.Allows(cancellation) is not { } now) return;
        var before = now.AddDays(-settings.LogRetentionDays);
        // A day that cannot be dropped must not stop the other tasks.
        await IndependentTasks.RunAll(cancellation, () => DropDays(Table), () => DropDays(Sealed), DeleteOld);

        async Task DropDays(string table)
        {
            if (await Partitions.Drop(source, table, PartitionSpan.Day, before) is > 0 and var count)
                log.LogInformation(
                    "{Count} days of {Table} are past their retention of {Days} days and were dropped",
                    count,
                    table,
                    settings.LogRetentionDays
                );
        }

        async Task DeleteOld()
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            await connection.ExecuteAsync(DeleteOldSql, new { Before = before }, commandTimeout: 600);
        }
    }

    // From yesterday on: what waited in a spool over midnight belongs to its own day.
    private Task MakePartitions(int tries = Partitions.Tries) =>
        Partitions.Ensure(
            source,
            Table,
            PartitionSpan.Day,
            time.GetUtcNow().AddDays(-1),
            DaysAhead + 1,
            tries: tries,
            left: why => log.LogWarning("{Why}", why)
        );
}
