namespace Codo.Platform.Ui;

/// <summary>A line of a text against an older one.</summary>
/// <param name="Sign"><c>+</c> for one that is new, <c>-</c> for one that is gone, a blank for one that both have.</param>
internal readonly record struct LineDifference(char Sign, string Line)
{
    // Lines of the one times lines of the other: past that it is all gone and all new.
    private const int MostCells = 1_000_000;

    /// <summary>The lines of both in order, with what is gone before what is new in its place.</summary>
    /// <param name="old">Null where there was no text.</param>
    public static List<LineDifference> Between(string? old, string? now)
    {
        var (before, after) = (Lines(old), Lines(now));
        var (head, tail) = (0, 0);
        while (head < before.Length && head < after.Length && before[head] == after[head]) head++;
        while (tail < before.Length - head && tail < after.Length - head && before[^(tail + 1)] == after[^(tail + 1)]) tail++;
        return
        [
            .. before[..head].Select(line => new LineDifference(' ', line)),
            .. Middle(before[head..(before.Length - tail)], after[head..(after.Length - tail)]),
            .. before[(before.Length - tail)..].Select(line => new LineDifference(' ', line)),
        ];
    }

    private static string[] Lines(string? text) => text is null ? [] : text.Split('\n').Select(line => line.TrimEnd('\r')).ToArray();

    // The longest common subsequence, counted from the end.
    private static IEnumerable<LineDifference> Middle(string[] before, string[] after)
    {
        if ((long)before.Length * after.Length > MostCells)
            return [.. before.Select(line => new LineDifference('-', line)), .. after.Select(line => new LineDifference('+', line))];
        var common = new int[before.Length + 1, after.Length + 1];
        for (var i = before.Length - 1; i >= 0; i--)
            for (var j = after.Length - 1; j >= 0; j--)
                common[i, j] = before[i] == after[j] ? common[i + 1, j + 1] + 1 : Math.Max(common[i + 1, j], common[i, j + 1]);
        var found = new List<LineDifference>();
        for (int i = 0, j = 0; i < before.Length || j < after.Length;)
        {
            if (i < before.Length && j < after.Length && before[i] == after[j])
            {
                found.Add(new LineDifference(' ', before[i++]));
                j++;
            }
            else if (j == after.Length || (i < before.Length && common[i + 1, j] >= common[i, j + 1])) found.Add(new LineDifference('-', before[i++]));
            else found.Add(new LineDifference('+', after[j++]));
        }
        return found;
    }
}
