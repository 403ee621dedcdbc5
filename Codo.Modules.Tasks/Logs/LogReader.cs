using System.Text;
using System.Text.Json.Serialization;
using Codo.Platform.Cluster;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>One line as clients get it.</summary>
internal sealed record LogRow(
    long LogId,
    string LogKey,
    long SchedId,
    int Attempt,
    long Line,
    bool Continues,
    int TaskLevel,
    string LogInfo,
    DateTime ExecTime,
    DateTime LogTime
)
{
    /// <summary>What it costs to hold, in bytes.</summary>
    [JsonIgnore]
    public int Weight => LogInfo.Length + 100;

    [JsonIgnore]
    public LogCursor Cursor => new(SchedId, Attempt, Line);
}

/// <summary>A part of a log.</summary>
/// <param name="After">The last line of the part; what was asked with when the part is empty.</param>
/// <param name="SeveralSteps">See <see cref="LogCursor.Text"/>.</param>
/// <param name="More">There is more already.</param>
/// <param name="Held">
/// Lines wait for those before them: in the attempt itself, or in a later one. Ask again before long, even if nothing is announced.
/// </param>
internal sealed record LogPart(List<LogRow> Rows, LogCursor After, bool SeveralSteps, bool More, bool Held);

/// <summary>The end of a log.</summary>
/// <param name="Before">Lines before these.</param>
internal sealed record LogEnd(List<LogRow> Rows, long Before, LogCursor After, bool SeveralSteps);

/// <summary>
/// Reads a log in the order that it was written: attempt after attempt, steps that share it by the time of their first lines, then the lines of other
/// publishers. A line that is missing ends what is read, until it is there; so does an attempt whose node is alive and has not written all of it yet. Only
/// what is missing of an attempt that is said to be whole is passed over: nobody brings it (<see cref="LostLines"/>).
/// </summary>
internal sealed class LogReader(NpgsqlDataSource source, StepLogs steps, Node node)
{
    /// <summary>Bytes of one part; a line may go beyond.</summary>
    public const int MostBytes = 512 << 10;

    // Of this node's own attempts its spools say it at once, the table a moment later. A node that is away holds nobody up: it may never come back. Times are
    // those of the nodes' clocks: whatever these say, no attempt of a step comes before the one that it follows.
    private const string AttemptsSql = """
        SELECT begun.sched_id, begun.attempt, min(since) AS since,
            EXISTS (SELECT FROM tasks.attempt a JOIN platform.node n ON n.name = a.node
                    WHERE a.sched_id = begun.sched_id AND a.attempt = begun.attempt AND a.ended_at IS NOT NULL AND NOT a.log_whole AND a.node <> @Here
                        AND n.heartbeat_at >= clock_timestamp() - CAST(@Lease AS interval)) AS is_open,
            EXISTS (SELECT FROM tasks.attempt a
                    WHERE a.sched_id = begun.sched_id AND a.attempt = begun.attempt AND a.ended_at IS NOT NULL AND a.log_whole) AS is_whole
        FROM (SELECT sched_id, attempt, exec_time AS since FROM tasks.log_line WHERE list_id = @ListId AND log_key = @LogKey AND line = 1 AND sched_id > 0
              UNION ALL
              SELECT sched_id, attempt, first_time FROM tasks.sealed_log
              WHERE list_id = @ListId AND log_key = @LogKey AND first_line = 1 AND sched_id > 0) begun
        WHERE (CAST(@SchedId AS bigint) IS NULL OR sched_id = @SchedId) AND (CAST(@Attempt AS int) IS NULL OR attempt = @Attempt)
        GROUP BY begun.sched_id, begun.attempt
        ORDER BY max(min(begun.since)) OVER (PARTITION BY begun.sched_id ORDER BY begun.attempt), begun.attempt, begun.sched_id
        """;

    private const string Columns = "log_id, log_key, sched_id, attempt, line, continues, task_level, log_info, exec_time, log_time";

    // Numbers have no gap but those of lines that are lost, so that a range holds as many lines as are asked for.
    private const string Range = $"""
        SELECT {Columns} FROM tasks.log_line
        WHERE sched_id = @SchedId AND attempt = @Attempt AND line > @After AND line <= @Upto AND exec_time >= @Since
        UNION ALL
        SELECT {Columns} FROM tasks.sealed_line
        WHERE sched_id = @SchedId AND attempt = @Attempt AND last_line > @After AND first_line <= @Upto
            AND since >= @SinceDay AND line > @After AND line <= @Upto AND exec_time >= @Since
        """;

