using Codo.Platform.Data;

namespace Codo.Modules.Tasks.Logs;

/// <summary>One line of a difference.</summary>
/// <param name="Kind"><c>same</c>, <c>removed</c> (only the first text has it), <c>added</c> (only the second) or <c>skipped</c>, lines that both have.</param>
/// <param name="Before">Its number in the first text, from 1; null where that has no such line.</param>
/// <param name="After">The same in the second text.</param>
/// <param name="Text">The line; of <c>skipped</c> how many lines.</param>
internal sealed record DifferenceLine(string Kind, int? Before, int? After, string Text);

/// <summary>What makes one list of lines another, after Myers (1986), with a bound on time, memory and length.</summary>
internal static class LineDifference
{
    /// <summary>Lines of a difference, and characters of each.</summary>
    public const int MostLines = 300, MostText = 1000;

    // Changes that are looked for one by one; where there are more, the middle counts as another text. The work is lines × changes.
    private const int MostChanges = 300;

    private const int Context = 2;

    /// <summary>The changed lines with two lines around them. <c>Partial</c> says that it was cut.</summary>
    public static (IReadOnlyList<DifferenceLine> Lines, bool Partial) Between(IReadOnlyList<string> before, IReadOnlyList<string> after)
    {
        var edits = Edits(before, after);
        var shown = new bool[edits.Count];
        for (var place = 0; place < edits.Count; place++)
            if (edits[place].Kind != "same")
                for (var near = Math.Max(0, place - Context); near <= Math.Min(edits.Count - 1, place + Context); near++) shown[near] = true;
        var lines = new List<DifferenceLine>();
        for (var place = 0; place < edits.Count; place++)
        {
            if (lines.Count >= MostLines) return (lines, true);
            if (shown[place])
            {
                var (kind, old, own) = edits[place];
                lines.Add(new DifferenceLine(kind, old + 1, own + 1, Cut(old is { } line ? before[line] : after[own!.Value])));
                continue;
            }
            var from = place;
            while (place + 1 < edits.Count && !shown[place + 1]) place++;
            lines.Add(new DifferenceLine("skipped", null, null, (place - from + 1).ToString(System.Globalization.CultureInfo.InvariantCulture)));
        }
        return (lines, false);
    }

    private static List<(string Kind, int? Before, int? After)> Edits(IReadOnlyList<string> before, IReadOnlyList<string> after)
    {
        var edits = new List<(string, int?, int?)>();
        var (head, tail) = (0, 0);
        while (head < before.Count && head < after.Count && before[head] == after[head]) head++;
        while (tail < before.Count - head && tail < after.Count - head && before[before.Count - 1 - tail] == after[after.Count - 1 - tail]) tail++;
        for (var line = 0; line < head; line++) edits.Add(("same", line, line));
        edits.AddRange(Middle(before, after, head, before.Count - head - tail, after.Count - head - tail));
        for (var line = tail; line > 0; line--) edits.Add(("same", before.Count - line, after.Count - line));
        return edits;
    }

    // The furthest place on each diagonal, change by change; walked back, the places are the shortest way from one text to the other.
    private static List<(string Kind, int? Before, int? After)> Middle(IReadOnlyList<string> before, IReadOnlyList<string> after, int head, int old, int own)
    {
        var steps = new List<int[]>();
        var most = Math.Min(old + own, MostChanges);
        var furthest = new int[(2 * most) + 3];
        var origin = most + 1;
        for (var changes = 0; changes <= most; changes++)
        {
            steps.Add((int[])furthest.Clone());
            for (var diagonal = -changes; diagonal <= changes; diagonal += 2)
            {
                var isDown = diagonal == -changes || (diagonal != changes && furthest[origin + diagonal - 1] < furthest[origin + diagonal + 1]);
                var x = isDown ? furthest[origin + diagonal + 1] : furthest[origin + diagonal - 1] + 1;
                var y = x - diagonal;
                while (x < old && y < own && before[head + x] == after[head + y]) (x, y) = (x + 1, y + 1);
                furthest[origin + diagonal] = x;
                if (x >= old && y >= own) return Back(steps, origin, head, old, own);
            }
        }
        return
        [
            .. Enumerable.Range(head, old).Select(line => ("removed", (int?)line, (int?)null)),
            .. Enumerable.Range(head, own).Select(line => ("added", (int?)null, (int?)line)),
        ];
    }

    private static List<(string Kind, int? Before, int? After)> Back(List<int[]> steps, int origin, int head, int old, int own)
    {
        var edits = new List<(string, int?, int?)>();
        var (x, y) = (old, own);
        for (var changes = steps.Count - 1; changes >= 0; changes--)
        {
            var furthest = steps[changes];
            var diagonal = x - y;
            var isDown = diagonal == -changes || (diagonal != changes && furthest[origin + diagonal - 1] < furthest[origin + diagonal + 1]);
            var from = isDown ? diagonal + 1 : diagonal - 1;
            var (fromX, fromY) = (furthest[origin + from], furthest[origin + from] - from);
            while (x > fromX && y > fromY && x > 0)
            {
                (x, y) = (x - 1, y - 1);
                edits.Add(("same", head + x, head + y));
            }
            if (changes > 0) edits.Add(isDown ? ("added", null, head + fromY) : ("removed", head + fromX, null));
            (x, y) = (fromX, fromY);
        }
        edits.Reverse();
        return edits;
    }

    private static string Cut(string text) => OutsideText.Cut(text, MostText);
}
