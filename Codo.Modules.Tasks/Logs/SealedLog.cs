namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// What reads lines from both of their tables: <c>tasks.log_line</c> has a row a line, <c>tasks.sealed_log</c> one for up to 2,000 lines of an attempt and a
/// day that is over. The view <c>tasks.sealed_line</c> takes sealed rows apart; a statement names columns of the row first, so that only those in question are.
/// </summary>
internal static class SealedLog
{
    /// <summary>Which numbers an attempt has, as ranges: of <c>@SchedId</c> and <c>@Attempt</c>, from <c>@Since</c> on.</summary>
    public const string Ranges = """
        SELECT line AS first, line AS last FROM tasks.log_line WHERE sched_id = @SchedId AND attempt = @Attempt AND exec_time >= @Since
        UNION ALL
        SELECT first_line, last_line FROM tasks.sealed_log
        WHERE sched_id = @SchedId AND attempt = @Attempt AND until >= @Since AND since >= CAST(@Since AS timestamptz) - interval '1 day' AND line_steps IS NULL
        UNION ALL
        SELECT line, line FROM tasks.sealed_line
        WHERE sched_id = @SchedId AND attempt = @Attempt AND until >= @Since AND since >= CAST(@Since AS timestamptz) - interval '1 day' AND has_gaps
        """;

    /// <summary>The text as it stands in the content of a sealed row, where a newline ends a line.</summary>
    public static string Escape(string text) =>
        text.Replace("\u0001", "\u0001e", StringComparison.Ordinal).Replace("\n", "\u0001n", StringComparison.Ordinal);
}
