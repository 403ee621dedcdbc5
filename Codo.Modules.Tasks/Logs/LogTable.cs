using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Lines from <paramref name="First"/> to <paramref name="Last"/>, both included.</summary>
internal sealed record LineRange(long First, long Last);

/// <summary>Writes lines into the table, as often as anybody likes: a line that is there stays as it is.</summary>
internal sealed class LogTable(NpgsqlDataSource source, ILogger<LogTable> log)
{
    /// <summary>Lines of one statement; more gain nothing (80,000 lines a second at this size).</summary>
    public const int BatchLines = 1000;

    /// <summary>Bytes of one statement, as <see cref="LogLine.Weight"/> counts them.</summary>
    public const int BatchWeight = 4 << 20;

    /// <summary>Where every writing is announced; <see cref="LogChanges"/> listens.</summary>
    public const string Channel = "codo_log";

    private const string InsertSql = """
        WITH written AS (
            INSERT INTO tasks.scheduler_task_log (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time)
            SELECT * FROM unnest(CAST(@Keys AS text[]), CAST(@Lists AS bigint[]), CAST(@Levels AS int[]), CAST(@Scheds AS bigint[]), CAST(@Attempts AS int[]),
                CAST(@Lines AS bigint[]), CAST(@Continues AS boolean[]), CAST(@Texts AS text[]), CAST(@Times AS timestamptz[]))
            ON CONFLICT DO NOTHING)
        SELECT count(pg_notify('codo_log', change)) FROM unnest(CAST(@Changes AS text[])) change
        """;

    private const string MissingSql = """
        SELECT line + 1 AS first, next - 1 AS last
        FROM (SELECT line, lead(line, 1, CAST(@Upto AS bigint) + 1) OVER (ORDER BY line) AS next
              FROM (SELECT CAST(@After AS bigint) AS line
                    UNION ALL
                    SELECT line FROM tasks.scheduler_task_log
                    WHERE sched_id = @SchedId AND attempt = @Attempt AND line > @After AND line <= @Upto AND exec_time >= @Since) had) gaps
        WHERE next > line + 1 ORDER BY first LIMIT 10000
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
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(new CommandDefinition(InsertSql, new
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
        }, cancellationToken: cancellation));
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
