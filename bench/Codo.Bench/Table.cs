using System.Globalization;

namespace Codo.Bench;

/// <summary>A Markdown table, printed as it grows, so that it can be put into docs/benchmarks.md as it is.</summary>
internal static class Table
{
    public static void Head(params string[] cells)
    {
        Row(cells);
        Row([.. cells.Select(_ => "---")]);
    }

    public static void Row(params string[] cells) => Console.WriteLine("| " + string.Join(" | ", cells) + " |");

    public static string Ms(double milliseconds) => milliseconds.ToString(milliseconds < 10 ? "0.0" : "0", CultureInfo.InvariantCulture) + " ms";

    public static string Percentile(List<double> milliseconds, double share)
    {
        if (milliseconds.Count == 0) return "-";
        milliseconds.Sort();
        return Ms(milliseconds[(int)Math.Min(milliseconds.Count - 1, Math.Ceiling(share * milliseconds.Count) - 1)]);
    }
}
