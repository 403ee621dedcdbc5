namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// What reads lines from both of their tables: <c>tasks.log_line</c> has a row a line, <c>tasks.sealed_log</c> one for up to 2,000 lines of an attempt and a
/// day that is over. The view <c>tasks.sealed_line</c> takes sealed rows apart; a statement names columns of the row first, so that only those in question are.
/// </summary>
internal static class SealedLog
{
    /// <summary>
    /// Which numbers an attempt has, as ranges: of <c>@SchedId</c> and <c>@Attempt</c>, from <c>@Since</c> on; <c>@SinceDay</c> is a day before that, in which
    /// its first sealed row may begin. As a parameter of its own: PostgreSQL leaves out the partitions of other days before it plans only where the bound is a
    /// value, and a plan over 90 of them takes 0.1 s.
    /// </summary>
    public const string Ranges = """
        SELECT line AS first, line AS last FROM tasks.log_line WHERE sched_id = @SchedId AND attempt = @Attempt AND exec_time >= @Since
        UNION ALL
        SELECT first_line, last_line FROM tasks.sealed_log
        WHERE sched_id = @SchedId AND attempt = @Attempt AND until >= @Since AND since >= @SinceDay AND line_steps IS NULL
        UNION ALL
        SELECT line, line FROM tasks.sealed_line
        WHERE sched_id = @SchedId AND attempt = @Attempt AND until >= @Since AND since >= @SinceDay AND has_gaps
        """;

    /// <summary>
    /// The next line of each of <c>@Scheds</c> and <c>@Attempts</c> behind that of <c>@Afters</c>, however far; null where there is none. No day before
    /// <c>@Least</c> is looked at, and of each attempt none before that of <c>@Sinces</c>; nothing from <c>@Before</c> on, null for no such bound.
    /// </summary>
    public const string NextSql = """
        SELECT p.sched_id, p.attempt, (
            SELECT min(line)
            FROM ((SELECT line FROM tasks.log_line
                   WHERE sched_id = p.sched_id AND attempt = p.attempt AND line > p.after AND exec_time >= p.since AND exec_time >= @Least
                       AND (CAST(@Before AS timestamptz) IS NULL OR exec_time < @Before)
                   ORDER BY line LIMIT 1)
                  UNION ALL
                  SELECT line FROM tasks.sealed_line
                  WHERE sched_id = p.sched_id AND attempt = p.attempt AND last_line > p.after AND since >= @Least AND line > p.after AND exec_time >= p.since
                      AND (CAST(@Before AS timestamptz) IS NULL OR since < @Before)
                      AND first_line <= (SELECT min(last_line) FROM tasks.sealed_log
                                         WHERE sched_id = p.sched_id AND attempt = p.attempt AND last_line > p.after AND since >= @Least
                                             AND (CAST(@Before AS timestamptz) IS NULL OR since < @Before))) t) AS line
        FROM unnest(CAST(@Scheds AS bigint[]), CAST(@Attempts AS int[]), CAST(@Afters AS bigint[]), CAST(@Sinces AS timestamptz[])) AS p(sched_id, attempt,
            after, since)
        """;

    /// <summary>The text as it stands in the content of a sealed row, where a newline ends a line.</summary>
    public static string Escape(string text) =>
        text.Replace("\u0001", "\u0001e", StringComparison.Ordinal).Replace("\n", "\u0001n", StringComparison.Ordinal);
}
