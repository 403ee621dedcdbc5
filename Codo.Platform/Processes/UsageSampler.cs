using Microsoft.Extensions.Logging;

namespace Codo.Platform.Processes;

/// <summary>
/// Looks at the processes of all runs of this node in one pass over <c>/proc</c>: each run soon after its start and then every second, less often where a look
/// takes long, so that all looks together cost a hundredth of a processor. While nothing runs there is no timer.
/// </summary>
/// <remarks>A run's processes are those that <see cref="ProcessTree"/> would end.</remarks>
public sealed class UsageSampler(TimeProvider time, ILogger<UsageSampler> log) : IDisposable
{
    // The pause after a look, in times of what it took.
    private const int PauseOfLooks = 100;

    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(50), Second = TimeSpan.FromMilliseconds(250), Later = TimeSpan.FromSeconds(1);

    private readonly Lock gate = new();
    private readonly SemaphoreSlim looking = new(1);
    private readonly HashSet<RunWatch> watches = [];
    private readonly long origin = time.GetTimestamp();

    // Runs that processes name in their environment, which is read once of each.
    private Dictionary<(int Id, long StartTicks), string?> named = [];
    private ITimer? timer;
    private TimeSpan? due;
    private TimeSpan notBefore;
    private long lookedAt;

    /// <summary>Looks at a run until the answer is disposed of.</summary>
    /// <param name="secrets">Texts that no command line may show.</param>
    public RunWatch Watch(RunMark mark, Func<IEnumerable<string>> secrets)
    {
        var watch = new RunWatch(mark, secrets, time.GetTimestamp(), Forget);
        lock (gate)
        {
            watches.Add(watch);
            Arm(Passed + First);
        }
        return watch;
    }

