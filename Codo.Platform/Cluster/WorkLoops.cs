using System.Collections.Concurrent;
using Dapper;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>
/// Two loops for each module's work: its poll every second, and its recovery of what dead nodes left every two, both more seldom while there is nothing to do;
/// a node that is declared dead wakes the recoveries. One work's failure holds up no other.
/// </summary>
internal sealed class WorkLoops
{
    /// <summary>Dead nodes whose rest is not recovered, as one value: it changes when one is declared dead.</summary>
    public const string UnrecoveredVersion = """
        SELECT string_agg(concat(name, ' ', fenced), ',' ORDER BY name) FROM platform.node WHERE settled < fenced
        """;

    // A restarted node recovers its own earlier incarnations, because only that node can end the commands on its machine. Other nodes leave them to that node
    // for SelfRecoveryTime after its start, while its lease holds.
    private const string UnrecoveredSql = """
        SELECT name, fenced, fenced < incarnation AND name <> @Name AND stopped_at IS NULL AND heartbeat_at >= clock_timestamp() - CAST(@Lease AS interval)
            AND started_at BETWEEN clock_timestamp() - CAST(@SelfRecoveryTime AS interval) AND clock_timestamp() + CAST(@SelfRecoveryTime AS interval)
            AS recovers_itself
        FROM platform.node WHERE settled < fenced
        """;

    private const string RecoveredSql = """
        UPDATE platform.node SET settled = @Fenced WHERE name = @Name AND settled < @Fenced AND fenced >= @Fenced
        """;

    private static readonly TimeSpan PollPeriod = TimeSpan.FromSeconds(1),
        LongestRest = TimeSpan.FromSeconds(5),
        RecoveryPeriod = TimeSpan.FromSeconds(2),
        LongestRecoveryRest = TimeSpan.FromSeconds(30),
        SelfRecoveryTime = TimeSpan.FromSeconds(15);

    private readonly NpgsqlDataSource source;
    private readonly Node node;
    private readonly ILogger<WorkLoops> log;
    private readonly Worked[] works;

    public WorkLoops(NpgsqlDataSource source, Node node, IEnumerable<INodeWork> works, LoopStates states, ILogger<WorkLoops> log)
    {
        (this.source, this.node, this.log) = (source, node, log);
        this.works =
        [
            .. works.Select(work => new Worked(
                work,
                states.Add($"{work.Name} poll", PollPeriod, LongestRest, isVital: true),
                states.Add($"{work.Name} recovery", RecoveryPeriod, LongestRecoveryRest)
            )),
        ];
    }

    public IReadOnlyList<INodeWork> Works => [.. works.Select(worked => worked.Work)];

    /// <summary>Makes every work poll now.</summary>
    public void Wake()
    {
        foreach (var worked in works) worked.Work.Wake.Set();
    }

    /// <summary>Makes every work recover now what dead nodes left.</summary>
    public void WakeRecoveries()
    {
        foreach (var worked in works) worked.Fenced.Set();
    }

    /// <summary>The polls.</summary>
    public IEnumerable<PeriodicLoop> Polls() =>
        works.Select(worked => new PeriodicLoop(worked.Polled, worked.Work.Wake, (_, stopping) => Poll(worked, stopping), log));

    /// <summary>The recoveries.</summary>
    public IEnumerable<PeriodicLoop> Recoveries() =>
        works.Select(worked => new PeriodicLoop(worked.Recovered, worked.Fenced, (_, stopping) => Recover(worked, stopping), log));

    /// <summary>
    /// The first recovery, of all works at once. What fails is logged and goes on in the loops: the host starts, and only that work begins nothing new.
    /// </summary>
    public Task RecoverAtStart(CancellationToken cancellation) =>
        Task.WhenAll(
            works.Select(async worked =>
            {
                try
                {
                    await Recover(worked, cancellation);
                }
                catch (Exception error) when (!cancellation.IsCancellationRequested)
                {
                    worked.Recovered.Failed(error);
                    if (node.HasRecovered(worked.Work.Name))
                        log.LogError(error, "What other nodes left of {Work} could not be recovered; it is tried again", worked.Work.Name);
                    else
                        log.LogError(
                            error,
                            "What an earlier start left of {Work} could not be recovered; it is tried again, and no {Work} begins on this node before",
                            worked.Work.Name,
                            worked.Work.Name
                        );
                }
            })
        );