    private const string LinesSql = $"""
        SELECT {Columns}
        FROM (SELECT part.*, sum(octet_length(log_info)) OVER (ORDER BY line) - octet_length(log_info) AS before FROM ({Range}) part) sized
        WHERE before < @Bytes ORDER BY line
        """;

    // Lines of other publishers have gaps: sealed rows are read as far as they make up what is asked for.
    private const string ForeignLinesSql = $"""
        SELECT * FROM (
            (SELECT {Columns} FROM tasks.log_line WHERE sched_id = 0 AND list_id = @ListId AND log_key = @LogKey AND line > @After ORDER BY line LIMIT @Limit)
            UNION ALL
            SELECT {Columns} FROM tasks.sealed_line
            WHERE sched_id = 0 AND list_id = @ListId AND log_key = @LogKey AND last_line > @After AND line > @After AND first_line <= COALESCE(
                (SELECT min(last_line)
                 FROM (SELECT last_line, sum(lines) FILTER (WHERE first_line > @After) OVER (ORDER BY last_line) AS had FROM tasks.sealed_log
                       WHERE sched_id = 0 AND list_id = @ListId AND log_key = @LogKey AND last_line > @After) s
                 WHERE had >= @Limit), 9223372036854775807)) both_tables
        ORDER BY line LIMIT @Limit
        """;

    // The same from the end.
    private const string LastForeignLinesSql = $"""
        SELECT * FROM (
            (SELECT {Columns} FROM tasks.log_line WHERE sched_id = 0 AND list_id = @ListId AND log_key = @LogKey ORDER BY line DESC LIMIT @Limit)
            UNION ALL
            SELECT {Columns} FROM tasks.sealed_line
            WHERE sched_id = 0 AND list_id = @ListId AND log_key = @LogKey AND last_line >= COALESCE(
                (SELECT max(first_line)
                 FROM (SELECT first_line, sum(lines) OVER (ORDER BY first_line DESC) AS had FROM tasks.sealed_log
                       WHERE sched_id = 0 AND list_id = @ListId AND log_key = @LogKey) s
                 WHERE had >= @Limit), 0)) both_tables
        ORDER BY line DESC LIMIT @Limit
        """;

    private const string LastLinesSql = $"""
        SELECT {Columns}
        FROM (SELECT part.*, sum(octet_length(log_info)) OVER (ORDER BY line DESC) - octet_length(log_info) AS behind FROM ({Range}) part) sized
        WHERE behind < @Bytes ORDER BY line
        """;

    private const string LengthSql = $"""
        SELECT lines, CASE WHEN lines = last THEN last ELSE
            (SELECT COALESCE(min(last) FILTER (WHERE next > last + 1), max(last))
             FROM (SELECT max(last) OVER (ORDER BY first ROWS UNBOUNDED PRECEDING) AS last, lead(first) OVER (ORDER BY first) AS next
                   FROM ({SealedLog.Ranges}) there) gaps) END AS head, last
        FROM (SELECT CAST(sum(lines) AS bigint) AS lines, max(last) AS last
              FROM (SELECT count(*) AS lines, max(line) AS last FROM tasks.log_line WHERE sched_id = @SchedId AND attempt = @Attempt AND exec_time >= @Since
                    UNION ALL
                    SELECT sum(lines), max(last_line) FROM tasks.sealed_log
                    WHERE sched_id = @SchedId AND attempt = @Attempt AND until >= @Since
                        AND since >= @SinceDay) both_tables) total
        """;

    // After which line the last ones are so many, of an attempt that has gaps.
    private const string LastSql = $"""
        SELECT CAST(first - 1 + had - @Most AS bigint)
        FROM (SELECT first, sum(last - first + 1) OVER (ORDER BY first DESC) AS had FROM ({SealedLog.Ranges}) there) counted
        WHERE had >= @Most ORDER BY first DESC LIMIT 1
        """;

    private const string ForeignLengthSql = """
        SELECT (SELECT count(*) FROM tasks.log_line WHERE sched_id = 0 AND list_id = @ListId AND log_key = @LogKey)
            + (SELECT COALESCE(sum(lines), 0) FROM tasks.sealed_log WHERE sched_id = 0 AND list_id = @ListId AND log_key = @LogKey)
        """;

    /// <summary>How often the database was asked for a part.</summary>
    public long Reads => Interlocked.Read(ref reads);

    private long reads;

