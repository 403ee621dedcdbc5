using System.Diagnostics;
using System.Globalization;
using Codo.Modules.Tasks.Orders;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// Finds lines by what they contain. A frequent text is found in the newest lines, stretch by stretch; a rare one by the trigram index, which days have that
/// are over; where there is none, or the text is too short for one, the stretches go on until the time is over.
/// </summary>
internal sealed class LogSearch(NpgsqlDataSource source, LogSettings settings)
{
    private const int LeastStretch = 500, FirstStretch = 10_000, LongestStretch = 80_000;

    private static readonly DateTime Ever = DateTime.MinValue.ToUniversalTime(), Never = new(9999, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    private const string DaysSql = """
        SELECT right(c.relname, 8) AS day, bool_or(COALESCE(i.indisvalid, false)) AS indexed
        FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
        LEFT JOIN (pg_index i JOIN pg_class n ON n.oid = i.indexrelid) ON i.indrelid = c.oid AND n.relname = c.relname || '_trgm'
        WHERE h.inhparent = 'tasks.scheduler_task_log'::regclass AND c.relname ~ '_[0-9]{8}$'
        GROUP BY c.relname ORDER BY c.relname DESC
        """;

    // The oldest line of the next stretch: an index-only scan.
    private const string StretchSql = """
        SELECT exec_time FROM tasks.scheduler_task_log WHERE exec_time >= @From AND exec_time < @Before ORDER BY exec_time DESC OFFSET @Lines LIMIT 1
        """;

    private const string Matches = $"""
        log_info ILIKE @Pattern ESCAPE '\' AND exec_time >= @From AND exec_time < @Before
        AND (CAST(@ListId AS bigint) IS NULL OR list_id = @ListId) AND (CAST(@LogKeyEnd AS text) IS NULL OR right(log_key, length(@LogKeyEnd)) = @LogKeyEnd)
        AND (@IsSuperuser OR EXISTS (SELECT FROM tasks.scheduler_task_list o WHERE o.list_id = line.list_id AND {OrderAccess.Visible}))
        """;

    private const string StretchMatchesSql = $"""
        SELECT log_id, log_key, list_id, task_level, sched_id, attempt, line, log_info, exec_time FROM tasks.scheduler_task_log line
        WHERE {Matches} ORDER BY exec_time DESC, log_id DESC LIMIT @Limit
        """;

    // Materialised, because the planner would otherwise walk the times backwards and hope to meet a match soon.
    private const string IndexedMatchesSql = $"""
        WITH found AS MATERIALIZED (
            SELECT log_id, log_key, list_id, task_level, sched_id, attempt, line, log_info, exec_time FROM tasks.scheduler_task_log line WHERE {Matches})
        SELECT * FROM found ORDER BY exec_time DESC, log_id DESC LIMIT @Limit
        """;

    // An order's lines are found through its attempts, without looking at those of others.
    private const string OrderMatchesSql = $"""
        WITH attempts AS MATERIALIZED (SELECT DISTINCT sched_id, attempt FROM tasks.scheduler_task_log WHERE list_id = @ListId AND line = 1 AND sched_id > 0),
        found AS MATERIALIZED (
            SELECT line.* FROM attempts JOIN tasks.scheduler_task_log line USING (sched_id, attempt) WHERE {Matches}
            UNION ALL
            SELECT line.* FROM tasks.scheduler_task_log line WHERE sched_id = 0 AND {Matches})
        SELECT log_id, log_key, list_id, task_level, sched_id, attempt, line, log_info, exec_time FROM found ORDER BY exec_time DESC, log_id DESC LIMIT @Limit
        """;

    private const string NamesSql = """
        SELECT o.list_id, o.task_name AS order_name, 0 AS sched_id, '' AS step_name FROM tasks.scheduler_task_list o WHERE o.list_id = ANY(@Lists)
        UNION ALL
        SELECT 0, '', s.sched_id, s.task_name FROM tasks.scheduler_task_info s WHERE s.sched_id = ANY(@Scheds)
        """;

    /// <summary>Finds the newest lines.</summary>
    /// <param name="limit">No more than these are looked for.</param>
    public async Task<Found> Find(Wanted wanted, Viewer viewer, int limit, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        // The whole search sees one state, and its settings end with it.
        await using var transaction = await connection.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead, cancellation);
        // A day that has not been analysed yet looks small to the planner, which would then sort all of it for its newest lines.
        await connection.ExecuteAsync("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off", transaction: transaction);
        var run = new Run(connection, transaction, wanted, viewer, limit, TimeSpan.FromMilliseconds(settings.SearchTime), cancellation);
        if (wanted.ListId is not null)
        {
            await run.Query(OrderMatchesSql, wanted.From ?? Ever, wanted.Before ?? Never, run.Rest);
            return run.Found;
        }

        var days = (await connection.QueryAsync<(string Day, bool Indexed)>(DaysSql, transaction: transaction)).AsList();
        foreach (var (from, before, indexed) in Stretches(wanted, HasTrigram(wanted.Text) ? days : []))
        {
            if (run.IsFull) break;
            // A frequent text is in the newest lines of an indexed day as well, and its index would name them all.
            var rest = indexed ? await run.Stretch(from, before, FirstStretch) : before;
            if (run.IsFull || rest is null) continue;
            if (!indexed || !await run.Query(IndexedMatchesSql, from, rest.Value, run.Rest)) await run.Stretches(from, rest.Value);
        }

        return run.Found;
    }

