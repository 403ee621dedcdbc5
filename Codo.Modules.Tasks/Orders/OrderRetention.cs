using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// Deletes ended orders past their retention, with their steps and attempts. Orders have no partitions, because open ones of any age lie among them; so few go
/// at a time that nobody waits for a lock.
/// </summary>
internal sealed class OrderRetention(
    NpgsqlDataSource source,
    TaskSettings settings,
    RetentionGuard guard,
    KeptRules kept,
    ILogger<OrderRetention> log
)
{
    private const int Batch = 200;

    private const string DeleteSql = """
        DELETE FROM tasks.scheduler_task_list WHERE list_id IN (
            SELECT list_id FROM tasks.scheduler_task_list WHERE schedule = 'OK' AND ended_at < @Before ORDER BY ended_at LIMIT @Batch FOR UPDATE SKIP LOCKED)
        """;

    /// <summary>The hourly run.</summary>
    public async Task DropOld(CancellationToken cancellation)
    {
        // An installation that is older than the rule counts from its upgrade.
        var from = await kept.Read("keep.tasks.orders_from", cancellation) is { } upgraded
            ? DateTime.Parse(upgraded, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal)
            : DateTime.MinValue;
        var dropped = 0;
        while (await guard.Allows(cancellation) is { } now)
        {
            if (now.AddDays(-settings.OrderRetentionDays) < from) break;
            await using var connection = await source.OpenConnectionAsync(cancellation);
            var count = await connection.ExecuteAsync(DeleteSql, new { Before = now.AddDays(-settings.OrderRetentionDays), Batch });
            dropped += count;
            if (count < Batch) break;
        }
        if (dropped > 0)
            log.LogInformation("{Count} orders are past their retention of {Days} days and were deleted", dropped, settings.OrderRetentionDays);
    }
}
