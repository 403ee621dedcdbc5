using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Partitions ahead of time, retention, and the account of paused jobs. Every node does it; each step does no harm when done twice.</summary>
internal sealed class Upkeep(NpgsqlDataSource source, Ledger ledger, News news, CronSettings settings, Node node, TimeProvider time, ILogger<Upkeep> log) : BackgroundService
{
    private static readonly string[] Tables = ["cron.cron_log", "cron.attempt", "cron.output"];
    private static readonly TimeSpan AccountPeriod = TimeSpan.FromSeconds(60), PartitionPeriod = TimeSpan.FromHours(1);

    // Rows of foreign clocks and of long downtimes lie in the default partitions, which are never dropped whole.
    private const string DeleteOldSql = """
        WITH o AS (DELETE FROM cron.output_default WHERE nominal_at < @Before), a AS (DELETE FROM cron.attempt_default WHERE nominal_at < @Before)
        DELETE FROM cron.cron_log_default WHERE nominal_at < @Before
        """;

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await MakePartitions();
        await base.StartAsync(cancellationToken);
    }

    /// <summary>Drops what is older than the retention; a month goes when its last day is older.</summary>
    internal async Task DropOld()
    {
        var before = time.GetUtcNow().AddDays(-settings.LogRetentionDays);
        foreach (var table in Tables)
            if (await Partitions.Drop(source, table, PartitionSpan.Month, before) is > 0 and var count)
                log.LogInformation("{Count} months of {Table} are past their retention of {Days} days and were dropped", count, table, settings.LogRetentionDays);
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync(DeleteOldSql, new { Before = before.UtcDateTime });
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var partitionsDue = time.GetUtcNow();
        using var timer = new PeriodicTimer(AccountPeriod, time);
        try
        {
            do
            {
                try
                {
                    // First: what people are to hear of must not wait for the rest to succeed.
                    await news.Sweep(stoppingToken);
                    if (node.HoldsLease) await ledger.AccountPaused(stoppingToken);
                    if (time.GetUtcNow() < partitionsDue) continue;
                    partitionsDue = time.GetUtcNow() + PartitionPeriod;
                    await MakePartitions();
                    await DropOld();
                }
                catch (Exception error) when (error is not OperationCanceledException)
                {
                    log.LogWarning(error, "Upkeep of the cron ledger failed; it is tried again in a minute");
                }
            }
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            log.LogDebug("Upkeep of the cron ledger ends with the host");
        }
    }

    // From last month on: what is made up for, or found to be missed, belongs to its due time.
    private async Task MakePartitions()
    {
        foreach (var table in Tables) await Partitions.Ensure(source, table, PartitionSpan.Month, time.GetUtcNow().AddMonths(-1), ahead: 3);
    }
}
