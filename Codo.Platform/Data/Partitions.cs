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

    /// <summary>How often a statement is tried while somebody holds the table; and by a start, which does not wait for what can be made later.</summary>
    public const int Tries = 5, TriesAtStart = 2;

    // Rows that are moved out of the default partition at once: nobody reads or writes the table meanwhile.
    private const int MostMoved = 20_000;

    // Waits for readers and holds up nobody: it is given more time.
    private const string Concurrently = " CONCURRENTLY";

    // Said of a partition before it is detached: one that an operator has detached to keep it is not dropped.
    internal const string Doomed = "codo: past its retention, being dropped";

    // Detached and not yet dropped.
    private const string DetachedSql = """
        SELECT c.relname FROM pg_class c JOIN pg_class t ON t.relnamespace = c.relnamespace AND t.relowner = c.relowner
        WHERE t.oid = CAST(@Table AS regclass) AND c.relkind = 'r' AND NOT c.relispartition AND starts_with(c.relname, t.relname || '_')
            AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AND obj_description(c.oid, 'pg_class') = @Doomed ORDER BY c.relname
        """;

    /// <summary>
    /// Makes sure of the partition that holds <paramref name="from"/> and the <paramref name="ahead"/> that follow it. Rows of theirs that lie in the default
    /// partition move into them, unless there are too many.
    /// </summary>
    /// <param name="table">Schema-qualified; a name of ours, never input.</param>
    /// <param name="fillFactor">Less where rows are changed later: what a page keeps free lets a change stay on it and leave the indexes alone.</param>
    /// <param name="make">The statement for one that begins on a day, where the table is not the host's own; null is <c>CREATE TABLE</c>.</param>
    /// <param name="left">Told of each partition that is not made because rows of it stay in the default one, and why.</param>
    /// <exception cref="TimeoutException">Somebody holds the table for long.</exception>
    public static async Task Ensure(
        NpgsqlDataSource source,
        string table,
        PartitionSpan span,
        DateTimeOffset from,
        int ahead,
        Func<DateTime, string>? make = null,
        int fillFactor = 100,
        int tries = Tries,
        Action<string>? left = null
    )
    {
        var have = await List(source, table);
        for (var step = 0; step <= ahead; step++)
        {
            var start = Move(Start(from.UtcDateTime, span), span, step);
            var name = NameOf(table, span, start);
            if (have.Contains(name[(name.IndexOf('.', StringComparison.Ordinal) + 1)..]))
                continue;
            var (begins, ends) = (Stamp(start), Stamp(Move(start, span, 1)));
            var with = $"WITH (fillfactor = {fillFactor.ToString(CultureInfo.InvariantCulture)})";
            string[] ways = make is null
                ?
                [
                    $"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{begins}') TO ('{ends}') {with}",
                    OutOfDefault(table, name, begins, ends, with),
                ]
                : [make(start)];
            if (!await Patiently(source, tries, error => left?.Invoke($"{name} is not made: {error}"), ways[0], ways[1..]))
                throw new TimeoutException($"{name} cannot be made while somebody holds {table}: a backup, or a transaction that was left open");
        }
    }

    /// <summary>
    /// Drops every partition that ended before <paramref name="before"/>, and those that an earlier run detached and did not come to drop; returns how many.
    /// One that somebody reads for long is left to the next run, and one that PostgreSQL refuses to drop keeps none of the others.
    /// </summary>
    /// <param name="drop">The statement for one by its name, where the table is not the host's own; null detaches and drops.</param>
    /// <exception cref="AggregateException">PostgreSQL refused some: a view reads them, say.</exception>
    public static async Task<int> Drop(NpgsqlDataSource source, string table, PartitionSpan span, DateTimeOffset before, Func<string, string>? drop = null)
    {
        var last = NameOf(table, span, Start(before.UtcDateTime, span));
        var schema = table[..table.IndexOf('.', StringComparison.Ordinal)];
        var (dropped, tries, refused) = (0, Tries, new List<PostgresException>());
        foreach (var name in await List(source, table))
        {
            var full = schema + "." + name;
            // Names end in their date, so that their order is time's; the default partition has no date and stays.
            if (full.Length != last.Length || string.CompareOrdinal(full, last) >= 0) continue;
            await DropNext(() => drop is null ? DropOne(source, table, full, tries) : Patiently(source, tries, drop(name)));
        }
        if (drop is null)
            foreach (var full in await Detached(source, table, span, Start(before.UtcDateTime, span)))
                await DropNext(() => Patiently(source, tries, $"DROP TABLE IF EXISTS {full}"));
        return refused.Count == 0 ? dropped : throw new AggregateException(refused);

        async Task DropNext(Func<Task<bool>> way)
        {
            try
            {
                if (await way()) dropped++;
                // Whoever is in the way of one is so of the next, most likely.
                else tries = 1;
            }
            catch (PostgresException error)
            {
                refused.Add(error);
            }
        }
    }

    // DETACH CONCURRENTLY waits for readers without holding writers up; it needs to stand outside a transaction. Where it is refused, the partition is dropped
    // while it is attached: after a plain DETACH, a host that dies would leave a table that nobody reads.
    private static async Task<bool> DropOne(NpgsqlDataSource source, string table, string full, int tries) =>
        await Patiently(source, tries, $"COMMENT ON TABLE {full} IS '{Doomed}'")
        && await Patiently(source, tries, $"ALTER TABLE {table} DETACH PARTITION {full}{Concurrently}", $"DROP TABLE IF EXISTS {full}")
        && await Patiently(source, tries, $"DROP TABLE IF EXISTS {full}");

    private static async Task<List<string>> Detached(NpgsqlDataSource source, string table, PartitionSpan span, DateTime before)
    {
        await using var connection = await source.OpenConnectionAsync();
        var names = (await connection.QueryAsync<string>(DetachedSql, new { Table = table, Doomed })).AsList();
        var schema = table[..table.IndexOf('.', StringComparison.Ordinal)];
        return [.. names.Where(name => StartOf(table, span, name) < before).Select(name => schema + "." + name)];
    }

    /// <summary>The beginning of the oldest partition; null when there is none with a date.</summary>
    /// <param name="after">Only of those that begin after it.</param>
    public static async Task<DateTime?> Oldest(NpgsqlDataSource source, string table, PartitionSpan span, DateTime? after = null)
    {
        DateTime? oldest = null;
        foreach (var name in await List(source, table))
            if (StartOf(table, span, name) is { } start && (after is null || start > after) && (oldest is null || start < oldest))
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

    // Partition DDL under a long reader queues for its lock and stops all inserts behind it: a short lock_timeout lets them pass, then it is tried again. False
    // when the table was held at every try.
    private static Task<bool> Patiently(NpgsqlDataSource source, int tries, string sql, params string[] whenNotPossible) =>
        Patiently(source, tries, null, sql, whenNotPossible);

    private static async Task<bool> Patiently(NpgsqlDataSource source, int tries, Action<string>? left, string sql, params string[] whenNotPossible)
    {
        var others = new Queue<string>(whenNotPossible);
        var failed = 0;
        while (true)
        {
            await using var connection = await source.OpenConnectionAsync();
            await connection.ExecuteAsync($"SET lock_timeout = '{(sql.EndsWith(Concurrently, StringComparison.Ordinal) ? "2s" : "100ms")}'");
            try
            {
                await connection.ExecuteAsync(sql, commandTimeout: 60);
                return true;
            }
            catch (PostgresException error) when (DatabaseErrors.IsLockTimeout(error))
            {
                if (++failed >= tries) return false;
                await Task.Delay(TimeSpan.FromMilliseconds(200 * failed));
            }
            catch (PostgresException error) when (error.SqlState is PostgresErrorCodes.DuplicateTable or PostgresErrorCodes.UndefinedTable)
            {
                // Another node has just made it, or has just detached or dropped it.
                return true;
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.InvalidObjectDefinition)
            {
                // Another partition covers this stretch: the audit's first, where a clock was ahead.
                return true;
            }
            catch (PostgresException error)
                when (others.Count > 0 && error.SqlState is PostgresErrorCodes.ObjectNotInPrerequisiteState or PostgresErrorCodes.CheckViolation)
            {
                // A table with a default partition cannot detach concurrently; one that was interrupted while it did so is detached in part. Both can be
                // dropped. Where rows of the stretch lie in the default partition already (a foreign clock, or no upkeep for long) they have to move first.
                sql = others.Dequeue();
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.CheckViolation)
            {
                // Such rows of the audit, which nobody moves, or too many: they stay there, and so do their neighbours.
                left?.Invoke(error.MessageText);
                return true;
            }
            finally
            {
                await connection.ExecuteAsync("RESET lock_timeout");
            }
        }
    }

    // In one statement: the rows lie in the one table or in the other.
    private static string OutOfDefault(string table, string name, string begins, string ends, string with) =>
        $"""
        DO $$
        DECLARE
            rest text;
            key text;
            many bigint;
        BEGIN
            LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE;
            SELECT CAST(CAST(p.partdefid AS regclass) AS text), quote_ident(a.attname) INTO STRICT rest, key FROM pg_partitioned_table p
                JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] WHERE p.partrelid = CAST('{table}' AS regclass);
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', rest);
            EXECUTE format('SELECT count(*) FROM (SELECT FROM %1$s WHERE %2$s >= %3$L AND %2$s < %4$L LIMIT {MostMoved + 1}) lying',
                rest, key, '{begins}', '{ends}') INTO many;
            IF many > {MostMoved} THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'more than {MostMoved} of its rows lie in the default partition, and stay there';
            END IF;
            CREATE TABLE {name} (LIKE {table} INCLUDING ALL) {with};
            EXECUTE format('WITH moved AS (DELETE FROM %1$s WHERE %2$s >= %3$L AND %2$s < %4$L RETURNING *) INSERT INTO {name} SELECT * FROM moved',
                rest, key, '{begins}', '{ends}');
            ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{begins}') TO ('{ends}');
        END $$
        """;

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
