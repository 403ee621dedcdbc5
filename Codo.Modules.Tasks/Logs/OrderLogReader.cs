using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>A line of an order's log: which host and step printed it.</summary>
internal sealed record OrderLine(
    long LogId,
    string LogKey,
    long SchedId,
    int Attempt,
    long Line,
    bool Continues,
    int TaskGroup,
    int TaskLevel,
    string TaskName,
    string Host,
    string LogInfo,
    DateTime ExecTime,
    DateTime LogTime
);

/// <summary>
/// Reads the lines of all attempts of one order for one follower. Within an attempt they come in order and without a gap, but for lines that are lost; attempts
/// that print at the same time are merged by time. The follower says which attempts have changed, and the reader goes on from the line that it read
/// last of each.
/// </summary>
internal sealed class OrderLogReader(NpgsqlDataSource source, long listId)
{
    private const int AttemptsOfOneRead = 100, LinesOfAnAttempt = 200, MostBytes = 512 << 10;

    /// <summary>Writing a line takes no longer than this from its <c>log_time</c> to its commit.</summary>
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(30);

    private const string NowSql = """
        SELECT clock_timestamp()
        """;

    private const string AttemptsSql = """
        SELECT t.sched_id, t.attempt, t.exec_time AS since, s.task_group, s.task_level, s.task_name, l.host,
            a.ended_at IS NOT NULL AND a.log_whole AS is_whole
        FROM (SELECT sched_id, attempt, exec_time FROM tasks.log_line WHERE list_id = @ListId AND line = 1 AND sched_id > 0
              UNION ALL
              SELECT sched_id, attempt, first_time FROM tasks.sealed_log WHERE list_id = @ListId AND first_line = 1 AND sched_id > 0) t
        JOIN tasks.scheduler_task_info s USING (sched_id) JOIN tasks.lane l USING (lane_id)
        LEFT JOIN tasks.attempt a ON a.sched_id = t.sched_id AND a.attempt = t.attempt
        WHERE (CAST(@Scheds AS bigint[]) IS NULL OR t.sched_id = ANY(@Scheds))
          AND (CAST(@From AS timestamptz) IS NULL OR a.ended_at IS NULL OR a.ended_at > @From OR NOT a.log_whole OR a.whole_at > @From)
        ORDER BY t.exec_time, t.sched_id, t.attempt
        """;

    // A line is written soon after it was read, or late by whoever recovers it: log_time says when. What stands behind a gap was not sent: it waited for the
    // lines that were missing.
    private const string SeenRanges = """
        SELECT line AS first, line AS last, log_time > @From AS is_new FROM tasks.log_line
        WHERE sched_id = p.sched_id AND attempt = p.attempt AND exec_time >= p.since AND exec_time >= @Least
        UNION ALL
        SELECT first_line, last_line, false FROM tasks.sealed_log
        WHERE sched_id = p.sched_id AND attempt = p.attempt AND since >= @Least AND written <= @From AND line_steps IS NULL
        UNION ALL
        SELECT line, line, log_time > @From FROM tasks.sealed_line
        WHERE sched_id = p.sched_id AND attempt = p.attempt AND since >= @Least AND (written > @From OR has_gaps)
        """;

    // A gap is looked for where there is one: as many lines as the last one's number have none.
    private const string SeenSql = $"""
        SELECT p.sched_id, p.attempt, (
            SELECT LEAST(min(first) FILTER (WHERE is_new) - 1, max(last), CASE WHEN sum(last - first + 1) <> max(last) THEN (
                SELECT min(upto)
                FROM (SELECT max(last) OVER (ORDER BY first ROWS UNBOUNDED PRECEDING) AS upto, lead(first) OVER (ORDER BY first) AS next
                      FROM ({SeenRanges}) each_of) gaps
                WHERE next > upto + 1) END)
            FROM ({SeenRanges}) there) AS line
        FROM unnest(CAST(@Scheds AS bigint[]), CAST(@Attempts AS int[]), CAST(@Sinces AS timestamptz[])) AS p(sched_id, attempt, since)
        """;

    private const string Columns = "log_id, log_key, sched_id, attempt, line, continues, log_info, exec_time, log_time";

