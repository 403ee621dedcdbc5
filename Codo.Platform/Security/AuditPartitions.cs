using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Security;

/// <summary>
/// The audit's months: made ahead of time, dropped past their retention. The audit need not be the host's own table, so both are functions that run as its
/// owner (migration 0012); they make the next months alone, and drop none of the last 90 days. Until a month has been made its rows go to the default
/// partition, of which whole days are dropped, some at a time (migration 0170).
/// </summary>
internal sealed class AuditPartitions(NpgsqlDataSource source, NodeSettings settings, RetentionGuard guard, TimeProvider time, ILogger<AuditPartitions> log)
{
    internal const string Table = "platform.audit";

    private const string DropRowsSql = """
        SELECT platform.drop_old_audit_rows(@Before)
        """;

    internal static string AddSql(DateTime first) =>
        string.Create(CultureInfo.InvariantCulture, $"SELECT platform.add_audit_partition('{first:yyyy-MM-dd}')");

    /// <summary>The hourly run.</summary>
    public async Task Maintain(CancellationToken cancellation)
    {
        try
        {
            await Partitions.Ensure(
                source,
                Table,
                PartitionSpan.Month,
                time.GetUtcNow(),
                ahead: 2,
                AddSql,
                left: why => log.LogWarning("{Why}", why)
            );
        }
        finally
        {
            // Drop old partitions even if making new ones failed.
            await DropOld(cancellation);
        }
    }

    private async Task DropOld(CancellationToken cancellation)
    {
        if (await guard.Allows(cancellation) is not { } now) return;
        var before = now.AddDays(-settings.AuditRetentionDays);
        // A month that cannot be dropped must not stop the other tasks.
        await IndependentTasks.RunAll(cancellation, DropMonths, DropRows);

        async Task DropMonths()
        {
            var dropped = await Partitions.Drop(
                source,
                Table,
                PartitionSpan.Month,
                before,
                name => $"SELECT platform.drop_audit_partition('{name}')"
            );
            if (dropped > 0)
                log.LogInformation(
                    "{Count} months of the audit are past their retention of {Days} days and were dropped",
                    dropped,
                    settings.AuditRetentionDays
                );
        }

        async Task DropRows()
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            await using var transaction = await connection.BeginTransactionAsync(cancellation);
            // Whoever reads or writes the audit waits behind this while it waits itself.
            await LockWait.Limit(connection, transaction, TimeSpan.FromMilliseconds(100));
            try
            {
                var dropped = await connection.ExecuteScalarAsync<long>(
                    new CommandDefinition(DropRowsSql, new { Before = before }, transaction, commandTimeout: 30, cancellationToken: cancellation)
                );
                await transaction.CommitAsync(cancellation);
                if (dropped > 0)
                    log.LogInformation(
                        "{Count} rows of the audit that lay in no month are past their retention of {Days} days and were dropped",
                        dropped,
                        settings.AuditRetentionDays
                    );
            }
            catch (PostgresException error) when (DatabaseErrors.IsLockTimeout(error))
            {
                log.LogInformation("Rows of the audit that lie in no month are left to the next hour: somebody holds the table");
            }
        }
    }
}

/// <summary>
/// The month of the audit that is under way, for whoever writes into it before the first upkeep. Where no host has run for months it is not made yet: a row
/// would lie in the default partition, and keep it from being made for good.
/// </summary>
public static class AuditMonth
{
    private const string NowSql = """
        SELECT clock_timestamp()
        """;

    /// <summary>Makes it where it is missing.</summary>
    /// <param name="left">Told why it could not be made, for those who go on all the same; null fails.</param>
    public static async Task Make(NpgsqlDataSource source, Action<string>? left = null)
    {
        try
        {
            DateTime now;
            await using (var connection = await source.OpenConnectionAsync())
                now = await connection.ExecuteScalarAsync<DateTime>(NowSql);
            await Partitions.Ensure(source, AuditPartitions.Table, PartitionSpan.Month, now, ahead: 0, AuditPartitions.AddSql, left: left);
        }
        catch (Exception error) when (left is not null && error is TimeoutException or PostgresException { SqlState: not PostgresErrorCodes.UndefinedTable })
        {
            left(error.Message);
        }
    }
}
