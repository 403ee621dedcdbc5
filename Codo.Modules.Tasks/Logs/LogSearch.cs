using System.Diagnostics;
using System.Globalization;
using Codo.Modules.Tasks.Orders;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// Finds lines by what they contain, in those that are not sealed and then in the sealed ones. A frequent text is found in the newest lines, stretch by
/// stretch; a rare one by the trigram index, which days have that are over; where there is none, or the text is too short for one, the stretches go on until
/// the time is over.
/// </summary>
internal sealed class LogSearch(NpgsqlDataSource source, LogSettings settings)
{
    private static readonly Layer Lines = new("tasks.log_line", StretchSql, StretchMatchesSql, IndexedMatchesSql, 500, 10_000, 80_000, false),
        Sealed = new("tasks.sealed_log", SealedStretchSql, SealedStretchMatchesSql, SealedIndexedMatchesSql, 2, 20, 2000, true);

    private static readonly DateTime Ever = DateTime.MinValue.ToUniversalTime(), Never = new(9999, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    private const string DaysSql = """
        SELECT right(c.relname, 8) AS day, bool_or(COALESCE(i.indisvalid, false)) AS indexed
        FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
        LEFT JOIN (pg_index i JOIN pg_class n ON n.oid = i.indexrelid) ON i.indrelid = c.oid AND n.relname = c.relname || '_trgm'
        WHERE h.inhparent = CAST(@Table AS regclass) AND c.relname ~ '_[0-9]{8}$'
        GROUP BY c.relname ORDER BY c.relname DESC
        """;

    // The oldest line of the next stretch: an index-only scan.
    private const string StretchSql = """
        SELECT exec_time FROM tasks.log_line WHERE exec_time >= @From AND exec_time < @Before ORDER BY exec_time DESC OFFSET @Count LIMIT 1
        """;

    private const string Columns = "log_id, log_key, list_id, task_level, sched_id, attempt, line, log_info, exec_time";

    private const string Seen = $"""
        (CAST(@ListId AS bigint) IS NULL OR list_id = @ListId) AND (CAST(@LogKeyEnd AS text) IS NULL OR right(log_key, length(@LogKeyEnd)) = @LogKeyEnd)
        AND (@IsSuperuser OR EXISTS (SELECT FROM tasks.scheduler_task_list o WHERE o.list_id = line.list_id AND {OrderAccess.Visible}))
        """;

    private const string Matches = $"""
        log_info ILIKE @Pattern ESCAPE '\' AND exec_time >= @From AND exec_time < @Before AND {Seen}
        """;

    private const string StretchMatchesSql = $"""
        SELECT {Columns} FROM tasks.log_line line WHERE {Matches} ORDER BY exec_time DESC, log_id DESC LIMIT @Limit
        """;

    // Materialised, because the planner would otherwise walk the times backwards and hope to meet a match soon.
    private const string IndexedMatchesSql = $"""
        WITH found AS MATERIALIZED (SELECT {Columns} FROM tasks.log_line line WHERE {Matches})
        SELECT * FROM found ORDER BY exec_time DESC, log_id DESC LIMIT @Limit
        """;

    private const string SealedStretchSql = """
        SELECT until FROM tasks.sealed_log WHERE until >= @From AND until < @Before AND since >= @FromDay AND since < @Before
        ORDER BY until DESC OFFSET @Count LIMIT 1
        """;

    // Sealed rows first, by the days that they may lie in: only those with a match are taken apart. No index but that of the content serves these conditions,
    // and the planner, which does not know how long the contents are, cannot prefer another.
    private const string SealedMatches = $"""
        {Seen} AND since >= @FromDay AND since < @Before AND content ILIKE @SealedPattern ESCAPE '\'
        AND log_info ILIKE @Pattern ESCAPE '\' AND exec_time >= @From AND exec_time < @Before
        """;

    private const string SealedStretchMatchesSql = $"""
        SELECT {Columns} FROM tasks.sealed_line line WHERE until >= @From AND {SealedMatches} ORDER BY exec_time DESC, log_id DESC LIMIT @Limit
        """;

    private const string SealedIndexedMatchesSql = $"""
        WITH found AS MATERIALIZED (SELECT {Columns} FROM tasks.sealed_line line WHERE {SealedMatches})
        SELECT * FROM found ORDER BY exec_time DESC, log_id DESC LIMIT @Limit
        """;

    // An order's lines are found through its attempts, without looking at those of others.
    private const string OrderMatchesSql = $"""
        WITH attempts AS MATERIALIZED (
            SELECT sched_id, attempt FROM tasks.log_line WHERE list_id = @ListId AND line = 1 AND sched_id > 0
            UNION
            SELECT sched_id, attempt FROM tasks.sealed_log WHERE list_id = @ListId AND first_line = 1 AND sched_id > 0),
        found AS MATERIALIZED (
            SELECT {Columns} FROM attempts JOIN tasks.log_line line USING (sched_id, attempt) WHERE {Matches}
            UNION ALL
            SELECT {Columns} FROM tasks.log_line line WHERE sched_id = 0 AND {Matches}
            UNION ALL
            SELECT {Columns} FROM tasks.sealed_line line WHERE list_id = @ListId AND {SealedMatches})
        SELECT * FROM found ORDER BY exec_time DESC, log_id DESC LIMIT @Limit
        """;

    private const string NamesSql = """
        SELECT o.list_id, o.task_name AS order_name, 0 AS sched_id, '' AS step_name FROM tasks.scheduler_task_list o WHERE o.list_id = ANY(@Lists)
        UNION ALL
        SELECT 0, '', s.sched_id, s.task_name FROM tasks.scheduler_task_info s WHERE s.sched_id = ANY(@Scheds)
        """;

    // Lines around a line lie in the days beside it at most.
    private const string ContextSql = """
        SELECT CAST(a.place AS int) AS place, l.line < a.at AS is_before, left(l.log_info, 2000) AS text
        FROM unnest(CAST(@Scheds AS bigint[]), CAST(@Attempts AS int[]), CAST(@Lines AS bigint[]), CAST(@Times AS timestamptz[])) WITH ORDINALITY
            AS a (sched_id, attempt, at, time, place)
        CROSS JOIN LATERAL (
            SELECT line, log_info FROM tasks.log_line
            WHERE sched_id = a.sched_id AND attempt = a.attempt AND line BETWEEN a.at - @Context AND a.at + @Context
                AND exec_time > a.time - interval '1 day' AND exec_time < a.time + interval '1 day'
            UNION ALL
            SELECT line, log_info FROM tasks.sealed_line
            WHERE sched_id = a.sched_id AND attempt = a.attempt AND last_line >= a.at - @Context AND first_line <= a.at + @Context
                AND since > a.time - interval '2 days' AND since < a.time + interval '1 day' AND line BETWEEN a.at - @Context AND a.at + @Context) l
        WHERE l.line <> a.at ORDER BY a.place, l.line
        """;

    // A sealed row is taken apart for each line that it has: few at a time, so that the time is looked at between.
    private const int ContextBatch = 20;

    /// <summary>The lines with those around them, as many as the time suffices for; true where it did not suffice for all.</summary>
    public async Task<(IReadOnlyList<SearchLogs.Row> Rows, bool Partial)> WithContext(
        IReadOnlyList<SearchLogs.Row> rows,
        int context,
        CancellationToken cancellation
    )
    {
        var (all, began) = (rows.ToArray(), Stopwatch.GetTimestamp());
        // Another publisher's line has no attempt whose lines would stand beside it.
        var places = Enumerable.Range(0, all.Length).Where(place => all[place].SchedId > 0).ToArray();
        await using var connection = await source.OpenConnectionAsync(cancellation);
        foreach (var batch in places.Chunk(ContextBatch))
        {
            if (Stopwatch.GetElapsedTime(began).TotalMilliseconds > settings.SearchTime) return (all, true);
            var around = (
                await connection.QueryAsync<(int Place, bool IsBefore, string Text)>(
                    new CommandDefinition(
                        ContextSql,
                        new
                        {
                            Scheds = batch.Select(place => all[place].SchedId).ToArray(),
                            Attempts = batch.Select(place => all[place].Attempt).ToArray(),
                            Lines = batch.Select(place => all[place].Line).ToArray(),
                            Times = batch.Select(place => all[place].ExecTime).ToArray(),
                            Context = (long)context,
                        },
                        cancellationToken: cancellation
                    )
                )
            ).ToLookup(line => line.Place - 1);
            for (var at = 0; at < batch.Length; at++)
                all[batch[at]] = all[batch[at]] with
                {
                    Before = [.. around[at].Where(line => line.IsBefore).Select(line => line.Text)],
                    After = [.. around[at].Where(line => !line.IsBefore).Select(line => line.Text)],
                };
        }
        return (all, false);
    }

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

        await SearchLayer(run, Lines, wanted);
        // Of the sealed ones nothing counts that is older than the lines that are already as many as are wanted.
        await SearchLayer(run, Sealed, wanted with { From = run.Begin() ?? wanted.From });
        return run.Found;
    }

