using System.Buffers;

namespace Codo.Modules.Cron.Schedules;

/// <summary>Jobs of one expression in one zone, and the seconds of a stretch of time at which they are due.</summary>
/// <param name="Jobs">Their places in the list that the timetable was made of.</param>
/// <param name="Seconds">Seconds since the beginning, in order.</param>
internal sealed record Due(IReadOnlyList<int> Jobs, int[] Seconds);

/// <summary>Moments at which several jobs are due.</summary>
/// <param name="Slot">The first such moment, counted in slots since the beginning.</param>
/// <param name="Times">How often just these jobs meet.</param>
/// <param name="Jobs">Places of the jobs.</param>
internal sealed record Meeting(int Slot, int Times, IReadOnlyList<int> Jobs);

/// <summary>What a stretch of time looks like when every job is due as its schedule says. Pure: it knows no clock and no database.</summary>
internal sealed class Timetable(IReadOnlyList<Due> dues, int length)
{
    private const int MostCandidates = 2000;

    /// <summary>Due times in each slot of so many seconds.</summary>
    public long[] Fires(int slot)
    {
        var counts = new long[Slots(slot)];
        foreach (var due in dues)
            foreach (var second in due.Seconds) counts[second / slot] += due.Jobs.Count;
        return counts;
    }

    /// <summary>The most runs that go on at the same time in each slot of so many seconds.</summary>
    /// <param name="seconds">How long a run of a job takes.</param>
    /// <param name="isAlone">Whether a job has one run at a time: a run then ends when the next is due.</param>
    public long[] Parallel(int slot, Func<int, double> seconds, Func<int, bool> isAlone)
    {
        // What begins and ends at each second; a run that takes less than one still takes a place in it.
        var steps = Borrow(length + 1);
        foreach (var due in dues)
        {
            var lengths = Lengths(due.Jobs);
            for (var at = 0; at < due.Seconds.Length; at++)
            {
                var (begin, next) = (due.Seconds[at], at + 1 < due.Seconds.Length ? due.Seconds[at + 1] : length);
                foreach (var (run, alone, count) in lengths)
                {
                    steps[begin] += count;
                    steps[Math.Min(length, alone ? Math.Min(begin + run, next) : begin + run)] -= count;
                }
            }
        }
        var most = new long[Slots(slot)];
        long now = 0;
        for (var second = 0; second < length; second++)
        {
            now += steps[second];
            most[second / slot] = Math.Max(most[second / slot], now);
        }
        ArrayPool<int>.Shared.Return(steps);
        return most;

        // Most schedules have one job.
        List<(int Seconds, bool Alone, int Count)> Lengths(IReadOnlyList<int> jobs) =>
            jobs.Count == 1
                ? [(Whole(jobs[0]), isAlone(jobs[0]), 1)]
                : [.. jobs.GroupBy(job => (Seconds: Whole(job), Alone: isAlone(job))).Select(same => (same.Key.Seconds, same.Key.Alone, same.Count()))];

        int Whole(int job) => (int)Math.Clamp(Math.Ceiling(seconds(job)), 1, length);
    }

    /// <summary>Where the most jobs meet, each set of jobs once, the largest first.</summary>
    /// <param name="slot">Seconds within which jobs meet.</param>
    public IReadOnlyList<Meeting> Meetings(int slot, int most)
    {
        var counts = Borrow(Slots(slot));
        foreach (var due in dues)
            foreach (var at in SlotsOf(due, slot)) counts[at] += due.Jobs.Count;
        var several = new List<int>();
        for (var at = 0; at < Slots(slot); at++)
            if (counts[at] > 1) several.Add(at);
        var wanted = several.OrderByDescending(at => counts[at]).ThenBy(at => at).Take(MostCandidates).ToDictionary(at => at, _ => new List<int>());
        ArrayPool<int>.Shared.Return(counts);
        for (var place = 0; place < dues.Count; place++)
            foreach (var at in SlotsOf(dues[place], slot))
                if (wanted.TryGetValue(at, out var members)) members.Add(place);
        return
        [
            .. wanted
                .GroupBy(one => string.Join(',', one.Value))
                .Select(group =>
                {
                    var first = group.MinBy(one => one.Key);
                    return new Meeting(first.Key, group.Count(), [.. first.Value.SelectMany(place => dues[place].Jobs)]);
                })
                .OrderByDescending(meeting => meeting.Jobs.Count)
                .ThenBy(meeting => meeting.Slot)
                .Take(most),
        ];
    }

    // A week has 604,800 seconds: arrays of that size are not made anew for each question.
    private static int[] Borrow(int size)
    {
        var zeros = ArrayPool<int>.Shared.Rent(size);
        Array.Clear(zeros, 0, size);
        return zeros;
    }

    private int Slots(int slot) => (length + slot - 1) / slot;

    private static IEnumerable<int> SlotsOf(Due due, int slot)
    {
        var last = -1;
        foreach (var second in due.Seconds)
            if (second / slot is var at && at != last) yield return last = at;
    }
}