    // Within an attempt numbers have no gap but those of lines that are lost, so that a range holds as many lines as are asked for.
    private const string LinesSql = $"""
        SELECT {Columns}
        FROM (SELECT t.*, sum(octet_length(t.log_info)) OVER (ORDER BY t.exec_time, t.sched_id, t.attempt, t.line) - octet_length(t.log_info) AS before
              FROM unnest(CAST(@Scheds AS bigint[]), CAST(@Attempts AS int[]), CAST(@Afters AS bigint[]), CAST(@Sinces AS timestamptz[])) AS p(sched_id,
                  attempt, after, since)
              CROSS JOIN LATERAL (
                  SELECT {Columns} FROM tasks.log_line
                  WHERE sched_id = p.sched_id AND attempt = p.attempt AND line > p.after AND line <= p.after + @Limit AND exec_time >= p.since
                      AND exec_time >= @Least
                  UNION ALL
                  SELECT {Columns} FROM tasks.sealed_line
                  WHERE sched_id = p.sched_id AND attempt = p.attempt AND last_line > p.after AND first_line <= p.after + @Limit AND since >= @Least
                      AND line > p.after AND line <= p.after + @Limit AND exec_time >= p.since) t) sized
        WHERE before < @Bytes ORDER BY exec_time, sched_id, attempt, line
        """;

    private readonly Dictionary<(long SchedId, int Attempt), Position> known = [];
    private readonly List<Position> due = [];

    /// <summary>The lines that were passed over because nobody has them; the first of them, where there are many.</summary>
    public List<LostLines> Lost { get; } = [];

    /// <summary>Whether everything is read that the follower said there is.</summary>
    public bool IsDone => due.Count == 0;

    /// <summary>Whether lines wait for others before them. That nobody brings these any more is announced to no one.</summary>
    public bool Waits => known.Values.Any(place => place.Waits);

    /// <summary>PostgreSQL's clock: what is written by now is read once <see cref="IsDone"/>.</summary>
    public async Task<DateTime> Now(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return await connection.QuerySingleAsync<DateTime>(new CommandDefinition(NowSql, cancellationToken: cancellation));
    }

    /// <summary>Takes all attempts up.</summary>
    /// <param name="from">What was written until then was sent before, but for a margin that is sent twice; null begins with the first line.</param>
    public async Task TakeAll(DateTime? from, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var since = from - Margin;
        await Meet(connection, null, since, cancellation);
        if (since is null) return;
        var places = due.ToList();
        if (places.Count == 0) return;
        var asked = new
        {
            From = since,
            Least = Least(places),
            Scheds = Column(places, place => place.SchedId),
            Attempts = Column(places, place => place.Attempt),
            Sinces = Column(places, place => place.Since),
        };
        foreach (var seen in await connection.QueryAsync<Seen>(new CommandDefinition(SeenSql, asked, cancellationToken: cancellation)))
            if (known.TryGetValue((seen.SchedId, seen.Attempt), out var place) && place.Line == 0)
                place.Line = seen.Line ?? 0;
    }

    /// <summary>Takes up those that have changed.</summary>
    public async Task Take(IReadOnlyCollection<(long SchedId, int Attempt)> changed, CancellationToken cancellation)
    {
        var strangers = changed.Where(one => !known.ContainsKey(one)).Select(one => one.SchedId).Distinct().ToArray();
        foreach (var one in changed)
            if (known.TryGetValue(one, out var place))
                Queue(place);
        if (strangers.Length == 0) return;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await Meet(connection, strangers, null, cancellation);
    }

