namespace Codo.Host.Client;

/// <summary>A column of a table.</summary>
/// <param name="Wide">It is shown with <c>-o wide</c> alone.</param>
/// <param name="Shrinks">It gives way where the terminal is narrow.</param>
/// <param name="Color">The colour of a cell, by its text.</param>
internal sealed record Column<T>(string Title, Func<T, string> Cell, bool Wide = false, bool Shrinks = false, Func<string, string?>? Color = null);

/// <summary>Rows in aligned columns, two blanks apart, as ps and kubectl write them. Lines fit the terminal; in a pipe nothing is cut.</summary>
internal static class Table
{
    private const int Gap = 2, Narrowest = 12;

    public static void Write<T>(ClientContext context, IReadOnlyList<T> rows, IReadOnlyList<Column<T>> columns, bool isWide)
    {
        var shown = columns.Where(column => isWide || !column.Wide).ToList();
        var cells = rows.Select(row => shown.Select(column => TerminalText.OneLine(column.Cell(row))).ToArray()).ToList();
        var widths = shown
            .Select((column, place) => cells.Select(line => TerminalText.Width(line[place])).Append(TerminalText.Width(column.Title)).Max())
            .ToArray();
        if (context.Width is { } most && !isWide) Shrink(shown, widths, most);
        var titles = shown.Select((column, place) => TerminalText.Pad(TerminalText.Fit(column.Title, widths[place]), widths[place]));
        context.Output.WriteLine(context.Paint(string.Join("  ", titles).TrimEnd(), Colors.Bold));
        foreach (var line in cells)
        {
            var padded = shown.Select((column, place) =>
            {
                var text = TerminalText.Fit(line[place], widths[place]);
                var blanks = place == shown.Count - 1 ? "" : new string(' ', widths[place] - TerminalText.Width(text));
                return context.Paint(text, column.Color?.Invoke(line[place])) + blanks;
            });
            context.Output.WriteLine(string.Join("  ", padded).TrimEnd());
        }
    }

    // The widest of the columns that may shrink gives way first.
    private static void Shrink<T>(List<Column<T>> columns, int[] widths, int most)
    {
        while (widths.Sum() + (Gap * (widths.Length - 1)) > most)
        {
            var widest = Enumerable
                .Range(0, widths.Length)
                .Where(place => columns[place].Shrinks && widths[place] > Narrowest)
                .OrderByDescending(place => widths[place])
                .FirstOrDefault(-1);
            if (widest < 0) return;
            widths[widest]--;
        }
    }
}
