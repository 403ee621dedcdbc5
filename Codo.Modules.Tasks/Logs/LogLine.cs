using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Data;

namespace Codo.Modules.Tasks.Logs;

/// <summary>A log's name as clients ask for it, and what it says.</summary>
/// <param name="Text"><c>{list_id}_{group}_{level}_{host}</c>.</param>
/// <param name="ListId">0 where the text has another form; only superusers see such a log.</param>
internal sealed record LogKey(string Text, long ListId, int Level)
{
    // An index entry has its limit, and no host name comes near this.
    private const int MaxLength = 400;

    public static LogKey Of(OutputPlace place) => new(place.LogKey, place.ListId, place.Level);

    public static LogKey Parse(string text)
    {
        text = OutsideText.Head(text, MaxLength);
        var parts = text.Split('_', 4);
        return parts.Length == 4 && Number(parts[0]) is { } list && Number(parts[1]) is not null && Number(parts[2]) is { } level and <= int.MaxValue
            ? new LogKey(text, list, (int)level)
            : new LogKey(text, 0, 0);
    }

    private static long? Number(string text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
}

/// <summary>One line on its way into the table.</summary>
/// <param name="SchedId">0 for a line of another publisher.</param>
/// <param name="Line">From 1 within the attempt.</param>
/// <param name="Continues">The next line is its continuation.</param>
/// <param name="Time">UTC, whole milliseconds: written again, the line must have the same.</param>
internal sealed record LogLine(LogKey Key, long SchedId, int Attempt, long Line, bool Continues, string Text, DateTime Time)
{
    /// <summary>What it costs to hold, in bytes.</summary>
    public int Weight => (Text.Length * 2) + 200;
}
