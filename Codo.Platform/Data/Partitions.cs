using System.Globalization;
using Dapper;
using Npgsql;

namespace Codo.Platform.Data;

/// <summary>One stretch of a partitioned table.</summary>
public enum PartitionSpan
{
    Day,
    Month,
}

/// <summary>Makes the partitions of a time-partitioned table ahead of time and drops those past their retention, without ever stopping its inserts.</summary>
public static class Partitions
{
    private const string ListSql = """
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = CAST(@Table AS regclass) ORDER BY c.relname
        """;

    /// <summary>Makes sure of the partition that holds <paramref name="from"/> and the <paramref name="ahead"/> that follow it.</summary>
    /// <param name="table">Schema-qualified; a name of ours, never input.</param>
    /// <param name="fillFactor">Less where rows are changed later: what a page keeps free lets a change stay on it and leave the indexes alone.</param>
    /// <param name="make">The statement for one that begins on a day, where the table is not the host's own; null is <c>CREATE TABLE</c>.</param>
    public static async Task Ensure(
        NpgsqlDataSource source,
        string table,
        PartitionSpan span,
        DateTimeOffset from,
        int ahead,
        Func<DateTime, string>? make = null,
        int fillFactor = 100
    )
    {
        var have = await List(source, table);
        for (var step = 0; step <= ahead; step++)
        {
            var start = Move(Start(from.UtcDateTime, span), span, step);
            var name = NameOf(table, span, start);
            if (have.Contains(name[(name.IndexOf('.', StringComparison.Ordinal) + 1)..]))
                continue;
            var sql =
                make?.Invoke(start)
                ?? ($"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{Stamp(start)}') TO ('{Stamp(Move(start, span, 1))}') "
                    + $"WITH (fillfactor = {fillFactor.ToString(CultureInfo.InvariantCulture)})");
            await Patiently(source, sql);
        }
    }

    /// <summary>Drops every partition that ended before <paramref name="before"/>; returns how many.</summary>
    /// <param name="drop">The statement for one by its name, where the table is not the host's own; null detaches and drops.</param>
    public static async Task<int> Drop(NpgsqlDataSource source, string table, PartitionSpan span, DateTimeOffset before, Func<string, string>? drop = null)
    {
        var last = NameOf(table, span, Start(before.UtcDateTime, span));
        var schema = table[..table.IndexOf('.', StringComparison.Ordinal)];
        var dropped = 0;
        foreach (var name in await List(source, table))
        {
            var full = schema + "." + name;
            // Names end in their date, so that their order is time's; the default partition has no date and stays.
            if (full.Length != last.Length || string.CompareOrdinal(full, last) >= 0) continue;
            if (drop is not null)
                await Patiently(source, drop(name));
            else
            {
                // DETACH CONCURRENTLY waits for readers without holding writers up; it needs to stand outside a transaction.
                var detach = $"ALTER TABLE {table} DETACH PARTITION {full}";
                await Patiently(source, detach + " CONCURRENTLY", detach, detach + " FINALIZE");
                await Patiently(source, $"DROP TABLE IF EXISTS {full}");
            }

            dropped++;
        }
        return dropped;
    }

    /// <summary>The beginning of the oldest partition; null when there is none with a date.</summary>
    public static async Task<DateTime?> Oldest(NpgsqlDataSource source, string table, PartitionSpan span)
    {
        var prefix = table[(table.IndexOf('.', StringComparison.Ordinal) + 1)..] + "_";
        var format = span == PartitionSpan.Day ? "yyyyMMdd" : "yyyyMM";
        const DateTimeStyles utc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
        DateTime? oldest = null;
        foreach (var name in await List(source, table))
            if (
                name.StartsWith(prefix, StringComparison.Ordinal)
                && DateTime.TryParseExact(name[prefix.Length..], format, CultureInfo.InvariantCulture, utc, out var start)
                && (oldest is null || start < oldest)
            )
                oldest = start;
        return oldest;
    }

    /// <summary>When a partition that begins then ends.</summary>
    public static DateTime EndOf(DateTime start, PartitionSpan span) => Move(start, span, 1);

    private static async Task<HashSet<string>> List(NpgsqlDataSource source, string table)
    {
        await using var connection = await source.OpenConnectionAsync();
        return (await connection.QueryAsync<string>(ListSql, new { Table = table })).ToHashSet(StringComparer.Ordinal);
    }

    // Partition DDL under a long reader queues for its lock and stops all inserts behind it: a short lock_timeout lets them pass, then it is tried again.
    private static async Task Patiently(NpgsqlDataSource source, string sql, params string[] whenNotPossible)
    {
        var others = new Queue<string>(whenNotPossible);
        for (var attempt = 1; ; attempt++)
        {
            await using var connection = await source.OpenConnectionAsync();
            await connection.ExecuteAsync("SET lock_timeout = '2s'");
            try
            {
                await connection.ExecuteAsync(sql, commandTimeout: 60);
                return;
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.LockNotAvailable && attempt < 10)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(200 * attempt));
            }
            catch (PostgresException error) when (error.SqlState is PostgresErrorCodes.DuplicateTable or PostgresErrorCodes.UndefinedTable)
            {
                // Another node has just made it, or has just detached or dropped it.
                return;
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.InvalidObjectDefinition)
            {
                // Another partition covers this stretch: the audit's first, where a clock was ahead.
                return;
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.CheckViolation)
            {
                // Rows of this stretch lie in the default partition already (a foreign clock, or no upkeep for long): they stay there, and so do their
                // neighbours.
                return;
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.ObjectNotInPrerequisiteState && others.Count > 0)
            {
                // A table with a default partition cannot detach concurrently; one that was interrupted while it did so is detached in part.
                sql = others.Dequeue();
            }
            finally
            {
                await connection.ExecuteAsync("RESET lock_timeout");
            }
        }
    }

    private static string NameOf(string table, PartitionSpan span, DateTime start) =>
        table + "_" + start.ToString(span == PartitionSpan.Day ? "yyyyMMdd" : "yyyyMM", CultureInfo.InvariantCulture);

    private static DateTime Start(DateTime utc, PartitionSpan span) =>
        new(utc.Year, utc.Month, span == PartitionSpan.Day ? utc.Day : 1, 0, 0, 0, DateTimeKind.Utc);

    private static DateTime Move(DateTime start, PartitionSpan span, int by) => span == PartitionSpan.Day ? start.AddDays(by) : start.AddMonths(by);

    private static string Stamp(DateTime start) => start.ToString("yyyy-MM-dd 00:00:00+00", CultureInfo.InvariantCulture);
}
