using System.Diagnostics;
using System.Reflection;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>Joins the cluster, keeps the lease, settles what dead nodes left, and leaves in good order.</summary>
internal sealed class Membership(Node node, NpgsqlDataSource source, IEnumerable<INodeWork> works, ClusterSettings settings, ILogger<Membership> log) : IHostedService, IDisposable
{
    private const string JoinSql = """
        INSERT INTO platform.node AS n (name, incarnation, machine, boot_id, process_id, version, started_at, heartbeat_at)
        VALUES (@Name, nextval('platform.incarnation'), @Machine, @BootId, @ProcessId, @Version, clock_timestamp(), clock_timestamp())
        ON CONFLICT (name) DO UPDATE SET fenced = n.incarnation, incarnation = excluded.incarnation, machine = excluded.machine, boot_id = excluded.boot_id,
            process_id = excluded.process_id, version = excluded.version, started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, stopped_at = NULL
        RETURNING incarnation
        """;

    private const string BeatSql = """
        UPDATE platform.node SET heartbeat_at = clock_timestamp(), clock_skew = @Skew
        WHERE name = @Name AND incarnation = @Incarnation AND fenced < incarnation
        RETURNING clock_timestamp()
        """;

    private const string FenceSql = """
        UPDATE platform.node SET fenced = incarnation
        WHERE fenced < incarnation AND heartbeat_at < clock_timestamp() - CAST(@Lease AS interval) AND pg_postmaster_start_time() < clock_timestamp() - CAST(@Lease AS interval)
        RETURNING name
        """;

    private const string UnsettledSql = """
        SELECT name, fenced FROM platform.node WHERE settled < fenced
        """;

    private const string SettledSql = """
        UPDATE platform.node SET settled = @Fenced WHERE name = @Name AND settled < @Fenced AND fenced >= @Fenced
        """;

    // A node that left is dead at once: what its drain could not record is settled by the others without waiting for the lease.
    private const string LeaveSql = """
        UPDATE platform.node SET heartbeat_at = '-infinity', stopped_at = clock_timestamp() WHERE name = @Name AND incarnation = @Incarnation
        """;

    private static readonly TimeSpan Beat = TimeSpan.FromSeconds(2);
    private readonly CancellationTokenSource stopping = new();
    private readonly INodeWork[] works = [.. works];
    private Thread? heart;
    private Task sweep = Task.CompletedTask;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var sent = Stopwatch.GetTimestamp();
        await Join();
        node.Renewed(sent, node.Skew);
        // A thread of its own: a thread pool that is busy with a burst of commands must not cost the lease.
        heart = new Thread(KeepLease) { IsBackground = true, Name = "codo heartbeat" };
        heart.Start();
        // The lease is held meanwhile, so that no other node settles this start's own; and nothing begins before the survivors of the last one have ended.
        await SettleUnsettled(cancellationToken);
        node.Settled();
        sweep = Task.Run(Sweep, CancellationToken.None);
        log.LogInformation("Node {Node} joined as incarnation {Incarnation}", node.Name, node.Incarnation);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        node.Drain();
        using (var grace = new CancellationTokenSource(settings.ShutdownGrace))
            await Task.WhenAll(works.Select(work => work.Drain(grace.Token)));
        await stopping.CancelAsync();
        await sweep;
        heart?.Join(TimeSpan.FromSeconds(7));
        try
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await connection.ExecuteAsync(LeaveSql, new { node.Name, node.Incarnation });
        }
        catch (Exception error) when (Http.Failures.IsDatabaseAway(error))
        {
            log.LogWarning("The node could not sign off, its lease runs out instead: {Cause}", error.Message);
        }
    }

    public void Dispose()
    {
        // A start that failed disposes without stopping: the thread must be gone before what it waits on is.
        stopping.Cancel();
        heart?.Join(TimeSpan.FromSeconds(7));
        stopping.Dispose();
    }

    private async Task Join()
    {
        await using var connection = await source.OpenConnectionAsync();
        node.Became(await connection.QuerySingleAsync<long>(JoinSql, new
        {
            node.Name,
            Machine = Environment.MachineName,
            BootId = Machine.BootId,
            Environment.ProcessId,
            Version = Assembly.GetEntryAssembly()?.GetName().Version?.ToString(3) ?? "",
        }));
    }

    private void KeepLease()
    {
        var text = new NpgsqlConnectionStringBuilder(settings.PostgresConnectionString) { Pooling = false, Timeout = 3, CommandTimeout = 3, ApplicationName = "codo heartbeat" }.ConnectionString;
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
            catch (Exception error) when (error is NpgsqlException or TimeoutException or InvalidOperationException or System.Net.Sockets.SocketException or IOException)
            {
                log.LogWarning("Heartbeat failed: {Cause}", error.Message);
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
        var sent = Stopwatch.GetTimestamp();
        var here = DateTime.UtcNow;
        var there = connection.QuerySingleOrDefault<DateTime?>(BeatSql, new { node.Name, node.Incarnation, node.Skew });
        if (there is { } clock)
        {
            node.Renewed(sent, clock - here - (Stopwatch.GetElapsedTime(sent) / 2));
            return;
        }
        // Another node has declared this one dead. Whatever ran here was settled or is about to be; the works see it when they look, and end those commands.
        log.LogWarning("Node {Node} incarnation {Incarnation} was declared dead; it joins anew", node.Name, node.Incarnation);
        node.Lost();
        Join().GetAwaiter().GetResult();
        node.Renewed(sent, node.Skew);
    }

    private async Task Sweep()
    {
        using var timer = new PeriodicTimer(Beat);
        while (await Ticks(timer))
        {
            try
            {
                if (node.SteadyForALease) await Fence();
                if (node.HoldsLease) await SettleUnsettled(stopping.Token);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                log.LogWarning(error, "Settling failed; it is tried again in {Seconds} s", Beat.TotalSeconds);
            }
        }
    }

    private async Task<bool> Ticks(PeriodicTimer timer)
    {
        try
        {
            return await timer.WaitForNextTickAsync(stopping.Token);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private async Task Fence()
    {
        await using var connection = await source.OpenConnectionAsync(stopping.Token);
        foreach (var dead in await connection.QueryAsync<string>(FenceSql, new { Node.Lease }))
            log.LogWarning("Node {Dead} is dead: no heartbeat for {Seconds} s", dead, Node.Lease.TotalSeconds);
    }

    private async Task SettleUnsettled(CancellationToken cancellation)
    {
        List<Unsettled> dead;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            dead = (await connection.QueryAsync<Unsettled>(UnsettledSql)).AsList();
        foreach (var left in dead)
        {
            foreach (var work in works) await work.Settle(left.Name, left.Fenced, cancellation);
            await using var connection = await source.OpenConnectionAsync(cancellation);
            await connection.ExecuteAsync(SettledSql, left);
            log.LogInformation("Settled what node {Dead} left up to incarnation {Incarnation}", left.Name, left.Fenced);
        }
    }

    private sealed record Unsettled(string Name, long Fenced);
}

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
    public static IServiceCollection AddCluster(this IServiceCollection services, Node node, ClusterSettings settings) => services
        .AddSingleton(node)
        .AddSingleton(settings)
        // Stopped in reverse: the control channel still listens while the membership drains, so that a kill reaches what is given its grace.
        .AddHostedService<ControlListener>()
        .AddHostedService<Membership>();
}
