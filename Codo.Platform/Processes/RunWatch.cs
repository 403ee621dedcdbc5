using Codo.Platform.Security;

namespace Codo.Platform.Processes;

/// <summary>
/// What one run uses, as the looks of <see cref="UsageSampler"/> find it. A process counts with itself and the children it has waited for; one that is gone and
/// that nobody of the run waited for counts with what the last look saw.
/// </summary>
public sealed class RunWatch : IDisposable
{
    /// <summary>Points of <see cref="UsageSample.History"/>: past it two become one, so that it always covers the whole run.</summary>
    public const int MostPoints = 120;

    /// <summary>Characters of a command line.</summary>
    public const int MostCommand = 2000;

    private const int MostCommandBytes = 8192;

    private readonly Func<IEnumerable<string>> secrets;
    private readonly Action<RunWatch> forget;
    private readonly List<UsagePoint> history = [];
    private readonly Lock gate = new(), masking = new();
    private SecretMask? mask;
    private Dictionary<int, Member> members = [];
    private Counters gone = new(), leader = new();
    private long peak;
    private double secondsOfPoint, cpuOfPoint, stretch = 0.9, secondsOfLook;
    private long memoryOfPoint;

    internal RunWatch(RunMark mark, Func<IEnumerable<string>> secrets, long began, Action<RunWatch> forget)
    {
        (Mark, this.secrets, Began, this.forget) = (mark, secrets, began, forget);
    }

    internal RunMark Mark { get; }

    internal long Began { get; }

    internal int Looks { get; private set; }

    internal IReadOnlyDictionary<int, Member> Members => members;

    /// <summary>The newest look; null before the first.</summary>
    public UsageSample? Latest { get; private set; }

    /// <summary>No look is taken any more; <see cref="Latest"/> stays.</summary>
    public void Dispose() => forget(this);

    /// <summary>What the run used, when it is over.</summary>
    /// <param name="exit">What the kernel says of the command itself; null when its end is not known.</param>
    /// <returns>Null when nothing was measured.</returns>
    public RunUsage? Ended(ExitUsage? exit)
    {
        lock (gate) return Latest?.Usage is var sampled && exit is { } counted ? Together(counted, sampled) : sampled;
    }

    private RunUsage Together(ExitUsage counted, RunUsage? sampled)
    {
        var rest = gone + members.Values.Where(IsOrphan).Aggregate(new Counters(), (sum, member) => sum + member.Used);
        return new RunUsage(
            Math.Max(Math.Round(counted.CpuSeconds + rest.Seconds, 3), sampled?.CpuSeconds ?? 0),
            Most(counted.PeakMemoryBytes, sampled?.PeakMemoryBytes),
            Most(counted.ReadBytes + rest.Read, sampled?.ReadBytes),
            Most(counted.WrittenBytes + rest.Written, sampled?.WrittenBytes),
            sampled is null ? RunUsage.FromExit : RunUsage.Both
        );
    }

    /// <summary>Its processes as the newest look found them, the oldest first.</summary>
    /// <param name="now">PostgreSQL's time.</param>
    public IReadOnlyList<RunProcess> Processes(int most, DateTime now)
    {
        var uptime = ProcessFigures.Uptime();
        return
        [
            .. members
                .Values.OrderBy(member => member.Figures.StartTicks)
                .ThenBy(member => member.Figures.Id)
                .Take(most)
                .Select(member => new RunProcess(
                    member.Figures.Id,
                    member.Figures.Parent,
                    Command(member.Figures.Id),
                    UserNames.Of(member.User),
                    StateOf(member.Figures.State),
                    Math.Round(member.Figures.OwnTicks / ProcessFigures.TicksPerSecond, 2),
                    member.Figures.MemoryBytes,
                    now - TimeSpan.FromSeconds(Math.Max(0, uptime - (member.Figures.StartTicks / ProcessFigures.TicksPerSecond)))
                )),
        ];
    }

    internal void Take(Dictionary<int, Member> found, double seconds, DateTime at)
    {
        lock (gate) TakeIn(found, seconds, at);
    }