    private async Task Poll(Worked worked, CancellationToken stopping)
    {
        // Nothing is this node's before it has joined.
        if (node.Incarnation != 0) worked.Polled.IsIdle = !await worked.Work.Poll(stopping);
    }

    private async Task Recover(Worked worked, CancellationToken cancellation)
    {
        if (!node.HoldsLease) return;
        List<Unrecovered> unrecovered;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            unrecovered = (await connection.QueryAsync<Unrecovered>(UnrecoveredSql, new { node.Name, Node.Lease, SelfRecoveryTime })).AsList();
        // Even if other nodes have settled the rows: only this node can end the commands on its machine.
        var earlier = new Unrecovered(node.Name, node.Incarnation - 1, false);
        worked.Recovered.IsIdle = unrecovered.Count == 0 && worked.HasDone(earlier);
        var toRecover = unrecovered.Where(left => !left.RecoversItself).ToList();
        var failures = new List<Exception>();
        // What an earlier start of this node left comes first: its new work waits for that alone. A node that cannot be recovered holds up no other.
        await TryRecover(earlier);
        if (failures.Count == 0) node.Recovered(worked.Work.Name);
        foreach (var left in toRecover.Where(left => left.Name != node.Name || left.Fenced > earlier.Fenced)) await TryRecover(left);
        foreach (var left in toRecover.Where(left => works.All(other => other.HasDone(left))))
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            if (await connection.ExecuteAsync(RecoveredSql, left) > 0)
                log.LogInformation("Recovered what node {Dead} left up to incarnation {Incarnation}", left.Name, left.Fenced);
        }
        if (failures.Count > 0) throw new AggregateException($"{failures.Count} recoveries of what nodes left have failed", failures);

        async Task TryRecover(Unrecovered left)
        {
            if (worked.HasDone(left)) return;
            try
            {
                await worked.Work.Recover(left.Name, left.Fenced, cancellation);
                worked.Done[left.Name] = left.Fenced;
            }
            catch (Exception error) when (!cancellation.IsCancellationRequested)
            {
                failures.Add(error);
            }
        }
    }

    /// <param name="RecoversItself">The node is back and recovers its own earlier incarnations.</param>
    private sealed record Unrecovered(string Name, long Fenced, bool RecoversItself);

    /// <summary>
    /// A work, its loops, and which dead incarnations it has recovered. The last is kept in memory: a node that dies before all works are done leaves it to be
    /// done again, which does no harm.
    /// </summary>
    private sealed record Worked(INodeWork Work, LoopState Polled, LoopState Recovered)
    {
        public WakeSignal Fenced { get; } = new();

        public ConcurrentDictionary<string, long> Done { get; } = new(StringComparer.Ordinal);

        public bool HasDone(Unrecovered left) => Done.TryGetValue(left.Name, out var incarnation) && incarnation >= left.Fenced;
    }
}

/// <summary>Runs several loops as one hosted service, so that they start and stop together.</summary>
internal sealed class LoopGroup(IEnumerable<PeriodicLoop> loops) : IHostedService, IDisposable
{
    private readonly PeriodicLoop[] loops = [.. loops];

    public Task StartAsync(CancellationToken cancellationToken) => Task.WhenAll(loops.Select(loop => loop.StartAsync(cancellationToken)));

    public Task StopAsync(CancellationToken cancellationToken) => Task.WhenAll(loops.Select(loop => loop.StopAsync(cancellationToken)));

    public void Dispose()
    {
        foreach (var loop in loops) loop.Dispose();
    }
}
