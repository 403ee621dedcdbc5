using System.Diagnostics;
using System.Globalization;
using System.Runtime.ExceptionServices;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// Seals lines of days that are over: up to 2,000 of an attempt and a day become one row of <c>tasks.sealed_log</c>, whose text PostgreSQL compresses. Lines
/// leave one table and enter the other in one statement, so that whatever ends it loses and doubles nothing. A day that has been sealed gets the index of the
/// search. One node at a time does it.
/// </summary>
internal sealed class LogSealing(NpgsqlDataSource source, Node node, RetentionGuard guard, ILogger<LogSealing> log)
{
    // Building an index takes a processor for minutes.
    private const long Lock = 0x0C0D0_0105;

    // Rows of one statement and bytes of their texts: as much as is held in memory and rolled back at worst.
    private const int BatchLines = 20_000, BatchBytes = 16 << 20;

    // Differences of greater numbers may not fit a bigint.
    private const string MostNumber = "1000000000000000000";

    private const int DropAttempts = 5;

    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(5), Again = TimeSpan.FromSeconds(1);

    // A partition's name ends in its day. Its last replays have an hour. The host makes the partitions of today and yesterday whenever they are missing.
    private const string DaysSql = """
        SELECT c.relname AS name, right(c.relname, 8) < to_char(today - 1, 'YYYYMMDD') AS may_go,
            right(c.relname, 8) < to_char(today - 7, 'YYYYMMDD') AS is_old
        FROM (SELECT CAST((clock_timestamp() - interval '1 hour') AT TIME ZONE 'UTC' AS date) AS today) t, pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
        WHERE h.inhparent = CAST('tasks.log_line' AS regclass) AND c.relname ~ '_[0-9]{8}$' AND right(c.relname, 8) < to_char(today, 'YYYYMMDD')
        ORDER BY c.relname DESC
        """;

    // An index whose building was cut short is there, and not valid.
    private const string UnindexedSql = """
        SELECT c.relname AS day, i.indexrelid IS NOT NULL AS broken
        FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
        LEFT JOIN (pg_index i JOIN pg_class n ON n.oid = i.indexrelid) ON i.indrelid = c.oid AND n.relname = c.relname || '_trgm'
        WHERE h.inhparent = CAST('tasks.sealed_log' AS regclass) AND c.relname ~ '_[0-9]{8}$' AND i.indisvalid IS NOT TRUE
            AND (CAST(@Only AS text) IS NULL OR c.relname = @Only)
        ORDER BY c.relname DESC
        """;

    // {day} is a partition, so that a place in it names a row. Lines of an attempt that may get more are left for a week, damaged ones for good. A step that is
    // too wide for an int, in numbers or in microseconds, begins another row, and so does a text of 256 KiB.
    private const string SealStatement = """
        WITH next AS MATERIALIZED (
            SELECT place
            FROM (SELECT l.place, sum(octet_length(l.log_info)) OVER (ORDER BY sched_id, attempt, line, exec_time) - octet_length(l.log_info) AS before
                  FROM (SELECT ctid AS place, sched_id, attempt, line, exec_time, log_info FROM tasks.{day} l
                        WHERE (sched_id, attempt, line, exec_time) > (@SchedId, @Attempt, @Line, @Time)
                            AND log_id BETWEEN 0 AND {most} AND line BETWEEN 0 AND {most} AND isfinite(log_time)
                            AND (@IsOld OR NOT EXISTS (SELECT FROM tasks.attempt a WHERE a.sched_id = l.sched_id AND a.attempt = l.attempt AND NOT a.log_whole))
                        ORDER BY sched_id, attempt, line, exec_time LIMIT @BatchLines) l) sized
            WHERE before < @BatchBytes),
        taken AS (DELETE FROM tasks.{day} WHERE ctid = ANY (ARRAY(SELECT place FROM next)) RETURNING *),
        compared AS (
            SELECT *, row_number() OVER one - 1 AS place, sum(octet_length(log_info)) OVER one AS bytes,
                line - lag(line) OVER one AS line_step, log_id - lag(log_id) OVER one AS id_step,
                CAST(EXTRACT(epoch FROM exec_time - lag(exec_time) OVER one) * 1000000 AS bigint) AS time_step,
                CAST(EXTRACT(epoch FROM log_time - lag(log_time) OVER one) * 1000000 AS bigint) AS written_step
            FROM taken WINDOW one AS (PARTITION BY log_key, list_id, task_level, sched_id, attempt ORDER BY line, exec_time)),
        cut AS (
            SELECT *, place / 2000 AS part, bytes / 262144 AS size,
                count(*) FILTER (WHERE GREATEST(abs(line_step), abs(id_step), abs(time_step), abs(written_step)) > 2000000000) OVER one AS jumps
            FROM compared WINDOW one AS (PARTITION BY log_key, list_id, task_level, sched_id, attempt ORDER BY place)),
        stepped AS (
            SELECT *, row_number() OVER piece AS number, row_number() OVER piece > 1 AS follows
            FROM cut WINDOW piece AS (PARTITION BY log_key, list_id, task_level, sched_id, attempt, part, size, jumps ORDER BY place)),
        sealed AS (
            INSERT INTO tasks.sealed_log (log_key, list_id, task_level, sched_id, attempt, first_line, last_line, lines, since, until, written, first_id,
                first_time, first_written, line_steps, id_steps, time_steps, written_steps, continued, content)
            SELECT log_key, list_id, task_level, sched_id, attempt, min(line), max(line), count(*), min(exec_time), max(exec_time), max(log_time),
                min(log_id) FILTER (WHERE number = 1), min(exec_time) FILTER (WHERE number = 1), min(log_time) FILTER (WHERE number = 1),
                CASE WHEN bool_or(follows AND line_step <> 1) THEN array_agg(CASE WHEN follows THEN CAST(line_step AS int) ELSE 0 END ORDER BY number) END,
                CASE WHEN bool_or(follows AND id_step <> 1) THEN array_agg(CASE WHEN follows THEN CAST(id_step AS int) ELSE 0 END ORDER BY number) END,
                CASE WHEN bool_or(follows AND time_step <> 0) THEN array_agg(CASE WHEN follows THEN CAST(time_step AS int) ELSE 0 END ORDER BY number) END,
                CASE WHEN bool_or(follows AND written_step <> 0)
                    THEN array_agg(CASE WHEN follows THEN CAST(written_step AS int) ELSE 0 END ORDER BY number) END,
                array_agg(CAST(number AS int) ORDER BY number) FILTER (WHERE continues),
                string_agg(replace(replace(log_info, E'\x01', E'\x01e'), E'\n', E'\x01n'), E'\n' ORDER BY number)
            FROM stepped GROUP BY log_key, list_id, task_level, sched_id, attempt, part, size, jumps)
        SELECT sched_id, attempt, line, exec_time AS time, count(*) OVER () AS lines FROM taken
        ORDER BY sched_id DESC, attempt DESC, line DESC, exec_time DESC LIMIT 1
        """;

