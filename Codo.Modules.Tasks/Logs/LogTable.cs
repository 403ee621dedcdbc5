using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Lines from <paramref name="First"/> to <paramref name="Last"/>, both included.</summary>
internal sealed record LineRange(long First, long Last);

/// <summary>Writes lines into the table, as often as anybody likes: a line that is there stays as it is.</summary>
internal sealed class LogTable(NpgsqlDataSource source, TimeProvider time, ILogger<LogTable> log)
{
    /// <summary>Lines of one statement; more gain nothing (80,000 lines a second at this size).</summary>
    public const int BatchLines = 1000;

    /// <summary>Bytes of one statement, as <see cref="LogLine.Weight"/> counts them.</summary>
    public const int BatchWeight = 4 << 20;

    // A line is sealed an hour after the end of its day at the earliest: one that is younger than this is not.
    private static readonly TimeSpan Late = TimeSpan.FromMinutes(30);

    /// <summary>Where every writing is announced; <see cref="LogChanges"/> listens.</summary>
    public const string Channel = "codo_log";

    private const string Given = """
        unnest(CAST(@Keys AS text[]), CAST(@Lists AS bigint[]), CAST(@Levels AS int[]), CAST(@Scheds AS bigint[]), CAST(@Attempts AS int[]),
                CAST(@Lines AS bigint[]), CAST(@Continues AS boolean[]), CAST(@Texts AS text[]), CAST(@Times AS timestamptz[]))
                AS given (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time)
        """;

    // One log_time for the whole statement: sealed, it takes no room.
    private const string InsertSql = $"""
        WITH written AS (
            INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time, log_time)
            SELECT given.*, statement_timestamp() FROM {Given}
            ON CONFLICT DO NOTHING)
        SELECT count(pg_notify('codo_log', change)) FROM unnest(CAST(@Changes AS text[])) change
        """;

    // Those of the given lines that are sealed: each sealed row that may have one is taken apart once.
    private const string SealedSql = $"""
        SELECT s.sched_id, s.attempt, s.line, s.exec_time
        FROM (SELECT sched_id, attempt, min(line) AS first, max(line) AS last, min(exec_time) AS since, max(exec_time) AS until
              FROM {Given} GROUP BY sched_id, attempt) range
        JOIN tasks.sealed_line s ON s.sched_id = range.sched_id AND s.attempt = range.attempt AND s.last_line >= range.first AND s.first_line <= range.last
            AND s.until >= range.since AND s.since <= range.until
        """;

    private const string InsertLateSql = $"""
        WITH sealed AS MATERIALIZED ({SealedSql}),
        written AS (
            INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time, log_time)
            SELECT given.*, statement_timestamp() FROM {Given}
            WHERE NOT EXISTS (SELECT FROM sealed s WHERE s.sched_id = given.sched_id AND s.attempt = given.attempt AND s.line = given.line
                AND s.exec_time = given.exec_time)
            ON CONFLICT DO NOTHING)
        SELECT count(pg_notify('codo_log', change)) FROM unnest(CAST(@Changes AS text[])) change
        """;

    // Sealing may have taken a line between the beginning of the statement above and the moment at which it looked for the line: by now this is visible.
    private const string TakeBackSql = $"""
        DELETE FROM tasks.log_line l USING ({SealedSql}) s
        WHERE l.sched_id = s.sched_id AND l.attempt = s.attempt AND l.line = s.line AND l.exec_time = s.exec_time
        """;

    internal const string MissingSql = $"""
        SELECT last + 1 AS first, next - 1 AS last
        FROM (SELECT max(last) OVER (ORDER BY first ROWS UNBOUNDED PRECEDING) AS last, lead(first, 1, CAST(@Upto AS bigint) + 1) OVER (ORDER BY first) AS next
              FROM (SELECT CAST(@After AS bigint) AS first, CAST(@After AS bigint) AS last
                    UNION ALL
                    SELECT GREATEST(first, @After), LEAST(last, @Upto) FROM ({SealedLog.Ranges}) there WHERE last > @After AND first <= @Upto) had) gaps
        WHERE next > last + 1 ORDER BY first LIMIT 10000
        """;

    private const string ReserveSql = """
        SELECT nextval('tasks.foreign_line') FROM generate_series(1, @Count)
        """;

