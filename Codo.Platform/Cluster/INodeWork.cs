namespace Codo.Platform.Cluster;

/// <summary>
/// The work that a module runs on this node. The cluster asks it to recover what a dead node left, to poll for what operators ask of it, and to end in good
/// order. Each work is polled and recovered by loops of its own, so that a failure of one never holds up another.
/// </summary>
public interface INodeWork
{
    /// <summary>For logs, loops and the dashboard: <c>cron</c>, <c>orders</c>.</summary>
    string Name { get; }

    /// <summary>Makes it poll at once.</summary>
    WakeSignal Wake { get; }

    /// <summary>
    /// Recovers every row under way that names this node and an incarnation up to the one given: each is guarded, so that two nodes that recover it do no harm.
    /// Also called with this node's own name at each join, even if other nodes have recovered the rows: only this node can end the commands on its machine.
    /// </summary>
    Task Recover(string node, long incarnation, CancellationToken cancellation);

    /// <summary>
    /// Reads this node's flagged rows (kill requests, rows that were recovered in its absence) and new work. Run after a notification, and every second as a
    /// fallback.
    /// </summary>
    /// <returns>Whether there is anything under way or soon to be begun; without it the next poll may come after 5 s.</returns>
    Task<bool> Poll(CancellationToken cancellation);

    /// <summary>Waits until what runs has ended, at most until the token says that the grace is over; then ends what is left and records it.</summary>
    Task Drain(CancellationToken graceOver);

    /// <summary>What is under way on all nodes, longest first, for the page Running.</summary>
    Task<IReadOnlyList<RunningWork>> Running(CancellationToken cancellation);
}

/// <summary>One line of the page Running.</summary>
/// <param name="What">As the operator knows it: <c>Cron backup-db #123</c>.</param>
/// <param name="Since">UTC.</param>
/// <param name="Detail">Process group, attempt, host: what helps to find it.</param>
/// <param name="Link">Its page in the console: of the run, of the order.</param>
public sealed record RunningWork(string What, string Node, DateTime Since, string Detail, string Link);
