using Codo.Platform.Data;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Finds executions whose output or reason has a text, in the newest first, for as long as a search may take.</summary>
internal sealed class LedgerSearch(TimeProvider time)
{
    /// <summary>
    /// How long a search for a text may take, how long it goes on once the page is full, and how much of the ledger is looked through first: the newest
    /// hour, then four times as much, and so on.
    /// </summary>
    private static readonly TimeSpan MostSearch = TimeSpan.FromMilliseconds(800),
        MostCounting = TimeSpan.FromMilliseconds(300),
        FirstStretch = TimeSpan.FromHours(1);

    // Lists hold the head of the newest attempt's output; all of it is in cron.output, and that of a command that runs is there alone. A scalar subquery is
    // asked for those rows alone; EXISTS could be hashed, which reads all output.
    private const string SearchSql = $"""
        SELECT l.exec_time, l.log_id FROM cron.cron_log l WHERE {LedgerPages.Where}
            AND (CAST(@Pattern AS text) IS NULL OR l.task_log ILIKE @Pattern ESCAPE '\' OR l.cause_zh ILIKE @Pattern ESCAPE '\'
                OR l.cause_en ILIKE @Pattern ESCAPE '\' OR ({Deep} AND (SELECT true FROM cron.output o WHERE {OutputMatches} LIMIT 1)))
            AND (CAST(@TaskLog AS text) IS NULL OR @TaskLog IN (l.task_log, l.cause_zh, l.cause_en, l.task_log || E'\n' || l.cause_zh,
                l.task_log || E'\n' || l.cause_en))
        ORDER BY l.exec_time DESC, l.log_id DESC LIMIT @Most
        """;

    private const string NewestSql = """
        SELECT exec_time FROM cron.cron_log WHERE exec_time < @Until AND isfinite(exec_time) ORDER BY exec_time DESC, log_id DESC LIMIT 1
        """;

    /// <summary>For a row of the ledger as <c>l</c>: it does not hold the whole output, or there may be further attempts.</summary>
    public const string Deep = "(l.status = 'running' OR octet_length(l.task_log) > 60000 OR l.spec ->> 'retries' <> '0')";

    /// <summary>For a piece of the output as <c>o</c> of the row <c>l</c>: the text is in it, or begins in it and ends in the next one.</summary>
    public const string OutputMatches = """
        o.log_id = l.log_id AND o.nominal_at = l.nominal_at AND (o.text ILIKE @Pattern ESCAPE '\' OR right(o.text, 1000) || (SELECT left(n.text, 1000)
            FROM cron.output n WHERE n.log_id = o.log_id AND n.nominal_at = o.nominal_at AND n.attempt = o.attempt AND n.from_byte = o.next_byte)
                ILIKE @Pattern ESCAPE '\')
        """;

    /// <summary>A text as <c>@Pattern</c>: taken literally, in any case.</summary>
    public static string PatternOf(string text) => "%" + Paging.PrefixPattern(text);

    /// <summary>Keys of the newest that match, stretch by stretch back, so that what is recent is found whatever lies behind it.</summary>
    /// <param name="text">In the output or in the reason.</param>
    /// <param name="taskLog">The whole output, or the reason.</param>
    /// <param name="wanted">Once there are so many it only counts on for a moment.</param>
    public async Task<Found> Find(
        NpgsqlConnection connection,
        LedgerFilter whole,
        string? text,
        string? taskLog,
        long wanted,
        CancellationToken cancellation
    )
    {
        var began = time.GetTimestamp();
        var found = new List<LedgerKey>();
        // The hours to come are no part of the first stretches.
        var newest = await connection.ExecuteScalarAsync<DateTime?>(NewestSql, new { whole.Until });
        var (end, stretch) = (newest?.AddTicks(10) ?? whole.From, FirstStretch);
        var isPartial = false;
        for (; end > whole.From && !isPartial; stretch *= 4)
        {
            var start = end - whole.From < stretch ? whole.From : end - stretch;
            var left = (found.Count < wanted ? MostSearch : MostCounting) - time.GetElapsedTime(began);
            try
            {
                if (left <= TimeSpan.Zero || found.Count > ListReading.MostCounted) throw new TimeoutException();
                await using var transaction = await ListReading.Begin(connection, cancellation, left);
                var asked = LedgerPages.Asked(whole with { From = start, Until = end });
                asked.AddDynamicParams(
                    new
                    {
                        BeforeTime = (DateTime?)null,
                        BeforeId = (long?)null,
                        Pattern = text is null ? null : PatternOf(text),
                        TaskLog = taskLog,
                        Most = ListReading.MostCounted + 1,
                    }
                );
                // As they are found: what came before the time was over counts.
                await using var reader = await connection.ExecuteReaderAsync(SearchSql, asked, transaction);
                while (await reader.ReadAsync(cancellation)) found.Add(new LedgerKey(reader.GetDateTime(0), reader.GetInt64(1)));
            }
            catch (TimeoutException)
            {
                isPartial = true;
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.QueryCanceled)
            {
                isPartial = true;
                DatabaseErrors.ForgetPrepared(connection);
            }
            end = start;
        }
        return new Found(found, isPartial);
    }

    /// <param name="IsPartial">The time was over before all was looked through.</param>
    internal sealed record Found(List<LedgerKey> Keys, bool IsPartial);
}
