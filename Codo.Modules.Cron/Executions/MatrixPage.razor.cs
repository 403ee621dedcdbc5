using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Codo.Modules.Cron.Executions;

/// <summary>Every due time of many jobs at once: what ran, what did not, and where a fault hit all of them.</summary>
public sealed partial class MatrixPage
{
    private const int Limit = 500;

    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private ShowMatrix.Result found = null!;

    private int Hours => int.TryParse(Asked("hours"), NumberStyles.None, CultureInfo.InvariantCulture, out var hours) ? hours : 24;

    private string Api => Paged($"/v1/cron/log/matrix/?hours={Hours}" + (Asked("q") is { } text ? $"&q={Uri.EscapeDataString(text)}" : ""), Limit);

    private static IEnumerable<(int Value, string Word)> Lengths =>
        [(24, T("24 小时", "24 hours")), (168, T("7 天", "7 days")), (720, T("30 天", "30 days"))];

    private string Data => JsonSerializer.Serialize(found.Data.Select(row => new[] { row.JobId, row.Cells }), Plain);

    // Every third hour, or every day; a month has a mark every third day.
    private string Ticks
    {
        get
        {
            var (every, part) = Hours switch { 24 => (3, 11..16), 168 => (24, 5..10), _ => (72, 5..10) };
            var ticks = new List<object[]>();
            for (var at = found.From; at < found.To; at = at.AddHours(1))
            {
                // On the whole hour or day that Codo's zone has.
                var text = Zone.Text(at);
                var hour = int.Parse(text[11..13], CultureInfo.InvariantCulture);
                var isMark = every < 24 ? hour % every == 0 : hour == 0 && (every == 24 || DayOf(text) % 3 == 0);
                if (!isMark) continue;
                var whole = at.AddMinutes(-int.Parse(text[14..16], CultureInfo.InvariantCulture));
                if (whole >= found.From) ticks.Add([(int)((whole - found.From).TotalSeconds / found.Step), Zone.Text(whole)[part]]);
            }
            return JsonSerializer.Serialize(ticks, Plain);
        }
    }

    /// <inheritdoc/>
    protected override async Task Load() => found = await Send(new ShowMatrix.Query(Hours, Asked("q"), PageNumber, Limit));

    private static int DayOf(string text) => int.Parse(text[8..10], CultureInfo.InvariantCulture);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Iso(DateTime at) => at.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
