using System.Globalization;
using Codo.Platform.Http;

namespace Codo.Modules.Tasks.Logs;

/// <summary>The last line that a reader has. Lines of other publishers have step 0 and attempt 0.</summary>
/// <param name="SchedId">Null where the reader did not say which of a log's steps it means.</param>
internal readonly record struct LogCursor(long? SchedId, int Attempt, long Line)
{
    /// <summary>Before the first line.</summary>
    public static readonly LogCursor Start = new(null, 0, 0);

    /// <summary>Reads <c>{attempt}:{line}</c> or <c>{attempt}:{line}:{sched_id}</c>; absent is the start.</summary>
    /// <exception cref="Refusal">Anything else.</exception>
    public static LogCursor Read(string? text)
    {
        if (string.IsNullOrEmpty(text)) return Start;
        var parts = text.Split(':');
        if (parts.Length is 2 or 3 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var attempt)
            && long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var line))
        {
            if (parts.Length == 2) return new LogCursor(null, attempt, line);
            if (long.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out var sched)) return new LogCursor(sched, attempt, line);
        }

        throw Refusal.Invalid("after 必须是 {attempt}:{line}", "after must be {attempt}:{line}");
    }

    /// <summary>As the client gives it back. The step is named where a log has several: two steps of one level on one host share a log.</summary>
    public string Text(bool severalSteps) => severalSteps && SchedId > 0
        ? string.Create(CultureInfo.InvariantCulture, $"{Attempt}:{Line}:{SchedId}")
        : string.Create(CultureInfo.InvariantCulture, $"{Attempt}:{Line}");
}
