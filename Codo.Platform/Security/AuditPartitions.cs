using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Security;

/// <summary>
/// The audit's months: made ahead of time, dropped past their retention. The audit need not be the host's own table, so both are functions that run as its
/// owner (migration 0012); they make the next months alone, and drop none of the last 90 days. Until a month has been made its rows go to the default
/// partition.
/// </summary>
internal sealed class AuditPartitions(NpgsqlDataSource source, NodeSettings settings, RetentionGuard guard, TimeProvider time, ILogger<AuditPartitions> log)
{
    private const string Table = "platform.audit";

    /// <summary>The hourly run.</summary>
    public async Task Maintain(CancellationToken cancellation)
    {
        await Partitions.Ensure(
            source,
            Table,
            PartitionSpan.Month,
            time.GetUtcNow(),
            ahead: 2,
            first => string.Create(CultureInfo.InvariantCulture, $"SELECT platform.add_audit_partition('{first:yyyy-MM-dd}')"),
            left: why => log.LogWarning("{Why}", why)
        );
        if (await guard.Allows(cancellation) is not { } now)
            return;
        var dropped = await Partitions.Drop(
            source,
            Table,
            PartitionSpan.Month,
            now.AddDays(-settings.AuditRetentionDays),
            name => $"SELECT platform.drop_audit_partition('{name}')"
        );
        if (dropped > 0)
            log.LogInformation("{Count} months of the audit are past their retention of {Days} days and were dropped", dropped, settings.AuditRetentionDays);
    }
}
