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

    // Said of a partition before it is detached: one that an operator has detached to keep it is not dropped.
    internal const string Doomed = "codo: past its retention, being dropped";

    // Detached and not yet dropped.
    private const string DetachedSql = """
        SELECT c.relname FROM pg_class c JOIN pg_class t ON t.relnamespace = c.relnamespace AND t.relowner = c.relowner
        WHERE t.oid = CAST(@Table AS regclass) AND c.relkind = 'r' AND NOT c.relispartition AND starts_with(c.relname, t.relname || '_')
            AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AND obj_description(c.oid, 'pg_class') = @Doomed ORDER BY c.relname
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

    /// <summary>
    /// Drops every partition that ended before <paramref name="before"/>, and those that an earlier run detached and did not come to drop; returns how many.
    /// </summary>
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
                // DETACH CONCURRENTLY waits for readers without holding writers up; it needs to stand outside a transaction. Where it is refused, the partition
                // is dropped while it is attached: after a plain DETACH, a host that dies would leave a table that nobody reads.
                await Patiently(source, $"COMMENT ON TABLE {full} IS '{Doomed}'");
                await Patiently(source, $"ALTER TABLE {table} DETACH PARTITION {full} CONCURRENTLY", $"DROP TABLE IF EXISTS {full}");
                await Patiently(source, $"DROP TABLE IF EXISTS {full}");
            }

            dropped++;
        }
        return drop is null ? dropped + await DropDetached(source, table, span, Start(before.UtcDateTime, span)) : dropped;
    }

    private static async Task<int> DropDetached(NpgsqlDataSource source, string table, PartitionSpan span, DateTime before)
    {
        List<string> names;
        await using (var connection = await source.OpenConnectionAsync())
            names = (await connection.QueryAsync<string>(DetachedSql, new { Table = table, Doomed })).AsList();
        var schema = table[..table.IndexOf('.', StringComparison.Ordinal)];
        var old = names.FindAll(name => StartOf(table, span, name) < before);
        foreach (var name in old) await Patiently(source, $"DROP TABLE IF EXISTS {schema}.{name}");
        return old.Count;
    }

    /// <summary>The beginning of the oldest partition; null when there is none with a date.</summary>
    public static async Task<DateTime?> Oldest(NpgsqlDataSource source, string table, PartitionSpan span)
    {
        DateTime? oldest = null;
        foreach (var name in await List(source, table))
            if (StartOf(table, span, name) is { } start && (oldest is null || start < oldest))
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
                // A table with a default partition cannot detach concurrently; one that was interrupted while it did so is detached in part. Both can be
                // dropped.
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

    /// <summary>The beginning of a partition by its name without the schema; null when the name is no partition's of this table.</summary>
    private static DateTime? StartOf(string table, PartitionSpan span, string name)
    {
        const DateTimeStyles utc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
        var prefix = table[(table.IndexOf('.', StringComparison.Ordinal) + 1)..] + "_";
        var format = span == PartitionSpan.Day ? "yyyyMMdd" : "yyyyMM";
        return
            name.StartsWith(prefix, StringComparison.Ordinal)
            && DateTime.TryParseExact(name[prefix.Length..], format, CultureInfo.InvariantCulture, utc, out var start)
            ? start
            : null;
    }

    private static DateTime Start(DateTime utc, PartitionSpan span) =>
        new(utc.Year, utc.Month, span == PartitionSpan.Day ? utc.Day : 1, 0, 0, 0, DateTimeKind.Utc);

    private static DateTime Move(DateTime start, PartitionSpan span, int by) => span == PartitionSpan.Day ? start.AddDays(by) : start.AddMonths(by);

    private static string Stamp(DateTime start) => start.ToString("yyyy-MM-dd 00:00:00+00", CultureInfo.InvariantCulture);
}