    /// <summary>The lines with the names of their orders and steps.</summary>
    public async Task<IReadOnlyList<SearchLogs.Row>> Complete(IReadOnlyList<Match> lines, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var names = (
            await connection.QueryAsync<(long ListId, string OrderName, long SchedId, string StepName)>(
                new CommandDefinition(
                    NamesSql,
                    new { Lists = lines.Select(line => line.ListId).Distinct().ToArray(), Scheds = lines.Select(line => line.SchedId).Distinct().ToArray() },
                    cancellationToken: cancellation
                )
            )
        ).AsList();
        var orders = names.Where(name => name.ListId != 0).ToDictionary(name => name.ListId, name => name.OrderName);
        var steps = names.Where(name => name.SchedId != 0).ToDictionary(name => name.SchedId, name => name.StepName);
        return
        [
            .. lines.Select(line => new SearchLogs.Row(
                line.LogId,
                line.LogKey,
                line.ListId,
                orders.GetValueOrDefault(line.ListId, ""),
                line.LogKey.Split('_', 4) is [_, _, _, var host] ? host : "",
                line.TaskLevel,
                steps.GetValueOrDefault(line.SchedId, ""),
                line.SchedId,
                line.Attempt,
                line.Line,
                line.LogInfo,
                line.ExecTime
            )),
        ];
    }

    /// <summary>What is looked through one after the other, newest first: neighbouring days with an index as one.</summary>
    private static IEnumerable<(DateTime From, DateTime Before, bool Indexed)> Stretches(Wanted wanted, IEnumerable<(string Day, bool Indexed)> days)
    {
        var (least, before) = (wanted.From ?? Ever, wanted.Before ?? Never);
        DateTime? indexedBefore = null;
        var from = before;
        foreach (var (day, _) in days.Where(day => day.Indexed))
        {
            var start = DateTime.ParseExact(day, "yyyyMMdd", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal);
            var end = start.AddDays(1) < before ? start.AddDays(1) : before;
            if (start >= before || end <= least) continue;
            if (indexedBefore is null || end < from)
            {
                if (indexedBefore is { } open) yield return (from, open, true);
                if (end < from) yield return (end, from, false);
                indexedBefore = end;
            }

            from = start > least ? start : least;
        }

        if (indexedBefore is { } last) yield return (from, last, true);
        if (least < from) yield return (least, from, false);
    }

    // pg_trgm makes trigrams of letters and digits alone.
    private static bool HasTrigram(string text)
    {
        var run = 0;
        foreach (var letter in text)
            if (!char.IsLetterOrDigit(letter)) run = 0;
            else if (++run == 3) return true;
        return false;
    }