    private void TakeIn(Dictionary<int, Member> found, double seconds, DateTime at)
    {
        foreach (var (id, old) in members)
        {
            if (found.TryGetValue(id, out var same) && same.Figures.StartTicks == old.Figures.StartTicks) continue;
            if (id == Mark.ProcessGroup) leader = old.Used;
            else if (!members.ContainsKey(old.Figures.Parent)) gone += old.Used;
        }
        var total = found.Values.Aggregate(gone + (found.ContainsKey(Mark.ProcessGroup) ? new Counters() : leader), (sum, member) => sum + member.Used);
        var memory = found.Values.Sum(member => member.Figures.MemoryBytes);
        peak = Math.Max(Math.Max(peak, memory), found.Values.Select(member => member.Peak).DefaultIfEmpty().Max());
        members = found;
        var before = Latest?.Usage;
        // A process that goes between two files of one look is in neither for that look.
        var cpu = Math.Max(Math.Round(total.Seconds, 2), before?.CpuSeconds ?? 0);
        var past = seconds - secondsOfLook;
        double? cores = Latest is null || past <= 0 ? null : Math.Round(Math.Max(0, cpu - before!.CpuSeconds!.Value) / past, 2);
        AddPoint(seconds, cpu, memory);
        (secondsOfLook, Looks) = (seconds, Looks + 1);
        Latest = new UsageSample(
            at,
            seconds,
            new RunUsage(cpu, peak > 0 ? peak : null, Most(total.Read, before?.ReadBytes), Most(total.Written, before?.WrittenBytes), RunUsage.Sampled),
            cores,
            memory,
            found.Count,
            [.. history]
        );
    }

    private void AddPoint(double seconds, double cpu, long memory)
    {
        memoryOfPoint = Math.Max(memoryOfPoint, memory);
        var past = seconds - secondsOfPoint;
        if (past < stretch) return;
        history.Add(new UsagePoint(Math.Round(seconds, 1), Math.Round(Math.Max(0, cpu - cpuOfPoint) / past, 2), memoryOfPoint));
        (secondsOfPoint, cpuOfPoint, memoryOfPoint) = (seconds, cpu, 0);
        if (history.Count < MostPoints) return;
        var halves = history
            .Chunk(2)
            .Select(pair => new UsagePoint(
                pair[^1].Seconds,
                Math.Round(pair.Average(point => point.Cores), 2),
                pair.Max(point => point.MemoryBytes)
            ))
            .ToList();
        history.Clear();
        history.AddRange(halves);
        stretch *= 2;
    }

    // Neither the command nor what it waits for: nobody of the run takes over what it used.
    private bool IsOrphan(Member member)
    {
        var figures = member.Figures;
        for (var steps = 0; steps < members.Count; steps++)
        {
            if (figures.Id == Mark.ProcessGroup) return false;
            if (!members.TryGetValue(figures.Parent, out var parent)) return true;
            figures = parent.Figures;
        }
        return true;
    }

    private string Command(int id)
    {
        var bytes = ProcessFigures.ReadCommand(id, MostCommandBytes);
        var shown = new List<byte>(bytes.Length);
        lock (masking)
        {
            mask ??= new SecretMask(secrets());
            mask.Append(bytes, Show);
            // The beginning of a secret that a long line was cut in stays held back.
            TakeBytes rest = bytes.Length < MostCommandBytes ? Show : _ => { };
            mask.Complete(rest);
        }
        var text = OutputText.Decode(shown.ToArray());
        return text.Length <= MostCommand ? text : text[..MostCommand] + "…";

        void Show(ReadOnlySpan<byte> part) => shown.AddRange(part);
    }

    private static string StateOf(char letter) =>
        letter switch
        {
            'R' => "running",
            'D' => "disk",
            'T' or 't' => "stopped",
            'Z' or 'X' => "zombie",
            _ => "sleeping",
        };

    private static long? Most(long? one, long? other) => one is null || other is null ? one ?? other : Math.Max(one.Value, other.Value);

    /// <summary>A process of the run, with its largest resident set, its user and what it and the children it has waited for used.</summary>
    internal readonly record struct Member(ProcessFigures Figures, long Peak, uint User, Counters Used);

    /// <summary>What adds up; null is what the host may not know.</summary>
    internal readonly record struct Counters(long Ticks, long? Read, long? Written)
    {
        public Counters()
            : this(0, 0, 0)
        {
        }

        public double Seconds => Ticks / ProcessFigures.TicksPerSecond;

        public static Counters operator +(Counters one, Counters other) => new(one.Ticks + other.Ticks, one.Read + other.Read, one.Written + other.Written);
    }
}
