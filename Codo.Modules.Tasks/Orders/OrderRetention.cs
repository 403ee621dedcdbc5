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

    /// <summary>Seconds of one statement; a wide order takes hundreds of thousands of rows along.</summary>
    internal int Longest { get; set; } = 60;

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
        var (dropped, batch) = (0, Batch);
        while (await guard.Allows(cancellation) is { } now)
        {
            if (now.AddDays(-settings.OrderRetentionDays) < from) break;
            await using var connection = await source.OpenConnectionAsync(cancellation);
            int count;
            try
            {
                var parameters = new { Before = now.AddDays(-settings.OrderRetentionDays), Batch = batch };
                count = await connection.ExecuteAsync(DeleteSql, parameters, commandTimeout: Longest);
            }
            catch (NpgsqlException error) when (batch > 1 && IsTooLong(error))
            {
                // The same ones would come again in the next hour, and would take as long.
                batch = Math.Max(1, batch / 8);
                continue;
            }
            dropped += count;
            if (count < batch) break;
        }
        if (dropped > 0)
            log.LogInformation("{Count} orders are past their retention of {Days} days and were deleted", dropped, settings.OrderRetentionDays);
    }

    // The client's limit, or one of the server's.
    private static bool IsTooLong(NpgsqlException error) =>
        error.InnerException is TimeoutException || error is PostgresException { SqlState: PostgresErrorCodes.QueryCanceled };
}
