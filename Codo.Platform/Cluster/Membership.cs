using System.Reflection;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Codo.Platform.Security;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>Joins the cluster, keeps the lease, fences dead nodes, has what they left recovered, and leaves in good order.</summary>
internal sealed class Membership(
    Node node,
    NpgsqlDataSource source,
    DatabaseClock clock,
    WorkLoops works,
    LoopStates states,
    ClusterSettings settings,
    Schema schema,
    Hold hold,
    IHostApplicationLifetime lifetime,
    ILogger<Membership> log
) : IHostedService, IDisposable
{
    // At a start it takes its name over (see RefuseNamesake). A node that was declared dead takes back a row that is still its own, that is older than its own
    // (of a standby that was promoted), or that it has written itself by a join whose answer was lost. One of another host that has joined under its name
    // meanwhile it leaves alone.
    private const string JoinSql = """
        INSERT INTO platform.node AS n (name, incarnation, machine, boot_id, process_id, version, roles, tags, started_at, heartbeat_at, machine_since)
        VALUES (@Name, @Mine, @Machine, @BootId, @ProcessId, @Version, @Roles, @Tags, clock_timestamp(), clock_timestamp(), @Mine)
        ON CONFLICT (name) DO UPDATE SET fenced = n.incarnation, incarnation = excluded.incarnation, machine = excluded.machine, boot_id = excluded.boot_id,
            machine_since = CASE WHEN n.machine = excluded.machine THEN n.machine_since ELSE excluded.incarnation END,
            process_id = excluded.process_id, version = excluded.version, roles = excluded.roles, tags = excluded.tags,
            started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, stopped_at = NULL
        WHERE CAST(@Own AS bigint) = 0 OR n.incarnation <= CAST(@Own AS bigint)
            OR n.incarnation = ANY(@Tried)
        RETURNING incarnation, drained_at IS NOT NULL AS drained, pg_postmaster_start_time() AS server
        """;

    private const string NextSql = """
        SELECT nextval('platform.incarnation')
        """;

    // Who may live under this name: a host that has neither left nor been declared dead, and has sent a heartbeat within a lease.
    private const string NamesakeSql = """
        SELECT machine AS machine_name, boot_id, process_id, heartbeat_at FROM platform.node
        WHERE name = @Name AND stopped_at IS NULL AND fenced < incarnation AND heartbeat_at >= clock_timestamp() - CAST(@Lease AS interval)
        """;

    private const string BeatSql = """
        UPDATE platform.node SET heartbeat_at = clock_timestamp(), clock_skew = @Skew
        WHERE name = @Name AND incarnation = @Incarnation AND fenced < incarnation
        RETURNING clock_timestamp() AS now, drained_at IS NOT NULL AS drained, pg_postmaster_start_time() AS server
        """;

    // A heartbeat in the future is one from before the clock was put back: a node that lives has sent others since (fencing waits a lease after a jump).
    // Only on the server that has answered this node's heartbeats for a lease: the statement may be the first to reach a standby that was just promoted.
    // Only while PostgreSQL's clock shows what this node expects: the statement may be the first to see a clock that somebody has just set.
    private const string FenceSql = """
        UPDATE platform.node SET fenced = incarnation
        WHERE fenced < incarnation
            AND (heartbeat_at < clock_timestamp() - CAST(@Lease AS interval) OR heartbeat_at > clock_timestamp() + CAST(@Lease AS interval))
            AND pg_postmaster_start_time() = CAST(@Server AS timestamptz)
            AND clock_timestamp() - CAST(@Expected AS timestamptz) BETWEEN - CAST(@Jump AS interval) AND CAST(@Jump AS interval)
        RETURNING name
        """;

    // A node that left is dead at once: what its drain could not record is recovered by the others without waiting for the lease.
    private const string LeaveSql = """
        UPDATE platform.node SET heartbeat_at = '-infinity', stopped_at = clock_timestamp() WHERE name = @Name AND incarnation = @Incarnation
        """;

    // Seconds. Half a lease: a statement that took longer could make up for a clock that was put back by as much.
    private const int FenceTimeout = 5;

    // For a migration that another node has under way. A node that joins anew asks again; a heartbeat that says nothing for longer is taken for one that hangs.
    private static readonly TimeSpan StartPatience = TimeSpan.FromMinutes(5),
        Patience = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan Beat = TimeSpan.FromSeconds(2),
        LongestLeave = TimeSpan.FromSeconds(5),
        // Two beats and some: a host that lives has sent one by then.
        LongestLook = TimeSpan.FromSeconds(5),
        PollPeriod = TimeSpan.FromMilliseconds(250);

    private readonly CancellationTokenSource stopping = new();

    // The numbers of joins of which it is not known whether they were committed. Machine and process do not tell: those of two containers may be the same.
    private readonly List<long> tried = [];

    private readonly LoopState beats = states.Add("heartbeat", Beat, isVital: true);
    private LoopGroup? recoveries;
    private PeriodicLoop? fence;
    private Thread? heart;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        // Nothing new begins from the signal on. What stops before this waits for the requests that are under way.
        lifetime.ApplicationStopping.Register(node.Drain);
        await RefuseNamesake(cancellationToken);
        await Join(StartPatience);
        // A thread of its own: a thread pool that is busy with a burst of commands must not cost the lease.
        heart = new Thread(KeepLease) { IsBackground = true, Name = "codo heartbeat" };
        heart.Start();
        // The lease is held meanwhile, so that no other node recovers this start's own; and nothing begins before the survivors of the last one have ended.
        await works.RecoverAtStart(cancellationToken);
        fence = new PeriodicLoop(
            states.Add("fencing", Beat),
            new WakeSignal(),
            (_, token) => Fence(token),
            log
        );
        recoveries = new LoopGroup(works.Recoveries());
        await fence.StartAsync(cancellationToken);
        await recoveries.StartAsync(cancellationToken);
        log.LogInformation("Node {Node} joined as incarnation {Incarnation}", node.Name, node.Incarnation);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        node.Drain();
        using (var grace = new CancellationTokenSource(settings.ShutdownGrace))
            await Task.WhenAll(works.Works.Select(work => work.Drain(grace.Token)));
        if (fence is not null) await fence.StopAsync(CancellationToken.None);
        if (recoveries is not null) await recoveries.StopAsync(CancellationToken.None);
        await stopping.CancelAsync();
        heart?.Join(TimeSpan.FromSeconds(7));
        // A time of its own: that of the whole stop may be over by now.
        using var leave = new CancellationTokenSource(LongestLeave);
        try
        {
            await using var connection = await source.OpenConnectionAsync(leave.Token);
            await connection.ExecuteAsync(new CommandDefinition(LeaveSql, new { node.Name, node.Incarnation }, cancellationToken: leave.Token));
        }
        catch (Exception error) when (DatabaseErrors.IsTransient(error) || error is OperationCanceledException)
        {
            log.LogWarning(error, "The node could not sign off, its lease runs out instead");
        }
    }

    public void Dispose()
    {
        // A start that failed disposes without stopping: the thread must be gone before what it waits on is.
        stopping.Cancel();
        heart?.Join(TimeSpan.FromSeconds(7));
        fence?.Dispose();
        recoveries?.Dispose();
        stopping.Dispose();
    }

    // Two hosts under one name would take the lease from each other with every beat, and end each other's commands. A node that joins anew does not ask: it
    // takes back what is its own, and nothing else.
    private async Task RefuseNamesake(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        if (await Read() is not { } found || found.IsGone) return;
        var began = BootTime.Now;
        while (BootTime.Now - began < LongestLook)
        {
            await Task.Delay(PollPeriod, cancellation);
            if (await Read() is not { } now) return;
            if (now.HeartbeatAt != found.HeartbeatAt) throw new NodeNameIsTaken(node.Name);
        }

        Task<Namesake?> Read() =>
            connection.QuerySingleOrDefaultAsync<Namesake>(new CommandDefinition(NamesakeSql, new { node.Name, Node.Lease }, cancellationToken: cancellation));
    }

    /// <exception cref="NodeNameIsTaken">While this node was taken for dead, another host has joined under its name.</exception>
    /// <exception cref="InstallationWasRestored">The database is another than the one that this node has read at its start.</exception>
    /// <exception cref="RestoreIsUnfinished">It is being replaced.</exception>
    private async Task Join(TimeSpan patience)
    {
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await Migrator.Verify(connection, transaction, schema, log, patience);
        await hold.RefuseAnother(connection, transaction);
        var mine = await connection.ExecuteScalarAsync<long>(NextSql, transaction: transaction);
        tried.Add(mine);
        var sent = BootTime.Now;
        var rows = await connection.QueryAsync<(long Incarnation, bool Drained, DateTime Server)>(
            JoinSql,
            new
            {
                Own = node.Incarnation,
                Mine = mine,
                Tried = tried.ToArray(),
                node.Name,
                Machine = Environment.MachineName,
                BootId = Machine.BootId,
                Environment.ProcessId,
                Version = Assembly.GetEntryAssembly()?.GetName().Version?.ToString(3) ?? "",
                Roles = node.Roles.ToArray(),
                Tags = node.Tags.ToArray(),
            },
            transaction
        );
        if (rows.AsList() is not [var joined]) throw new NodeNameIsTaken(node.Name);
        await transaction.CommitAsync();
        tried.Clear();
        // Before the incarnation: a drained node that has joined begins nothing.
        node.Drained(joined.Drained);
        node.Became(joined.Incarnation);
        node.Renewed(sent, node.Skew, joined.Server);
    }

    private void KeepLease()
    {
        var text = new NpgsqlConnectionStringBuilder(settings.PostgresConnectionString)
        {
            Pooling = false,
            Timeout = 3,
            CommandTimeout = 3,
            ApplicationName = "codo heartbeat",
        }.ConnectionString;
        NpgsqlConnection? connection = null;
        var wasHeld = true;
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (connection is null)
                {
                    connection = new NpgsqlConnection(text);
                    connection.Open();
                }
                BeatOnce(connection);
            }
            catch (Exception reason) when (reason is SchemaIsNewer or NodeNameIsTaken or InstallationWasRestored)
            {
                // The lease is gone, so nothing new begins here meanwhile.
                log.LogCritical("The node stops: {Reason}", reason.Message);
                node.MustStop(reason);
                lifetime.StopApplication();
                connection?.Dispose();
                return;
            }
            catch (Exception error)
            {
                beats.Failed(error);
                log.LogWarning(error, "The heartbeat failed");
                connection?.Dispose();
                connection = null;
            }
            if (wasHeld != node.HoldsLease) log.LogWarning(wasHeld ? "The lease is lost: nothing new starts here" : "The lease is held again");
            wasHeld = node.HoldsLease;
            stopping.Token.WaitHandle.WaitOne(Beat);
        }
        connection?.Dispose();
    }

    private void BeatOnce(NpgsqlConnection connection)
    {
        var sent = BootTime.Now;
        var there = connection.Query<(DateTime Now, bool Drained, DateTime Server)>(BeatSql, new { node.Name, node.Incarnation, node.Skew }).AsList();
        if (there is [var beat])
        {
            node.Renewed(sent, clock.Measured(beat.Now, sent, BootTime.Now), beat.Server);
            if (node.IsDrained != beat.Drained)
                log.LogWarning(beat.Drained ? "The node is drained: it takes no new work" : "The node takes work again");
            node.Drained(beat.Drained);
            beats.Succeeded();
            return;
        }
        // Another node has declared this one dead. What ran here was recovered or is about to be; the works see it when they poll, and end those commands.
        log.LogWarning("Node {Node} incarnation {Incarnation} was declared dead; it joins anew", node.Name, node.Incarnation);
        node.Lost();
        Join(Patience).GetAwaiter().GetResult();
        beats.Succeeded();
    }

    private async Task Fence(CancellationToken cancellation)
    {
        // Read first: a server that comes after it is refused by the statement.
        var server = node.Server;
        if (!node.SteadyForALease || !clock.IsSteadyFor(Node.Lease)) return;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        foreach (var dead in await Fence(connection, clock, server))
            log.LogWarning("Node {Dead} is dead: no heartbeat for {Seconds} s", dead, Node.Lease.TotalSeconds);
    }

    /// <summary>Declares dead who has sent no heartbeat for a lease; nobody while PostgreSQL's clock is not what the last heartbeats showed.</summary>
    /// <param name="server">When the server that has answered the heartbeats was started.</param>
    /// <returns>Their names.</returns>
    internal static Task<IEnumerable<string>> Fence(NpgsqlConnection connection, DatabaseClock clock, DateTime server) =>
        connection.QueryAsync<string>(
            FenceSql,
            new
            {
                Node.Lease,
                Server = server,
                Expected = clock.GetUtcNow().UtcDateTime,
                DatabaseClock.Jump,
            },
            commandTimeout: FenceTimeout
        );

    private sealed record Namesake(string MachineName, string BootId, int ProcessId, DateTime HeartbeatAt)
    {
        // After a crash, on the same machine in the same boot. In a container every process has the same number, and nobody can tell.
        public bool IsGone =>
            MachineName == Environment.MachineName
            && BootId == Machine.BootId
            && ProcessId != Environment.ProcessId
            // A container sees its own processes alone; the first namespace of processes, which sees all, has this number in every kernel.
            && new FileInfo("/proc/self/ns/pid").LinkTarget == "pid:[4026531836]"
            && !Directory.Exists($"/proc/{ProcessId}");
    }
}