    /// <summary>Takes a look at all runs, unless one was begun after this was asked for or the last is younger than <paramref name="age"/>.</summary>
    public async Task Sample(TimeSpan age)
    {
        var asked = time.GetTimestamp();
        await looking.WaitAsync().ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            if (lookedAt > asked || (lookedAt > 0 && time.GetElapsedTime(lookedAt) < age && IsEachLookedAt())) return;
            LookAtAll(Watched());
        }
        finally
        {
            looking.Release();
        }
    }

    /// <summary>What is there of a run that is over.</summary>
    public async Task<IReadOnlyList<RunProcess>> Left(RunMark mark, Func<IEnumerable<string>> secrets, int most)
    {
        using var watch = new RunWatch(mark, secrets, time.GetTimestamp(), _ => { });
        await looking.WaitAsync().ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            Take([watch]);
        }
        finally
        {
            looking.Release();
        }
        return watch.Processes(most, Now);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        timer?.Dispose();
        looking.Dispose();
    }

    private DateTime Now => time.GetUtcNow().UtcDateTime;

    private TimeSpan Passed => time.GetElapsedTime(origin);

    private List<RunWatch> Watched()
    {
        lock (gate) return [.. watches];
    }

    private bool IsEachLookedAt()
    {
        lock (gate) return watches.All(watch => watch.Looks > 0);
    }

    private void Forget(RunWatch watch)
    {
        lock (gate) watches.Remove(watch);
    }

    // Under the gate.
    private void Arm(TimeSpan at)
    {
        if (at < notBefore) at = notBefore;
        if (due <= at) return;
        due = at;
        timer ??= time.CreateTimer(_ => _ = Tick(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        var wait = at - Passed;
        timer.Change(wait > TimeSpan.Zero ? wait : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }

    private async Task Tick()
    {
        try
        {
            await Sample(TimeSpan.Zero);
        }
        catch (Exception error)
        {
            log.LogWarning(error, "What the running commands use could not be read");
        }
        lock (gate)
        {
            due = null;
            if (watches.Count > 0) Arm(Passed + watches.Min(Wait));
        }
    }

    private TimeSpan Wait(RunWatch watch)
    {
        var age = time.GetElapsedTime(watch.Began);
        return watch.Looks switch
        {
            0 => First - age,
            1 => Second - age,
            _ => Later,
        };
    }

    private void LookAtAll(List<RunWatch> all)
    {
        if (all.Count == 0) return;
        lookedAt = time.GetTimestamp();
        Take(all);
        var took = time.GetElapsedTime(lookedAt);
        lock (gate) notBefore = Passed + (took * PauseOfLooks);
    }

    private void Take(List<RunWatch> all)
    {
        var table = ProcessFigures.ReadAll();
        var owners = Owners(all, table);
        var found = all.ToDictionary(watch => watch, _ => new Dictionary<int, RunWatch.Member>());
        foreach (var figures in table)
            if (owners.TryGetValue(figures.Id, out var watch))
                found[watch][figures.Id] = MemberOf(figures, watch);
        var at = Now;
        foreach (var (watch, members) in found) watch.Take(members, time.GetElapsedTime(watch.Began).TotalSeconds, at);
    }

    private static RunWatch.Member MemberOf(ProcessFigures figures, RunWatch watch)
    {
        var (peak, user) = ProcessFigures.ReadStatus(figures.Id) ?? default;
        var bytes = ProcessFigures.ReadBytes(figures.Id);
        // One that has gone meanwhile is as the look before saw it.
        if (bytes is null && watch.Members.TryGetValue(figures.Id, out var before) && before.Used is { Read: { } read, Written: { } written })
            bytes = (read, written);
        return new RunWatch.Member(figures, peak, user, new RunWatch.Counters(figures.OwnTicks + figures.ChildTicks, bytes?.Read, bytes?.Written));
    }

    // The same rules as ProcessTree has, for many runs at once.
    private Dictionary<int, RunWatch> Owners(List<RunWatch> all, List<ProcessFigures> table)
    {
        var owners = new Dictionary<int, RunWatch>();
        var sessions = new Dictionary<int, RunWatch>();
        var byLeader = all.ToLookup(watch => watch.Mark.ProcessGroup);
        var byRun = all.ToDictionary(watch => watch.Mark.RunId, StringComparer.Ordinal);
        var known = new Dictionary<(int, long), RunWatch>();
        foreach (var watch in all)
            foreach (var member in watch.Members.Values)
                known[(member.Figures.Id, member.Figures.StartTicks)] = watch;
        // One whose start is not known was over before it could be read.
        var oldest = all.Select(watch => watch.Mark.StartTicks).Where(start => start > 0).DefaultIfEmpty(long.MaxValue).Min();
        var names = new Dictionary<(int, long), string?>();
        foreach (var one in table)
        {
            if (one.Id <= 1 || one.Id == Environment.ProcessId || one.StartTicks < oldest) continue;
            var key = (one.Id, one.StartTicks);
            if (known.GetValueOrDefault(key) is { } was) owners[one.Id] = was;
            else if (byLeader[one.Id].FirstOrDefault(watch => watch.Mark.StartTicks == one.StartTicks) is { } led) owners[one.Id] = led;
            else if (sessions.TryGetValue(one.Session, out var here)) owners[one.Id] = here;
            else
            {
                if (!named.TryGetValue(key, out var run)) run = ProcessTable.ReadRunId(one.Id);
                names[key] = run;
                if (run is not null && byRun.TryGetValue(run, out var watch)) owners[one.Id] = watch;
            }
            if (owners.TryGetValue(one.Id, out var owner) && one.Session == owner.Mark.ProcessGroup) sessions[one.Session] = owner;
        }
        named = names;
        AddDescendants(owners, table);
        return owners;
    }

    private static void AddDescendants(Dictionary<int, RunWatch> owners, List<ProcessFigures> table)
    {
        for (var more = true; more;)
        {
            more = false;
            foreach (var one in table)
                if (one.Id != Environment.ProcessId && owners.TryGetValue(one.Parent, out var watch))
                    more |= owners.TryAdd(one.Id, watch);
        }
    }
}
