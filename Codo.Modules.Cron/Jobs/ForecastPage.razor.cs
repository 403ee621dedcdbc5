using System.Globalization;
using System.Text;

namespace Codo.Modules.Cron.Jobs;

/// <summary>What the schedules bring in the next day or week, as charts with the same numbers in a table.</summary>
public sealed partial class ForecastPage
{
    private const int Width = 1440, Height = 120, Named = 6;

    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    private Forecast.Result found = null!;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["jobs"];

    private bool IsWeek => found.Step == 3600;

    private string Api =>
        "/v1/cron/forecast/?hours=" + (IsWeek ? "168" : "24") + (Asked("space") is { } space ? $"&space={Uri.EscapeDataString(space)}" : "");

    private Forecast.Slot Busiest { get; set; } = null!;

    private Forecast.Slot Fullest { get; set; } = null!;

    private string OneSlot => IsWeek ? T("每小时", "an hour") : T("每分钟", "a minute");

    private string FiresLabel =>
        T($"到期 {found.Fires} 次，{Moment(Busiest.At)} 最密，{Busiest.Fires} 次", $"{found.Fires} due times, the most at {Moment(Busiest.At)}: {Busiest.Fires}");

    private string ParallelLabel =>
        T($"最多 {Fullest.ParallelP95} 个同时运行，{Moment(Fullest.At)}", $"At most {Fullest.ParallelP95} runs at the same time, at {Moment(Fullest.At)}");

    private static IEnumerable<(string Within, string Title)> MeetingTitles =>
        [("second", T("同一秒到期的任务", "Jobs due at the same second")), ("minute", T("同一分钟到期的任务", "Jobs due within the same minute"))];

    // A line at each third hour, or at each day.
    private IEnumerable<string> Marks => Enumerable.Range(1, (IsWeek ? 7 : 8) - 1).Select(at => Number((double)Width * at / (IsWeek ? 7 : 8)));

    private IEnumerable<string> Axis =>
        Enumerable.Range(0, IsWeek ? 7 : 8)
            .Select(at => Zone.Text(found.From.AddHours(at * (IsWeek ? 24 : 3))))
            .Select(text => IsWeek ? text[5..16] : text[11..16]);

    // The table has a row an hour from now on, or a row a day: of the first and the last day what the week has of them.
    private IEnumerable<(string Name, Forecast.Slot[] Slots)> Parts =>
        IsWeek
            ? found.Slots.GroupBy(slot => Zone.Text(slot.At)[..10]).Select(day => (Name: day.Key, Slots: day.ToArray()))
            : found.Slots.Chunk(60).Select(slots => (Name: Zone.Text(slots[0].At)[..16], Slots: slots));

    private string Bars
    {
        get
        {
            var path = new StringBuilder();
            var wide = (double)Width / found.Slots.Count;
            for (var at = 0; at < found.Slots.Count; at++)
                if (found.Slots[at].Fires > 0)
                {
                    var high = Tall(found.Slots[at].Fires, Busiest.Fires);
                    path.Append(Invariant, $"M{Number(at * wide)} {Height}v-{Number(high)}h{Number(wide * 0.85)}v{Number(high)}z");
                }
            return path.ToString();
        }
    }

    /// <inheritdoc/>
    protected override async Task Load()
    {
        found = await Send(new Forecast.Query(int.TryParse(Asked("hours"), NumberStyles.None, Invariant, out var hours) ? hours : null, Asked("space")));
        Busiest = found.Slots.MaxBy(slot => slot.Fires)!;
        Fullest = found.Slots.MaxBy(slot => slot.ParallelP95)!;
    }

    private string Area(Func<Forecast.Slot, long> part)
    {
        var path = new StringBuilder($"M0 {Height}");
        var wide = (double)Width / found.Slots.Count;
        foreach (var slot in found.Slots) path.Append(Invariant, $"V{Number(Height - Tall(part(slot), Fullest.ParallelP95))}h{Number(wide)}");
        return path.Append(Invariant, $"V{Height}z").ToString();
    }

    // What happens at all is seen beside the highest.
    private static double Tall(long count, long most) => count == 0 ? 0 : Math.Max(2, (Height - 4.0) * count / Math.Max(1, most));

    private static string Number(double value) => value.ToString("0.##", Invariant);

    private string Moment(DateTime at) => IsWeek ? Zone.Text(at)[5..16] : Zone.Text(at)[11..16];
}