    /// <summary>
    /// Writes the lines, in one statement unless PostgreSQL does not take one of them: then each alone, and in the place of what is not taken a line that says
    /// so.
    /// </summary>
    public async Task Write(IReadOnlyCollection<LogLine> lines, CancellationToken cancellation)
    {
        try
        {
            await WriteTogether(lines, cancellation);
        }
        catch (Exception error) when (DatabaseErrors.IsPermanent(error))
        {
            foreach (var line in lines) await WriteAlone(line, cancellation);
        }
    }

    private async Task WriteAlone(LogLine line, CancellationToken cancellation)
    {
        try
        {
            await WriteTogether([line], cancellation);
        }
        catch (Exception error) when (DatabaseErrors.IsPermanent(error))
        {
            log.LogError(error, "Line {Line} of {LogKey} is not stored: PostgreSQL does not take it", line.Line, line.Key.Text);
            try
            {
                await WriteTogether([line with { Text = $"[Codo]: {OutsideText.Clean(error.Message)}" }], cancellation);
            }
            catch (Exception again) when (DatabaseErrors.IsPermanent(again))
            {
                log.LogError(again, "Nothing is stored in the place of line {Line} of {LogKey}", line.Line, line.Key.Text);
            }
        }
    }

    // Sorted, so that concurrent writers cannot deadlock.
    private async Task WriteTogether(IReadOnlyCollection<LogLine> lines, CancellationToken cancellation)
    {
        if (lines.Count == 0) return;
        var ordered = lines.OrderBy(line => line.SchedId).ThenBy(line => line.Attempt).ThenBy(line => line.Line).ToList();
        var given = new
        {
            Keys = ordered.ConvertAll(line => line.Key.Text).ToArray(),
            Lists = ordered.ConvertAll(line => line.Key.ListId).ToArray(),
            Levels = ordered.ConvertAll(line => line.Key.Level).ToArray(),
            Scheds = ordered.ConvertAll(line => line.SchedId).ToArray(),
            Attempts = ordered.ConvertAll(line => line.Attempt).ToArray(),
            Lines = ordered.ConvertAll(line => line.Line).ToArray(),
            Continues = ordered.ConvertAll(line => line.Continues).ToArray(),
            Texts = ordered.ConvertAll(line => line.Text).ToArray(),
            Times = ordered.ConvertAll(line => line.Time).ToArray(),
            Changes = Changes(ordered),
        };
        var late = time.GetUtcNow().UtcDateTime - Late;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        if (!ordered.Exists(line => line.Time < late))
        {
            await connection.ExecuteAsync(new CommandDefinition(InsertSql, given, cancellationToken: cancellation));
            return;
        }
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await connection.ExecuteAsync(new CommandDefinition(InsertLateSql, given, transaction, cancellationToken: cancellation));
        await connection.ExecuteAsync(new CommandDefinition(TakeBackSql, given, transaction, cancellationToken: cancellation));
        await transaction.CommitAsync(cancellation);
    }

    /// <summary>
    /// Which lines of an attempt the table does not have, of those after <paramref name="after"/> up to <paramref name="upto"/>; at most 10,000 ranges.
    /// </summary>
    /// <param name="since">The time of the attempt's first line: no partition before it is looked at.</param>
    public async Task<IReadOnlyList<LineRange>> Missing(long schedId, int attempt, long after, long upto, DateTime since, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return (
            await connection.QueryAsync<LineRange>(
                new CommandDefinition(
                    MissingSql,
                    new
                    {
                        SchedId = schedId,
                        Attempt = attempt,
                        After = after,
                        Upto = upto,
                        Since = since,
                        SinceDay = since.AddDays(-1),
                    },
                    commandTimeout: 60,
                    cancellationToken: cancellation
                )
            )
        ).AsList();
    }

    /// <summary>Numbers for lines that came without one; they rise, with gaps.</summary>
    public async Task<Queue<long>> Reserve(int count, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return new Queue<long>(await connection.QueryAsync<long>(new CommandDefinition(ReserveSql, new { Count = count }, cancellationToken: cancellation)));
    }

    private static string[] Changes(List<LogLine> ordered)
    {
        var last = new Dictionary<(string, long, int), long>();
        foreach (var line in ordered) last[(line.Key.Text, line.SchedId, line.Attempt)] = line.Line;
        return [.. last.Select(pair => new LogChange(pair.Key.Item2, pair.Key.Item3, pair.Value, pair.Key.Item1).ToString())];
    }
}