    /// <summary>The next lines.</summary>
    public async Task<List<OrderLine>> Next(CancellationToken cancellation)
    {
        var places = due.Take(AttemptsOfOneRead).ToList();
        if (places.Count == 0) return [];
        var asked = new
        {
            Scheds = Column(places, place => place.SchedId),
            Attempts = Column(places, place => place.Attempt),
            Afters = Column(places, place => place.Line),
            Sinces = Column(places, place => place.Since),
            Least = Least(places),
            Limit = LinesOfAnAttempt,
            Bytes = (long)MostBytes,
        };
        List<Row> rows;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            rows = (await connection.QueryAsync<Row>(new CommandDefinition(LinesSql, asked, cancellationToken: cancellation))).AsList();
        var lines = new List<OrderLine>();
        foreach (var row in rows)
        {
            var place = known[(row.SchedId, row.Attempt)];
            // What follows a line that is missing waits for it; its writing is announced.
            if (row.Line != place.Line + 1)
            {
                place.Waits = true;
                continue;
            }
            (place.Line, place.Waits) = (row.Line, false);
            lines.Add(
                new OrderLine(
                    row.LogId,
                    row.LogKey,
                    row.SchedId,
                    row.Attempt,
                    row.Line,
                    row.Continues,
                    place.TaskGroup,
                    place.TaskLevel,
                    place.TaskName,
                    place.Host,
                    row.LogInfo,
                    row.ExecTime,
                    row.LogTime
                )
            );
        }
        var whole = rows.Sum(row => (long)row.LogInfo.Length) * 4 < MostBytes;
        var read = rows.CountBy(row => (row.SchedId, row.Attempt)).ToDictionary();
        var sent = lines.CountBy(line => (line.SchedId, line.Attempt)).ToDictionary();
        // An attempt is done with when a read that nothing cut gave less of it than was asked for, or nothing that may be sent.
        foreach (var place in places)
            place.IsDue = sent.GetValueOrDefault(place.Key) == 0 ? !whole && !read.ContainsKey(place.Key) : !whole || read[place.Key] == LinesOfAnAttempt;
        // An attempt that is not whole is asked only if this read gave nothing: its next line may lie farther behind a gap than one read reaches.
        var still = places.Where(place => !place.IsDue && (place.IsWhole || !read.ContainsKey(place.Key))).ToList();
        if (still.Count > 0) await PassLost(still, cancellation);
        due.RemoveAll(place => !place.IsDue);
        return lines;
    }

    // Lines behind those that nobody brings any more are read on from there; behind others they wait.
    private async Task PassLost(List<Position> places, CancellationToken cancellation)
    {
        var asked = new
        {
            Scheds = Column(places, place => place.SchedId),
            Attempts = Column(places, place => place.Attempt),
            Afters = Column(places, place => place.Line),
            Sinces = Column(places, place => place.Since),
            Least = Least(places),
            Before = (DateTime?)null,
        };
        await using var connection = await source.OpenConnectionAsync(cancellation);
        foreach (var next in await connection.QueryAsync<Seen>(new CommandDefinition(SealedLog.NextSql, asked, cancellationToken: cancellation)))
        {
            if (next.Line is not { } line) continue;
            var place = known[(next.SchedId, next.Attempt)];
            place.Waits = !place.IsWhole;
            if (place.Waits) continue;
            if (line > place.Line + 1 && Lost.Count <= LostLines.MostNamed) Lost.Add(new LostLines(place.Attempt, place.Line + 1, line - 1, place.Host));
            (place.Line, place.IsDue) = (line - 1, true);
        }
    }

    private async Task Meet(NpgsqlConnection connection, long[]? scheds, DateTime? from, CancellationToken cancellation)
    {
        foreach (
            var place in await connection.QueryAsync<Position>(
                new CommandDefinition(
                    AttemptsSql,
                    new
                    {
                        ListId = listId,
                        Scheds = scheds,
                        From = from,
                    },
                    cancellationToken: cancellation
                )
            )
        )
        {
            known.TryAdd(place.Key, place);
            known[place.Key].IsWhole = place.IsWhole;
            Queue(known[place.Key]);
        }
    }

    private void Queue(Position place)
    {
        if (place.IsDue) return;
        place.IsDue = true;
        due.Add(place);
    }

    // No day before it is looked at; a sealed row goes by its earliest line.
    private static DateTime Least(List<Position> places) => places.Min(place => place.Since).AddDays(-1);

    private static T[] Column<T>(List<Position> places, Func<Position, T> value) => [.. places.Select(value)];

    private sealed record Row(
        long LogId,
        string LogKey,
        long SchedId,
        int Attempt,
        long Line,
        bool Continues,
        string LogInfo,
        DateTime ExecTime,
        DateTime LogTime
    );

    private sealed record Seen(long SchedId, int Attempt, long? Line);

    /// <summary>How far an attempt was read. No record: two are never equal.</summary>
    private sealed class Position
    {
        public long SchedId { get; init; }

        public int Attempt { get; init; }

        public DateTime Since { get; init; }

        public int TaskGroup { get; init; }

        public int TaskLevel { get; init; }

        public string TaskName { get; init; } = "";

        public string Host { get; init; } = "";

        /// <summary>It has ended, and nobody has more of its lines than the database.</summary>
        public bool IsWhole { get; set; }

        /// <summary>The last line that was read.</summary>
        public long Line { get; set; }

        /// <summary>Lines of it wait for one before them.</summary>
        public bool Waits { get; set; }

        /// <summary>There may be more of it.</summary>
        public bool IsDue { get; set; }

        public (long SchedId, int Attempt) Key => (SchedId, Attempt);
    }
}