    /// <param name="Text">Taken literally.</param>
    internal sealed record Wanted(string Text, long? ListId, string? Host, DateTime? From, DateTime? Before);

    internal sealed record Match(
        long LogId,
        string LogKey,
        long ListId,
        int TaskLevel,
        long SchedId,
        int Attempt,
        long Line,
        string LogInfo,
        DateTime ExecTime
    );

    internal sealed record Found(IReadOnlyList<Match> Lines, bool Partial);

    /// <summary>One search under way.</summary>
    private sealed class Run(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        Wanted wanted,
        Viewer viewer,
        int limit,
        TimeSpan most,
        CancellationToken cancellation
    )
    {
        private readonly List<Match> lines = [];
        private readonly long began = Stopwatch.GetTimestamp();
        private TimeSpan scanned;
        private bool partial;

        public TimeSpan Rest => most - Stopwatch.GetElapsedTime(began);

        public bool IsFull => lines.Count >= limit;

        public Found Found => new(lines, partial);

        /// <summary>Looks through the newest lines before a time; returns the time before which it has not looked, null when there is nothing.</summary>
        public async Task<DateTime?> Stretch(DateTime from, DateTime before, int count)
        {
            var start = await connection.QuerySingleOrDefaultAsync<DateTime?>(
                new CommandDefinition(
                    StretchSql,
                    new
                    {
                        From = from,
                        Before = before,
                        Lines = count,
                    },
                    transaction,
                    cancellationToken: cancellation
                )
            );
            lines.AddRange(await connection.QueryAsync<Match>(Command(StretchMatchesSql, start ?? from, before)));
            return start;
        }

        /// <summary>Stretch by stretch, for half of the time in all: what is left unseen keeps nobody from the days that have an index.</summary>
        public async Task Stretches(DateTime from, DateTime before)
        {
            var count = FirstStretch;
            DateTime? rest = before;
            while (rest is not null && !IsFull)
            {
                if (count < LeastStretch)
                {
                    partial = true;
                    return;
                }

                var start = Stopwatch.GetTimestamp();
                rest = await Stretch(from, rest.Value, count);
                var took = Stopwatch.GetElapsedTime(start);
                scanned += took;
                // As many lines as the time is expected to suffice for: on a busy machine a stretch of full length takes far longer than the whole search may.
                count = (int)Math.Min(Math.Min(count * 2, LongestStretch), count * ((most / 2) - scanned) / took);
            }
        }

        /// <summary>False when the time was over first; what was found by then is lost.</summary>
        public async Task<bool> Query(string sql, DateTime from, DateTime before, TimeSpan time)
        {
            await transaction.SaveAsync("search", cancellation);
            try
            {
                await connection.ExecuteAsync(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"SET LOCAL statement_timeout = {Math.Max(50, (int)time.TotalMilliseconds)}; SET LOCAL enable_bitmapscan = on"
                    ),
                    transaction: transaction
                );
                lines.AddRange(await connection.QueryAsync<Match>(Command(sql, from, before)));
                await connection.ExecuteAsync("SET LOCAL statement_timeout = 0; SET LOCAL enable_bitmapscan = off", transaction: transaction);
                return true;
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.QueryCanceled && !cancellation.IsCancellationRequested)
            {
                await transaction.RollbackAsync("search", cancellation);
                partial |= wanted.ListId is not null;
                return false;
            }
        }

        private CommandDefinition Command(string sql, DateTime from, DateTime before)
        {
            var pattern = "%" + Paging.PrefixPattern(wanted.Text);
            return new CommandDefinition(
                sql,
                new
                {
                    Pattern = pattern,
                    From = from,
                    Before = before,
                    wanted.ListId,
                    LogKeyEnd = wanted.Host is { Length: > 0 } host ? "_" + host : null,
                    viewer.IsSuperuser,
                    viewer.UserId,
                    viewer.Names,
                    viewer.Spaces,
                    viewer.Templates,
                    viewer.Teams,
                    Limit = limit - lines.Count,
                },
                transaction,
                cancellationToken: cancellation);
        }
    }
}