    private static async Task SearchLayer(Run run, Layer layer, Wanted wanted)
    {
        var days = await run.Days(layer);
        var (isFrequent, isFirst) = (true, true);
        foreach (var (from, before, indexed) in Stretches(wanted, days, layer, HasTrigram(wanted.Text)))
        {
            if (run.IsFull || (!isFirst && run.GivesUp())) break;
            isFirst = false;
            // A frequent text is in the newest lines of an indexed day as well, and its index would name them all.
            var found = run.Count;
            var rest = indexed && isFrequent ? await run.Stretch(layer, from, before, layer.FirstStretch) : before;
            if (indexed) isFrequent = run.Count > found;
            if (run.IsFull || rest is null) continue;
            if (!indexed || !await run.Query(layer.IndexedMatches, from, rest.Value, run.Rest)) await run.Stretches(layer, from, rest.Value);
        }
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

    /// <summary>
    /// What is looked through one after the other, newest first: neighbouring days with an index as one, the newest day alone, then twice as many each time, so
    /// that what is found in the newest is there when the time is over.
    /// </summary>
    private static IEnumerable<(DateTime From, DateTime Before, bool Indexed)> Stretches(Wanted wanted, List<Day> days, Layer layer, bool byIndex)
    {
        var (least, before) = (wanted.From ?? Ever, wanted.Before ?? Never);
        if (layer.IsOfDays)
        {
            if (days.Count == 0) yield break;
            if (days[^1].Start > least) least = days[^1].Start;
            if (days[0].End < before) before = days[0].End;
        }
        var most = 1;
        for (var place = 0; byIndex && place < days.Count;)
        {
            var day = days[place];
            if (!day.Indexed || day.Start >= before || day.End <= least)
            {
                place++;
                continue;
            }
            if (day.End < before) yield return (day.End, before, false);
            var end = day.End < before ? day.End : before;
            var start = day.Start;
            for (var count = 1; ++place < days.Count && count < most && days[place] is { Indexed: true } next && next.End == start && next.End > least; count++)
                start = next.Start;
            most *= 2;
            before = start > least ? start : least;
            yield return (before, end, true);
        }
        if (least < before) yield return (least, before, false);
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

    /// <summary>A table of lines, with the statements that look through it. A stretch is so many rows.</summary>
    /// <param name="IsOfDays">It has nothing but days that are over.</param>
    private sealed record Layer(
        string Table,
        string StretchStart,
        string StretchMatches,
        string IndexedMatches,
        int LeastStretch,
        int FirstStretch,
        int LongestStretch,
        bool IsOfDays
    );

    private sealed record Day(DateTime Start, bool Indexed)
    {
        public DateTime End => Start.AddDays(1);
    }

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
        private readonly List<Match> found = [];
        private readonly List<Match> lines = [];
        private readonly long began = Stopwatch.GetTimestamp();
        private TimeSpan scanned;
        private bool partial;

        public TimeSpan Rest => most - Stopwatch.GetElapsedTime(began);

        public bool IsFull => lines.Count >= limit;

        /// <summary>Lines of the present layer.</summary>
        public int Count => lines.Count;

        public Found Found => new([.. found.Concat(lines).OrderByDescending(line => line.ExecTime).ThenByDescending(line => line.LogId).Take(limit)], partial);

        /// <summary>Begins with the next layer; returns the time of the oldest line where as many are found as are wanted.</summary>
        public DateTime? Begin()
        {
            var oldest = IsFull ? lines[^1].ExecTime : (DateTime?)null;
            found.AddRange(lines);
            lines.Clear();
            scanned = default;
            return oldest;
        }

        /// <summary>Whether the time is over; what was not looked at is then told.</summary>
        public bool GivesUp() => partial |= Rest <= TimeSpan.Zero;

        /// <summary>The days of a layer, newest first.</summary>
        public async Task<List<Day>> Days(Layer layer)
        {
            var days = await connection.QueryAsync<(string Day, bool Indexed)>(
                new CommandDefinition(DaysSql, new { layer.Table }, transaction, cancellationToken: cancellation)
            );
            const DateTimeStyles Utc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
            return [.. days.Select(day => new Day(DateTime.ParseExact(day.Day, "yyyyMMdd", CultureInfo.InvariantCulture, Utc), day.Indexed))];
        }

        /// <summary>Looks through the newest rows before a time; returns the time before which it has not looked, null when there is nothing.</summary>
        public async Task<DateTime?> Stretch(Layer layer, DateTime from, DateTime before, int count)
        {
            var start = await connection.QuerySingleOrDefaultAsync<DateTime?>(
                new CommandDefinition(
                    layer.StretchStart,
                    new
                    {
                        From = from,
                        FromDay = from.Date,
                        Before = before,
                        Count = count,
                    },
                    transaction,
                    cancellationToken: cancellation
                )
            );
            lines.AddRange(await connection.QueryAsync<Match>(Command(layer.StretchMatches, start ?? from, before)));
            return start;
        }

        /// <summary>Stretch by stretch, for half of the time in all: what is left unseen keeps nobody from the days that have an index.</summary>
        public async Task Stretches(Layer layer, DateTime from, DateTime before)
        {
            var count = layer.FirstStretch;
            DateTime? rest = before;
            while (rest is not null && !IsFull)
            {
                if (count < layer.LeastStretch)
                {
                    partial = true;
                    return;
                }

                var start = Stopwatch.GetTimestamp();
                rest = await Stretch(layer, from, rest.Value, count);
                var took = Stopwatch.GetElapsedTime(start);
                scanned += took;
                // As many rows as the time is expected to suffice for: on a busy machine a stretch of full length takes far longer than the whole search may.
                count = (int)Math.Min(Math.Min(count * 2, layer.LongestStretch), count * ((most / 2) - scanned) / took);
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
                var matches = (await connection.QueryAsync<Match>(Command(sql, from, before))).AsList();
                await EndTimeLimit();
                lines.AddRange(matches);
                return true;
            }
            catch (PostgresException error) when (IsTimeOver(error))
            {
                await EndTimeLimit();
                DatabaseErrors.ForgetPrepared(connection);
                partial |= wanted.ListId is not null;
                return false;
            }
        }

        /// <summary>
        /// Ends the time of a query with its settings. On a busy machine it may be over while this very statement waits for a processor; then it is sent again.
        /// </summary>
        private async Task EndTimeLimit()
        {
            while (true)
            {
                try
                {
                    await transaction.RollbackAsync("search", cancellation);
                    return;
                }
                catch (PostgresException error) when (IsTimeOver(error))
                {
                    continue;
                }
            }
        }

        private bool IsTimeOver(PostgresException error) => error.SqlState == PostgresErrorCodes.QueryCanceled && !cancellation.IsCancellationRequested;

        private CommandDefinition Command(string sql, DateTime from, DateTime before) =>
            new(
                sql,
                new
                {
                    Pattern = "%" + Paging.PrefixPattern(wanted.Text),
                    SealedPattern = "%" + Paging.PrefixPattern(SealedLog.Escape(wanted.Text)),
                    From = from,
                    // A sealed row lies in one day.
                    FromDay = from.Date,
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