    /// <summary>Seals what there is to seal, the newest days first, for half of the time and no more of it.</summary>
    /// <param name="step">Called after each statement.</param>
    public async Task Seal(Action step, CancellationToken cancellation)
    {
        if (!node.Has(NodeRoles.Logs)) return;
        // The loop begins before the node has joined. By a clock that is ahead a day that goes on would be sealed and dropped.
        while (node.Incarnation == 0) await Task.Delay(Again, cancellation);
        if (await guard.Allows(cancellation) is null) return;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        if (!await connection.ExecuteScalarAsync<bool>("SELECT pg_try_advisory_lock(@Lock)", new { Lock })) return;
        try
        {
            await connection.ExecuteAsync("SET work_mem = '64MB'; SET maintenance_work_mem = '256MB'");
            var failures = new List<(string Day, NpgsqlException Error)>();
            foreach (var day in (await connection.QueryAsync<Day>(DaysSql)).AsList())
            {
                await TryDay(connection, day.Name, failures, () => SealDay(connection, day, step, cancellation));
                var sealedDay = day.Name.Replace("log_line", "sealed_log", StringComparison.Ordinal);
                await TryDay(connection, sealedDay, failures, () => Index(connection, sealedDay, failures, step, cancellation));
            }
            await TryDay(connection, "sealed_log", failures, () => Index(connection, null, failures, step, cancellation));
            if (failures.Count > 0) ExceptionDispatchInfo.Throw(failures[0].Error);
        }
        finally
        {
            if (connection.State == System.Data.ConnectionState.Open)
            {
                await connection.ExecuteAsync("RESET work_mem; RESET maintenance_work_mem");
                await connection.ExecuteAsync("SELECT pg_advisory_unlock(@Lock)", new { Lock });
            }
        }
    }

    // One day's damage keeps no other from being sealed and dropped. Over a connection that is lost no day gets anywhere.
    private async Task TryDay(NpgsqlConnection connection, string day, List<(string Day, NpgsqlException Error)> failures, Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (NpgsqlException error) when (connection.State == System.Data.ConnectionState.Open)
        {
            log.LogError(error, "{Day} cannot be sealed or indexed; the other days go on", day);
            failures.Add((day, error));
        }
    }

