using System.Collections.Concurrent;

namespace Codo.Platform.Cluster;

/// <summary>This host as a member of the cluster: what it is called, which start of it this is, and whether it may begin new work.</summary>
public sealed class Node
{
    /// <summary>A node without a heartbeat for this long is dead, by PostgreSQL's clock.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(10);

    /// <summary>A clock further off than this from PostgreSQL's would fire schedules at the wrong time.</summary>
    public static readonly TimeSpan MostSkew = TimeSpan.FromSeconds(30);

    private long renewedAt = long.MinValue;
    private long steadySince = long.MinValue;
    private long incarnation;
    private long server;
    private TimeSpan skew;
    private volatile bool draining;
    private volatile bool held;
    private volatile bool drained;
    private readonly ConcurrentDictionary<string, bool> recovered = new(StringComparer.Ordinal);

    /// <param name="name">Unique in the cluster; the same at every start of this host.</param>
    /// <param name="settings">Its roles and tags; null takes everything.</param>
    public Node(string name, MemberSettings? settings = null)
    {
        settings ??= new MemberSettings();
        (Name, Roles, Tags) = (name, settings.RoleList, settings.TagList);
    }

    public string Name { get; }

    /// <summary>Of <see cref="NodeRoles"/>: what it takes of the cluster's work.</summary>
    public IReadOnlyList<string> Roles { get; }

    /// <summary>What selectors name beside its name.</summary>
    public IReadOnlyList<string> Tags { get; }

    /// <summary>Rises at every start, and when the node comes back after it was declared dead. Rows under way name it.</summary>
    public long Incarnation => Interlocked.Read(ref incarnation);

    /// <summary>PostgreSQL's clock minus this machine's, as last measured.</summary>
    public TimeSpan Skew => skew;

    /// <summary>True while the host is being stopped: what runs may end, nothing new begins.</summary>
    public bool Draining => draining;

    /// <summary>
    /// Whether the lease is held: the last heartbeat that PostgreSQL confirmed was sent less than a lease ago. Measured by <see cref="BootTime"/>: a machine
    /// that was suspended has lost it.
    /// </summary>
    public bool HoldsLease => Since(ref renewedAt) < Lease;

    /// <summary>When the PostgreSQL server that answered the last heartbeat was started, UTC, to the microsecond: no two servers share it.</summary>
    internal DateTime Server => new(Interlocked.Read(ref server), DateTimeKind.Utc);

    /// <summary>Whether one server has answered every heartbeat for a whole lease, without which nobody else may be judged dead.</summary>
    public bool SteadyForALease => HoldsLease && Since(ref steadySince) >= Lease;

    /// <summary>Whether new work of this kind may begin here.</summary>
    /// <param name="work"><see cref="INodeWork.Name"/>.</param>
    public bool MayStart(string work) => WhyNot(work) is null;

    /// <summary>Whether an operator has drained the node: what runs goes on, nothing new begins, over restarts too.</summary>
    public bool IsDrained => drained;

    /// <summary>Whether the installation is held after a restore (<see cref="Cluster.Hold"/>).</summary>
    public bool IsHeld => held;

    /// <summary>Whether due times may be recorded here: also while the installation is held, when nothing may run.</summary>
    public bool MayAccount(string work) => WhyNotHere(work) is null;

    /// <summary>Why no new work of this kind may begin here, in words; null when it may.</summary>
    public string? WhyNot(string work) => held ? "the installation is held after a restore, until a superuser releases it" : WhyNotHere(work);

    private string? WhyNotHere(string work) =>
        draining ? "the node is shutting down"
        : !Has(work) ? $"the node does not have the role {work} (Codo:Node:Roles)"
        : drained ? "the node is drained"
        : !recovered.ContainsKey(work) ? "what an earlier start of this node left is being recovered"
        : !HoldsLease ? "the node has lost its lease: PostgreSQL has confirmed no heartbeat for 10 s"
        : skew.Duration() > MostSkew ? $"the node's clock is {skew.TotalSeconds:0} s off PostgreSQL's"
        : null;

    /// <summary>Whether what falls due is left to other nodes, or to later, for a reason that may last, however well the node is.</summary>
    /// <param name="work"><see cref="INodeWork.Name"/>.</param>
    public bool LeavesDueAlone(string work) => !Has(work) || drained || skew.Duration() > MostSkew;

    /// <summary>Whether the node has a role.</summary>
    public bool Has(string role) => Roles.Contains(role, StringComparer.Ordinal);

    /// <summary>
    /// Why this host has to stop: while the node was taken for dead, a newer binary has brought a schema that this one cannot work with, another host has taken
    /// its name, or the database was restored. Null otherwise.
    /// </summary>
    public Exception? StopReason { get; private set; }

    /// <summary>Begins the drain.</summary>
    public void Drain() => draining = true;

    /// <summary>Set when <see cref="IsDrained"/> has changed.</summary>
    public WakeSignal DrainChanged { get; } = new();

    /// <summary>Sets what the node's row says.</summary>
    public void Drained(bool isDrained)
    {
        if (drained == isDrained) return;
        drained = isDrained;
        DrainChanged.Set();
    }

    internal void MustStop(Exception reason) => StopReason = reason;

    internal void Hold(bool isHeld) => held = isHeld;

    /// <summary>What an earlier start left of this kind of work is recovered, its survivors are ended: now new work of the kind may begin.</summary>
    internal void Recovered(string work) => recovered[work] = true;

    /// <summary>Whether <see cref="Recovered"/> was called for it.</summary>
    internal bool HasRecovered(string work) => recovered.ContainsKey(work);

    internal void Became(long newIncarnation) => Interlocked.Exchange(ref incarnation, newIncarnation);

    /// <param name="sentAt"><see cref="BootTime.Now"/> before the heartbeat was sent: the lease counts from there.</param>
    /// <param name="answeredBy">When the server that answered was started.</param>
    internal void Renewed(TimeSpan sentAt, TimeSpan measuredSkew, DateTime answeredBy)
    {
        // A pause of more than two beats starts the steady stretch anew. So does another server, or the same one anew: a promoted standby need not have the
        // last heartbeats of the other nodes, its clock may be ahead, and they have to find it first.
        if (Since(ref renewedAt) > TimeSpan.FromSeconds(6) || answeredBy != Server) Interlocked.Exchange(ref steadySince, sentAt.Ticks);
        // After the stretch: whoever reads the new server finds that it has not answered for long.
        Interlocked.Exchange(ref server, answeredBy.Ticks);
        skew = measuredSkew;
        Interlocked.Exchange(ref renewedAt, sentAt.Ticks);
    }

    internal void Lost() => Interlocked.Exchange(ref renewedAt, long.MinValue);

    private static TimeSpan Since(ref long stamp)
    {
        var value = Interlocked.Read(ref stamp);
        return value == long.MinValue ? TimeSpan.MaxValue : BootTime.Now - TimeSpan.FromTicks(value);
    }
}
