using Codo.Modules.Tasks.Execution;
using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Lines of an attempt that nobody has: its log is as whole as it gets, and readers go on behind them.</summary>
/// <param name="Host">Where a reader has several; else null.</param>
internal sealed record LostLines(int Attempt, long First, long Last, string? Host = null)
{
    /// <summary>How many ranges are named.</summary>
    public const int MostNamed = 5;

    public long Count => Last - First + 1;

    /// <summary>Those between the lines of a part.</summary>
    /// <param name="after">What the part follows; null where its first line may have others before it.</param>
    public static List<LostLines> Between(IReadOnlyList<LogRow> rows, LogCursor? after)
    {
        var lost = new List<LostLines>();
        for (var place = 0; place < rows.Count; place++)
        {
            var row = rows[place];
            // Other publishers' numbers have gaps.
            if (row.SchedId == 0) continue;
            var had = (place > 0 ? rows[place - 1].Cursor : after) is { } before ? LineOf(row, before) : row.Line - 1;
            if (row.Line > had + 1) lost.Add(new LostLines(row.Attempt, had + 1, row.Line - 1));
        }
        return lost;
    }

    /// <summary>What a reader is told of them, and of a node that is away and has more; empty where nothing is missing.</summary>
    public static Text Words(IReadOnlyList<LostLines> lost, LaggingNode? away)
    {
        var missing = away?.Missing ?? Text.Same("");
        if (lost.Count == 0) return missing;
        var words = Words(lost);
        return missing.Zh.Length == 0 ? words : new Text($"{words.Zh}；{missing.Zh}", $"{words.En}; {missing.En}");
    }

    /// <summary>The same as a line of the log; null where nothing is missing.</summary>
    public static string? Line(IReadOnlyList<LostLines> lost, LaggingNode? away) =>
        Words(lost, away) is { Zh.Length: > 0 } words ? $"[Codo]: {words.Side()}" : null;

    private static Text Words(IReadOnlyList<LostLines> lost)
    {
        var named = lost.Take(MostNamed).ToList();
        var more = lost.Count > MostNamed;
        return new Text(
            "输出有缺失，不会再补上：" + string.Join('；', named.Select(one => one.Zh)) + (more ? " …" : ""),
            "Output is lost for good: " + string.Join("; ", named.Select(one => one.En)) + (more ? " …" : "")
        );
    }

    private string Zh =>
        (Host is null ? "" : $"{Host} ") + $"第 {Attempt} 次执行的第 " + (First == Last ? $"{First} 行" : $"{First}–{Last} 行");

    private string En =>
        (First == Last ? $"line {First}" : $"lines {First} to {Last}") + $" of attempt {Attempt}" + (Host is null ? "" : $" on {Host}");

    // The line of the same attempt that comes before; 0 where the row is of another.
    private static long LineOf(LogRow row, LogCursor before) =>
        before.Attempt == row.Attempt && (before.SchedId is null || before.SchedId == row.SchedId) ? before.Line : 0;
}