    private async Task SealDay(NpgsqlConnection connection, Day day, Action step, CancellationToken cancellation)
    {
        const DateTimeStyles Utc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
        var start = DateTime.ParseExact(day.Name[^8..], "yyyyMMdd", CultureInfo.InvariantCulture, Utc);
        var sql = SealStatement.Replace("{day}", day.Name, StringComparison.Ordinal).Replace("{most}", MostNumber, StringComparison.Ordinal);
        var (taken, lines) = (new Taken(-1, 0, 0, start, 0), 0L);
        try
        {
            if (await IsEmpty(connection, day))
            {
                if (day.MayGo) await Drop(connection, day, cancellation);
                return;
            }
            await Partitions.Ensure(source, LogPartitionMaintenance.Sealed, PartitionSpan.Day, start, ahead: 0);
            while (true)
            {
                var began = Stopwatch.GetTimestamp();
                var parameters = new
                {
                    taken.SchedId,
                    taken.Attempt,
                    taken.Line,
                    taken.Time,
                    day.IsOld,
                    BatchLines,
                    BatchBytes,
                };
                var next = await connection.QuerySingleOrDefaultAsync<Taken>(
                    new CommandDefinition(sql, parameters, commandTimeout: 600, cancellationToken: cancellation)
                );
                step();
                if (next is null) break;
                taken = next;
                lines += taken.Lines;
                var took = Stopwatch.GetElapsedTime(began);
                await Task.Delay(took < Longest ? took : Longest, cancellation);
            }
            if (lines > 0) log.LogInformation("{Lines} lines of {Day} are sealed", lines, day.Name);
            if (lines > 0 || await IsEmpty(connection, day)) await Vacuum(connection, day.Name, cancellation);
            if (day.MayGo && await IsEmpty(connection, day)) await Drop(connection, day, cancellation);
        }
        catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.UndefinedTable)
        {
            log.LogInformation("{Day} was dropped while it was sealed", day.Name);
        }
    }

    private static Task<bool> IsEmpty(NpgsqlConnection connection, Day day) =>
        connection.ExecuteScalarAsync<bool>($"SELECT NOT EXISTS (SELECT FROM tasks.{day.Name})");

    private static Task Vacuum(NpgsqlConnection connection, string table, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition($"VACUUM (ANALYZE) tasks.{table}", commandTimeout: 0, cancellationToken: cancellation));

    /// <summary>
    /// Drops a day that has no row left. Inserts wait for a tenth of a second at most, and no line gets lost: what comes later for that day goes to the default
    /// partition.
    /// </summary>
    private async Task Drop(NpgsqlConnection connection, Day day, CancellationToken cancellation)
    {
        for (var attempt = 1; attempt <= DropAttempts; attempt++)
        {
            await using var transaction = await connection.BeginTransactionAsync(cancellation);
            try
            {
                await LockWait.Limit(connection, transaction, TimeSpan.FromMilliseconds(100));
                await connection.ExecuteAsync($"LOCK TABLE ONLY {LogPartitionMaintenance.Table} IN ACCESS EXCLUSIVE MODE", transaction: transaction);
                // Vacuumed, it has no page left to read.
                if (await connection.ExecuteScalarAsync<bool>($"SELECT NOT EXISTS (SELECT FROM tasks.{day.Name})", transaction: transaction))
                    await connection.ExecuteAsync($"DROP TABLE tasks.{day.Name}", transaction: transaction);
                await transaction.CommitAsync(cancellation);
                return;
            }
            catch (PostgresException error) when (DatabaseErrors.IsLockTimeout(error))
            {
                await transaction.RollbackAsync(cancellation);
                await Task.Delay(Again, cancellation);
            }
        }
    }

    /// <summary>
    /// Makes a sealed day searchable by index, or all that have not failed; without the extension pg_trgm searches scan, and say what they have not seen.
    /// </summary>
    private async Task Index(
        NpgsqlConnection connection,
        string? only,
        List<(string Day, NpgsqlException Error)> failures,
        Action step,
        CancellationToken cancellation
    )
    {
        var days = (await connection.QueryAsync<(string Day, bool Broken)>(UnindexedSql, new { Only = only })).AsList();
        if (days.Count == 0 || !await connection.ExecuteScalarAsync<bool>("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm')")) return;
        await connection.ExecuteAsync("CREATE EXTENSION IF NOT EXISTS pg_trgm");
        foreach (var (day, broken) in days)
            if (!failures.Exists(failure => failure.Day == day)) await TryDay(connection, day, failures, () => IndexDay(day, broken));

        async Task IndexDay(string day, bool broken)
        {
            if (broken) await connection.ExecuteAsync($"DROP INDEX IF EXISTS tasks.{day}_trgm");
            // CONCURRENTLY: it is read meanwhile, and another node may drop it.
            await connection.ExecuteAsync(
                new CommandDefinition(
                    $"CREATE INDEX CONCURRENTLY {day}_trgm ON tasks.{day} USING gin (content gin_trgm_ops)",
                    commandTimeout: 0,
                    cancellationToken: cancellation
                )
            );
            await Vacuum(connection, day, cancellation);
            step();
        }
    }

    /// <param name="MayGo">The host does not make it again.</param>
    /// <param name="IsOld">Nothing more is waited for.</param>
    private sealed record Day(string Name, bool MayGo, bool IsOld);

    /// <summary>The last line that a statement sealed, and how many.</summary>
    private sealed record Taken(long SchedId, int Attempt, long Line, DateTime Time, long Lines);
}