/// <summary>A host whose name another one has that lives.</summary>
public sealed class NodeNameIsTaken(string name) : Exception(
    $"Another host runs as node {name}: give each its own Codo:NodeName. / 另一个正在运行的 Codo 使用节点名 {name}：请为每一个设置各自的 Codo:NodeName。");

/// <summary>What the cluster needs to know of the host.</summary>
/// <param name="PostgresConnectionString">For the heartbeat's own connection.</param>
/// <param name="ShutdownGrace">How long what runs may go on when the host is stopped.</param>
public sealed record ClusterSettings(string PostgresConnectionString, TimeSpan ShutdownGrace);

/// <summary>Facts of the machine that outlive a process.</summary>
public static class Machine
{
    /// <summary>Changes with every boot, so that a process id of before is not taken for one of now.</summary>
    public static readonly string BootId = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
}

/// <summary>Registers the node, its lease and its control channel. Call it after the modules' <see cref="INodeWork"/> and before Hangfire's server.</summary>
public static class ClusterRegistration
{
    public static IServiceCollection AddCluster(this IServiceCollection services, Node node, ClusterSettings settings)
    {
        services
            .AddHealthChecks()
            .AddCheck<LoopStates>("loops")
            // What waits for a lock is degraded: everything else of this host works.
            .AddCheck<DeadLetters>("outbox", HealthStatus.Degraded, timeout: TimeSpan.FromSeconds(5))
            .AddCheck<RetentionGuard>("retention")
            .AddCheck<Hold>("hold");
        return services
            .AddSingleton(node)
            .AddSingleton(settings)
            .AddSingleton<LoopStates>()
            .AddSingleton<WorkLoops>()
            .AddSingleton<ControlListener>()
            .AddSingleton<Hold>()
            .AddSingleton(provider => new ControlWake(provider.GetRequiredService<Hold>().Wake))
            .AddPoll<Hold>("hold", TimeSpan.FromSeconds(2), TimeSpan.FromMinutes(1), (hold, stopping) => hold.Refresh(stopping), hold => hold.Wake)
            .AddSingleton<StateWatch>()
            .AddSingleton(provider => new WatchedState(WorkLoops.UnrecoveredVersion, provider.GetRequiredService<WorkLoops>().WakeRecoveries))
            .AddLoop<StateWatch>("announcements", TimeSpan.FromSeconds(1), (watch, stopping) => watch.Poll(stopping))
            .AddSingleton<RetentionGuard>()
            .AddSingleton<Outbox>()
            .AddSingleton<OutboxRelay>()
            .AddSingleton<DeadLetters>()
            .AddSingleton<AuditPartitions>()
            .AddLoop<AuditPartitions>("audit partitions", TimeSpan.FromHours(1), (audit, stopping) => audit.Maintain(stopping))
            .AddSingleton<AuditSeals>()
            .AddSingleton<AuditSealing>()
            .AddLoop<AuditSealing>("audit seals", TimeSpan.FromMinutes(10), (seals, stopping) => seals.SealDue(stopping))
            .AddSingleton<RefusedAttempts>()
            // Before its loop, so that it is stopped after it.
            .AddSingleton<IHostedService>(provider => provider.GetRequiredService<RefusedAttempts>())
            .AddLoop<RefusedAttempts>("refused attempts", TimeSpan.FromSeconds(5), (refused, stopping) => refused.Flush(stopping))
            // Stopped in reverse: the control channel and the polls still run while the membership drains, so that a kill reaches what is given its grace.
            .AddLoop<ControlListener>("control channel", TimeSpan.FromSeconds(5), (listener, state, stopping) => listener.Listen(state, stopping))
            .AddSingleton<IHostedService>(provider => new LoopGroup(provider.GetRequiredService<WorkLoops>().Polls()))
            .AddLoop<RetentionGuard>("clock watch", TimeSpan.FromMinutes(1), (guard, stopping) => guard.Watch(stopping))
            .AddPoll<OutboxRelay>(
                "outbox",
                TimeSpan.FromSeconds(1),
                TimeSpan.FromSeconds(5),
                (relay, stopping) => relay.PublishDue(stopping),
                relay => relay.Written
            )
            // Retention drops dead letters too, and a host may die before it has said that a person dealt with the last, or that there is one.
            .AddLoop<OutboxRelay>("dead letters", TimeSpan.FromHours(1), (relay, _) => relay.TellOfDeadLetters(), relay => relay.Untold)
            .AddHostedService<Membership>();
    }
}