    /// <summary>The lines that follow a cursor.</summary>
    /// <param name="schedId">Only this step's; null for all. The same with <paramref name="attempt"/>.</param>
    public async Task<LogPart> Next(LogKey key, LogCursor after, int limit, CancellationToken cancellation, long? schedId = null, int? attempt = null)
    {
        Interlocked.Increment(ref reads);
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var attempts = await Attempts(connection, key, schedId, attempt, cancellation);
        var several = attempts.DistinctBy(stream => stream.SchedId).Skip(1).Any();
        var rows = new List<LogRow>();
        var bytes = 0;
        foreach (var stream in From(attempts, after))
        {
            var line = stream.Is(after) ? after.Line : 0;
            while (true)
            {
                var most = (long)MostBytes - bytes;
                var part = await Lines(connection, stream, line, line + limit - rows.Count, most, cancellation);
                foreach (var row in part)
                {
                    if (row.Line != line + 1 && !stream.IsWhole) return Part(rows, after, several, more: false, held: true);
                    line = row.Line;
                    rows.Add(row);
                    bytes += row.Weight;
                }

                if (rows.Count >= limit || bytes >= MostBytes) return Part(rows, after, several, more: true);
                // The sum that cuts a part counts in other bytes than this one. What stays below its limit was not cut: the stream ends here.
                if (
                    part.Count > 0
                    && part.Sum(row => (long)Encoding.UTF8.GetByteCount(row.LogInfo)) >= most
                    && await Lines(connection, stream, line, line + 1, 1, cancellation) is [var cut]
                    && cut.Line == line + 1
                )
                    return Part(rows, after, several, more: true);
                // An attempt that is not whole is asked only if this read gave nothing: its next line may lie farther behind a gap than one read reaches.
                if ((!stream.IsWhole && part.Count > 0) || await NextLine(connection, stream, line, cancellation) is not { } next) break;
                if (!stream.IsWhole) return Part(rows, after, several, more: false, held: true);
                line = next - 1;
            }

            if (attempt is null && IsHeld(attempts, stream)) return Part(rows, after, several, more: false, held: true);
        }

        if (schedId is null && attempt is null)
            rows.AddRange(
                await Query(
                    connection,
                    ForeignLinesSql,
                    new
                    {
                        key.ListId,
                        LogKey = key.Text,
                        After = after is { SchedId: null or 0, Attempt: 0 } ? after.Line : 0,
                        Limit = limit - rows.Count,
                    },
                    cancellation
                )
            );
        return Part(rows, after, several, rows.Count >= limit);
    }

    /// <summary>The last lines that can be read without passing one that may still come.</summary>
    /// <param name="schedId">Only this step's; null for all. The same with <paramref name="attempt"/>.</param>
    public async Task<LogEnd> End(LogKey key, int limit, CancellationToken cancellation, long? schedId = null, int? attempt = null)
    {
        Interlocked.Increment(ref reads);
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var attempts = await Attempts(connection, key, schedId, attempt, cancellation);
        var lengths = new List<(AttemptLog Stream, long Lines, long Upto)>();
        var whole = true;
        foreach (var stream in attempts)
        {
            var length = await connection.QuerySingleAsync<Length>(new CommandDefinition(LengthSql, stream, cancellationToken: cancellation));
            var upto = stream.IsWhole ? length.Last : length.Head;
            lengths.Add((stream, Math.Min(length.Lines, upto), upto));
            whole = upto == length.Last && (attempt is not null || !IsHeld(attempts, stream));
            if (!whole) break;
        }

        var foreign = whole && schedId is null && attempt is null
            ? await connection.ExecuteScalarAsync<long>(
                new CommandDefinition(ForeignLengthSql, new { key.ListId, LogKey = key.Text }, cancellationToken: cancellation)
            )
            : 0;
        var rows =
            foreign == 0
                ? []
                : await Query(
                    connection,
                    LastForeignLinesSql,
                    new
                    {
                        key.ListId,
                        LogKey = key.Text,
                        Limit = limit,
                    },
                    cancellation
                );
        rows.Reverse();
        foreach (var (stream, lines, upto) in Enumerable.Reverse(lengths))
        {
            if (rows.Count >= limit || rows.Sum(row => row.Weight) >= MostBytes)
                break;
            var most = Math.Min(lines, limit - rows.Count);
            var part = await Query(
                connection,
                LastLinesSql,
                new
                {
                    stream.SchedId,
                    stream.Attempt,
                    After = lines == upto ? upto - most : await Last(connection, stream, most, cancellation),
                    Upto = upto,
                    stream.Since,
                    stream.SinceDay,
                    Bytes = (long)MostBytes,
                },
                cancellation
            );
            rows.InsertRange(0, part);
            // Cut by bytes, of which a letter may have several: what precedes it is not there.
            if (part.Count < most) break;
        }

        var after = rows.Count == 0 ? LogCursor.Start : rows[^1].Cursor;
        return new LogEnd(rows, lengths.Sum(length => length.Lines) + foreign - rows.Count, after, attempts.DistinctBy(stream => stream.SchedId).Skip(1).Any());
    }

