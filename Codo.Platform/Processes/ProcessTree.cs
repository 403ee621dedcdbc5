using System.Runtime.InteropServices;

namespace Codo.Platform.Processes;

/// <summary>
/// All processes of a run: its session, whatever carries its <see cref="RunMark.Variable"/> (so also what moved to a session of its own), and the descendants
/// of both.
/// </summary>
/// <remarks>
/// A process id that now names somebody else is never touched: a session counts only while its leader has the recorded start time, or while one in it
/// carries the run's id. The host itself and process 1 never belong to a run. Zombies are not counted: nothing of them is left to end.
/// </remarks>
public static partial class ProcessTree
{
    private const int SigKill = 9;
    private const int SigTerm = 15;

    // A process that forks faster than it is found loses against the group signal; one that forks into new sessions may not. After this many rounds the rest is
    // reported.
    private const int KillRounds = 20;

    /// <summary>How long a run that was told to end (SIGTERM) may take before it is made to (SIGKILL).</summary>
    public static readonly TimeSpan DefaultGrace = TimeSpan.FromSeconds(5);

    /// <summary>Ends a run with everything that belongs to it: SIGTERM, and SIGKILL to what is left when the grace is over.</summary>
    /// <param name="run">As recorded when it was started, also by an earlier incarnation of the host. A run of another boot is gone.</param>
    /// <param name="grace">See <see cref="DefaultGrace"/>.</param>
    /// <param name="time">For the grace.</param>
    /// <returns>How many processes are still alive: 0, but for those in an uninterruptible wait and those of a user whom the host may not signal.</returns>
    public static async Task<int> KillAsync(RunMark run, TimeSpan? grace = null, TimeProvider? time = null)
    {
        var clock = time ?? TimeProvider.System;
        var seen = new Dictionary<int, long>();
        var told = new HashSet<int>();
        // Measured, and not by the clock, which somebody may set meanwhile.
        var began = clock.GetTimestamp();
        var most = grace ?? DefaultGrace;
        var left = await FindAsync(run, seen);

        for (var pause = TimeSpan.FromMilliseconds(10); left.Count > 0 && clock.GetElapsedTime(began) < most; left = await FindAsync(run, seen))
        {
            Signal(left.Where(process => told.Add(process.Id)).ToList(), run, SigTerm);
            await Task.Delay(pause, clock);
            pause = TimeSpan.FromMilliseconds(Math.Min(pause.TotalMilliseconds * 2, 250));
        }

        for (var round = 0; left.Count > 0 && round < KillRounds; round++, left = await FindAsync(run, seen))
        {
            Signal(left, run, SigKill);
            await Task.Delay(TimeSpan.FromMilliseconds(round == 0 ? 5 : 50), CancellationToken.None);
        }

        // The shell that would have removed it may have been killed.
        if (left.Count == 0) LocalCommand.RemoveScript(run.RunId);
        return left.Count;
    }

    /// <summary>Whether anything of the run is still there.</summary>
    public static async Task<bool> IsAliveAsync(RunMark run) => (await FindAsync(run, [])).Count > 0;

    /// <param name="seen">Processes that were found to be the run's before: they stay so, even when their parent is gone and they cleared their
    /// environment.</param>
    private static async Task<List<ProcessEntry>> FindAsync(RunMark run, Dictionary<int, long> seen)
    {
        if (run.BootId.Length > 0 && run.BootId != RunMark.CurrentBootId) return [];

        var table = await ProcessTable.ReadAsync();
        var session = table.Any(process => IsLeader(process) || (process.Session == run.ProcessGroup && process.RunId == run.RunId)) ? run.ProcessGroup : 0;
        var found = table.Where(process =>
            IsLeader(process)
            || process.RunId == run.RunId
            || (session > 1 && process.Session == session)
            || (seen.TryGetValue(process.Id, out var start) && start == process.StartTicks)).Where(MayBeEnded).ToList();

        var children = table.ToLookup(process => process.Parent);
        var ids = found.Select(process => process.Id).ToHashSet();
        for (var next = 0; next < found.Count; next++)
            found.AddRange(children[found[next].Id].Where(child => MayBeEnded(child) && ids.Add(child.Id)));

        foreach (var process in found) seen[process.Id] = process.StartTicks;
        return found;

        bool IsLeader(ProcessEntry process) => process.Id == run.ProcessGroup && process.StartTicks == run.StartTicks;
    }

    private static bool MayBeEnded(ProcessEntry process) => process.Id > 1 && process.Id != Environment.ProcessId;

    private static void Signal(List<ProcessEntry> processes, RunMark run, int signal)
    {
        // The group as a whole first: a signal to a group misses no process that is being forked meanwhile.
        var group = processes.Any(process => process.Group == run.ProcessGroup && process.Session == run.ProcessGroup) ? run.ProcessGroup : 0;
        if (group > 1) _ = Kill(-group, signal);
        foreach (var process in processes.Where(process => process.Group != group))
            _ = Kill(process.Id, signal);
    }

    // The result is not looked at: what could not be signalled is found alive in the next round, and reported in the end.
    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int id, int signal);
}