    private async Task<List<AttemptLog>> Attempts(
        NpgsqlConnection connection,
        LogKey key,
        long? schedId,
        int? attempt,
        CancellationToken cancellation
    )
    {
        var attempts = await connection.QueryAsync<AttemptLog>(
            new CommandDefinition(
                AttemptsSql,
                new
                {
                    key.ListId,
                    LogKey = key.Text,
                    SchedId = schedId,
                    Attempt = attempt,
                    Here = node.Name,
                    Node.Lease,
                },
                cancellationToken: cancellation
            )
        );
        return [.. attempts.Select(one => steps.IsCatchingUp(one.SchedId, one.Attempt) ? one with { IsOpen = true, IsWhole = false } : one)];
    }

    // Whoever went on to the next attempt would never get the lines that this one still gets.
    private static bool IsHeld(List<AttemptLog> attempts, AttemptLog stream) => stream.IsOpen && stream != attempts[^1];

    private static async Task<List<LogRow>> Query(NpgsqlConnection connection, string sql, object parameters, CancellationToken cancellation) =>
        (await connection.QueryAsync<LogRow>(new CommandDefinition(sql, parameters, cancellationToken: cancellation))).AsList();

    private static Task<List<LogRow>> Lines(
        NpgsqlConnection connection,
        AttemptLog stream,
        long after,
        long upto,
        long bytes,
        CancellationToken cancellation
    ) =>
        Query(
            connection,
            LinesSql,
            new
            {
                stream.SchedId,
                stream.Attempt,
                After = after,
                Upto = upto,
                stream.Since,
                stream.SinceDay,
                Bytes = bytes,
            },
            cancellation
        );

    /// <summary>The line behind those that are lost; null where none follows.</summary>
    private static async Task<long?> NextLine(NpgsqlConnection connection, AttemptLog stream, long after, CancellationToken cancellation)
    {
        var asked = new
        {
            Scheds = new[] { stream.SchedId },
            Attempts = new[] { stream.Attempt },
            Afters = new[] { after },
            Sinces = new[] { stream.Since },
            Least = stream.SinceDay,
            Before = (DateTime?)null,
        };
        var found = await connection.QuerySingleAsync<(long SchedId, int Attempt, long? Line)>(
            new CommandDefinition(SealedLog.NextSql, asked, cancellationToken: cancellation)
        );
        return found.Line;
    }

    private static Task<long> Last(NpgsqlConnection connection, AttemptLog stream, long most, CancellationToken cancellation)
    {
        var asked = new
        {
            stream.SchedId,
            stream.Attempt,
            stream.Since,
            stream.SinceDay,
            Most = most,
        };
        return connection.ExecuteScalarAsync<long>(new CommandDefinition(LastSql, asked, cancellationToken: cancellation));
    }

    private static IEnumerable<AttemptLog> From(List<AttemptLog> attempts, LogCursor after)
    {
        if (after == LogCursor.Start) return attempts;
        var place = attempts.FindIndex(stream => stream.Is(after));
        // Past the last attempt are the lines of other publishers; an attempt whose first line has not come has nothing to show.
        return place < 0 ? [] : attempts.Skip(place);
    }

    private static LogPart Part(List<LogRow> rows, LogCursor after, bool several, bool more, bool held = false) =>
        new(rows, rows.Count == 0 ? after : rows[^1].Cursor, several, more, held);

    /// <param name="IsOpen">It has ended, and not all of its lines are in the database.</param>
    /// <param name="IsWhole">It has ended, and nobody has more of its lines than the database.</param>
    private sealed record AttemptLog(long SchedId, int Attempt, DateTime Since, bool IsOpen, bool IsWhole)
    {
        // A sealed row of its first lines may begin up to a day before.
        public DateTime SinceDay => Since.AddDays(-1);

        public bool Is(LogCursor cursor) => cursor.Attempt == Attempt && (cursor.SchedId is null || cursor.SchedId == SchedId);
    }

    /// <param name="Head">The last line without a gap before it.</param>
    private sealed record Length(long Lines, long Head, long Last);
}
